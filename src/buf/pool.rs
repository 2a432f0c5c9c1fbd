//! The port's pool of receive buffers, and [`PoolBuf`], one of them on loan to the user.
//!
//! Pooled receives take a buffer only when there is data for it, so idle connections pin none. A
//! `PoolBuf` goes back by itself when it is dropped, also after the port is gone. Two ways to hand
//! the free buffers out share this file's book-keeping: a stack of indices (reactors take from it,
//! last in first out, so a hot buffer stays in cache), or a ring shared with the kernel (io_uring's
//! provided buffers), to which a dropped buffer is published again.
//!
//! Multishot receives that tell the sender take from a second pool of the same measure, with room for the sender's name
//! in front of each buffer: a kernel that picks buffers by itself needs the two kinds apart.
//!
//! Invariant: each index is in exactly one place: free (stack or ring), or in one `PoolBuf`.

use super::sender::{Sender, unnamed};
use super::{IoBuf, IoBufMut};
use crate::op::raw::{MAX_TRANSFER, RawOp};
use crate::sys::Mapping;
use socket2::SockAddr;
use std::cell::{Cell, OnceCell};
use std::fmt;
use std::io;
use std::ops::{Deref, DerefMut};
use std::rc::Rc;

/// Where free buffers are published when the kernel picks them itself.
pub(crate) trait Ring {
    /// Gives buffer `index` at `address` back to the kernel.
    fn publish(&self, index: u16, address: *mut u8, size: usize);
}

/// The buffers of one port.
pub(crate) struct Pool {
    buffers: u16,
    size: usize,
    /// What one call fills of a buffer, at most.
    reach: usize,
    /// Bytes in front of each buffer: a [`Sender`], or none.
    front: usize,
    /// From one buffer to the next: a line of the cache more than a buffer. Buffers a power of two apart would share few
    /// places of the cache, and small messages push each other out of it.
    stride: usize,
    /// Made at the first use, so that a port without pooled receives has no such memory.
    memory: OnceCell<Memory>,
    ring: OnceCell<Box<dyn Ring>>,
    available: Cell<usize>,
    /// The pool of buffers with names in front, made when it is first asked for.
    named: OnceCell<Rc<Pool>>,
}

/// The memory of all buffers.
struct Memory {
    _mapping: Mapping,
    /// Where the first buffer begins, behind what is in front of it.
    first: *mut u8,
    /// The first `available` of these are the free buffers, where no ring has them.
    stack: Box<[Cell<u16>]>,
}

/// A line of the cache.
const LINE: usize = 64;

impl Pool {
    pub(crate) fn new(buffers: u16, size: usize) -> Rc<Pool> {
        Pool::behind(0, buffers, size)
    }

    fn behind(front: usize, buffers: u16, size: usize) -> Rc<Pool> {
        Rc::new(Pool {
            buffers,
            size,
            reach: size.min(MAX_TRANSFER),
            front,
            stride: front + size.next_multiple_of(LINE) + LINE,
            memory: OnceCell::new(),
            ring: OnceCell::new(),
            available: Cell::new(usize::from(buffers)),
            named: OnceCell::new(),
        })
    }

    /// The pool of the same measure whose buffers have room for a [`Sender`] in front.
    pub(crate) fn named(&self) -> &Rc<Pool> {
        self.named.get_or_init(|| Pool::behind(size_of::<Sender>(), self.buffers, self.size))
    }

    /// The same, unless nobody has asked for it yet.
    #[cfg(target_os = "linux")]
    pub(crate) fn named_if_made(&self) -> Option<&Rc<Pool>> {
        self.named.get()
    }

