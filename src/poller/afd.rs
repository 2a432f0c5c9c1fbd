//! The poller on Windows: a completion port that the answers of AFD's polls arrive at (`sys/windows/afd.rs`).
//!
//! A poll is asked once and answered once, so all three modes are made here, of what a source is *armed* for. Oneshot
//! disarms it with the event. Level asks again when the next wait begins: what was drained until then is not
//! reported. Edge asks on for the directions that were not reported; `rearm` adds the others again. A poll that waits
//! for more than it must is left alone, and its answer filtered; one that waits for less is given up, and asked anew
//! when its packet has come.
//!
//! Cancelling searches the polls of a handle of the driver, so a handle serves at most [`GROUP`] sources.
//!
//! Invariant: a source is in `by_socket` until it is deleted or was seen to be closed, and in `sources` until, beyond
//! that, its last packet was taken.

use super::event::Readiness;
use super::queue::{Queue, Registration, Woken, already_watched, not_watched, only_waiter};
use super::source::Raw;
use super::waitables::{WAITABLE, Waitables};
use super::{Event, Interest, Mode, Poller};
use crate::sys::Waker;
use crate::sys::windows::afd::{self, Afd};
use crate::sys::windows::packets::{Packet, Packets};
use crate::sys::windows::sleep::{Sleep, is_timeout};
use crate::sys::windows::watch::{Flight, SocketPoll};
use slab::Slab;
use std::collections::HashMap;
use std::io;
use std::num::NonZeroUsize;
use std::os::windows::io::{AsRawSocket, BorrowedHandle, RawSocket};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The key of the packets of polls. (The waker's and the timer's are others.)
const SOURCE: usize = 3;

/// The most sources that share a handle of the driver.
const GROUP: usize = 32;

pub(crate) struct Iocp {
    /// Before the port that their waits post to.
    waitables: Mutex<Waitables>,
    /// The completion port.
    waker: Waker,
    table: Mutex<Table>,
    waiter: Mutex<Waiter>,
}

struct Waiter {
    packets: Packets,
    sleep: Sleep,
}

#[derive(Default)]
struct Table {
    sources: Slab<Source>,
    by_socket: HashMap<RawSocket, usize>,
    groups: Vec<Arc<Afd>>,
    /// Level sources that were reported, to be asked for when the next wait begins.
    again: Vec<usize>,
    /// Polls whose packets were not taken yet.
    flying: usize,
}

struct Source {
    poll: SocketPoll,
    /// The socket, as the user knows it.
    socket: RawSocket,
    registration: Registration,
    armed: Interest,
    /// Not watched any more; here for its last packet.
    deleted: bool,
}

impl Iocp {
    pub(crate) fn new() -> io::Result<Iocp> {
        let waker = Waker::new()?;
        // Where the driver cannot be opened there is no readiness.
        let group = Arc::new(Afd::open(waker.port(), SOURCE)?);
        let table = Table { groups: vec![group], ..Table::default() };
        let waiter = Waiter { packets: Packets::new(), sleep: Sleep::new() };
        Ok(Iocp { waitables: Mutex::default(), waker, table: Mutex::new(table), waiter: Mutex::new(waiter) })
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        // Nothing panics between two changes that belong together.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn add(&self, source: Raw<'_>, registration: Registration) -> io::Result<()> {
        let socket = source.as_raw_socket();
        let mut table = self.table();
        if let Some(&index) = table.by_socket.get(&socket) {
            if !table.sources[index].poll.has_seen_close() {
                return Err(already_watched());
            }
            table.forget(index);
        }
        let poll = SocketPoll::new(table.group(self.waker.port())?, socket)?;
        let armed = registration.interest;
        let index = table.sources.insert(Source { poll, socket, registration, armed, deleted: false });
        table.by_socket.insert(socket, index);
        table.ask(index).inspect_err(|_| table.forget(index))
    }

    pub(crate) fn modify(&self, source: Raw<'_>, registration: Registration) -> io::Result<()> {
        let mut table = self.table();
        let index = table.find(source)?;
        let source = &mut table.sources[index];
        source.registration = registration;
        source.armed = registration.interest;
        table.ask(index)
    }

