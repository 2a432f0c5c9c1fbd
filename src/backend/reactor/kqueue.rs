//! The kqueue(2) selector: a knote per descriptor and direction, added when an operation first waits for that direction
//! and edge-triggered from then on (`EV_CLEAR`). Changes ride along with the call that waits.
//!
//! A knote's name is the descriptor's number, and its `udata` the number's own generation: how many descriptors were
//! added before. So an event that a closed handle has left behind is told from one of the number's next owner.
//!
//! An event says more than that there was an edge: how many bytes are there, and at the end of a direction the socket's
//! error. The selector keeps both for the reactor ([`Selector::consume`], [`Selector::take_error`]).
//!
//! Invariant: `watched[fd]` belongs to the handle that was added last under that number; a change or an event of
//! another generation is nobody's.

use super::{Report, Selector};
use crate::backend::not_waitable;
use crate::handle::Kind;
use crate::op::raw::Direction;
use crate::poster::Inbox;
use crate::sys::unix::kqueue::{Event, Filter, LEAST_ROOM};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::sync::Arc;
use std::time::Duration;

/// This system has it.
pub(crate) const HERE: bool = true;

/// A kqueue: the inbox's own, which a post wakes.
pub(crate) struct Kqueue {
    inbox: Arc<Inbox>,
    /// What the next wait tells the system.
    changes: Vec<Event>,
    events: Vec<Event>,
    /// Events that one wait reports.
    room: usize,
    /// By descriptor.
    watched: Vec<Watched>,
    /// Descriptors added so far.
    added: u32,
}

/// What is known of a descriptor. All zero: nobody's.
#[derive(Clone, Copy, Default)]
struct Watched {
    udata: u32,
    handle: u32,
    generation: u32,
    is_socket: bool,
    /// The directions that a knote was asked for, as [`bit`]s, and those whose knote the system has.
    wanted: u8,
    known: u8,
    /// Bytes that were there at the last edge and have not been read since.
    unread: u32,
    /// The socket's error, or why the descriptor cannot be watched, until an operation reports it; or 0.
    error: i32,
}

const fn bit(filter: Filter) -> u8 {
    1 << filter as u8
}

fn filter(direction: Direction) -> Filter {
    match direction {
        Direction::Read => Filter::Read,
        Direction::Write => Filter::Write,
    }
}

/// Takes all out, and gives back the memory beyond a usual list's: what a great many connections needed when they were added at
/// once, they would keep while they are idle.
fn clear(list: &mut Vec<Event>, room: usize) {
    list.clear();
    list.shrink_to(room);
}

impl Kqueue {
    fn watched(&mut self, fd: impl AsRawFd) -> &mut Watched {
        &mut self.watched[fd.as_raw_fd() as usize]
    }
}

impl Selector for Kqueue {
    const CALL: &'static str = "kevent";

    fn new(events: usize, inbox: &Arc<Inbox>) -> io::Result<Kqueue> {
        inbox.waker().queue()?;
        let (changes, watched) = (Vec::new(), Vec::new());
        let room = events.max(LEAST_ROOM);
        Ok(Kqueue { inbox: inbox.clone(), changes, events: Vec::with_capacity(room), room, watched, added: 0 })
    }

    fn add(&mut self, fd: BorrowedFd<'_>, kind: Kind, handle: u32, generation: u32) -> io::Result<()> {
        let index = fd.as_raw_fd() as usize;
        if self.watched.len() <= index {
            self.watched.resize(index + 1, Watched::default());
        }
        self.added = self.added.wrapping_add(1).max(1);
        let (udata, is_socket) = (self.added, kind.is_socket());
        self.watched[index] = Watched { udata, handle, generation, is_socket, ..Watched::default() };
        Ok(())
    }

    fn expect(&mut self, fd: BorrowedFd<'_>, _handle: u32, direction: Direction) {
        let filter = filter(direction);
        let watched = self.watched(fd);
        if watched.wanted & bit(filter) == 0 {
            watched.wanted |= bit(filter);
            let udata = watched.udata as usize;
            // What is ready already is an edge, too: the system looks when it adds the knote.
            self.changes.push(Event::add(filter, fd.as_raw_fd() as usize, udata));
        }
    }

