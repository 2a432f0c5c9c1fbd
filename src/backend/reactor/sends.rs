//! Sends in a row, with as little between two of them as can be: what each needs was looked up when it was submitted, and what
//! came of them is looked into behind the last one.
//!
//! 64 connections x 16 KiB on a Zen 3, times the loop by hand (`anyport bench echo --backend epoll --rounds 5`, in turns, each
//! function at a line of the cache): 1.042 and 1.032 with each operation looked up just before its call and looked into just
//! behind it, 1.001 and 1.009 this way (and with the reactor's queues as plain lists, which came along).
//!
//! In their order: the last one first cost 1000 connections x 64 B on a Zen 4 some 0.03 more (`anyport bench echo --backend epoll
//! --rounds 9`, one program with both in turns: 1.032, 1.075, 1.046, 1.016, 1.074 beside 1.005, 1.035, 1.013, 1.012, 1.031), and
//! so it did with rows of 16.

use crate::backend::perform::send;
use crate::handle::Entry;
use crate::op::raw::RawOp;
use crate::outcome::Outcome;
use crate::slot::{At, Head};
use std::os::fd::{BorrowedFd, RawFd};

/// A send on a socket.
#[derive(Clone, Copy)]
pub(super) struct SendCall {
    pub(super) slot: At,
    fd: RawFd,
    buf: *const u8,
    len: usize,
    /// What came of it, once it was made.
    pub(super) outcome: Outcome,
}

impl SendCall {
    /// The call that an operation is, if it is a send on a socket.
    #[inline(always)]
    pub(super) fn of(slot: At, head: &Head, entry: &Entry) -> Option<SendCall> {
        match head.raw {
            RawOp::Send { buf, len, .. } if entry.kind.is_socket() => {
                Some(SendCall { slot, fd: entry.raw(), buf, len, outcome: Outcome::done(0) })
            }
            _ => None,
        }
    }

    #[inline(always)]
    pub(super) fn has_sent_all(&self) -> bool {
        self.outcome == Outcome::done(self.len)
    }
}

/// Makes the calls.
///
/// # Safety
/// Each is of an operation that has been with the backend since [`SendCall::of`], and so is its handle.
#[inline(always)]
pub(super) unsafe fn send_in_a_row(calls: &mut [SendCall]) {
    for call in calls {
        // SAFETY: the caller's: the handle's object is open, and the lent buffer is in its place.
        call.outcome = unsafe { send(BorrowedFd::borrow_raw(call.fd), call.buf, call.len) };
    }
}
