//! Readiness on Windows: polls of the AFD driver, whose answers arrive as packets of an I/O completion port.
//!
//! AFD ("ancillary function driver") is what carries out every socket call below Winsock. Its poll is select() as
//! the kernel knows it: one `IOCTL_AFD_POLL` names a socket and the events that it waits for, stays pending until
//! one of them is there, and then completes like any overlapped call. It never needs the socket itself to join a
//! completion port: the driver's own handle, [`Afd`], does.
//!
//! Called by the poller's AFD backend and by the completion backend for `op::Ready`. Invariant, which the callers
//! keep (see [`Afd::poll`]): the memory of a poll belongs to the system from the call until its packet was taken.

use std::ffi::c_void;
use std::io;
use std::mem::{offset_of, size_of};
use std::os::windows::io::{AsRawHandle, BorrowedHandle, FromRawHandle, OwnedHandle, RawSocket};
use std::ptr::{null, null_mut};
use std::sync::atomic::{Ordering::Acquire, fence};
use windows_sys::Wdk::Foundation::OBJECT_ATTRIBUTES;
use windows_sys::Wdk::Storage::FileSystem::{FILE_OPEN, NtCancelIoFileEx, NtCreateFile};
use windows_sys::Wdk::System::IO::NtDeviceIoControlFile;
use windows_sys::Win32::Foundation::{
    ERROR_OPERATION_ABORTED, HANDLE, NTSTATUS, RtlNtStatusToDosError, STATUS_NOT_FOUND, STATUS_PENDING, STATUS_SUCCESS,
    UNICODE_STRING,
};
use windows_sys::Win32::Networking::WinSock::{
    SIO_BASE_HANDLE, SIO_BSP_HANDLE_POLL, SOCKET, SOCKET_ERROR, WSAGetLastError, WSAIoctl,
};
use windows_sys::Win32::Storage::FileSystem::{
    FILE_SHARE_READ, FILE_SHARE_WRITE, SYNCHRONIZE, SetFileCompletionNotificationModes,
};
use windows_sys::Win32::System::IO::{CreateIoCompletionPort, IO_STATUS_BLOCK, IO_STATUS_BLOCK_0};
use windows_sys::Win32::System::WindowsProgramming::FILE_SKIP_SET_EVENT_ON_HANDLE;

/// The events of a poll: a set of the bits below.
pub(crate) type Events = u32;

/// Data can be received.
pub(crate) const RECEIVE: Events = 1 << 0;
/// Urgent ("expedited", out-of-band) data can be received.
pub(crate) const RECEIVE_EXPEDITED: Events = 1 << 1;
/// Data can be sent. On a socket that connects: it is connected.
pub(crate) const SEND: Events = 1 << 2;
/// The peer has ended its direction of the stream.
pub(crate) const DISCONNECT: Events = 1 << 3;
/// The connection was reset, by the peer or from here.
pub(crate) const ABORT: Events = 1 << 4;
/// The socket was closed in this process; reported whether asked for or not.
pub(crate) const LOCAL_CLOSE: Events = 1 << 5;
/// A connection can be accepted.
pub(crate) const ACCEPT: Events = 1 << 7;
/// Connecting has failed.
pub(crate) const CONNECT_FAIL: Events = 1 << 8;

/// A receive or an accept would return at once: with data, an end of stream, or an error.
pub(crate) const READABLE: Events = RECEIVE | ACCEPT | DISCONNECT | ABORT | CONNECT_FAIL;
/// A send would return at once, and connecting is over, one way or the other.
pub(crate) const WRITABLE: Events = SEND | ABORT | CONNECT_FAIL;

/// AFD's request 9; its question and answer are copied in and out (`METHOD_BUFFERED`).
const IOCTL_AFD_POLL: u32 = 0x0001_2024;

/// One socket of a poll, `AFD_POLL_HANDLE_INFO`.
#[repr(C)]
#[derive(Clone, Copy)]
struct PollSocket {
    socket: HANDLE,
    events: Events,
    status: NTSTATUS,
}

/// `AFD_POLL_INFO` with the one socket that is asked about: what goes in, and what comes out.
#[repr(C)]
#[derive(Clone, Copy)]
struct PollInfo {
    /// In units of 100 ns; `i64::MAX` is for ever.
    timeout: i64,
    count: u32,
    /// Not 0: ends other exclusive polls of the socket.
    exclusive: u32,
    sockets: [PollSocket; 1],
}

