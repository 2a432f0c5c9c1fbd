//! From `submit` to the backend: an operation joins its lane, and is started when its turn has come.

use super::Port;
use crate::Token;
use crate::backend::Started;
use crate::core::{Core, Event};
use crate::error::{self, Refusal};
use crate::handle::{Handle, HandleState};
use crate::op::front::Lowered;
use crate::op::raw::{Lane, RawOp};
use crate::outcome::Outcome;
use crate::payload::VTable;
use crate::slot::{At, Marks, NONE, Note, OpId, State};
use std::hint::cold_path;

impl Port {
    /// The rest of `submit`: inlined, because which operation it is is known there.
    #[inline(always)]
    pub(super) fn launch(&mut self, slot: At, token: Token, vtable: &'static VTable, lowered: Lowered) -> OpId {
        let head = self.core.slots.head_mut(slot);
        // Stored here, where its parts are known: handed on as a whole it would be copied twice.
        let raw = lowered.raw.unwrap_or(RawOp::Nop);
        head.begin(token, vtable, raw);
        let id = head.id;
        if let Err(refusal) = lowered.raw {
            self.refuse(slot, refusal);
            return id;
        }
        if let Some(due) = lowered.due {
            head.marks |= Marks::ARMED;
            self.wheel.arm(id.index(), due);
        }
        if let Some(handle) = lowered.target {
            self.launch_on(slot, handle);
        } else if self.fork.is_child() {
            self.refuse(slot, Refusal::Forked);
        } else {
            match raw {
                // The wheel is all that it needs.
                RawOp::Timer { .. } => {}
                RawOp::Nop => {
                    if let Started::Done(outcome) = self.engine.start_nop(slot) {
                        self.conclude_free(slot, outcome);
                    }
                }
                _ => self.launch_otherwise(slot),
            }
        }
        id
    }

    /// The rest of that, for an operation on no handle that the backend has to look at more closely.
    #[inline(never)]
    fn launch_otherwise(&mut self, slot: At) {
        self.hand_over(slot);
        self.run_starts();
    }

    /// The same for an operation on a handle: not generic. The usual case is here, where little code is touched (after each
    /// call into the kernel it has to be fetched anew); all others are in `launch_slowly`.
    pub(super) fn launch_on(&mut self, slot: At, handle: Handle) {
        let Core { slots, handles, pool, .. } = &mut self.core;
        let head = slots.head_mut(slot);
        let Some(entry) = handles.find_open(handle) else {
            cold_path();
            return self.launch_slowly(slot, handle);
        };
        let usual = entry.has_turn(head.lane) && !head.marks.contains(Marks::SPECIAL) && self.starved.is_idle();
        if !usual || self.fork.is_child() {
            cold_path();
            return self.launch_slowly(slot, handle);
        }
        head.join(handle.index, entry.kind);
        if !self.engine.start_on(slot, head, entry, pool) {
            cold_path();
            entry.link(slots, slot);
            return self.launch_otherwise(slot);
        }
        match head.lane {
            Lane::Free => entry.link_free(slots, slot),
            _ => entry.link_first(head),
        }
    }

    #[inline(never)]
    fn launch_slowly(&mut self, slot: At, handle: Handle) {
        if self.fork.is_child() {
            return self.refuse(slot, Refusal::Forked);
        }
        let Core { slots, handles, .. } = &mut self.core;
        let Some(entry) = handles.find_mut(handle) else {
            return self.refuse(slot, Refusal::StaleHandle);
        };
        let head = slots.head_mut(slot);
        head.state = State::Queued;
        let has_turn = entry.has_turn(head.lane);
        match head.raw {
            RawOp::Close { .. } => return self.begin_close(slot, handle.index),
            RawOp::SendFile { .. } if !entry.kind.is_stream() => return self.refuse(slot, Refusal::NoStream),
            RawOp::Connect { .. } => entry.state = HandleState::Connecting,
            _ => {}
        }
        head.join(handle.index, entry.kind);
        entry.link(slots, slot);
        if has_turn {
            self.start_in_turn(slot);
            self.run_starts();
        }
    }

    /// The answer to what cannot even be tried.
    #[cold]
    pub(super) fn refuse(&mut self, slot: At, refusal: Refusal) {
        self.core.slots.head_mut(slot).raw = RawOp::Nop;
        self.conclude_late(slot, Outcome::refused(refusal));
    }

    /// Starts an operation whose turn it is in its lane: that may have been given up already, and others may have a claim
    /// before it.
    #[inline(never)]
    fn start_in_turn(&mut self, slot: At) {
        let head = self.core.slots.head(slot);
        if head.state == State::Cancelling {
            self.conclude_late(slot, Outcome::error(error::CANCELLED));
        } else if head.raw.is_pooled()
            && self.starved.of(&head.raw).has_claims_on(self.core.pool.of(&head.raw).available())
        {
            self.starve(slot);
        } else {
            self.hand_over(slot);
        }
    }

    /// Hands an operation to the backend.
    #[inline(always)]
    pub(super) fn hand_over(&mut self, slot: At) {
        let head = self.core.slots.head_mut(slot);
        (head.state, head.note) = (State::Started, Note::Nothing);
        let started = self.engine.start(&mut self.core, slot);
        self.follow(slot, started);
    }

    /// Goes on with an operation that was started.
    #[inline(always)]
    fn follow(&mut self, slot: At, started: Started) {
        let event = match started {
            Started::Pending => return,
            Started::More(outcome) => Event::more(slot, outcome),
            Started::Done(outcome) => Event::last(slot, outcome),
        };
        if let Some(event) = self.settle_one(event) {
            self.ready.push(event);
        }
    }

    /// Starts what settling has made startable, until nothing is left to start.
    #[inline]
    pub(super) fn run_starts(&mut self) {
        if !self.starts.is_empty() {
            cold_path();
            self.run_all_starts();
        }
    }

    #[inline(never)]
    fn run_all_starts(&mut self) {
        while let Some(slot) = self.starts.pop_front() {
            self.start_in_turn(slot);
        }
    }

    /// Starts what waited for an operation that has left its lane.
    #[inline(never)]
    pub(super) fn start_next(&mut self, slot: At) {
        let head = self.core.slots.head(slot);
        let (handle, lane, connects) = (head.handle, head.lane, matches!(head.raw, RawOp::Connect { .. }));
        let entry = self.core.handles.entry_mut(handle);
        match entry.state {
            HandleState::Closing { slot: close } => {
                if entry.is_idle() {
                    self.start_close(self.core.slots.at(close), handle);
                }
            }
            _ => {
                if connects {
                    entry.state = HandleState::Open;
                    self.start_queued(handle, Lane::Read);
                }
                self.start_queued(handle, lane);
            }
        }
    }

    /// Starts the head of a lane, if it is waiting for that.
    fn start_queued(&mut self, handle: u32, lane: Lane) {
        let entry = self.core.handles.entry(handle);
        if lane == Lane::Free || entry.has_to_connect_before(lane) || entry.first(lane) == NONE {
            return;
        }
        let next = self.core.slots.at(entry.first(lane));
        let head = self.core.slots.head_mut(next);
        if head.state == State::Queued {
            // Started once: it is no longer queued when the next look is taken.
            head.state = State::Started;
            self.starts.push_back(next);
        }
    }
}
