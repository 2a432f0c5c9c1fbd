//! Waitable handles as sources of a [`Poller`] on Windows.

use crate::poller::{Interest, Mode, Poller};
use std::io;
use std::os::windows::io::AsHandle;

/// What a thread can wait for, as a poller's source under a key like the others: a process (until it ends), an event, a
/// semaphore, a waitable timer. Its events are readable.
///
/// The system's thread pool does the waiting (`RegisterWaitForSingleObject`). A wait takes up what it finds, as each wait
/// does: an automatic event is reset by it. The poller holds a duplicate of the handle until the source is deleted.
///
/// ```
/// use anyport::os::windows::PollerExt;
/// use anyport::poller::{Events, Interest, Mode, Poller};
/// use std::process::Command;
/// # fn main() -> std::io::Result<()> {
/// let (poller, mut events) = (Poller::new()?, Events::new());
/// let mut child = Command::new("cmd").args(["/c", "exit"]).spawn()?;
/// poller.add_waitable(&child, 7, Interest::READABLE, Mode::Oneshot)?;
/// poller.wait(&mut events, None)?;
/// assert_eq!(events.iter().next().unwrap().key, 7);
/// assert!(child.try_wait()?.unwrap().success());
/// poller.delete_waitable(&child)?;
/// # Ok(())
/// # }
/// ```
pub trait PollerExt {
    /// Begins to watch; an empty interest only registers it.
    ///
    /// # Errors
    /// `AlreadyExists` for a handle that is watched; `Unsupported` for [`Mode::Edge`], since a signal has no call
    /// that would block; the system's for what cannot be waited for.
    fn add_waitable(&self, handle: impl AsHandle, key: usize, interest: Interest, mode: Mode) -> io::Result<()>;

    /// Replaces key, interest and mode, and asks anew.
    ///
    /// # Errors
    /// `NotFound` for a handle that is not watched; as [`PollerExt::add_waitable`].
    fn modify_waitable(&self, handle: impl AsHandle, key: usize, interest: Interest, mode: Mode) -> io::Result<()>;

    /// Ends watching.
    ///
    /// # Errors
    /// `NotFound` for a handle that is not watched.
    fn delete_waitable(&self, handle: impl AsHandle) -> io::Result<()>;
}

impl PollerExt for Poller {
    fn add_waitable(&self, handle: impl AsHandle, key: usize, interest: Interest, mode: Mode) -> io::Result<()> {
        self.iocp().add_waitable(handle.as_handle(), Poller::registration(key, interest, signal(mode)?)?)
    }

    fn modify_waitable(&self, handle: impl AsHandle, key: usize, interest: Interest, mode: Mode) -> io::Result<()> {
        self.iocp().modify_waitable(handle.as_handle(), Poller::registration(key, interest, signal(mode)?)?)
    }

    fn delete_waitable(&self, handle: impl AsHandle) -> io::Result<()> {
        self.iocp().delete_waitable(handle.as_handle())
    }
}

fn signal(mode: Mode) -> io::Result<Mode> {
    match mode {
        Mode::Edge => Err(io::Error::new(
            io::ErrorKind::Unsupported,
            "a handle's signal has no edge; watch it oneshot or level-triggered",
        )),
        mode => Ok(mode),
    }
}
