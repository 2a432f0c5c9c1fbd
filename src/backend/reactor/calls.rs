//! The calls of a reactor: operations are tried, and what came of them waits until the port takes it up.
//!
//! Some are tried before the first result is taken up, and nothing else is done in between: the sends that were submitted since,
//! the next time the other operations, then those of handles with an edge. The kernel's code for so many sends, or for so many
//! receives, stays in the cache then; and so does the port's and the caller's for as many completions.

use super::receives::{ROW, RecvCall, receive_in_a_row};
use super::sends::{SendCall, send_in_a_row};
use super::{Reactor, Selector, Turn, direction};
use crate::backend::perform::{Performed, is_ready, perform, sent};
use crate::buf::pool::Pool;
use crate::core::{Core, Event};
use crate::error;
use crate::handle::{Entry, Handle, Kind};
use crate::op::raw::{Direction, Lane, Needs, RawOp};
use crate::outcome::Outcome;
use crate::slot::{At, Head, Marks, Note, State};
use std::hint::cold_path;
use std::rc::Rc;

/// How many results there are at most before the first of them is taken up.
///
/// 64 connections x 64 B on epoll, CPU time beside the loop by hand, on a Zen 3 (32 KiB of instruction cache): each send at its
/// submission, 1.07 to 1.12 (`anyport bench echo`: 1.094); all of a batch in a row, 0.97 to 1.04 (1.018 and 0.999). It is what
/// lies between two calls that counts: some 100 instructions more there, and it was 1.09 to 1.11 again. With 256 instead of 64
/// the p99 of 1000 connections was 14 ms, with 16 and 64 it was 8 and 9 (another machine, sends at their submission).
///
/// On a Zen 4 less is hardly better: 1000 connections x 64 B, one program with both in turns (`--rounds 9`), means of runs that
/// lie 0.02 apart: 64 beside 16, 1.024 and 1.018 in 25 of them; beside 24, 1.016 and 1.008 in 20; beside 8, 1.029 and 1.036 in 7.
/// 128 had 1.014, 1.042, 1.060 beside 1.018, 1.015, 1.025. At 64 connections 12 to 64 were alike.
pub(super) const AHEAD: usize = 64;

/// Bytes that may be received before: some messages, also of large ones, so that calls are made in a row; but not all that is
/// there, which is slower again.
///
/// `anyport bench echo --backend epoll`, 64 connections x 16 KiB on a Zen 4, times the loop by hand. Three runs of programs with
/// several amounts in turns: 64 KiB 1.051 to 1.075, 128 KiB 1.017 to 1.040, this 1.009 and 1.029, 256 KiB 1.017 to 1.034, 384 to
/// 1024 KiB 1.044 to 1.049. Programs with 64 KiB and with this in turns, five runs each of `--rounds 9`: 0.996 to 1.085, median
/// 1.051, and 0.987 to 1.062, median 1.009. With one or two messages it was 1.143 to 1.180. On a Zen 3 more than 64 KiB had told
/// no difference; an Emerald Rapids had 0.94 with 64 KiB, and more was not measured.
const AHEAD_BYTES: usize = 192 * 1024;

/// Completions that a multishot operation may have before the next handle has its turn.
const TURNS: u8 = 16;

/// Bytes that may still be received before the port takes results up.
struct Room(usize);

impl Room {
    #[inline(always)]
    fn is_left(&self) -> bool {
        self.0 > 0
    }

    /// An operation has come to this.
    #[inline(always)]
    fn fill(&mut self, head: &Head, outcome: Outcome, pool: &Rc<Pool>) {
        if head.lane != Lane::Read || outcome.is_error() {
            return;
        }
        let is_last = outcome.buffer().is_some() && pool.of(&head.raw).available() == 0;
        self.0 = if is_last { 0 } else { self.0.saturating_sub(outcome.count()) };
    }
}

impl<S: Selector> Reactor<S> {
    #[inline(always)]
    pub(crate) fn advance(&mut self, core: &mut Core) -> Option<Event> {
        match self.results.take() {
            None => {
                self.make_calls(core);
                self.results.take()
            }
            event => event,
        }
    }

    /// Makes calls until there are results, or nothing more is to be tried: for each queue in turn, so that none shuts the others
    /// out.
    #[inline(never)]
    fn make_calls(&mut self, core: &mut Core) {
        while self.results.is_empty() {
            self.turn = match self.turn {
                Turn::Edges if !self.sends.is_empty() => Turn::Sends,
                Turn::Edges | Turn::Sends if !self.untried.is_empty() => Turn::Others,
                _ if !self.edges.is_empty() => Turn::Edges,
                _ if !self.sends.is_empty() => Turn::Sends,
                _ if !self.untried.is_empty() => Turn::Others,
                _ => return,
            };
            match self.turn {
                Turn::Sends => self.send(core),
                Turn::Others => self.try_others(core),
                Turn::Edges => self.serve_edges(core),
            }
        }
    }

