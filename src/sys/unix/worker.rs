//! A thread of the blocking pool.

use crate::op::raw::RawOp;

/// What became of telling a thread that its job was given up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Told {
    /// It has not reached its call.
    NotYet,
    /// It has another job, or nobody can tell it.
    Nothing,
}

/// A thread, and what it carries out. Nobody interrupts that on a Unix: only a signal could, whose handler is the whole
/// process's.
pub(crate) struct Worker;

impl Worker {
    /// Blocks all signals in this thread: they are for the user's threads, and a write to a broken pipe must
    /// not raise one.
    pub(crate) fn of_this_thread() -> Worker {
        // SAFETY: a set of this frame, filled before its use.
        unsafe {
            let mut all = std::mem::zeroed();
            libc::sigfillset(&mut all);
            libc::pthread_sigmask(libc::SIG_BLOCK, &all, std::ptr::null_mut());
        }
        Worker
    }

    /// This thread begins a job.
    pub(crate) fn begin(&self, _slot: u32, _number: u64, _raw: &RawOp) {}

    /// It has done it.
    pub(crate) fn end(&self) {}

    /// The number of its job, if that is of this slot and can be interrupted.
    pub(crate) fn carries(&self, _slot: u32) -> Option<u64> {
        None
    }

    /// Interrupts the call of the job of this number.
    pub(crate) fn interrupt(&self, _number: u64) -> Told {
        Told::Nothing
    }
}
