//! Readiness made completion: the backend over epoll, kqueue and poll(2).
//!
//! A reactor is a ring in the program: what is submitted is queued, the next step carries it out, and the results are taken up
//! one by one. So calls are made many at a time, with nothing else in between (`calls.rs`).
//!
//! An operation is tried first. If it would block, its handle is registered (once, for both
//! directions, edge-triggered) and the lane's direction is marked *exhausted*: nothing is tried again
//! before the selector reports an edge. A short read or write on a stream has exhausted it too, which
//! saves the call that would only say `EAGAIN`. In steady state an echo is one recv and one send.
//!
//! [`Reactor::wait`] notes edges; [`Reactor::advance`] makes the calls, and hands out what came of them.
//!
//! Invariant: a started operation is to be tried (`sends`, `untried`), or waits for an edge of its direction, or such an edge is in
//! `edges`, or its event is in `results`, or it is with the blocking pool. Its [`Note`] tells the first and the last but one,
//! so that it is in one place only.

mod calls;
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
mod receives;
mod sends;

use super::blocking::Blocking;
use super::perform::close;
use super::quirks::{is_cached, read_cached, silence};
use super::{Cancelled, Started, not_waitable};
use crate::buf::pool::Pool;
use crate::builder::Builder;
use crate::core::{Core, Event};
use crate::error;
use crate::explain::{Carrier, Feature};
use crate::fifo::Fifo;
use crate::handle::{Entry, Handle, Kind};
use crate::op::raw::{Direction, Lane, Needs, RawOp};
use crate::outcome::Outcome;
use crate::poster::Inbox;
use crate::slot::{At, Head, NONE, Note};
use crate::sys::{Notes, Source, set_nonblocking};
use calls::AHEAD;
use receives::{ROW, RecvCall};
use sends::SendCall;
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

const READ: u8 = Lane::Read.bit() | Lane::Readable.bit();
const WRITE: u8 = Lane::Write.bit() | Lane::Writable.bit();

/// Results of calls that are made just before a wait, so that these handles have their turn beside a flood of posts. The others
/// stay in the queue: what is received long before its turn holds a buffer, and is no longer in the cache then.
const TAKEN_UP: usize = 16;

/// Queues a handle, once, however many edges come before its turn: a busy one would have a turn for each.
#[inline(always)]
fn queue(edges: &mut Fifo<Handle>, entry: &mut Entry, index: u32, lanes: u8) {
    let readiness = &mut entry.notes.readiness;
    let waits_already = readiness.lanes != 0;
    readiness.lanes |= lanes;
    if !waits_already && lanes != 0 {
        readiness.turns = 0;
        edges.push(Handle { index, generation: entry.generation });
    }
}

/// The queues that calls are made for, in turn.
#[derive(Clone, Copy)]
enum Turn {
    Sends,
    Others,
    Edges,
}

/// The backend.
pub(crate) struct Reactor<S> {
    selector: S,
    /// Operations that were started and are to be tried for the first time, each queue in its order: sends on sockets ...
    sends: Fifo<SendCall>,
    /// ... and others.
    untried: Fifo<At>,
    /// What came of those that were tried, in its order.
    results: Fifo<Event>,
    /// Handles with an edge, whose notes say which lanes are to be served. Each is here at most once.
    edges: Fifo<Handle>,
    /// What the first of these are to receive; empty when no call is being made.
    row: Vec<RecvCall>,
    /// Whose turn it was last.
    turn: Turn,
    /// How many results there are at most before the first of them is taken up.
    ahead: usize,
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

impl<S: Selector> Reactor<S> {
    pub(crate) fn new(options: &Builder, inbox: &Arc<Inbox>) -> io::Result<Reactor<S>> {
        Ok(Reactor {
            selector: S::new(options.entries as usize, inbox)?,
            sends: Fifo::new(),
            untried: Fifo::new(),
            results: Fifo::new(),
            edges: Fifo::new(),
            row: Vec::with_capacity(ROW),
            turn: Turn::Edges,
            ahead: AHEAD,
            blocking: Blocking::new(options.threads, inbox),
        })
    }

    /// Takes an operation on an object on, if it is one of the frequent ones. False: that is for `start`.
    #[inline(always)]
    pub(crate) fn start_on(&mut self, slot: At, head: &mut Head, entry: &mut Entry, _pool: &Pool) -> bool {
        // What the blocking pool carries out is on a file, or runs beside others.
        if entry.kind == Kind::File || head.lane == Lane::Free {
            cold_path();
            return false;
        }
        self.take_on(slot, head, entry);
        true
    }

