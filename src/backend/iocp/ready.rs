//! Readiness of a socket, which AFD tells (`sys/windows/afd.rs`): for readiness as an operation, and for pooled
//! receives of datagrams, since a receive of nothing would take one.

use super::Iocp;
use super::call::{Issued, Phase, receive};
use crate::core::Core;
use crate::error;
use crate::handle::Kind;
use crate::op::raw::{Direction, RawOp};
use crate::outcome::Outcome;
use crate::slot::{At, State};
use crate::sys::windows::afd::{self, Afd};
use crate::sys::{Block, Raw, Route};
use std::io;
use std::num::NonZero;
use std::os::windows::io::BorrowedHandle;
use std::ptr::NonNull;
use windows_sys::Win32::Foundation::ERROR_CALL_NOT_IMPLEMENTED;

/// Slots that share a handle of the driver.
const GROUP: usize = 32;

/// The handles of the driver, by the slots whose polls they have; opened when they are needed.
#[derive(Default)]
pub(super) struct Polls(Vec<Option<Afd>>);

impl Polls {
    fn of(&mut self, port: BorrowedHandle<'_>, slot: u32) -> io::Result<&Afd> {
        let group = slot as usize / GROUP;
        if group >= self.0.len() {
            self.0.resize_with(group + 1, || None);
        }
        let place = &mut self.0[group];
        if place.is_none() {
            *place = Some(Afd::open(port, 0)?);
        }
        Ok(place.as_ref().expect("just opened"))
    }
}

impl Iocp {
    /// The readiness that the operation in `slot` is for.
    pub(super) fn ready(&mut self, core: &mut Core, slot: At, direction: Direction) -> Issued {
        let entry = core.handles.entry(core.slots.head(slot).handle);
        let deaf = entry.notes.deaf && direction == Direction::Read;
        match entry.kind {
            // A file is always ready, and so is the end of a stream.
            Kind::File => Issued::Done(Outcome::done(0)),
            _ if deaf => Issued::Done(Outcome::done(0)),
            // A read of nothing waits for something.
            Kind::Pipe if direction == Direction::Read && entry.notes.route != Route::Blocking => {
                // SAFETY: no call has the block; a buffer of no bytes needs no memory.
                unsafe { receive(entry, core.slots.block(slot), NonNull::dangling().as_ptr(), 0, None) }
            }
            // Nothing tells when there is room in a pipe.
            Kind::Pipe => Issued::Done(Outcome::error(ERROR_CALL_NOT_IMPLEMENTED as i32)),
            _ => self.poll(core, slot, direction),
        }
    }

    /// Polls for the operation in `slot`.
    pub(super) fn poll(&mut self, core: &mut Core, slot: At, direction: Direction) -> Issued {
        match self.try_poll(core, slot, direction) {
            Ok(()) => Issued::Pending,
            Err(error) => Issued::Done(error.into()),
        }
    }

    fn try_poll(&mut self, core: &mut Core, slot: At, direction: Direction) -> io::Result<()> {
        let entry = core.handles.entry_mut(core.slots.head(slot).handle);
        let Raw::Socket(socket) = entry.raw() else { unreachable!("only sockets are polled") };
        let base = match entry.notes.base {
            Some(base) => base.get(),
            None => {
                let base = afd::base_socket(socket)?;
                entry.notes.base = NonZero::new(base);
                base
            }
        };
        let events = match direction {
            Direction::Read => afd::READABLE,
            Direction::Write => afd::WRITABLE,
        };
        let block = core.slots.block(slot);
        let afd = self.polls.of(self.inbox.waker().port(), core.slots.index(slot))?;
        // SAFETY: no call has the block, and it stays in place until the packet was taken, whose address is the
        // block's.
        unsafe {
            (*block).phase = Phase::Poll;
            afd.poll(Block::poll(block), base, events, block.cast())
        }
    }

    /// Gives a poll up. (Where its packet was taken already, nothing is found.)
    pub(super) fn cancel_poll(&mut self, core: &Core, slot: At) {
        if let Ok(afd) = self.polls.of(self.inbox.waker().port(), core.slots.index(slot)) {
            // SAFETY: the poll's address only names it; it was made on this handle.
            let _ = unsafe { afd.cancel(Block::poll(core.slots.block(slot))) };
        }
    }

    /// Takes the answer of a poll up.
    pub(super) fn polled(&mut self, core: &mut Core, slot: At) -> Issued {
        let head = core.slots.head(slot);
        // SAFETY: the packet was taken, and the memory is a poll's.
        let events = unsafe { (*Block::poll(core.slots.block(slot))).events() };
        match (events, head.raw) {
            (Err(error), _) => Issued::Done(Outcome::error(crate::sys::errno::of_error(&error))),
            _ if head.state != State::Started => Issued::Done(Outcome::error(error::CANCELLED)),
            (Ok(0), RawOp::Ready { direction }) => self.poll(core, slot, direction),
            (Ok(_), RawOp::Ready { .. }) => Issued::Done(Outcome::done(0)),
            (Ok(0), raw) if raw.sends() => self.poll(core, slot, Direction::Write),
            (Ok(_), raw) if raw.sends() => self.issue(core, slot, Phase::First),
            (Ok(0), _) => self.poll(core, slot, Direction::Read),
            (Ok(_), _) => self.issue(core, slot, Phase::Look),
        }
    }
}
