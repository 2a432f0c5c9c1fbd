//! Linux: `RWF_NOSIGNAL`, statx(2), a socket that tells its protocol.

use super::signal::write_without_signal as write_masked;
use crate::backend::perform::again_c;
use crate::outcome::Outcome;
use crate::scratch::Scratch;
use rustix::net::SendFlags;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};

pub(crate) const NO_SIGNAL: SendFlags = SendFlags::NOSIGNAL;

/// More follows at once.
pub(crate) const MORE: SendFlags = SendFlags::MORE;

/// pwritev2(2), "RWF_NOSIGNAL", since Linux 6.18.
pub(crate) const RWF_NOSIGNAL: i32 = 0x100;

/// What sending to a receiver that is full fails with.
pub(crate) const FULL: i32 = libc::EAGAIN;

/// Whether a stream socket is a TCP one.
pub(crate) fn is_tcp(socket: &OwnedFd) -> io::Result<bool> {
    let protocol = rustix::net::sockopt::socket_protocol(socket)?;
    Ok(protocol == Some(rustix::net::ipproto::TCP))
}

/// Whether an empty receive from a sender without a name is a datagram. On a connection of packets it is the end.
pub(crate) fn has_unnamed_senders(socket: BorrowedFd<'_>) -> bool {
    rustix::net::sockopt::socket_type(socket) == Ok(rustix::net::SocketType::DGRAM)
}

/// Writes to what is no socket; a reader that is gone is `EPIPE` and no signal.
pub(crate) fn write_without_signal(fd: BorrowedFd<'_>, list: *const libc::iovec, count: usize) -> Outcome {
    // SAFETY: `list` is valid as the caller's RawOp says. An offset of -1 means the current one.
    match again_c(|| unsafe { libc::pwritev2(fd.as_raw_fd(), list, count as _, -1, RWF_NOSIGNAL) }) {
        // The kernel does not know the flag (or this object has no pwritev2).
        outcome if matches!(outcome.errno(), Some(libc::EOPNOTSUPP | libc::EINVAL | libc::ENOSYS)) => {
            write_masked(fd, list, count)
        }
        outcome => outcome,
    }
}

/// Whether reads of a file go through the page cache. (One that is open for direct I/O would wait for the disk, also
/// where it was asked not to.)
pub(crate) fn is_cached(file: &OwnedFd) -> io::Result<bool> {
    Ok(!rustix::fs::fcntl_getfl(file)?.contains(rustix::fs::OFlags::DIRECT))
}

/// Reads what is in the page cache, without waiting for a disk (preadv2(2) with `RWF_NOWAIT`).
pub(crate) fn read_cached(fd: BorrowedFd<'_>, buf: *mut u8, len: u32, offset: u64) -> Outcome {
    let list = libc::iovec { iov_base: buf.cast(), iov_len: len as usize };
    // SAFETY: the buffer is valid as the caller's RawOp says.
    again_c(|| unsafe { libc::preadv2(fd.as_raw_fd(), &raw const list, 1, offset as libc::off_t, libc::RWF_NOWAIT) })
}

pub(crate) fn sync(fd: RawFd, data: bool) -> Outcome {
    // SAFETY: calls without pointers.
    again_c(|| unsafe { if data { libc::fdatasync(fd) } else { libc::fsync(fd) } } as isize)
}

/// What the port asks of statx(2): the basic fields.
pub(crate) const STATX_MASK: u32 = libc::STATX_BASIC_STATS;

/// # Safety
/// `path` is null (then `fd` is meant) or a C string.
pub(crate) unsafe fn stat(fd: RawFd, path: *const libc::c_char, scratch: &mut Scratch) -> Outcome {
    let (dir, path, flags) = statx_target(fd, path);
    // SAFETY: the caller's; the buffer is the scratch's own.
    again_c(|| unsafe { libc::statx(dir, path, flags, STATX_MASK, &mut scratch.statx) as isize })
}

/// Directory, path and flags that name a path, or with a null path the descriptor itself.
pub(crate) fn statx_target(fd: RawFd, path: *const libc::c_char) -> (RawFd, *const libc::c_char, i32) {
    if path.is_null() { (fd, c"".as_ptr(), libc::AT_EMPTY_PATH) } else { (libc::AT_FDCWD, path, 0) }
}
