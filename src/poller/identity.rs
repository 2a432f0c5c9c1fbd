//! Tells a descriptor from an earlier one of the same number, for the backends that keep a table of their own by number:
//! a source that was closed without being deleted is still in there when its successor is added.

use rustix::fs::{FileType, fstat};
use std::io;
use std::os::fd::BorrowedFd;

/// The open object behind a descriptor, by fstat(2). (An eventfd, timerfd or epoll instance looks like every other.)
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Identity {
    device: u64,
    inode: u64,
    pub(crate) is_socket: bool,
}

impl Identity {
    #[allow(clippy::unnecessary_cast)] // their types differ from Unix to Unix
    pub(crate) fn of(source: BorrowedFd<'_>) -> io::Result<Identity> {
        let stat = fstat(source)?;
        let is_socket = FileType::from_raw_mode(stat.st_mode as _).is_socket();
        Ok(Identity { device: stat.st_dev as u64, inode: stat.st_ino as u64, is_socket })
    }
}
