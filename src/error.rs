//! Errors: the kinds that a user can rely on, the same on every system.
//!
//! Results are [`std::io::Result`]s. What the system reported keeps its number in
//! [`raw_os_error`](std::io::Error::raw_os_error); what the port itself refuses says what to do about it.
//!
//! Of the port:
//!
//! | event | [`ErrorKind`] |
//! | --- | --- |
//! | the operation was cancelled, or its handle closed | none of its own: ask [`is_cancelled`] |
//! | its deadline passed | `TimedOut` |
//! | the handle is closed, detached or another port's | `NotFound` |
//! | a receive or read into a buffer with no room; an impossible argument | `InvalidInput` |
//! | a handle that still has operations in flight was to be detached | `ResourceBusy` |
//! | a closure panicked | `Other`, with the panic's message |
//! | the backend is not available here | `Unsupported` |
//! | the port was made in another process (before a fork) | `Unsupported` |
//!
//! Of connections and datagrams:
//!
//! | event | [`ErrorKind`] |
//! | --- | --- |
//! | nobody listens there; a datagram sent earlier was refused | `ConnectionRefused` |
//! | no way leads there | `NetworkUnreachable`, `HostUnreachable` |
//! | the system gave the connection up | `TimedOut` |
//! | the socket's own address serves another connection to there | `AddrNotAvailable` |
//! | the peer reset the connection: each receive, and the send that met it first | `ConnectionReset` |
//! | a send after a shutdown, to a peer or reader that is gone, on a TCP socket that is not connected | `BrokenPipe` |
//! | a receive or shutdown on a stream socket that is not connected; a send on such a Unix socket | `NotConnected` |
//! | an accept on a socket that does not listen | `InvalidInput` |
//!
//! Of files:
//!
//! | event | [`ErrorKind`] |
//! | --- | --- |
//! | no such file | `NotFound` |
//! | a part of the path is no folder; it is a folder; the name is too long | `NotADirectory`, `IsADirectory`, `InvalidFilename` |
//! | it exists, and was to be new | `AlreadyExists` |
//! | not allowed; a program that runs | `PermissionDenied`, `ExecutableFileBusy` |
//! | the disk is full | `StorageFull` |
//! | a read or write at an offset of what has none | `NotSeekable` |
//!
//! Some events have a number but no named kind yet: already connected, a datagram that is too long, an operation on
//! an object that is no socket, a descriptor opened for the other direction, no descriptors left.

pub(crate) use crate::sys::errno::*;
use std::io::{Error, ErrorKind};

/// True when an operation ended because it was cancelled ([`Port::cancel`](crate::Port::cancel)),
/// its handle was closed, or it was still in flight when its descriptor was given up.
///
/// ```
/// use anyport::{Port, Token, op, error::is_cancelled};
/// use std::time::Duration;
///
/// # fn main() -> std::io::Result<()> {
/// let mut port = Port::new()?;
/// let id = port.submit(op::Timer::after(Duration::from_secs(3600)), Token(1));
/// port.cancel(id);
/// port.wait(None)?;
/// let result = port.next().unwrap().unpack::<op::Timer>();
/// assert!(is_cancelled(&result.unwrap_err()));
/// # Ok(())
/// # }
/// ```
pub fn is_cancelled(error: &Error) -> bool {
    error.raw_os_error() == Some(CANCELLED)
}

/// What the port itself refuses, and what to do about it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Refusal {
    StaleHandle,
    BusyHandle,
    NoRoom,
    Offset,
    PathWithNul,
    OpenForNothing,
    Forked,
    NoSocket,
    NoStream,
}

impl Refusal {
    /// In the order of their numbers.
    pub(crate) const ALL: [Refusal; 9] = [
        Refusal::StaleHandle,
        Refusal::BusyHandle,
        Refusal::NoRoom,
        Refusal::Offset,
        Refusal::PathWithNul,
        Refusal::OpenForNothing,
        Refusal::Forked,
        Refusal::NoSocket,
        Refusal::NoStream,
    ];
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Error {
        let (kind, text) = match refusal {
            Refusal::StaleHandle => (
                ErrorKind::NotFound,
                "the handle is closed, detached or belongs to another port; attach the object again",
            ),
            Refusal::BusyHandle => (
                ErrorKind::ResourceBusy,
                "operations are in flight on the handle; cancel them and take their completions before detaching it",
            ),
            Refusal::NoRoom => (
                ErrorKind::InvalidInput,
                "the buffer has no room, and receiving 0 bytes would look like an end of stream; lend one with capacity",
            ),
            Refusal::Offset => (ErrorKind::InvalidInput, "a file offset is at most 2^63 - 1"),
            Refusal::PathWithNul => (ErrorKind::InvalidInput, "a path cannot contain a NUL byte"),
            Refusal::OpenForNothing => (ErrorKind::InvalidInput, "open a file for reading, writing or both"),
            Refusal::NoSocket => (ErrorKind::InvalidInput, "the object is no socket"),
            Refusal::NoStream => (
                ErrorKind::InvalidInput,
                "a file is sent on a stream socket only; read it and send what was read on other objects",
            ),
            Refusal::Forked => (
                ErrorKind::Unsupported,
                "the port was made before a fork, in the parent process; make a new one in the child",
            ),
        };
        Error::new(kind, text)
    }
}
