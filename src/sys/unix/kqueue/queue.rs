//! kqueue(2) as the reactor's selector, the waker and the poller use it: a queue, and the one call that both tells it
//! what to watch and waits.
//!
//! A *knote* is named by its filter and what that watches (a descriptor, a process, a number); it reports under the
//! value that it was added with. The structure differs a little from system to system; the names do not.

#![allow(clippy::unnecessary_cast)] // the fields' types differ from system to system

use super::system;
use std::io;
use std::mem::ManuallyDrop;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::time::Duration;

/// No wait is longer: some systems refuse times of years. Who waits longer waits again.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// What a knote watches.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Filter {
    /// A descriptor with something to read, or at its end.
    Read,
    /// A descriptor with room to write, or whose reader is gone.
    Write,
    /// A number that a thread may call by [`Event::trigger`].
    User,
    /// A child process that ends: the filter of child exit, for when there is such an operation.
    Process,
    /// A signal that was sent to the process, handled or ignored.
    Signal,
}

impl Filter {
    pub(crate) const ALL: [Filter; 5] = [Filter::Read, Filter::Write, Filter::User, Filter::Process, Filter::Signal];
}

/// How often a knote reports.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Trigger {
    /// At each call while the condition holds.
    Level,
    /// When it begins to hold, and when more comes (`EV_CLEAR`).
    Edge,
    /// Once, and is gone with that (`EV_ONESHOT`).
    Once,
}

const FILTERS: [(Filter, i32); 5] = [
    (Filter::Read, system::EVFILT_READ as i32),
    (Filter::Write, system::EVFILT_WRITE as i32),
    (Filter::User, system::EVFILT_USER as i32),
    (Filter::Process, system::EVFILT_PROC as i32),
    (Filter::Signal, system::EVFILT_SIGNAL as i32),
];

/// A change to a queue, or what it reports.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub(crate) struct Event(system::kevent);

// SAFETY: plain numbers; nobody follows the pointer among them.
unsafe impl Send for Event {}

impl Event {
    fn change(filter: Filter, ident: usize, flags: u32, udata: usize) -> Event {
        // SAFETY: a plain C structure for which all-zero is a value.
        let mut event: system::kevent = unsafe { std::mem::zeroed() };
        event.ident = ident as _;
        event.filter = FILTERS[filter as usize].1 as _;
        event.flags = flags as _;
        event.udata = udata as _;
        Event(event)
    }

    /// Watch from now on, and report each edge under `udata` (`EV_ADD`, `EV_CLEAR`); of a process its end
    /// (`NOTE_EXIT`).
    pub(crate) fn add(filter: Filter, ident: usize, udata: usize) -> Event {
        let mut event = Event::change(filter, ident, (system::EV_ADD | system::EV_CLEAR) as u32, udata);
        if filter == Filter::Process {
            event.0.fflags = system::NOTE_EXIT as _;
        }
        event
    }

    /// Watch from now on, and report under `udata`; answered by a receipt. A knote that is there keeps its trigger.
    pub(crate) fn watch(filter: Filter, ident: usize, udata: usize, trigger: Trigger) -> Event {
        let mut event = Event::add(filter, ident, udata);
        let trigger = match trigger {
            Trigger::Level => 0,
            Trigger::Edge => system::EV_CLEAR as u32,
            Trigger::Once => system::EV_ONESHOT as u32,
        };
        event.0.flags = (system::EV_ADD as u32 | system::EV_RECEIPT as u32 | trigger) as _;
        event
    }

    /// Watch no longer; answered by a receipt (`EV_DELETE`, `EV_RECEIPT`).
    pub(crate) fn delete(filter: Filter, ident: usize) -> Event {
        Event::change(filter, ident, (system::EV_DELETE | system::EV_RECEIPT) as u32, 0)
    }

    /// Report the [`Filter::User`] knote (`NOTE_TRIGGER`).
    pub(crate) fn trigger(ident: usize) -> Event {
        let mut event = Event::change(Filter::User, ident, 0, 0);
        event.0.fflags = system::NOTE_TRIGGER as _;
        event
    }

    /// None: a filter that nothing here adds.
    pub(crate) fn filter(&self) -> Option<Filter> {
        let number = self.0.filter as i32;
        FILTERS.iter().find(|(_, known)| *known == number).map(|(filter, _)| *filter)
    }

    pub(crate) fn ident(&self) -> usize {
        self.0.ident as usize
    }

