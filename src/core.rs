//! What the port and its backend share: the operations, the handles, the buffers.
//!
//! The port decides what happens when; a backend reads an operation's call and pointers from here and
//! reports what became of it as an [`Event`]. A backend changes nothing here but a handle's readiness
//! and the progress noted in a `RawOp`.

use crate::buf::pool::Pool;
use crate::handle::Handles;
use crate::outcome::Outcome;
use crate::scratch::ScratchPool;
use crate::slot::Slots;
use std::num::NonZeroU64;
use std::rc::Rc;

/// The shared tables.
pub(crate) struct Core {
    pub(crate) slots: Slots,
    pub(crate) handles: Handles,
    pub(crate) pool: Rc<Pool>,
    pub(crate) scratch: Rc<ScratchPool>,
}

/// What became of an operation. Two words, also as an option, so that it is handed on in registers: written to memory in
/// parts and read back as a whole it would wait for that.
#[derive(Clone, Copy)]
pub(crate) struct Event {
    /// The slot in the lower half; above it [`EVENT`], and [`GOES_ON`] perhaps.
    operation: NonZeroU64,
    pub(crate) outcome: Outcome,
}

/// Always set: what makes it no zero.
const EVENT: u64 = 1 << 62;

/// A multishot operation goes on.
const GOES_ON: u64 = 1 << 63;

impl Event {
    #[inline(always)]
    pub(crate) fn new(slot: u32, goes_on: bool, outcome: Outcome) -> Event {
        let goes_on = if goes_on { GOES_ON } else { 0 };
        let operation = const { NonZeroU64::new(EVENT).unwrap() } | (u64::from(slot) | goes_on);
        Event { operation, outcome }
    }

    /// The last one of an operation.
    #[inline(always)]
    pub(crate) fn last(slot: u32, outcome: Outcome) -> Event {
        Event::new(slot, false, outcome)
    }

    /// One of a multishot operation, which goes on.
    #[inline(always)]
    pub(crate) fn more(slot: u32, outcome: Outcome) -> Event {
        Event::new(slot, true, outcome)
    }

    #[inline(always)]
    pub(crate) fn slot(self) -> u32 {
        self.operation.get() as u32
    }

    /// A multishot operation that goes on.
    #[inline(always)]
    pub(crate) fn goes_on(self) -> bool {
        self.operation.get() & GOES_ON != 0
    }

    #[inline(always)]
    pub(crate) fn parts(self) -> (u32, bool, Outcome) {
        (self.slot(), self.goes_on(), self.outcome)
    }
}

const _: () = assert!(size_of::<Option<Event>>() == 16, "an event is handed on in two registers");