// The driver wants at least that much. (With pointers of 32 bits, alignment adds some, as in C.)
const _: () = assert!(size_of::<PollInfo>() >= offset_of!(PollInfo, sockets) + size_of::<PollSocket>());

/// The memory of one poll, which the system writes its answer to.
#[repr(C)]
pub(crate) struct Poll {
    status: IO_STATUS_BLOCK,
    info: PollInfo,
}

impl Poll {
    pub(crate) const fn new() -> Poll {
        Poll {
            status: IO_STATUS_BLOCK { Anonymous: IO_STATUS_BLOCK_0 { Status: STATUS_SUCCESS }, Information: 0 },
            info: PollInfo {
                timeout: i64::MAX,
                count: 0,
                exclusive: 0,
                sockets: [PollSocket { socket: null_mut(), events: 0, status: STATUS_SUCCESS }],
            },
        }
    }

    /// What a poll whose packet was taken reports. No event at all is possible; poll again then.
    ///
    /// # Errors
    /// `ERROR_OPERATION_ABORTED` when it was cancelled; what the driver has against the socket.
    pub(crate) fn events(&self) -> io::Result<Events> {
        // SAFETY: both variants of the union are plain, and the driver (or `new`) has written the status.
        let status = unsafe { self.status.Anonymous.Status };
        if status < 0 {
            return Err(error(status));
        }
        Ok(if self.info.count == 0 { 0 } else { self.info.sockets[0].events })
    }

    /// What a poll in flight has found, if it has; its packet is on the way then.
    ///
    /// # Safety
    /// `poll` is valid for reads. The system may write to it meanwhile: it writes the status last.
    pub(crate) unsafe fn peek(poll: *const Poll) -> Option<Events> {
        // SAFETY: the caller's; what is read is plain numbers, each in one piece.
        unsafe {
            let status = (&raw const (*poll).status.Anonymous.Status).read_volatile();
            fence(Acquire);
            (status == STATUS_SUCCESS).then(|| (&raw const (*poll).info.sockets[0].events).read_volatile())
        }
    }
}

/// True when a poll ended because it was cancelled.
pub(crate) fn is_cancelled(error: &io::Error) -> bool {
    error.raw_os_error() == Some(ERROR_OPERATION_ABORTED as i32)
}

/// A handle of the driver that has joined a completion port. Polls of many sockets can go through one; cancelling
/// one searches all that are pending there, so a group of 32 or so per handle is good measure.
pub(crate) struct Afd(OwnedHandle);

impl Afd {
    /// Opens the driver; the packets of its polls arrive at `port` under `key`.
    ///
    /// # Errors
    /// The system's, from `NtCreateFile` or `CreateIoCompletionPort`.
    pub(crate) fn open(port: BorrowedHandle<'_>, key: usize) -> io::Result<Afd> {
        // Below `\Device\Afd` any name does; the driver ignores it.
        let mut name: Vec<u16> = r"\Device\Afd\Anyport".encode_utf16().collect();
        let bytes = (name.len() * size_of::<u16>()) as u16;
        let name = UNICODE_STRING { Length: bytes, MaximumLength: bytes, Buffer: name.as_mut_ptr() };
        let attributes = OBJECT_ATTRIBUTES {
            Length: size_of::<OBJECT_ATTRIBUTES>() as u32,
            RootDirectory: null_mut(),
            ObjectName: &raw const name,
            Attributes: 0,
            SecurityDescriptor: null(),
            SecurityQualityOfService: null(),
        };
        let mut status = Poll::new().status;
        let mut handle = null_mut();
        // SAFETY: all pointers are to values of this frame (the name's letters included), which the call reads or
        // writes before it returns. No extended attributes; without an option of synchronous I/O the handle is
        // an overlapped one.
        let opened = unsafe {
            NtCreateFile(
                &mut handle,
                SYNCHRONIZE,
                &attributes,
                &mut status,
                null(),
                0,
                FILE_SHARE_READ | FILE_SHARE_WRITE,
                FILE_OPEN,
                0,
                null(),
                0,
            )
        };
        if opened != STATUS_SUCCESS {
            return Err(error(opened));
        }
        // SAFETY: the call has just made this handle, and nobody else has it.
        let afd = Afd(unsafe { OwnedHandle::from_raw_handle(handle) });
        // SAFETY: calls on two open handles, without pointers.
        unsafe {
            if CreateIoCompletionPort(afd.0.as_raw_handle(), port.as_raw_handle(), key, 0).is_null() {
                return Err(io::Error::last_os_error());
            }
            // Nobody waits on the handle itself; this only saves the driver a lock.
            SetFileCompletionNotificationModes(afd.0.as_raw_handle(), FILE_SKIP_SET_EVENT_ON_HANDLE as u8);
        }
        Ok(afd)
    }

