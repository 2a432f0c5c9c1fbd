//! Receives in a row, as the sends of `sends.rs`: what each needs is looked up before the first of them, and what came of them is
//! looked into behind the last one.
//!
//! On a Zen 4, CPU time as a multiple of the loop by hand (`anyport bench echo --backend epoll --rounds 9`, a program with all of
//! these in turns):
//!
//! | looked up at once | 64 connections x 64 B | 1000 x 64 B | 64 x 16 KiB |
//! | --- | --- | --- | --- |
//! | none: each just before its call | 1.049, 0.999 | 1.017, 1.024 | 1.030, 1.057, 1.061 |
//! | 16 | 1.031, 0.986 | 0.974, 0.985 | 1.013, 1.010, 1.027 |
//! | 32 | 1.015, 0.974 | 0.973, 0.963 | 1.014, 1.019, 1.014 |
//! | 64 | 0.967 | 0.978 | 1.010, 1.023 |
//!
//! At 1000 connections runs lie that far apart: another day, with none and with 32 in turns, it was 1.013 and 1.030, 1.074 and
//! 1.053, 1.049 and 1.031, 1.028 and 0.999, 1.060 and 1.046. Two programs in turns, one from before this and one with it, tell
//! nothing there: they lay 0.02 apart, and so did two with an `AHEAD` of 64 and of 24, which in one program are alike.

use crate::backend::destination::Destination;
use crate::backend::perform::Performed;
use crate::buf::pool::Pool;
use crate::handle::Entry;
use crate::op::raw::RawOp;
use crate::outcome::Outcome;
use crate::slot::{At, Head};
use std::hint::cold_path;
use std::os::fd::{BorrowedFd, RawFd};

/// Receives that are looked up at once.
pub(super) const ROW: usize = 32;

/// A receive on a socket.
#[derive(Clone, Copy)]
pub(super) struct RecvCall {
    pub(super) slot: At,
    fd: RawFd,
    to: Destination,
    /// What came of it, once it was made.
    outcome: Outcome,
}

impl RecvCall {
    /// The call that an operation is, if it is a single receive on a socket, and there is a buffer for it.
    #[inline(always)]
    pub(super) fn of(slot: At, head: &Head, entry: &Entry, pool: &Pool) -> Option<RecvCall> {
        if !entry.kind.is_socket() {
            cold_path();
            return None;
        }
        let to = match head.raw {
            RawOp::Recv { buf, len } => Destination::lent(buf, len),
            RawOp::RecvPooled { multi: false } => Destination::taken(pool).ok()?,
            _ => {
                cold_path();
                return None;
            }
        };
        Some(RecvCall { slot, fd: entry.raw(), to, outcome: Outcome::done(0) })
    }

    /// What came of it.
    #[inline(always)]
    pub(super) fn performed(self, pool: &Pool) -> Performed {
        self.to.performed(self.outcome, pool)
    }

    /// It is not made.
    pub(super) fn give_back(self, pool: &Pool) {
        self.to.give_back(pool);
    }
}

/// Makes the calls until `enough` bytes have come, and says how many it has made.
///
/// # Safety
/// Each is of an operation that has been with the backend since [`RecvCall::of`], and so is its handle.
#[inline(always)]
pub(super) unsafe fn receive_in_a_row(calls: &mut [RecvCall], enough: usize) -> usize {
    let mut bytes = 0;
    for (before, call) in calls.iter_mut().enumerate() {
        // SAFETY: the caller's: the handle's object is open, and the buffer is the operation's alone.
        call.outcome = unsafe { call.to.recv(BorrowedFd::borrow_raw(call.fd)) };
        if !call.outcome.is_error() {
            bytes += call.outcome.count();
        }
        if bytes >= enough {
            return before + 1;
        }
    }
    calls.len()
}
