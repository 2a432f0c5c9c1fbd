//! Packets of an I/O completion port, taken in batches.

use std::io;
use std::os::windows::io::{AsRawHandle, BorrowedHandle};
use windows_sys::Win32::System::IO::{GetQueuedCompletionStatusEx, OVERLAPPED_ENTRY};

/// Room for packets.
pub(crate) struct Packets(Vec<OVERLAPPED_ENTRY>);

// SAFETY: the addresses in it are numbers here, which nobody follows.
unsafe impl Send for Packets {}

/// A packet: the key of the handle whose call it is, and what the call was given as its address.
#[derive(Clone, Copy)]
pub(crate) struct Packet {
    pub(crate) key: usize,
    pub(crate) address: usize,
}

impl Packets {
    pub(crate) const fn new() -> Packets {
        Packets(Vec::new())
    }

    /// `GetQueuedCompletionStatusEx`: at most `room` packets (1 or more), within `millis`.
    ///
    /// # Errors
    /// `WAIT_TIMEOUT` when the time is up.
    pub(crate) fn take(
        &mut self,
        port: BorrowedHandle<'_>,
        room: usize,
        millis: u32,
    ) -> io::Result<impl Iterator<Item = Packet> + '_> {
        self.0.clear();
        self.0.reserve(room);
        let (mut count, room) = (0, u32::try_from(room).unwrap_or(u32::MAX));
        // SAFETY: the list has room for that many packets; the port is open.
        let taken = unsafe {
            GetQueuedCompletionStatusEx(port.as_raw_handle(), self.0.as_mut_ptr(), room, &mut count, millis, 0)
        };
        if taken == 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the call has written that many packets; they are plain data.
        unsafe { self.0.set_len(count as usize) };
        Ok(self.0.iter().map(|packet| Packet { key: packet.lpCompletionKey, address: packet.lpOverlapped.addr() }))
    }
}
