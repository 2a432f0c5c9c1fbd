//! A contest: several ways to do the same work, measured in turn, round after round.
//!
//! A machine's speed drifts while a benchmark runs. So contestants take turns (A B C A B C ...), each right behind
//! whom it is compared with, and a ratio is formed within a round, between neighbours in time; only then does the median
//! over the rounds come in.

use std::io;
use std::time::Duration;

use anyport::Backend;
use indicatif::ProgressBar;
use serde::Serialize;

use super::report::{Cell, Outcome, Ratio, Row, Verdict};
use super::stats::{Order, Spread};

/// What one turn of one contestant showed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Sample {
    /// Operations per second of wall time.
    pub rate: f64,
    /// CPU time per operation of the measured side, in nanoseconds.
    pub cpu_ns: f64,
    /// Further numbers by name, for the report.
    pub also: Vec<(&'static str, f64)>,
}

impl Sample {
    /// What `count` operations took, by the clock on the wall and on the CPU.
    pub fn of(count: usize, wall: Duration, cpu: Duration) -> Sample {
        Sample {
            rate: count as f64 / wall.as_secs_f64(),
            cpu_ns: cpu.as_secs_f64() * 1e9 / count as f64,
            also: Vec::new(),
        }
    }
}

/// What a contestant is compared with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Against {
    /// The hand-written contestant, by its place in the contest: it stands below the line.
    pub place: usize,
    /// Which of their numbers.
    pub number: Number,
}

/// A number that a ratio is formed of.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Number {
    /// CPU time per operation: less is better.
    Cpu,
    /// Operations per second: more is better.
    Rate,
}

/// What a contestant is expected to reach. Judged by medians.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Goal {
    /// At most so many times the number of the hand-written loop.
    RatioAtMost(f64),
    /// At least so many times the number of the hand-written loop.
    RatioAtLeast(f64),
    /// At least so many operations a second.
    RateAtLeast(f64),
    /// At least as many operations a second as whoever else is in the contest, but for a difference that is smaller than
    /// its own spread.
    BehindNobody,
}

impl Number {
    fn of(self, sample: &Sample) -> f64 {
        match self {
            Number::Cpu => sample.cpu_ns,
            Number::Rate => sample.rate,
        }
    }
}

/// One of the ways to do the work.
pub struct Contestant<'a> {
    /// How the report calls it.
    pub name: String,
    /// The backend of this library that it measures; `None` for a hand-written loop.
    pub backend: Option<Backend>,
    /// What it is divided by.
    pub against: Option<Against>,
    /// How good it should be.
    pub goal: Option<Goal>,
    /// One turn; or why it has none on this machine.
    pub turn: Result<Turn<'a>, String>,
}

impl<'a> Contestant<'a> {
    /// One that is not compared with any other here; or the reason why it has no turns.
    pub fn new(
        name: &str,
        backend: Option<Backend>,
        here: Result<(), String>,
        turn: impl FnMut() -> io::Result<Sample> + 'a,
    ) -> Contestant<'a> {
        let turn: Result<Turn<'a>, String> = here.map(|()| Box::new(turn) as Turn<'a>);
        Contestant { name: name.to_owned(), backend, against: None, goal: None, turn }
    }

    /// A hand-written loop, which nobody is judged by but those who are measured against it.
    pub fn by_hand(name: &str, turn: impl FnMut() -> io::Result<Sample> + 'a) -> Contestant<'a> {
        Contestant::new(name, None, Ok(()), turn)
    }
}

/// Measures once.
pub type Turn<'a> = Box<dyn FnMut() -> io::Result<Sample> + 'a>;

/// Contestants with the same work to do.
pub struct Contest<'a> {
    /// The benchmark: `echo`, `nop` ...
    pub benchmark: &'static str,
    /// The work, in words.
    pub work: String,
    /// What is counted: `request`, `nop` ...
    pub unit: &'static str,
    /// How often each contestant has its turn.
    pub rounds: usize,
    /// In the order of the report.
    pub contestants: Vec<Contestant<'a>>,
}