    /// The pool that an operation takes from: this one, or that of buffers with names.
    #[inline]
    pub(crate) fn of<'a>(self: &'a Rc<Self>, raw: &RawOp) -> &'a Rc<Pool> {
        if let RawOp::RecvFromPooledMulti = raw { self.named() } else { self }
    }

    #[cfg(target_os = "linux")]
    pub(crate) fn buffers(&self) -> u16 {
        self.buffers
    }

    /// Bytes of each buffer.
    #[cfg(any(target_os = "linux", windows))]
    pub(crate) fn size(&self) -> usize {
        self.size
    }

    /// How many receives could have a buffer now.
    pub(crate) fn available(&self) -> usize {
        self.available.get()
    }

    /// The memory, which is mapped if that has not happened yet.
    #[inline(always)]
    fn memory(&self) -> io::Result<&Memory> {
        match self.memory.get() {
            Some(memory) => Ok(memory),
            None => self.map(),
        }
    }

    #[cold]
    fn map(&self) -> io::Result<&Memory> {
        let mapping = Mapping::anonymous(usize::from(self.buffers) * self.stride)?;
        // SAFETY: the front of the first buffer is within the mapping.
        let first = unsafe { mapping.as_ptr().add(self.front) };
        let buffers = if self.ring.get().is_none() { self.buffers } else { 0 };
        let stack = (0..buffers).rev().map(Cell::new).collect();
        Ok(self.memory.get_or_init(|| Memory { _mapping: mapping, first, stack }))
    }

    /// Hands all buffers to the kernel's ring, from now on the only place where they are free.
    #[cfg(target_os = "linux")]
    pub(crate) fn publish_to(&self, ring: Box<dyn Ring>) -> io::Result<()> {
        assert!(self.memory.get().is_none(), "the pool chooses its way of handing out once");
        let ring = self.ring.get_or_init(|| ring);
        self.memory()?;
        for index in 0..self.buffers {
            ring.publish(index, self.address(index), self.size);
        }
        Ok(())
    }

    #[inline]
    fn address(&self, index: u16) -> *mut u8 {
        let memory = self.memory.get().expect("a buffer exists only once the memory does");
        // SAFETY: the mapping has `buffers * stride` bytes and `index < buffers`.
        unsafe { memory.first.add(usize::from(index) * self.stride) }
    }

    /// What is in front of a taken buffer of a pool with names. Whoever has the buffer has this, too.
    pub(crate) fn sender(&self, index: u16) -> *mut Sender {
        assert!(self.front == size_of::<Sender>(), "only some buffers have a name in front");
        // SAFETY: the buffer's front is within the mapping, and aligned because the mapping's begin and the stride are.
        unsafe { self.address(index).sub(self.front).cast() }
    }

    /// Takes a free buffer; `None` when all are out.
    #[inline(always)]
    pub(crate) fn take(&self) -> io::Result<Option<u16>> {
        let stack = &self.memory()?.stack;
        let left = self.available.get().wrapping_sub(1);
        let top = stack.get(left).map(Cell::get);
        if top.is_some() {
            self.available.set(left);
        }
        Ok(top)
    }

    /// The kernel has taken buffer `index`.
    #[cfg(target_os = "linux")]
    pub(crate) fn was_taken(&self, index: u16) {
        assert!(index < self.buffers, "the kernel takes what was published");
        self.available.set(self.available.get() - 1);
    }

    /// Gives a taken buffer back.
    #[inline]
    pub(crate) fn give_back(&self, index: u16) {
        let available = self.available.get();
        match (self.ring.get(), self.memory.get()) {
            (Some(ring), _) => ring.publish(index, self.address(index), self.size),
            (None, memory) => memory.expect("it was taken from there").stack[available].set(index),
        }
        self.available.set(available + 1);
    }

    /// Where to write into a taken buffer, and how much in one call.
    #[inline]
    pub(crate) fn room(&self, index: u16) -> (*mut u8, usize) {
        (self.address(index), self.reach)
    }

    /// A taken buffer, of which `len` bytes were written, for the user.
    #[inline]
    pub(crate) fn lend(self: Rc<Self>, index: u16, len: usize) -> PoolBuf {
        assert!(len <= self.size);
        PoolBuf { home: Some(self), filled: Filled::new(index, len) }
    }
}

/// A buffer of the port's pool, filled by a pooled receive. Dropping it gives it back.
///
/// It reads as a byte slice, and can be lent again, to be sent for example. It belongs to its
/// port's thread; copy the bytes out to move them elsewhere. While all buffers of the pool are out,
/// pooled receives wait.
///
/// ```
/// # use anyport::{Port, Token, op};
/// # use anyport::buf::PoolBuf;
/// # use std::io::{Read, Write};
/// # fn main() -> std::io::Result<()> {
/// # let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
/// # let mut peer = std::net::TcpStream::connect(listener.local_addr()?)?;
/// # let (stream, _) = listener.accept()?;
/// let mut port = Port::builder().pool(16, 4096).build()?;
/// let conn = port.attach(stream)?;
/// peer.write_all(b"echo")?;
/// port.submit(op::RecvPooled::new(conn), Token(1));
/// port.wait(None)?;
/// let buf: PoolBuf = port.next().unwrap().unpack::<op::RecvPooled>()?;
/// assert_eq!(&buf[..], b"echo");
/// port.submit(op::SendAll::new(conn, buf), Token(2)); // lent again, and back in the pool after that
/// port.wait(None)?;
/// drop(port.next());
/// let mut back = [0; 4];
/// peer.read_exact(&mut back)?;
/// assert_eq!(&back, b"echo");
/// # Ok(())
/// # }
/// ```
pub struct PoolBuf {
    /// `None`: an empty buffer that came from nowhere (an end of stream takes no buffer).
    home: Option<Rc<Pool>>,
    filled: Filled,
}

