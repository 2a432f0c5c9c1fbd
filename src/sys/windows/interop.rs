//! How a port's objects meet the standard library's.

use super::{Object, Raw};
use crate::error::Refusal;
use crate::handle::Handle;
use crate::op::{Accepted, Opened};
use crate::port::Port;
use socket2::SockRef;
use std::fs::File;
use std::io;
use std::os::windows::io::{AsHandle, AsSocket, BorrowedHandle, BorrowedSocket, OwnedHandle, OwnedSocket};

impl Port {
    /// The socket behind a handle, for its options and addresses.
    ///
    /// # Errors
    /// `NotFound` for a stale handle, `InvalidInput` for what is no socket.
    pub fn as_socket(&self, handle: Handle) -> io::Result<BorrowedSocket<'_>> {
        match self.entry(handle).ok_or(Refusal::StaleHandle)?.raw() {
            // SAFETY: an entry that is not free owns an open socket, until `Handles::remove`.
            Raw::Socket(socket) => Ok(unsafe { BorrowedSocket::borrow_raw(socket) }),
            Raw::Handle(_) => Err(Refusal::NoSocket.into()),
        }
    }

    /// Calls `f` with the socket behind a handle, for its options and addresses: the same on every system.
    ///
    /// ```
    /// # use anyport::Port;
    /// # fn main() -> std::io::Result<()> {
    /// # let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    /// # let stream = std::net::TcpStream::connect(listener.local_addr()?)?;
    /// let mut port = Port::new()?;
    /// let conn = port.attach(stream)?;
    /// port.with_socket(conn, |socket| socket.set_tcp_nodelay(true))??;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// `NotFound` for a stale handle, `InvalidInput` for what is no socket.
    pub fn with_socket<T>(&self, handle: Handle, f: impl FnOnce(SockRef<'_>) -> T) -> io::Result<T> {
        Ok(f(SockRef::from(&self.as_socket(handle)?)))
    }

    /// The system's handle behind a handle of the port. (A socket's works for the calls that take both.)
    ///
    /// # Errors
    /// `NotFound` for a stale handle.
    pub fn as_handle(&self, handle: Handle) -> io::Result<BorrowedHandle<'_>> {
        let raw = self.entry(handle).ok_or(Refusal::StaleHandle)?.raw();
        // SAFETY: an entry that is not free owns an open object, until `Handles::remove`.
        Ok(unsafe { BorrowedHandle::borrow_raw(raw.handle()) })
    }
}

fn socket(accepted: &Accepted) -> &OwnedSocket {
    match &accepted.0.object {
        Object::Socket(socket) => socket,
        Object::Handle(_) => unreachable!("an accept results in a socket"),
    }
}

impl AsSocket for Accepted {
    fn as_socket(&self) -> BorrowedSocket<'_> {
        socket(self).as_socket()
    }
}

impl From<Accepted> for OwnedSocket {
    fn from(accepted: Accepted) -> OwnedSocket {
        match accepted.0.object {
            Object::Socket(socket) => socket,
            Object::Handle(_) => unreachable!("an accept results in a socket"),
        }
    }
}

impl From<Accepted> for Object {
    fn from(accepted: Accepted) -> Object {
        accepted.0.object
    }
}

impl From<Opened> for Object {
    fn from(opened: Opened) -> Object {
        opened.0.object
    }
}

impl AsHandle for Opened {
    fn as_handle(&self) -> BorrowedHandle<'_> {
        match &self.0.object {
            Object::Handle(handle) => handle.as_handle(),
            Object::Socket(_) => unreachable!("an open results in a file"),
        }
    }
}

/// It was opened for overlapped calls: `FILE_FLAG_OVERLAPPED`.
impl From<Opened> for OwnedHandle {
    fn from(opened: Opened) -> OwnedHandle {
        match opened.0.object {
            Object::Handle(handle) => handle,
            Object::Socket(_) => unreachable!("an open results in a file"),
        }
    }
}

/// It was opened for overlapped calls, which [`File`]'s own methods are not: use
/// [`seek_read`](std::os::windows::fs::FileExt::seek_read) and its like with care, or attach it.
impl From<Opened> for File {
    fn from(opened: Opened) -> File {
        OwnedHandle::from(opened).into()
    }
}
