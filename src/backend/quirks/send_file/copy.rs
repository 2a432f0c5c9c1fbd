//! NetBSD and OpenBSD have no sendfile(2): read and send, which copies.

use super::super::NO_SIGNAL;
use crate::backend::perform::again_c;
use crate::outcome::Outcome;
use rustix::net::SendFlags;
use std::os::fd::{AsRawFd, BorrowedFd};

pub(crate) use super::unknown::is_at_hand;

pub(crate) fn send_file(socket: BorrowedFd<'_>, file: BorrowedFd<'_>, offset: u64, len: usize) -> Outcome {
    let mut copy = [0u8; 64 * 1024];
    let len = len.min(copy.len());
    // SAFETY: the buffer is of this frame.
    let read =
        again_c(|| unsafe { libc::pread(file.as_raw_fd(), copy.as_mut_ptr().cast(), len, offset as libc::off_t) });
    match read.value() {
        Some(n) if n > 0 => {
            rustix::io::retry_on_intr(|| rustix::net::send(socket, &copy[..n], SendFlags::DONTWAIT | NO_SIGNAL)).into()
        }
        _ => read,
    }
}
