//! The poller on kqueue(2): a knote per source and direction, added and deleted at once, by a call of its own each time.
//!
//! The kernel keeps the knotes; a table keeps what belongs together: a source's two knotes are one registration, are
//! reported in one event, and both go silent when a oneshot source was reported. A knote's `udata` is a number that no
//! other registration has had, so an event that was on its way when its source was deleted is nobody's.
//!
//! Modes are the kernel's: `EV_CLEAR` is edge, `EV_ONESHOT` is oneshot. A knote keeps the mode that it was added with, and
//! not every system looks anew when one is added again; so another registration is another knote. (A oneshot one that was
//! reported is gone already.)

use super::event::Readiness;
use super::identity::Identity;
use super::queue::{Queue, Registration, Woken, already_watched, not_watched, only_waiter};
use super::source::Raw;
use super::{Event, Interest, Mode, Poller};
use crate::backend::not_waitable;
use crate::os::kqueue as os;
use crate::sys::Waker;
use crate::sys::unix::kqueue::{self, Filter, Trigger};
use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// This system has it.
pub(crate) const HERE: bool = true;

pub(crate) struct Kqueue {
    waker: Waker,
    table: Mutex<Table>,
    waiter: Mutex<Vec<kqueue::Event>>,
}

impl Poller {
    /// This backend, for what only it can watch.
    pub(crate) fn kqueue(&self) -> io::Result<&Kqueue> {
        match &self.queue {
            Queue::Kqueue(kqueue) => Ok(kqueue),
            other => Err(io::Error::new(
                io::ErrorKind::Unsupported,
                format!("the poller runs on {}; processes and signals need kqueue", other.backend()),
            )),
        }
    }
}

/// What is watched.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Watched {
    Descriptor(usize),
    Process(usize),
    Signal(usize),
}

#[derive(Default)]
struct Table {
    sources: HashMap<Watched, Source>,
    /// Registrations so far.
    count: usize,
    /// Waits so far.
    waits: usize,
    /// The changes of one operation, and the answers to them; kept for their memory.
    changes: Vec<kqueue::Event>,
    receipts: Vec<kqueue::Event>,
}

struct Source {
    registration: Registration,
    /// Of a descriptor.
    identity: Option<Identity>,
    /// What its knotes report under.
    udata: usize,
    /// The knotes that the kernel has, unless it dropped them with the descriptor: a [`bit`] each.
    knotes: u8,
    /// The last wait that reported it, and as which of its events.
    reported: (usize, usize),
}

const fn bit(filter: Filter) -> u8 {
    1 << filter as u8
}

impl Watched {
    fn of(filter: Filter, ident: usize) -> Watched {
        match filter {
            Filter::Process => Watched::Process(ident),
            Filter::Signal => Watched::Signal(ident),
            Filter::Read | Filter::Write | Filter::User => Watched::Descriptor(ident),
        }
    }

    fn ident(self) -> usize {
        match self {
            Watched::Descriptor(ident) | Watched::Process(ident) | Watched::Signal(ident) => ident,
        }
    }

    /// The filters that this is watched by, for a set of directions.
    fn filters(self, interest: Interest) -> impl Iterator<Item = Filter> {
        let readable = match self {
            Watched::Descriptor(_) => Filter::Read,
            Watched::Process(_) => Filter::Process,
            Watched::Signal(_) => Filter::Signal,
        };
        [(readable, Interest::READABLE), (Filter::Write, Interest::WRITABLE)]
            .into_iter()
            .filter(move |(_, direction)| interest.contains(*direction))
            .map(|(filter, _)| filter)
    }
}

impl From<os::Filter> for Watched {
    fn from(filter: os::Filter) -> Watched {
        match filter {
            os::Filter::Exit(process) => Watched::Process(process as usize),
            os::Filter::Signal(number) => Watched::Signal(number as usize),
        }
    }
}

