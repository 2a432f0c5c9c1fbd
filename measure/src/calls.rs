//! How many system calls a piece of work makes: it is done once more in a child process, which is traced (ptrace(2)).

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};

use nix::sys::ptrace::{self, Options};
use nix::sys::signal::{Signal, raise};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, fork};

/// The system calls of `work`, done in a child process; `None` where nobody may trace. What `work` changes in memory is
/// changed in the child.
pub fn count(work: impl FnOnce() -> io::Result<()>) -> Option<u64> {
    // SAFETY: the child, a copy of this thread alone, does the work and ends without returning. The work allocates,
    // which the C library's fork allows for, and takes no lock that another thread could hold.
    let child = match unsafe { fork() }.ok()? {
        ForkResult::Parent { child } => child,
        ForkResult::Child => {
            let traced = ptrace::traceme().is_ok() && raise(Signal::SIGSTOP).is_ok();
            let done = traced && catch_unwind(AssertUnwindSafe(work)).is_ok_and(|result| result.is_ok());
            // SAFETY: ends the process at once; nothing of the parent's is run.
            unsafe { libc::_exit(i32::from(!done)) }
        }
    };
    let WaitStatus::Stopped(_, Signal::SIGSTOP) = waitpid(child, None).ok()? else { return None };
    ptrace::setoptions(child, Options::PTRACE_O_TRACESYSGOOD | Options::PTRACE_O_EXITKILL).ok()?;
    ptrace::syscall(child, None).ok()?;
    let mut stops = 0;
    loop {
        let signal = match waitpid(child, None).ok()? {
            // Two of each call: when it is entered and when it returns.
            WaitStatus::PtraceSyscall(_) => {
                stops += 1;
                None
            }
            WaitStatus::Stopped(_, signal) => Some(signal),
            WaitStatus::Exited(_, 0) => return Some(stops / 2),
            _ => return None,
        };
        ptrace::syscall(child, signal).ok()?;
    }
}

#[cfg(test)]
mod tests {
    use super::count;

    #[test]
    fn more_calls_are_more() {
        let pids = |times: usize| {
            count(move || {
                for _ in 0..times {
                    let _ = rustix::process::getppid();
                }
                Ok(())
            })
        };
        let (Some(few), Some(many)) = (pids(10), pids(110)) else {
            return println!("skipped: ptrace is not allowed here");
        };
        assert_eq!(many - few, 100);
    }
}
