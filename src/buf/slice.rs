//! A part of a buffer, as a buffer.
//!
//! Made by [`IoBuf::slice`]; the whole buffer comes back with [`Slice::into_inner`]. To append to a
//! `Vec`, lend `vec.slice(vec.len()..)`.

use super::{IoBuf, IoBufMut};
use std::ops::{Bound, RangeBounds};

/// The bytes `start..end` of a buffer.
///
/// ```
/// # use anyport::{Port, Token, op};
/// # use anyport::buf::{IoBuf, Slice};
/// # use std::io::Write;
/// # fn main() -> std::io::Result<()> {
/// # let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
/// # let mut peer = std::net::TcpStream::connect(listener.local_addr()?)?;
/// # let (stream, _) = listener.accept()?;
/// let mut port = Port::new()?;
/// let conn = port.attach(stream)?;
/// peer.write_all(b"world")?;
/// let mut text = Vec::with_capacity(100);
/// text.extend_from_slice(b"hello ");
/// port.submit(op::Recv::new(conn, text.slice(6..)), Token(1)); // append
/// port.wait(None)?;
/// let (result, slice) = port.next().unwrap().unpack::<op::Recv<Slice<Vec<u8>>>>();
/// assert_eq!((result?, slice.as_slice()), (5, &b"world"[..]));
/// assert_eq!(slice.into_inner(), b"hello world");
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slice<B> {
    inner: B,
    start: usize,
    end: usize,
}

impl<B: IoBuf> Slice<B> {
    pub(super) fn new(inner: B, range: impl RangeBounds<usize>) -> Slice<B> {
        let start = match range.start_bound() {
            Bound::Included(&n) => n,
            Bound::Excluded(&n) => n.saturating_add(1),
            Bound::Unbounded => 0,
        };
        let end = match range.end_bound() {
            Bound::Included(&n) => n.saturating_add(1),
            Bound::Excluded(&n) => n,
            Bound::Unbounded => usize::MAX,
        };
        assert!(start <= end, "a slice cannot start ({start}) after its end ({end})");
        Slice { inner, start, end }
    }

    /// The whole buffer.
    pub fn into_inner(self) -> B {
        self.inner
    }

    /// The whole buffer, by reference.
    pub fn get_ref(&self) -> &B {
        &self.inner
    }

    /// The bytes of the part that are initialized.
    pub fn as_slice(&self) -> &[u8] {
        // SAFETY: IoBuf promises `initialized` readable bytes; `stable_ptr` and `initialized` of
        // this slice stay within them.
        unsafe { std::slice::from_raw_parts(self.stable_ptr(), self.initialized()) }
    }
}

// SAFETY: an address within the inner buffer, which is stable as the inner buffer's is.
unsafe impl<B: IoBuf> IoBuf for Slice<B> {
    fn stable_ptr(&self) -> *const u8 {
        let start = self.start.min(self.inner.initialized());
        // SAFETY: `start` is within the initialized part, or one past its end.
        unsafe { self.inner.stable_ptr().add(start) }
    }
    fn initialized(&self) -> usize {
        self.end.min(self.inner.initialized()).saturating_sub(self.start)
    }
}

/// A slice can be filled where its start lies within what is initialized (or just behind it): a
/// start beyond that leaves a hole, so its capacity is 0 and a receive into it is refused.
// SAFETY: an address within the inner buffer; `capacity` counts from there to its end.
unsafe impl<B: IoBufMut> IoBufMut for Slice<B> {
    fn stable_mut_ptr(&mut self) -> *mut u8 {
        let start = self.start.min(self.inner.initialized());
        // SAFETY: `start` is within the initialized part, or one past its end.
        unsafe { self.inner.stable_mut_ptr().add(start) }
    }
    fn capacity(&self) -> usize {
        if self.start > self.inner.initialized() {
            return 0;
        }
        self.end.min(self.inner.capacity()).saturating_sub(self.start)
    }
    unsafe fn filled(&mut self, len: usize) {
        // SAFETY: the caller's: `len` bytes from `start` are initialized, and those before `start`
        // are because `start` lies within the initialized part (else the capacity is 0).
        unsafe { self.inner.filled(self.start + len) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slice_of_a_vec_appends() {
        let mut vec = Vec::with_capacity(16);
        vec.extend_from_slice(b"head");
        let mut slice = vec.slice(4..);
        assert_eq!(slice.capacity(), 12);
        // SAFETY: two bytes are written right here, within the capacity.
        unsafe {
            slice.stable_mut_ptr().copy_from(b"ok".as_ptr(), 2);
            slice.filled(2);
        }
        assert_eq!(slice.as_slice(), b"ok");
        assert_eq!(slice.into_inner(), b"headok");
    }

    #[test]
    fn a_slice_that_would_leave_a_hole_has_no_room() {
        assert_eq!(Vec::with_capacity(16).slice(1..).capacity(), 0);
    }

    #[test]
    fn a_range_beyond_the_end_is_cut() {
        assert_eq!([1u8, 2, 3].slice(1..9).as_slice(), [2, 3]);
        assert_eq!([1u8, 2, 3].slice(7..9).as_slice(), []);
    }
}
