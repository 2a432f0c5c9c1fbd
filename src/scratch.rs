//! Memory that the system reads or writes beside the lent buffer: buffer lists, socket addresses, file
//! metadata.
//!
//! It must stay in place as long as the buffer, but is too large for a slot and needed by few
//! operations. So each port keeps a pool of [`Scratch`] boxes; an operation that needs one carries a
//! [`ScratchRef`] in its payload, and dropping that gives the box back. In steady state none is
//! allocated. What is in a box differs from system to system (`sys/`).

pub(crate) use crate::sys::Scratch;
use std::cell::RefCell;
use std::ptr::NonNull;
use std::rc::Rc;

/// The port's free scratch boxes.
#[derive(Default)]
pub(crate) struct ScratchPool {
    free: RefCell<Vec<NonNull<Scratch>>>,
}

/// Boxes kept for the next operation; more than these are freed when they come back.
const KEPT: usize = 1024;

impl ScratchPool {
    pub(crate) fn take(self: &Rc<Self>) -> ScratchRef {
        let scratch = self.free.borrow_mut().pop();
        let scratch = scratch.unwrap_or_else(|| NonNull::from(Box::leak(Box::new(Scratch::new()))));
        ScratchRef { scratch, home: self.clone() }
    }
}

impl Drop for ScratchPool {
    fn drop(&mut self) {
        for scratch in self.free.get_mut().drain(..) {
            // SAFETY: a pointer in the free list came from Box::leak and has no other owner.
            drop(unsafe { Box::from_raw(scratch.as_ptr()) });
        }
    }
}

/// A scratch box, owned by an operation's payload.
pub struct ScratchRef {
    scratch: NonNull<Scratch>,
    home: Rc<ScratchPool>,
}

impl ScratchRef {
    /// The stable address, for the system.
    pub(crate) fn as_ptr(&self) -> *mut Scratch {
        self.scratch.as_ptr()
    }

    pub(crate) fn get(&self) -> &Scratch {
        // SAFETY: this value owns the box; the system has let go of it when a payload is looked at.
        unsafe { self.scratch.as_ref() }
    }

    pub(crate) fn get_mut(&mut self) -> &mut Scratch {
        // SAFETY: as for `get`; `&mut self` makes it exclusive.
        unsafe { self.scratch.as_mut() }
    }
}

impl Drop for ScratchRef {
    fn drop(&mut self) {
        self.get_mut().reset();
        let mut free = self.home.free.borrow_mut();
        if free.len() < KEPT {
            free.push(self.scratch);
        } else {
            // SAFETY: the box came from Box::leak and this value was its only owner.
            drop(unsafe { Box::from_raw(self.scratch.as_ptr()) });
        }
    }
}
