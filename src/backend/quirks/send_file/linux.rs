//! Linux: sendfile(2), and preadv2(2) to ask for what is at hand.

use crate::outcome::Outcome;
use rustix::io::{ReadWriteFlags, preadv2, retry_on_intr};
use std::io::IoSliceMut;
use std::os::fd::BorrowedFd;

/// Whether the system has that part of a file in its cache. Both ends of it are looked at: the cache is filled by
/// long stretches.
pub(crate) fn is_at_hand(file: BorrowedFd<'_>, offset: u64, len: usize) -> bool {
    // A page on, the first byte is no witness any more.
    let looks = if len > 4096 { 2 } else { 1 };
    [offset, offset + len as u64 - 1].iter().take(looks).all(|&at| {
        let byte = &mut [0];
        retry_on_intr(|| preadv2(file, &mut [IoSliceMut::new(byte)], at, ReadWriteFlags::NOWAIT)).is_ok()
    })
}

pub(crate) fn send_file(socket: BorrowedFd<'_>, file: BorrowedFd<'_>, offset: u64, len: usize) -> Outcome {
    retry_on_intr(|| rustix::fs::sendfile(socket, file, Some(&mut { offset }), len)).into()
}
