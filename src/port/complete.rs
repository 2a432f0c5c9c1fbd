//! From a settled event to the caller: completions are made here, and slots freed.

use super::Port;
use crate::backend::Backend;
use crate::completion::{Completion, Means, Part};
use crate::core::{Core, Event};
use crate::op::raw::RawOp;
use crate::poster::Mail;
use crate::slot::{Marks, Note};
use std::hint::cold_path;

impl Port {
    #[inline]
    pub(super) fn has_ready(&self) -> bool {
        !self.ready.is_empty() || !self.mail.is_empty()
    }

    /// Takes up what there is until something is complete. False: there is nothing more to complete.
    #[inline(never)]
    pub(super) fn take_up(&mut self) -> bool {
        while !self.has_ready() {
            let Some(event) = self.engine.advance(&mut self.core) else { return false };
            self.settle_late(event);
        }
        true
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
                self.settle_late(Event::last(self.core.slots.at(slot), outcome));
                None
            }
        }
    }

    /// Makes the completion of an event that was settled, and frees the slot if that was its last.
    #[inline(always)]
    pub(super) fn complete(&mut self, event: Event) -> Completion {
        self.handed_out += 1;
        let Event { slot, part, outcome } = event;
        let Core { slots, pool, .. } = &mut self.core;
        let (head, room, vacant) = slots.parts(slot);
        let means = if head.marks.contains(Marks::RESULTS_IN_MORE) {
            // So that what only counts goes straight on.
            cold_path();
            match head.raw {
                RawOp::RecvPooled { .. } | RawOp::RecvFromPooled { .. } => Means::Buffer(pool.clone()),
                RawOp::RecvFromPooledMulti => Means::Buffer(pool.named().clone()),
                RawOp::Accept { .. } => Means::Accepted {
                    kind: head.kind().filter(|kind| kind.is_stream()),
                    // Accepted by the ring, or by a call that asked for what the reactor needs.
                    nonblocking: head.note == Note::Polled || self.engine.backend() != Backend::Uring,
                },
                RawOp::Open { .. } => Means::Opened,
                _ => Means::Count,
            }
        } else {
            Means::Count
        };
        let (token, id, before, vtable) = (head.token, head.id, head.transferred, head.vtable);
        if part == Part::Last {
            vacant.add(head, slot);
        }
        Completion {
            token,
            id,
            part,
            before,
            vtable,
            // SAFETY: for the final completion the system has let go of the payload, and the slot was given back with it,
            // which makes this the only copy; the payload of a multishot operation is (). Nobody has had the slot since.
            room: unsafe { *room },
            outcome,
            means,
        }
    }
}
