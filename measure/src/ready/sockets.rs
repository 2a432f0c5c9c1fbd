//! The sockets that are watched on Linux: pairs of Unix sockets, and idle ones that nobody ever writes to.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};

/// What a poller is given.
pub(super) type Source<'a> = BorrowedFd<'a>;

/// An end of a pair.
pub(super) type Stream = UnixStream;

/// An idle socket.
pub(super) type Sleeper = OwnedFd;

pub(super) fn pair() -> io::Result<(Stream, Stream)> {
    UnixStream::pair()
}

pub(super) fn as_source(stream: &Stream) -> Source<'_> {
    stream.as_fd()
}

pub(super) fn read(source: Source<'_>, buffer: &mut [u8]) -> io::Result<usize> {
    Ok(rustix::io::read(source, buffer)?)
}

pub(super) fn write(stream: &Stream, bytes: &[u8]) -> io::Result<usize> {
    Ok(rustix::io::write(stream, bytes)?)
}

pub(super) fn sleeper() -> io::Result<Sleeper> {
    Ok(socket_with(AddressFamily::UNIX, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?)
}

pub(super) fn as_sleeping_source(sleeper: &Sleeper) -> Source<'_> {
    sleeper.as_fd()
}
