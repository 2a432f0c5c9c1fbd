//! From a settled event to the caller: completions are made here, and slots freed.

use super::Port;
use crate::backend::Backend;
use crate::completion::{Completion, Means, Part};
use crate::core::{Core, Event};
use crate::op::raw::RawOp;
use crate::poster::Mail;
use crate::slot::OpId;
use std::hint::cold_path;

/// Where taking up what is ready makes a call: how many are made before the first of their completions is handed out. The
/// kernel's code for so many receives, and then for as many sends by who got them, stays in the cache; that for a receive
/// and a send in turn does not. (64 connections x 64 B on epoll, CPU time beside the loop by hand: `anyport bench echo` had
/// 1.054 and 1.044 with 16, 1.026 and 1.049 with 64. The same servers side by side, but for that number, 8 to 20
/// of each, the mean to about 0.006: 1.046 with 1, 1.034 with 4, 1.028 with 16, 1.018 with 32, 64 and 256. With 256 the p99
/// of 1000 connections was 14 ms, with 16 and 64 it was 8 and 9.)
const AHEAD: u32 = 64;

/// Bytes that may be moved ahead of their completions: so much that stays in a core's first cache. (`anyport bench echo`,
/// 64 connections x 16 KiB, with 48 KiB of that cache: 1.09 to 1.11 times the loop by hand with 64 KiB, 1.02 to 1.04 with this.)
const AHEAD_BYTES: usize = 16 * 1024;

impl Port {
    #[inline]
    pub(super) fn has_ready(&self) -> bool {
        !self.ready.is_empty() || !self.mail.is_empty()
    }

    /// Takes up what the last wait reported: one completion or, where the backend makes the calls, some. False: there is
    /// nothing more to complete.
    #[inline(never)]
    pub(super) fn take_up(&mut self) -> bool {
        let (mut left, mut room) = (if self.engine.makes_calls() { AHEAD } else { 1 }, AHEAD_BYTES);
        while let Some(event) = self.engine.advance(&mut self.core) {
            let raw = &self.core.slots.head(event.slot()).raw;
            let pool_is_empty = raw.is_pooled() && self.core.pool.of(raw).available() == 0;
            room = room.saturating_sub(event.outcome.value().unwrap_or(0));
            self.settle_late(event);
            left = left.saturating_sub(1);
            if self.has_ready() && (left == 0 || room == 0 || pool_is_empty) {
                return true;
            }
        }
        self.has_ready()
    }

    /// Takes up what came by the inbox; `None`: that was no post.
    #[inline(never)]
    pub(super) fn take_mail(&mut self) -> Option<Completion> {
        self.posts_next = false;
        match self.mail.pop_front()? {
            Mail::Post(parcel) => {
                self.handed_out += 1;
                Some(parcel.into_completion())
            }
            Mail::Finished { slot, outcome } => {
                self.settle_late(Event::last(slot, outcome));
                None
            }
        }
    }

    /// Makes the completion of an event that was settled, and frees the slot if that was its last.
    #[inline(always)]
    pub(super) fn complete(&mut self, event: Event) -> Completion {
        self.handed_out += 1;
        let (slot, more, outcome) = event.parts();
        let Core { slots, pool, .. } = &mut self.core;
        let (head, room, vacant) = slots.parts(slot);
        let means = match head.raw {
            RawOp::Accept { .. } => {
                cold_path();
                Means::Accepted {
                    kind: head.kind.filter(|kind| kind.is_stream()),
                    // Accepted by the ring, or by a call that asked for what the reactor needs.
                    nonblocking: head.polled || self.engine.backend() != Backend::Uring,
                }
            }
            RawOp::Open { .. } => {
                cold_path();
                Means::Opened
            }
            RawOp::RecvPooled { .. } | RawOp::RecvFromPooled { .. } => Means::Buffer(pool.clone()),
            RawOp::RecvFromPooledMulti => Means::Buffer(pool.named().clone()),
            _ => Means::Count,
        };
        let (token, before, vtable) = (head.token, head.transferred, head.vtable);
        let id = OpId::new(slot, head.generation);
        if !more {
            vacant.add(head, slot);
        }
        let part = if more { Part::NotLast } else { Part::Last };
        // SAFETY: for the final completion the system has let go of the payload, and the slot was given back with it,
        // which makes this the only copy; the payload of a multishot operation is (). Nobody has had the slot since.
        let room = unsafe { *room };
        Completion { token, id, part, before, vtable, room, outcome, means }
    }
}
