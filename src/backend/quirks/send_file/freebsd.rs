//! sendfile(2) of FreeBSD and DragonFly.

use crate::backend::perform::again_c;
use crate::outcome::Outcome;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr;

pub(crate) use super::unknown::is_at_hand;

pub(crate) fn send_file(socket: BorrowedFd<'_>, file: BorrowedFd<'_>, offset: u64, len: usize) -> Outcome {
    let (file, socket, mut sent) = (file.as_raw_fd(), socket.as_raw_fd(), 0);
    let outcome = again_c(|| {
        sent = 0;
        // SAFETY: the number is of this frame; there are no headers.
        let result = unsafe { libc::sendfile(file, socket, offset as libc::off_t, len, ptr::null_mut(), &mut sent, 0) };
        // It may have sent something, and then have been interrupted or found no more room.
        if sent > 0 { 0 } else { result as isize }
    });
    if outcome.is_error() { outcome } else { Outcome::done(sent as usize) }
}
