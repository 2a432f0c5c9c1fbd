//! Handles: the OS objects that have joined a port.
//!
//! A [`Handle`] is a `Copy` index with a generation; the port owns the descriptor behind it. Each has
//! a FIFO per direction ([`Lane`]), linked through the slots, so that operations of one direction take
//! effect in order, whatever the backend. [`Source`] is anything that can be attached.
//!
//! Invariant: an operation on a handle is in exactly one of its lanes from `submit` until it is
//! finished; in an ordered lane only the head may be with the backend.

use crate::backend::quirks;
use crate::error;
use crate::op::raw::{LANES, Lane, RawOp, Reads};
use crate::outcome::Outcome;
use crate::slot::{NONE, Slots};
use rustix::fs::FileType;
use std::fmt;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

/// Names an OS object that has joined a port, from [`Port::attach`](crate::Port::attach).
///
/// A handle that was closed or detached is never confused with a later one, even when the system
/// reuses the descriptor's number.
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

/// An OS object on its way into a port: made by `into()` from the standard library's sockets, files
/// and pipes, an `OwnedFd`, a `socket2::Socket`, or what an accept or open resulted in.
#[derive(Debug)]
pub struct Source {
    pub(crate) fd: OwnedFd,
    /// `None`: to be asked of the system.
    pub(crate) kind: Option<Kind>,
    /// Whether `O_NONBLOCK` is set, where that is known.
    pub(crate) nonblocking: Option<bool>,
}

impl Source {
    /// Asks the system what is not known: fstat(2), and type and protocol of a socket.
    pub(crate) fn kind(&self) -> io::Result<Kind> {
        if let Some(kind) = self.kind {
            return Ok(kind);
        }
        let stat = rustix::fs::fstat(&self.fd)?;
        Ok(match FileType::from_raw_mode(stat.st_mode as _) {
            FileType::Socket => match rustix::net::sockopt::socket_type(&self.fd)? {
                rustix::net::SocketType::STREAM if quirks::is_tcp(&self.fd)? => Kind::Tcp,
                rustix::net::SocketType::STREAM => Kind::Stream,
                _ => Kind::Datagram,
            },
            FileType::RegularFile | FileType::BlockDevice | FileType::Directory => Kind::File,
            _ => Kind::Pipe,
        })
    }
}

impl From<OwnedFd> for Source {
    fn from(fd: OwnedFd) -> Source {
        Source { fd, kind: None, nonblocking: None }
    }
}

macro_rules! source_from {
    ($($from:ty => $kind:expr),* $(,)?) => {$(
        impl From<$from> for Source {
            fn from(object: $from) -> Source {
                Source { fd: object.into(), kind: $kind, nonblocking: None }
            }
        }
    )*};
}

source_from! {
    std::net::TcpStream => Some(Kind::Tcp),
    std::net::TcpListener => Some(Kind::Tcp),
    std::net::UdpSocket => Some(Kind::Datagram),
    std::os::unix::net::UnixStream => Some(Kind::Stream),
    std::os::unix::net::UnixListener => Some(Kind::Stream),
    std::os::unix::net::UnixDatagram => Some(Kind::Datagram),
    std::fs::File => None,
    socket2::Socket => None,
    std::io::PipeReader => Some(Kind::Pipe),
    std::io::PipeWriter => Some(Kind::Pipe),
    std::process::ChildStdin => None,
    std::process::ChildStdout => None,
    std::process::ChildStderr => None,
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

/// What a reactor knows about the readiness of a handle.
#[derive(Clone, Copy, Default)]
pub(crate) struct Readiness {
    /// The selector knows the descriptor.
    pub(crate) registered: bool,
    /// The last read said that no more of these is there: wait for an edge, don't try.
    pub(crate) read_exhausted: Option<Reads>,
    pub(crate) write_exhausted: bool,
    /// A hang-up, error or urgent data came with an edge: a short read no longer means "drained".
    pub(crate) distrust_short_reads: bool,
}

/// An attached object.
pub(crate) struct Entry {
    fd: RawFd,
    pub(crate) generation: u32,
    lanes: [List; LANES],
    pub(crate) state: HandleState,
    pub(crate) kind: Kind,
    pub(crate) readiness: Readiness,
    /// `O_NONBLOCK` was changed by attach, and detach changes it back.
    pub(crate) flag_changed: bool,
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
    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        // SAFETY: an entry that is not free owns an open descriptor, until `Handles::remove`.
        unsafe { BorrowedFd::borrow_raw(self.fd) }
    }

    pub(crate) fn raw_fd(&self) -> RawFd {
        self.fd
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
            (RawOp::Connect { .. }, Some(errno)) if error::is_unreached(errno) => self.failure = libc::ENOTCONN,
            (_, Some(errno)) if error::is_broken(errno) => self.failure = errno,
            (RawOp::Recv { .. } | RawOp::RecvMsg { .. } | RawOp::RecvPooled { .. }, None) if self.failure != 0 => {
                return Outcome::error(self.failure);
            }
            _ => {}
        }
        outcome
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

    pub(crate) fn insert(&mut self, fd: OwnedFd, kind: Kind, flag_changed: bool) -> Handle {
        use std::os::fd::IntoRawFd;
        let entry = Entry {
            fd: fd.into_raw_fd(),
            generation: self.first_generation,
            lanes: [EMPTY; LANES],
            state: HandleState::Open,
            kind,
            readiness: Readiness::default(),
            flag_changed,
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

    /// Takes the descriptor out; the handle is stale from now on.
    pub(crate) fn remove(&mut self, index: u32) -> OwnedFd {
        let free = self.free;
        let entry = self.entry_mut(index);
        debug_assert!(entry.is_idle());
        entry.generation = entry.generation.wrapping_add(1);
        entry.state = HandleState::Free { next: free };
        self.free = index;
        // SAFETY: the entry owned the descriptor and is free now, so nobody else will close it.
        unsafe { OwnedFd::from_raw_fd(std::mem::replace(&mut self.entry_mut(index).fd, -1)) }
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

    /// The descriptors that are still attached, for when the port is dropped.
    pub(crate) fn drain(&mut self) {
        for entry in self.chunks.iter_mut().flatten() {
            if !matches!(entry.state, HandleState::Free { .. }) {
                // SAFETY: an entry that is not free owns its descriptor; it is marked free here.
                drop(unsafe { OwnedFd::from_raw_fd(entry.fd) });
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

/// Sets or clears `O_NONBLOCK`; says whether that was a change.
pub(crate) fn set_nonblocking(fd: impl AsFd, on: bool) -> io::Result<bool> {
    use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
    let flags = fcntl_getfl(&fd)?;
    if flags.contains(OFlags::NONBLOCK) == on {
        return Ok(false);
    }
    fcntl_setfl(&fd, if on { flags | OFlags::NONBLOCK } else { flags - OFlags::NONBLOCK })?;
    Ok(true)
}

#[cfg(test)]
const _: () = assert!(size_of::<Entry>() <= 72, "an entry is part of what an idle connection costs");