    /// Makes sends for the first time, as many as may be done ahead, and looks into what came of them behind the last one.
    #[inline(never)]
    fn send(&mut self, core: &mut Core) {
        let Core { slots, handles, .. } = core;
        let sends = self.sends.first_mut(self.ahead);
        let count = sends.len();
        // SAFETY: they have been with the backend since they were queued, and so are their handles: what is in flight is not
        // detached, and closed only when it has come back.
        unsafe { send_in_a_row(sends) };
        for _ in 0..count {
            let Some(send) = self.sends.take() else { break };
            let head = slots.head_mut(send.slot);
            if send.has_sent_all() {
                self.ends(head, send.slot, send.outcome);
            } else {
                self.after_short_send(head, handles.entry_mut(head.handle), send);
            }
        }
    }

    /// The rest of that, when not all was sent.
    #[inline(never)]
    fn after_short_send(&mut self, head: &mut Head, entry: &mut Entry, send: SendCall) {
        let performed = Performed { outcome: sent(entry.kind, send.outcome), short: true };
        match self.assess(head, entry, performed) {
            Some(outcome) => self.ends(head, send.slot, outcome),
            None => self.not_yet(head, send.slot),
        }
    }

    /// Tries other operations for the first time, as many as may be done ahead.
    #[inline(never)]
    fn try_others(&mut self, core: &mut Core) {
        let Core { slots, handles, pool, .. } = core;
        let mut room = Room(AHEAD_BYTES);
        for _ in 0..self.ahead {
            let Some(slot) = self.untried.take() else { break };
            let head = slots.head_mut(slot);
            let Some(outcome) = self.attempt(head, handles.entry_mut(head.handle), pool) else {
                self.not_yet(head, slot);
                continue;
            };
            self.ends(head, slot, outcome);
            room.fill(head, outcome, pool);
            if !room.is_left() {
                break;
            }
        }
    }

    /// Has the last event of an operation, until the port takes it up.
    #[inline(always)]
    fn ends(&mut self, head: &mut Head, slot: At, outcome: Outcome) {
        head.note = Note::Done;
        self.results.push(Event::last(slot, outcome));
    }

    /// What was tried for the first time has to wait, unless it was given up before.
    #[inline(never)]
    fn not_yet(&mut self, head: &mut Head, slot: At) {
        head.note = Note::Nothing;
        if head.state == State::Cancelling {
            self.ends(head, slot, Outcome::error(error::CANCELLED));
        }
    }

    /// Serves handles with an edge, as many as may be served ahead.
    #[inline(never)]
    fn serve_edges(&mut self, core: &mut Core) {
        let mut room = Room(AHEAD_BYTES);
        while self.results.len() < self.ahead && room.is_left() && !self.edges.is_empty() {
            self.look_receives_up(core);
            if self.row.is_empty() {
                cold_path();
                self.serve_edge(core, &mut room);
            } else {
                self.receive(core, &mut room);
            }
        }
    }

    /// Looks up what the first handles with an edge are to receive, up to one that has something else to do.
    #[inline(always)]
    fn look_receives_up(&mut self, core: &mut Core) {
        let Core { slots, handles, pool, .. } = core;
        for edge in self.edges.first_mut(ROW.min(self.ahead - self.results.len())) {
            let entry = handles.entry(edge.index);
            let lanes = entry.notes.readiness.lanes & entry.occupied();
            if entry.generation != edge.generation || lanes != Lane::Read.bit() {
                cold_path();
                break;
            }
            let slot = slots.at(entry.first(Lane::Read));
            let head = slots.head(slot);
            let call = if waits(head) { RecvCall::of(slot, head, entry, pool) } else { None };
            let Some(call) = call else {
                cold_path();
                break;
            };
            self.row.push(call);
        }
    }

    /// Makes the receives that were looked up, as far as there is room.
    #[inline(always)]
    fn receive(&mut self, core: &mut Core, room: &mut Room) {
        let Core { slots, handles, pool, .. } = core;
        // SAFETY: they are with the backend, as are their handles; between looking them up and this nothing happens.
        let made = unsafe { receive_in_a_row(&mut self.row, room.0) };
        // The last one first, so that the pool gives the buffers out in the same order again.
        self.row.drain(made..).rev().for_each(|call| call.give_back(pool));
        for place in 0..made {
            let call = self.row[place];
            self.edges.take();
            let head = slots.head_mut(call.slot);
            let entry = handles.entry_mut(head.handle);
            entry.notes.readiness.lanes = 0;
            if let Some(outcome) = self.assess(head, entry, call.performed(pool)) {
                self.ends(head, call.slot, outcome);
                room.fill(head, outcome, pool);
            }
        }
        self.row.clear();
    }

