//! Buffers for blocks of files: of one size, and aligned as direct I/O asks for.

use anyport::buf::{IoBuf, IoBufMut};

/// Bytes of a block.
pub const BLOCK: usize = 4096;

#[repr(C, align(4096))]
#[derive(Clone)]
struct Page([u8; BLOCK]);

/// The memory of one block.
#[derive(Clone)]
pub struct Block(Box<Page>);

impl Block {
    /// A block of zeros.
    pub fn new() -> Block {
        Block(Box::new(Page([0; BLOCK])))
    }

    /// All of it.
    pub fn bytes(&self) -> &[u8] {
        &self.0.0
    }

    /// All of it, to be written to.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.0.0
    }
}

impl Default for Block {
    fn default() -> Block {
        Block::new()
    }
}

// SAFETY: the bytes are on the heap, initialised, and stay where they are when the box moves.
unsafe impl IoBuf for Block {
    fn stable_ptr(&self) -> *const u8 {
        self.0.0.as_ptr()
    }

    fn initialized(&self) -> usize {
        BLOCK
    }
}

// SAFETY: as above; all of them may be written.
unsafe impl IoBufMut for Block {
    fn stable_mut_ptr(&mut self) -> *mut u8 {
        self.0.0.as_mut_ptr()
    }

    fn capacity(&self) -> usize {
        BLOCK
    }

    unsafe fn filled(&mut self, _: usize) {}
}
