//! The polls of one socket, one at a time, with the memory that they need.
//!
//! Called by the poller's AFD backend. Invariant: while a poll is in flight its memory is the system's; it is read
//! when the packet was taken, and freed only when no poll is in flight (else never).

use super::afd::{Afd, Events, LOCAL_CLOSE, Poll, base_socket};
use std::io;
use std::num::NonZeroUsize;
use std::os::windows::io::RawSocket;
use std::ptr::{self, NonNull};
use std::sync::Arc;

/// Where a poll is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Flight {
    /// Nowhere: none was started, or its packet was taken.
    Landed,
    /// Waiting for these events.
    Flying(Events),
    /// Given up; its packet will come.
    Cancelled,
}

/// A socket that is polled.
pub(crate) struct SocketPoll {
    afd: Arc<Afd>,
    socket: RawSocket,
    memory: NonNull<Poll>,
    flight: Flight,
}

// SAFETY: the memory is this value's own, or the system's.
unsafe impl Send for SocketPoll {}

impl SocketPoll {
    /// Polls of `socket` through a handle of the driver.
    ///
    /// # Errors
    /// When it is no socket.
    pub(crate) fn new(afd: Arc<Afd>, socket: RawSocket) -> io::Result<SocketPoll> {
        let memory = NonNull::from(Box::leak(Box::new(Poll::new())));
        let mut poll = SocketPoll { afd, socket, memory, flight: Flight::Landed };
        poll.socket = base_socket(socket)?;
        Ok(poll)
    }

    pub(crate) fn flight(&self) -> Flight {
        self.flight
    }

    /// Starts a poll; the address of its packet will be `address`. None is in flight.
    ///
    /// # Errors
    /// The driver's; `ERROR_INVALID_HANDLE` when the socket was closed.
    pub(crate) fn start(&mut self, events: Events, address: NonZeroUsize) -> io::Result<()> {
        assert_eq!(self.flight, Flight::Landed);
        let address = ptr::without_provenance_mut(address.get());
        // SAFETY: the memory is ours while no poll is in flight, and from here on nobody touches it before `landed`.
        unsafe { self.afd.poll(self.memory.as_ptr(), self.socket, events, address)? };
        self.flight = Flight::Flying(events);
        Ok(())
    }

    /// Gives the poll in flight up, if there is one; its packet still comes.
    pub(crate) fn cancel(&mut self) {
        if let Flight::Flying(_) = self.flight {
            // SAFETY: its packet was not taken, or `landed` would have noted that.
            // Nothing can be done about an error: the poll stays in flight, and so does its memory.
            let _ = unsafe { self.afd.cancel(self.memory.as_ptr()) };
            self.flight = Flight::Cancelled;
        }
    }

    /// What a poll has found.
    ///
    /// # Errors
    /// `ERROR_OPERATION_ABORTED` for one that was given up; the driver's.
    ///
    /// # Safety
    /// The packet of the poll in flight was just taken.
    pub(crate) unsafe fn landed(&mut self) -> io::Result<Events> {
        self.flight = Flight::Landed;
        // SAFETY: with its packet the system has given the memory back.
        unsafe { self.memory.as_ref() }.events()
    }

    /// True when the poll in flight has found that the socket was closed, although its packet was not taken yet.
    pub(crate) fn has_seen_close(&self) -> bool {
        self.flight != Flight::Landed
            // SAFETY: the memory is there; the system may write to it, which `peek` allows for.
            && unsafe { Poll::peek(self.memory.as_ptr()) }.is_some_and(|events| events & LOCAL_CLOSE != 0)
    }
}

impl Drop for SocketPoll {
    fn drop(&mut self) {
        if self.flight == Flight::Landed {
            // SAFETY: made by `new` as a box, and nobody else's any more.
            drop(unsafe { Box::from_raw(self.memory.as_ptr()) });
        }
    }
}
