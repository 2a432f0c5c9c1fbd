//! The port's time: nanoseconds since the port was made.
//!
//! Deadlines are `u64` inside; [`Instant`]s at the interface. Backends that have a time of their own
//! (a simulation) replace [`Clock::now`].

use crate::sys::Monotonic;
use std::time::{Duration, Instant};

/// A monotonic clock with the port's own zero.
pub(crate) struct Clock {
    zero: Monotonic,
    /// The same moment, or a little before it: so that no deadline is early.
    instant: Instant,
}

impl Clock {
    pub(crate) fn new() -> Clock {
        let (zero, instant) = Monotonic::start();
        Clock { zero, instant }
    }

    /// Now, in nanoseconds since the port was made.
    #[inline]
    pub(crate) fn now(&self) -> u64 {
        self.zero.elapsed()
    }

    /// The instant `time` as nanoseconds; one before the port was made is 0.
    pub(crate) fn at(&self, time: Instant) -> u64 {
        nanos(time.saturating_duration_since(self.instant))
    }

    /// `time` as an instant.
    pub(crate) fn instant(&self, time: u64) -> Instant {
        self.instant + Duration::from_nanos(time)
    }
}

/// A duration in nanoseconds; 584 years and more are that.
pub(crate) fn nanos(duration: Duration) -> u64 {
    duration.as_secs().saturating_mul(1_000_000_000).saturating_add(duration.subsec_nanos().into())
}