    /// Serves the first handle with an edge.
    #[inline(never)]
    fn serve_edge(&mut self, core: &mut Core, room: &mut Room) {
        let Core { slots, handles, pool, .. } = core;
        let Some(edge) = self.edges.take() else { return };
        let entry = handles.entry_mut(edge.index);
        if entry.generation != edge.generation {
            return;
        }
        let Some(lane) = to_be_served(entry) else {
            entry.notes.readiness.lanes = 0;
            return;
        };
        let slot = slots.at(entry.first(lane));
        let head = slots.head_mut(slot);
        let outcome = if waits(head) { self.attempt(head, entry, pool) } else { None };
        let is_shot =
            head.marks.contains(Marks::COMPOSITE) && outcome.is_some_and(|outcome| head.raw.goes_on_after(outcome));
        if is_shot {
            self.after_shot(edge, head, entry);
        } else {
            self.was_served(edge, entry, lane);
        }
        let Some(outcome) = outcome else { return };
        if is_shot {
            self.results.push(Event::more(slot, outcome));
        } else {
            self.ends(head, slot, outcome);
        }
        room.fill(head, outcome, pool);
    }

    /// A lane was served because of the edge that was taken last: its handle goes on with the others, if there are any.
    #[inline(always)]
    fn was_served(&mut self, edge: Handle, entry: &mut Entry, lane: Lane) {
        entry.notes.readiness.lanes &= !lane.bit();
        if to_be_served(entry).is_some() {
            cold_path();
            self.edges.put_back(edge);
        } else {
            entry.notes.readiness.lanes = 0;
        }
    }

    /// After a shot of a multishot operation: it goes on, unless it has to wait.
    #[inline(never)]
    fn after_shot(&mut self, edge: Handle, head: &Head, entry: &mut Entry) {
        let readiness = &mut entry.notes.readiness;
        // Not registered yet, it is tried until it would block: no edge would come.
        if readiness.exhausted.intersects(Needs::ANY_READ) && readiness.registered {
            self.selector.expect(entry.fd(), head.handle, Direction::Read);
            return self.was_served(edge, entry, head.lane);
        }
        readiness.turns += 1;
        if readiness.turns == TURNS {
            readiness.turns = 0;
            self.edges.push(edge);
        } else {
            self.edges.put_back(edge);
        }
    }

    /// Tries an operation; `None`: it would block, and now waits for an edge.
    #[inline(always)]
    fn attempt(&mut self, head: &mut Head, entry: &mut Entry, pool: &Pool) -> Option<Outcome> {
        let performed = perform(&mut head.raw, entry.fd(), entry.kind, pool);
        self.assess(head, entry, performed)
    }

    /// What a call comes to; `None`: it would block, and now waits for an edge.
    #[inline(always)]
    fn assess(&mut self, head: &mut Head, entry: &mut Entry, performed: Performed) -> Option<Outcome> {
        let Performed { outcome, short } = performed;
        if outcome.is_empty() {
            cold_path();
            return self.after_nothing(head, entry, outcome);
        }
        let reads = head.lane == Lane::Read;
        let more = reads && entry.notes.readiness.registered && !self.selector.consume(entry.raw(), outcome.count());
        // Nothing more can be had from this direction before the next edge.
        if short && !more && entry.kind == Kind::Tcp && !(reads && entry.notes.readiness.distrust_short_reads) {
            entry.notes.readiness.exhausted |= head.needs;
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
        entry.notes.readiness.exhausted |= head.needs;
        self.selector.expect(entry.fd(), head.handle, direction(head.lane));
        None
    }
}

/// Whether the head of a lane waits for an edge: started, and neither in one of the queues nor with the blocking pool for
/// the while.
#[inline(always)]
fn waits(head: &Head) -> bool {
    head.state == State::Started && head.note == Note::Nothing && !matches!(head.raw, RawOp::Bring { .. })
}

/// The first lane that an edge is to be served for. (One that has nothing in it was served, too: what comes is tried.)
#[inline(always)]
fn to_be_served(entry: &Entry) -> Option<Lane> {
    Lane::first_of(entry.notes.readiness.lanes & entry.occupied())
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
