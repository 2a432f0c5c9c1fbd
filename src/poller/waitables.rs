//! Waitable handles as sources of the poller on Windows: processes, events, whatever a thread can wait for.
//!
//! Each wait has an address that no other wait has had, so a packet that was on its way when its source was modified or
//! deleted is nobody's.

use super::event::Readiness;
use super::queue::{Registration, already_watched, not_watched};
use super::{Event, Mode};
use crate::sys::windows::waitable::Waitable;
use std::collections::HashMap;
use std::io;
use std::os::windows::io::{AsRawHandle, BorrowedHandle};

/// The key of their packets.
pub(crate) const WAITABLE: usize = 4;

#[derive(Default)]
pub(crate) struct Waitables {
    /// By the handle's number.
    sources: HashMap<usize, Source>,
    /// Those that are waited for, by the address of their packet.
    waits: HashMap<usize, usize>,
    /// Waits so far.
    count: usize,
    /// Level sources that were reported.
    again: Vec<usize>,
}

struct Source {
    waitable: Waitable,
    registration: Registration,
    /// The address of the wait's packet, or 0.
    address: usize,
}

impl Waitables {
    pub(crate) fn add(
        &mut self,
        port: BorrowedHandle<'_>,
        handle: BorrowedHandle<'_>,
        registration: Registration,
    ) -> io::Result<()> {
        let number = handle.as_raw_handle().addr();
        if self.sources.contains_key(&number) {
            return Err(already_watched());
        }
        self.sources.insert(number, Source { waitable: Waitable::new(handle)?, registration, address: 0 });
        self.ask(port, number).inspect_err(|_| drop(self.sources.remove(&number)))
    }

    pub(crate) fn modify(
        &mut self,
        port: BorrowedHandle<'_>,
        handle: BorrowedHandle<'_>,
        registration: Registration,
    ) -> io::Result<()> {
        let number = handle.as_raw_handle().addr();
        self.sources.get_mut(&number).ok_or_else(not_watched)?.registration = registration;
        self.ask(port, number)
    }

    pub(crate) fn delete(&mut self, handle: BorrowedHandle<'_>) -> io::Result<()> {
        let source = self.sources.remove(&handle.as_raw_handle().addr()).ok_or_else(not_watched)?;
        self.waits.remove(&source.address);
        Ok(())
    }

    /// Begins a wait as the registration says, in place of one that goes on.
    fn ask(&mut self, port: BorrowedHandle<'_>, number: usize) -> io::Result<()> {
        let Some(source) = self.sources.get_mut(&number) else { return Ok(()) };
        source.waitable.stop();
        self.waits.remove(&std::mem::take(&mut source.address));
        if source.registration.interest.is_empty() {
            return Ok(());
        }
        self.count += 1;
        source.address = self.count;
        self.waits.insert(self.count, number);
        source.waitable.start(port, WAITABLE, self.count)
    }

    /// Waits for the level sources that the last wait reported.
    pub(crate) fn ask_again(&mut self, port: BorrowedHandle<'_>) {
        for number in std::mem::take(&mut self.again) {
            let reported = self.sources.get(&number).is_some_and(|source| source.address == 0);
            // What cannot be waited for any more says nothing any more.
            if reported && self.ask(port, number).is_err() {
                self.sources.remove(&number);
            }
        }
    }

    /// The packet of a wait was taken.
    pub(crate) fn signalled(&mut self, address: usize) -> Option<Event> {
        let number = self.waits.remove(&address)?;
        let source = self.sources.get_mut(&number)?;
        source.address = 0;
        if source.registration.mode == Mode::Level {
            self.again.push(number);
        }
        Some(Event::new(source.registration.key, Readiness::READABLE))
    }
}
