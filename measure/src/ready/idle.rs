//! Why epoll exists: 32 active sockets beside more and more idle ones, on epoll and on poll(2).

use std::io;

use ::anyport::{Backend, Poller};

use super::anyport::Own;
use super::sockets::{Sleeper, as_sleeping_source, sleeper};
use super::{ACTIVE, How, Sample, Took, Watcher, events, on_core};
use crate::contest::{Contest, Contestant};
use crate::plan::Plan;

/// The benchmark's name in its cells.
pub const BENCHMARK: &str = "idle";

/// Idle sockets.
pub const COUNTS: [usize; 3] = [10, 1_000, 10_000];

/// One contest for each number of idle sockets.
pub(super) fn contests(plan: &Plan) -> Vec<Contest<'_>> {
    let wanted = |backend: &&Backend| plan.backends.iter().any(|candidate| candidate.backend == **backend);
    COUNTS
        .into_iter()
        .map(|idle| Contest {
            benchmark: BENCHMARK,
            work: format!("{ACTIVE} active sockets, level-triggered, beside {idle} idle ones"),
            unit: "event",
            rounds: plan.many_rounds(),
            contestants: Poller::BACKENDS
                .iter()
                .filter(wanted)
                .map(|&backend| Contestant {
                    name: format!("{}, {backend}", Own::NAME),
                    backend: Some(backend),
                    ..Contestant::by_hand("", move || turn(plan, backend, idle))
                })
                .collect(),
        })
        .collect()
}

fn turn(plan: &Plan, backend: Backend, idle: usize) -> io::Result<Sample> {
    let sleepers: io::Result<Vec<Sleeper>> = (0..idle).map(|_| sleeper()).collect();
    let sleepers = sleepers.map_err(|error| {
        io::Error::new(error.kind(), format!("{idle} idle sockets: {error}; raise the limit of open files (ulimit -n)"))
    })?;
    let Took { operations, wall, cpu } = on_core(plan.cores.server, || {
        let mut watcher = Own::new(Some(backend))?;
        for sleeper in &sleepers {
            watcher.add(as_sleeping_source(sleeper), usize::MAX - 1, How::Level)?;
        }
        // poll(2) looks at each of them each time.
        let count = if backend == Backend::Poll { 100_000_000 / (ACTIVE + idle) / 10 } else { 200_000 };
        events(&mut watcher, ACTIVE, plan.scaled(count).max(20 * ACTIVE), How::Level)
    })?;
    Ok(Sample::of(operations, wall, cpu))
}
