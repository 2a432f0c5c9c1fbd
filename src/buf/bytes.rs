//! The buffers of the `bytes` crate.

use super::{IoBuf, IoBufMut};
use bytes::{Bytes, BytesMut};

// SAFETY: `Bytes` points to shared memory that stays in place while a reference to it lives.
unsafe impl IoBuf for Bytes {
    fn stable_ptr(&self) -> *const u8 {
        self.as_ptr()
    }
    fn initialized(&self) -> usize {
        self.len()
    }
}

// SAFETY: the bytes are on the heap; nothing reallocates while the port holds the value.
unsafe impl IoBuf for BytesMut {
    fn stable_ptr(&self) -> *const u8 {
        self.as_ptr()
    }
    fn initialized(&self) -> usize {
        self.len()
    }
}

// SAFETY: as above; `capacity` bytes are this value's own.
unsafe impl IoBufMut for BytesMut {
    fn stable_mut_ptr(&mut self) -> *mut u8 {
        self.as_mut_ptr()
    }
    fn capacity(&self) -> usize {
        BytesMut::capacity(self)
    }
    unsafe fn filled(&mut self, len: usize) {
        // SAFETY: the caller's: `len` bytes are initialized and within the capacity.
        unsafe { self.set_len(len) }
    }
}
