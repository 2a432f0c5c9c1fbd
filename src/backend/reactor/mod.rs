//! Readiness made completion: the backend over epoll, kqueue and poll(2).
//!
//! An operation is tried first. If it would block, its handle is registered (once, for both
//! directions, edge-triggered) and the lane's direction is marked *exhausted*: nothing is tried again
//! before the selector reports an edge. A short read or write on a stream has exhausted it too, which
//! saves the call that would only say `EAGAIN`. In steady state an echo is one recv and one send.
//!
//! [`Reactor::wait`] notes edges; [`Reactor::advance`] carries their operations out one by one, as the port asks for
//! them: a few ahead, so that a buffer that was just filled is used while it is in the cache, and no handle runs ahead.
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
use super::perform::{Performed, close, is_ready, perform};
use super::quirks::{is_cached, read_cached, silence};
use super::{Cancelled, Started, not_waitable};
use crate::buf::pool::Pool;
use crate::builder::Builder;
use crate::core::{Core, Event};
use crate::error;
use crate::explain::{Carrier, Feature};
use crate::handle::{Entry, Kind};
use crate::op::raw::{Direction, Lane, RawOp, Reads};
use crate::outcome::Outcome;
use crate::poster::Inbox;
use crate::slot::{Head, Marks, NONE, State};
use crate::sys::{Notes, Source, set_nonblocking};
use std::collections::VecDeque;
use std::hint::cold_path;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, RawFd};
use std::sync::Arc;
use std::time::Duration;