fn watched(source: Raw<'_>) -> Watched {
    Watched::Descriptor(source.as_raw_fd() as usize)
}

impl Kqueue {
    pub(crate) fn new() -> io::Result<Kqueue> {
        let waker = Waker::new()?;
        waker.queue()?;
        Ok(Kqueue { waker, table: Mutex::default(), waiter: Mutex::default() })
    }

    fn queue(&self) -> io::Result<&kqueue::Queue> {
        Ok(self.waker.queue()?.queue())
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        // Nothing panics between two changes that belong together.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[inline(never)]
    pub(crate) fn add(&self, source: Raw<'_>, registration: Registration) -> io::Result<()> {
        let identity = Some(Identity::of(source)?);
        self.add_watched(watched(source), identity, registration)
    }

    fn add_watched(&self, watched: Watched, identity: Option<Identity>, registration: Registration) -> io::Result<()> {
        let mut table = self.table();
        if let Some(known) = table.sources.get(&watched)
            && known.identity == identity
        {
            return Err(already_watched());
        }
        // One of another identity was closed without having been deleted, and its knotes went with it.
        table.sources.insert(watched, Source { registration, identity, udata: 0, knotes: 0, reported: (0, 0) });
        let added = table.register(self.queue()?, watched, registration);
        if added.is_err() {
            table.sources.remove(&watched);
        }
        added
    }

    #[inline(never)]
    pub(crate) fn modify(&self, source: Raw<'_>, registration: Registration) -> io::Result<()> {
        self.table().register(self.queue()?, watched(source), registration)
    }

    #[inline(never)]
    pub(crate) fn delete(&self, source: Raw<'_>) -> io::Result<()> {
        self.delete_watched(watched(source))
    }

    fn delete_watched(&self, watched: Watched) -> io::Result<()> {
        let mut table = self.table();
        let source = table.sources.remove(&watched).ok_or_else(not_watched)?;
        table.change(self.queue()?, deletions(watched, source.knotes));
        Ok(())
    }

    pub(crate) fn add_filter(&self, filter: os::Filter, registration: Registration) -> io::Result<()> {
        self.add_watched(filter.into(), None, registration)
    }

    pub(crate) fn modify_filter(&self, filter: os::Filter, registration: Registration) -> io::Result<()> {
        self.table().register(self.queue()?, filter.into(), registration)
    }

    pub(crate) fn delete_filter(&self, filter: os::Filter) -> io::Result<()> {
        self.delete_watched(filter.into())
    }

    /// The kernel sees a call that would block, and arms the edge itself.
    pub(crate) fn rearm(&self, _source: Raw<'_>, _directions: Interest) -> io::Result<()> {
        Ok(())
    }

    pub(crate) fn wait(&self, events: &mut Vec<Event>, room: usize, timeout: Option<Duration>) -> io::Result<Woken> {
        let mut waiter = only_waiter(&self.waiter)?;
        let waker = self.waker.queue()?;
        waker.queue().call(&[], &mut waiter, room, timeout)?;
        if waiter.is_empty() {
            return Ok(Woken::Done);
        }
        let mut woken = Woken::Again;
        let mut table = self.table();
        table.waits += 1;
        for event in &*waiter {
            if waker.hears(event) {
                woken = Woken::Called;
            } else {
                table.report(self.queue()?, event, events);
            }
        }
        Ok(if woken == Woken::Again && !events.is_empty() { Woken::Done } else { woken })
    }

    pub(crate) fn call(&self) {
        self.waker.wake();
    }

    pub(crate) fn waitable(&self) -> io::Result<BorrowedFd<'_>> {
        // libkqueue's queue is no descriptor that others could wait for.
        if cfg!(anyport_libkqueue) { Err(not_waitable()) } else { Ok(self.queue()?.as_fd()) }
    }
}

fn deletions(watched: Watched, knotes: u8) -> impl Iterator<Item = kqueue::Event> {
    let known = move |filter: &Filter| knotes & bit(*filter) != 0;
    Filter::ALL.into_iter().filter(known).map(move |filter| kqueue::Event::delete(filter, watched.ident()))
}

