//! Darwin's accept(2), which takes no flags.

use crate::sys::set_nonblocking;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

/// Close-on-exec is set by a second call: a program that another thread starts between the two inherits the descriptor.
/// The system has no way to do both at once.
pub(crate) fn accept(fd: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let fd = rustix::io::retry_on_intr(|| rustix::net::accept(fd))?;
    rustix::io::fcntl_setfd(&fd, rustix::io::FdFlags::CLOEXEC)?;
    set_nonblocking(&fd, true)?;
    Ok(fd)
}
