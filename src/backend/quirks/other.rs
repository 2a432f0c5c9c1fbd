//! Unix systems other than Linux.

pub(crate) use super::signal::write_masked as write_without_signal;
use crate::backend::perform::again_c;
use crate::outcome::Outcome;
use crate::scratch::Scratch;
use crate::sys::set_nonblocking;
use rustix::net::SendFlags;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd, RawFd};

/// Darwin has no such flag; its sockets get `SO_NOSIGPIPE` when they are attached.
#[cfg(any(target_os = "macos", target_os = "ios"))]
pub(crate) const NO_SIGNAL: SendFlags = SendFlags::empty();
#[cfg(not(any(target_os = "macos", target_os = "ios")))]
pub(crate) const NO_SIGNAL: SendFlags = SendFlags::NOSIGNAL;

/// Close-on-exec is set by a second call: a fork between the two inherits the descriptor.
pub(crate) fn accept(fd: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let fd = rustix::io::retry_on_intr(|| rustix::net::accept(fd))?;
    rustix::io::fcntl_setfd(&fd, rustix::io::FdFlags::CLOEXEC)?;
    set_nonblocking(&fd, true)?;
    Ok(fd)
}

/// Whether a stream socket is a TCP one, by its family: not every system tells a socket's protocol.
pub(crate) fn is_tcp(socket: &OwnedFd) -> io::Result<bool> {
    use rustix::net::AddressFamily;
    let family = rustix::net::getsockname(socket)?.address_family();
    Ok(matches!(family, AddressFamily::INET | AddressFamily::INET6))
}

pub(crate) fn sync(fd: RawFd, _data: bool) -> Outcome {
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
