//! Writing without `SIGPIPE`, where the call has no flag for that.

use crate::backend::perform::again_c;
use crate::outcome::Outcome;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd};

/// writev(2) without the signal.
pub(crate) fn write_without_signal(fd: BorrowedFd<'_>, list: *const libc::iovec, count: usize) -> Outcome {
    // SAFETY: `list` is valid as the caller's RawOp says.
    without_signal(|| again_c(|| unsafe { libc::writev(fd.as_raw_fd(), list, count as _) }))
}

/// Makes a call with `SIGPIPE` blocked in this thread; one that the call itself raised is taken back.
pub(crate) fn without_signal(call: impl FnOnce() -> Outcome) -> Outcome {
    if is_ignored() {
        return call();
    }
    let mut pipe = MaybeUninit::<libc::sigset_t>::uninit();
    let mut old = MaybeUninit::<libc::sigset_t>::uninit();
    let mut pending = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: plain C calls on sets of this frame, each initialized by the call before its first
    // use.
    unsafe {
        libc::sigemptyset(pipe.as_mut_ptr());
        libc::sigaddset(pipe.as_mut_ptr(), libc::SIGPIPE);
        libc::sigpending(pending.as_mut_ptr());
        let was_pending = libc::sigismember(pending.as_ptr(), libc::SIGPIPE) == 1;
        libc::pthread_sigmask(libc::SIG_BLOCK, pipe.as_ptr(), old.as_mut_ptr());
        let result = call();
        if result.errno() == Some(libc::EPIPE) && !was_pending {
            take_pending(pipe.as_ptr());
        }
        libc::pthread_sigmask(libc::SIG_SETMASK, old.as_ptr(), std::ptr::null_mut());
        result
    }
}

/// Whether the process ignores the signal anyway, as Rust's have it from their start. One call instead of three.
fn is_ignored() -> bool {
    let mut now = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: the structure is of this frame; nothing is changed.
    unsafe {
        libc::sigaction(libc::SIGPIPE, std::ptr::null(), now.as_mut_ptr()) == 0
            && now.assume_init().sa_sigaction == libc::SIG_IGN
    }
}

/// Nothing to be done once for a descriptor: each write is without a signal.
pub(crate) fn silence(_fd: BorrowedFd<'_>) {}

/// # Safety
/// `set` points to an initialized set.
#[cfg(not(target_os = "openbsd"))]
unsafe fn take_pending(set: *const libc::sigset_t) {
    // SAFETY: the caller's; a zero timespec is a value.
    unsafe { libc::sigtimedwait(set, std::ptr::null_mut(), &std::mem::zeroed()) };
}

/// OpenBSD has no sigtimedwait(2): the signal is pending, so sigwait(3) does not block.
///
/// # Safety
/// `set` points to an initialized set.
#[cfg(target_os = "openbsd")]
unsafe fn take_pending(set: *const libc::sigset_t) {
    let mut signal = 0;
    let mut pending = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: the caller's; sets and number are of this frame.
    unsafe {
        libc::sigpending(pending.as_mut_ptr());
        if libc::sigismember(pending.as_ptr(), libc::SIGPIPE) == 1 {
            libc::sigwait(set, &mut signal);
        }
    }
}
