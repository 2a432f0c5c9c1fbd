//! Bytes that begin where a page does.
//!
//! Where a buffer lies decides what copying into and out of it costs: on a Zen 3, 16 KiB received from 127.0.0.1 to 8 or 16 bytes
//! behind the begin of a page took 11 to 12.6 us, elsewhere 4.5 to 5.5, once 6.3 (means of 20000, sent and received in turn by one
//! thread, Linux 6.18; its `rep movsb` is slow where the target is a little ahead
//! of the source, within their pages). An allocator puts them anywhere, the same contestant's always in the same place, perhaps.

use std::ops::{Deref, DerefMut};

/// A page of the smallest size.
const PAGE: usize = 4096;

/// A fixed number of bytes, zeroed at first.
pub struct PageAligned {
    memory: Vec<u8>,
    start: usize,
    length: usize,
}

impl PageAligned {
    /// So many of them.
    pub fn zeroed(length: usize) -> PageAligned {
        let memory = vec![0; length + PAGE];
        let start = memory.as_ptr().align_offset(PAGE);
        PageAligned { memory, start, length }
    }
}

impl Deref for PageAligned {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.memory[self.start..self.start + self.length]
    }
}

impl DerefMut for PageAligned {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.memory[self.start..self.start + self.length]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_begin_with_a_page() {
        for length in [0, 1, 4096, 16_384, 100_000] {
            let mut bytes = PageAligned::zeroed(length);
            bytes.fill(7);
            assert!(bytes.as_ptr().addr().is_multiple_of(PAGE) && *bytes == vec![7; length]);
        }
    }
}
