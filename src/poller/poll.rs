//! The poller on poll(2): what every Unix has. Each wait hands the whole list over, so its cost grows with the number
//! of sources.
//!
//! The kernel keeps nothing between two waits, so the list is here, in a [`Table`] that any thread changes; whoever
//! waits takes a copy when it has changed, and is woken to take another. Oneshot and edge are made of levels: a
//! reported direction is *disarmed*, and a source with no armed direction has its descriptor negated in the list.
//!
//! Invariants: `list` and `sources` are parallel, their first entry is the waker's; `places` finds each other one.

use super::event::Readiness;
use super::identity::Identity;
use super::queue::{Registration, Woken, already_watched, not_watched, only_waiter};
use super::source::Raw;
use super::{Event, Interest, Mode, NOTIFY};
use crate::backend::not_waitable;
use crate::sys::Waker;
use crate::sys::unix::poll;
use std::collections::HashMap;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

pub(crate) struct Poll {
    waker: Waker,
    table: Mutex<Table>,
    waiter: Mutex<Waiter>,
}

struct Table {
    list: Vec<libc::pollfd>,
    sources: Vec<Source>,
    places: HashMap<RawFd, usize>,
    /// Counts the changes of the list.
    version: u64,
    /// Somebody sleeps on a copy of the list, and was not woken to take a newer one yet.
    asleep: bool,
}

#[derive(Clone, Copy)]
struct Source {
    registration: Registration,
    identity: Identity,
    /// The version that began with its registration: a report that is older does not concern it.
    since: u64,
}

/// A copy of the table's list.
struct Waiter {
    list: Vec<libc::pollfd>,
    version: u64,
    /// Where the last wait stopped for want of room; the next one begins there, so that all have their turn.
    next: usize,
}

impl Poll {
    pub(crate) fn new() -> io::Result<Poll> {
        let waker = Waker::new()?;
        let list = vec![libc::pollfd { fd: waker.fd().as_raw_fd(), events: libc::POLLIN, revents: 0 }];
        let registration = Registration { key: NOTIFY, interest: Interest::READABLE, mode: Mode::Level };
        let sources = vec![Source { registration, identity: Identity::of(waker.fd())?, since: 0 }];
        Ok(Poll {
            waker,
            table: Mutex::new(Table { list, sources, places: HashMap::new(), version: 1, asleep: false }),
            waiter: Mutex::new(Waiter { list: Vec::new(), version: 0, next: 1 }),
        })
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        // Nothing panics between two changes that belong together.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The list has changed: whoever sleeps on an older one is to take it up.
    fn publish(&self, mut table: MutexGuard<'_, Table>) {
        table.version += 1;
        if std::mem::take(&mut table.asleep) {
            self.waker.wake();
        }
    }

    #[inline(never)]
    pub(crate) fn add(&self, source: Raw<'_>, registration: Registration) -> io::Result<()> {
        let (fd, identity) = (source.as_raw_fd(), Identity::of(source)?);
        let mut table = self.table();
        if let Some(&place) = table.places.get(&fd) {
            if table.sources[place].identity == identity {
                return Err(already_watched());
            }
            // That one was closed without having been deleted.
            table.remove(place);
        }
        let (place, since) = (table.list.len(), table.version + 1);
        let mut entry = libc::pollfd { fd, events: 0, revents: 0 };
        arm(&mut entry, registration.interest);
        table.list.push(entry);
        table.sources.push(Source { registration, identity, since });
        table.places.insert(fd, place);
        self.publish(table);
        Ok(())
    }

    #[inline(never)]
    pub(crate) fn modify(&self, source: Raw<'_>, registration: Registration) -> io::Result<()> {
        let mut table = self.table();
        let place = table.place(source.as_raw_fd())?;
        table.sources[place].registration = registration;
        table.sources[place].since = table.version + 1;
        arm(&mut table.list[place], registration.interest);
        self.publish(table);
        Ok(())
    }

    #[inline(never)]
    pub(crate) fn delete(&self, source: Raw<'_>) -> io::Result<()> {
        let mut table = self.table();
        let place = table.place(source.as_raw_fd())?;
        table.remove(place);
        self.publish(table);
        Ok(())
    }

    #[inline(never)]
    pub(crate) fn rearm(&self, source: Raw<'_>, directions: Interest) -> io::Result<()> {
        let mut table = self.table();
        let place = table.place(source.as_raw_fd())?;
        let Registration { interest, mode, .. } = table.sources[place].registration;
        let before = armed(&table.list[place]);
        let after = before | (directions & interest);
        if mode == Mode::Edge && after != before {
            arm(&mut table.list[place], after);
            self.publish(table);
        }
        Ok(())
    }

    pub(crate) fn wait(&self, events: &mut Vec<Event>, room: usize, timeout: Option<Duration>) -> io::Result<Woken> {
        let mut waiter = only_waiter(&self.waiter)?;
        let waiter = &mut *waiter;
        {
            let mut table = self.table();
            if waiter.version != table.version {
                waiter.list.clone_from(&table.list);
                waiter.version = table.version;
            }
            table.asleep = true;
        }
        let ready = poll::wait(&mut waiter.list, timeout);
        let mut table = self.table();
        table.asleep = false;
        let mut left = ready?;
        if left == 0 {
            return Ok(Woken::Done);
        }
        let mut woken = Woken::Done;
        if waiter.list[0].revents != 0 {
            self.waker.drain();
            woken = Woken::Called;
            left -= 1;
        }
        let places = waiter.list.len();
        let start = if waiter.next < places { waiter.next } else { 1 };
        for place in (start..places).chain(1..start) {
            if left == 0 || events.len() == room {
                waiter.next = place;
                break;
            }
            let entry = &mut waiter.list[place];
            if entry.revents != 0 {
                left -= 1;
                events.extend(table.report(entry, waiter.version));
            }
        }
        // What was reported was out of date; what is true now, the next call tells.
        Ok(if woken == Woken::Done && events.is_empty() { Woken::Again } else { woken })
    }

    pub(crate) fn call(&self) {
        self.waker.wake();
    }

    /// The list exists for the length of a call only.
    pub(crate) fn waitable(&self) -> io::Result<BorrowedFd<'_>> {
        Err(not_waitable())
    }
}

