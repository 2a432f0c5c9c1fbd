//! Windows' I/O completion ports: every call is overlapped, with the lent buffer, and its packet tells when it
//! is done.
//!
//! `call.rs` is the table of what each operation becomes; `finish.rs` tells what a packet means; `accept.rs`
//! keeps the accepts of a listener going, `ready.rs` polls. A call that succeeds at once is over without a packet where the
//! object allows that (`attach.rs`), which is this system's way of trying first. What Windows cannot do
//! asynchronously goes to the blocking pool.
//!
//! Invariant: a started operation has a call with the system whose packet was not taken yet, or is with the
//! blocking pool, or has an entry in `work`. The block and the buffers of a call are the system's until its
//! packet was taken (slot.rs, block.rs), and nothing here frees or reuses them before.

mod accept;
mod attach;
mod blocking;
mod call;
mod finish;
mod ready;

pub(crate) use blocking::perform_blocking;

use super::blocking::Blocking;
use super::{Cancelled, Started};
use crate::buf::pool::Pool;
use crate::builder::Builder;
use crate::core::{Core, Event};
use crate::error;
use crate::explain::{Carrier, Feature};
use crate::handle::{Entry, Kind};
use crate::op::raw::RawOp;
use crate::outcome::Outcome;
use crate::poster::Inbox;
use crate::slot::{At, Head, NONE, OpId, State};
use crate::sys::windows::sleep::{self, Sleep};
use crate::sys::{Block, Notes, Purpose, Raw, Route, Source};
use accept::Accepts;
use call::{Issued, Phase};
use ready::Polls;
use std::collections::VecDeque;
use std::io;
use std::os::windows::io::AsRawHandle;
use std::sync::Arc;
use std::time::Duration;
use windows_sys::Win32::System::IO::{CancelIoEx, GetQueuedCompletionStatusEx, OVERLAPPED_ENTRY};

/// When a call, or a thread of the pool, is told again that it was given up.
const SOON: Duration = Duration::from_millis(1);

/// Something to be taken up, in turn.
enum Work {
    /// The packet of a call.
    Packet(*mut Block),
    /// A multishot operation that has no call with the system, or not as many as it could: go on with it.
    Resume(At),
}

/// The backend.
pub(crate) struct Iocp {
    inbox: Arc<Inbox>,
    /// Where a wait's packets are written to.
    packets: Vec<OVERLAPPED_ENTRY>,
    work: VecDeque<Work>,
    accepts: Accepts,
    calls: call::Calls,
    polls: Polls,
    sleep: Sleep,
    blocking: Blocking,
    /// Operations whose call was not found when it was to be given up: the next wait tries again.
    unfound: Vec<OpId>,
}

impl Iocp {
    pub(crate) fn new(options: &Builder, inbox: &Arc<Inbox>) -> io::Result<Iocp> {
        Ok(Iocp {
            inbox: inbox.clone(),
            packets: Vec::with_capacity(options.entries as usize),
            work: VecDeque::new(),
            accepts: Accepts::default(),
            calls: call::Calls::default(),
            polls: Polls::default(),
            sleep: Sleep::new(),
            blocking: Blocking::new(options.threads, inbox),
            unfound: Vec::new(),
        })
    }

    /// Nothing is started that way: a call needs the block of its slot.
    #[inline]
    pub(crate) fn start_on(&mut self, _slot: At, _head: &mut Head, _entry: &Entry, _pool: &Pool) -> bool {
        false
    }

    /// There is nothing to be done.
    #[inline(always)]
    pub(crate) fn start_nop(&mut self, _slot: At) -> Started {
        Started::Done(Outcome::done(0))
    }

