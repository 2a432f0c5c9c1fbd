//! Handles: the OS objects that have joined a port.
//!
//! A [`Handle`] is a `Copy` index with a generation; the port owns the descriptor behind it. Each has
//! a FIFO per direction ([`Lane`]), linked through the slots, so that operations of one direction take
//! effect in order, whatever the backend.
//!
//! Invariant: an operation on a handle is in exactly one of its lanes from `submit` until it is
//! finished; in an ordered lane only the head may be with the backend.

use crate::error;
use crate::op::raw::{LANES, Lane, RawOp};
use crate::outcome::Outcome;
use crate::slot::{NONE, Slots};
use crate::sys::{self, NO_OBJECT, Notes, Object, Raw};
use std::fmt;

/// Names an OS object that has joined a port, from [`Port::attach`](crate::Port::attach).
///
/// A handle that was closed or detached is never confused with a later one, even when the system
/// reuses the descriptor's number.
///
/// ```
/// # use anyport::{Port, Token, op};
/// # use std::{io, net::UdpSocket};
/// # fn main() -> std::io::Result<()> {
/// let mut port = Port::new()?;
/// let old = port.attach(UdpSocket::bind("127.0.0.1:0")?)?;
/// drop(port.detach(old)?);
/// let new = port.attach(UdpSocket::bind("127.0.0.1:0")?)?;
/// assert_ne!(old, new);
/// port.submit(op::RecvPooled::new(old), Token(1)); // cannot reach the new socket
/// port.wait(None)?;
/// let result = port.next().unwrap().unpack::<op::RecvPooled>();
/// assert_eq!(result.unwrap_err().kind(), io::ErrorKind::NotFound);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Handle {
    pub(crate) index: u32,
    pub(crate) generation: u32,
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Handle({}.{})", self.index, self.generation)
    }
}

/// What sort of object a descriptor is: decides which calls move its data.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// A TCP socket, connected or listening: a short read has drained it.
    Tcp,
    /// Another stream socket. A short read tells nothing: on a Unix socket it stops where a descriptor was
    /// sent along, or where the sender's credentials change.
    Stream,
    /// Any other socket.
    Datagram,
    /// A pipe, terminal, eventfd: readiness works, `read` and `write` move the data.
    Pipe,
    /// A regular file, block device or directory: always "ready", and may block all the same.
    File,
}

impl Kind {
    pub(crate) fn is_socket(self) -> bool {
        matches!(self, Kind::Tcp | Kind::Stream | Kind::Datagram)
    }

    pub(crate) fn is_stream(self) -> bool {
        matches!(self, Kind::Tcp | Kind::Stream)
    }
}

/// First and last operation of a lane.
#[derive(Clone, Copy)]
pub(crate) struct List {
    pub(crate) head: u32,
    tail: u32,
}

impl List {
    /// The last operation, or NONE.
    pub(crate) fn tail(self) -> u32 {
        if self.head == NONE { NONE } else { self.tail }
    }
}

const EMPTY: List = List { head: NONE, tail: NONE };

/// An attached object.
pub(crate) struct Entry {
    object: Raw,
    pub(crate) generation: u32,
    lanes: [List; LANES],
    pub(crate) state: HandleState,
    pub(crate) kind: Kind,
    /// What the backend knows about it.
    pub(crate) notes: Notes,
    /// The connect in flight, if there is one: receives wait for it.
    pub(crate) connecting: bool,
    /// The error number that receives report instead of an end of the stream, or 0: [`Entry::truth`].
    failure: i32,
}

/// Where a handle is in its life.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum HandleState {
    /// Unused; the next free entry.
    Free {
        next: u32,
    },
    Open,
    /// Its close was submitted as this slot; it starts when the other operations have ended.
    Closing {
        slot: u32,
    },
}

impl Entry {
    /// Names the object, which an entry that is not free owns until `Handles::remove`.
    pub(crate) fn raw(&self) -> Raw {
        self.object
    }

    pub(crate) fn lane(&self, lane: Lane) -> List {
        self.lanes[lane as usize]
    }

    /// What an operation's outcome means on this object. The system reports the failure of a connection
    /// once, to whichever operation asks first (a send, perhaps), and from then on pretends that the stream
    /// has ended; here it stays a failure.
    #[cold]
    pub(crate) fn truth(&mut self, raw: &RawOp, outcome: Outcome) -> Outcome {
        if !self.kind.is_stream() {
            return outcome;
        }
        match (raw, outcome.errno()) {
            (RawOp::Connect { .. }, None) => self.failure = 0,
            (RawOp::Connect { .. }, Some(errno)) if error::is_unreached(errno) => self.failure = error::NOT_CONNECTED,
            (_, Some(errno)) if error::is_broken(errno) => self.failure = errno,
            (RawOp::Recv { .. } | RawOp::RecvMsg { .. } | RawOp::RecvPooled { .. }, Some(errno))
                if error::is_unconnected(errno) =>
            {
                return Outcome::error(error::NOT_CONNECTED);
            }
            (RawOp::Recv { .. } | RawOp::RecvMsg { .. } | RawOp::RecvPooled { .. }, None) if self.failure != 0 => {
                return Outcome::error(self.failure);
            }
            _ => {}
        }
        outcome
    }

