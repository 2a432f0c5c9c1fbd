//! Several buffers in one operation: scatter and gather.
//!
//! A vectored operation hands the system a list of pointers and lengths (`iovec`), which lives in the
//! operation's [`Scratch`](crate::scratch::Scratch) beside the buffers.

use super::{IoBuf, IoBufMut};

/// Buffers to send from, in order: `Vec<B>` or `[B; N]`.
///
/// # Safety
/// Each pair handed to `each` must be stable as [`IoBuf`] says.
///
/// ```
/// use anyport::buf::IoVec;
///
/// let mut lengths = Vec::new();
/// [b"head".to_vec(), b"content".to_vec()].each(|_, length| lengths.push(length));
/// assert_eq!(lengths, [4, 7]);
/// ```
pub unsafe trait IoVec: 'static {
    /// Hands out address and length of each buffer.
    fn each(&self, buffer: impl FnMut(*const u8, usize));
}

/// Buffers to receive into, filled one after the other: `Vec<B>` or `[B; N]`.
///
/// # Safety
/// Each pair handed to `each_mut` must be stable as [`IoBufMut`] says.
///
/// ```
/// use anyport::buf::IoVecMut;
///
/// let mut room = 0;
/// vec![[0; 16], [0; 16]].each_mut(|_, capacity| room += capacity);
/// assert_eq!(room, 32);
/// ```
pub unsafe trait IoVecMut: 'static {
    /// Hands out address and capacity of each buffer.
    fn each_mut(&mut self, buffer: impl FnMut(*mut u8, usize));

    /// Told that the system has filled `total` bytes, the first buffer first.
    ///
    /// # Safety
    /// That many bytes are initialized, in order, and fit.
    unsafe fn filled(&mut self, total: usize);
}

/// Spreads `total` filled bytes over the buffers.
///
/// # Safety
/// As for [`IoVecMut::filled`].
unsafe fn spread<B: IoBufMut>(buffers: &mut [B], mut total: usize) {
    for buffer in buffers {
        let here = total.min(buffer.capacity());
        if buffer.capacity() > 0 {
            // SAFETY: the caller's: the bytes are initialized in order; `here` fits this buffer.
            unsafe { buffer.filled(here) };
        }
        total -= here;
    }
}

// SAFETY: the buffers' own pointers; the Vec's elements stay in place while the port holds it.
unsafe impl<B: IoBuf> IoVec for Vec<B> {
    fn each(&self, mut buffer: impl FnMut(*const u8, usize)) {
        self.iter().for_each(|b| buffer(b.stable_ptr(), b.initialized()));
    }
}

// SAFETY: as above.
unsafe impl<B: IoBufMut> IoVecMut for Vec<B> {
    fn each_mut(&mut self, mut buffer: impl FnMut(*mut u8, usize)) {
        self.iter_mut().for_each(|b| buffer(b.stable_mut_ptr(), b.capacity()));
    }
    unsafe fn filled(&mut self, total: usize) {
        // SAFETY: the caller's.
        unsafe { spread(self, total) }
    }
}

// SAFETY: the buffers' own pointers; the array is at its final place when they are asked for.
unsafe impl<B: IoBuf, const N: usize> IoVec for [B; N] {
    fn each(&self, mut buffer: impl FnMut(*const u8, usize)) {
        self.iter().for_each(|b| buffer(b.stable_ptr(), b.initialized()));
    }
}

// SAFETY: as above.
unsafe impl<B: IoBufMut, const N: usize> IoVecMut for [B; N] {
    fn each_mut(&mut self, mut buffer: impl FnMut(*mut u8, usize)) {
        self.iter_mut().for_each(|b| buffer(b.stable_mut_ptr(), b.capacity()));
    }
    unsafe fn filled(&mut self, total: usize) {
        // SAFETY: the caller's.
        unsafe { spread(self, total) }
    }
}