    /// The value that the knote was added with.
    pub(crate) fn udata(&self) -> usize {
        self.0.udata as usize
    }

    /// The answer to a change, and no event: 0, or why the system refused it (`EV_ERROR`).
    pub(crate) fn receipt(&self) -> Option<i32> {
        (self.0.flags as u32 & system::EV_ERROR as u32 != 0).then_some(self.0.data as i32)
    }

    /// The direction has ended: nothing more will arrive, or nobody will read (`EV_EOF`).
    pub(crate) fn is_end(&self) -> bool {
        self.0.flags as u32 & system::EV_EOF as u32 != 0
    }

    /// The filter's own flags; at the end of a socket's direction its pending error, or 0.
    pub(crate) fn notes(&self) -> u32 {
        self.0.fflags as u32
    }

    /// How much there is: bytes to read (of a listener: connections), bytes of room, a child's status.
    pub(crate) fn data(&self) -> i64 {
        self.0.data as i64
    }
}

/// A kernel queue. It is never a child process' (a fork inherits none), and closed on exec.
pub(crate) struct Queue {
    fd: ManuallyDrop<OwnedFd>,
    owner: u32,
}

impl Queue {
    /// # Errors
    /// The system's, from kqueue(2).
    pub(crate) fn new() -> io::Result<Queue> {
        // SAFETY: a call without pointers.
        let fd = unsafe { system::kqueue() };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the call has just made this descriptor, and nobody else has it.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        // No race with another thread's fork: its child does not get the queue.
        rustix::io::fcntl_setfd(&fd, rustix::io::FdFlags::CLOEXEC)?;
        Ok(Queue { fd: ManuallyDrop::new(fd), owner: std::process::id() })
    }

    /// kevent(2): makes the changes, then waits for at most `room` events, at most `timeout` (`None`: for ever), and
    /// leaves them in `events`. No event: the time is up. What the system answers to changes comes first, and then
    /// nothing is waited for; there must be room for as many answers as there are changes.
    ///
    /// # Errors
    /// The system's; `Interrupted` when a signal handler ran: the changes are made all the same.
    pub(crate) fn call(
        &self,
        changes: &[Event],
        events: &mut Vec<Event>,
        room: usize,
        timeout: Option<Duration>,
    ) -> io::Result<()> {
        events.clear();
        events.reserve(room);
        let time = timeout.map(|time| time.min(LONGEST)).map(|time| libc::timespec {
            tv_sec: time.as_secs() as libc::time_t,
            tv_nsec: time.subsec_nanos() as libc::c_long,
        });
        let time = time.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
        // SAFETY: both lists are valid for their lengths (an Event is a kevent), and the time lives in this frame.
        let result = unsafe {
            system::kevent(
                self.fd.as_raw_fd(),
                changes.as_ptr().cast(),
                changes.len() as _,
                events.as_mut_ptr().cast(),
                room as _,
                time,
            )
        };
        let Ok(count) = usize::try_from(result) else { return Err(io::Error::last_os_error()) };
        // SAFETY: the system has written that many events; they are plain data.
        unsafe { events.set_len(count) };
        Ok(())
    }

    /// Makes one change, at once.
    ///
    /// # Errors
    /// Why the system refused it.
    pub(crate) fn make(&self, change: Event) -> io::Result<()> {
        // Without room for an answer a refusal is the call's own error.
        self.call(&[change], &mut Vec::new(), 0, Some(Duration::ZERO))
    }
}

impl AsFd for Queue {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        // In a child process the number may be another object's by now.
        if std::process::id() == self.owner {
            // SAFETY: nobody uses it after this.
            unsafe { ManuallyDrop::drop(&mut self.fd) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_of_the_parent_process_is_not_closed() {
        for (owner, stays) in [(std::process::id(), false), (std::os::unix::process::parent_id(), true)] {
            // A high number, which no other test takes meanwhile.
            let made = Queue::new().expect("a queue");
            let fd = rustix::io::fcntl_dupfd_cloexec(&made, 950).expect("a high number");
            let number = fd.as_raw_fd();
            drop(Queue { fd: ManuallyDrop::new(fd), owner });
            // SAFETY: a call without pointers.
            let open = unsafe { libc::fcntl(number, libc::F_GETFD) } >= 0;
            assert_eq!(open, stays);
            if open {
                // SAFETY: the dropped queue has left it open, and nobody else owns it.
                drop(unsafe { OwnedFd::from_raw_fd(number) });
            }
        }
    }
}
