//! The name of a datagram's sender, in the memory of the pool buffer that the datagram is in, right before it.
//!
//! So a multishot receive has a place for each name, and nothing else has to carry them. The layout is that of io_uring,
//! whose kernel writes a header (`io_uring_recvmsg_out`) and the name before the datagram; elsewhere the name is written
//! to the same place.

use socket2::{SockAddr, SockAddrStorage};

/// Room for a name. The longest that any system has is a Unix socket's, of 110 bytes at most.
pub(crate) const NAME: usize = 112;

/// Header and name. Two lines of the cache, so that the datagram begins with one, as it does in other buffers.
#[repr(C, align(64))]
pub(crate) struct Sender {
    /// The name's length, as the system tells it.
    len: u32,
    /// Of ancillary data (none is asked for) and of the datagram, and its flags.
    _others: [u32; 3],
    name: [u8; NAME],
}

const _: () = assert!(size_of::<Sender>() == 2 * 64);

impl Sender {
    /// Where the system is to write the name and, over that of the room, its length.
    ///
    /// # Safety
    /// `place` is valid for writes, and nobody else uses it.
    pub(crate) unsafe fn expect(place: *mut Sender) -> (*mut u8, *mut u32) {
        // SAFETY: the caller's; no reference is made.
        unsafe {
            (*place).len = NAME as u32;
            ((&raw mut (*place).name).cast(), &raw mut (*place).len)
        }
    }

    /// The name as an address.
    pub(crate) fn address(&self) -> SockAddr {
        // What is longer than its room was cut.
        let len = (self.len as usize).min(NAME);
        let mut storage = SockAddrStorage::zeroed();
        // SAFETY: plain bytes, of which the storage has more than the name; those that the system wrote are an address of
        // the family that is named there, and without any it is an address of none.
        unsafe {
            storage.view_as::<[u8; NAME]>()[..len].copy_from_slice(&self.name[..len]);
            SockAddr::new(storage, len as _)
        }
    }
}

/// The address of nobody.
pub(crate) fn unnamed() -> SockAddr {
    // SAFETY: no bytes are an address of no family.
    unsafe { SockAddr::new(SockAddrStorage::zeroed(), 0) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::SocketAddr;

    #[test]
    fn a_name_is_read_as_it_was_written() {
        // SAFETY: all-zero is a value of this plain structure.
        let mut sender: Sender = unsafe { std::mem::zeroed() };
        assert_eq!(sender.address(), unnamed());
        for text in ["192.0.2.1:53", "[2001:db8::1]:443"] {
            let address = SockAddr::from(text.parse::<SocketAddr>().unwrap());
            // SAFETY: the sender is this frame's, and an address has fewer bytes than there is room for.
            unsafe {
                let (name, len) = Sender::expect(&mut sender);
                std::ptr::copy_nonoverlapping(address.as_ptr().cast(), name, address.len() as usize);
                *len = address.len() as _;
            }
            assert_eq!(sender.address(), address);
        }
    }
}
