//! The accepts of a listener: `AcceptEx`, one for an accept, a few at a time for a multishot one.
//!
//! `AcceptEx` is given the socket that becomes the connection, and memory for addresses that nobody asks for;
//! both are in place before the call is made, since its packet may be queued before it has returned. The
//! memory of a call is a box that is used again; a pointer to it is with the system from the call until its
//! packet was taken, and in its operation's list all that time.

use super::call::Issued;
use super::{Iocp, Work};
use crate::backend::Started;
use crate::core::{Core, Event};
use crate::error;
use crate::op::raw::RawOp;
use crate::outcome::Outcome;
use crate::slot::{At, State};
use crate::sys::errno;
use crate::sys::windows::socket;
use crate::sys::{Block, Notes, Purpose, Raw, Route};
use std::collections::HashMap;
use windows_sys::Win32::Foundation::ERROR_NOT_READY;
use windows_sys::Win32::Networking::WinSock::{
    AcceptEx, SOCKADDR_STORAGE, SOCKET, WSA_IO_PENDING, WSAECONNABORTED, WSAECONNRESET, WSAENOTCONN, WSAENOTSOCK,
};

/// Calls that a multishot accept keeps with the system.
const AT_ONCE: usize = 4;

/// `AcceptEx` wants 16 bytes more than the largest address.
const ADDRESS: usize = size_of::<SOCKADDR_STORAGE>() + 16;

/// The memory of a call.
#[repr(C)]
pub(super) struct AcceptCall {
    block: Block,
    slot: At,
    socket: SOCKET,
    addresses: [u8; 2 * ADDRESS],
}

/// The calls of one operation.
#[derive(Default)]
struct Accepting {
    calls: Vec<*mut AcceptCall>,
    /// How the operation ends, when the last call has come back.
    verdict: Option<Outcome>,
    /// It is in `work`, to go on.
    resuming: bool,
}

/// The accepts of a port.
#[derive(Default)]
pub(super) struct Accepts {
    /// By slot.
    running: HashMap<At, Accepting>,
    /// What can be used again.
    idle: Vec<Accepting>,
    #[expect(clippy::vec_box, reason = "the system knows the address of each")]
    free: Vec<Box<AcceptCall>>,
}

impl Accepts {
    /// Makes a call; `Done` is over without a packet.
    fn call(&mut self, slot: At, listener: Raw, notes: &Notes) -> Issued {
        if let Raw::Handle(_) = listener {
            return Issued::Done(Outcome::error(WSAENOTSOCK));
        }
        let socket = match socket::stream(notes.family, notes.protocol) {
            Ok(socket) => socket,
            Err(code) => return Issued::Done(Outcome::error(code)),
        };
        let mut call = self.free.pop().unwrap_or_else(|| {
            Box::new(AcceptCall { block: Block::new(Purpose::Accept), slot, socket, addresses: [0; 2 * ADDRESS] })
        });
        (call.slot, call.socket) = (slot, socket);
        let call = Box::into_raw(call);
        let mut bytes = 0;
        // SAFETY: the box is in place until its packet was taken, and no call has its block. No bytes are received
        // along: a peer that sends none would hold its connection back.
        let (succeeded, code) = unsafe {
            let memory = Block::prepare(call.cast(), 0);
            let room = (&raw mut (*call).addresses).cast();
            let (local, remote) = (ADDRESS as u32, ADDRESS as u32);
            let succeeded = AcceptEx(listener.socket(), socket, room, 0, local, remote, &mut bytes, memory) != 0;
            (succeeded, if succeeded { 0 } else { socket::last_error() })
        };
        let skips = notes.route == Route::Overlapped { skips: true };
        if code == WSA_IO_PENDING || succeeded && !skips {
            self.running.get_mut(&slot).expect("it runs").calls.push(call);
            return Issued::Pending;
        }
        // SAFETY: the call is over without a packet, so the box is this side's again.
        let call = unsafe { Box::from_raw(call) };
        Issued::Done(self.take_back(call, listener, if succeeded { Ok(()) } else { Err(errno::of_code(code as u32)) }))
    }

    /// The same for who wants one connection. Other systems hand out one that is lost already; here it is passed over.
    fn call_for_one(&mut self, slot: At, listener: Raw, notes: &Notes) -> Issued {
        loop {
            match self.call(slot, listener, notes) {
                Issued::Done(outcome) if outcome.errno().is_some_and(error::is_lost_connection) => {}
                issued => return issued,
            }
        }
    }

    /// The outcome of a call that is over: its socket, or an error and no socket.
    fn take_back(&mut self, call: Box<AcceptCall>, listener: Raw, result: Result<(), i32>) -> Outcome {
        let accepted = call.socket;
        self.free.push(call);
        let result = result.and_then(|()| {
            socket::update_accepted(accepted, listener.socket())
                .map_err(|error| Outcome::from(error).errno().unwrap_or(0))
        });
        match result {
            Ok(()) => Outcome::done(accepted),
            Err(code) => {
                let _ = socket::close(accepted);
                // The connection was lost before it was accepted, as others call it; Wine 8 may also give one that is
                // waited for to two calls, and tells the second that it is not there.
                let is_lost = matches!(code, WSAECONNRESET | WSAENOTCONN) || code == ERROR_NOT_READY as i32;
                Outcome::error(if is_lost { WSAECONNABORTED } else { code })
            }
        }
    }

