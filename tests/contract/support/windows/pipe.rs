//! A pipe both of whose ends can be attached: a named pipe of one direction, open for overlapped calls. (The
//! standard library's are not.) An end that stays with the test is used with calls that wait.

use std::io::{self, Read, Write};
use std::os::windows::io::{AsHandle, AsRawHandle, BorrowedHandle, FromRawHandle, OwnedHandle};
use std::ptr::null_mut;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use anyport::{Object, Source};
use windows_sys::Win32::Foundation::{
    ERROR_BROKEN_PIPE, ERROR_IO_PENDING, ERROR_OPERATION_ABORTED, ERROR_PIPE_CONNECTED, GENERIC_WRITE, GetLastError,
    HANDLE, INVALID_HANDLE_VALUE, SetLastError,
};
use windows_sys::Win32::Storage::FileSystem::{
    CreateFileW, FILE_FLAG_FIRST_PIPE_INSTANCE, FILE_FLAG_OVERLAPPED, OPEN_EXISTING, PIPE_ACCESS_INBOUND, ReadFile,
    WriteFile,
};
use windows_sys::Win32::System::IO::{CancelIoEx, GetOverlappedResult, OVERLAPPED};
use windows_sys::Win32::System::Pipes::{
    ConnectNamedPipe, CreateNamedPipeW, PIPE_READMODE_MESSAGE, PIPE_REJECT_REMOTE_CLIENTS, PIPE_TYPE_MESSAGE,
};
use windows_sys::Win32::System::Threading::CreateEventW;

/// What a pipe holds before its writer has to wait.
const ROOM: u32 = 64 * 1024;

/// An end: the system refuses the direction that it is not for.
#[derive(Debug)]
pub(crate) struct PipeEnd(OwnedHandle);

pub(crate) type PipeReader = PipeEnd;
pub(crate) type PipeWriter = PipeEnd;

fn owned(handle: HANDLE) -> io::Result<OwnedHandle> {
    if handle == INVALID_HANDLE_VALUE {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the caller has just made this handle.
    Ok(unsafe { OwnedHandle::from_raw_handle(handle) })
}

/// A pipe.
pub(crate) fn pipe() -> (PipeReader, PipeWriter) {
    pipe_of(0)
}

/// A pipe that keeps each write a message.
pub(crate) fn message_pipe() -> (PipeReader, PipeWriter) {
    pipe_of(PIPE_TYPE_MESSAGE | PIPE_READMODE_MESSAGE)
}

fn pipe_of(kind: u32) -> (PipeReader, PipeWriter) {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let name = format!(r"\\.\pipe\anyport-{}-{}", std::process::id(), NUMBER.fetch_add(1, Relaxed));
    let name: Vec<u16> = name.encode_utf16().chain([0]).collect();
    // SAFETY: calls with a name and an OVERLAPPED of this frame; the connect is over when it returns, because the
    // client is there.
    unsafe {
        let mode = PIPE_ACCESS_INBOUND | FILE_FLAG_OVERLAPPED | FILE_FLAG_FIRST_PIPE_INSTANCE;
        let server =
            CreateNamedPipeW(name.as_ptr(), mode, kind | PIPE_REJECT_REMOTE_CLIENTS, 1, ROOM, ROOM, 0, null_mut());
        let reader = owned(server).expect("a named pipe");
        let client =
            CreateFileW(name.as_ptr(), GENERIC_WRITE, 0, null_mut(), OPEN_EXISTING, FILE_FLAG_OVERLAPPED, null_mut());
        let writer = owned(client).expect("the other end of a named pipe");
        let mut memory = OVERLAPPED::default();
        let connected = ConnectNamedPipe(reader.as_raw_handle(), &mut memory);
        assert!(connected != 0 || GetLastError() == ERROR_PIPE_CONNECTED, "{}", io::Error::last_os_error());
        (PipeEnd(reader), PipeEnd(writer))
    }
}

/// Makes an overlapped call and waits for its end.
fn wait_for(handle: BorrowedHandle<'_>, call: impl FnOnce(*mut OVERLAPPED) -> i32) -> io::Result<usize> {
    // SAFETY: the event and the OVERLAPPED are of this frame, which is not left before the call is over. With the event's
    // lowest bit set no packet is queued at a completion port.
    unsafe {
        let event = CreateEventW(null_mut(), 1, 0, null_mut());
        assert!(!event.is_null(), "{}", io::Error::last_os_error());
        let event = OwnedHandle::from_raw_handle(event);
        let mut memory =
            OVERLAPPED { hEvent: event.as_raw_handle().map_addr(|address| address | 1), ..OVERLAPPED::default() };
        if call(&mut memory) == 0 && GetLastError() != ERROR_IO_PENDING {
            return Err(io::Error::last_os_error());
        }
        let mut bytes = 0;
        match GetOverlappedResult(handle.as_raw_handle(), &memory, &mut bytes, 1) {
            0 => Err(io::Error::last_os_error()),
            _ => Ok(bytes as usize),
        }
    }
}

/// Reads from an end, and waits for that.
pub(super) fn read(end: &OwnedHandle, buf: &mut [u8]) -> io::Result<usize> {
    let result = wait_for(end.as_handle(), |memory| {
        // SAFETY: the buffer is borrowed until the call is over.
        unsafe { ReadFile(end.as_raw_handle(), buf.as_mut_ptr(), buf.len() as u32, null_mut(), memory) }
    });
    match result {
        Err(error) if error.raw_os_error() == Some(ERROR_BROKEN_PIPE as i32) => Ok(0),
        result => result,
    }
}

/// Writes to an end, and waits until everything is written, or until nothing more fits at once.
fn write(end: &OwnedHandle, bytes: &[u8], wait: bool) -> io::Result<usize> {
    wait_for(end.as_handle(), |memory| {
        // SAFETY: the buffer is borrowed until the call is over.
        unsafe {
            let over = WriteFile(end.as_raw_handle(), bytes.as_ptr(), bytes.len() as u32, null_mut(), memory);
            if over == 0 && !wait && GetLastError() == ERROR_IO_PENDING {
                CancelIoEx(end.as_raw_handle(), memory);
                SetLastError(ERROR_IO_PENDING);
            }
            over
        }
    })
}

/// Writes what fits; an error when nothing does.
pub(super) fn write_now(end: &OwnedHandle, bytes: &[u8]) -> io::Result<usize> {
    match write(end, bytes, false) {
        Err(error) if error.raw_os_error() == Some(ERROR_OPERATION_ABORTED as i32) => {
            Err(io::ErrorKind::WouldBlock.into())
        }
        result => result,
    }
}

impl PipeEnd {
    /// Writes what fits; an error when nothing does.
    pub(crate) fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        write_now(&self.0, bytes)
    }

    pub(super) fn number(&self) -> usize {
        self.0.as_raw_handle() as usize
    }
}

impl AsRawHandle for PipeEnd {
    fn as_raw_handle(&self) -> HANDLE {
        self.0.as_raw_handle()
    }
}

impl Read for PipeEnd {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        read(&self.0, buf)
    }
}

impl Write for PipeEnd {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        write(&self.0, buf, true)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl From<PipeEnd> for Source {
    fn from(end: PipeEnd) -> Source {
        end.0.into()
    }
}

impl From<PipeEnd> for Object {
    fn from(end: PipeEnd) -> Object {
        end.0.into()
    }
}