    #[inline]
    pub(crate) fn start(&mut self, core: &mut Core, slot: At) -> Started {
        let head = core.slots.head(slot);
        let raw = head.raw;
        let (object, route) = match head.handle {
            NONE => (crate::sys::NO_OBJECT, None),
            handle => {
                let entry = core.handles.entry(handle);
                (entry.raw(), Some(entry.notes.route))
            }
        };
        if needs_pool(&raw, route) {
            return match self.blocking.submit(core.slots.index(slot), raw, object) {
                Ok(()) => Started::Pending,
                Err(error) => Started::Done(error.into()),
            };
        }
        if let RawOp::Accept { .. } = raw {
            return self.start_accepts(core, slot);
        }
        match self.issue(core, slot, Phase::First) {
            Issued::Pending => Started::Pending,
            Issued::Done(outcome) if raw.goes_on_after(outcome) => {
                self.work.push_back(Work::Resume(slot));
                Started::More(outcome)
            }
            Issued::Done(outcome) => Started::Done(outcome),
        }
    }

    pub(crate) fn cancel(&mut self, core: &mut Core, slot: At) -> Cancelled {
        let head = core.slots.head(slot);
        let entry = (head.handle != NONE).then(|| core.handles.entry(head.handle));
        if needs_pool(&head.raw, entry.map(|entry| entry.notes.route)) {
            return if self.blocking.cancel(core.slots.index(slot)) { Cancelled::Done } else { Cancelled::Pending };
        }
        let Some(entry) = entry else { unreachable!("{:?} has a handle", head.raw) };
        match head.raw {
            RawOp::Accept { .. } => self.cancel_accepts(entry.raw(), slot),
            // SAFETY: the phase is the backend's.
            _ if unsafe { (*core.slots.block(slot)).phase } == Phase::Poll => self.cancel_poll(core, slot),
            _ => self.give_call_up(core, entry.raw(), slot),
        }
        Cancelled::Pending
    }

    /// Gives the call of an operation up. One that is not found has its packet on the way; or (seen on Wine, for a send
    /// that has just moved a part) the system is about to go on with it, and finds it later.
    fn give_call_up(&mut self, core: &Core, object: Raw, slot: At) {
        if !cancel_call(object, core.slots.block(slot)) {
            self.unfound.push(core.slots.id(slot));
        }
    }

    /// Does that again for those that were not found; says whether it is to be done once more, soon.
    fn give_up_again(&mut self, core: &Core) -> bool {
        for id in std::mem::take(&mut self.unfound) {
            let Some(slot) = core.slots.find(id) else { continue };
            let head = core.slots.head(slot);
            // SAFETY: the phase is the backend's.
            let polls = unsafe { (*core.slots.block(slot)).phase } == Phase::Poll;
            if head.state == State::Cancelling && !polls {
                self.give_call_up(core, core.handles.entry(head.handle).raw(), slot);
            }
        }
        !self.unfound.is_empty()
    }

    pub(crate) fn wait(&mut self, core: &mut Core, timeout: Option<Duration>) -> io::Result<()> {
        let timeout = if self.work.is_empty() { timeout } else { Some(Duration::ZERO) };
        let unfound = !self.unfound.is_empty() && self.give_up_again(core);
        // A thread of the pool that is on its way into its call can be told soon.
        let again = self.blocking.interrupt() || unfound;
        let timeout = if again { Some(timeout.map_or(SOON, |time| time.min(SOON))) } else { timeout };
        let port = self.inbox.waker().port();
        let millis = self.sleep.prepare(port, timeout);
        let mut count = 0;
        let room = self.packets.capacity() as u32;
        // SAFETY: the list has room for that many packets; the port is open.
        let taken = unsafe {
            GetQueuedCompletionStatusEx(port.as_raw_handle(), self.packets.as_mut_ptr(), room, &mut count, millis, 0)
        };
        if taken == 0 {
            return match io::Error::last_os_error() {
                error if sleep::is_timeout(&error) => Ok(()),
                error => Err(error),
            };
        }
        // SAFETY: the call has written that many packets; they are plain data.
        unsafe { self.packets.set_len(count as usize) };
        for packet in &self.packets {
            // The waker's has none, and it is taken up by having come. So is the timer's.
            if !packet.lpOverlapped.is_null() {
                self.work.push_back(Work::Packet(packet.lpOverlapped.cast()));
            } else {
                self.sleep.packet(packet.lpCompletionKey);
            }
        }
        self.packets.clear();
        Ok(())
    }

