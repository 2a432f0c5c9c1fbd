//! What an event of the backend means: its operation goes on, or is over and leaves its lane.
//!
//! Most events are simple (`settles_simply`): the operation has got what it was to, and nothing waits for it. All others
//! take the long way, with the starts of what they have made startable behind them.

use super::Port;
use crate::completion::Part;
use crate::core::{Core, Event};
use crate::error;
use crate::op::raw::{Lane, RawOp};
use crate::outcome::Outcome;
use crate::slot::{At, Head, Marks, NONE, State};
use crate::starved::Starved;
use crate::timer::Wheel;
use std::hint::cold_path;

impl Port {
    /// Settles an event in the usual case: its operation goes on by itself, or has got all that it was to, and nothing is to
    /// be seen to after it. False: it is another case, and nothing was done. True: who does not free the slot at once is to
    /// say that it is finished.
    #[inline(always)]
    pub(super) fn settles_simply(&mut self, event: Event) -> bool {
        let Event { slot, part, outcome } = event;
        let Core { slots, handles, .. } = &mut self.core;
        let head = slots.head_mut(slot);
        if outcome.is_error() {
            return false;
        }
        if !head.is_plain() {
            if head.has_loose_ends() || part == Part::Last && may_go_on(head, outcome) {
                return false;
            }
            if part == Part::NotLast {
                return true;
            }
        }
        if head.handle == NONE {
            return true;
        }
        let entry = handles.entry_mut(head.handle);
        if outcome.is_empty() || entry.is_waited_for(head) {
            return false;
        }
        match head.lane {
            Lane::Free => entry.unlink(slots, slot),
            lane => entry.empty(lane),
        }
        true
    }

    /// As `settle_one`, with the starts.
    #[inline(never)]
    pub(super) fn settle_now(&mut self, slot: At, part: Part, outcome: Outcome) -> Option<Event> {
        let event = self.settle_one(Event { slot, part, outcome });
        self.run_starts();
        event
    }

    /// As `settle_one`, for later, with the starts.
    #[inline(always)]
    pub(super) fn settle_late(&mut self, event: Event) {
        if self.settles_simply(event) {
            if event.part == Part::Last {
                self.core.slots.head_mut(event.slot).state = State::Finished;
            }
            self.ready.push(event);
        } else {
            cold_path();
            self.settle_late_slowly(event);
        }
    }

    /// The rest of that, in the cases that are not usual.
    #[inline(never)]
    fn settle_late_slowly(&mut self, event: Event) {
        if let Some(event) = self.settle_one(event) {
            self.ready.push(event);
        }
        self.run_starts();
    }

    /// Takes an event of the backend up, whatever it is: the operation goes on, or is concluded; what comes back is a
    /// completion's. The caller runs the starts afterwards, so that what completes at once does not overtake it.
    // Inlined, with what it calls in the usual case: then an event stays in registers. Written to memory in parts and
    // read back as a whole it would cost as much as all the rest.
    #[inline(always)]
    pub(super) fn settle_one(&mut self, event: Event) -> Option<Event> {
        let Event { slot, part, outcome } = event;
        let head = self.core.slots.head_mut(slot);
        if part == Part::NotLast {
            has_got_on(head, &mut self.starved);
            return Some(event);
        }
        if may_go_on(head, outcome) {
            return self.settle_composite(slot, outcome);
        }
        let outcome = self.conclude(slot, outcome);
        Some(Event::last(slot, outcome))
    }

    /// The same for those that may go on after an event of the backend.
    #[inline(never)]
    fn settle_composite(&mut self, slot: At, outcome: Outcome) -> Option<Event> {
        let head = self.core.slots.head_mut(slot);
        let going_on = head.state == State::Started;
        if head.raw.goes_on_after(outcome) {
            // One shot of a multishot operation, where the backend has no more. It starts again when this one has
            // been reported (or ends, if it was given up), in turn with those that wait for a buffer.
            has_got_on(head, &mut self.starved);
            self.starts.push_back(slot);
            return Some(Event::more(slot, outcome));
        }
        let outcome = match (&mut head.raw, outcome.value(), outcome.errno()) {
            (RawOp::Send { buf, len, all: true }, Some(n), _) => {
                head.transferred += n;
                if n < *len && n > 0 {
                    // SAFETY: `n` bytes of the lent buffer were sent, so this stays within it.
                    *buf = unsafe { buf.add(n) };
                    *len -= n;
                    if going_on {
                        self.starts.push_back(slot);
                        return None;
                    }
                    Outcome::error(error::CANCELLED)
                } else {
                    Outcome::done(head.transferred)
                }
            }
            (&mut RawOp::SendFile { scratch }, Some(n), _) => {
                head.transferred += n;
                // SAFETY: the scratch is in the payload, which the system has let go of.
                let goes_on = unsafe { (*scratch).part.goes_on_after(n) };
                match goes_on && n > 0 {
                    true if going_on => {
                        self.let_others(slot);
                        return None;
                    }
                    true => Outcome::error(error::CANCELLED),
                    false => Outcome::done(head.transferred),
                }
            }
            (&mut RawOp::SendFile { scratch }, _, Some(error::NOT_AT_HAND)) if going_on => {
                head.raw = RawOp::Bring { scratch };
                self.starts.push_back(slot);
                return None;
            }
            (&mut RawOp::Bring { scratch }, Some(_), _) if going_on => {
                head.raw = RawOp::SendFile { scratch };
                self.starts.push_back(slot);
                return None;
            }
            (RawOp::Bring { .. }, Some(_), _) => Outcome::error(error::CANCELLED),
            (raw, _, Some(error::NO_BUFFER)) if going_on && raw.is_pooled() => {
                self.starve(slot);
                return None;
            }
            (RawOp::Accept { multi: true }, _, Some(errno)) if going_on && error::is_lost_connection(errno) => {
                self.starts.push_back(slot);
                return None;
            }
            (RawOp::Accept { multi: true }, _, Some(errno)) if going_on && error::is_exhaustion(errno) => {
                let first = !head.marks.contains(Marks::REPORTED);
                head.marks |= Marks::REPORTED;
                self.park(slot);
                return first.then_some(Event::more(slot, outcome));
            }
            // The listener of a Unix socket, or the receiver of a datagram, is full, say; nothing will tell when it
            // no longer is.
            (raw, _, Some(errno)) if going_on && error::would_block(errno) && raw.is_retried_after(errno) => {
                self.park(slot);
                return None;
            }
            (raw, _, Some(errno)) if !going_on && raw.is_retried_after(errno) => Outcome::error(error::CANCELLED),
            _ => outcome,
        };
        Some(Event::last(slot, self.conclude(slot, outcome)))
    }