    /// Takes an operation on an object on: it waits for an edge, or is tried in its turn.
    #[inline(always)]
    fn take_on(&mut self, slot: At, head: &mut Head, entry: &mut Entry) {
        let readiness = &entry.notes.readiness;
        if readiness.exhausted.intersects(head.needs) && readiness.registered {
            self.selector.expect(entry.fd(), head.handle, direction(head.lane));
        } else if head.is_multi() {
            queue(&mut self.edges, entry, head.handle, head.lane.bit());
        } else {
            head.note = Note::Untried;
            match SendCall::of(slot, head, entry) {
                Some(send) => self.sends.push(send),
                None => self.untried.push(slot),
            }
        }
    }

    /// There is nothing to be done.
    #[inline(always)]
    pub(crate) fn start_nop(&mut self, _slot: At) -> Started {
        Started::Done(Outcome::done(0))
    }

    #[inline(never)]
    pub(crate) fn start(&mut self, core: &mut Core, slot: At) -> Started {
        let Core { slots, handles, .. } = core;
        let head = slots.head_mut(slot);
        match head.kind() {
            Some(kind) if !needs_pool(&head.raw, Some(kind)) => {
                self.take_on(slot, head, handles.entry_mut(head.handle));
                Started::Pending
            }
            _ => self.start_elsewhere(core, slot),
        }
    }

    /// Starts what needs no readiness: it is done right here, or by the blocking pool.
    #[inline(never)]
    fn start_elsewhere(&mut self, core: &mut Core, slot: At) -> Started {
        let head = core.slots.head(slot);
        let raw = head.raw;
        if let RawOp::Close { object } = raw {
            return Started::Done(close(object));
        }
        let fd = if head.handle == NONE { -1 } else { core.handles.entry(head.handle).raw() };
        if let Some(outcome) = self.read_at_once(core, slot) {
            return Started::Done(outcome);
        }
        match self.blocking.submit(core.slots.index(slot), raw, fd) {
            Ok(()) => Started::Pending,
            Err(error) => Started::Done(error.into()),
        }
    }

    /// Reads a block that is in the page cache. What is there in part only, or ends with the file, is left to the pool.
    fn read_at_once(&mut self, core: &mut Core, slot: At) -> Option<Outcome> {
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

    pub(crate) fn cancel(&mut self, core: &mut Core, slot: At) -> Cancelled {
        let head = core.slots.head(slot);
        let kind = (head.handle != NONE).then(|| core.handles.entry(head.handle).kind);
        let is_multi = head.raw.is_multi();
        match head.note {
            // Tried once, because it was submitted before that; or its result is here.
            Note::Untried | Note::Done => Cancelled::Pending,
            _ if needs_pool(&head.raw, kind) && !self.blocking.cancel(core.slots.index(slot)) => Cancelled::Pending,
            // Behind what it has got so far.
            _ if is_multi => {
                core.slots.head_mut(slot).note = Note::Done;
                self.results.push(Event::last(slot, Outcome::error(error::CANCELLED)));
                Cancelled::Pending
            }
            _ => Cancelled::Done,
        }
    }

    pub(crate) fn wait(&mut self, core: &mut Core, timeout: Option<Duration>) -> io::Result<()> {
        self.ahead = AHEAD;
        let nothing_due = self.results.is_empty() && !self.has_untried() && self.edges.is_empty();
        let timeout = if nothing_due { timeout } else { Some(Duration::ZERO) };
        let edges = &mut self.edges;
        self.selector.wait(timeout, |report| {
            let entry = core.handles.entry_mut(report.handle);
            if entry.generation != report.generation {
                return; // the handle was closed after the report was made
            }
            let mut lanes = 0;
            if report.readable {
                entry.notes.readiness.exhausted -= Needs::ANY_READ;
                lanes |= READ;
            }
            if report.writable {
                entry.notes.readiness.exhausted -= Needs::ROOM;
                lanes |= WRITE;
            }
            entry.notes.readiness.distrust_short_reads |= report.special;
            queue(edges, entry, report.handle, lanes);
        })
    }

    /// From here to the wait less is done ahead.
    pub(crate) fn backlog(&mut self) -> usize {
        self.ahead = TAKEN_UP;
        self.results.len() + (self.sends.len() + self.untried.len() + self.edges.len()).min(TAKEN_UP)
    }

    /// Whether operations are to be tried that no wait has to report.
    pub(crate) fn has_untried(&self) -> bool {
        !(self.sends.is_empty() && self.untried.is_empty())
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
