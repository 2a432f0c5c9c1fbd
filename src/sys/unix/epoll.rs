//! Waiting on an epoll(7) instance, to the nanosecond where the kernel can: one call a wait, and no timerfd.

use rustix::event::Timespec;
use rustix::event::epoll::{self, Event};
use rustix::io::Errno;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::time::Duration;

/// The room that events are written to, and what the kernel is known to lack.
pub(crate) struct Waiter {
    events: Vec<Event>,
    /// epoll_pwait2(2), which takes nanoseconds, is here (Linux 5.11, and no seccomp rule against it).
    precise: bool,
}

// SAFETY: an event is plain data. What could be a pointer in it is the number that was registered with its descriptor.
unsafe impl Send for Waiter {}

impl Waiter {
    pub(crate) const fn new() -> Waiter {
        Waiter { events: Vec::new(), precise: true }
    }

    /// Waits for at most `room` events (1 or more), at most `timeout` (`None`: for ever). No event: the time is up.
    ///
    /// It is epoll_pwait(2), whose time-out the kernel need not fetch from memory, if its milliseconds can tell the time exactly;
    /// else epoll_pwait2(2), which takes nanoseconds; where that call is missing, milliseconds rounded up. Neither has a mask.
    /// Neither is by the C library's epoll_wait, which is a point where a thread can be cancelled: glibc 2.36 takes 55 instructions
    /// for that (callgrind), and in a program with several threads a locked one before the call and one behind it.
    ///
    /// # Errors
    /// The system's; `Interrupted` when a signal handler ran.
    #[inline]
    pub(crate) fn wait(&mut self, epoll: impl AsFd, room: usize, timeout: Option<Duration>) -> io::Result<&[Event]> {
        self.events.clear();
        self.events.reserve(room);
        loop {
            let room = &mut self.events.spare_capacity_mut()[..room];
            let waited = match timeout {
                Some(time) if self.precise && !fits_millis(time) => wait_precisely(epoll.as_fd(), room, time),
                _ => {
                    let time = timeout.map(|time| timespec(time.min(LONGEST)));
                    epoll::wait(&epoll, room, time.as_ref()).map(|(events, _)| events.len())
                }
            };
            match waited {
                Ok(count) => {
                    // SAFETY: the kernel has written that many events.
                    unsafe { self.events.set_len(count) };
                    return Ok(&self.events);
                }
                Err(Errno::NOSYS | Errno::PERM) if self.precise => self.precise = false,
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// epoll_pwait2(2). (By number: not every C library of Linux has the function.)
fn wait_precisely(epoll: BorrowedFd<'_>, room: &mut [MaybeUninit<Event>], time: Duration) -> Result<usize, Errno> {
    let time = timespec(time);
    let (epoll, no_mask) = (epoll.as_raw_fd(), std::ptr::null::<libc::sigset_t>());
    // SAFETY: there is room for that many events; the time-out lives in this frame.
    let count = unsafe {
        libc::syscall(libc::SYS_epoll_pwait2, epoll, room.as_mut_ptr(), room.len(), &raw const time, no_mask, 8usize)
    };
    usize::try_from(count).map_err(|_| Errno::from_io_error(&io::Error::last_os_error()).unwrap_or(Errno::IO))
}

fn timespec(time: Duration) -> Timespec {
    Timespec::try_from(time).unwrap_or(Timespec { tv_sec: i64::MAX, tv_nsec: 0 })
}

/// The longest time that whole milliseconds can tell.
const LONGEST: Duration = Duration::from_millis(i32::MAX as u64);

/// Whether milliseconds tell it exactly.
fn fits_millis(time: Duration) -> bool {
    time.subsec_nanos().is_multiple_of(1_000_000) && time <= LONGEST
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::event::EventfdFlags;
    use std::time::Instant;

    #[test]
    fn a_time_fits_milliseconds_if_they_tell_it_exactly() {
        for (time, fits) in [
            (Duration::ZERO, true),
            (Duration::from_millis(2_147_483_647), true),
            (Duration::from_nanos(1_000_001), false),
            (Duration::from_millis(2_147_483_648), false), // epoll_pwait(2) ends after 24 days
            (Duration::MAX, false),
        ] {
            assert_eq!(fits_millis(time), fits, "{time:?}");
        }
    }

    #[test]
    fn a_wait_ends_no_earlier_than_its_time_in_either_precision() {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).expect("an epoll");
        for precise in [true, false] {
            for time in [Duration::ZERO, Duration::from_millis(2), Duration::from_micros(1_200)] {
                let mut waiter = Waiter { precise, ..Waiter::new() };
                let start = Instant::now();
                assert!(waiter.wait(&epoll, 4, Some(time)).expect("wait").is_empty());
                assert!(start.elapsed() >= time, "{time:?}");
            }
        }
    }

    #[test]
    fn a_wait_of_any_length_reports_what_is_there() {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).expect("an epoll");
        let ready = rustix::event::eventfd(1, EventfdFlags::CLOEXEC).expect("an eventfd");
        epoll::add(&epoll, &ready, epoll::EventData::new_u64(7), epoll::EventFlags::IN).expect("add");
        for precise in [true, false] {
            for time in [None, Some(Duration::ZERO), Some(Duration::from_nanos(1)), Some(LONGEST), Some(Duration::MAX)]
            {
                let mut waiter = Waiter { precise, ..Waiter::new() };
                let events = waiter.wait(&epoll, 4, time).expect("wait");
                assert!(events.iter().map(|event| event.data.u64()).eq([7]), "{time:?}");
            }
        }
    }
}
