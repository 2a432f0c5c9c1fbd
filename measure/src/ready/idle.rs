//! Why epoll exists: 32 active sockets beside more and more idle ones, on epoll and on poll(2).

use std::io;
use std::os::fd::AsFd;

use ::anyport::{Backend, Poller};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};

use super::anyport::Own;
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
            rounds: plan.rounds(),
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
    let family = (AddressFamily::UNIX, SocketType::DGRAM);
    let sleepers: Result<Vec<_>, _> =
        (0..idle).map(|_| socket_with(family.0, family.1, SocketFlags::CLOEXEC, None)).collect();
    let sleepers = sleepers.map_err(|error| {
        io::Error::new(error.kind(), format!("{idle} idle sockets: {error}; raise the limit of open files (ulimit -n)"))
    })?;
    let Took { operations, wall, cpu } = on_core(plan.cores.server, || {
        let mut watcher = Own::new(Some(backend))?;
        for sleeper in &sleepers {
            watcher.add(sleeper.as_fd(), usize::MAX - 1, How::Level)?;
        }
        // poll(2) looks at each of them each time.
        let count = if backend == Backend::Epoll { 200_000 } else { 100_000_000 / (ACTIVE + idle) / 10 };
        events(&mut watcher, ACTIVE, plan.scaled(count).max(20 * ACTIVE), How::Level)
    })?;
    Ok(Sample::of(operations, wall, cpu))
}
