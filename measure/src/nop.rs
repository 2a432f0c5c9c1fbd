//! Nops: what the port itself costs.

use std::hint::black_box;
use std::io;
use std::time::{Duration, Instant};

use anyport::{Backend, Port, Token, op};

use super::affinity::on_core;
use super::clock::process_cpu;
use super::contest::{Against, Contest, Contestant, Goal, Number, Sample};
use super::plan::Plan;
use super::raw;

/// The first contestant is the reference.
const BY_HAND: Against = Against { place: 0, number: Number::Rate };

/// Nops submitted at once.
pub const BATCH: usize = 64;

/// The bare queue and each backend.
pub fn contests(plan: &Plan) -> Vec<Contest<'_>> {
    let batches = batches(plan);
    let mut contestants = vec![Contestant::by_hand(raw::nop::NAME, move || {
        on_core(plan.cores.server, || {
            let mut queue = raw::nop::open(BATCH)?;
            timed(batches, || raw::nop::run(&mut queue, BATCH, batches))
        })
    })];
    contestants.extend(plan.backends.iter().map(|candidate| {
        let (against, goal) = match candidate.backend {
            Backend::Uring => (Some(BY_HAND), Some(Goal::RatioAtLeast(0.85))),
            _ => (None, None), // Nothing to ask the system for.
        };
        candidate.contestant(against, goal, move |backend| {
            on_core(plan.cores.server, || {
                let mut port = Port::builder().backend(backend).build()?;
                timed(batches, || run(&mut port, batches))
            })
        })
    }));
    vec![Contest {
        benchmark: "nop",
        work: format!("{BATCH} nops submitted at once, then their completions"),
        unit: "nop",
        rounds: plan.many_rounds(),
        contestants,
    }]
}

fn run(port: &mut Port, batches: usize) -> io::Result<()> {
    let mut sum = 0;
    for _ in 0..batches {
        for place in 0..BATCH {
            port.submit(op::Nop::new(), Token(place as u64));
        }
        let mut left = BATCH;
        while left > 0 {
            port.wait(None)?;
            while let Some(done) = port.next() {
                sum += done.token().0;
                done.unpack::<op::Nop>()?;
                left -= 1;
            }
        }
    }
    let expected = BATCH * (BATCH - 1) / 2 * batches;
    if black_box(sum) != expected as u64 {
        return Err(io::Error::other("not every nop came back once"));
    }
    Ok(())
}

/// How many batches a turn has.
pub fn batches(plan: &Plan) -> usize {
    plan.scaled(4_000_000) / BATCH
}

/// Measures `work`, which does so many batches.
pub fn timed(batches: usize, work: impl FnOnce() -> io::Result<()>) -> io::Result<Sample> {
    let (start, cpu): (Instant, Duration) = (Instant::now(), process_cpu());
    work()?;
    Ok(Sample::of(batches * BATCH, start.elapsed(), process_cpu() - cpu))
}
