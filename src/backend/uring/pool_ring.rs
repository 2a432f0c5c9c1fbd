//! The pool's buffers as a ring of provided buffers: the kernel picks one when data is there
//! (`IORING_REGISTER_PBUF_RING`, Linux 5.19).
//!
//! The ring is memory shared with the kernel: entries of address, length and index, and a tail that
//! publishes them. Only this side writes to it.

use super::entry::GROUP;
use crate::buf::pool::Ring;
use crate::sys::Mapping;
use io_uring::IoUring;
use io_uring::types::BufRingEntry;
use std::cell::Cell;
use std::io;
use std::sync::atomic::{AtomicU16, Ordering};

/// The registered ring. It outlives the io_uring it is registered with, as the pool does.
pub(super) struct PoolRing {
    memory: Mapping,
    entries: u16,
    tail: Cell<u16>,
}

impl PoolRing {
    /// Makes a ring of `entries` (a power of two) and registers it.
    pub(super) fn register(ring: &IoUring, entries: u16) -> io::Result<PoolRing> {
        let memory = Mapping::anonymous(usize::from(entries) * size_of::<BufRingEntry>())?;
        // SAFETY: page-aligned memory for that many entries. The kernel pins its pages, and the pool
        // keeps the mapping for longer than the port keeps the io_uring.
        unsafe {
            ring.submitter().register_buf_ring_with_flags(memory.as_ptr() as u64, entries, GROUP, 0)?;
        }
        Ok(PoolRing { memory, entries, tail: Cell::new(0) })
    }
}

impl Ring for PoolRing {
    fn publish(&self, index: u16, address: *mut u8, size: usize) {
        let ring = self.memory.as_ptr().cast::<BufRingEntry>();
        let tail = self.tail.get();
        self.tail.set(tail.wrapping_add(1));
        // SAFETY: the place is within the ring. There are as many places as buffers, so the kernel has
        // taken what was there; each field is written by itself, which leaves the tail (in the first
        // entry) alone. The tail is aligned as an AtomicU16 is and lives as long as the mapping.
        unsafe {
            let entry = &mut *ring.add(usize::from(tail & (self.entries - 1)));
            entry.set_addr(address as u64);
            entry.set_len(size as u32);
            entry.set_bid(index);
            let shared = AtomicU16::from_ptr(BufRingEntry::tail(ring).cast_mut());
            shared.store(tail.wrapping_add(1), Ordering::Release);
        }
    }
}
