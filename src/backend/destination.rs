//! Where a receive writes to, and what it comes to there.

use super::perform::{Performed, again};
use crate::buf::pool::Pool;
use crate::error;
use crate::handle::Kind;
use crate::op::raw::MAX_TRANSFER;
use crate::outcome::Outcome;
use rustix::net::RecvFlags;
use std::hint::cold_path;
use std::mem::MaybeUninit;
use std::os::fd::BorrowedFd;

/// The memory of one receive: what its caller has lent, or a buffer of the pool that was taken for it.
#[derive(Clone, Copy)]
pub(super) struct Destination {
    /// The pool's buffer, if it is one.
    buffer: Option<u16>,
    buf: *mut u8,
    len: usize,
}

/// Takes a buffer of the pool; or says what a receive comes to without one: an empty pool is `ENOBUFS`.
#[inline(always)]
pub(super) fn take(pool: &Pool) -> Result<u16, Outcome> {
    match pool.take() {
        Ok(Some(index)) => Ok(index),
        Ok(None) => {
            cold_path();
            Err(Outcome::error(error::NO_BUFFER))
        }
        Err(error) => {
            cold_path();
            Err(error.into())
        }
    }
}

impl Destination {
    /// The lent memory of a `RawOp`.
    #[inline(always)]
    pub(super) fn lent(buf: *mut u8, len: usize) -> Destination {
        Destination { buffer: None, buf, len: len.min(MAX_TRANSFER) }
    }

    /// A buffer of the pool; or what the receive comes to without one.
    #[inline(always)]
    pub(super) fn taken(pool: &Pool) -> Result<Destination, Outcome> {
        let index = take(pool)?;
        let (buf, len) = pool.room(index);
        Ok(Destination { buffer: Some(index), buf, len })
    }

    /// Receives, and says what that came to.
    ///
    /// # Safety
    /// As for the `RawOp`s: what was lent is valid for writes, and nobody else uses it.
    #[inline(always)]
    pub(super) unsafe fn receive(self, fd: BorrowedFd<'_>, kind: Kind, pool: &Pool) -> Performed {
        let outcome = if kind.is_socket() {
            // SAFETY: the caller's.
            unsafe { self.recv(fd) }
        } else {
            cold_path();
            // SAFETY: the caller's.
            let room = unsafe { self.room() };
            again(|| rustix::io::read(fd, &mut *room).map(|(part, _)| part.len()))
        };
        self.performed(outcome, pool)
    }

    /// Makes the call of a socket.
    ///
    /// # Safety
    /// As for `receive`.
    #[inline(always)]
    pub(super) unsafe fn recv(&self, fd: BorrowedFd<'_>) -> Outcome {
        // SAFETY: the caller's.
        let room = unsafe { self.room() };
        again(|| rustix::net::recv(fd, &mut *room, RecvFlags::DONTWAIT).map(|(part, _)| part.0.len()))
    }

    /// What the call came to. A buffer that nothing is in goes back.
    #[inline(always)]
    pub(super) fn performed(self, outcome: Outcome, pool: &Pool) -> Performed {
        let short = !outcome.is_error() && outcome.count() < self.len;
        let outcome = match self.buffer {
            None => outcome,
            Some(index) if !outcome.is_empty() => Outcome::in_buffer(outcome.count(), index),
            Some(_) => {
                cold_path();
                self.give_back(pool);
                outcome
            }
        };
        Performed { outcome, short }
    }

    /// Nothing is received.
    pub(super) fn give_back(self, pool: &Pool) {
        if let Some(index) = self.buffer {
            pool.give_back(index);
        }
    }

    /// # Safety
    /// As for `receive`.
    #[inline(always)]
    unsafe fn room<'a>(&self) -> &'a mut [MaybeUninit<u8>] {
        // SAFETY: the caller's for what was lent; the pool has given a buffer out to nobody but this receive. MaybeUninit needs
        // no initialized bytes.
        unsafe { std::slice::from_raw_parts_mut(self.buf.cast(), self.len) }
    }
}
