//! The pool's buffers as a ring of provided buffers: the kernel picks one when data is there
//! (`IORING_REGISTER_PBUF_RING`, Linux 5.19).
//!
//! The ring is memory shared with the kernel: entries of address, length and index, and a tail that
//! publishes them. Only this side writes to it. Of buffers with names the kernel is given what is in front, too: its
//! multishot receives write the name there. Their indices are told from the others' by a bit.

use super::entry::{GROUP, NAMED_GROUP};
use crate::buf::pool::Ring;
use crate::buf::sender::Sender;
use crate::sys::Mapping;
use io_uring::IoUring;
use io_uring::types::BufRingEntry;
use std::cell::Cell;
use std::io;
use std::sync::atomic::{AtomicU16, Ordering};

/// The highest bit of an index, which the buffers with names have. (A pool has 2^15 at most.)
pub(super) const NAMED: u16 = 1 << 15;

/// The registered ring, of buffers with names or without. It outlives the io_uring it is registered with, as the pool does.
pub(super) struct PoolRing<const WITH_NAMES: bool> {
    memory: Mapping,
    /// Of the places of the entries. (A word of its own: read together with the tail, as neighbours of 16 bits can be, it
    /// would wait for the tail to be written.)
    mask: usize,
    tail: Cell<u16>,
}

impl<const WITH_NAMES: bool> PoolRing<WITH_NAMES> {
    /// Makes a ring of `entries` (a power of two) and registers it.
    pub(super) fn register(ring: &IoUring, entries: u16) -> io::Result<Self> {
        let memory = Mapping::anonymous(usize::from(entries) * size_of::<BufRingEntry>())?;
        let group = if WITH_NAMES { NAMED_GROUP } else { GROUP };
        // SAFETY: page-aligned memory for that many entries. The kernel pins its pages, and the pool
        // keeps the mapping for longer than the port keeps the io_uring.
        unsafe {
            ring.submitter().register_buf_ring_with_flags(memory.as_ptr() as u64, entries, group, 0)?;
        }
        Ok(PoolRing { memory, mask: usize::from(entries) - 1, tail: Cell::new(0) })
    }
}

impl<const WITH_NAMES: bool> Ring for PoolRing<WITH_NAMES> {
    fn publish(&self, index: u16, address: *mut u8, size: usize) {
        let (address, size, index) = match WITH_NAMES {
            // (No buffer is longer than what a u32 tells.)
            true => {
                let front = size_of::<Sender>();
                (address.wrapping_sub(front), size.saturating_add(front).min(u32::MAX as usize), index | NAMED)
            }
            false => (address, size, index),
        };
        let ring = self.memory.as_ptr().cast::<BufRingEntry>();
        let tail = self.tail.get();
        self.tail.set(tail.wrapping_add(1));
        // SAFETY: the place is within the ring. There are as many places as buffers, so the kernel has
        // taken what was there; each field is written by itself, which leaves the tail (in the first
        // entry) alone. The tail is aligned as an AtomicU16 is and lives as long as the mapping.
        unsafe {
            let entry = &mut *ring.add(usize::from(tail) & self.mask);
            entry.set_addr(address as u64);
            entry.set_len(size as u32);
            entry.set_bid(index);
            let shared = AtomicU16::from_ptr(BufRingEntry::tail(ring).cast_mut());
            shared.store(tail.wrapping_add(1), Ordering::Release);
        }
    }
}
