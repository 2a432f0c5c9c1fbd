//! What the port and its backend share: the operations, the handles, the buffers.
//!
//! The port decides what happens when; a backend reads an operation's call and pointers from here and
//! reports what became of it as an [`Event`]. A backend changes nothing here but a handle's readiness
//! and the progress noted in a `RawOp`.

use crate::buf::pool::Pool;
use crate::completion::Part;
use crate::handle::Handles;
use crate::outcome::Outcome;
use crate::scratch::ScratchPool;
use crate::slot::{At, Slots};
use std::rc::Rc;

/// The shared tables.
pub(crate) struct Core {
    pub(crate) slots: Slots,
    pub(crate) handles: Handles,
    pub(crate) pool: Rc<Pool>,
    pub(crate) scratch: Rc<ScratchPool>,
}

/// What became of an operation. It is made of whole words, so that it is read in the pieces in which it was written: in others
/// it would be waited for.
#[derive(Clone, Copy)]
pub(crate) struct Event {
    pub(crate) slot: At,
    pub(crate) part: Part,
    pub(crate) outcome: Outcome,
}

impl Event {
    #[cfg_attr(
        not(any(target_os = "linux", windows)),
        expect(dead_code, reason = "a reactor knows which of them it is")
    )]
    #[inline(always)]
    pub(crate) fn new(slot: At, goes_on: bool, outcome: Outcome) -> Event {
        Event { slot, part: if goes_on { Part::NotLast } else { Part::Last }, outcome }
    }

    /// The last one of an operation.
    #[inline(always)]
    pub(crate) fn last(slot: At, outcome: Outcome) -> Event {
        Event { slot, part: Part::Last, outcome }
    }

    /// One of a multishot operation, which goes on.
    #[inline(always)]
    pub(crate) fn more(slot: At, outcome: Outcome) -> Event {
        Event { slot, part: Part::NotLast, outcome }
    }
}

const _: () = assert!(size_of::<Option<Event>>() == size_of::<Event>(), "none has no word of its own");