    #[inline]
    pub(crate) fn advance(&mut self, core: &mut Core) -> Option<Event> {
        loop {
            let event = match self.work.pop_front()? {
                Work::Packet(block) => self.packet(core, block),
                Work::Resume(slot) => self.resume(core, slot),
            };
            if event.is_some() {
                return event;
            }
        }
    }

    /// Takes a packet up. From here on its block is not the system's any more.
    fn packet(&mut self, core: &mut Core, block: *mut Block) -> Option<Event> {
        // SAFETY: packets with an address are those of calls, whose blocks stay in place until this moment.
        match unsafe { (*block).purpose } {
            Purpose::Operation { slot } => self.operation_packet(core, core.slots.at(slot)),
            Purpose::Accept => self.accept_packet(core, block.cast()),
        }
    }

    fn operation_packet(&mut self, core: &mut Core, slot: At) -> Option<Event> {
        let issued = self.finish(core, slot);
        self.event_of(core, slot, issued)
    }

    /// What is to be reported of an operation after a call.
    fn event_of(&mut self, core: &Core, slot: At, issued: Issued) -> Option<Event> {
        let Issued::Done(outcome) = issued else { return None };
        let more = core.slots.head(slot).raw.goes_on_after(outcome);
        if more {
            self.work.push_back(Work::Resume(slot));
        }
        Some(Event::new(slot, more, outcome))
    }

    /// Goes on with a multishot operation.
    fn resume(&mut self, core: &mut Core, slot: At) -> Option<Event> {
        let head = core.slots.head(slot);
        if let RawOp::Accept { .. } = head.raw {
            return self.resume_accepts(core, slot);
        }
        if head.state != State::Started {
            return Some(Event::last(slot, Outcome::error(error::CANCELLED)));
        }
        let issued = self.issue(core, slot, Phase::First);
        self.event_of(core, slot, issued)
    }

    pub(crate) fn backlog(&mut self) -> usize {
        self.work.len()
    }

    pub(crate) fn attach(&mut self, source: &Source, kind: Kind) -> io::Result<Notes> {
        attach::join(self.inbox.waker().port(), source.raw(), kind)
    }

    pub(crate) fn detach(&mut self, core: &mut Core, handle: u32) -> io::Result<()> {
        let entry = core.handles.entry(handle);
        attach::leave(entry.raw(), entry.notes.route)
    }

    pub(crate) fn release(&mut self, _core: &mut Core, _handle: u32) {}

    pub(crate) fn carrier(&self, raw: &RawOp) -> Carrier {
        match raw {
            RawOp::Nop | RawOp::Timer { .. } => Carrier::Port,
            RawOp::Close { .. } | RawOp::Shutdown { .. } => Carrier::Direct,
            _ if needs_pool(raw, None) => Carrier::Pool,
            _ => Carrier::Native,
        }
    }

    pub(crate) fn features(&self) -> Vec<Feature> {
        let mut features = self.sleep.features();
        features.extend(attach::features());
        features
    }
}

/// True for what only the blocking pool can carry out: Windows opens, flushes and asks for metadata in calls
/// that block, and so is everything on what was opened for such calls.
fn needs_pool(raw: &RawOp, route: Option<Route>) -> bool {
    match raw {
        RawOp::Open { .. } | RawOp::Sync { .. } | RawOp::Stat { .. } | RawOp::Call { .. } => true,
        RawOp::Recv { .. }
        | RawOp::Send { .. }
        | RawOp::RecvMsg { .. }
        | RawOp::SendMsg { .. }
        | RawOp::ReadAt { .. }
        | RawOp::WriteAt { .. } => route == Some(Route::Blocking),
        _ => false,
    }
}

/// Asks the system to give a call up; false if it finds none. Its packet comes in any case: with the result if that was
/// first. Where nothing is found, the packet is on its way, or there is none and an entry of `work` stands for the operation.
fn cancel_call(object: Raw, block: *mut Block) -> bool {
    // SAFETY: the address only names the call; the handle is open.
    unsafe { CancelIoEx(object.handle(), block.cast()) != 0 }
}
