//! What an answer of the system means: of a call that was over at once, or of a packet.
//!
//! Everything that Windows says differently from other systems about the same event is put right here: ends of
//! streams that are errors, datagrams that were cut, receives that ended because receiving was shut down.

use super::Iocp;
use super::call::{Issued, Phase};
use crate::core::Core;
use crate::error;
use crate::handle::{Entry, Kind};
use crate::op::raw::{Direction, RawOp};
use crate::outcome::Outcome;
use crate::slot::{At, State};
use crate::sys::Block;
use crate::sys::errno;
use crate::sys::windows::socket;
use windows_sys::Win32::Foundation::{
    ERROR_ACCESS_DENIED, ERROR_BROKEN_PIPE, ERROR_HANDLE_EOF, ERROR_INVALID_USER_BUFFER, ERROR_MORE_DATA,
};
use windows_sys::Win32::Networking::WinSock::{
    WSAECONNREFUSED, WSAECONNRESET, WSAEDESTADDRREQ, WSAEINVAL, WSAEISCONN, WSAEMSGSIZE, WSAENOTCONN,
};

impl Iocp {
    /// Takes the packet of the operation in `slot` up. It may go on with another call.
    pub(super) fn finish(&mut self, core: &mut Core, slot: At) -> Issued {
        let head = core.slots.head(slot);
        let block = core.slots.block(slot);
        // SAFETY: the packet was taken.
        let ((status, bytes), phase) = unsafe { (Block::answer(block), (*block).phase) };
        if phase == Phase::Poll {
            return self.polled(core, slot);
        }
        let outcome = match status {
            0.. => Outcome::done(bytes),
            // Ended by being given up, after it had moved a part: that is what really happened.
            _ if bytes > 0 && moves_data(&head.raw) => Outcome::done(bytes),
            _ => Outcome::error(errno::of_status(status)),
        };
        let given_up = head.state != State::Started;
        let aborted = outcome.errno() == Some(error::CANCELLED);
        match phase {
            // Something is there.
            Phase::Look if !outcome.is_error() => {
                return match given_up {
                    true => Issued::Done(Outcome::error(error::CANCELLED)),
                    false => self.issue(core, slot, Phase::Look),
                };
            }
            // It is not there any more: back to looking.
            Phase::Fetch { buffer } if aborted && !given_up => {
                core.pool.of(&head.raw).give_back(buffer);
                let deaf = core.handles.entry(head.handle).notes.deaf;
                return if deaf { Issued::Done(Outcome::done(0)) } else { self.issue(core, slot, Phase::First) };
            }
            _ => {}
        }
        if outcome.value() == Some(0) && self.has_sent_nothing(core, slot) {
            return match given_up {
                true => Issued::Done(Outcome::error(error::CANCELLED)),
                false => self.poll(core, slot, Direction::Write),
            };
        }
        Issued::Done(self.settle(core, slot, outcome))
    }

    /// A send to a stream that was to move bytes and has moved none is not over, whatever the system says: it goes on
    /// when there is room. (Windows sends everything. Wine 8 ends it when the receiver shuts its own sending down.)
    fn has_sent_nothing(&self, core: &Core, slot: At) -> bool {
        let head = core.slots.head(slot);
        let bytes = match head.raw {
            RawOp::Send { len, .. } => len,
            // SAFETY: the scratch is in the payload, which is in place, and the call is over.
            RawOp::SendMsg { scratch } => unsafe { (*scratch).total() },
            _ => 0,
        };
        bytes > 0 && head.kind().is_some_and(Kind::is_stream)
    }

