//! The crate `polling`.

use std::io;
use std::num::NonZeroUsize;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::Duration;

use anyport::Backend;
use polling::{Event, Events, PollMode, Poller};

use super::{ACTIVE, How, Watcher};

pub(super) struct Polling {
    poller: Poller,
    events: Events,
}

impl From<How> for PollMode {
    fn from(how: How) -> PollMode {
        match how {
            How::Oneshot => PollMode::Oneshot,
            How::Level => PollMode::Level,
            How::Edge => PollMode::Edge,
        }
    }
}

impl Watcher for Polling {
    const NAME: &'static str = "polling";

    fn new(_: Option<Backend>) -> io::Result<Polling> {
        let room = NonZeroUsize::new(ACTIVE).expect("some are active");
        Ok(Polling { poller: Poller::new()?, events: Events::with_capacity(room) })
    }

    fn add(&mut self, source: BorrowedFd<'_>, key: usize, how: How) -> io::Result<()> {
        // SAFETY: the benchmark keeps its sockets open until the poller is gone.
        unsafe { self.poller.add_with_mode(source.as_raw_fd(), Event::readable(key), how.into()) }
    }

    fn modify(&mut self, source: BorrowedFd<'_>, key: usize, how: How) -> io::Result<()> {
        self.poller.modify_with_mode(source, Event::readable(key), how.into())
    }

    fn delete(&mut self, source: BorrowedFd<'_>) -> io::Result<()> {
        self.poller.delete(source)
    }

    fn wait(&mut self, timeout: Duration, ready: &mut Vec<usize>) -> io::Result<()> {
        self.events.clear();
        self.poller.wait(&mut self.events, Some(timeout))?;
        ready.clear();
        ready.extend(self.events.iter().filter(|event| event.readable).map(|event| event.key));
        Ok(())
    }
}
