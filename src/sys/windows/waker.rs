//! Wakes a sleeping port from another thread: a packet posted to the I/O completion port that it sleeps on.
//!
//! So the completion port is made here, before the backend that waits on it, and lives as long as the last
//! poster: a late wake finds a port that nobody waits on, never a stranger's handle.

use std::io;
use std::os::windows::io::{AsHandle, AsRawHandle, BorrowedHandle, FromRawHandle, OwnedHandle};
use std::ptr;
use windows_sys::Win32::Foundation::INVALID_HANDLE_VALUE;
use windows_sys::Win32::System::IO::{CreateIoCompletionPort, PostQueuedCompletionStatus};

/// The key of a wake's packet.
pub(crate) const WAKE: usize = 1;

/// The completion port.
pub(crate) struct Waker(OwnedHandle);

impl Waker {
    pub(crate) fn new() -> io::Result<Waker> {
        // One thread waits on it: no more need to run at once.
        // SAFETY: a call without pointers.
        let port = unsafe { CreateIoCompletionPort(INVALID_HANDLE_VALUE, ptr::null_mut(), 0, 1) };
        if port.is_null() {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the call has just made this handle, and nobody else has it.
        Ok(Waker(unsafe { OwnedHandle::from_raw_handle(port) }))
    }

    pub(crate) fn wake(&self) {
        // Fails only when the kernel has no memory for a packet. What the packet was to announce is in the inbox
        // all the same, and the port finds it when it wakes the next time.
        // SAFETY: a call without pointers; the handle is this value's own.
        unsafe { PostQueuedCompletionStatus(self.0.as_raw_handle(), 0, WAKE, ptr::null()) };
    }

    pub(crate) fn port(&self) -> BorrowedHandle<'_> {
        self.0.as_handle()
    }
}