    pub(crate) fn delete(&self, source: Raw<'_>) -> io::Result<()> {
        let mut table = self.table();
        let index = table.find(source)?;
        table.forget(index);
        Ok(())
    }

    pub(crate) fn rearm(&self, source: Raw<'_>, directions: Interest) -> io::Result<()> {
        let mut table = self.table();
        let index = table.find(source)?;
        let source = &mut table.sources[index];
        if source.registration.mode != Mode::Edge {
            return Ok(());
        }
        source.armed |= directions & source.registration.interest;
        table.ask(index)
    }

    pub(crate) fn wait(&self, events: &mut Vec<Event>, room: usize, timeout: Option<Duration>) -> io::Result<Woken> {
        let mut waiter = only_waiter(&self.waiter)?;
        let Waiter { packets, sleep } = &mut *waiter;
        let port = self.waker.port();
        self.table().ask_again();
        self.waitables().ask_again(port);
        let millis = sleep.prepare(port, timeout);
        let packets = match packets.take(port, room, millis) {
            Err(error) if is_timeout(&error) => return Ok(Woken::Done),
            packets => packets?,
        };
        let mut woken = Woken::Again;
        let mut table = self.table();
        for Packet { key, address } in packets {
            match (key, NonZeroUsize::new(address)) {
                // SAFETY: the packet was just taken.
                (SOURCE, Some(address)) => events.extend(unsafe { table.landed(address) }),
                (WAITABLE, Some(address)) => events.extend(self.waitables().signalled(address.get())),
                (crate::sys::windows::WAKE, _) => woken = Woken::Called,
                (key, _) => sleep.packet(key),
            }
        }
        Ok(if woken == Woken::Again && !events.is_empty() { Woken::Done } else { woken })
    }

    fn waitables(&self) -> MutexGuard<'_, Waitables> {
        self.waitables.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn add_waitable(&self, handle: BorrowedHandle<'_>, registration: Registration) -> io::Result<()> {
        self.waitables().add(self.waker.port(), handle, registration)
    }

    pub(crate) fn modify_waitable(&self, handle: BorrowedHandle<'_>, registration: Registration) -> io::Result<()> {
        self.waitables().modify(self.waker.port(), handle, registration)
    }

    pub(crate) fn delete_waitable(&self, handle: BorrowedHandle<'_>) -> io::Result<()> {
        self.waitables().delete(handle)
    }

    pub(crate) fn call(&self) {
        self.waker.wake();
    }
}

impl Poller {
    /// The backend of this system, for what only it can watch.
    pub(crate) fn iocp(&self) -> &Iocp {
        let Queue::Iocp(iocp) = &self.queue;
        iocp
    }
}

impl Table {
    fn find(&self, source: Raw<'_>) -> io::Result<usize> {
        self.by_socket.get(&source.as_raw_socket()).copied().ok_or_else(not_watched)
    }

    /// A handle of the driver with room for one more source.
    fn group(&mut self, port: BorrowedHandle<'_>) -> io::Result<Arc<Afd>> {
        // One reference is the list's.
        if let Some(group) = self.groups.iter().find(|group| Arc::strong_count(group) <= GROUP) {
            return Ok(group.clone());
        }
        let group = Arc::new(Afd::open(port, SOURCE)?);
        self.groups.push(group.clone());
        Ok(group)
    }

    /// Has a poll in flight for what the source is armed for.
    fn ask(&mut self, index: usize) -> io::Result<()> {
        let source = &mut self.sources[index];
        let wanted = asked(source.armed);
        match source.poll.flight() {
            Flight::Landed if wanted != 0 => {
                source.poll.start(wanted, address(index))?;
                self.flying += 1;
            }
            Flight::Flying(events) if wanted & !events != 0 => source.poll.cancel(),
            _ => {}
        }
        Ok(())
    }

    /// Asks for the level sources that the last wait reported.
    fn ask_again(&mut self) {
        for index in std::mem::take(&mut self.again) {
            if self.sources.get(index).is_some_and(|source| !source.deleted) && self.ask(index).is_err() {
                self.forget(index);
            }
        }
    }

    /// Ends watching a source.
    fn forget(&mut self, index: usize) {
        let source = &mut self.sources[index];
        self.by_socket.remove(&source.socket);
        source.deleted = true;
        source.poll.cancel();
        self.remove_if_landed(index);
    }