    fn remove(&mut self, fd: BorrowedFd<'_>, _handle: u32) {
        let known = std::mem::take(self.watched(fd)).known;
        let ident = fd.as_raw_fd() as usize;
        let mut list = [Event::delete(Filter::Read, ident); 2];
        let mut count = 0;
        for filter in [Filter::Read, Filter::Write].into_iter().filter(|filter| known & bit(*filter) != 0) {
            list[count] = Event::delete(filter, ident);
            count += 1;
        }
        if count > 0
            && let Ok(waker) = self.inbox.waker().queue()
        {
            // At once, because the number may be another object's by the next wait. The answers are receipts, which
            // leave the events where they are; a knote that was not there is as good as gone.
            let _ = waker.queue().call(&list[..count], &mut self.events, count, Some(Duration::ZERO));
        }
    }

    fn wait(&mut self, timeout: Option<Duration>, mut report: impl FnMut(Report)) -> io::Result<()> {
        let watched = &mut self.watched;
        self.changes.retain(|change| {
            let watched = &mut watched[change.ident()];
            let current = watched.udata as usize == change.udata();
            if current && let Some(filter) = change.filter() {
                watched.known |= bit(filter);
            }
            current
        });
        let waker = self.inbox.waker().queue()?;
        // A change that the system refuses is answered by an event: there is room for all of them.
        let room = self.room.max(self.changes.len());
        match waker.queue().call(&self.changes, &mut self.events, room, timeout) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
            // The changes are made, interrupted or not.
            _ => clear(&mut self.changes, self.room),
        }
        for event in &self.events {
            if waker.hears(event) {
                continue;
            }
            let (Some(filter @ (Filter::Read | Filter::Write)), Some(watched)) =
                (event.filter(), watched.get_mut(event.ident()))
            else {
                continue;
            };
            if watched.udata as usize != event.udata() {
                continue; // of a knote that was deleted after the event was queued
            }
            match event.receipt() {
                // Not an edge, but an answer: it cannot be watched. The operation learns that when it is tried again.
                Some(0) => continue,
                Some(errno) => {
                    watched.wanted &= !bit(filter);
                    watched.known &= !bit(filter);
                    watched.error = errno;
                }
                None => {
                    if event.is_end() && watched.is_socket && event.notes() != 0 {
                        watched.error = event.notes() as i32;
                    }
                    if filter == Filter::Read {
                        watched.unread = event.data().clamp(0, u32::MAX.into()) as u32;
                    }
                }
            }
            report(Report {
                handle: watched.handle,
                generation: watched.generation,
                readable: filter == Filter::Read,
                writable: filter == Filter::Write,
                special: event.is_end(),
            });
        }
        clear(&mut self.events, self.room);
        Ok(())
    }

    fn waitable(&self) -> io::Result<BorrowedFd<'_>> {
        // libkqueue's queue is no descriptor that others could wait for.
        if cfg!(anyport_libkqueue) { Err(not_waitable()) } else { Ok(self.inbox.waker().queue()?.queue().as_fd()) }
    }

    fn consume(&mut self, fd: RawFd, n: usize) -> bool {
        let watched = self.watched(fd);
        watched.unread = watched.unread.saturating_sub(n.try_into().unwrap_or(u32::MAX));
        // More must be there behind a mark of urgent data, which a read does not cross, and which this system tells in
        // no other way.
        watched.unread == 0
    }

    fn take_error(&mut self, fd: BorrowedFd<'_>) -> Option<i32> {
        let error = std::mem::take(&mut self.watched(fd).error);
        (error != 0).then_some(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{PipeReader, PipeWriter, Write};
    use std::os::fd::AsFd;

    const TIME: Option<Duration> = Some(Duration::from_secs(10));

    fn selector() -> (Kqueue, Arc<Inbox>) {
        let inbox = Inbox::new().expect("an inbox");
        (Kqueue::new(8, &inbox).expect("a kqueue"), inbox)
    }

    /// A pipe whose reading end was added as this handle, and is expected to become readable.
    fn watched(kqueue: &mut Kqueue, handle: u32) -> (PipeReader, PipeWriter) {
        let (reader, writer) = io::pipe().expect("a pipe");
        kqueue.add(reader.as_fd(), Kind::Pipe, handle, 70 + handle).expect("add");
        kqueue.expect(reader.as_fd(), handle, Direction::Read);
        (reader, writer)
    }

    /// Handle, generation and direction of what one wait reports.
    fn wait(kqueue: &mut Kqueue, timeout: Option<Duration>) -> Vec<(u32, u32, bool)> {
        let mut reports = Vec::new();
        let report = |report: Report| {
            assert_ne!(report.readable, report.writable, "a knote is of one direction");
            reports.push((report.handle, report.generation, report.writable));
        };
        kqueue.wait(timeout, report).expect("wait");
        reports
    }

    fn look(kqueue: &mut Kqueue) -> Vec<(u32, u32, bool)> {
        wait(kqueue, Some(Duration::ZERO))
    }

    /// Deletes the knote of what is read from `fd`; false: there was none.
    fn had_knote(kqueue: &mut Kqueue, fd: BorrowedFd<'_>) -> bool {
        let waker = kqueue.inbox.waker().queue().expect("it was made");
        let delete = Event::delete(Filter::Read, fd.as_raw_fd() as usize);
        waker.queue().call(&[delete], &mut kqueue.events, 1, TIME).expect("kevent");
        kqueue.events[0].receipt() == Some(0)
    }

    #[test]
    fn a_change_rides_along_with_the_wait_and_is_made_once() {
        let (mut kqueue, _inbox) = selector();
        let (reader, mut writer) = watched(&mut kqueue, 3);
        writer.write_all(b"1").expect("write");
        assert_eq!(kqueue.changes.len(), 1);
        assert_eq!(wait(&mut kqueue, TIME), [(3, 73, false)], "the call that makes the change reports what it finds");
        for _ in 0..3 {
            kqueue.expect(reader.as_fd(), 3, Direction::Read);
            assert_eq!(kqueue.changes.len(), 0, "steady state tells the system nothing");
            writer.write_all(b"1").expect("write");
            assert_eq!(wait(&mut kqueue, TIME), [(3, 73, false)]);
        }
        kqueue.expect(reader.as_fd(), 3, Direction::Write);
        assert_eq!(kqueue.changes.len(), 1, "the other direction is a knote of its own");
        assert!(had_knote(&mut kqueue, reader.as_fd()));
    }

    #[test]
    fn an_event_of_the_numbers_last_owner_is_nobodys() {
        let (mut kqueue, _inbox) = selector();
        let (reader, mut writer) = watched(&mut kqueue, 3);
        assert_eq!(look(&mut kqueue), []);
        // The knote of the old owner was left behind, and has an event.
        writer.write_all(b"1").expect("write");
        kqueue.add(reader.as_fd(), Kind::Pipe, 3, 73).expect("the same handle and generation, even");
        assert_eq!(look(&mut kqueue), []);
        kqueue.expect(reader.as_fd(), 3, Direction::Read);
        writer.write_all(b"2").expect("write");
        assert_eq!(wait(&mut kqueue, TIME), [(3, 73, false)]);
    }

    #[test]
    fn a_change_that_is_no_longer_wanted_is_not_made() {
        let (mut kqueue, _inbox) = selector();
        let (reader, mut writer) = watched(&mut kqueue, 3);
        kqueue.remove(reader.as_fd(), 3);
        writer.write_all(b"1").expect("write");
        assert_eq!(look(&mut kqueue), []);
        assert!(!had_knote(&mut kqueue, reader.as_fd()));
    }

    #[test]
    fn a_deleted_knote_takes_its_event_with_it_and_leaves_the_others() {
        let (mut kqueue, _inbox) = selector();
        let (reader, mut writer) = watched(&mut kqueue, 3);
        let (_other, mut to_other) = watched(&mut kqueue, 4);
        assert_eq!(look(&mut kqueue), []);
        writer.write_all(b"1").expect("write");
        to_other.write_all(b"1").expect("write");
        kqueue.remove(reader.as_fd(), 3);
        assert_eq!(wait(&mut kqueue, TIME), [(4, 74, false)]);
        assert!(!had_knote(&mut kqueue, reader.as_fd()));
    }

    #[test]
    fn a_refused_change_is_an_answer_that_its_operation_learns() {
        let (mut kqueue, _inbox) = selector();
        let (_other, mut to_other) = watched(&mut kqueue, 4);
        to_other.write_all(b"1").expect("write");
        // Refused because the number is closed by the time the system hears of it; and nobody takes one so high.
        let (reader, _writer) = io::pipe().expect("a pipe");
        let reader = rustix::io::fcntl_dupfd_cloexec(&reader, 900).expect("a high number");
        kqueue.add(reader.as_fd(), Kind::Pipe, 3, 73).expect("add");
        kqueue.expect(reader.as_fd(), 3, Direction::Read);
        let number = reader.as_raw_fd();
        drop(reader);
        let mut reports = Vec::new();
        while reports.len() < 2 {
            reports.extend(wait(&mut kqueue, TIME)); // at once, or the answer first
        }
        assert_eq!(reports, [(3, 73, false), (4, 74, false)], "3, so that it is tried again; and 4 was not lost");
        // SAFETY: a number that is only looked up.
        let closed = unsafe { BorrowedFd::borrow_raw(number) };
        assert_eq!(kqueue.take_error(closed), Some(libc::EBADF));
        assert_eq!(kqueue.take_error(closed), None, "once");
        assert_eq!(kqueue.watched(closed).wanted, 0, "the next operation asks for it again");
    }

    #[test]
    fn a_short_read_is_the_last_when_it_has_all_that_the_edge_told_of() {
        let (mut kqueue, _inbox) = selector();
        let (reader, mut writer) = watched(&mut kqueue, 3);
        writer.write_all(b"beforebehind").expect("write");
        wait(&mut kqueue, TIME);
        assert!(!kqueue.consume(reader.as_raw_fd(), 6), "as a read that stops at a mark of urgent data");
        assert!(kqueue.consume(reader.as_raw_fd(), 6));
        assert!(kqueue.consume(reader.as_raw_fd(), 6), "what came after the edge has an edge of its own");
    }

    #[test]
    fn a_call_wakes_the_wait_and_is_no_report() {
        let (mut kqueue, inbox) = selector();
        let (_reader, mut writer) = watched(&mut kqueue, 3);
        inbox.waker().wake();
        assert_eq!(wait(&mut kqueue, None), []);
        assert_eq!(look(&mut kqueue), [], "a call is taken up");
        inbox.waker().wake();
        writer.write_all(b"1").expect("write");
        assert_eq!(look(&mut kqueue), [(3, 73, false)]);
    }

    #[test]
    fn the_pipe_of_a_system_without_user_events_wakes_as_often_as_it_is_called() {
        use crate::sys::unix::kqueue::{Queue, QueueWaker};
        let waker = QueueWaker::over_pipe(Queue::new().expect("a queue")).expect("a pipe");
        let mut events = Vec::new();
        for calls in [1, 3, 100_000] {
            (0..calls).for_each(|_| waker.wake());
            waker.queue().call(&[], &mut events, 8, TIME).expect("kevent");
            assert_eq!(events.iter().map(|event| waker.hears(event)).collect::<Vec<_>>(), [true], "{calls} calls");
            waker.queue().call(&[], &mut events, 8, Some(Duration::ZERO)).expect("kevent");
            assert_eq!(events.len(), 0, "{calls} calls");
        }
    }
}