    /// An operation is over: the system has let go of it.
    #[inline(always)]
    pub(super) fn conclude(&mut self, slot: At, mut outcome: Outcome) -> Outcome {
        let Core { slots, handles, .. } = &mut self.core;
        let head = slots.head_mut(slot);
        let handle = head.handle;
        if handle == NONE {
            return conclude(head, &mut self.wheel, &mut self.starved, outcome);
        }
        let entry = handles.entry_mut(handle);
        if outcome.is_empty() {
            cold_path();
            outcome = entry.truth(&head.raw, outcome);
        }
        outcome = conclude(head, &mut self.wheel, &mut self.starved, outcome);
        let waited_for = entry.is_waited_for(slots.head(slot));
        entry.unlink(slots, slot);
        if waited_for {
            cold_path();
            self.start_next(slot);
        }
        outcome
    }

    /// As `conclude`, for later.
    pub(super) fn conclude_late(&mut self, slot: At, outcome: Outcome) {
        let outcome = self.conclude(slot, outcome);
        self.ready.push(Event::last(slot, outcome));
    }

    /// The same for what is in no lane, so that nobody waits for it: it has no handle, or has not joined yet.
    #[inline(always)]
    pub(super) fn conclude_free(&mut self, slot: At, outcome: Outcome) {
        let head = self.core.slots.head_mut(slot);
        let outcome = conclude(head, &mut self.wheel, &mut self.starved, outcome);
        self.ready.push(Event::last(slot, outcome));
    }
}

/// True when this need not be the end of the operation: a send-all that moved a part, now or before, a receive that found
/// the pool empty, a multishot that has more to come, a connect to a full listener, a send-file.
#[inline(always)]
pub(super) fn may_go_on(head: &Head, outcome: Outcome) -> bool {
    if outcome.is_error() {
        cold_path();
        return may_go_on_after_error(head, outcome);
    }
    head.marks.contains(Marks::COMPOSITE)
        && match head.raw {
            RawOp::Send { len, .. } => head.transferred != 0 || outcome != Outcome::done(len),
            _ => true,
        }
}

#[inline(never)]
fn may_go_on_after_error(head: &Head, outcome: Outcome) -> bool {
    head.raw.is_pooled() || head.marks.contains(Marks::COMPOSITE) || outcome.errno().is_some_and(error::would_block)
}

/// A multishot operation has got a connection or bytes.
#[inline(always)]
fn has_got_on(head: &mut Head, starved: &mut Starved) {
    if head.has_loose_ends() {
        head.marks -= Marks::REPORTED;
        has_tried(head, starved);
    }
}

/// An operation that may have waited for a buffer has had one, or ends.
#[inline(always)]
fn has_tried(head: &mut Head, starved: &mut Starved) {
    if head.marks.contains(Marks::NUMBERED) {
        leave_line(head, starved);
    }
}

/// It no longer waits for a buffer.
#[inline(never)]
fn leave_line(head: &mut Head, starved: &mut Starved) {
    head.marks -= Marks::NUMBERED;
    if head.state != State::Parked {
        starved.of(&head.raw).has_tried();
    }
}

/// What an operation that is over really resulted in.
#[inline(always)]
fn conclude(head: &mut Head, wheel: &mut Wheel, starved: &mut Starved, mut outcome: Outcome) -> Outcome {
    if head.has_loose_ends() {
        cold_path();
        if head.marks.contains(Marks::ARMED) {
            wheel.disarm(head.id.index());
        }
        if head.marks.contains(Marks::TIMED_OUT) && outcome.errno() == Some(error::CANCELLED) {
            outcome = Outcome::error(error::TIMED_OUT);
        }
        has_tried(head, starved);
    }
    head.state = State::Finished;
    outcome
}