    /// The outcome as the port knows it, of a call that is over.
    pub(super) fn settle(&mut self, core: &mut Core, slot: At, outcome: Outcome) -> Outcome {
        let head = core.slots.head(slot);
        // SAFETY: the call is over, and the phase is the backend's.
        let phase = unsafe { (*core.slots.block(slot)).phase };
        let given_up = head.state != State::Started;
        let entry = core.handles.entry_mut(head.handle);
        let outcome = match head.raw {
            RawOp::Recv { len, .. } => received(entry, len, given_up, outcome),
            RawOp::RecvMsg { scratch } => {
                // SAFETY: the scratch is in the payload, which is in place, and the call is over.
                let scratch = unsafe { &mut *scratch };
                let outcome = received(entry, scratch.total(), given_up, outcome);
                if !entry.kind.is_socket()
                    && let Some(n) = outcome.value()
                {
                    // SAFETY: the buffers are valid for writes as long as the operation is not over.
                    unsafe { scratch.spread(n) };
                }
                outcome
            }
            // As elsewhere, an end or error is found with a buffer at hand.
            raw if raw.is_pooled() => match core.pool.of(&raw) {
                pool if phase == Phase::Look && !given_up && pool.available() == 0 => Outcome::error(error::NO_BUFFER),
                pool => received(entry, pool.size(), given_up, outcome),
            },
            RawOp::Send { .. } | RawOp::SendMsg { .. } | RawOp::SendFile { .. } => sent(entry, outcome),
            // The end of a pipe is something to be read, and so is the rest of a message.
            RawOp::Ready { .. } if entry.kind == Kind::Pipe => received(entry, 0, given_up, outcome),
            RawOp::ReadAt { .. } => match outcome.errno() {
                Some(code) if code == ERROR_HANDLE_EOF as i32 => Outcome::done(0),
                _ => outcome,
            },
            // A listener is taken already, as elsewhere.
            RawOp::Connect { .. } if outcome.errno() == Some(WSAEINVAL) && socket::listens(entry.raw().socket()) => {
                Outcome::error(WSAEISCONN)
            }
            RawOp::Connect { .. } if !outcome.is_error() => match socket::update_connected(entry.raw().socket()) {
                Ok(()) => Outcome::done(0),
                Err(error) => error.into(),
            },
            _ => outcome,
        };
        let outcome = match outcome.errno() {
            Some(code) if code == ERROR_ACCESS_DENIED as i32 && moves_data(&head.raw) => {
                Outcome::error(errno::WRONG_DIRECTION)
            }
            _ => outcome,
        };
        // One of many, which may be empty.
        let is_datagram =
            matches!(head.raw, RawOp::RecvFromPooledMulti) && entry.kind == Kind::Datagram && !entry.notes.deaf;
        match phase {
            Phase::Fetch { buffer } => match outcome.value() {
                Some(n) if n > 0 || is_datagram => Outcome::in_buffer(n, buffer),
                _ => {
                    core.pool.of(&head.raw).give_back(buffer);
                    outcome
                }
            },
            _ => outcome,
        }
    }
}

fn moves_data(raw: &RawOp) -> bool {
    raw.receives() || raw.sends() || matches!(raw, RawOp::ReadAt { .. } | RawOp::WriteAt { .. })
}

/// Of a receive into `room` bytes.
fn received(entry: &mut Entry, room: usize, given_up: bool, outcome: Outcome) -> Outcome {
    if let Some(n) = outcome.value() {
        if entry.kind == Kind::File {
            entry.notes.position += n as u64;
        }
        let fresh = entry.kind.is_stream() && !entry.notes.deaf && !entry.has_failed();
        if n == 0 && fresh && socket::was_reset(entry.raw().socket()) {
            return Outcome::error(WSAECONNRESET);
        }
        // What did not fit of a datagram went into the sink.
        return Outcome::done(n.min(room));
    }
    let code = outcome.errno().unwrap_or(0);
    // The writer of a pipe is gone; the end of a file.
    let ended = !entry.kind.is_socket() && [ERROR_BROKEN_PIPE as i32, ERROR_HANDLE_EOF as i32].contains(&code);
    if ended || entry.notes.deaf && code == error::CANCELLED && !given_up {
        return Outcome::done(0);
    }
    match code {
        // A message of a pipe that is longer than the buffer: the rest is for the next receive.
        _ if code == ERROR_MORE_DATA as i32 => Outcome::done(room),
        // An earlier send from a connected datagram socket found nobody.
        WSAECONNRESET if entry.kind == Kind::Datagram => Outcome::error(WSAECONNREFUSED),
        _ => outcome,
    }
}

fn is_too_long(code: i32) -> bool {
    [ERROR_MORE_DATA, ERROR_INVALID_USER_BUFFER].contains(&(code as u32))
}

fn sent(entry: &mut Entry, outcome: Outcome) -> Outcome {
    if let Some(n) = outcome.value()
        && entry.kind == Kind::File
    {
        entry.notes.position += n as u64;
    }
    match outcome.errno() {
        Some(WSAECONNRESET) if entry.kind == Kind::Datagram => Outcome::error(WSAECONNREFUSED),
        // A datagram that is longer than there can be. (The kernel has no word of its own for it.)
        Some(code) if entry.kind == Kind::Datagram && is_too_long(code) => Outcome::error(WSAEMSGSIZE),
        // A datagram that is told no destination.
        Some(WSAENOTCONN) if entry.kind == Kind::Datagram => Outcome::error(WSAEDESTADDRREQ),
        // Without a connection, or after its failure was told: as elsewhere, a broken pipe.
        Some(WSAENOTCONN) if entry.kind == Kind::Tcp => Outcome::error(errno::BROKEN),
        Some(code) if entry.kind.is_stream() && entry.has_failed() && errno::is_broken(code) => {
            Outcome::error(errno::BROKEN)
        }
        _ => outcome,
    }
}