impl Table {
    /// Has the kernel watch for what the registration says, and for nothing else.
    fn register(&mut self, queue: &kqueue::Queue, watched: Watched, registration: Registration) -> io::Result<()> {
        let Registration { interest, mode, .. } = registration;
        if interest.contains(Interest::PRIORITY) {
            return Err(io::Error::new(
                io::ErrorKind::Unsupported,
                "kqueue does not tell priority data here; ask for READABLE, which urgent data is part of",
            ));
        }
        self.count += 1;
        let udata = self.count;
        let source = self.sources.get_mut(&watched).ok_or_else(not_watched)?;
        let outdated = std::mem::replace(&mut source.knotes, watched.filters(interest).map(bit).sum());
        (source.registration, source.udata) = (registration, udata);
        let trigger = match mode {
            Mode::Oneshot => Trigger::Once,
            Mode::Level => Trigger::Level,
            Mode::Edge => Trigger::Edge,
        };
        let added =
            watched.filters(interest).map(|filter| kqueue::Event::watch(filter, watched.ident(), udata, trigger));
        match self.change(queue, deletions(watched, outdated).chain(added)) {
            0 => Ok(()),
            errno => Err(io::Error::from_raw_os_error(errno)),
        }
    }

    /// Makes changes, at once; the first error, or 0. (That a knote to be deleted was not there is none.)
    fn change(&mut self, queue: &kqueue::Queue, changes: impl Iterator<Item = kqueue::Event>) -> i32 {
        self.changes.clear();
        self.changes.extend(changes);
        if self.changes.is_empty() {
            return 0;
        }
        let (changes, room) = (&self.changes, self.changes.len());
        if let Err(error) = queue.call(changes, &mut self.receipts, room, Some(Duration::ZERO)) {
            return error.raw_os_error().unwrap_or(libc::EIO);
        }
        let mut errors = self.receipts.iter().filter_map(kqueue::Event::receipt);
        errors.find(|&errno| errno != 0 && errno != libc::ENOENT).unwrap_or(0)
    }

    /// Takes up what a knote reports.
    fn report(&mut self, queue: &kqueue::Queue, event: &kqueue::Event, events: &mut Vec<Event>) {
        let Some(filter) = event.filter() else { return };
        let watched = Watched::of(filter, event.ident());
        let Some(source) = self.sources.get_mut(&watched).filter(|source| source.udata == event.udata()) else {
            return; // deleted, or registered anew, when this was on its way
        };
        let readiness = readiness(filter, event, source.identity);
        let Registration { key, mode, .. } = source.registration;
        if source.reported.0 == self.waits {
            events[source.reported.1].add(readiness);
        } else {
            source.reported = (self.waits, events.len());
            events.push(Event::new(key, readiness));
        }
        if mode == Mode::Oneshot {
            // Its own knote is gone. The other one is to be silent too, but may be reported by this wait already.
            let others = std::mem::take(&mut source.knotes) & !bit(filter);
            self.change(queue, deletions(watched, others));
        }
    }
}

fn readiness(filter: Filter, event: &kqueue::Event, identity: Option<Identity>) -> Readiness {
    let mut readiness = if filter == Filter::Write { Readiness::WRITABLE } else { Readiness::READABLE };
    if !event.is_end() || identity.is_none() {
        return readiness;
    }
    let is_socket = identity.is_some_and(|identity| identity.is_socket);
    readiness |= match filter {
        Filter::Write if is_socket => Readiness::WRITE_CLOSED,
        // Nobody reads the pipe.
        Filter::Write => Readiness::FAILED,
        _ => Readiness::PEER_ENDED,
    };
    if is_socket && event.notes() != 0 {
        readiness |= Readiness::FAILED | Readiness::HANG_UP;
    }
    readiness
}
