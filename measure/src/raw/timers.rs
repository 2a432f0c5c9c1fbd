//! Timers as one would write them with the standard library: an ordered map from deadline to token.

use std::collections::BTreeMap;
use std::time::Instant;

/// Deadlines in order, with a number that tells equal ones apart.
#[derive(Default)]
pub struct Timers {
    armed: BTreeMap<(Instant, u64), u64>,
    next: u64,
}

impl Timers {
    /// Arms a timer; returns what cancels it.
    pub fn arm(&mut self, end: Instant, token: u64) -> (Instant, u64) {
        let key = (end, self.next);
        self.next += 1;
        self.armed.insert(key, token);
        key
    }

    /// Cancels a timer; its token, if it was still armed.
    pub fn cancel(&mut self, key: (Instant, u64)) -> Option<u64> {
        self.armed.remove(&key)
    }
}
