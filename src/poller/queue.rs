//! The system's readiness queue that a poller runs on, chosen at run time behind one set of verbs.
//!
//! A backend keeps registrations and reports what is ready; it holds no policy. Time that is left after an
//! interruption, and what a notification means, are the poller's.

use super::source::Raw;
use super::{Event, Interest, Mode};
use crate::backend::Backend;
use std::io;
use std::sync::{Mutex, MutexGuard, TryLockError};
use std::time::Duration;

#[cfg(windows)]
use super::afd::Iocp;
#[cfg(target_os = "linux")]
use super::epoll::Epoll;
#[cfg(unix)]
use super::kqueue::{self, Kqueue};
#[cfg(unix)]
use super::poll::Poll;

/// What a source is watched for, and under which key.
#[derive(Clone, Copy)]
pub(crate) struct Registration {
    pub(crate) key: usize,
    pub(crate) interest: Interest,
    pub(crate) mode: Mode,
}

/// Why a backend's wait has returned.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Woken {
    /// There are events, or the time is up.
    Done,
    /// Somebody has called; there may be events, too.
    Called,
    /// Only the backend was concerned: wait again, for what is left of the time.
    Again,
}

/// The chosen backend.
pub(crate) enum Queue {
    #[cfg(target_os = "linux")]
    Epoll(Epoll),
    #[cfg(unix)]
    Kqueue(Kqueue),
    #[cfg(unix)]
    Poll(Poll),
    #[cfg(windows)]
    Iocp(Iocp),
}

/// Calls the same verb on whichever backend it is.
macro_rules! each {
    ($queue:expr, $backend:ident => $call:expr) => {
        match $queue {
            #[cfg(target_os = "linux")]
            Queue::Epoll($backend) => $call,
            #[cfg(unix)]
            Queue::Kqueue($backend) => $call,
            #[cfg(unix)]
            Queue::Poll($backend) => $call,
            #[cfg(windows)]
            Queue::Iocp($backend) => $call,
        }
    };
}

impl Queue {
    /// The backends that report readiness here, the preferred one first.
    #[cfg(unix)]
    pub(crate) const ALL: &[Backend] = if cfg!(anyport_libkqueue) {
        &[Backend::Epoll, Backend::Kqueue, Backend::Poll]
    } else if cfg!(target_os = "linux") {
        &[Backend::Epoll, Backend::Poll]
    } else if kqueue::HERE {
        &[Backend::Kqueue, Backend::Poll]
    } else {
        &[Backend::Poll]
    };

    /// The backends that report readiness here, the preferred one first.
    #[cfg(windows)]
    pub(crate) const ALL: &[Backend] = &[Backend::Iocp];

    pub(crate) fn new(backend: Backend) -> io::Result<Queue> {
        match backend {
            #[cfg(target_os = "linux")]
            Backend::Epoll => Ok(Queue::Epoll(Epoll::new()?)),
            #[cfg(unix)]
            Backend::Kqueue => Ok(Queue::Kqueue(Kqueue::new()?)),
            #[cfg(unix)]
            Backend::Poll => Ok(Queue::Poll(Poll::new()?)),
            #[cfg(windows)]
            Backend::Iocp => Ok(Queue::Iocp(Iocp::new()?)),
            other => {
                let names: Vec<&str> = Queue::ALL.iter().map(|backend| backend.name()).collect();
                let text = format!("a poller cannot run on {other} here; choose one of: {}", names.join(", "));
                Err(io::Error::new(io::ErrorKind::Unsupported, text))
            }
        }
    }

    pub(crate) fn backend(&self) -> Backend {
        match self {
            #[cfg(target_os = "linux")]
            Queue::Epoll(_) => Backend::Epoll,
            #[cfg(unix)]
            Queue::Kqueue(_) => Backend::Kqueue,
            #[cfg(unix)]
            Queue::Poll(_) => Backend::Poll,
            #[cfg(windows)]
            Queue::Iocp(_) => Backend::Iocp,
        }
    }

    /// Begins to watch a source that is not watched.
    #[inline]
    pub(crate) fn add(&self, source: Raw<'_>, registration: Registration) -> io::Result<()> {
        each!(self, b => b.add(source, registration))
    }

    /// Replaces a source's registration, and looks anew.
    #[inline]
    pub(crate) fn modify(&self, source: Raw<'_>, registration: Registration) -> io::Result<()> {
        each!(self, b => b.modify(source, registration))
    }

    /// Ends watching.
    #[inline]
    pub(crate) fn delete(&self, source: Raw<'_>) -> io::Result<()> {
        each!(self, b => b.delete(source))
    }

    /// A call in these directions would have blocked: edges of theirs may be reported again.
    #[inline]
    pub(crate) fn rearm(&self, source: Raw<'_>, directions: Interest) -> io::Result<()> {
        each!(self, b => b.rearm(source, directions))
    }

    /// Waits once and appends at most `room` events. `Interrupted` by a signal.
    pub(crate) fn wait(&self, events: &mut Vec<Event>, room: usize, timeout: Option<Duration>) -> io::Result<Woken> {
        each!(self, b => b.wait(events, room, timeout))
    }

    /// Makes the wait in progress, or the next one, return as [`Woken::Called`].
    pub(crate) fn call(&self) {
        each!(self, b => b.call())
    }

    /// What becomes ready when the next wait would report something.
    #[cfg(unix)]
    pub(crate) fn waitable(&self) -> io::Result<std::os::fd::BorrowedFd<'_>> {
        each!(self, b => b.waitable())
    }
}

/// The answer to a second `add`.
#[cold]
pub(crate) fn already_watched() -> io::Error {
    io::Error::new(io::ErrorKind::AlreadyExists, "the poller watches this source already; modify it instead")
}

/// The answer to a `modify` or `delete` without an `add`.
#[cold]
pub(crate) fn not_watched() -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, "the poller does not watch this source; add it first")
}

/// The state of whoever waits; there is one at a time.
pub(crate) fn only_waiter<T>(waiter: &Mutex<T>) -> io::Result<MutexGuard<'_, T>> {
    match waiter.try_lock() {
        Ok(waiter) => Ok(waiter),
        // The state is only room that is used again.
        Err(TryLockError::Poisoned(poisoned)) => Ok(poisoned.into_inner()),
        Err(TryLockError::WouldBlock) => Err(io::Error::new(
            io::ErrorKind::ResourceBusy,
            "another thread waits on this poller already; have one thread wait, or make a poller for each",
        )),
    }
}
