//! Which core does what.
//!
//! Two programs that share a core measure the scheduler, so the side that is measured gets a core of its own and the
//! load another one. The cores are taken from what this process is allowed to use, never from what the machine has.

use std::io;
use std::thread;

use super::sys::allowed_cores;
pub use super::sys::pin;

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
        let mut cores = allowed_cores()?.into_iter();
        let load = cores.next().ok_or_else(|| io::Error::other("this process may use no core"))?;
        let server = cores.next_back().unwrap_or(load);
        Ok(Cores { server, load })
    }
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

// Windows tells no thread what it is pinned to.
#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn pinned_work_sees_only_its_core() {
        let cores = Cores::choose().unwrap();
        for core in [cores.server, cores.load] {
            assert_eq!(on_core(core, allowed_cores).unwrap(), [core]);
        }
    }
}
