//! Unix systems other than Linux.

pub(crate) use super::signal::write_without_signal;
use crate::backend::perform::again_c;
use crate::outcome::Outcome;
use crate::scratch::Scratch;
use rustix::net::SendFlags;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd, RawFd};

/// Darwin has no such flag: a descriptor is silenced when it is attached.
#[cfg(target_vendor = "apple")]
pub(crate) const NO_SIGNAL: SendFlags = SendFlags::empty();
#[cfg(not(target_vendor = "apple"))]
pub(crate) const NO_SIGNAL: SendFlags = SendFlags::NOSIGNAL;

/// There is no such flag for more that follows at once.
pub(crate) const MORE: SendFlags = SendFlags::empty();

/// What sending to a receiver that is full fails with, or to an interface whose queue is.
pub(crate) const FULL: i32 = libc::ENOBUFS;

/// Whether a stream socket is a TCP one, by its family: not every system tells a socket's protocol.
pub(crate) fn is_tcp(socket: &OwnedFd) -> io::Result<bool> {
    use rustix::net::AddressFamily;
    let family = rustix::net::getsockname(socket)?.address_family();
    Ok(matches!(family, AddressFamily::INET | AddressFamily::INET6))
}

/// Whether an empty receive from a sender without a name is a datagram. It is an end: every sender has a name, if only an
/// empty one.
pub(crate) fn has_unnamed_senders(_socket: BorrowedFd<'_>) -> bool {
    false
}

/// No such call.
pub(crate) fn is_cached(_file: &OwnedFd) -> io::Result<bool> {
    Ok(false)
}

pub(crate) fn read_cached(_fd: BorrowedFd<'_>, _buf: *mut u8, _len: u32, _offset: u64) -> Outcome {
    Outcome::error(libc::EOPNOTSUPP)
}

pub(crate) fn sync(fd: RawFd, _data: bool) -> Outcome {
    // Darwin's fsync leaves the data in the disk's own cache.
    #[cfg(target_vendor = "apple")]
    // SAFETY: a call without pointers.
    if unsafe { libc::fcntl(fd, libc::F_FULLFSYNC) } == 0 {
        return Outcome::done(0);
    }
    // SAFETY: a call without pointers.
    again_c(|| unsafe { libc::fsync(fd) } as isize)
}

/// # Safety
/// `path` is null (then `fd` is meant) or a C string.
pub(crate) unsafe fn stat(fd: RawFd, path: *const libc::c_char, scratch: &mut Scratch) -> Outcome {
    let stat = &mut scratch.stat;
    // SAFETY: the caller's; the buffer is the scratch's own.
    again_c(|| unsafe { if path.is_null() { libc::fstat(fd, stat) } else { libc::stat(path, stat) } } as isize)
}
