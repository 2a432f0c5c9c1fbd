//! What a run came to, for people and for programs: from the same values a self-contained HTML page with plots, Markdown with
//! the same tables, and JSON with every turn.

mod html;
mod markdown;
mod plot;
mod table;

use measure::contest::Number;
use measure::machine::Machine;
use measure::report::{Cell, nanoseconds};
use measure::stats::Order;
use serde::Serialize;

use crate::cause::cause;
use crate::verdict::{Comparison, Verdict, cost_of};

/// Everything that there is to show.
#[derive(Debug, Serialize)]
pub(crate) struct Page {
    pub machine: Machine,
    /// Names and versions of what was measured.
    pub versions: Vec<(String, String)>,
    /// How system calls were counted.
    pub calls: String,
    /// Whether it was the short version, whose numbers are a first impression.
    pub quick: bool,
    /// Whether nothing was left out on request.
    pub whole: bool,
    /// Seconds that the run took.
    pub took: u64,
    pub cells: Vec<Shown>,
}

/// A cell and what it comes to.
#[derive(Debug, Serialize)]
pub(crate) struct Shown {
    #[serde(flatten)]
    pub cell: Cell,
    /// The number that decides.
    pub by: Number,
    pub verdict: Option<Verdict>,
}

/// A cell in which Anyport is behind.
struct Remainder {
    /// By how much, in this run.
    what: String,
    why: &'static str,
}

impl Page {
    /// What was measured where, in sentences.
    fn facts(&self) -> Vec<String> {
        let versions: Vec<String> = self.versions.iter().map(|(name, version)| format!("{name} {version}")).collect();
        let mut facts = vec![
            self.machine.to_string().replace('\n', " "),
            format!("Peers: {}.", versions.join(", ")),
            format!("System calls per operation are {}.", self.calls),
            format!("The run took {} minutes.", self.took.div_ceil(60)),
        ];
        if self.quick {
            facts.push("A run with --quick: short windows and two rounds, for a first impression only.".to_owned());
        }
        if !self.whole {
            facts.push("Cells or servers were left out on request.".to_owned());
        }
        facts
    }

    /// Said before what remains.
    const CHANCE: &str = "By chance alone an interval lies above the truth in up to 1 of 32 cells, in 1 of 8 of those with three \
                          rounds: what run after run names is behind.";

    /// Where the better backend of Anyport is behind someone, or more than 3 % above the best loop by hand; and why.
    fn remains(&self) -> Vec<Remainder> {
        let told = self.cells.iter().filter_map(|shown| {
            let verdict = shown.verdict.as_ref()?;
            let behind = verdict.anyport.as_ref().filter(|c| c.order == Order::Behind);
            let above = verdict.by_hand.as_ref().filter(|c| c.order == Order::Behind && c.cost.median > 1.03);
            let comparison = behind.or(above)?;
            let cost = |name: &str| {
                let row = shown.cell.rows.iter().find(|row| row.name == name)?;
                Some(nanoseconds(cost_of(row, shown.by)?.median))
            };
            let (own, other) = (cost(&comparison.name)?, cost(&comparison.with)?);
            let what =
                format!("{}: {}; {own} against {other} of {}.", shown.title(), in_words(comparison), shown.measure());
            let why = cause(&shown.title(), &comparison.name, &comparison.with);
            let why = why.unwrap_or("The cause has not been measured.");
            Some(Remainder { what, why })
        });
        told.collect()
    }
}

impl Shown {
    /// `echo: 64 connections, 64 B`.
    fn title(&self) -> String {
        format!("{}: {}", self.cell.benchmark, self.cell.work)
    }

    /// The number that decides, in words.
    fn measure(&self) -> String {
        match self.by {
            Number::Cpu => format!("CPU time per {}", self.cell.unit),
            Number::Rate => format!("time per {}", self.cell.unit),
        }
    }

    /// What the cell comes to, in sentences.
    fn sentence(&self) -> String {
        let Some(verdict) = &self.verdict else {
            return "Nobody was measured.".to_owned();
        };
        let first = match verdict.first.as_slice() {
            [] => "Nobody was measured.".to_owned(),
            [winner] => format!("Least {}: {winner}.", self.measure()),
            several => format!("No difference in {} between {}.", self.measure(), several.join("; ")),
        };
        let own = verdict.anyport.as_ref().map(|comparison| format!(" {}.", in_words(comparison)));
        let by_hand = verdict
            .by_hand
            .as_ref()
            .filter(|by_hand| verdict.anyport.as_ref().is_none_or(|anyport| anyport.with != by_hand.with));
        let by_hand = by_hand.map(|comparison| format!(" {}.", in_words(comparison)));
        [Some(first), own, by_hand].into_iter().flatten().collect()
    }
}

/// `anyport, epoll at 1.02 × (1.00 … 1.03) of by hand, epoll: behind`.
fn in_words(comparison: &Comparison) -> String {
    let Comparison { name, with, cost, order } = comparison;
    let order = match order {
        Order::Ahead => "ahead",
        Order::NoDifference => "no difference",
        Order::Behind => "behind",
    };
    format!("{name} at {:.3} × ({:.3} … {:.3}) of {with}: {order}", cost.median, cost.low, cost.high)
}

