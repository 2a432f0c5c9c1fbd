//! The epoll(7) selector: each descriptor registered once, for both directions, edge-triggered.
//!
//! An entry's `data` is the handle's index and generation, so an event of a descriptor that was
//! closed since (or of an entry that a duplicate keeps alive) is told from one of its successor.

use super::{Report, Selector};
use crate::handle::Kind;
use crate::op::raw::Direction;
use crate::poster::Inbox;
use crate::sys::unix::epoll::Waiter;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

/// The waker's `data`: no handle has this index.
const WAKER: u64 = u64::MAX;

/// An epoll instance.
pub(crate) struct Epoll {
    epoll: OwnedFd,
    waiter: Waiter,
    /// Events that one wait reports.
    room: usize,
    /// The registered waker; its descriptor must not be closed before the instance.
    _inbox: Arc<Inbox>,
}

fn data(handle: u32, generation: u32) -> EventData {
    EventData::new_u64(u64::from(generation) << 32 | u64::from(handle))
}

impl Selector for Epoll {
    const CALL: &'static str = "epoll_pwait, epoll_pwait2";

    fn new(events: usize, inbox: &Arc<Inbox>) -> io::Result<Epoll> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        // Edge-triggered, so its counter need not be read: each call is an edge.
        epoll::add(&epoll, inbox.waker().fd(), EventData::new_u64(WAKER), EventFlags::IN | EventFlags::ET)?;
        Ok(Epoll { epoll, waiter: Waiter::new(), room: events, _inbox: inbox.clone() })
    }

    fn add(&mut self, fd: BorrowedFd<'_>, _kind: Kind, handle: u32, generation: u32) -> io::Result<()> {
        let flags = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::PRI | EventFlags::ET;
        match epoll::add(&self.epoll, fd, data(handle, generation), flags) {
            // The same open file under the same number: an entry that a duplicate kept alive.
            Err(rustix::io::Errno::EXIST) => Ok(epoll::modify(&self.epoll, fd, data(handle, generation), flags)?),
            result => Ok(result?),
        }
    }

    fn expect(&mut self, _fd: BorrowedFd<'_>, _handle: u32, _direction: Direction) {}

    fn remove(&mut self, fd: BorrowedFd<'_>, _handle: u32) {
        // Explicitly, because closing does not remove it while a duplicate is open.
        let _ = epoll::delete(&self.epoll, fd);
    }

    fn waitable(&self) -> io::Result<BorrowedFd<'_>> {
        Ok(self.epoll.as_fd())
    }

    fn wait(&mut self, timeout: Option<Duration>, mut report: impl FnMut(Report)) -> io::Result<()> {
        let events = match self.waiter.wait(&self.epoll, self.room, timeout) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            events => events?,
        };
        for event in events {
            let data = event.data.u64();
            if data == WAKER {
                continue;
            }
            let flags = event.flags;
            let ends = flags.intersects(EventFlags::HUP | EventFlags::ERR);
            report(Report {
                handle: data as u32,
                generation: (data >> 32) as u32,
                // After a hang-up or an error a call in either direction returns at once.
                readable: ends || flags.intersects(EventFlags::IN | EventFlags::RDHUP | EventFlags::PRI),
                writable: ends || flags.intersects(EventFlags::OUT),
                special: ends || flags.intersects(EventFlags::RDHUP | EventFlags::PRI),
            });
        }
        Ok(())
    }
}
