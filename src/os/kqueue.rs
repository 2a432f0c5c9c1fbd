//! Child processes and signals as sources of a [`Poller`], where the system has kqueue(2). (On Linux a pidfd and a
//! signalfd are descriptors like any other.)

use crate::poller::{Interest, Mode, Poller};
use std::io;

/// What a poller on kqueue can watch beside descriptors. Its events are readable.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Filter {
    /// The end of the process with this number (`EVFILT_PROC`, `NOTE_EXIT`), [`std::process::Child::id`]. It is still
    /// to be waited for (`Child::try_wait`, which does not block then).
    Exit(u32),
    /// The signal of this number (`EVFILT_SIGNAL`), whether it is handled or ignored; one that would end the process
    /// still does.
    Signal(i32),
}

/// Filters of a poller on kqueue, under keys and modes like its other sources.
///
/// ```
/// use anyport::os::kqueue::{Filter, PollerExt};
/// use anyport::poller::{Events, Mode, Poller};
/// use std::process::Command;
/// # fn main() -> std::io::Result<()> {
/// # if cfg!(target_os = "linux") { return Ok(()) } // libkqueue is not the best backend there
/// let (poller, mut events) = (Poller::new()?, Events::new());
/// let mut child = Command::new("sleep").arg("0.1").spawn()?;
/// poller.add_filter(Filter::Exit(child.id()), 7, Mode::Oneshot)?;
/// poller.wait(&mut events, None)?;
/// assert_eq!(events.iter().next().unwrap().key, 7);
/// assert!(child.try_wait()?.unwrap().success());
/// # Ok(())
/// # }
/// ```
pub trait PollerExt {
    /// Begins to watch.
    ///
    /// # Errors
    /// `AlreadyExists` for what is watched; `ESRCH` for a process that is not there (on some systems also for one that
    /// has ended); `Unsupported` on another backend; `InvalidInput` as [`Poller::add`].
    fn add_filter(&self, filter: Filter, key: usize, mode: Mode) -> io::Result<()>;

    /// Replaces key and mode, and asks anew.
    ///
    /// # Errors
    /// `NotFound` for what is not watched; as [`PollerExt::add_filter`].
    fn modify_filter(&self, filter: Filter, key: usize, mode: Mode) -> io::Result<()>;

    /// Ends watching.
    ///
    /// # Errors
    /// `NotFound` for what is not watched; `Unsupported` on another backend.
    fn delete_filter(&self, filter: Filter) -> io::Result<()>;
}

impl PollerExt for Poller {
    fn add_filter(&self, filter: Filter, key: usize, mode: Mode) -> io::Result<()> {
        self.kqueue()?.add_filter(filter, Poller::registration(key, Interest::READABLE, mode)?)
    }

    fn modify_filter(&self, filter: Filter, key: usize, mode: Mode) -> io::Result<()> {
        self.kqueue()?.modify_filter(filter, Poller::registration(key, Interest::READABLE, mode)?)
    }

    fn delete_filter(&self, filter: Filter) -> io::Result<()> {
        self.kqueue()?.delete_filter(filter)
    }
}