/// Which buffer, above the length of what is in it. One word, so that a `PoolBuf` is two and is handed on in registers: what
/// is written to memory in parts and read back as a whole waits for that.
#[derive(Clone, Copy)]
struct Filled(u64);

impl Filled {
    fn new(index: u16, len: usize) -> Filled {
        Filled(u64::from(index) << 32 | u64::from(len as u32))
    }

    fn index(self) -> u16 {
        (self.0 >> 32) as u16
    }

    fn len(self) -> usize {
        self.0 as u32 as usize
    }
}

impl PoolBuf {
    /// The address of who sent what is in it, where it has room for one.
    pub(crate) fn sender(&self) -> SockAddr {
        match &self.home {
            // SAFETY: a receive has written the name (mapped memory is zeroed), and this value is the only owner of the
            // buffer and of what is in front of it.
            Some(home) if home.front > 0 => unsafe { (*home.sender(self.filled.index())).address() },
            _ => unnamed(),
        }
    }

    /// What an end of stream is reported with.
    pub(crate) fn empty() -> PoolBuf {
        PoolBuf { home: None, filled: Filled::new(0, 0) }
    }
}

impl Deref for PoolBuf {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: `len` bytes from the address on are initialized (mapped memory is zeroed, and a
        // receive has written them), and this value is the only owner of the buffer.
        unsafe { std::slice::from_raw_parts(self.stable_ptr(), self.filled.len()) }
    }
}

impl DerefMut for PoolBuf {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as for `deref`; `&mut self` makes it exclusive.
        unsafe { std::slice::from_raw_parts_mut(self.stable_mut_ptr(), self.filled.len()) }
    }
}

// SAFETY: the pool's memory is mapped until the last Rc to it is gone, and never moves.
unsafe impl IoBuf for PoolBuf {
    #[inline]
    fn stable_ptr(&self) -> *const u8 {
        match &self.home {
            Some(home) => home.address(self.filled.index()),
            None => std::ptr::NonNull::dangling().as_ptr(),
        }
    }
    #[inline]
    fn initialized(&self) -> usize {
        self.filled.len()
    }
}

// SAFETY: as above; a buffer has the pool's `size` bytes.
unsafe impl IoBufMut for PoolBuf {
    fn stable_mut_ptr(&mut self) -> *mut u8 {
        self.stable_ptr().cast_mut()
    }
    fn capacity(&self) -> usize {
        self.home.as_ref().map_or(0, |home| home.size)
    }
    unsafe fn filled(&mut self, len: usize) {
        self.filled = Filled::new(self.filled.index(), len);
    }
}

impl Drop for PoolBuf {
    #[inline]
    fn drop(&mut self) {
        if let Some(home) = &self.home {
            home.give_back(self.filled.index());
        }
    }
}

impl fmt::Debug for PoolBuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PoolBuf").field("index", &self.filled.index()).field("len", &self.filled.len()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::super::sender::NAME;
    use super::*;

    #[test]
    fn buffers_come_back_on_drop_and_outlive_the_pool() {
        let pool = Pool::new(2, 64);
        let take = || pool.take().unwrap().map(|index| pool.clone().lend(index, 0));
        let (one, two) = (take().unwrap(), take().unwrap());
        assert_ne!(one.stable_ptr(), two.stable_ptr());
        assert!(pool.available() == 0 && take().is_none());
        drop(one);
        assert_eq!(pool.available(), 1);
        drop(pool);
        assert_eq!(two.len(), 0);
    }

    #[test]
    fn names_are_beside_the_buffers() {
        let named = Pool::new(2, 100).named().clone();
        let take = || named.take().unwrap().unwrap();
        let taken = [take(), take()];
        for index in taken {
            // SAFETY: the buffer was taken, and nobody else uses it.
            unsafe {
                let (name, len) = Sender::expect(named.sender(index));
                name.write_bytes(index as u8 + 1, *len as usize);
                let (address, size) = named.room(index);
                address.write_bytes(0xff, size);
            }
        }
        for index in taken {
            let buf = named.clone().lend(index, 100);
            assert_eq!(*buf, [0xff; 100]);
            let sender = buf.sender();
            // SAFETY: the address has as many bytes.
            let name = unsafe { std::slice::from_raw_parts(sender.as_ptr().cast::<u8>(), NAME) };
            assert_eq!(name, [index as u8 + 1; NAME]);
        }
    }

    #[test]
    fn memory_is_mapped_at_the_first_use() {
        let pool = Pool::new(2, 64);
        assert!(pool.memory.get().is_none());
        pool.take().unwrap();
        assert!(pool.memory.get().is_some());
    }
}