    fn begin(&mut self, slot: At) {
        let accepting = self.idle.pop().unwrap_or_default();
        self.running.insert(slot, accepting);
    }

    /// The operation is over.
    fn end(&mut self, slot: At) {
        if let Some(mut accepting) = self.running.remove(&slot) {
            debug_assert!(accepting.calls.is_empty() && !accepting.resuming);
            accepting.verdict = None;
            self.idle.push(accepting);
        }
    }
}

impl Iocp {
    pub(super) fn start_accepts(&mut self, core: &mut Core, slot: At) -> Started {
        self.accepts.begin(slot);
        let head = core.slots.head(slot);
        let entry = core.handles.entry(head.handle);
        match self.accepts.call_for_one(slot, entry.raw(), &entry.notes) {
            Issued::Done(outcome) if head.raw.goes_on_after(outcome) => {
                self.resume_later(slot);
                Started::More(outcome)
            }
            Issued::Done(outcome) => {
                self.accepts.end(slot);
                Started::Done(outcome)
            }
            Issued::Pending => {
                if head.raw.is_multi() {
                    self.resume_later(slot);
                }
                Started::Pending
            }
        }
    }

    /// Queues a multishot accept to make more calls, in its turn.
    fn resume_later(&mut self, slot: At) {
        let accepting = self.accepts.running.get_mut(&slot).expect("it runs");
        if !std::mem::replace(&mut accepting.resuming, true) {
            self.work.push_back(Work::Resume(slot));
        }
    }

    /// Makes more calls, one a turn as long as they are over at once.
    pub(super) fn resume_accepts(&mut self, core: &mut Core, slot: At) -> Option<Event> {
        let accepting = self.accepts.running.get_mut(&slot).expect("it runs");
        accepting.resuming = false;
        let head = core.slots.head(slot);
        let entry = core.handles.entry(head.handle);
        if head.state != State::Started && accepting.verdict.is_none() {
            accepting.verdict = Some(Outcome::error(error::CANCELLED));
        }
        while self.accepts.running[&slot].verdict.is_none() && self.accepts.running[&slot].calls.len() < AT_ONCE {
            match self.accepts.call(slot, entry.raw(), &entry.notes) {
                Issued::Pending => {}
                Issued::Done(outcome) if !outcome.is_error() => {
                    self.resume_later(slot);
                    return Some(Event::more(slot, outcome));
                }
                // Fewer are enough.
                Issued::Done(outcome) if outcome.errno().is_some_and(error::is_exhaustion) => {
                    if self.accepts.running[&slot].calls.is_empty() {
                        self.accepts.running.get_mut(&slot).expect("it runs").verdict = Some(outcome);
                    }
                    break;
                }
                Issued::Done(outcome) => self.end_with(entry.raw(), slot, outcome),
            }
        }
        self.final_event(slot)
    }

    /// The packet of an accept.
    pub(super) fn accept_packet(&mut self, core: &mut Core, place: *mut AcceptCall) -> Option<Event> {
        // SAFETY: the packet was taken, so the box that `call` gave away is this side's again.
        let call = unsafe { Box::from_raw(place) };
        let slot = call.slot;
        let accepting = self.accepts.running.get_mut(&slot).expect("it runs until its calls are back");
        accepting.calls.retain(|&other| other != place);
        // SAFETY: as above.
        let (status, _) = unsafe { Block::answer(&raw const call.block) };
        let head = core.slots.head(slot);
        let listener = core.handles.entry(head.handle).raw();
        let result = if status >= 0 { Ok(()) } else { Err(errno::of_status(status)) };
        let outcome = self.accepts.take_back(call, listener, result);
        if !matches!(head.raw, RawOp::Accept { multi: true }) {
            let notes = core.handles.entry(head.handle).notes;
            let outcome = match outcome.errno() {
                Some(code) if error::is_lost_connection(code) && head.state != State::Started => {
                    Outcome::error(error::CANCELLED)
                }
                Some(code) if error::is_lost_connection(code) => {
                    match self.accepts.call_for_one(slot, listener, &notes) {
                        Issued::Pending => return None,
                        Issued::Done(outcome) => outcome,
                    }
                }
                _ => outcome,
            };
            self.accepts.end(slot);
            return Some(Event::last(slot, outcome));
        }
        if !outcome.is_error() {
            self.resume_later(slot);
            return Some(Event::more(slot, outcome));
        }
        self.end_with(listener, slot, outcome);
        self.final_event(slot)
    }

    /// Ends a multishot accept with `outcome`, once its other calls are back.
    fn end_with(&mut self, listener: Raw, slot: At, outcome: Outcome) {
        self.accepts.running.get_mut(&slot).expect("it runs").verdict.get_or_insert(outcome);
        self.cancel_accepts(listener, slot);
    }

    pub(super) fn cancel_accepts(&mut self, listener: Raw, slot: At) {
        if let Some(accepting) = self.accepts.running.get(&slot) {
            for &call in &accepting.calls {
                super::cancel_call(listener, call.cast());
            }
        }
    }

    /// The last event of a multishot accept, when nothing of it is left.
    fn final_event(&mut self, slot: At) -> Option<Event> {
        let accepting = &self.accepts.running[&slot];
        let outcome = accepting.verdict.filter(|_| accepting.calls.is_empty() && !accepting.resuming)?;
        self.accepts.end(slot);
        Some(Event::last(slot, outcome))
    }
}
