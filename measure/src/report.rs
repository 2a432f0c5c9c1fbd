//! What the benchmarks found, for people as tables and for programs as JSON, from the same values.

use std::collections::BTreeMap;
use std::fmt;

use comfy_table::{CellAlignment, LineStyle, Table, TableStyle};
use serde::Serialize;

use super::contest::{Number, Sample};
use super::machine::Machine;
use super::stats::Spread;

/// A whole run.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Where it ran: numbers mean nothing without it.
    pub machine: Machine,
    /// Whether it was the short version, whose numbers are only a first impression.
    pub quick: bool,
    /// What was measured.
    pub cells: Vec<Cell>,
}

/// One piece of work and how each contestant did it.
#[derive(Debug, Serialize)]
pub struct Cell {
    /// The benchmark: `echo`, `nop` ...
    pub benchmark: &'static str,
    /// The work, in words.
    pub work: String,
    /// What one operation is called.
    pub unit: &'static str,
    /// How many turns each contestant had.
    pub rounds: usize,
    /// One for each contestant.
    pub rows: Vec<Row>,
}

/// One contestant.
#[derive(Debug, Serialize)]
pub struct Row {
    /// Whose row it is.
    pub name: String,
    /// The backend of this library that it measures; `None` for a hand-written loop.
    pub backend: Option<String>,
    /// What became of it.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// What became of a contestant.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It had all its turns.
    Measured {
        /// Operations per second.
        rate: Spread,
        /// Nanoseconds of CPU time per operation.
        cpu_ns: Spread,
        /// Its numbers over those of the hand-written loop, round by round.
        ratio: Option<Ratio>,
        /// What it should reach, and whether it did.
        goal: Option<Verdict>,
        /// Further numbers by name.
        also: BTreeMap<&'static str, Spread>,
        /// Turn by turn.
        turns: Vec<Sample>,
    },
    /// It cannot run here, and why.
    Skipped(String),
    /// It went wrong.
    Failed(String),
}

/// A quotient of two contestants' numbers, formed within each round.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Ratio {
    /// The contestant below the line.
    pub against: String,
    /// Of which numbers.
    pub of: Number,
    /// Over the rounds.
    #[serde(flatten)]
    pub spread: Spread,
}

/// A goal and whether the median reached it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Verdict {
    /// The goal in words.
    pub text: String,
    /// Whether it was reached.
    pub reached: bool,
}

impl Report {
    /// Whether a contestant went wrong.
    pub fn failed(&self) -> bool {
        let mut rows = self.cells.iter().flat_map(|cell| &cell.rows);
        rows.any(|row| matches!(row.outcome, Outcome::Failed(_)))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.machine)?;
        writeln!(
            f,
            "Medians over the rounds, with the interval that holds the true one in 15 of 16 cases. Contestants take\n\
             turns; a ratio is formed between neighbours of one round. CPU is user + system time of the measured side."
        )?;
        if self.quick {
            writeln!(f, "--quick: short windows and few rounds, for a first impression only.")?;
        }
        for cell in &self.cells {
            write!(f, "\n{cell}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rounds = if self.rounds == 1 { "round" } else { "rounds" };
        writeln!(f, "{} - {} ({} {rounds})", self.benchmark, self.work, self.rounds)?;
        let mut table = Table::new();
        table.load_style(TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─')));
        table.set_header([
            "",
            &format!("{}s/s", self.unit),
            &format!("CPU/{}", self.unit),
            "to hand-written",
            "goal",
            "also",
        ]);
        for row in &self.rows {
            table.add_row(row.columns());
        }
        for column in 1..4 {
            if let Some(column) = table.column_mut(column) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        writeln!(f, "{}", table.trim_fmt())?;
        for Row { name, outcome, .. } in &self.rows {
            match outcome {
                Outcome::Measured { .. } => {}
                Outcome::Skipped(why) => writeln!(f, "{name} is skipped here: {why}")?,
                Outcome::Failed(why) => writeln!(f, "{name} failed: {why}")?,
            }
        }
        Ok(())
    }
}

impl Row {
    fn columns(&self) -> Vec<String> {
        let mut columns = vec![self.name.clone()];
        match &self.outcome {
            Outcome::Skipped(_) => columns.push("skipped".to_owned()),
            Outcome::Failed(_) => columns.push("FAILED".to_owned()),
            Outcome::Measured { rate, cpu_ns, ratio, goal, also, turns: _ } => {
                columns.push(spread(rate, count));
                columns.push(spread(cpu_ns, nanoseconds));
                columns.push(ratio.as_ref().map_or(String::new(), |ratio| {
                    let number = match ratio.of {
                        Number::Cpu => "CPU",
                        Number::Rate => "rate",
                    };
                    format!("{number} {}", spread(&ratio.spread, |x| format!("{x:.3}")))
                }));
                columns.push(goal.as_ref().map_or(String::new(), |goal| {
                    let verdict = if goal.reached { "reached" } else { "MISSED" };
                    format!("{}: {verdict}", goal.text)
                }));
                let also = also.iter().map(|(name, value)| format!("{name} {}", number(value.median)));
                columns.push(also.collect::<Vec<_>>().join(", "));
            }
        }
        columns
    }
}

/// `median (low … high)`; the median alone when they do not differ.
fn spread(spread: &Spread, show: impl Fn(f64) -> String) -> String {
    let (median, low, high) = (show(spread.median), show(spread.low), show(spread.high));
    if low == high {
        return median;
    }
    format!("{median} ({low} … {high})")
}

/// A rate with three significant digits: `123 k`, `4.56 M`.
pub fn count(value: f64) -> String {
    match value {
        1e6.. => format!("{} M", significant(value / 1e6)),
        1e3.. => format!("{} k", significant(value / 1e3)),
        _ => significant(value),
    }
}

/// A duration with three significant digits: `850 ns`, `4.56 µs`.
pub fn nanoseconds(value: f64) -> String {
    match value {
        1e6.. => format!("{} ms", significant(value / 1e6)),
        1e3.. => format!("{} µs", significant(value / 1e3)),
        _ => format!("{} ns", significant(value)),
    }
}

fn significant(value: f64) -> String {
    match value {
        100.0.. => format!("{value:.0}"),
        10.0.. => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// A number that is whole without a fraction, another one with two digits of it.
fn number(value: f64) -> String {
    if value.fract() == 0.0 { format!("{value}") } else { format!("{value:.2}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_three_digits() {
        assert_eq!(count(24_123_456.0), "24.1 M");
        assert_eq!(count(121_000.0), "121 k");
        assert_eq!(nanoseconds(41.25), "41.2 ns");
        assert_eq!(nanoseconds(3456.0), "3.46 µs");
    }

    #[test]
    fn a_row_in_json_says_what_became_of_it() {
        let row = Row {
            name: "anyport, io_uring".to_owned(),
            backend: Some("io_uring".to_owned()),
            outcome: Outcome::Skipped("seccomp".to_owned()),
        };
        let json = serde_json::to_value(&row).unwrap();
        assert_eq!(json["backend"], "io_uring");
        assert_eq!(json["skipped"], "seccomp");
    }
}
