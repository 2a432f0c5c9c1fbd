//! Which core does what.
//!
//! Two programs that share a core measure the scheduler, so the side that is measured gets a core of its own and the
//! load another one. The cores are taken from what this process is allowed to use, never from what the machine has.

use std::io;
use std::thread;

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// The cores of a run. Both are the same when this process may use only one.
#[derive(Clone, Copy, Debug)]
pub struct Cores {
    /// Runs what is measured.
    pub server: usize,
    /// Runs what keeps it busy.
    pub load: usize,
}

impl Cores {
    /// The last allowed core for the server, because interrupts tend to land on the first, and the first for the load.
    pub fn choose() -> io::Result<Cores> {
        let allowed = sched_getaffinity(None)?;
        let mut cores = (0..CpuSet::MAX_CPU).filter(|&core| allowed.is_set(core));
        let load = cores.next().ok_or_else(|| io::Error::other("this process may use no core"))?;
        let server = cores.next_back().unwrap_or(load);
        Ok(Cores { server, load })
    }
}

/// Pins the calling thread, and what it will spawn, to `core`.
pub fn pin(core: usize) -> io::Result<()> {
    let mut only = CpuSet::new();
    only.set(core);
    Ok(sched_setaffinity(None, &only)?)
}

/// Runs `work` on a new thread that is pinned to `core` and waits for it: the pinning ends with the thread.
pub fn on_core<T: Send>(core: usize, work: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
    thread::scope(|scope| {
        let thread = scope.spawn(|| {
            pin(core)?;
            work()
        });
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pinned_work_sees_only_its_core() {
        let cores = Cores::choose().unwrap();
        for core in [cores.server, cores.load] {
            let seen = on_core(core, || Ok(sched_getaffinity(None)?)).unwrap();
            assert_eq!(seen.count(), 1);
            assert!(seen.is_set(core));
        }
    }
}