#[cfg(test)]
mod tests {
    use super::*;
    use measure::affinity::Cores;
    use measure::contest::Sample;
    use measure::report::{Outcome, Row};
    use measure::stats::Spread;
    use std::collections::BTreeMap;

    /// A page with a cell in which everything that can become of a contestant does.
    fn page() -> Page {
        let measured = |name: &str, backend: Option<&str>, costs: [f64; 3]| {
            let turns: Vec<_> = costs
                .iter()
                .map(|&cpu_ns| Sample { rate: 1e9 / cpu_ns, cpu_ns, also: vec![("p50 µs", 12.5)] })
                .collect();
            let spread = |of: fn(&Sample) -> f64| Spread::of(turns.iter().map(of)).unwrap();
            let also = BTreeMap::from([("p50 µs", Spread { median: 12.5, low: 11.0, high: 14.0 })]);
            let (rate, cpu_ns) = (spread(|sample| sample.rate), spread(|sample| sample.cpu_ns));
            Row {
                name: name.to_owned(),
                backend: backend.map(str::to_owned),
                outcome: Outcome::Measured { rate, cpu_ns, ratio: None, goal: None, also, turns },
            }
        };
        let row = |name: &str, outcome| Row { name: name.to_owned(), backend: None, outcome };
        let rows = vec![
            measured("by hand, epoll", None, [1000.0, 1001.0, 1000.0]),
            measured("anyport, epoll", Some("epoll"), [1100.0, 1101.0, 1100.0]),
            row("libuv", Outcome::Skipped("install libuv1-dev".to_owned())),
            row("a <b> & c", Outcome::Failed("broken | pipe".to_owned())),
        ];
        let cell = Cell { benchmark: "echo", work: "64 connections".to_owned(), unit: "request", rounds: 3, rows };
        Page {
            machine: Machine::describe(Cores { server: 1, load: 0 }),
            versions: vec![("mio".to_owned(), "1.2.3".to_owned())],
            calls: "not counted".to_owned(),
            quick: true,
            whole: true,
            took: 100,
            cells: vec![Shown { verdict: Verdict::of(&cell, Number::Cpu), by: Number::Cpu, cell }],
        }
    }

    #[test]
    fn a_cell_says_who_is_first_and_where_anyport_stands() {
        let sentence = page().cells[0].sentence();
        assert!(sentence.starts_with("Least CPU time per request: by hand, epoll."), "{sentence}");
        assert!(sentence.contains("anyport, epoll at 1.100 ×") && sentence.contains("behind"), "{sentence}");
    }

    #[test]
    fn what_remains_is_told() {
        let mut page = page();
        page.cells[0].cell.work = "2 connections".to_owned();
        let remains = page.remains();
        assert_eq!(remains.len(), 1);
        let Remainder { what, why } = &remains[0];
        assert!(what.starts_with("echo: 2 connections: anyport, epoll at 1.100"), "{what}");
        assert!(what.ends_with("1.10 µs against 1.00 µs of CPU time per request."), "{what}");
        assert_eq!(*why, "The cause has not been measured.");
    }

    #[test]
    fn a_remainder_with_a_known_cause_tells_it() {
        let mut page = page();
        let cell = &mut page.cells[0].cell;
        (cell.benchmark, cell.work) = ("file", "random reads of 4096 B from the page cache, 1 in flight".to_owned());
        cell.rows[0].name = "by hand, pread one by one".to_owned();
        page.cells[0].verdict = Verdict::of(cell, Number::Cpu);
        for text in [page.html(), page.markdown()] {
            assert!(text.contains("RWF_NOWAIT"), "{text}");
        }
    }

    #[test]
    fn the_page_and_the_markdown_name_everyone_and_the_machine() {
        let page = page();
        let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
        for text in [page.html(), page.markdown()] {
            for part in ["by hand, epoll", "anyport, epoll", "install libuv1-dev", "mio 1.2.3", release.trim()] {
                assert!(text.contains(part), "{part} in {text}");
            }
        }
    }

    #[test]
    fn what_has_a_meaning_in_the_format_is_escaped() {
        let page = page();
        assert!(page.html().contains("a &lt;b&gt; &amp; c"));
        assert!(!page.html().contains("a <b>"));
        assert!(page.markdown().contains("broken \\| pipe"));
    }

    #[test]
    fn the_page_needs_nothing_from_elsewhere() {
        let html = page().html();
        for outside in ["http://", "https://", "src=", "@import", "url("] {
            assert!(!html.contains(outside), "{outside}");
        }
    }

    #[test]
    fn json_has_every_turn() {
        let json = serde_json::to_value(page()).unwrap();
        assert_eq!(json["cells"][0]["rows"][0]["measured"]["turns"].as_array().unwrap().len(), 3);
        assert_eq!(json["cells"][0]["verdict"]["anyport"]["order"], "behind");
    }
}
