//! The epoll(7) selector: each descriptor registered once, for both directions, edge-triggered.
//!
//! An entry's `data` is the handle's index and generation, so an event of a descriptor that was
//! closed since (or of an entry that a duplicate keeps alive) is told from one of its successor.

use super::{Report, Selector};
use crate::op::raw::Direction;
use crate::poster::Inbox;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

/// The waker's `data`: no handle has this index.
const WAKER: u64 = u64::MAX;

/// An epoll instance.
pub(crate) struct Epoll {
    epoll: OwnedFd,
    events: Vec<libc::epoll_event>,
    /// epoll_pwait2(2), which takes nanoseconds, is here (Linux 5.11, and no seccomp rule against it).
    precise: bool,
    /// The registered waker; its descriptor must not be closed before the instance.
    _inbox: Arc<Inbox>,
}

fn data(handle: u32, generation: u32) -> EventData {
    EventData::new_u64(u64::from(generation) << 32 | u64::from(handle))
}

impl Selector for Epoll {
    const CALL: &'static str = "epoll_pwait2";

    fn new(events: usize, inbox: &Arc<Inbox>) -> io::Result<Epoll> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        // Edge-triggered, so its counter need not be read: each call is an edge.
        epoll::add(&epoll, inbox.waker().fd(), EventData::new_u64(WAKER), EventFlags::IN | EventFlags::ET)?;
        let events = Vec::with_capacity(events);
        Ok(Epoll { epoll, events, precise: true, _inbox: inbox.clone() })
    }

    fn add(&mut self, fd: BorrowedFd<'_>, handle: u32, generation: u32) -> io::Result<()> {
        let flags = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::PRI | EventFlags::ET;
        match epoll::add(&self.epoll, fd, data(handle, generation), flags) {
            // The same open file under the same number: an entry that a duplicate kept alive.
            Err(rustix::io::Errno::EXIST) => Ok(epoll::modify(&self.epoll, fd, data(handle, generation), flags)?),
            result => Ok(result?),
        }
    }

    fn expect(&mut self, _handle: u32, _direction: Direction) {}

    fn remove(&mut self, fd: BorrowedFd<'_>, _handle: u32) {
        // Explicitly, because closing does not remove it while a duplicate is open.
        let _ = epoll::delete(&self.epoll, fd);
    }

    fn wait(&mut self, timeout: Option<Duration>, mut report: impl FnMut(Report)) -> io::Result<()> {
        let (buffer, room) = (self.events.as_mut_ptr(), self.events.capacity() as i32);
        let count = loop {
            // SAFETY: the buffer has room for that many events.
            let result = unsafe { wait_raw(self.epoll.as_raw_fd(), buffer, room, timeout, self.precise) };
            match usize::try_from(result) {
                Ok(count) => break count,
                Err(_) => match io::Error::last_os_error() {
                    error if error.kind() == io::ErrorKind::Interrupted => break 0,
                    error if self.precise && matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::EPERM)) => {
                        self.precise = false;
                    }
                    error => return Err(error),
                },
            }
        };
        // SAFETY: the kernel has written that many events; they are plain data.
        unsafe { self.events.set_len(count) };
        for event in &self.events {
            if event.u64 == WAKER {
                continue;
            }
            let flags = event.events as i32;
            let special = flags & (libc::EPOLLRDHUP | libc::EPOLLHUP | libc::EPOLLERR | libc::EPOLLPRI) != 0;
            report(Report {
                handle: event.u64 as u32,
                generation: (event.u64 >> 32) as u32,
                // After a hang-up or an error a call in either direction returns at once.
                readable: flags & (libc::EPOLLIN | libc::EPOLLRDHUP | libc::EPOLLPRI) != 0
                    || flags & (libc::EPOLLHUP | libc::EPOLLERR) != 0,
                writable: flags & (libc::EPOLLOUT | libc::EPOLLHUP | libc::EPOLLERR) != 0,
                special,
            });
        }
        Ok(())
    }
}

/// epoll_pwait2(2) where a time in nanoseconds is needed, else epoll_wait(2), in milliseconds rounded
/// up.
///
/// # Safety
/// `buffer` is valid for writes of `room` events.
unsafe fn wait_raw(
    epoll: i32,
    buffer: *mut libc::epoll_event,
    room: i32,
    timeout: Option<Duration>,
    precise: bool,
) -> libc::c_long {
    match timeout {
        Some(time) if precise && !time.is_zero() => {
            let time = libc::timespec {
                tv_sec: time.as_secs().try_into().unwrap_or(libc::time_t::MAX),
                tv_nsec: time.subsec_nanos() as libc::c_long,
            };
            let no_mask = std::ptr::null::<libc::sigset_t>();
            // SAFETY: the caller's; the time-out lives in this frame. (By number: not every C library
            // of Linux has the function.)
            unsafe { libc::syscall(libc::SYS_epoll_pwait2, epoll, buffer, room, &raw const time, no_mask, 8usize) }
        }
        _ => {
            let millis = timeout.map_or(-1, |time| time.as_nanos().div_ceil(1_000_000).min(i32::MAX as u128) as i32);
            // SAFETY: the caller's.
            libc::c_long::from(unsafe { libc::epoll_wait(epoll, buffer, room, millis) })
        }
    }
}
