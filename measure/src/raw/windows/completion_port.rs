//! The bare completion port under the hand-written loops of Windows, and the memory of one overlapped call.

use std::io;
use std::os::windows::io::{AsRawHandle, FromRawHandle, OwnedHandle};
use std::ptr::null_mut;

use windows_sys::Win32::Foundation::{
    ERROR_HANDLE_EOF, ERROR_IO_PENDING, GetLastError, HANDLE, INVALID_HANDLE_VALUE, RtlNtStatusToDosError, WAIT_TIMEOUT,
};
use windows_sys::Win32::Storage::FileSystem::SetFileCompletionNotificationModes;
use windows_sys::Win32::System::IO::{
    CancelIoEx, CreateIoCompletionPort, GetQueuedCompletionStatusEx, OVERLAPPED, OVERLAPPED_ENTRY,
    PostQueuedCompletionStatus,
};
use windows_sys::Win32::System::Threading::INFINITE;
use windows_sys::Win32::System::WindowsProgramming::{
    FILE_SKIP_COMPLETION_PORT_ON_SUCCESS, FILE_SKIP_SET_EVENT_ON_HANDLE,
};
use windows_sys::core::BOOL;

/// A completion port of one thread.
///
/// Objects are named by the number of their handle or socket, which stays open as long as the port is used.
pub struct CompletionPort(OwnedHandle);

impl CompletionPort {
    /// A new one.
    pub fn new() -> io::Result<CompletionPort> {
        // SAFETY: a call without pointers.
        let port = unsafe { CreateIoCompletionPort(INVALID_HANDLE_VALUE, null_mut(), 0, 1) };
        if port.is_null() {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the call has just made this handle, and nobody else has it.
        Ok(CompletionPort(unsafe { OwnedHandle::from_raw_handle(port) }))
    }

    /// Lets an object of the system's own provider join: what succeeds at once has no packet.
    pub fn join(&self, object: usize, key: usize) -> io::Result<()> {
        self.join_with_packets(object, key)?;
        let modes = (FILE_SKIP_COMPLETION_PORT_ON_SUCCESS | FILE_SKIP_SET_EVENT_ON_HANDLE) as u8;
        // SAFETY: a call without pointers.
        check(unsafe { SetFileCompletionNotificationModes(object as HANDLE, modes) })
    }

    /// The same of an object whose every call has a packet.
    pub fn join_with_packets(&self, object: usize, key: usize) -> io::Result<()> {
        // SAFETY: a call without pointers.
        let joined = unsafe { CreateIoCompletionPort(object as HANDLE, self.0.as_raw_handle(), key, 0) };
        if joined.is_null() { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    /// Queues a packet with this key and no call.
    pub fn post(&self, key: usize) -> io::Result<()> {
        // SAFETY: a call without pointers.
        check(unsafe { PostQueuedCompletionStatus(self.0.as_raw_handle(), 0, key, null_mut()) })
    }

    /// Waits for packets, at most `millis` (`None`: as long as it takes), and puts as many of them in place of what
    /// `packets` held as it has room for. None when the time is up.
    pub fn wait(&self, packets: &mut Vec<OVERLAPPED_ENTRY>, millis: Option<u32>) -> io::Result<()> {
        packets.clear();
        let (room, mut count) = (packets.capacity() as u32, 0);
        let millis = millis.unwrap_or(INFINITE);
        // SAFETY: the list has room for that many packets.
        let taken = unsafe {
            GetQueuedCompletionStatusEx(self.0.as_raw_handle(), packets.as_mut_ptr(), room, &mut count, millis, 0)
        };
        if taken == 0 {
            return match io::Error::last_os_error() {
                error if error.raw_os_error() == Some(WAIT_TIMEOUT as i32) => Ok(()),
                error => Err(error),
            };
        }
        // SAFETY: the call has written that many; they are plain data.
        unsafe { packets.set_len(count as usize) };
        Ok(())
    }
}

fn check(succeeded: BOOL) -> io::Result<()> {
    if succeeded != 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// What came of making a call on an object that has [joined](CompletionPort::join): the bytes that it has moved, or `None`
/// when its packet will come.
pub fn issued(succeeded: bool, bytes: u32) -> io::Result<Option<usize>> {
    if succeeded {
        return Ok(Some(bytes as usize));
    }
    // SAFETY: reads a number of this thread (which is Winsock's, too).
    match unsafe { GetLastError() } {
        ERROR_IO_PENDING => Ok(None),
        ERROR_HANDLE_EOF => Ok(Some(0)),
        code => Err(io::Error::from_raw_os_error(code as i32)),
    }
}

/// The bytes that a call has moved whose packet was taken.
pub fn result(memory: &OVERLAPPED) -> io::Result<usize> {
    match memory.Internal as i32 {
        0.. => Ok(memory.InternalHigh),
        // SAFETY: a table look-up.
        status => Err(io::Error::from_raw_os_error(unsafe { RtlNtStatusToDosError(status) } as i32)),
    }
}

/// Asks for all calls on an object to be given up. Their packets come.
pub fn give_up(object: usize) {
    // SAFETY: a call without pointers.
    unsafe { CancelIoEx(object as HANDLE, null_mut()) };
}