impl Contest<'_> {
    /// The number of turns, for a progress bar.
    pub fn turns(&self) -> u64 {
        (self.rounds * self.contestants.len()) as u64
    }

    /// The places in the order of turns: who is compared with somebody follows them.
    fn order(&self) -> Vec<usize> {
        let mut order: Vec<_> = (0..self.contestants.len()).collect();
        order.sort_by_key(|&place| self.contestants[place].against.map_or(place, |against| against.place));
        order
    }

    /// Runs all rounds. A contestant that fails is out of the rest of the contest, and the report says why.
    pub fn run(mut self, progress: &ProgressBar) -> Cell {
        let mut samples: Vec<Vec<Sample>> = vec![Vec::new(); self.contestants.len()];
        let mut out: Vec<Option<Outcome>> = vec![None; self.contestants.len()];
        let order = self.order();
        for _ in 0..self.rounds {
            for &place in &order {
                let contestant = &mut self.contestants[place];
                progress.set_message(format!("{}: {}", self.benchmark, contestant.name));
                match &mut contestant.turn {
                    Err(why) => out[place] = Some(Outcome::Skipped(why.clone())),
                    Ok(_) if out[place].is_some() => {}
                    Ok(turn) => match turn() {
                        Ok(sample) => samples[place].push(sample),
                        Err(error) => out[place] = Some(Outcome::Failed(error.to_string())),
                    },
                }
                progress.inc(1);
            }
        }
        let rows = self.contestants.iter().zip(out).enumerate();
        let rows = rows.map(|(place, (contestant, out))| Row {
            name: contestant.name.clone(),
            backend: contestant.backend.map(|backend| backend.to_string()),
            outcome: out.unwrap_or_else(|| {
                let ratio = contestant.against.and_then(|Against { place: other, number }| {
                    let pairs = samples[place].iter().zip(&samples[other]);
                    // Where the clock of CPU time is coarse, a turn may have used none.
                    let quotients =
                        pairs.map(|(own, other)| number.of(own) / number.of(other)).filter(|x| x.is_finite());
                    Some(Ratio {
                        against: self.contestants[other].name.clone(),
                        of: number,
                        spread: Spread::of(quotients)?,
                    })
                });
                let others = self.contestants.iter().zip(&samples).filter(|(other, _)| other.backend.is_none());
                let goal = contestant.goal.and_then(|goal| judged(goal, &samples[place], ratio.as_ref(), others));
                measured(&samples[place], ratio, goal)
            }),
        });
        Cell {
            benchmark: self.benchmark,
            work: self.work.clone(),
            unit: self.unit,
            rounds: self.rounds,
            rows: rows.collect(),
        }
    }
}

/// Whether a contestant reached its goal. Without a ratio - the loop by hand does not run here - its ratio is not judged.
fn judged<'a>(
    goal: Goal,
    own: &[Sample],
    ratio: Option<&Ratio>,
    others: impl Iterator<Item = (&'a Contestant<'a>, &'a Vec<Sample>)>,
) -> Option<Verdict> {
    let ratio = ratio.map(|ratio| ratio.spread.median);
    let (reached, text) = match goal {
        Goal::RatioAtMost(most) => (ratio? <= most, format!("≤ {most} ×")),
        Goal::RatioAtLeast(least) => (ratio? >= least, format!("≥ {least} ×")),
        Goal::RateAtLeast(least) => {
            let rate = Spread::of(own.iter().map(|sample| sample.rate))?;
            (rate.median >= least, format!("≥ {} M/s", least / 1e6))
        }
        Goal::BehindNobody => {
            let ahead = others.filter(|(_, other)| {
                let cost = Spread::of(own.iter().zip(*other).map(|(own, other)| other.rate / own.rate));
                cost.is_some_and(|cost| Order::of(&cost, own.len()) == Order::Behind)
            });
            let names: Vec<_> = ahead.map(|(other, _)| other.name.as_str()).collect();
            (names.is_empty(), format!("behind {}", if names.is_empty() { "nobody".into() } else { names.join("; ") }))
        }
    };
    Some(Verdict { text, reached })
}

