//! SIGPIPE, which a send that nobody can receive raises where it is not told otherwise, and SIGXFSZ, which a write does
//! that makes a file larger than is allowed. For isolated trials.

use nix::sys::signal::{SigHandler, SigSet, Signal, signal};

/// Gives SIGPIPE its default disposition, which ends the process; Rust's start-up code had it ignored.
pub(crate) fn make_sigpipe_deadly() {
    // SAFETY: no handler of ours is installed, only the default disposition.
    unsafe { signal(Signal::SIGPIPE, SigHandler::SigDfl) }.expect("set the disposition of SIGPIPE");
}

/// Makes it deadly, and blocks it in this thread: one that is raised would be seen as pending.
pub(crate) fn block_deadly_sigpipe() {
    make_sigpipe_deadly();
    let mut blocked = SigSet::empty();
    blocked.add(Signal::SIGPIPE);
    blocked.thread_block().expect("block SIGPIPE");
}

/// None is pending, and it is still blocked and deadly.
#[track_caller]
pub(crate) fn assert_sigpipe_untouched() {
    // SAFETY: the set is a plain value that the call fills in.
    let mut pending = unsafe { std::mem::zeroed::<libc::sigset_t>() };
    // SAFETY: `pending` is a valid set to write to, and is initialised.
    let raised = unsafe { libc::sigpending(&mut pending) == 0 && libc::sigismember(&pending, libc::SIGPIPE) == 1 };
    assert!(!raised, "a SIGPIPE is pending: it would end the process when it is unblocked");
    assert!(SigSet::thread_get_mask().expect("the mask").contains(Signal::SIGPIPE), "the port changed the mask");
    // SAFETY: no handler of ours is installed, only the default disposition.
    let disposition = unsafe { signal(Signal::SIGPIPE, SigHandler::SigDfl) }.expect("the disposition");
    assert!(matches!(disposition, SigHandler::SigDfl), "the port changed the disposition of SIGPIPE");
}

/// Gives SIGXFSZ its default disposition, which ends the process; whatever started this one may have had it ignored.
#[cfg(target_os = "linux")]
pub(crate) fn make_sigxfsz_deadly() {
    // SAFETY: no handler of ours is installed, only the default disposition.
    unsafe { signal(Signal::SIGXFSZ, SigHandler::SigDfl) }.expect("set the disposition of SIGXFSZ");
}
