//! How long the steps take when nobody watches.

use std::io;
use std::time::{Duration, Instant};

use anyport::Backend;

use super::steps::{PerStep, Stage, Step, play};

/// Notes the time of each step.
#[derive(Default)]
struct Stopwatch(PerStep<Vec<Duration>>);

impl Stage for Stopwatch {
    fn step<T>(&mut self, step: Step, body: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let result = body();
        self.0.of_mut(step).push(start.elapsed());
        result
    }
}

/// The medians over `rounds`, which is at least 1: of each step, and of the time from the peer's word to the wait's return.
pub(super) fn times(backend: Backend, rounds: usize) -> io::Result<(PerStep<Duration>, Duration)> {
    let mut watch = Stopwatch::default();
    let mut woken = (0..rounds).map(|_| play(backend, &mut watch)).collect::<io::Result<Vec<_>>>()?;
    let mut own = PerStep::default();
    for step in Step::ALL {
        *own.of_mut(step) = median(watch.0.of_mut(step));
    }
    Ok((own, median(&mut woken)))
}

fn median(times: &mut [Duration]) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}
