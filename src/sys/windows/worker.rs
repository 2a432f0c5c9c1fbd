//! A thread of the blocking pool, whose call another thread can interrupt: `CancelSynchronousIo`.
//!
//! Invariant: whoever holds `carrying` keeps the thread in the job that is noted there, so what is interrupted is a call of
//! that job and of no other.

use crate::op::raw::RawOp;
use std::os::windows::io::{AsRawHandle, FromRawHandle, OwnedHandle};
use std::ptr::null_mut;
use std::sync::{Mutex, MutexGuard, PoisonError};
use windows_sys::Win32::Foundation::{DUPLICATE_SAME_ACCESS, DuplicateHandle};
use windows_sys::Win32::System::IO::CancelSynchronousIo;
use windows_sys::Win32::System::Threading::{GetCurrentProcess, GetCurrentThread};

/// What became of telling a thread that its job was given up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Told {
    /// It has not reached its call.
    NotYet,
    /// It was told, it has another job, or nobody can tell it.
    Nothing,
}

struct Carried {
    slot: u32,
    number: u64,
}

/// A thread, and what it carries out.
pub(crate) struct Worker {
    /// `None` also for a closure, which is the user's.
    carrying: Mutex<Option<Carried>>,
    /// `None`: the system gave no handle, and nothing can be interrupted.
    thread: Option<OwnedHandle>,
}

impl Worker {
    pub(crate) fn of_this_thread() -> Worker {
        let mut thread = null_mut();
        // SAFETY: the handle is of this frame; what is duplicated stands for the calling thread.
        let made = unsafe {
            let (process, own) = (GetCurrentProcess(), GetCurrentThread());
            DuplicateHandle(process, own, process, &mut thread, 0, 0, DUPLICATE_SAME_ACCESS)
        };
        // SAFETY: the call has just made this handle, and nobody else has it.
        let thread = (made != 0).then(|| unsafe { OwnedHandle::from_raw_handle(thread) });
        Worker { carrying: Mutex::default(), thread }
    }

    fn carrying(&self) -> MutexGuard<'_, Option<Carried>> {
        // Nothing panics while it is held.
        self.carrying.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// This thread begins a job.
    pub(crate) fn begin(&self, slot: u32, number: u64, raw: &RawOp) {
        let is_call = !matches!(raw, RawOp::Call { .. });
        *self.carrying() = is_call.then_some(Carried { slot, number });
    }

    /// It has done it.
    pub(crate) fn end(&self) {
        *self.carrying() = None;
    }

    /// The number of its job, if that is of this slot and can be interrupted.
    pub(crate) fn carries(&self, slot: u32) -> Option<u64> {
        self.carrying().as_ref().filter(|job| job.slot == slot).map(|job| job.number)
    }

    /// Interrupts the call of the job of this number.
    pub(crate) fn interrupt(&self, number: u64) -> Told {
        let carrying = self.carrying();
        match &self.thread {
            Some(thread) if carrying.as_ref().is_some_and(|job| job.number == number) => {
                // SAFETY: a call without pointers on an open handle. Where it fails there is no call to interrupt (yet).
                let told = unsafe { CancelSynchronousIo(thread.as_raw_handle()) };
                if told != 0 { Told::Nothing } else { Told::NotYet }
            }
            _ => Told::Nothing,
        }
    }
}
