//! How operations end before their time: cancels, deadlines, closes, and the port's own end.

use super::Port;
use crate::backend::Cancelled;
use crate::completion::Completion;
use crate::core::{Core, Event};
use crate::error;
use crate::handle::{HandleState, Handles};
use crate::op::raw::{Lane, RawOp};
use crate::outcome::Outcome;
use crate::poster::{Mail, Sleep};
use crate::slot::{At, Marks, NONE, Slots, State};
use crate::sys;
use std::collections::VecDeque;
use std::mem::ManuallyDrop;
use std::time::Duration;

impl Port {
    /// Has everything tried that was submitted before a close: it was there first.
    fn try_submitted(&mut self) {
        while self.engine.has_untried() {
            let Some(event) = self.engine.advance(&mut self.core) else { break };
            self.settle_late(event);
        }
    }

    /// Gives up one operation; false if there is nothing to give up.
    pub(super) fn give_up(&mut self, slot: At) -> bool {
        let head = self.core.slots.head_mut(slot);
        match (head.state, &head.raw) {
            (State::Free | State::Finished, _) | (_, RawOp::Close { .. }) => false,
            (State::Cancelling, _) => true,
            (State::Started, RawOp::Timer { .. }) => {
                self.conclude_free(slot, Outcome::error(error::CANCELLED));
                true
            }
            (State::Queued | State::Parked, _) => {
                self.conclude_late(slot, Outcome::error(error::CANCELLED));
                true
            }
            (State::Started, _) => {
                self.give_up_started(slot);
                true
            }
        }
    }

    /// The rest of that, for what the backend has or is to have. Apart, so that giving up a timer passes little code.
    #[inline(never)]
    fn give_up_started(&mut self, slot: At) {
        // It is to be started, but the backend does not have it yet.
        if self.starts.contains(&slot) {
            self.starts.retain(|&other| other != slot);
            return self.conclude_late(slot, Outcome::error(error::CANCELLED));
        }
        self.core.slots.head_mut(slot).state = State::Cancelling;
        if let Cancelled::Done = self.engine.cancel(&mut self.core, slot) {
            self.conclude_late(slot, Outcome::error(error::CANCELLED));
        }
    }

    /// Gives up all operations on a handle, the last of each lane first, so that none is started.
    pub(super) fn give_up_all(&mut self, handle: u32) -> usize {
        let mut count = 0;
        for lane in Lane::ALL {
            let mut index = self.core.handles.entry(handle).last(&self.core.slots, lane);
            while index != NONE {
                let Core { slots, handles, .. } = &self.core;
                let slot = slots.at(index);
                let before = handles.entry(handle).before(slots.head(slot));
                count += usize::from(self.give_up(slot));
                index = before;
            }
        }
        count
    }

    /// The time of an operation has come.
    pub(super) fn expire(&mut self, slot: At) {
        let head = self.core.slots.head_mut(slot);
        head.marks -= Marks::ARMED;
        if let RawOp::Timer { overruled: false } = head.raw {
            return self.conclude_free(slot, Outcome::done(0));
        }
        head.marks |= Marks::TIMED_OUT;
        self.give_up(slot);
    }

    pub(super) fn begin_close(&mut self, slot: At, handle: u32) {
        self.try_submitted();
        self.core.handles.entry_mut(handle).state = HandleState::Closing { slot: self.core.slots.index(slot) };
        self.core.slots.head_mut(slot).state = State::Started;
        if self.core.handles.entry(handle).is_idle() {
            self.start_close(slot, handle);
        } else {
            self.give_up_all(handle);
        }
        self.run_starts();
    }

    /// Nothing is in flight on the handle any more: its descriptor can go.
    pub(super) fn start_close(&mut self, slot: At, handle: u32) {
        self.engine.release(&mut self.core, handle);
        let object = sys::into_raw(self.core.handles.remove(handle));
        self.core.slots.head_mut(slot).raw = RawOp::Close { object };
        self.starts.push_back(slot);
    }

    /// Takes every buffer back from the system, and puts the posts that come meanwhile aside: their values are
    /// the user's, and may panic when they are dropped. False: that was impossible.
    fn take_everything_back(&mut self, posts: &mut VecDeque<Mail>) -> bool {
        self.try_submitted();
        // First what the system does not have, so that giving up the rest starts nothing.
        for started in [false, true] {
            for index in 0..self.core.slots.bound() {
                let slot = self.core.slots.at(index);
                let state = self.core.slots.head(slot).state;
                if started || matches!(state, State::Queued | State::Parked) {
                    self.give_up(slot);
                }
            }
        }
        self.run_starts();
        let (mut failures, mut back) = (0, 0);
        while !self.are_back(&mut back) {
            self.inbox.collect_if_empty(&mut self.mail);
            while let Some(mail) = self.mail.pop_front() {
                match mail {
                    Mail::Finished { slot, outcome } => {
                        self.settle_late(Event::last(self.core.slots.at(slot), outcome));
                    }
                    post => posts.push_back(post),
                }
            }
            while let Some(event) = self.engine.advance(&mut self.core) {
                self.settle_late(event);
            }
            if self.are_back(&mut back) {
                break;
            }
            let nap = if self.inbox.fall_asleep(Sleep::Here) { None } else { Some(Duration::ZERO) };
            failures += u32::from(self.engine.wait(&mut self.core, nap).is_err());
            self.inbox.wake_up();
            if failures > 100 {
                return false;
            }
        }
        true
    }

    /// Whether the system has no operation, when none is started any more; `back` is a slot up to which it was found to have
    /// none before.
    fn are_back(&self, back: &mut u32) -> bool {
        let slots = &self.core.slots;
        let is_back = |index| !matches!(slots.head(slots.at(index)).state, State::Started | State::Cancelling);
        *back = (*back..slots.bound()).find(|&index| !is_back(index)).unwrap_or(slots.bound());
        *back == slots.bound()
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        if self.fork.is_child() {
            // The parent's queue and the operations in it are the parent's; the memory here is a copy
            // that no system call writes to.
            // SAFETY: taken here only; nothing below this branch uses the engine.
            unsafe { ManuallyDrop::take(&mut self.engine) }.abandon();
            return;
        }
        // What nobody took is dropped last, with nothing in flight any more: that is the user's code.
        let mut posts = self.inbox.close();
        let all_back = self.take_everything_back(&mut posts);
        let ready = std::iter::from_fn(|| self.ready.take().map(|event| self.complete(event)));
        let completions: Vec<Completion> = ready.collect();
        if all_back {
            // SAFETY: as above; all operations have come back.
            unsafe { ManuallyDrop::drop(&mut self.engine) };
        } else {
            // The system may still write to what was lent, so none of it is ever freed.
            std::mem::forget(std::mem::replace(&mut self.core.slots, Slots::new(0)));
            std::mem::forget(std::mem::replace(&mut self.core.handles, Handles::new(0)));
            std::mem::forget(self.core.pool.clone());
        }
        drop((completions, posts));
    }
}
