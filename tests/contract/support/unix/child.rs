//! A process forked from a trial's.

use std::panic::{AssertUnwindSafe, catch_unwind};

use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, fork};

/// Runs `body` in a forked child; true if it came to its end there.
pub(crate) fn in_a_child(body: impl FnOnce()) -> bool {
    // SAFETY: an isolated trial has one thread here, or threads that hold no lock which the child needs.
    match unsafe { fork() }.expect("fork") {
        ForkResult::Child => {
            // The memory of a failing child says nothing about the parent's.
            let end = catch_unwind(AssertUnwindSafe(body));
            // SAFETY: ends the child at once, without what the parent has registered for its own end.
            unsafe { libc::_exit(if end.is_ok() { 0 } else { 1 }) }
        }
        ForkResult::Parent { child } => {
            let status = waitpid(child, None).expect("waitpid");
            if status != WaitStatus::Exited(child, 0) {
                eprintln!("the child: {status:?}");
            }
            status == WaitStatus::Exited(child, 0)
        }
    }
}
