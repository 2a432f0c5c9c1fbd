//! The table of a cell, as text: the same in HTML and in Markdown.

use measure::report::{Outcome, Row, count, nanoseconds};
use measure::stats::Spread;

use super::Shown;

/// Further numbers, in the order in which they are shown, if a row has them.
const ALSO: &[&str] = &[
    "user ns",
    "system ns",
    "busy %",
    "p50 µs",
    "p99 µs",
    "p99.9 µs",
    "max µs",
    "p50",
    "p99",
    "p99.9",
    "max",
    "KiB/connection",
    "calls",
    "lost %",
];

/// A table of strings.
pub(super) struct Table {
    pub(super) head: Vec<String>,
    /// A row for each contestant that was measured.
    pub(super) rows: Vec<Vec<String>>,
    /// What became of the others: name and reason.
    pub(super) notes: Vec<(String, String)>,
}

impl Table {
    pub(super) fn of(shown: &Shown) -> Table {
        let cell = &shown.cell;
        let has = |name: &&&str| {
            cell.rows
                .iter()
                .any(|row| matches!(&row.outcome, Outcome::Measured { also, .. } if also.contains_key(**name)))
        };
        let also: Vec<&str> = ALSO.iter().filter(has).copied().collect();
        let mut head = vec![String::new(), format!("{}s/s", cell.unit), format!("CPU/{}", cell.unit)];
        head.extend(also.iter().map(|name| match *name {
            "calls" => format!("calls/{}", cell.unit),
            "user ns" => "user".to_owned(),
            "system ns" => "system".to_owned(),
            name if name.contains(['%', 'µ', '/']) => name.to_owned(),
            name => format!("{name} µs"),
        }));
        let mut table = Table { head, rows: Vec::new(), notes: Vec::new() };
        for row in &cell.rows {
            match &row.outcome {
                Outcome::Measured { rate, cpu_ns, .. } => {
                    let mut columns = vec![row.name.clone(), spread(rate, count), spread(cpu_ns, nanoseconds)];
                    columns.extend(also.iter().map(|name| number(row, name)));
                    table.rows.push(columns);
                }
                Outcome::Skipped(why) => table.notes.push((row.name.clone(), format!("not here: {why}"))),
                Outcome::Failed(why) => table.notes.push((row.name.clone(), format!("failed: {why}"))),
            }
        }
        table
    }
}

/// The median of a further number.
fn number(row: &Row, name: &str) -> String {
    let Outcome::Measured { also, .. } = &row.outcome else { return String::new() };
    let Some(Spread { median, .. }) = also.get(name) else { return String::new() };
    match name {
        "user ns" | "system ns" => nanoseconds(*median),
        "busy %" | "lost %" => format!("{median:.0}"),
        _ if *median >= 100.0 => format!("{median:.0}"),
        _ if *median >= 10.0 => format!("{median:.1}"),
        _ => format!("{median:.2}"),
    }
}

/// `median (low … high)`.
fn spread(spread: &Spread, show: impl Fn(f64) -> String) -> String {
    let (median, low, high) = (show(spread.median), show(spread.low), show(spread.high));
    if low == high { median } else { format!("{median} ({low} … {high})") }
}
