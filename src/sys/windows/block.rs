//! The memory in which the system keeps an overlapped call (or a poll of AFD), and answers it.
//!
//! Each slot has one, at an address that does not change; an operation with several calls in flight has more
//! of its own. Who owns it follows the slot's state (slot.rs): from the call until its packet was taken the
//! system owns `memory` and `flags` (and whatever else the call points to); the rest is the backend's at all
//! times. So it is only ever reached through raw pointers, field by field.

use super::afd::Poll;
use windows_sys::Win32::Foundation::NTSTATUS;
use windows_sys::Win32::System::IO::OVERLAPPED;

/// Whose packet it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Purpose {
    /// The call of the operation in the slot of this index, in the slot's own block.
    Operation { slot: u32 },
    /// One of the accepts of an operation: the block begins an accept's memory.
    Accept,
}

/// How far an operation of several calls is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Phase {
    /// Its first call, which is its only one except for those below.
    First,
    /// A pooled receive looks whether there is something to receive, without a buffer.
    Look,
    /// A pooled receive has taken this buffer.
    Fetch { buffer: u16 },
    /// AFD polls for it: its memory is a poll's.
    Poll,
}

/// What the system writes to. It begins with the status in either case.
#[repr(C)]
union Memory {
    call: OVERLAPPED,
    poll: std::mem::ManuallyDrop<Poll>,
}

/// See the module.
#[repr(C)]
pub(crate) struct Block {
    memory: Memory,
    /// A receive's flags.
    pub(crate) flags: u32,
    pub(crate) purpose: Purpose,
    pub(crate) phase: Phase,
}

impl Block {
    pub(crate) fn of_slot(slot: u32) -> Block {
        Block::new(Purpose::Operation { slot })
    }

    pub(crate) fn new(purpose: Purpose) -> Block {
        let memory = Memory { poll: std::mem::ManuallyDrop::new(Poll::new()) };
        Block { memory, flags: 0, purpose, phase: Phase::First }
    }

    /// Prepares the block for a call at `offset` of a file (0 for all else), and says what to give the call.
    ///
    /// # Safety
    /// `block` is valid, and no call has it.
    pub(crate) unsafe fn prepare(block: *mut Block, offset: u64) -> *mut OVERLAPPED {
        // SAFETY: the caller's. All-zero is a value of this plain C structure, and so is an offset in it.
        unsafe {
            let mut memory: OVERLAPPED = std::mem::zeroed();
            memory.Anonymous.Anonymous.Offset = offset as u32;
            memory.Anonymous.Anonymous.OffsetHigh = (offset >> 32) as u32;
            (*block).memory.call = memory;
            (*block).flags = 0;
            &raw mut (*block).memory.call
        }
    }

    /// Status and bytes of a call that is over.
    ///
    /// # Safety
    /// `block` is valid, and the packet of its call was taken.
    pub(crate) unsafe fn answer(block: *const Block) -> (NTSTATUS, usize) {
        // SAFETY: the caller's.
        unsafe { ((*block).memory.call.Internal as NTSTATUS, (*block).memory.call.InternalHigh) }
    }

    /// The memory as a poll's.
    ///
    /// # Safety
    /// `block` is valid.
    pub(crate) unsafe fn poll(block: *mut Block) -> *mut Poll {
        // SAFETY: the caller's; no reference is made.
        unsafe { (&raw mut (*block).memory.poll).cast() }
    }
}
