//! Error numbers of Windows, by what they mean to the port, and the one table that makes the numbers of
//! different layers one: statuses of the kernel, errors of Win32 and of Winsock.
//!
//! The standard library gives each number its [`ErrorKind`](io::ErrorKind). Where it gives none to a
//! number (or another one than to the same event elsewhere), the number of the same meaning that has the kind
//! is used.

use std::io;
use windows_sys::Win32::Foundation::{
    ERROR_BROKEN_PIPE, ERROR_CALL_NOT_IMPLEMENTED, ERROR_CANCELLED, ERROR_CONNECTION_ABORTED, ERROR_CONNECTION_REFUSED,
    ERROR_GEN_FAILURE, ERROR_GRACEFUL_DISCONNECT, ERROR_HOST_UNREACHABLE, ERROR_INVALID_ACCESS, ERROR_NETNAME_DELETED,
    ERROR_NETWORK_UNREACHABLE, ERROR_NO_DATA, ERROR_NO_SYSTEM_RESOURCES, ERROR_NOT_ENOUGH_MEMORY,
    ERROR_OPERATION_ABORTED, ERROR_PIPE_NOT_CONNECTED, ERROR_PORT_UNREACHABLE, ERROR_SEM_TIMEOUT,
    ERROR_TOO_MANY_OPEN_FILES, NTSTATUS, RtlNtStatusToDosError, STATUS_INVALID_CONNECTION, STATUS_LOCAL_DISCONNECT,
};
use windows_sys::Win32::Networking::WinSock::{
    WSAECONNABORTED, WSAECONNREFUSED, WSAECONNRESET, WSAEHOSTUNREACH, WSAEMFILE, WSAENETRESET, WSAENETUNREACH,
    WSAENOBUFS, WSAENOTCONN, WSAEOPNOTSUPP, WSAESHUTDOWN, WSAETIMEDOUT, WSAEWOULDBLOCK,
};

/// The number that says "cancelled". (Not `ERROR_OPERATION_ABORTED`, whose kind is `TimedOut`.)
pub(crate) const CANCELLED: i32 = ERROR_CANCELLED as i32;

/// The number that says "the deadline passed".
pub(crate) const TIMED_OUT: i32 = WSAETIMEDOUT;

/// The pool of receive buffers is empty; the port waits for one instead of reporting this. Bit 29 marks numbers
/// that are no system's.
pub(crate) const NO_BUFFER: i32 = 1 << 29 | 1;

/// What is to be sent of a file has to be read first: nobody says so here.
pub(crate) const NOT_AT_HAND: i32 = 1 << 29 | 2;

/// The connection could not be made, so there is none.
pub(crate) const NOT_CONNECTED: i32 = WSAENOTCONN;

/// Nobody takes what is sent any more.
pub(crate) const BROKEN: i32 = ERROR_NO_DATA as i32;

/// The object was not opened for this direction: `EBADF` elsewhere, which has no kind. (`ERROR_ACCESS_DENIED` has.)
pub(crate) const WRONG_DIRECTION: i32 = ERROR_INVALID_ACCESS as i32;

/// Something failed that has no number.
pub(crate) const OTHER: i32 = ERROR_GEN_FAILURE as i32;

/// The call would have blocked.
pub(crate) fn would_block(errno: i32) -> bool {
    errno == WSAEWOULDBLOCK
}

/// The connection broke: there is none any more.
pub(crate) fn is_broken(errno: i32) -> bool {
    matches!(errno, WSAECONNRESET | WSAECONNABORTED | WSAENETRESET | WSAETIMEDOUT)
}

/// There is no connection, because it could not be made.
pub(crate) fn is_unreached(errno: i32) -> bool {
    is_broken(errno) || matches!(errno, WSAECONNREFUSED | WSAEHOSTUNREACH | WSAENETUNREACH)
}

/// How a receive says that a socket is not connected, where that has another number than [`NOT_CONNECTED`].
pub(crate) fn is_unconnected(_errno: i32) -> bool {
    false
}

/// The system is out of something that comes back (sockets, memory): worth another try later.
pub(crate) fn is_exhaustion(errno: i32) -> bool {
    const WIN32: [u32; 3] = [ERROR_TOO_MANY_OPEN_FILES, ERROR_NOT_ENOUGH_MEMORY, ERROR_NO_SYSTEM_RESOURCES];
    matches!(errno, WSAEMFILE | WSAENOBUFS) || WIN32.contains(&(errno as u32))
}

/// An accept error that concerns only the one connection that was lost before it was accepted.
pub(crate) fn is_lost_connection(errno: i32) -> bool {
    matches!(errno, WSAECONNABORTED | WSAECONNRESET)
}

/// The number that a status of the kernel is reported with.
#[cold]
pub(crate) fn of_status(status: NTSTATUS) -> i32 {
    match status {
        // Win32 does not tell this from a reset; Winsock does.
        STATUS_LOCAL_DISCONNECT => WSAECONNABORTED,
        // Nor does it have a word for this.
        STATUS_INVALID_CONNECTION => WSAENOTCONN,
        // SAFETY: a table look-up.
        _ => of_code(unsafe { RtlNtStatusToDosError(status) }),
    }
}

/// The same of what was made an error already.
#[cold]
pub(crate) fn of_error(error: &io::Error) -> i32 {
    error.raw_os_error().map_or(OTHER, |code| of_code(code as u32))
}

/// The number that an error of Win32 or Winsock is reported with.
#[cold]
pub(crate) fn of_code(code: u32) -> i32 {
    match code {
        ERROR_OPERATION_ABORTED => CANCELLED,
        // What Win32 calls the errors of the network.
        ERROR_NETNAME_DELETED => WSAECONNRESET,
        ERROR_CONNECTION_ABORTED => WSAECONNABORTED,
        ERROR_CONNECTION_REFUSED => WSAECONNREFUSED,
        ERROR_NETWORK_UNREACHABLE => WSAENETUNREACH,
        ERROR_HOST_UNREACHABLE => WSAEHOSTUNREACH,
        ERROR_PORT_UNREACHABLE => WSAECONNREFUSED,
        ERROR_SEM_TIMEOUT => WSAETIMEDOUT,
        ERROR_GRACEFUL_DISCONNECT => WSAECONNRESET,
        // A send after sending was shut down, or to a pipe whose reader is gone: a broken pipe.
        code if code == WSAESHUTDOWN as u32 => BROKEN,
        ERROR_PIPE_NOT_CONNECTED => ERROR_BROKEN_PIPE as i32,
        // The object is of a sort that has no such operation; the one that has a kind.
        code if code == WSAEOPNOTSUPP as u32 => ERROR_CALL_NOT_IMPLEMENTED as i32,
        code => code as i32,
    }
}
