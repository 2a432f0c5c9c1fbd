//! Waiting on an epoll(7) instance, to the nanosecond where the kernel can: one call a wait, and no timerfd.

use std::io;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::time::Duration;

/// The room that events are written to, and what the kernel is known to lack.
pub(crate) struct Waiter {
    events: Vec<libc::epoll_event>,
    /// epoll_pwait2(2), which takes nanoseconds, is here (Linux 5.11, and no seccomp rule against it).
    precise: bool,
}

impl Waiter {
    pub(crate) const fn new() -> Waiter {
        Waiter { events: Vec::new(), precise: true }
    }

    /// Waits for at most `room` events (1 or more), at most `timeout` (`None`: for ever). No event: the time is up.
    ///
    /// # Errors
    /// The system's; `Interrupted` when a signal handler ran.
    #[inline]
    pub(crate) fn wait(
        &mut self,
        epoll: impl AsFd,
        room: usize,
        timeout: Option<Duration>,
    ) -> io::Result<&[libc::epoll_event]> {
        self.events.clear();
        self.events.reserve(room);
        let epoll = epoll.as_fd().as_raw_fd();
        let room = room.min(i32::MAX as usize) as i32;
        loop {
            // SAFETY: the buffer has room for that many events.
            let result = unsafe { wait(epoll, self.events.as_mut_ptr(), room, timeout, self.precise) };
            let Ok(count) = usize::try_from(result) else {
                let error = io::Error::last_os_error();
                if self.precise && matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::EPERM)) {
                    self.precise = false;
                    continue;
                }
                return Err(error);
            };
            // SAFETY: the kernel has written that many events; they are plain data.
            unsafe { self.events.set_len(count) };
            return Ok(&self.events);
        }
    }
}

/// epoll_wait(2), whose time-out the kernel need not fetch from memory, if its milliseconds can tell the time exactly;
/// else epoll_pwait2(2), which takes nanoseconds; where that call is missing, epoll_wait(2) and milliseconds rounded up.
///
/// # Safety
/// `buffer` is valid for writes of `room` events.
#[inline]
unsafe fn wait(
    epoll: RawFd,
    buffer: *mut libc::epoll_event,
    room: i32,
    timeout: Option<Duration>,
    precise: bool,
) -> libc::c_long {
    match timeout {
        Some(time) if precise && !fits_millis(time) => {
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
            let millis = timeout.map_or(-1, millis);
            // SAFETY: the caller's.
            libc::c_long::from(unsafe { libc::epoll_wait(epoll, buffer, room, millis) })
        }
    }
}

/// Whether [`millis`] is exact.
fn fits_millis(time: Duration) -> bool {
    time.subsec_nanos().is_multiple_of(1_000_000) && time.as_secs() < i32::MAX as u64 / 1000
}

/// Rounded up, so that a wait never ends before its time.
fn millis(time: Duration) -> i32 {
    let whole = time.as_secs().saturating_mul(1000);
    let millis = whole.saturating_add(u64::from(time.subsec_nanos().div_ceil(1_000_000)));
    millis.min(i32::MAX as u64) as i32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn milliseconds_are_rounded_up() {
        assert_eq!(millis(Duration::ZERO), 0);
        assert_eq!(millis(Duration::from_nanos(1)), 1);
        assert_eq!(millis(Duration::new(3, 999_000_001)), 4000);
        assert_eq!(millis(Duration::new(3, 1_000_000)), 3001);
        assert_eq!(millis(Duration::MAX), i32::MAX);
    }

    #[test]
    fn a_time_fits_milliseconds_if_they_tell_it_exactly() {
        for (time, fits) in [
            (Duration::ZERO, true),
            (Duration::from_millis(2_147_482_999), true),
            (Duration::from_nanos(1_000_001), false),
            (Duration::from_secs(2_147_484), false), // epoll_wait(2) ends after 24 days
            (Duration::MAX, false),
        ] {
            assert_eq!(fits_millis(time), fits, "{time:?}");
            assert!(!fits || Duration::from_millis(millis(time) as u64) == time, "{time:?}");
        }
    }
}
