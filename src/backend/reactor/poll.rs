//! The poll(2) selector: what every Unix has. It shows what epoll is for: each wait hands the whole
//! list over, so its cost grows with the waiting handles.
//!
//! poll reports levels; the reactor wants edges. So a direction is asked for only while an operation
//! waits for it, and no longer once it was reported. An entry that nobody waits for has its
//! descriptor negated, because poll would report its hang-up for ever.

use super::{Report, Selector};
use crate::handle::Kind;
use crate::op::raw::Direction;
use crate::poster::Inbox;
use crate::slot::NONE;
use crate::sys::unix::poll;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::sync::Arc;
use std::time::Duration;

/// The list, and where each handle is in it.
pub(crate) struct Poll {
    /// The first is the waker's.
    list: Vec<libc::pollfd>,
    /// Index and generation of each entry's handle.
    owners: Vec<(u32, u32)>,
    /// By handle index: its place in the list, or NONE.
    places: Vec<u32>,
    inbox: Arc<Inbox>,
}

impl Poll {
    fn set(&mut self, place: usize, events: libc::c_short) {
        let entry = &mut self.list[place];
        let fd = if entry.fd < 0 { !entry.fd } else { entry.fd };
        entry.events = events;
        entry.fd = if events == 0 { !fd } else { fd };
    }
}

impl Selector for Poll {
    const CALL: &'static str = poll::CALL;

    fn new(_events: usize, inbox: &Arc<Inbox>) -> io::Result<Poll> {
        let waker = libc::pollfd { fd: inbox.waker().fd().as_raw_fd(), events: libc::POLLIN, revents: 0 };
        Ok(Poll { list: vec![waker], owners: vec![(NONE, 0)], places: Vec::new(), inbox: inbox.clone() })
    }

    fn add(&mut self, fd: BorrowedFd<'_>, _kind: Kind, handle: u32, generation: u32) -> io::Result<()> {
        let place = self.list.len() as u32;
        self.list.push(libc::pollfd { fd: !fd.as_raw_fd(), events: 0, revents: 0 });
        self.owners.push((handle, generation));
        if self.places.len() <= handle as usize {
            self.places.resize(handle as usize + 1, NONE);
        }
        self.places[handle as usize] = place;
        Ok(())
    }

    fn expect(&mut self, _fd: BorrowedFd<'_>, handle: u32, direction: Direction) {
        let place = self.places[handle as usize] as usize;
        let more = match direction {
            Direction::Read => libc::POLLIN,
            Direction::Write => libc::POLLOUT,
        };
        self.set(place, self.list[place].events | more);
    }

    fn remove(&mut self, _fd: BorrowedFd<'_>, handle: u32) {
        let place = std::mem::replace(&mut self.places[handle as usize], NONE);
        self.list.swap_remove(place as usize);
        self.owners.swap_remove(place as usize);
        if let Some(&(moved, _)) = self.owners.get(place as usize) {
            self.places[moved as usize] = place;
        }
    }

    fn wait(&mut self, timeout: Option<Duration>, mut report: impl FnMut(Report)) -> io::Result<()> {
        let mut left = match poll::wait(&mut self.list, timeout) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            count => count?,
        };
        if left > 0 && self.list[0].revents != 0 {
            self.inbox.waker().drain();
            left -= 1;
        }
        for place in 1..self.list.len() {
            if left == 0 {
                break;
            }
            let flags = std::mem::take(&mut self.list[place].revents);
            if flags == 0 {
                continue;
            }
            left -= 1;
            let (handle, generation) = self.owners[place];
            let broken = flags & (libc::POLLHUP | libc::POLLERR | libc::POLLNVAL) != 0;
            let readable = broken || flags & libc::POLLIN != 0;
            let writable = broken || flags & libc::POLLOUT != 0;
            let reported = if readable { libc::POLLIN } else { 0 } | if writable { libc::POLLOUT } else { 0 };
            self.set(place, self.list[place].events & !reported);
            // What a short read left behind is reported again, so short reads can always be trusted.
            report(Report { handle, generation, readable, writable, special: false });
        }
        Ok(())
    }
}
