//! An object is a socket or another handle: owned, or the number alone.
//!
//! The two are told apart because each has calls of its own (closing a socket by `CloseHandle` leaks what
//! Winsock keeps about it).

use std::os::windows::io::{
    AsRawHandle, FromRawHandle, FromRawSocket, IntoRawHandle, IntoRawSocket, OwnedHandle, OwnedSocket, RawSocket,
};
use windows_sys::Win32::Foundation::HANDLE;
use windows_sys::Win32::Networking::WinSock::{INVALID_SOCKET, SOCKET};

/// What can be lent as a file.
pub(crate) use std::os::windows::io::AsHandle as AsFile;

/// What [`Port::detach`](crate::Port::detach) gives back.
#[derive(Debug)]
pub enum Object {
    /// A socket.
    Socket(OwnedSocket),
    /// A file, pipe, console or whatever else has a handle.
    Handle(OwnedHandle),
}

impl From<OwnedSocket> for Object {
    fn from(socket: OwnedSocket) -> Object {
        Object::Socket(socket)
    }
}

impl From<OwnedHandle> for Object {
    fn from(handle: OwnedHandle) -> Object {
        Object::Handle(handle)
    }
}

macro_rules! object_from {
    ($through:ty: $($from:ty),* $(,)?) => {$(
        impl From<$from> for Object {
            fn from(object: $from) -> Object {
                <$through>::from(object).into()
            }
        }
    )*};
}

object_from!(OwnedSocket: std::net::TcpStream, std::net::TcpListener, std::net::UdpSocket, socket2::Socket);
object_from!(OwnedHandle: std::fs::File);

impl TryFrom<Object> for OwnedSocket {
    type Error = Object;

    fn try_from(object: Object) -> Result<OwnedSocket, Object> {
        match object {
            Object::Socket(socket) => Ok(socket),
            Object::Handle(_) => Err(object),
        }
    }
}

impl TryFrom<Object> for OwnedHandle {
    type Error = Object;

    fn try_from(object: Object) -> Result<OwnedHandle, Object> {
        match object {
            Object::Handle(handle) => Ok(handle),
            Object::Socket(_) => Err(object),
        }
    }
}

/// Names an object that somebody else owns. (A handle as a number, so that it can go to another thread.)
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Raw {
    Socket(RawSocket),
    Handle(usize),
}

/// Names none: `INVALID_HANDLE_VALUE`.
pub(crate) const NO_OBJECT: Raw = Raw::Handle(usize::MAX);

impl Raw {
    /// As a handle: a socket is one, too.
    pub(crate) fn handle(self) -> HANDLE {
        match self {
            Raw::Socket(socket) => socket as HANDLE,
            Raw::Handle(handle) => handle as HANDLE,
        }
    }

    /// As a socket; what is none is refused by every call.
    pub(crate) fn socket(self) -> SOCKET {
        match self {
            Raw::Socket(socket) => socket as SOCKET,
            Raw::Handle(_) => INVALID_SOCKET,
        }
    }
}

/// Who an owned object is.
pub(crate) fn raw_of(object: &Object) -> Raw {
    use std::os::windows::io::AsRawSocket;
    match object {
        Object::Socket(socket) => Raw::Socket(socket.as_raw_socket()),
        Object::Handle(handle) => Raw::Handle(handle.as_raw_handle() as usize),
    }
}

/// Names a file that is lent.
pub(crate) fn raw_file(file: &impl AsFile) -> Raw {
    Raw::Handle(file.as_handle().as_raw_handle() as usize)
}

/// Gives the ownership away.
pub(crate) fn into_raw(object: Object) -> Raw {
    match object {
        Object::Socket(socket) => Raw::Socket(socket.into_raw_socket()),
        Object::Handle(handle) => Raw::Handle(handle.into_raw_handle() as usize),
    }
}

/// Takes the ownership.
///
/// # Safety
/// `raw` came from [`into_raw`], or from a call that made it, and nobody else owns it.
pub(crate) unsafe fn from_raw(raw: Raw) -> Object {
    match raw {
        // SAFETY: the caller's.
        Raw::Socket(socket) => Object::Socket(unsafe { OwnedSocket::from_raw_socket(socket) }),
        // SAFETY: the caller's.
        Raw::Handle(handle) => Object::Handle(unsafe { OwnedHandle::from_raw_handle(handle as HANDLE) }),
    }
}
