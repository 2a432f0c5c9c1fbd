//! Darwin and NetBSD: a descriptor is told once that writing to it raises no `SIGPIPE`.
//!
//! They send the signal to the process and not to the thread that wrote, so a thread's mask does not keep it away
//! (`signal.rs`); and Darwin has no `MSG_NOSIGNAL`.

use crate::backend::perform::again_c;
use crate::outcome::Outcome;
use std::os::fd::{AsRawFd, BorrowedFd};

/// fcntl(2), `F_SETNOSIGPIPE`, for sockets and for all else that is written to. Others that share the open file are
/// spared the signal, too.
pub(crate) fn silence(fd: BorrowedFd<'_>) {
    // Refused when the connection has broken already; it has nothing left to write to.
    // SAFETY: a call without pointers.
    unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_SETNOSIGPIPE, 1) };
}

/// Makes a call on a descriptor that was silenced.
pub(crate) fn without_signal(call: impl FnOnce() -> Outcome) -> Outcome {
    call()
}

/// Writes to what is no socket, and was silenced.
pub(crate) fn write_without_signal(fd: BorrowedFd<'_>, list: *const libc::iovec, count: usize) -> Outcome {
    // SAFETY: `list` is valid as the caller's RawOp says.
    again_c(|| unsafe { libc::writev(fd.as_raw_fd(), list, count as _) })
}