    /// Asks which of `events` the socket has (and of [`LOCAL_CLOSE`]); answered by a packet whose `lpOverlapped` is
    /// `context`. The packet comes even if the answer is there at once. `socket` is what [`base_socket`] returned.
    /// Several polls of one socket do not disturb each other.
    ///
    /// # Errors
    /// What the driver has against the socket; then no packet comes.
    ///
    /// # Safety
    /// `poll` is valid for writes. Unless this is an error, the memory stays in place and nobody touches it before
    /// the packet was taken from the port. `context` is not null (a null one would bring no packet).
    pub(crate) unsafe fn poll(
        &self,
        poll: *mut Poll,
        socket: RawSocket,
        events: Events,
        context: *mut c_void,
    ) -> io::Result<()> {
        debug_assert!(!context.is_null());
        let mut request = Poll::new();
        request.status.Anonymous.Status = STATUS_PENDING;
        request.info.count = 1;
        request.info.sockets[0].socket = socket as HANDLE;
        request.info.sockets[0].events = events | LOCAL_CLOSE;
        // SAFETY: the caller's: the memory is valid, and the system's from here on. AFD reads the question from it
        // before the call returns, and writes the answer to the same place.
        let status = unsafe {
            poll.write(request);
            let (info, size) = ((&raw mut (*poll).info).cast(), size_of::<PollInfo>() as u32);
            NtDeviceIoControlFile(
                self.0.as_raw_handle(),
                null_mut(),
                None,
                context,
                &raw mut (*poll).status,
                IOCTL_AFD_POLL,
                info,
                size,
                info,
                size,
            )
        };
        // Of the statuses that are no errors, AFD returns these two.
        if status >= 0 { Ok(()) } else { Err(error(status)) }
    }

    /// Gives a poll of this handle up. Its packet still comes, soon: cancelled, or with what it had already found.
    ///
    /// # Safety
    /// `poll` was given to [`Afd::poll`], which succeeded, and its packet was not taken yet.
    pub(crate) unsafe fn cancel(&self, poll: *mut Poll) -> io::Result<()> {
        let mut status = Poll::new().status;
        // SAFETY: the caller's: the request's status block is where the poll left it. The second block is of this
        // frame, and the call is over when it returns.
        let result = unsafe { NtCancelIoFileEx(self.0.as_raw_handle(), &raw const (*poll).status, &mut status) };
        match result {
            // Not found: it is done, and the packet is on its way.
            STATUS_SUCCESS | STATUS_NOT_FOUND => Ok(()),
            result => Err(error(result)),
        }
    }
}

/// The socket of the system itself below the layers that security software may have put on top of `socket`: what
/// the driver knows.
///
/// # Errors
/// `WSAENOTSOCK` and the like when it is none.
pub(crate) fn base_socket(socket: RawSocket) -> io::Result<RawSocket> {
    let mut socket = socket;
    loop {
        let refused = match ask(socket, SIO_BASE_HANDLE) {
            Ok(base) => return Ok(base),
            Err(refused) => refused,
        };
        // A layered provider must not intercept that request, but some do. What they answer to this one is the
        // socket one layer below; the system's own provider would not have refused.
        match ask(socket, SIO_BSP_HANDLE_POLL) {
            Ok(below) if below != socket => socket = below,
            _ => return Err(refused),
        }
    }
}

/// The socket that one of the requests for a socket's lower layer answers.
fn ask(socket: RawSocket, request: u32) -> io::Result<RawSocket> {
    let mut answer: SOCKET = 0;
    let mut bytes = 0;
    // SAFETY: the answer has the size that is told, and the call is not overlapped, so it is over when it returns.
    let result = unsafe {
        WSAIoctl(
            socket as SOCKET,
            request,
            null(),
            0,
            (&raw mut answer).cast(),
            size_of::<SOCKET>() as u32,
            &mut bytes,
            null_mut(),
            None,
        )
    };
    if result == SOCKET_ERROR {
        // SAFETY: reads a number of this thread.
        return Err(io::Error::from_raw_os_error(unsafe { WSAGetLastError() }));
    }
    Ok(answer as RawSocket)
}

/// A status of the kernel as the error that Windows programs know.
fn error(status: NTSTATUS) -> io::Error {
    // SAFETY: a table look-up.
    io::Error::from_raw_os_error(unsafe { RtlNtStatusToDosError(status) } as i32)
}
