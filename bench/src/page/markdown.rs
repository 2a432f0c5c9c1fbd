//! The page as Markdown: `docs/BENCHMARKS.md`.

use std::fmt::Write;

use super::table::Table;
use super::{Page, Remainder, Shown};

/// How the numbers are made: the part of the page that does not come from a run.
const HOW: &str = include_str!("how.md");

impl Page {
    /// The whole file.
    pub(crate) fn markdown(&self) -> String {
        let mut text = format!("{HOW}\n## The machine\n\n");
        for fact in self.facts() {
            let _ = writeln!(text, "- {}", escape(&fact));
        }
        let remains = self.remains();
        text.push_str("\n## What remains\n\n");
        if remains.is_empty() {
            text.push_str("In no cell is the better backend of Anyport behind anybody beyond the spread.\n");
        } else {
            let _ = writeln!(text, "{}\n", Page::CHANCE);
        }
        for Remainder { what, why } in remains {
            let _ = writeln!(text, "- {} {}", escape(&what), escape(why));
        }
        for shown in &self.cells {
            text.push_str(&section(shown));
        }
        text
    }
}

fn section(shown: &Shown) -> String {
    let table = Table::of(shown);
    let mut text = format!("\n## {}\n\n{}\n\n", escape(&shown.title()), escape(&shown.sentence()));
    let mut line = |columns: &[String]| {
        let columns: Vec<String> = columns.iter().map(|column| escape(column)).collect();
        let _ = writeln!(text, "| {} |", columns.join(" | "));
    };
    line(&table.head);
    let rule = |place: usize| if place == 0 { "---" } else { "---:" }.to_owned();
    line(&(0..table.head.len()).map(rule).collect::<Vec<_>>());
    table.rows.iter().for_each(|row| line(row));
    for (name, why) in &table.notes {
        let _ = write!(text, "\n{} - {}\n", escape(name), escape(why));
    }
    text
}

/// What would end a column or start a tag.
fn escape(text: &str) -> String {
    text.replace('|', "\\|").replace('<', "&lt;").replace('\n', " ")
}