    fn remove_if_landed(&mut self, index: usize) {
        if self.sources[index].poll.flight() == Flight::Landed {
            self.sources.remove(index);
            // The last source of a group takes the group along, but one stays.
            if self.groups.len() > 1 {
                self.groups.retain(|group| Arc::strong_count(group) > 1);
            }
        }
    }

    /// Takes the answer of a poll up.
    ///
    /// # Safety
    /// The packet with this address was just taken.
    unsafe fn landed(&mut self, address: NonZeroUsize) -> Option<Event> {
        let index = address.get() - 1;
        self.flying -= 1;
        let source = &mut self.sources[index];
        // SAFETY: the caller's; the address is that of this source's poll, which stays here until it has landed.
        let told = unsafe { source.poll.landed() };
        if source.deleted {
            self.remove_if_landed(index);
            return None;
        }
        let told = match told {
            Ok(told) => told,
            Err(error) if afd::is_cancelled(&error) => 0,
            // The driver knows the socket no more.
            Err(_) => afd::LOCAL_CLOSE,
        };
        if told & afd::LOCAL_CLOSE != 0 {
            self.forget(index);
            return None;
        }
        let readiness = readiness(told & asked(source.armed));
        let event = (!readiness.is_empty()).then_some(Event::new(source.registration.key, readiness));
        let level = source.registration.mode == Mode::Level;
        if event.is_some() && level {
            self.again.push(index);
            return event;
        }
        if event.is_some() {
            let over = source.registration.mode == Mode::Oneshot || readiness.intersects(Readiness::OVER);
            source.armed -= if over { Interest::all() } else { Interest::from_bits_truncate(readiness.bits()) };
        }
        if self.ask(index).is_err() {
            self.forget(index);
        }
        event
    }
}

/// No poll's memory is freed before its packet has come.
impl Drop for Iocp {
    fn drop(&mut self) {
        let table = self.table.get_mut().unwrap_or_else(PoisonError::into_inner);
        let Waiter { packets, .. } = self.waiter.get_mut().unwrap_or_else(PoisonError::into_inner);
        for index in 0..table.sources.capacity() {
            if table.sources.contains(index) && !table.sources[index].deleted {
                table.forget(index);
            }
        }
        while table.flying > 0 {
            // What is given up comes at once. If it does not, its memory is left to it.
            let Ok(packets) = packets.take(self.waker.port(), GROUP, 10_000) else { return };
            for Packet { key, address } in packets {
                if let (SOURCE, Some(address)) = (key, NonZeroUsize::new(address)) {
                    // SAFETY: the packet was just taken.
                    unsafe { table.landed(address) };
                }
            }
        }
    }
}

/// The address of the packets of a source: nobody follows it.
fn address(index: usize) -> NonZeroUsize {
    NonZeroUsize::MIN.saturating_add(index)
}

/// What a poll asks for.
fn asked(armed: Interest) -> afd::Events {
    const EVENTS: [(Interest, afd::Events); 3] = [
        (Interest::READABLE, afd::RECEIVE | afd::ACCEPT | afd::DISCONNECT),
        (Interest::WRITABLE, afd::SEND),
        (Interest::PRIORITY, afd::RECEIVE_EXPEDITED),
    ];
    let asked = EVENTS.into_iter().filter(|&(interest, _)| armed.contains(interest)).fold(0, |all, (_, one)| all | one);
    if asked == 0 { 0 } else { asked | afd::ABORT | afd::CONNECT_FAIL }
}

fn readiness(told: afd::Events) -> Readiness {
    let tells = |event, readiness: Readiness| if told & event == 0 { Readiness::empty() } else { readiness };
    tells(afd::RECEIVE | afd::ACCEPT, Readiness::READABLE)
        | tells(afd::SEND, Readiness::WRITABLE)
        | tells(afd::RECEIVE_EXPEDITED, Readiness::PRIORITY)
        | tells(afd::DISCONNECT, Readiness::PEER_ENDED)
        | tells(afd::ABORT | afd::CONNECT_FAIL, Readiness::HANG_UP | Readiness::FAILED)
}
