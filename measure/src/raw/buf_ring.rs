//! A ring of provided buffers: memory that the kernel picks a buffer from when data is there, and that gets the buffer
//! back by an entry in shared memory, without a system call.

use std::io;
use std::ptr;
use std::slice;
use std::sync::atomic::{AtomicU16, Ordering};

use io_uring::{IoUring, types::BufRingEntry};
use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous, munmap};

/// Buffers of one size, lent to the kernel except those that a completion named.
pub struct BufRing {
    /// The entries, followed by the buffers.
    memory: *mut u8,
    length: usize,
    count: u16,
    size: usize,
    /// From one buffer to the next: some more than a buffer, so that they do not share few places of the cache.
    stride: usize,
    tail: u16,
}

impl BufRing {
    /// Maps `count` buffers (a power of two) of `size` bytes and registers them as `group`.
    ///
    /// # Safety
    ///
    /// The value outlives the ring and everything that is in flight on it.
    pub unsafe fn register(ring: &IoUring, group: u16, count: u16, size: usize) -> io::Result<BufRing> {
        let stride = size + 64;
        let length = usize::from(count) * (size_of::<BufRingEntry>() + stride);
        // SAFETY: a new mapping at a place of the kernel's choice overlaps nothing.
        let memory =
            unsafe { mmap_anonymous(ptr::null_mut(), length, ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE)? };
        let mut buffers = BufRing { memory: memory.cast(), length, count, size, stride, tail: 0 };
        let submitter = ring.submitter();
        // SAFETY: the mapping is page-aligned, holds `count` entries and lives long enough (promised by the caller).
        unsafe { submitter.register_buf_ring_with_flags(memory as u64, count, group, 0)? };
        (0..count).for_each(|id| buffers.give_back(id));
        Ok(buffers)
    }

    /// The first `length` bytes of the buffer `id`, which a completion has named and nobody has given back yet.
    pub fn filled(&self, id: u16, length: usize) -> &[u8] {
        assert!(id < self.count && length <= self.size);
        // SAFETY: within the mapping (asserted), which is zeroed by the kernel and thus initialised; the kernel does not
        // write to a buffer that it handed out.
        unsafe { slice::from_raw_parts(self.buffer(id), length) }
    }

    /// Lends the buffer `id` to the kernel again.
    pub fn give_back(&mut self, id: u16) {
        assert!(id < self.count);
        let entries: *mut BufRingEntry = self.memory.cast();
        let place = usize::from(self.tail & (self.count - 1));
        // SAFETY: `place` is one of the `count` entries at the start of the mapping, and the kernel does not read it
        // before the tail has moved past it.
        let entry = unsafe { &mut *entries.add(place) };
        entry.set_addr(self.buffer(id) as u64);
        entry.set_len(self.size as u32);
        entry.set_bid(id);
        self.tail = self.tail.wrapping_add(1);
        // SAFETY: the tail lies in the first entry; the kernel reads it atomically.
        let tail = unsafe { &*BufRingEntry::tail(entries).cast::<AtomicU16>() };
        tail.store(self.tail, Ordering::Release);
    }

    fn buffer(&self, id: u16) -> *mut u8 {
        let offset = usize::from(self.count) * size_of::<BufRingEntry>();
        self.memory.wrapping_add(offset + usize::from(id) * self.stride)
    }
}

impl Drop for BufRing {
    fn drop(&mut self) {
        // SAFETY: nobody uses the mapping any more (promised at `register`).
        let _ = unsafe { munmap(self.memory.cast(), self.length) };
    }
}
