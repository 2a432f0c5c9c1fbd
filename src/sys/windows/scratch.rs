//! What Windows takes beside the lent buffer: a list of `WSABUF`s, a socket address, a file's metadata.

use crate::buf::{IoVec, IoVecMut};
use crate::op::raw::MAX_TRANSFER;
use crate::op::send_file::Part;
use socket2::SockAddr;
use std::ptr;
use windows_sys::Win32::Networking::WinSock::{
    ADDRESS_FAMILY, SOCKADDR, SOCKADDR_STORAGE, TRANSMIT_FILE_BUFFERS, WSABUF,
};
use windows_sys::Win32::Storage::FileSystem::BY_HANDLE_FILE_INFORMATION;

/// A call takes at most so many buffers; what is behind them is a short transfer, as for any buffer that was
/// not filled or sent whole.
const BUFFERS_MAX: usize = 1024;

/// Calls that take one buffer get a copy of so much of a list; what is behind that is a short transfer.
const GATHERED: usize = 64 * 1024;

/// What one operation may need beside its buffer.
pub(crate) struct Scratch {
    /// The buffers of a vectored operation; its allocation is kept from use to use.
    buffers: Vec<WSABUF>,
    /// The bytes of all of them.
    total: usize,
    /// What stands for all of them in a call that takes one.
    gathered: Vec<u8>,
    /// A call writes here how many bytes of the address it has written.
    pub(crate) address_len: i32,
    /// A receive reads its flags from here when it is carried out, and writes others.
    pub(crate) flags: u32,
    address: SOCKADDR_STORAGE,
    /// What a send-file has still to send, and its head as the call takes it.
    pub(crate) part: Part,
    pub(crate) head: TRANSMIT_FILE_BUFFERS,
    pub(crate) file: BY_HANDLE_FILE_INFORMATION,
}

impl Scratch {
    pub(crate) fn new() -> Scratch {
        // SAFETY: both are plain C structures for which all-zero is a value.
        let (address, file) = unsafe { (std::mem::zeroed(), std::mem::zeroed()) };
        Scratch {
            buffers: Vec::new(),
            total: 0,
            gathered: Vec::new(),
            address_len: 0,
            flags: 0,
            address,
            part: Part::default(),
            head: TRANSMIT_FILE_BUFFERS::default(),
            file,
        }
    }

    /// Names the peer: for connect and send-to.
    pub(crate) fn set_address(&mut self, address: &SockAddr) {
        // SAFETY: a SockAddr is at most as large as a SOCKADDR_STORAGE; both are plain bytes.
        unsafe {
            let len = address.len() as usize;
            ptr::copy_nonoverlapping(address.as_ptr().cast::<u8>(), (&raw mut self.address).cast(), len);
        }
        self.address_len = address.len();
    }

    /// Makes room for the peer's address: for recv-from.
    pub(crate) fn expect_address(&mut self) {
        self.address_len = size_of::<SOCKADDR_STORAGE>() as i32;
    }

    /// The address that the system wrote.
    pub(crate) fn received_address(&self) -> SockAddr {
        let mut storage = socket2::SockAddrStorage::zeroed();
        let len = (self.address_len as usize).min(size_of::<SOCKADDR_STORAGE>());
        // SAFETY: `len` bytes of the address were written by the system (or are still zero: an
        // unnamed peer), both sides have room for them, and the family is the one written there.
        unsafe {
            let to = storage.view_as::<SOCKADDR_STORAGE>();
            ptr::copy_nonoverlapping((&raw const self.address).cast::<u8>(), ptr::from_mut(to).cast::<u8>(), len);
            SockAddr::new(storage, len as i32)
        }
    }

    /// Address and length of the peer's name; the length is 0 where there is none.
    pub(crate) fn name(&self) -> (*const SOCKADDR, i32) {
        ((&raw const self.address).cast(), self.address_len)
    }

    /// Where a receive writes the peer's name, if that is wanted.
    pub(crate) fn name_mut(&mut self) -> (*mut SOCKADDR, *mut i32) {
        ((&raw mut self.address).cast(), &raw mut self.address_len)
    }

    /// The family of the peer's name.
    pub(crate) fn family(&self) -> ADDRESS_FAMILY {
        self.address.ss_family
    }

    /// Appends a buffer. One that is cut ends the list, so that the bytes stay in order.
    fn push(&mut self, address: *mut u8, len: usize) {
        let room = MAX_TRANSFER - self.total;
        if room == 0 || self.buffers.len() == BUFFERS_MAX {
            return;
        }
        let len = len.min(room);
        self.buffers.push(WSABUF { len: len as u32, buf: address });
        self.total += len;
    }

    pub(crate) fn one_buffer(&mut self, address: *mut u8, len: usize) {
        self.push(address, len);
    }

    pub(crate) fn buffers_of(&mut self, buffers: &impl IoVec) {
        buffers.each(|base, len| self.push(base.cast_mut(), len));
    }

    pub(crate) fn buffers_of_mut(&mut self, buffers: &mut impl IoVecMut) {
        buffers.each_mut(|base, len| self.push(base, len));
    }

    /// The bytes of all buffers that one call reaches.
    pub(crate) fn total(&self) -> usize {
        self.total
    }

    /// One buffer in the place of all, for calls that take one: at most [`GATHERED`] bytes.
    pub(crate) fn gathering_room(&mut self) -> (*mut u8, usize) {
        let len = self.total.min(GATHERED);
        self.gathered.clear();
        self.gathered.reserve(len);
        (self.gathered.as_mut_ptr(), len)
    }

    /// The same with the bytes of all.
    ///
    /// # Safety
    /// The buffers are valid for reads.
    pub(crate) unsafe fn gather(&mut self) -> (*const u8, usize) {
        self.gathering_room();
        for buffer in &self.buffers {
            let len = (buffer.len as usize).min(GATHERED - self.gathered.len());
            // SAFETY: the caller's.
            self.gathered.extend_from_slice(unsafe { std::slice::from_raw_parts(buffer.buf, len) });
        }
        (self.gathered.as_ptr(), self.gathered.len())
    }

    /// Spreads `n` bytes that a call has written to [`Scratch::gathering_room`] over the buffers.
    ///
    /// # Safety
    /// That many were written, and the buffers are valid for writes.
    pub(crate) unsafe fn spread(&mut self, n: usize) {
        let mut done = 0;
        for buffer in &self.buffers {
            let len = (buffer.len as usize).min(n - done);
            // SAFETY: the caller's.
            unsafe { ptr::copy_nonoverlapping(self.gathered.as_ptr().add(done), buffer.buf, len) };
            done += len;
        }
    }

    /// The list as calls take it.
    pub(crate) fn buffers(&mut self) -> &mut Vec<WSABUF> {
        &mut self.buffers
    }

    /// Empties it for the next operation.
    pub(crate) fn reset(&mut self) {
        self.buffers.clear();
        (self.total, self.address_len, self.flags) = (0, 0, 0);
        self.address.ss_family = 0;
    }
}
