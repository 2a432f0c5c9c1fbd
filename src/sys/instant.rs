//! Nanoseconds since a moment, by [`Instant`]: each system has a clock of its own below it.

use std::time::Instant;

/// The moment.
pub(crate) struct Monotonic(Instant);

impl Monotonic {
    /// Now, and as an instant: one that is not later.
    pub(crate) fn start() -> (Monotonic, Instant) {
        let instant = Instant::now();
        (Monotonic(instant), instant)
    }

    /// Nanoseconds since then.
    #[inline]
    pub(crate) fn elapsed(&self) -> u64 {
        crate::clock::nanos(self.0.elapsed())
    }
}
