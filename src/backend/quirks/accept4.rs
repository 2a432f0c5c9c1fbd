//! accept4(2): the new descriptor is non-blocking and closed on exec from the beginning.

use rustix::net::SocketFlags;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

pub(crate) fn accept(fd: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    Ok(rustix::io::retry_on_intr(|| rustix::net::accept_with(fd, flags))?)
}