    /// True when the connection is known to have failed.
    #[cfg_attr(unix, expect(dead_code, reason = "the system tells there"))]
    pub(crate) fn has_failed(&self) -> bool {
        self.failure != 0
    }

    /// True when no operation is in any lane.
    pub(crate) fn is_idle(&self) -> bool {
        self.lanes.iter().all(|list| list.head == NONE)
    }
}

/// Entries in a chunk: small, so that a few handles cost little, and no copy when there are many.
const CHUNK: usize = 64;

/// All handles of a port.
pub(crate) struct Handles {
    chunks: Vec<Vec<Entry>>,
    free: u32,
    /// The generation of an entry's first handle.
    first_generation: u32,
}

impl Handles {
    pub(crate) fn new(first_generation: u32) -> Handles {
        Handles { chunks: Vec::new(), free: NONE, first_generation }
    }

    #[inline]
    pub(crate) fn entry(&self, index: u32) -> &Entry {
        &self.chunks[index as usize / CHUNK][index as usize % CHUNK]
    }

    #[inline]
    pub(crate) fn entry_mut(&mut self, index: u32) -> &mut Entry {
        &mut self.chunks[index as usize / CHUNK][index as usize % CHUNK]
    }

    /// The index behind `handle` if it has joined this port and was not closed.
    #[inline]
    pub(crate) fn find(&self, handle: Handle) -> Option<u32> {
        let chunk = self.chunks.get(handle.index as usize / CHUNK)?;
        let entry = chunk.get(handle.index as usize % CHUNK)?;
        (entry.generation == handle.generation && entry.state == HandleState::Open).then_some(handle.index)
    }

    pub(crate) fn insert(&mut self, object: Object, kind: Kind, notes: Notes) -> Handle {
        let entry = Entry {
            object: sys::into_raw(object),
            generation: self.first_generation,
            lanes: [EMPTY; LANES],
            state: HandleState::Open,
            kind,
            notes,
            connecting: false,
            failure: 0,
        };
        if self.free == NONE {
            if self.chunks.last().is_none_or(|chunk| chunk.len() == CHUNK) {
                self.chunks.push(Vec::with_capacity(CHUNK));
            }
            let chunks = self.chunks.len();
            let chunk = self.chunks.last_mut().expect("one was just pushed");
            chunk.push(entry);
            return Handle {
                index: ((chunks - 1) * CHUNK + chunk.len() - 1) as u32,
                generation: self.first_generation,
            };
        }
        let index = self.free;
        let old = self.entry_mut(index);
        let generation = old.generation;
        let HandleState::Free { next } = old.state else { unreachable!("the free list holds free entries") };
        *old = Entry { generation, ..entry };
        self.free = next;
        Handle { index, generation }
    }

    /// Takes the object out; the handle is stale from now on.
    pub(crate) fn remove(&mut self, index: u32) -> Object {
        let free = self.free;
        let entry = self.entry_mut(index);
        debug_assert!(entry.is_idle());
        entry.generation = entry.generation.wrapping_add(1);
        entry.state = HandleState::Free { next: free };
        self.free = index;
        // SAFETY: the entry owned the object and is free now, so nobody else will close it.
        unsafe { sys::from_raw(std::mem::replace(&mut self.entry_mut(index).object, NO_OBJECT)) }
    }

    /// Puts slot `index` at the end of its lane.
    #[inline]
    pub(crate) fn link(&mut self, slots: &mut Slots, index: u32) {
        let head = slots.head(index);
        let (handle, lane) = (head.handle, head.lane as usize);
        let list = &mut self.entry_mut(handle).lanes[lane];
        let tail = std::mem::replace(&mut list.tail, index);
        if tail == NONE {
            list.head = index;
        }
        let head = slots.head_mut(index);
        (head.prev, head.next) = (tail, NONE);
        if tail != NONE {
            slots.head_mut(tail).next = index;
        }
    }

    /// Takes slot `index` out of its lane.
    #[inline]
    pub(crate) fn unlink(&mut self, slots: &mut Slots, index: u32) {
        let head = slots.head(index);
        let (handle, lane, prev, next) = (head.handle, head.lane as usize, head.prev, head.next);
        let list = &mut self.entry_mut(handle).lanes[lane];
        if prev == NONE {
            list.head = next;
        }
        if next == NONE {
            list.tail = prev;
        }
        if prev != NONE {
            slots.head_mut(prev).next = next;
        }
        if next != NONE {
            slots.head_mut(next).prev = prev;
        }
    }

    /// Closes the objects that are still attached, for when the port is dropped.
    pub(crate) fn drain(&mut self) {
        for entry in self.chunks.iter_mut().flatten() {
            if !matches!(entry.state, HandleState::Free { .. }) {
                // SAFETY: an entry that is not free owns its object; it is marked free here.
                drop(unsafe { sys::from_raw(entry.object) });
                entry.state = HandleState::Free { next: NONE };
            }
        }
        self.chunks.clear();
        self.free = NONE;
    }
}

impl Drop for Handles {
    fn drop(&mut self) {
        self.drain();
    }
}

#[cfg(all(test, unix))]
const _: () = assert!(size_of::<Entry>() <= 72, "an entry is part of what an idle connection costs");
