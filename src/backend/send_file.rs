//! Sending a part of a file on a Unix: a share at a time, and only what is at hand, so that the port's thread waits for
//! no disk. What is not at hand the blocking pool reads first ([`bring`]).

use super::perform::again_c;
use super::quirks::send_file::{is_at_hand, send_file};
use super::quirks::{MORE, NO_SIGNAL, without_signal};
use crate::error;
use crate::op::send_file::Part;
use crate::outcome::Outcome;
use rustix::net::SendFlags;
use std::os::fd::BorrowedFd;

/// How much of a file is sent, and read ahead, at a time: enough to be worth a call, little enough for others to wait for.
const SHARE: usize = 1 << 20;

/// Sends the next of `part` on a non-blocking socket. Nothing: the file has ended before. [`error::NOT_AT_HAND`]: it has
/// to be brought first.
///
/// # Safety
/// The head is valid for reads.
pub(super) unsafe fn send_next(socket: BorrowedFd<'_>, part: &Part) -> Outcome {
    if part.head_len == 0 {
        return send_share(socket, part);
    }
    // SAFETY: the caller's.
    let head = unsafe { std::slice::from_raw_parts(part.head, part.head_len) };
    let more = if part.left > 0 { MORE } else { SendFlags::empty() };
    let outcome: Outcome =
        rustix::io::retry_on_intr(|| rustix::net::send(socket, head, SendFlags::DONTWAIT | NO_SIGNAL | more)).into();
    if outcome.value() != Some(part.head_len) || part.left == 0 {
        return outcome;
    }
    let behind = send_share(socket, part).value().unwrap_or(0);
    Outcome::done(part.head_len + behind)
}

fn send_share(socket: BorrowedFd<'_>, part: &Part) -> Outcome {
    let len = part.left.min(SHARE);
    if len == 0 {
        return Outcome::done(0);
    }
    // SAFETY: the file stays open as long as it is lent.
    let file = unsafe { BorrowedFd::borrow_raw(part.file) };
    if part.offset + len as u64 > part.at_hand && !is_at_hand(file, part.offset, len) {
        return Outcome::error(error::NOT_AT_HAND);
    }
    without_signal(|| send_file(socket, file, part.offset, len))
}

/// Reads the next share of a file, so that the system has it at hand. Blocks.
pub(super) fn bring(part: &mut Part) -> Outcome {
    let mut sink = vec![0u8; 64 * 1024];
    let mut at = part.offset;
    let end = at + part.left.min(SHARE) as u64;
    while at < end {
        let len = (end - at).min(sink.len() as u64) as usize;
        // SAFETY: the buffer is of this frame; the file stays open as long as it is lent.
        let read = again_c(|| unsafe { libc::pread(part.file, sink.as_mut_ptr().cast(), len, at as libc::off_t) });
        match read.value() {
            Some(0) => break,
            Some(n) => at += n as u64,
            None => return read,
        }
    }
    part.at_hand = end;
    Outcome::done(0)
}
