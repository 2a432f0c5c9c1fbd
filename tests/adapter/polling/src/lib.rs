//! The public API of `polling` 3, with Anyport's `Poller` behind it: what it takes to move a program from one to the other.
//!
//! Where the two differ, this is where it shows: their interest is an [`Event`], and Anyport's a set and a key; their
//! `wait` adds to the events of the wait before; a second waiter is turned away without an error.

pub mod os;
mod source;

pub use source::{AsRawSource, AsSource};

use anyport::poller::{Interest, Mode};
use std::fmt;
use std::io;
use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

/// Interest in a source, and what is reported of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event {
    pub key: usize,
    pub readable: bool,
    pub writable: bool,
    interrupt: bool,
    priority: bool,
    error: bool,
}

impl Event {
    pub const fn new(key: usize, readable: bool, writable: bool) -> Event {
        Event { key, readable, writable, interrupt: false, priority: false, error: false }
    }

    pub const fn all(key: usize) -> Event {
        Event::new(key, true, true)
    }

    pub const fn readable(key: usize) -> Event {
        Event::new(key, true, false)
    }

    pub const fn writable(key: usize) -> Event {
        Event::new(key, false, true)
    }

    pub const fn none(key: usize) -> Event {
        Event::new(key, false, false)
    }

    /// Hang-ups are told whether asked for or not.
    pub fn set_interrupt(&mut self, active: bool) {
        self.interrupt = active;
    }

    pub fn with_interrupt(mut self) -> Event {
        self.set_interrupt(true);
        self
    }

    pub fn set_priority(&mut self, active: bool) {
        self.priority = active;
    }

    pub fn with_priority(mut self) -> Event {
        self.set_priority(true);
        self
    }

    pub fn is_interrupt(&self) -> bool {
        self.interrupt
    }

    pub fn is_priority(&self) -> bool {
        self.priority
    }

    pub fn is_err(&self) -> Option<bool> {
        Some(self.error)
    }

    pub fn is_connect_failed(&self) -> Option<bool> {
        Some(self.error && self.interrupt)
    }

    pub fn clear_extra(&mut self) {
        (self.interrupt, self.priority, self.error) = (false, false, false);
    }

    pub fn with_no_extra(mut self) -> Event {
        self.clear_extra();
        self
    }

    fn interest(self) -> Interest {
        let mut interest = Interest::empty();
        interest.set(Interest::READABLE, self.readable);
        interest.set(Interest::WRITABLE, self.writable);
        interest.set(Interest::PRIORITY, self.priority);
        interest
    }
}

impl From<anyport::poller::Event> for Event {
    fn from(event: anyport::poller::Event) -> Event {
        Event {
            key: event.key,
            readable: event.is_readable(),
            writable: event.is_writable(),
            interrupt: event.is_hang_up(),
            priority: event.is_priority(),
            error: event.is_error(),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum PollMode {
    Oneshot,
    Level,
    Edge,
    /// An edge that silences its source is a oneshot event: both are armed by `modify`, and look anew there.
    EdgeOneshot,
}

impl From<PollMode> for Mode {
    fn from(mode: PollMode) -> Mode {
        match mode {
            PollMode::Oneshot | PollMode::EdgeOneshot => Mode::Oneshot,
            PollMode::Level => Mode::Level,
            PollMode::Edge => Mode::Edge,
        }
    }
}

pub struct Poller {
    poller: anyport::Poller,
}

impl Poller {
    pub fn new() -> io::Result<Poller> {
        Ok(Poller { poller: anyport::Poller::new()? })
    }

    /// Not of `polling`: what is behind it. A test that calls this does not compile without the patch.
    pub fn anyport(&self) -> &anyport::Poller {
        &self.poller
    }

    pub fn supports_level(&self) -> bool {
        true
    }

    pub fn supports_edge(&self) -> bool {
        true
    }

    /// # Safety
    /// The source is open, and deleted before it is closed. (Anyport asks for the first, by its type.)
    pub unsafe fn add(&self, source: impl AsRawSource, interest: Event) -> io::Result<()> {
        // SAFETY: the caller's.
        unsafe { self.add_with_mode(source, interest, PollMode::Oneshot) }
    }

    /// # Safety
    /// As [`Poller::add`].
    pub unsafe fn add_with_mode(&self, source: impl AsRawSource, interest: Event, mode: PollMode) -> io::Result<()> {
        // SAFETY: the caller's: the source is open.
        let source = unsafe { source::borrow(source.raw()) };
        self.poller.add(source, interest.key, interest.interest(), mode.into())
    }

    pub fn modify(&self, source: impl AsSource, interest: Event) -> io::Result<()> {
        self.modify_with_mode(source, interest, PollMode::Oneshot)
    }

    pub fn modify_with_mode(&self, source: impl AsSource, interest: Event, mode: PollMode) -> io::Result<()> {
        self.poller.modify(source.source(), interest.key, interest.interest(), mode.into())
    }

    pub fn delete(&self, source: impl AsSource) -> io::Result<()> {
        self.poller.delete(source.source())
    }

    pub fn wait(&self, events: &mut Events, timeout: Option<Duration>) -> io::Result<usize> {
        match self.poller.wait(&mut events.latest, timeout) {
            Ok(_) => events.all.extend(events.latest.iter().map(Event::from)),
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy => {}
            Err(error) => return Err(error),
        }
        Ok(events.len())
    }

    pub fn wait_deadline(&self, events: &mut Events, deadline: Instant) -> io::Result<usize> {
        self.wait(events, Some(deadline.saturating_duration_since(Instant::now())))
    }

    pub fn notify(&self) -> io::Result<()> {
        self.poller.notify();
        Ok(())
    }
}

impl fmt::Debug for Poller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.poller.fmt(f)
    }
}

pub struct Events {
    /// Of all waits since they were cleared.
    all: Vec<Event>,
    latest: anyport::poller::Events,
}

impl Events {
    pub fn new() -> Events {
        Events { all: Vec::new(), latest: anyport::poller::Events::new() }
    }

    pub fn with_capacity(capacity: NonZeroUsize) -> Events {
        Events { all: Vec::new(), latest: anyport::poller::Events::with_capacity(capacity.get()) }
    }

    pub fn iter(&self) -> impl Iterator<Item = Event> + '_ {
        self.all.iter().copied()
    }

    pub fn clear(&mut self) {
        self.all.clear();
    }

    pub fn len(&self) -> usize {
        self.all.len()
    }

    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    pub fn capacity(&self) -> NonZeroUsize {
        NonZeroUsize::new(self.latest.capacity()).expect("room for one at least")
    }
}

impl Default for Events {
    fn default() -> Events {
        Events::new()
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Events { .. }")
    }
}
