//! The poller on epoll(7). The kernel keeps everything: a source's key is its entry's `data`, so adding, modifying and
//! deleting are one system call each and take no lock. They and the wait are inlined into the caller, since a return that
//! follows a system call is probably mispredicted: `bench ready` showed a call around `modify` to cost a twentieth of its
//! time.

use super::event::Readiness;
use super::queue::{Registration, Woken, already_watched, not_watched, only_waiter};
use super::source::Raw;
use super::{Event, Interest, Mode, NOTIFY};
use crate::sys::Waker;
use crate::sys::unix::epoll::Waiter;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::io::Errno;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Mutex;
use std::time::Duration;

pub(crate) struct Epoll {
    epoll: OwnedFd,
    waker: Waker,
    waiter: Mutex<Waiter>,
}

impl Epoll {
    pub(crate) fn new() -> io::Result<Epoll> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        let waker = Waker::new()?;
        // Edge-triggered, so its counter need not be read: each call is an edge.
        epoll::add(&epoll, waker.fd(), EventData::new_u64(NOTIFY as u64), EventFlags::IN | EventFlags::ET)?;
        Ok(Epoll { epoll, waker, waiter: Mutex::new(Waiter::new()) })
    }

    #[inline]
    pub(crate) fn add(&self, source: Raw<'_>, registration: Registration) -> io::Result<()> {
        let Registration { key, interest, mode } = registration;
        epoll::add(&self.epoll, source, EventData::new_u64(key as u64), flags(interest, mode)).map_err(refused)
    }

    #[inline]
    pub(crate) fn modify(&self, source: Raw<'_>, registration: Registration) -> io::Result<()> {
        let Registration { key, interest, mode } = registration;
        epoll::modify(&self.epoll, source, EventData::new_u64(key as u64), flags(interest, mode)).map_err(refused)
    }

    #[inline]
    pub(crate) fn delete(&self, source: Raw<'_>) -> io::Result<()> {
        epoll::delete(&self.epoll, source).map_err(refused)
    }

    /// The kernel sees a call that would block, and arms the edge itself.
    #[inline]
    pub(crate) fn rearm(&self, _source: Raw<'_>, _directions: Interest) -> io::Result<()> {
        Ok(())
    }

    #[inline]
    pub(crate) fn wait(&self, events: &mut Vec<Event>, room: usize, timeout: Option<Duration>) -> io::Result<Woken> {
        let mut waiter = only_waiter(&self.waiter)?;
        let mut woken = Woken::Done;
        for event in waiter.wait(&self.epoll, room, timeout)? {
            match event.data.u64() as usize {
                NOTIFY => woken = Woken::Called,
                key => events.push(Event::new(key, readiness(event.flags))),
            }
        }
        Ok(woken)
    }

    pub(crate) fn call(&self) {
        self.waker.wake();
    }

    pub(crate) fn waitable(&self) -> io::Result<BorrowedFd<'_>> {
        Ok(self.epoll.as_fd())
    }
}

/// Why epoll_ctl(2) refuses.
#[cold]
fn refused(errno: Errno) -> io::Error {
    match errno {
        Errno::EXIST => already_watched(),
        Errno::NOENT => not_watched(),
        Errno::PERM => io::Error::new(
            io::ErrorKind::Unsupported,
            "epoll does not watch regular files and folders: they are always ready",
        ),
        errno => errno.into(),
    }
}

#[inline]
fn flags(interest: Interest, mode: Mode) -> EventFlags {
    let mut flags = match mode {
        Mode::Oneshot => EventFlags::ONESHOT,
        // What nobody asked for, a hang-up, would be reported by each wait.
        Mode::Level if interest.is_empty() => EventFlags::ONESHOT,
        Mode::Level => EventFlags::empty(),
        Mode::Edge => EventFlags::ET,
    };
    if interest.contains(Interest::READABLE) {
        flags |= EventFlags::IN | EventFlags::RDHUP;
    }
    if interest.contains(Interest::WRITABLE) {
        flags |= EventFlags::OUT;
    }
    if interest.contains(Interest::PRIORITY) {
        flags |= EventFlags::PRI;
    }
    flags
}

#[inline]
fn readiness(flags: EventFlags) -> Readiness {
    let tells = |flag, readiness| if flags.contains(flag) { readiness } else { Readiness::empty() };
    tells(EventFlags::IN, Readiness::READABLE)
        | tells(EventFlags::OUT, Readiness::WRITABLE)
        | tells(EventFlags::PRI, Readiness::PRIORITY)
        | tells(EventFlags::RDHUP, Readiness::PEER_ENDED)
        | tells(EventFlags::HUP, Readiness::HANG_UP)
        | tells(EventFlags::ERR, Readiness::FAILED)
}