impl Table {
    fn place(&self, fd: RawFd) -> io::Result<usize> {
        self.places.get(&fd).copied().ok_or_else(not_watched)
    }

    fn remove(&mut self, place: usize) {
        let fd = descriptor(&self.list.swap_remove(place));
        self.sources.swap_remove(place);
        self.places.remove(&fd);
        if let Some(moved) = self.list.get(place) {
            self.places.insert(descriptor(moved), place);
        }
    }

    /// Takes up what a list of that version reports about one of its entries, and disarms what the mode says, here and
    /// there.
    fn report(&mut self, entry: &mut libc::pollfd, version: u64) -> Option<Event> {
        let place = *self.places.get(&entry.fd)?;
        let Source { registration, since, .. } = self.sources[place];
        if since > version {
            return None;
        }
        if entry.revents & libc::POLLNVAL != 0 {
            // Closed without having been deleted. The list of the waiter is out of date with this.
            self.remove(place);
            self.version += 1;
            return None;
        }
        let readiness = readiness(entry.revents);
        // Not what the entry waits for: another direction may have been rearmed since the copy was made.
        let armed = armed(&self.list[place]);
        let still_armed = match registration.mode {
            Mode::Level => armed,
            // A hang-up would be reported for as long as anything is waited for.
            Mode::Edge if !readiness.intersects(Readiness::OVER) => {
                armed - Interest::from_bits_truncate(readiness.bits())
            }
            Mode::Edge | Mode::Oneshot => Interest::empty(),
        };
        arm(&mut self.list[place], still_armed);
        arm(entry, still_armed);
        Some(Event::new(registration.key, readiness))
    }
}

/// The descriptor of an entry, armed or not.
fn descriptor(entry: &libc::pollfd) -> RawFd {
    if entry.fd < 0 { !entry.fd } else { entry.fd }
}

const DIRECTIONS: [(Interest, libc::c_short); 3] =
    [(Interest::READABLE, READ), (Interest::WRITABLE, libc::POLLOUT), (Interest::PRIORITY, libc::POLLPRI)];

/// Has the entry wait for these directions.
fn arm(entry: &mut libc::pollfd, interest: Interest) {
    let fd = descriptor(entry);
    entry.events = 0;
    for (direction, events) in DIRECTIONS {
        if interest.contains(direction) {
            entry.events |= events;
        }
    }
    // Waiting for nothing still reports a hang-up, unless the descriptor is no descriptor.
    entry.fd = if interest.is_empty() { !fd } else { fd };
}

/// The directions that the entry waits for.
fn armed(entry: &libc::pollfd) -> Interest {
    let waits = |&(_, events): &(Interest, libc::c_short)| entry.events & events != 0;
    DIRECTIONS.into_iter().filter(waits).map(|(direction, _)| direction).collect()
}

fn readiness(flags: libc::c_short) -> Readiness {
    let tells = |flag, readiness: Readiness| if flags & flag == 0 { Readiness::empty() } else { readiness };
    tells(libc::POLLIN, Readiness::READABLE)
        | tells(libc::POLLOUT, Readiness::WRITABLE)
        | tells(libc::POLLPRI, Readiness::PRIORITY)
        | tells(PEER_ENDED, Readiness::PEER_ENDED)
        | tells(libc::POLLHUP, Readiness::HANG_UP)
        | tells(libc::POLLERR, Readiness::FAILED)
}

/// The peer has ended its direction: Linux and FreeBSD can tell.
#[cfg(any(target_os = "linux", target_os = "freebsd"))]
const PEER_ENDED: libc::c_short = libc::POLLRDHUP;
#[cfg(not(any(target_os = "linux", target_os = "freebsd")))]
const PEER_ENDED: libc::c_short = 0;

const READ: libc::c_short = libc::POLLIN | PEER_ENDED;
