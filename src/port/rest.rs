//! Operations that are not with the backend for a while: they wait for a buffer of the pool, for a time, for their turn.

use super::Port;
use crate::slot::{At, Marks, OpId, State};
use std::time::Duration;

/// How long an operation rests that the system could not carry out for want of something.
pub(super) const RETRY: u64 = 10_000_000;

impl Port {
    /// Lets a receive wait for a buffer of the pool.
    pub(super) fn starve(&mut self, slot: At) {
        let id = self.core.slots.id(slot);
        let head = self.core.slots.head_mut(slot);
        let line = self.starved.of(&head.raw);
        let number = head.marks.contains(Marks::NUMBERED).then_some(head.number);
        if number.is_some() {
            line.has_tried();
        }
        head.state = State::Parked;
        head.marks |= Marks::NUMBERED;
        head.number = line.wait(number, id);
    }

    /// Lets others have their turn before an operation goes on.
    pub(super) fn let_others(&mut self, slot: At) {
        self.core.slots.head_mut(slot).state = State::Parked;
        self.yielding.push_back(self.core.slots.id(slot));
    }

    /// Lets an operation rest before it is tried again.
    pub(super) fn park(&mut self, slot: At) {
        self.core.slots.head_mut(slot).state = State::Parked;
        self.parked.push_back((self.clock.now() + RETRY, self.core.slots.id(slot)));
    }

    /// True when there are buffers for operations that wait for one.
    pub(super) fn may_feed(&self) -> bool {
        !self.starved.plain.is_empty() && self.core.pool.available() > 0
            || !self.starved.named.is_empty() && self.core.pool.named().available() > 0
    }

    /// Serves timers, deadlines, resting operations, those that wait for a buffer or their turn. Returns the
    /// time, where it was asked for.
    #[inline(always)]
    pub(super) fn serve_time_and_buffers(&mut self) -> Option<u64> {
        if self.starved.is_idle() && self.yielding.is_empty() && !self.waits_for_a_time() {
            return None;
        }
        self.serve_all()
    }

    /// True when there is a timer, a deadline or a resting operation.
    #[inline(always)]
    fn waits_for_a_time(&self) -> bool {
        !self.wheel.is_empty() || !self.parked.is_empty()
    }

    /// The rest of that, when there is something to be served, or may be.
    #[inline(never)]
    fn serve_all(&mut self) -> Option<u64> {
        // As many as there are buffers; who then finds nothing to receive leaves his to the next.
        for _ in 0..self.core.pool.available() {
            let Some(id) = self.starved.plain.next() else { break };
            self.resume(id);
        }
        if !self.starved.named.is_empty() {
            for _ in 0..self.core.pool.named().available() {
                let Some(id) = self.starved.named.next() else { break };
                self.resume(id);
            }
        }
        for _ in 0..self.yielding.len() {
            let Some(id) = self.yielding.pop_front() else { break };
            self.resume(id);
        }
        if !self.waits_for_a_time() {
            return None;
        }
        let now = self.clock.now();
        while let Some(&(time, id)) = self.parked.front()
            && time <= now
        {
            self.parked.pop_front();
            self.resume(id);
        }
        while let Some(index) = self.wheel.pop_due(now) {
            self.expire(self.core.slots.at(index));
        }
        self.run_starts();
        Some(now)
    }

    /// Starts a parked operation again, unless it was given up meanwhile.
    fn resume(&mut self, id: OpId) {
        if let Some(slot) = self.core.slots.find(id)
            && self.core.slots.head(slot).state == State::Parked
        {
            let head = self.core.slots.head(slot);
            if head.marks.contains(Marks::NUMBERED) {
                self.starved.of(&head.raw).tries();
            }
            self.hand_over(slot);
        }
        self.run_starts();
    }

    /// When a timer, a deadline or a resting operation is to be served next.
    #[inline(never)]
    fn next_time(&mut self) -> Option<u64> {
        let retry = self.parked.front().map(|&(time, _)| time);
        self.wheel.next_wake().into_iter().chain(retry).min()
    }

    /// How long the port may sleep: until `end`, the next deadline or the next retry.
    pub(super) fn until(&mut self, now: Option<u64>, end: Option<u64>) -> Option<Duration> {
        if !self.yielding.is_empty() {
            return Some(Duration::ZERO);
        }
        let own = if self.waits_for_a_time() { self.next_time() } else { None };
        let wake = own.into_iter().chain(end).min()?;
        let now = now.unwrap_or_else(|| self.clock.now());
        Some(Duration::from_nanos(wake.saturating_sub(now)))
    }
}
