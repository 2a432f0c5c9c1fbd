//! Standard output as the tour needs it: as wide as the terminal within reason, in colours on a terminal only (and not
//! with `NO_COLOR`), and gone quietly when its reader is.

use std::fmt::Display;
use std::io::{self, Write};

use console::{Style, Term};

use crate::failure::Failure;
use crate::output;

/// Without a terminal, and the bounds with one.
const WIDTH: usize = 100;
const NARROWEST: usize = 60;

pub(super) struct Paper {
    out: io::Stdout,
    width: usize,
    /// How writing went so far; nothing more is written after an error.
    result: io::Result<()>,
}

/// What a text is, which decides its colour.
#[derive(Clone, Copy)]
pub(super) enum Ink {
    Title,
    Code,
    Call,
    Faint,
    Plain,
}

impl Ink {
    pub(super) fn on(self, text: impl Display) -> String {
        let style = match self {
            Ink::Title => Style::new().bold().cyan(),
            Ink::Code => Style::new().green(),
            Ink::Call => Style::new().yellow(),
            Ink::Faint => Style::new().dim(),
            Ink::Plain => Style::new(),
        };
        style.apply_to(text).to_string()
    }
}

impl Paper {
    pub(super) fn stdout() -> Paper {
        let columns = Term::stdout().size_checked().map(|(_, columns)| usize::from(columns));
        let width = columns.map_or(WIDTH, |columns| columns.clamp(NARROWEST, WIDTH));
        Paper { out: io::stdout(), width, result: Ok(()) }
    }

    pub(super) fn width(&self) -> usize {
        self.width
    }

    pub(super) fn line(&mut self, text: impl Display) {
        if self.result.is_ok() {
            self.result = writeln!(self.out, "{text}");
        }
    }

    /// Whether everything could be written.
    pub(super) fn finish(self) -> Result<(), Failure> {
        output::written(self.result)
    }

    /// A text in as many lines as it takes, each behind `indent` blanks.
    pub(super) fn text(&mut self, ink: Ink, indent: usize, text: &str) {
        let blanks = " ".repeat(indent);
        for line in textwrap::wrap(text, self.width - indent) {
            self.line(format_args!("{blanks}{}", ink.on(line)));
        }
    }

    /// An entry of a list, in as many lines as it takes, with something at the right edge of the first.
    pub(super) fn listed(&mut self, (ink, indent, text): (Ink, usize, &str), right: (Ink, &str)) {
        let blanks = " ".repeat(indent);
        let room = self.width - indent - console::measure_text_width(right.1) - 1;
        let options = textwrap::Options::new(room).subsequent_indent("    ");
        let mut lines = textwrap::wrap(text, options).into_iter();
        let first = lines.next().unwrap_or_default();
        self.edges((ink, &format!("{blanks}{first}")), right);
        lines.for_each(|line| self.line(format_args!("{blanks}{}", ink.on(line))));
    }

    /// A text at the left edge and one at the right edge of a line.
    pub(super) fn edges(&mut self, left: (Ink, &str), right: (Ink, &str)) {
        let taken = console::measure_text_width(left.1) + console::measure_text_width(right.1);
        let gap = " ".repeat(self.width.saturating_sub(taken).max(1));
        self.line(format_args!("{}{gap}{}", left.0.on(left.1), right.0.on(right.1)));
    }
}
