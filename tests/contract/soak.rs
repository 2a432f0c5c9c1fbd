//! The soak: a great many operations of every kind, with cancels, closes, resets, deadlines and drops at random, on both
//! ends of connections in one port. At the end everything is accounted for: each submission has one final completion,
//! each buffer came back and was not written to afterwards, each descriptor is closed, each byte that arrived is the one
//! that was sent, in order, and nothing that should have completed still waits.
//!
//! It runs in lives: each is a port with options of its own, and ends either by closing and cancelling everything, or by
//! dropping the port with everything in flight. `world` is a life, `act` what can be done in it, `settle` takes
//! completions up, `pair` is what two ends have said to each other, `ledger` the buffers.
//!
//! `cargo test` runs a short one. The seed decides what is done, but not how the system lets it race, so a failure need
//! not come again with its seed; it tells the life's own seed.

mod act;
mod ledger;
mod pair;
mod settle;
mod world;

use std::rc::Rc;
use std::{env, fmt, thread};

use anyport::Backend;

use crate::support::*;
use ledger::Ledger;
use world::World;

pub(crate) fn tests() -> Vec<Case> {
    cases! { each_backend_isolated: [everything_is_accounted_for] }
}

/// How many operations are submitted, on each backend.
const OPERATIONS: &str = "ANYPORT_SOAK_OPERATIONS";
/// The first life's seed; the following ones count up from it.
const SEED: &str = "ANYPORT_SOAK_SEED";

/// What came of a life, or of all.
#[derive(Default)]
pub(crate) struct Report {
    lives: u64,
    submitted: u64,
    succeeded: u64,
    cancelled: u64,
    timed_out: u64,
    failed: u64,
    /// In flight when the port was dropped, or not taken.
    abandoned: u64,
    closes: u64,
    resets: u64,
    detached: u64,
    received: u64,
    lent: u64,
    /// By operation: final completions, and those before them. (No memory of the heap, which is counted.)
    finals: [(&'static str, [u64; 2]); 32],
}

impl Report {
    fn note(&mut self, name: &'static str, more: bool) {
        self.counts(name)[usize::from(more)] += 1;
    }

    fn counts(&mut self, name: &'static str) -> &mut [u64; 2] {
        let place = self.finals.iter().position(|row| row.0 == name || row.0.is_empty()).expect("a row for each");
        self.finals[place].0 = name;
        &mut self.finals[place].1
    }

    fn rows(&self) -> impl Iterator<Item = &(&'static str, [u64; 2])> {
        self.finals.iter().filter(|row| !row.0.is_empty())
    }

    /// Final completions.
    fn completed(&self) -> u64 {
        self.rows().map(|row| row.1[0]).sum()
    }

    fn add(&mut self, life: Report) {
        self.lives += 1;
        for (sum, n) in [
            (&mut self.submitted, life.submitted),
            (&mut self.succeeded, life.succeeded),
            (&mut self.cancelled, life.cancelled),
            (&mut self.timed_out, life.timed_out),
            (&mut self.failed, life.failed),
            (&mut self.abandoned, life.abandoned),
            (&mut self.closes, life.closes),
            (&mut self.resets, life.resets),
            (&mut self.detached, life.detached),
            (&mut self.received, life.received),
            (&mut self.lent, life.lent),
        ] {
            *sum += n;
        }
        for (name, [last, more]) in life.rows() {
            let sum = self.counts(name);
            *sum = [sum[0] + last, sum[1] + more];
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "  {} operations in {} lives", self.submitted, self.lives)?;
        writeln!(
            f,
            "  {} final completions ({} cancelled, {} timed out, {} failed), {} given back by ports that were dropped",
            self.completed(),
            self.cancelled,
            self.timed_out,
            self.failed,
            self.abandoned
        )?;
        writeln!(f, "  {} closes, {} resets, {} detached", self.closes, self.resets, self.detached)?;
        writeln!(f, "  {} buffers lent and given back, {} bytes received and checked", self.lent, self.received)?;
        self.rows().try_for_each(|(name, [last, more])| match more {
            0 => writeln!(f, "  {name:>24} {last:>10}"),
            _ => writeln!(f, "  {name:>24} {last:>10} and {more} before them"),
        })
    }
}

/// Says which life it was that failed.
struct Life(u64);

impl Drop for Life {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("this life's seed: {SEED}={}", self.0);
        }
    }
}

fn number(variable: &str) -> Option<u64> {
    env::var(variable).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{variable} is a number, not '{text}'")))
}

fn everything_is_accounted_for(backend: Backend) {
    skip_where_ends_are_forgotten(backend);
    let operations = number(OPERATIONS).unwrap_or(100_000);
    let first = number(SEED).unwrap_or(1);
    println!("{backend}: {OPERATIONS}={operations} {SEED}={first}");
    let each = (operations / 20).clamp(5000, 200_000);
    let mut total = Report::default();
    let mut heap = None;
    for seed in first.. {
        let life = Life(seed);
        let before = descriptors();
        let ledger = Rc::new(Ledger::default());
        let mut world = World::new(backend, seed, &ledger);
        world.run(each.min(operations - total.submitted));
        world.settle();
        let mut report = if seed % 2 == 0 { world.end_all() } else { world.abandon() };
        assert_eq!(report.submitted, report.completed() + report.abandoned, "completions of submissions");
        ledger.assert_settled();
        report.lent = ledger.lent();
        drop(ledger);
        assert_eq!(descriptors(), before, "descriptors are left open");
        total.add(report);
        // The first life pays for what the program needs once.
        let live = process_heap().live;
        assert_eq!(live, *heap.get_or_insert(live), "memory is left");
        drop(life);
        if total.submitted >= operations {
            break;
        }
    }
    print!("{total}");
}
