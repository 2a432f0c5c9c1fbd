//! Nanoseconds since a moment, without the arithmetic of [`Instant`]: clock_gettime(2), whose `CLOCK_MONOTONIC` is also
//! `Instant`'s on Linux. A time limit on each operation is a look at this clock for each.

use std::mem::MaybeUninit;
use std::time::Instant;

/// The moment, on the system's clock.
pub(crate) struct Monotonic(u64);

impl Monotonic {
    /// Now, and as an instant: one that is not later.
    pub(crate) fn start() -> (Monotonic, Instant) {
        let instant = Instant::now();
        (Monotonic(now()), instant)
    }

    /// Nanoseconds since then.
    #[inline]
    pub(crate) fn elapsed(&self) -> u64 {
        now() - self.0
    }
}

#[inline]
fn now() -> u64 {
    let mut time = MaybeUninit::<libc::timespec>::uninit();
    // SAFETY: the call fills the value; it cannot fail, because the system has this clock.
    let time = unsafe {
        libc::clock_gettime(libc::CLOCK_MONOTONIC, time.as_mut_ptr());
        time.assume_init()
    };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}
