//! Memory that the system reads or writes beside the lent buffer: message headers, `iovec` lists,
//! socket addresses, file metadata.
//!
//! It must stay in place as long as the buffer, but is too large for a slot and needed by few
//! operations. So each port keeps a pool of [`Scratch`] boxes; an operation that needs one carries a
//! [`ScratchRef`] in its payload, and dropping that gives the box back. In steady state none is
//! allocated. [`Mapping`] is page-aligned anonymous memory, for the buffer pool and its ring.

use crate::buf::{IoVec, IoVecMut};
use socket2::SockAddr;
use std::cell::RefCell;
use std::io;
use std::ptr::{self, NonNull};
use std::rc::Rc;

/// A kernel takes at most so many buffers a call; what is behind them is a short transfer, as for any
/// buffer that was not filled or sent whole.
const IOV_MAX: usize = 1024;

/// What one operation may need beside its buffer.
pub(crate) struct Scratch {
    pub(crate) header: libc::msghdr,
    /// The buffers of a vectored operation; its allocation is kept from use to use.
    iovecs: Vec<libc::iovec>,
    address: libc::sockaddr_storage,
    #[cfg(target_os = "linux")]
    pub(crate) statx: libc::statx,
    #[cfg(not(target_os = "linux"))]
    pub(crate) stat: libc::stat,
}

impl Scratch {
    fn new() -> Scratch {
        // SAFETY: all of these are plain C structures for which all-zero is a value.
        unsafe {
            Scratch {
                header: std::mem::zeroed(),
                iovecs: Vec::new(),
                address: std::mem::zeroed(),
                #[cfg(target_os = "linux")]
                statx: std::mem::zeroed(),
                #[cfg(not(target_os = "linux"))]
                stat: std::mem::zeroed(),
            }
        }
    }

    /// Names the peer: for connect and send-to.
    pub(crate) fn set_address(&mut self, address: &SockAddr) {
        let len = address.len() as usize;
        // SAFETY: a SockAddr is at most as large as a sockaddr_storage; both are plain bytes.
        unsafe {
            ptr::copy_nonoverlapping(address.as_ptr().cast::<u8>(), (&raw mut self.address).cast(), len);
        }
        self.header.msg_name = (&raw mut self.address).cast();
        self.header.msg_namelen = address.len() as _;
    }

    /// Makes room for the peer's address: for recv-from.
    pub(crate) fn expect_address(&mut self) {
        self.header.msg_name = (&raw mut self.address).cast();
        self.header.msg_namelen = size_of::<libc::sockaddr_storage>() as _;
    }

    /// The address that the system wrote.
    pub(crate) fn received_address(&self) -> SockAddr {
        let mut storage = socket2::SockAddrStorage::zeroed();
        let len = (self.header.msg_namelen as usize).min(size_of::<libc::sockaddr_storage>());
        // SAFETY: `len` bytes of the address were written by the system (or are still zero: an
        // unnamed peer), both sides have room for them, and the family is the one written there.
        unsafe {
            let to = storage.view_as::<libc::sockaddr_storage>();
            ptr::copy_nonoverlapping((&raw const self.address).cast::<u8>(), ptr::from_mut(to).cast::<u8>(), len);
            SockAddr::new(storage, len as _)
        }
    }

    /// Address and length of the peer's name, as `connect` takes them.
    pub(crate) fn name(&self) -> (*const libc::sockaddr, libc::socklen_t) {
        ((&raw const self.address).cast(), self.header.msg_namelen)
    }

    /// The family of the peer's name.
    #[cfg(target_os = "linux")]
    pub(crate) fn family(&self) -> i32 {
        i32::from(self.address.ss_family)
    }

    pub(crate) fn one_buffer(&mut self, address: *mut u8, len: usize) {
        self.iovecs.push(libc::iovec { iov_base: address.cast(), iov_len: len });
        self.point_header();
    }

    pub(crate) fn buffers_of(&mut self, buffers: &impl IoVec) {
        let list = &mut self.iovecs;
        buffers.each(|base, len| list.push(libc::iovec { iov_base: base.cast_mut().cast(), iov_len: len }));
        self.point_header();
    }

