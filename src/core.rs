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
use std::rc::Rc;

/// The shared tables.
pub(crate) struct Core {
    pub(crate) slots: Slots,
    pub(crate) handles: Handles,
    pub(crate) pool: Rc<Pool>,
    pub(crate) scratch: Rc<ScratchPool>,
}

/// What became of an operation.
#[derive(Clone, Copy)]
pub(crate) struct Event {
    pub(crate) slot: u32,
    /// A multishot operation that goes on.
    pub(crate) more: bool,
    pub(crate) outcome: Outcome,
}

const _: () = assert!(size_of::<Option<Event>>() == 16, "an event is handed on in two registers");
