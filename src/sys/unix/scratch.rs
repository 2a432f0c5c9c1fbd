//! What a Unix takes beside the lent buffer: a message header with its `iovec` list, a socket address, a
//! file's metadata.

use crate::buf::{IoVec, IoVecMut};
use crate::op::send_file::Part;
use socket2::SockAddr;
use std::ptr;

/// A kernel takes at most so many buffers a call; what is behind them is a short transfer, as for any
/// buffer that was not filled or sent whole.
const IOV_MAX: usize = 1024;

/// What one operation may need beside its buffer.
pub(crate) struct Scratch {
    pub(crate) header: libc::msghdr,
    /// The buffers of a vectored operation; its allocation is kept from use to use.
    iovecs: Vec<libc::iovec>,
    address: libc::sockaddr_storage,
    /// What a send-file has still to send.
    pub(crate) part: Part,
    #[cfg(target_os = "linux")]
    pub(crate) statx: libc::statx,
    #[cfg(not(target_os = "linux"))]
    pub(crate) stat: libc::stat,
}

impl Scratch {
    pub(crate) fn new() -> Scratch {
        // SAFETY: all of these are plain C structures for which all-zero is a value.
        unsafe {
            Scratch {
                header: std::mem::zeroed(),
                iovecs: Vec::new(),
                address: std::mem::zeroed(),
                part: Part::default(),
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
        // What names none, as a read does, is to leave none.
        self.address.ss_family = libc::AF_UNSPEC as _;
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

    /// Where a receive writes the peer's name and, over that of the room, its length.
    pub(crate) fn name_mut(&mut self) -> (*mut libc::sockaddr, *mut libc::socklen_t) {
        self.expect_address();
        ((&raw mut self.address).cast(), &raw mut self.header.msg_namelen)
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

    /// Empties it for the next operation.
    pub(crate) fn reset(&mut self) {
        self.iovecs.clear();
        // SAFETY: all-zero is a value of this plain C structure.
        self.header = unsafe { std::mem::zeroed() };
    }
}
