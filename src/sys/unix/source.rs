//! What can be attached on a Unix: anything that is a descriptor.

use super::Object;
use crate::backend::quirks;
use crate::handle::Kind;
use rustix::fs::FileType;
use socket2::SockRef;
use std::io;
use std::os::fd::{AsFd, FromRawFd, OwnedFd, RawFd};

/// An OS object on its way into a port: made by `into()` from the standard library's sockets, files
/// and pipes, an `OwnedFd`, a `socket2::Socket`, or what an accept or open resulted in.
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
    pub(crate) fd: OwnedFd,
    /// `None`: to be asked of the system.
    pub(crate) kind: Option<Kind>,
    /// Whether `O_NONBLOCK` is set, where that is known.
    pub(crate) nonblocking: Option<bool>,
}

impl Source {
    /// What an accept resulted in.
    ///
    /// # Safety
    /// `n` is a descriptor that nobody else owns.
    pub(crate) unsafe fn accepted(n: usize, kind: Option<Kind>, nonblocking: bool) -> Source {
        // SAFETY: the caller's.
        Source { fd: unsafe { OwnedFd::from_raw_fd(n as RawFd) }, kind, nonblocking: Some(nonblocking) }
    }

    /// What an open resulted in.
    ///
    /// # Safety
    /// `n` is a descriptor that nobody else owns.
    pub(crate) unsafe fn opened(n: usize) -> Source {
        // SAFETY: the caller's.
        Source::from(unsafe { OwnedFd::from_raw_fd(n as RawFd) })
    }

    pub(crate) fn into_object(self) -> Object {
        self.fd
    }

    /// The same socket, for its options and addresses.
    pub(crate) fn socket(&self) -> SockRef<'_> {
        SockRef::from(&self.fd)
    }

    /// Asks the system what is not known: fstat(2), and type and protocol of a socket.
    pub(crate) fn kind(&self) -> io::Result<Kind> {
        if let Some(kind) = self.kind {
            return Ok(kind);
        }
        let stat = rustix::fs::fstat(&self.fd)?;
        Ok(match FileType::from_raw_mode(stat.st_mode as _) {
            FileType::Socket => match rustix::net::sockopt::socket_type(&self.fd)? {
                rustix::net::SocketType::STREAM if quirks::is_tcp(&self.fd)? => Kind::Tcp,
                rustix::net::SocketType::STREAM => Kind::Stream,
                _ => Kind::Datagram,
            },
            FileType::RegularFile | FileType::BlockDevice | FileType::Directory => Kind::File,
            _ => Kind::Pipe,
        })
    }
}

impl From<OwnedFd> for Source {
    fn from(fd: OwnedFd) -> Source {
        Source { fd, kind: None, nonblocking: None }
    }
}

macro_rules! source_from {
    ($($from:ty => $kind:expr),* $(,)?) => {$(
        impl From<$from> for Source {
            fn from(object: $from) -> Source {
                Source { fd: object.into(), kind: $kind, nonblocking: None }
            }
        }
    )*};
}

source_from! {
    std::net::TcpStream => Some(Kind::Tcp),
    std::net::TcpListener => Some(Kind::Tcp),
    std::net::UdpSocket => Some(Kind::Datagram),
    std::os::unix::net::UnixStream => Some(Kind::Stream),
    std::os::unix::net::UnixListener => Some(Kind::Stream),
    std::os::unix::net::UnixDatagram => Some(Kind::Datagram),
    std::fs::File => None,
    socket2::Socket => None,
    std::io::PipeReader => Some(Kind::Pipe),
    std::io::PipeWriter => Some(Kind::Pipe),
    std::process::ChildStdin => None,
    std::process::ChildStdout => None,
    std::process::ChildStderr => None,
}

/// Makes a call while `O_NONBLOCK` is set, and then puts the flags back as they were read: whoever shares the open file may
/// have set them otherwise than this port did.
#[cfg(target_os = "linux")]
pub(crate) fn without_blocking<T>(fd: impl AsFd, call: impl FnOnce() -> T) -> io::Result<T> {
    use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
    let flags = fcntl_getfl(&fd)?;
    if flags.contains(OFlags::NONBLOCK) {
        return Ok(call());
    }
    fcntl_setfl(&fd, flags | OFlags::NONBLOCK)?;
    let result = call();
    fcntl_setfl(&fd, flags)?;
    Ok(result)
}

/// Sets or clears `O_NONBLOCK`; says whether that was a change.
pub(crate) fn set_nonblocking(fd: impl AsFd, on: bool) -> io::Result<bool> {
    use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
    let flags = fcntl_getfl(&fd)?;
    if flags.contains(OFlags::NONBLOCK) == on {
        return Ok(false);
    }
    fcntl_setfl(&fd, if on { flags | OFlags::NONBLOCK } else { flags - OFlags::NONBLOCK })?;
    Ok(true)
}
