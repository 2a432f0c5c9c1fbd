//! Readiness made completion: the backend over epoll, kqueue and poll(2).
//!
//! An operation is tried first. If it would block, its handle is registered (once, for both
//! directions, edge-triggered) and the lane's direction is marked *exhausted*: nothing is tried again
//! before the selector reports an edge. A short read or write on a stream has exhausted it too, which
//! saves the call that would only say `EAGAIN`. In steady state an echo is one recv and one send.
//!
//! [`Reactor::wait`] notes edges; [`Reactor::advance`] carries their operations out one by one, so
//! that a buffer that was just filled is used while it is in the cache, and no handle runs ahead.
//!
//! Invariant: a started operation is waiting for an edge of its direction, or such an edge is in
//! `edges`, or it is with the blocking pool.

#[cfg(target_os = "linux")]
pub(crate) mod epoll;
#[cfg_attr(
    not(any(
        target_vendor = "apple",
        target_os = "dragonfly",
        target_os = "freebsd",
        target_os = "netbsd",
        target_os = "openbsd",
        anyport_libkqueue
    )),
    path = "absent.rs"
)]
pub(crate) mod kqueue;
pub(crate) mod poll;

use super::blocking::Blocking;
use super::perform::{close, is_ready, perform};
use super::quirks::{is_cached, read_cached, silence};
use super::{Cancelled, Started, not_waitable};
use crate::builder::Builder;
use crate::core::{Core, Event};
use crate::error;
use crate::explain::{Carrier, Feature};
use crate::handle::{Entry, Kind};
use crate::op::raw::{Direction, Lane, RawOp};
use crate::outcome::Outcome;
use crate::poster::Inbox;
use crate::slot::{Head, NONE, State};
use crate::sys::{Notes, Source, set_nonblocking};
use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::Duration;

/// The system's readiness queue.
pub(crate) trait Selector: Sized {
    /// The name of its waiting call, for `explain`.
    const CALL: &'static str;

    /// A selector that also reports calls of the inbox's waker, and at most `events` others a wait.
    fn new(events: usize, inbox: &Arc<Inbox>) -> io::Result<Self>;

