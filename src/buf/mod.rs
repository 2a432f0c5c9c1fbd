//! Buffers that can be lent to the operating system.
//!
//! [`IoBuf`] is what a send or a write reads from, [`IoBufMut`] what a receive or a read fills. Both
//! move into the operation and come back with its completion, so nobody else can touch them between.
//! [`PoolBuf`] is a buffer of the port's own pool, taken only when data is there.
//!
//! | type | a send takes | a receive fills |
//! | --- | --- | --- |
//! | `Vec<u8>`, `bytes::BytesMut` (feature `bytes`) | its length | its capacity, from the start; the length becomes what was received |
//! | `Box<[u8]>`, `[u8; N]` | all of it | all of it |
//! | `&'static [u8]`, `&'static [u8; N]`, `&'static str`, `String`, `bytes::Bytes` | all of it | - |
//! | [`Slice`] of one of these | the part | the part |
//! | [`PoolBuf`] | what was received | the pool's buffer size |
//! | `Vec<B>`, `[B; N]` of these, in vectored operations | one after the other | one after the other |
//!
//! ```
//! # use anyport::{Port, Token, buf::IoBuf, op};
//! # fn main() -> std::io::Result<()> {
//! # let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
//! # let peer = std::net::TcpStream::connect(listener.local_addr()?)?;
//! # let (stream, _) = listener.accept()?;
//! # let mut port = Port::new()?;
//! # let conn = port.attach(stream)?;
//! port.submit(op::SendAll::new(conn, "a constant"), Token(1));
//! port.submit(op::SendAll::new(conn, vec![0; 4096]), Token(2));
//! port.submit(op::SendAll::new(conn, [1, 2, 3].slice(1..)), Token(3));
//! # drop(peer.set_nodelay(true));
//! # Ok(())
//! # }
//! ```

#[cfg(feature = "bytes")]
mod bytes;
pub(crate) mod pool;
pub(crate) mod sender;
mod slice;
mod vectored;

pub use pool::PoolBuf;
pub use slice::Slice;
pub use vectored::{IoVec, IoVecMut};

use std::ops::RangeBounds;

/// A buffer that the system may read while an operation is in flight.
///
/// # Safety
/// Between two calls of `&mut self` methods or a move of data out of the buffer, [`stable_ptr`]
/// must return the same address, valid for reads of [`initialized`] bytes, **even when the value
/// itself was moved after its pointer was taken through a place that is not moved any more**: the
/// port stores the value at its final place first and asks for the pointer then.
///
/// [`stable_ptr`]: IoBuf::stable_ptr
/// [`initialized`]: IoBuf::initialized
///
/// ```
/// use anyport::buf::IoBuf;
/// use std::sync::Arc;
///
/// /// Bytes that many sends share.
/// struct Shared(Arc<[u8]>);
///
/// // SAFETY: the bytes are on the heap, and nobody can change or free them while this value lives.
/// unsafe impl IoBuf for Shared {
///     fn stable_ptr(&self) -> *const u8 {
///         self.0.as_ptr()
///     }
///     fn initialized(&self) -> usize {
///         self.0.len()
///     }
/// }
/// # let shared = Shared(Arc::from(&b"hello"[..]));
/// # assert_eq!(shared.slice(..2).as_slice(), b"he");
/// ```
pub unsafe trait IoBuf: 'static {
    /// The address of the first byte.
    fn stable_ptr(&self) -> *const u8;

    /// How many bytes from [`stable_ptr`](IoBuf::stable_ptr) on are initialized: what a send sends.
    fn initialized(&self) -> usize;

    /// The part of this buffer in `range` (of bytes), as a buffer of its own that gives the whole
    /// back with [`Slice::into_inner`].
    ///
    /// # Panics
    /// When the range starts after its end. A range beyond the buffer's end is cut at the end when
    /// it is used.
    ///
    /// ```
    /// use anyport::buf::IoBuf;
    /// let head = b"status: ok\n".slice(..6);
    /// assert_eq!(head.initialized(), 6);
    /// ```
    fn slice(self, range: impl RangeBounds<usize>) -> Slice<Self>
    where
        Self: Sized,
    {
        Slice::new(self, range)
    }
}