/// The system's readiness queue.
pub(crate) trait Selector: Sized {
    /// The name of its waiting call (of both, if there are two), for `explain`.
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
    fn consume(&mut self, _fd: RawFd, _n: usize) -> bool {
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

    /// Starts one of the frequent calls of a socket; `None` for all else, which is for `start`.
    #[inline(always)]
    pub(crate) fn start_on(&mut self, _slot: u32, head: &mut Head, entry: &mut Entry, pool: &Pool) -> Option<Started> {
        if !entry.kind.is_socket() {
            cold_path();
            return None;
        }
        let readiness = &entry.notes.readiness;
        let (exhausted, direction) = match head.raw {
            RawOp::RecvPooled { multi: false } | RawOp::Recv { .. } => {
                (readiness.read_exhausted == Some(Reads::Bytes), Direction::Read)
            }
            RawOp::Send { .. } => (readiness.write_exhausted, Direction::Write),
            _ => return None,
        };
        if exhausted && readiness.registered {
            self.selector.expect(entry.fd(), head.handle, direction);
            return Some(Started::Pending);
        }
        Some(self.try_first(head, entry, pool))
    }

    #[inline(always)]
    fn try_first(&mut self, head: &mut Head, entry: &mut Entry, pool: &Pool) -> Started {
        match self.attempt(head, entry, pool) {
            Some(outcome) => Started::Done(outcome),
            None => Started::Pending,
        }
    }

    /// There is nothing to be done.
    #[inline(always)]
    pub(crate) fn start_nop(&mut self, _slot: u32, _head: &mut Head) -> Started {
        Started::Done(Outcome::done(0))
    }

    #[inline(never)]
    pub(crate) fn start(&mut self, core: &mut Core, slot: u32) -> Started {
        let Core { slots, handles, pool, .. } = core;
        let head = slots.head_mut(slot);
        // Looked at where it is: it was written in parts a moment ago, and reading it as a whole would wait for that.
        if head.handle == NONE || needs_pool(&head.raw, head.kind) {
            return self.start_elsewhere(core, slot);
        }
        let entry = handles.entry_mut(head.handle);
        let readiness = &entry.notes.readiness;
        let exhausted = match head.lane {
            Lane::Read => readiness.read_exhausted == Some(head.raw.reads()),
            // A connect and a shutdown need no room.
            Lane::Write => readiness.write_exhausted && head.raw.sends(),
            _ => false,
        };
        if exhausted && readiness.registered {
            self.selector.expect(entry.fd(), head.handle, direction(head.lane));
            return Started::Pending;
        }
        if head.raw.is_multi() {
            queue(&mut self.edges, entry, head.handle, head.lane.bit());
            return Started::Pending;
        }
        self.try_first(head, entry, pool)
    }

    /// Starts what needs no readiness: it is done right here, or by the blocking pool.
    #[inline(never)]
    fn start_elsewhere(&mut self, core: &mut Core, slot: u32) -> Started {
        let head = core.slots.head(slot);
        let raw = head.raw;
        if let RawOp::Close { object } = raw {
            return Started::Done(close(object));
        }
        let fd = if head.handle == NONE { -1 } else { core.handles.entry(head.handle).raw() };
        if let Some(outcome) = self.read_at_once(core, slot) {
            return Started::Done(outcome);
        }
        match self.blocking.submit(slot, raw, fd) {
            Ok(()) => Started::Pending,
            Err(error) => Started::Done(error.into()),
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

    /// Tries an operation; `None`: it would block, and now waits for an edge.
    #[inline(always)]
    fn attempt(&mut self, head: &mut Head, entry: &mut Entry, pool: &Pool) -> Option<Outcome> {
        let Performed { outcome, short } = perform(&mut head.raw, entry.fd(), entry.kind, pool);
        if outcome.is_empty() {
            cold_path();
            return self.after_nothing(head, entry, outcome);
        }
        let reads = head.lane == Lane::Read;
        let more = reads && entry.notes.readiness.registered && !self.selector.consume(entry.raw(), outcome.count());
        // Nothing more can be had from this direction before the next edge.
        if short && !more && entry.kind == Kind::Tcp && !(reads && entry.notes.readiness.distrust_short_reads) {
            exhaust(entry, head.lane, &head.raw);
        }
        Some(outcome)
    }

    /// What a call comes to that has moved nothing; `None`: it is to wait for an edge.
    #[inline(never)]
    fn after_nothing(&mut self, head: &Head, entry: &mut Entry, outcome: Outcome) -> Option<Outcome> {
        if entry.notes.readiness.registered
            && stands_for_error(&head.raw, entry.kind, outcome)
            && let Some(errno) = self.selector.take_error(entry.fd())
        {
            return Some(Outcome::error(errno));
        }
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
        if !entry.notes.readiness.registered {
            if let Err(error) = self.selector.add(entry.fd(), entry.kind, head.handle, entry.generation) {
                return Some(error.into());
            }
            entry.notes.readiness.registered = true;
        }
        exhaust(entry, head.lane, &head.raw);
        self.selector.expect(entry.fd(), head.handle, direction(head.lane));
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

    #[inline]
    pub(crate) fn advance(&mut self, core: &mut Core) -> Option<Event> {
        while let Some(edge) = self.edges.front() {
            let (handle, generation) = (edge.handle, edge.generation);
            let event = self.serve(core, handle, generation);
            if event.is_some() {
                return event;
            }
        }
        None
    }

    /// Serves a lane of the handle that the front edge is of; an edge with none left is taken out.
    // A call of its own, so that what the usual case does once is not made ready for a loop.
    #[inline(never)]
    fn serve(&mut self, core: &mut Core, handle: u32, generation: u32) -> Option<Event> {
        let Core { slots, handles, pool, .. } = core;
        let entry = handles.entry_mut(handle);
        if entry.generation != generation {
            cold_path();
            self.edges.pop_front();
            return None;
        }
        let Some(lane) = to_be_served(entry) else {
            cold_path();
            self.leave_front(entry);
            return None;
        };
        let slot = entry.first(lane);
        let head = slots.head_mut(slot);
        let outcome = if waits(head) { self.attempt(head, entry, pool) } else { None };
        if let Some(outcome) = outcome
            && head.marks.contains(Marks::COMPOSITE)
            && head.raw.goes_on_after(outcome)
        {
            self.after_shot(head, entry);
            return Some(Event::more(slot, outcome));
        }
        entry.notes.readiness.lanes &= !lane.bit();
        if to_be_served(entry).is_none() {
            self.leave_front(entry);
        }
        outcome.map(|outcome| Event::last(slot, outcome))
    }

    /// Takes out the front edge, which is of `entry` and has no lane left.
    #[inline(always)]
    fn leave_front(&mut self, entry: &mut Entry) {
        (entry.notes.readiness.lanes, entry.notes.readiness.queued) = (0, false);
        self.edges.pop_front();
    }

    /// After a shot of a multishot operation, on the handle of the front edge: it goes on, unless it has to wait.
    #[inline(never)]
    fn after_shot(&mut self, head: &Head, entry: &mut Entry) {
        let readiness = &mut entry.notes.readiness;
        // Not registered yet, it is tried until it would block: no edge would come.
        if readiness.read_exhausted.is_some() && readiness.registered {
            readiness.lanes &= !head.lane.bit();
            self.selector.expect(entry.fd(), head.handle, Direction::Read);
            return;
        }
        let edge = self.edges.front_mut().expect("the edge that was served");
        edge.turns += 1;
        if edge.turns == TURNS {
            edge.turns = 0;
            self.edges.rotate_left(1);
        }
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

/// The first lane that an edge is to be served for. (One that has nothing in it was served, too: what comes is tried.)
#[inline(always)]
fn to_be_served(entry: &Entry) -> Option<Lane> {
    Lane::first_of(entry.notes.readiness.lanes & entry.occupied())
}

fn exhaust(entry: &mut Entry, lane: Lane, raw: &RawOp) {
    match lane {
        Lane::Read => entry.notes.readiness.read_exhausted = Some(raw.reads()),
        Lane::Write => entry.notes.readiness.write_exhausted = true,
        _ => {}
    }
}
