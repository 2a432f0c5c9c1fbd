//! What can be attached on Windows: sockets, and handles that are open for overlapped calls (others are
//! served by the blocking pool).

use super::object::raw_of;
use super::{Object, Raw};
use crate::handle::Kind;
use socket2::SockRef;
use std::io;
use std::os::windows::io::{FromRawHandle, FromRawSocket, OwnedHandle, OwnedSocket, RawSocket};
use windows_sys::Win32::Foundation::{GetLastError, HANDLE, NO_ERROR};
use windows_sys::Win32::Networking::WinSock::{IPPROTO_TCP, SOCK_STREAM, SOCKET};
use windows_sys::Win32::Storage::FileSystem::{FILE_TYPE_DISK, FILE_TYPE_UNKNOWN, GetFileType};

/// An OS object on its way into a port: made by `into()` from the standard library's sockets, files
/// and pipes, an `OwnedSocket` or `OwnedHandle`, a `socket2::Socket`, or what an accept or open resulted in.
///
/// ```
/// # use anyport::{Handle, Port, Source};
/// # use std::net::UdpSocket;
/// # fn main() -> std::io::Result<()> {
/// /// Takes whatever the port takes.
/// fn join(port: &mut Port, object: impl Into<Source>) -> std::io::Result<Handle> {
///     port.attach(object)
/// }
/// # let mut port = Port::new()?;
/// join(&mut port, UdpSocket::bind("127.0.0.1:0")?)?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Source {
    pub(crate) object: Object,
    /// `None`: to be asked of the system.
    pub(crate) kind: Option<Kind>,
}

impl Source {
    /// What an accept resulted in.
    ///
    /// # Safety
    /// `n` is a socket that nobody else owns.
    pub(crate) unsafe fn accepted(n: usize, kind: Option<Kind>, _nonblocking: bool) -> Source {
        // SAFETY: the caller's.
        let socket = unsafe { OwnedSocket::from_raw_socket(n as RawSocket) };
        Source { object: Object::Socket(socket), kind }
    }

    /// What an open resulted in.
    ///
    /// # Safety
    /// `n` is a handle that nobody else owns.
    pub(crate) unsafe fn opened(n: usize) -> Source {
        // SAFETY: the caller's.
        let handle = unsafe { OwnedHandle::from_raw_handle(n as HANDLE) };
        Source { object: Object::Handle(handle), kind: None }
    }

    pub(crate) fn into_object(self) -> Object {
        self.object
    }

    pub(crate) fn raw(&self) -> Raw {
        raw_of(&self.object)
    }

    /// The same socket, for its options and addresses.
    pub(crate) fn socket(&self) -> SockRef<'_> {
        match &self.object {
            Object::Socket(socket) => SockRef::from(socket),
            Object::Handle(_) => unreachable!("asked of what was accepted"),
        }
    }

    /// Asks the system what is not known: a socket's type and protocol, a handle's type.
    pub(crate) fn kind(&self) -> io::Result<Kind> {
        if let Some(kind) = self.kind {
            return Ok(kind);
        }
        match self.raw() {
            Raw::Socket(socket) => {
                let info = super::socket::protocol_info(socket as SOCKET)?;
                Ok(match (info.iSocketType, info.iProtocol) {
                    (SOCK_STREAM, IPPROTO_TCP) => Kind::Tcp,
                    (SOCK_STREAM, _) => Kind::Stream,
                    _ => Kind::Datagram,
                })
            }
            // SAFETY: a call without pointers on an open handle.
            raw @ Raw::Handle(_) => match unsafe { GetFileType(raw.handle()) } {
                FILE_TYPE_DISK => Ok(Kind::File),
                // SAFETY: reads a number of this thread.
                FILE_TYPE_UNKNOWN if unsafe { GetLastError() } != NO_ERROR => Err(io::Error::last_os_error()),
                _ => Ok(Kind::Pipe),
            },
        }
    }
}

impl From<OwnedSocket> for Source {
    fn from(socket: OwnedSocket) -> Source {
        Source { object: socket.into(), kind: None }
    }
}

impl From<OwnedHandle> for Source {
    fn from(handle: OwnedHandle) -> Source {
        Source { object: handle.into(), kind: None }
    }
}

impl From<Object> for Source {
    fn from(object: Object) -> Source {
        Source { object, kind: None }
    }
}

macro_rules! source_from {
    ($through:ty: $($from:ty),* $(,)?) => {$(
        impl From<$from> for Source {
            fn from(object: $from) -> Source {
                Source::from(<$through>::from(object))
            }
        }
    )*};
}

source_from! {
    OwnedSocket: std::net::TcpStream, std::net::TcpListener, std::net::UdpSocket, socket2::Socket,
}

source_from! {
    OwnedHandle:
    std::fs::File,
    std::io::PipeReader,
    std::io::PipeWriter,
    std::process::ChildStdin,
    std::process::ChildStdout,
    std::process::ChildStderr,
}