/// A buffer that the system may fill while an operation is in flight.
///
/// A receive fills it from its first byte on, up to its capacity: a `Vec` up to its *capacity*
/// (what it held is replaced, its length becomes what was received), a boxed slice or an array up
/// to its length. On an error the buffer comes back as it was lent, as far as its length goes.
///
/// # Safety
/// As for [`IoBuf`], for writes of [`capacity`](IoBufMut::capacity) bytes.
///
/// ```
/// use anyport::buf::IoBufMut;
///
/// let mut buf = Vec::with_capacity(64);
/// buf.push(1);
/// assert_eq!(IoBufMut::capacity(&buf), 64); // a receive fills it from the start
/// assert_eq!(IoBufMut::capacity(&[0; 8]), 8);
/// ```
pub unsafe trait IoBufMut: IoBuf {
    /// The address of the first byte, for writing.
    fn stable_mut_ptr(&mut self) -> *mut u8;

    /// How many bytes the system may write from there on.
    fn capacity(&self) -> usize;

    /// Told that the system has filled the first `len` bytes.
    ///
    /// # Safety
    /// The first `len` bytes are initialized and `len <= capacity()`.
    unsafe fn filled(&mut self, len: usize);
}

// SAFETY: the bytes are on the heap; moving the Vec does not move them, and nothing reallocates
// while the port holds it.
unsafe impl IoBuf for Vec<u8> {
    fn stable_ptr(&self) -> *const u8 {
        self.as_ptr()
    }
    fn initialized(&self) -> usize {
        self.len()
    }
}

// SAFETY: as above; `capacity` bytes are allocated.
unsafe impl IoBufMut for Vec<u8> {
    fn stable_mut_ptr(&mut self) -> *mut u8 {
        self.as_mut_ptr()
    }
    fn capacity(&self) -> usize {
        Vec::capacity(self)
    }
    unsafe fn filled(&mut self, len: usize) {
        // SAFETY: the caller's: `len` bytes are initialized and within the capacity.
        unsafe { self.set_len(len) }
    }
}

// SAFETY: the bytes are on the heap and the box is not moved out of while the port holds it.
unsafe impl IoBuf for Box<[u8]> {
    fn stable_ptr(&self) -> *const u8 {
        self.as_ptr()
    }
    fn initialized(&self) -> usize {
        self.len()
    }
}

// SAFETY: as above; every byte of the slice may be written.
unsafe impl IoBufMut for Box<[u8]> {
    fn stable_mut_ptr(&mut self) -> *mut u8 {
        self.as_mut_ptr()
    }
    fn capacity(&self) -> usize {
        self.len()
    }
    unsafe fn filled(&mut self, _len: usize) {}
}

// SAFETY: the bytes are the value itself; the port puts it at its final place before it asks for
// the pointer, and does not move it before the operation has returned.
unsafe impl<const N: usize> IoBuf for [u8; N] {
    fn stable_ptr(&self) -> *const u8 {
        self.as_ptr()
    }
    fn initialized(&self) -> usize {
        N
    }
}

// SAFETY: as above; every byte of the array may be written.
unsafe impl<const N: usize> IoBufMut for [u8; N] {
    fn stable_mut_ptr(&mut self) -> *mut u8 {
        self.as_mut_ptr()
    }
    fn capacity(&self) -> usize {
        N
    }
    unsafe fn filled(&mut self, _len: usize) {}
}

// SAFETY: static memory does not move.
unsafe impl IoBuf for &'static [u8] {
    fn stable_ptr(&self) -> *const u8 {
        self.as_ptr()
    }
    fn initialized(&self) -> usize {
        self.len()
    }
}

// SAFETY: static memory does not move.
unsafe impl<const N: usize> IoBuf for &'static [u8; N] {
    fn stable_ptr(&self) -> *const u8 {
        self.as_ptr()
    }
    fn initialized(&self) -> usize {
        N
    }
}

// SAFETY: static memory does not move.
unsafe impl IoBuf for &'static str {
    fn stable_ptr(&self) -> *const u8 {
        self.as_ptr()
    }
    fn initialized(&self) -> usize {
        self.len()
    }
}

// SAFETY: as for Vec<u8>.
unsafe impl IoBuf for String {
    fn stable_ptr(&self) -> *const u8 {
        self.as_ptr()
    }
    fn initialized(&self) -> usize {
        self.len()
    }
}