    /// Starts to report edges of `fd`, under the handle's index and generation.
    fn add(&mut self, fd: BorrowedFd<'_>, kind: Kind, handle: u32, generation: u32) -> io::Result<()>;

    /// An operation waits for this direction. (Selectors that report levels need to know each time, those that
    /// watch the directions one by one the first time.)
    fn expect(&mut self, fd: BorrowedFd<'_>, handle: u32, direction: Direction);

    /// Stops reporting. The descriptor is still open.
    fn remove(&mut self, fd: BorrowedFd<'_>, handle: u32);

    /// Waits, and hands out what became ready.
    fn wait(&mut self, timeout: Option<Duration>, report: impl FnMut(Report)) -> io::Result<()>;

    /// `n` bytes were received from `fd`. False: more must be there, though a read stopped short of it.
    #[inline]
    fn consume(&mut self, _fd: BorrowedFd<'_>, _n: usize) -> bool {
        true
    }

    /// A descriptor that is readable when the next wait would report something, where the system has one.
    fn waitable(&self) -> io::Result<BorrowedFd<'_>> {
        Err(not_waitable())
    }

    /// The error that came with an edge of `fd` and that no operation has reported yet. Whoever hands it out this way
    /// may be the only one to know it.
    #[inline]
    fn take_error(&mut self, _fd: BorrowedFd<'_>) -> Option<i32> {
        None
    }
}

/// One report of a selector.
pub(crate) struct Report {
    pub(crate) handle: u32,
    pub(crate) generation: u32,
    pub(crate) readable: bool,
    pub(crate) writable: bool,
    /// A hang-up, half-close, error or urgent data came with it.
    pub(crate) special: bool,
}

/// A ready handle that waits for its turn; its notes say which lanes are to be served.
struct Edge {
    handle: u32,
    generation: u32,
    /// Completions in a row of a multishot operation.
    turns: u8,
}

const READ: u8 = Lane::Read.bit() | Lane::Readable.bit();
const WRITE: u8 = Lane::Write.bit() | Lane::Writable.bit();

/// Completions that a multishot operation may have before the next handle has its turn.
const TURNS: u8 = 16;

/// Edges that are taken up before the next wait, so that these handles have their turn beside a flood of posts. The others
/// stay behind them in the queue: what is received long before its turn holds a buffer, and is no longer in the cache then.
const TAKEN_UP: usize = 16;

/// Queues a handle, once, however many edges come before its turn: a busy one would have a turn for each.
fn queue(edges: &mut VecDeque<Edge>, entry: &mut Entry, handle: u32, lanes: u8) {
    let readiness = &mut entry.notes.readiness;
    readiness.lanes |= lanes;
    if !std::mem::replace(&mut readiness.queued, true) {
        edges.push_back(Edge { handle, generation: entry.generation, turns: 0 });
    }
}

/// The backend.
pub(crate) struct Reactor<S> {
    selector: S,
    /// A handle is here at most once.
    edges: VecDeque<Edge>,
    blocking: Blocking,
}

/// True for what only the blocking pool can carry out.
fn needs_pool(raw: &RawOp, kind: Option<Kind>) -> bool {
    match raw {
        RawOp::Open { .. }
        | RawOp::ReadAt { .. }
        | RawOp::WriteAt { .. }
        | RawOp::Sync { .. }
        | RawOp::Stat { .. }
        | RawOp::Bring { .. }
        | RawOp::Call { .. } => true,
        RawOp::Recv { .. } | RawOp::Send { .. } | RawOp::RecvMsg { .. } | RawOp::SendMsg { .. } => {
            kind == Some(Kind::File)
        }
        _ => false,
    }
}

fn direction(lane: Lane) -> Direction {
    match lane {
        Lane::Write | Lane::Writable => Direction::Write,
        _ => Direction::Read,
    }
}

/// What a finished call of `n` bytes tells about the direction it used: true when nothing more can be had
/// from it before the next edge.
fn drained(raw: &RawOp, n: usize, entry: &Entry, pool_buffer: usize) -> bool {
    if entry.kind != Kind::Tcp {
        return false;
    }
    let short_read = |room: usize| n > 0 && n < room && !entry.notes.readiness.distrust_short_reads;
    match raw {
        RawOp::Recv { len, .. } => short_read(*len),
        raw if raw.is_pooled() => short_read(pool_buffer),
        RawOp::Send { len, .. } => n < *len,
        _ => false,
    }
}

/// Whether the error that came with an edge is what this outcome stands for: the call reports the socket's error, or
/// what is left to report after somebody else has taken that up.
fn stands_for_error(raw: &RawOp, kind: Kind, outcome: Outcome) -> bool {
    match (raw, outcome.errno()) {
        (raw, errno) if raw.receives() => match errno {
            Some(errno) => errno != error::NO_BUFFER,
            None => outcome.value() == Some(0) && kind.is_stream(),
        },
        (RawOp::Connect { .. }, errno) => errno.is_some(),
        // On other streams a send to a peer that is gone has an answer of its own.
        (RawOp::Send { .. } | RawOp::SendMsg { .. }, Some(_)) if kind == Kind::Tcp => true,
        (RawOp::SendFile { .. }, Some(errno)) if kind == Kind::Tcp => errno != error::NOT_AT_HAND,
        (RawOp::Shutdown { .. }, _) => false,
        (_, errno) => errno.is_some_and(error::would_block),
    }
}

impl<S: Selector> Reactor<S> {
    pub(crate) fn new(options: &Builder, inbox: &Arc<Inbox>) -> io::Result<Reactor<S>> {
        Ok(Reactor {
            selector: S::new(options.entries as usize, inbox)?,
            edges: VecDeque::new(),
            blocking: Blocking::new(options.threads, inbox),
        })
    }

    #[inline(never)]
    pub(crate) fn start(&mut self, core: &mut Core, slot: u32) -> Started {
        let head = core.slots.head(slot);
        let entry = (head.handle != NONE).then(|| core.handles.entry(head.handle));
        let raw = head.raw;
        match raw {
            RawOp::Nop => return Started::Done(Outcome::done(0)),
            RawOp::Close { object } => return Started::Done(close(object)),
            _ if needs_pool(&raw, entry.map(|entry| entry.kind)) => {
                let fd = entry.map_or(-1, Entry::raw);
                if let Some(outcome) = self.read_at_once(core, slot) {
                    return Started::Done(outcome);
                }
                return match self.blocking.submit(slot, raw, fd) {
                    Ok(()) => Started::Pending,
                    Err(error) => Started::Done(error.into()),
                };
            }
            _ => {}
        }
        let Some(entry) = entry else { unreachable!("{raw:?} has a handle") };
        let (handle, lane) = (head.handle, head.lane);
        let exhausted = match lane {
            Lane::Read => entry.notes.readiness.read_exhausted == Some(raw.reads()),
            // A connect and a shutdown need no room.
            Lane::Write => entry.notes.readiness.write_exhausted && raw.sends(),
            _ => false,
        };
        if exhausted && entry.notes.readiness.registered {
            self.selector.expect(entry.fd(), handle, direction(lane));
            return Started::Pending;
        }
        if raw.is_multi() {
            queue(&mut self.edges, core.handles.entry_mut(handle), handle, lane.bit());
            return Started::Pending;
        }
        match self.attempt(core, slot) {
            Some(outcome) => Started::Done(outcome),
            None => Started::Pending,
        }
    }

    /// Reads a block that is in the page cache. What is there in part only, or ends with the file, is left to the pool.
    fn read_at_once(&mut self, core: &mut Core, slot: u32) -> Option<Outcome> {
        let head = core.slots.head(slot);
        let RawOp::ReadAt { buf, len, offset } = head.raw else { return None };
        let entry = core.handles.entry_mut(head.handle);
        if !entry.notes.is_cached {
            return None;
        }
        let outcome = read_cached(entry.fd(), buf, len, offset);
        if outcome.errno() == Some(libc::EOPNOTSUPP) {
            entry.notes.is_cached = false;
        }
        outcome.value().filter(|&n| n == len as usize).map(|_| outcome)
    }

    /// Tries the operation in `slot`; `None`: it would block, and now waits for an edge.
    #[inline(always)]
    fn attempt(&mut self, core: &mut Core, slot: u32) -> Option<Outcome> {
        let head = core.slots.head_mut(slot);
        let entry = core.handles.entry_mut(head.handle);
        let mut outcome = perform(&mut head.raw, entry.fd(), entry.kind, &core.pool);
        if entry.notes.readiness.registered
            && stands_for_error(&head.raw, entry.kind, outcome)
            && let Some(errno) = self.selector.take_error(entry.fd())
        {
            outcome = Outcome::error(errno);
        }
        if let Some(n) = outcome.value() {
            let all =
                head.lane != Lane::Read || !entry.notes.readiness.registered || self.selector.consume(entry.fd(), n);
            if all && drained(&head.raw, n, entry, core.pool.size()) {
                exhaust(entry, head.lane, &head.raw);
            }
            return Some(outcome);
        }
        self.after_error(core, slot, outcome)
    }

    /// What an error of a call comes to; `None`: it is to wait for an edge.
    #[inline(never)]
    fn after_error(&mut self, core: &mut Core, slot: u32, outcome: Outcome) -> Option<Outcome> {
        let head = core.slots.head(slot);
        let entry = core.handles.entry_mut(head.handle);
        // A connect that is refused with EAGAIN (a Unix socket whose listener is full) gets no edge, so
        // that is its result. For all else it means: not ready yet.
        let waits = outcome.errno().is_some_and(error::would_block);
        if !waits || matches!(head.raw, RawOp::Connect { begun: false, .. }) {
            return Some(outcome);
        }
        // Nor for a datagram to a receiver that is full, while the sender's own socket has room.
        if entry.kind == Kind::Datagram && head.raw.sends() && is_ready(entry.fd(), Direction::Write) {
            return Some(outcome);
        }
        let handle = head.handle;
        if !entry.notes.readiness.registered {
            if let Err(error) = self.selector.add(entry.fd(), entry.kind, handle, entry.generation) {
                return Some(error.into());
            }
            entry.notes.readiness.registered = true;
        }
        exhaust(entry, head.lane, &head.raw);
        self.selector.expect(entry.fd(), handle, direction(head.lane));
        None
    }

    pub(crate) fn cancel(&mut self, core: &mut Core, slot: u32) -> Cancelled {
        let head = core.slots.head(slot);
        let kind = (head.handle != NONE).then(|| core.handles.entry(head.handle).kind);
        if needs_pool(&head.raw, kind) && !self.blocking.cancel(slot) {
            return Cancelled::Pending;
        }
        Cancelled::Done
    }

    pub(crate) fn wait(&mut self, core: &mut Core, timeout: Option<Duration>) -> io::Result<()> {
        let timeout = if self.edges.is_empty() { timeout } else { Some(Duration::ZERO) };
        let edges = &mut self.edges;
        self.selector.wait(timeout, |report| {
            let entry = core.handles.entry_mut(report.handle);
            if entry.generation != report.generation {
                return; // the handle was closed after the report was made
            }
            let mut lanes = 0;
            if report.readable {
                entry.notes.readiness.read_exhausted = None;
                lanes |= READ;
            }
            if report.writable {
                entry.notes.readiness.write_exhausted = false;
                lanes |= WRITE;
            }
            entry.notes.readiness.distrust_short_reads |= report.special;
            queue(edges, entry, report.handle, lanes);
        })
    }

    #[inline(never)]
    pub(crate) fn advance(&mut self, core: &mut Core) -> Option<Event> {
        loop {
            let edge = self.edges.front()?;
            let entry = core.handles.entry_mut(edge.handle);
            if entry.generation != edge.generation {
                self.edges.pop_front();
                continue;
            }
            // A lane that has nothing in it was served, too: what comes is tried.
            let lanes = entry.notes.readiness.lanes & entry.occupied();
            if lanes == 0 {
                (entry.notes.readiness.lanes, entry.notes.readiness.queued) = (0, false);
                self.edges.pop_front();
                continue;
            }
            let lane = Lane::ALL[lanes.trailing_zeros() as usize];
            let slot = entry.first(lane);
            if !waits(core.slots.head(slot)) {
                entry.notes.readiness.lanes &= !lane.bit();
                continue;
            }
            let outcome = self.attempt(core, slot);
            if let Some(event) = self.served(core, slot, lane, outcome) {
                return Some(event);
            }
        }
    }

    /// Book-keeping after the front edge's `lane` was served.
    fn served(&mut self, core: &mut Core, slot: u32, lane: Lane, outcome: Option<Outcome>) -> Option<Event> {
        let head = core.slots.head(slot);
        let entry = core.handles.entry_mut(head.handle);
        let readiness = &mut entry.notes.readiness;
        let Some(outcome) = outcome else {
            readiness.lanes &= !lane.bit();
            return None;
        };
        let more = head.raw.goes_on_after(outcome);
        // Not registered yet, it is tried until it would block: no edge would come.
        let exhausted = readiness.read_exhausted.is_some() && readiness.registered;
        if !more || exhausted {
            readiness.lanes &= !lane.bit();
        } else {
            let edge = self.edges.front_mut().expect("the edge that was served");
            edge.turns += 1;
            if edge.turns == TURNS {
                edge.turns = 0;
                self.edges.rotate_left(1);
            }
        }
        if more && exhausted {
            self.selector.expect(entry.fd(), head.handle, Direction::Read);
        }
        Some(Event::new(slot, more, outcome))
    }

    pub(crate) fn backlog(&mut self) -> usize {
        self.edges.len().min(TAKEN_UP)
    }

    pub(crate) fn attach(&mut self, source: &Source, kind: Kind) -> io::Result<Notes> {
        if kind != Kind::File {
            silence(source.fd.as_fd());
        }
        let flag_changed = self.prepare(source, kind)?;
        let is_cached = kind == Kind::File && is_cached(&source.fd)?;
        Ok(Notes { flag_changed, is_cached, ..Notes::default() })
    }

    /// Sets `O_NONBLOCK` as this backend needs it; says whether that was a change.
    fn prepare(&self, source: &Source, kind: Kind) -> io::Result<bool> {
        match kind {
            // Sockets are used with MSG_DONTWAIT, but accept and connect go by the flag.
            _ if source.nonblocking == Some(true) => Ok(false),
            Kind::File => Ok(false),
            _ => set_nonblocking(&source.fd, true),
        }
    }

    /// Undoes what attaching did to the object.
    pub(crate) fn detach(&mut self, core: &mut Core, handle: u32) -> io::Result<()> {
        let entry = core.handles.entry(handle);
        if entry.notes.flag_changed {
            set_nonblocking(entry.fd(), false)?;
        }
        Ok(())
    }

    pub(crate) fn release(&mut self, core: &mut Core, handle: u32) {
        let entry = core.handles.entry_mut(handle);
        if std::mem::take(&mut entry.notes.readiness).registered {
            self.selector.remove(entry.fd(), handle);
        }
    }

    pub(crate) fn carrier(&self, raw: &RawOp) -> Carrier {
        match raw {
            RawOp::Nop | RawOp::Timer { .. } => Carrier::Port,
            RawOp::Close { .. } | RawOp::Shutdown { .. } => Carrier::Direct,
            _ if needs_pool(raw, None) => Carrier::Pool,
            _ => Carrier::Reactor,
        }
    }

    pub(crate) fn waitable(&self) -> io::Result<BorrowedFd<'_>> {
        self.selector.waitable()
    }

    pub(crate) fn features(&self) -> Vec<Feature> {
        vec![Feature::new("waiting call", true, S::CALL)]
    }
}

/// Whether the head of a lane waits for an edge: started, and not with the blocking pool for the while.
fn waits(head: &Head) -> bool {
    head.state == State::Started && !matches!(head.raw, RawOp::Bring { .. })
}

fn exhaust(entry: &mut Entry, lane: Lane, raw: &RawOp) {
    match lane {
        Lane::Read => entry.notes.readiness.read_exhausted = Some(raw.reads()),
        Lane::Write => entry.notes.readiness.write_exhausted = true,
        _ => {}
    }
}