    pub(crate) fn buffers_of_mut(&mut self, buffers: &mut impl IoVecMut) {
        let list = &mut self.iovecs;
        buffers.each_mut(|base, len| list.push(libc::iovec { iov_base: base.cast(), iov_len: len }));
        self.point_header();
    }

    fn point_header(&mut self) {
        let count = self.iovecs.len().min(IOV_MAX);
        self.header.msg_iov = self.iovecs.as_mut_ptr();
        self.header.msg_iovlen = count as _;
    }

    /// The bytes of all buffers that one call reaches.
    pub(crate) fn total(&self) -> usize {
        self.iovecs.iter().take(IOV_MAX).map(|v| v.iov_len).sum()
    }

    /// What remains as `iovec`s, for `readv` and `writev`.
    #[allow(clippy::unnecessary_cast)] // the field's type differs from system to system
    pub(crate) fn iovecs(&self) -> (*const libc::iovec, usize) {
        (self.header.msg_iov, self.header.msg_iovlen as usize)
    }

    fn reset(&mut self) {
        self.iovecs.clear();
        // SAFETY: all-zero is a value of this plain C structure.
        self.header = unsafe { std::mem::zeroed() };
    }
}

/// The port's free scratch boxes.
#[derive(Default)]
pub(crate) struct ScratchPool {
    free: RefCell<Vec<NonNull<Scratch>>>,
}

/// Boxes kept for the next operation; more than these are freed when they come back.
const KEPT: usize = 1024;

impl ScratchPool {
    pub(crate) fn take(self: &Rc<Self>) -> ScratchRef {
        let scratch = self.free.borrow_mut().pop();
        let scratch = scratch.unwrap_or_else(|| NonNull::from(Box::leak(Box::new(Scratch::new()))));
        ScratchRef { scratch, home: self.clone() }
    }
}

impl Drop for ScratchPool {
    fn drop(&mut self) {
        for scratch in self.free.get_mut().drain(..) {
            // SAFETY: a pointer in the free list came from Box::leak and has no other owner.
            drop(unsafe { Box::from_raw(scratch.as_ptr()) });
        }
    }
}

/// A scratch box, owned by an operation's payload.
pub struct ScratchRef {
    scratch: NonNull<Scratch>,
    home: Rc<ScratchPool>,
}

impl ScratchRef {
    /// The stable address, for the system.
    pub(crate) fn as_ptr(&self) -> *mut Scratch {
        self.scratch.as_ptr()
    }

    pub(crate) fn get(&self) -> &Scratch {
        // SAFETY: this value owns the box; the system has let go of it when a payload is looked at.
        unsafe { self.scratch.as_ref() }
    }

    pub(crate) fn get_mut(&mut self) -> &mut Scratch {
        // SAFETY: as for `get`; `&mut self` makes it exclusive.
        unsafe { self.scratch.as_mut() }
    }
}

impl Drop for ScratchRef {
    fn drop(&mut self) {
        self.get_mut().reset();
        let mut free = self.home.free.borrow_mut();
        if free.len() < KEPT {
            free.push(self.scratch);
        } else {
            // SAFETY: the box came from Box::leak and this value was its only owner.
            drop(unsafe { Box::from_raw(self.scratch.as_ptr()) });
        }
    }
}

/// Anonymous memory, zeroed and page-aligned, unmapped on drop.
pub(crate) struct Mapping {
    start: NonNull<u8>,
    len: usize,
}

impl Mapping {
    pub(crate) fn anonymous(len: usize) -> io::Result<Mapping> {
        use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous};
        // SAFETY: a fresh mapping at an address of the kernel's choice overlaps nothing.
        let start =
            unsafe { mmap_anonymous(ptr::null_mut(), len, ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE)? };
        Ok(Mapping { start: NonNull::new(start.cast()).expect("mmap returns no null"), len })
    }

    pub(crate) fn as_ptr(&self) -> *mut u8 {
        self.start.as_ptr()
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the range is this value's own mapping; whoever used it holds this value.
        let _ = unsafe { rustix::mm::munmap(self.start.as_ptr().cast(), self.len) };
    }
}