/// Sums up the turns of one contestant.
fn measured(samples: &[Sample], ratio: Option<Ratio>, goal: Option<Verdict>) -> Outcome {
    let spread = |number: Number| Spread::of(samples.iter().map(|sample| number.of(sample)));
    let (Some(rate), Some(cpu_ns)) = (spread(Number::Rate), spread(Number::Cpu)) else {
        return Outcome::Failed("no round was run".to_owned());
    };
    let names = samples[0].also.iter().map(|(name, _)| *name);
    let also = names.enumerate().filter_map(|(place, name)| {
        let spread = Spread::of(samples.iter().map(|sample| sample.also[place].1))?;
        Some((name, spread))
    });
    Outcome::Measured { rate, cpu_ns, ratio, goal, also: also.collect(), turns: samples.to_vec() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(rate: f64) -> Sample {
        Sample { rate, cpu_ns: 1e9 / rate, also: vec![] }
    }

    fn contestant<'a>(
        name: &str,
        against: Option<Against>,
        goal: Option<Goal>,
        turn: impl FnMut() -> io::Result<Sample> + 'a,
    ) -> Contestant<'a> {
        Contestant { against, goal, ..Contestant::by_hand(name, turn) }
    }

    fn against(number: Number) -> Against {
        Against { place: 0, number }
    }

    fn contest(rounds: usize, contestants: Vec<Contestant<'_>>) -> Cell {
        let contest = Contest { benchmark: "test", work: "counting".to_owned(), unit: "count", rounds, contestants };
        contest.run(&ProgressBar::hidden())
    }

    #[test]
    fn contestants_take_turns_behind_whom_they_are_compared_with() {
        let order = std::cell::RefCell::new(String::new());
        let turn = |letter, against| {
            let order = &order;
            contestant("x", against, None, move || {
                order.borrow_mut().push(letter);
                Ok(sample(1.0))
            })
        };
        contest(2, vec![turn('a', None), turn('b', None), turn('c', Some(against(Number::Rate)))]);
        assert_eq!(*order.borrow(), "acbacb");
    }

    #[test]
    fn a_ratio_is_formed_within_a_round() {
        // The machine becomes ten times faster after the first round; within each round both differ by a half.
        let speeds = |factor: f64| {
            let mut left = vec![100.0, 100.0, 10.0];
            move || Ok(sample(left.pop().unwrap_or(f64::NAN) * factor))
        };
        let cell = contest(
            3,
            vec![
                contestant("reference", None, None, speeds(1.0)),
                contestant("own", Some(against(Number::Rate)), Some(Goal::RatioAtLeast(0.6)), speeds(0.5)),
            ],
        );
        let Outcome::Measured { ratio, goal, .. } = &cell.rows[1].outcome else {
            panic!("not measured: {:?}", cell.rows[1].outcome)
        };
        let ratio = ratio.as_ref().unwrap();
        assert_eq!(ratio.against, "reference");
        assert_eq!((ratio.spread.low, ratio.spread.high), (0.5, 0.5));
        assert!(!goal.as_ref().unwrap().reached);
    }

    #[test]
    fn a_cpu_goal_is_judged_by_cpu_time() {
        let cell = contest(
            1,
            vec![
                contestant("reference", None, None, || Ok(sample(100.0))),
                contestant("own", Some(against(Number::Cpu)), Some(Goal::RatioAtMost(1.03)), || {
                    Ok(Sample { cpu_ns: 1.02e7, ..sample(1.0) })
                }),
            ],
        );
        let Outcome::Measured { ratio, goal, .. } = &cell.rows[1].outcome else {
            panic!("not measured: {:?}", cell.rows[1].outcome)
        };
        assert_eq!(ratio.as_ref().unwrap().spread.median, 1.02);
        assert!(goal.as_ref().unwrap().reached);
    }

    #[test]
    fn who_is_behind_nobody_is_told_from_who_is() {
        let goal = |own: [f64; 3]| {
            let turn = |mut rates: Vec<f64>| move || Ok(sample(rates.pop().unwrap_or(f64::NAN)));
            let own = Contestant {
                backend: Some(Backend::Epoll),
                ..contestant("own", None, Some(Goal::BehindNobody), turn(own.to_vec()))
            };
            let slow = contestant("slow", None, None, turn(vec![50.0, 50.0, 50.0]));
            let fast = contestant("fast", None, None, turn(vec![100.0, 101.0, 100.0]));
            let Outcome::Measured { goal, .. } = contest(3, vec![slow, own, fast]).rows[1].outcome.clone() else {
                panic!()
            };
            goal.unwrap()
        };
        assert_eq!(goal([90.0, 91.0, 90.0]), Verdict { text: "behind fast".to_owned(), reached: false });
        assert_eq!(goal([98.0, 103.0, 99.0]), Verdict { text: "behind nobody".to_owned(), reached: true });
    }

    #[test]
    fn a_contestant_that_fails_is_out_and_the_others_go_on() {
        let mut turns = 0;
        let cell = contest(
            4,
            vec![
                contestant("fails", None, None, || {
                    turns += 1;
                    if turns == 2 {
                        return Err(io::Error::other("a broken pipe"));
                    }
                    Ok(sample(1.0))
                }),
                contestant("goes on", None, None, || Ok(sample(2.0))),
            ],
        );
        assert_eq!(turns, 2);
        assert_eq!(cell.rows[0].outcome, Outcome::Failed("a broken pipe".to_owned()));
        assert!(matches!(cell.rows[1].outcome, Outcome::Measured { .. }));
    }
}
