//! The crate `mio`, which is edge-triggered always.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::Duration;

use anyport::Backend;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};

use super::{ACTIVE, How, Watcher};

pub(super) struct Mio {
    poll: Poll,
    events: Events,
}

impl Watcher for Mio {
    const NAME: &'static str = "mio";

    fn new(_: Option<Backend>) -> io::Result<Mio> {
        Ok(Mio { poll: Poll::new()?, events: Events::with_capacity(ACTIVE) })
    }

    fn add(&mut self, source: BorrowedFd<'_>, key: usize, how: How) -> io::Result<()> {
        assert_eq!(how, How::Edge);
        self.poll.registry().register(&mut SourceFd(&source.as_raw_fd()), Token(key), Interest::READABLE)
    }

    fn modify(&mut self, source: BorrowedFd<'_>, key: usize, how: How) -> io::Result<()> {
        assert_eq!(how, How::Edge);
        self.poll.registry().reregister(&mut SourceFd(&source.as_raw_fd()), Token(key), Interest::READABLE)
    }

    fn delete(&mut self, source: BorrowedFd<'_>) -> io::Result<()> {
        self.poll.registry().deregister(&mut SourceFd(&source.as_raw_fd()))
    }

    fn wait(&mut self, timeout: Duration, ready: &mut Vec<usize>) -> io::Result<()> {
        self.poll.poll(&mut self.events, Some(timeout))?;
        ready.clear();
        ready.extend(self.events.iter().filter(|event| event.is_readable()).map(|event| event.token().0));
        Ok(())
    }
}
