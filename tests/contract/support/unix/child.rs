//! Processes that a trial starts.

use std::os::fd::AsFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::Command;

use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, fork};

use super::OWN_DESCRIPTORS;
use crate::support::skip::skip;

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

/// What a program that is started now has open: its standard streams, the folder it reads, what the test runner leaks.
pub(crate) fn seen_by_a_child() -> String {
    let output = Command::new("ls").arg(OWN_DESCRIPTORS).output();
    let output = output.unwrap_or_else(|error| skip(format!("`ls` cannot be started: {error}")));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Has the programs that are started from here on inherit the object.
pub(crate) fn have_inherited(object: impl AsFd) {
    rustix::io::fcntl_setfd(object, rustix::io::FdFlags::empty()).expect("clear close-on-exec");
}
