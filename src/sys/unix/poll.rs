//! poll(2), as precisely as the system can.

use std::io;
use std::time::Duration;

/// The name of the call.
pub(crate) const CALL: &str = if cfg!(target_vendor = "apple") { "poll" } else { "ppoll" };

/// Waits until a descriptor of the list has one of its events, at most `timeout` (`None`: for ever), and returns how
/// many have. A negative descriptor is passed over; one that is not open is reported as `POLLNVAL`.
///
/// # Errors
/// The system's; `Interrupted` when a signal handler ran.
pub(crate) fn wait(list: &mut [libc::pollfd], timeout: Option<Duration>) -> io::Result<usize> {
    let result = call(list, timeout);
    usize::try_from(result).map_err(|_| io::Error::last_os_error())
}

/// ppoll(2), in nanoseconds.
#[cfg(not(target_vendor = "apple"))]
fn call(list: &mut [libc::pollfd], timeout: Option<Duration>) -> libc::c_int {
    let time = timeout.map(|time| libc::timespec {
        tv_sec: time.as_secs().try_into().unwrap_or(libc::time_t::MAX),
        tv_nsec: time.subsec_nanos() as libc::c_long,
    });
    let time = time.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
    // SAFETY: the list is valid for its length, and the time-out lives in this frame.
    unsafe { libc::ppoll(list.as_mut_ptr(), list.len() as _, time, std::ptr::null()) }
}

/// poll(2), in milliseconds rounded up: Darwin has no ppoll.
#[cfg(target_vendor = "apple")]
fn call(list: &mut [libc::pollfd], timeout: Option<Duration>) -> libc::c_int {
    let millis = timeout.map_or(-1, |time| time.as_nanos().div_ceil(1_000_000).min(i32::MAX as u128) as i32);
    // SAFETY: the list is valid for its length.
    unsafe { libc::poll(list.as_mut_ptr(), list.len() as _, millis) }
}
