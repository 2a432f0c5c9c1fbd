//! Who is ahead in a cell, and whether anybody is: two contestants are compared round by round, and a difference that
//! is smaller than its own spread over the rounds is none.

use measure::contest::{Number, Sample};
use measure::report::{Cell, Outcome, Row};
use measure::stats::{Order, Spread};
use serde::Serialize;

/// A comparison of two contestants.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    pub name: String,
    pub with: String,
    /// What an operation costs the first, over what it costs the other, within each round: less than 1 is better.
    pub cost: Spread,
    pub order: Order,
}

/// What a cell comes to.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Verdict {
    /// By which number.
    pub by: Number,
    /// The best by the median, followed by those who do not differ from it.
    pub first: Vec<String>,
    /// The better backend of Anyport and the best of all others.
    pub anyport: Option<Comparison>,
    /// The better backend of Anyport and the best loop by hand.
    pub by_hand: Option<Comparison>,
}

/// The turns of a row that has been measured.
pub fn turns(row: &Row) -> Option<&[Sample]> {
    match &row.outcome {
        Outcome::Measured { turns, .. } if !turns.is_empty() => Some(turns),
        _ => None,
    }
}

/// What an operation costs, in nanoseconds of CPU or of the wall's clock.
pub fn cost(sample: &Sample, by: Number) -> f64 {
    match by {
        Number::Cpu => sample.cpu_ns,
        Number::Rate => 1e9 / sample.rate,
    }
}

/// The spread of the cost of a row.
pub fn cost_of(row: &Row, by: Number) -> Option<Spread> {
    Spread::of(turns(row)?.iter().map(|sample| cost(sample, by)))
}

impl Verdict {
    /// Judges a cell.
    pub fn of(cell: &Cell, by: Number) -> Option<Verdict> {
        let best = |wanted: &dyn Fn(&Row) -> bool| {
            let measured = cell.rows.iter().filter(|row| wanted(row));
            let costs = measured.filter_map(|row| Some((row, cost_of(row, by)?.median)));
            costs.min_by(|a, b| a.1.total_cmp(&b.1)).map(|(row, _)| row)
        };
        let winner = best(&|_| true)?;
        let others = cell.rows.iter().filter(|row| row.name != winner.name);
        let level = others.filter_map(|row| compare(row, winner, by)).filter(|c| c.order == Order::NoDifference);
        let own = best(&|row| row.backend.is_some());
        let against = |other: Option<&Row>| compare(own?, other?, by);
        Some(Verdict {
            by,
            first: [winner.name.clone()].into_iter().chain(level.map(|comparison| comparison.name)).collect(),
            anyport: against(best(&|row| row.backend.is_none())),
            by_hand: against(best(&|row| row.name.starts_with("by hand"))),
        })
    }
}

/// Compares two rows; `None` if one of them was not measured.
pub fn compare(row: &Row, with: &Row, by: Number) -> Option<Comparison> {
    let pairs = turns(row)?.iter().zip(turns(with)?);
    let rounds = pairs.len();
    let cost = Spread::of(pairs.map(|(own, other)| cost(own, by) / cost(other, by)))?;
    let order = Order::of(&cost, rounds);
    Some(Comparison { name: row.name.clone(), with: with.name.clone(), cost, order })
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyport::Backend;
    use std::collections::BTreeMap;

    fn row(name: &str, backend: Option<Backend>, costs: &[f64]) -> Row {
        let turns: Vec<_> = costs.iter().map(|&cpu_ns| Sample { rate: 1e9 / cpu_ns, cpu_ns, also: vec![] }).collect();
        let spread = |of: fn(&Sample) -> f64| Spread::of(turns.iter().map(of)).unwrap();
        Row {
            name: name.to_owned(),
            backend: backend.map(|backend| backend.to_string()),
            outcome: Outcome::Measured {
                rate: spread(|sample| sample.rate),
                cpu_ns: spread(|sample| sample.cpu_ns),
                ratio: None,
                goal: None,
                also: BTreeMap::new(),
                turns,
            },
        }
    }

    fn cell(rows: Vec<Row>) -> Cell {
        Cell { benchmark: "test", work: String::new(), unit: "request", rounds: 3, rows }
    }

    #[test]
    fn a_difference_beyond_its_spread_has_a_winner() {
        let cell = cell(vec![row("a", None, &[100.0, 101.0, 100.0]), row("b", None, &[120.0, 121.0, 121.0])]);
        let verdict = Verdict::of(&cell, Number::Cpu).unwrap();
        assert_eq!(verdict.first, ["a"]);
        assert_eq!(compare(&cell.rows[0], &cell.rows[1], Number::Rate).unwrap().order, Order::Ahead);
        assert_eq!(compare(&cell.rows[1], &cell.rows[0], Number::Rate).unwrap().order, Order::Behind);
    }

    #[test]
    fn a_difference_within_its_spread_is_none() {
        let cell = cell(vec![row("a", None, &[100.0, 95.0, 104.0]), row("b", None, &[102.0, 103.0, 101.0])]);
        let verdict = Verdict::of(&cell, Number::Cpu).unwrap();
        assert_eq!(verdict.first, ["a", "b"]);
    }

    #[test]
    fn one_round_has_no_winner() {
        let cell = cell(vec![row("a", None, &[100.0]), row("b", None, &[200.0])]);
        assert_eq!(Verdict::of(&cell, Number::Cpu).unwrap().first, ["a", "b"]);
    }

    #[test]
    fn a_machine_that_drifts_makes_no_spread() {
        // Both become three times as slow; within each round b costs a tenth more.
        let cell = cell(vec![row("a", None, &[100.0, 200.0, 300.0]), row("b", None, &[110.0, 220.0, 330.0])]);
        assert_eq!(Verdict::of(&cell, Number::Cpu).unwrap().first, ["a"]);
    }

    #[test]
    fn anyport_is_compared_by_its_better_backend() {
        let cell = cell(vec![
            row("by hand, epoll", None, &[100.0; 3]),
            row("peer", None, &[90.0; 3]),
            row("anyport, poll", Some(Backend::Poll), &[200.0; 3]),
            row("anyport, epoll", Some(Backend::Epoll), &[99.0; 3]),
        ]);
        let verdict = Verdict::of(&cell, Number::Cpu).unwrap();
        let (all, by_hand) = (verdict.anyport.unwrap(), verdict.by_hand.unwrap());
        assert_eq!((all.name.as_str(), all.with.as_str(), all.order), ("anyport, epoll", "peer", Order::Behind));
        assert_eq!((by_hand.with.as_str(), by_hand.order), ("by hand, epoll", Order::Ahead));
    }

    #[test]
    fn what_was_not_measured_is_left_out() {
        let absent = Row { name: "c".into(), backend: None, outcome: Outcome::Skipped("absent".into()) };
        let cell = cell(vec![absent, row("a", None, &[1.0; 3])]);
        let verdict = Verdict::of(&cell, Number::Cpu).unwrap();
        assert_eq!((verdict.first, verdict.anyport), (vec!["a".to_owned()], None));
    }
}
