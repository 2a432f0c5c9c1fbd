//! The poller of this library.

use std::io;
use std::time::Duration;

use anyport::Backend;
use anyport::poller::{Events, Interest, Mode, Poller};

use super::{ACTIVE, How, Source, Watcher, read_all};

pub(super) struct Own {
    poller: Poller,
    events: Events,
}

impl From<How> for Mode {
    fn from(how: How) -> Mode {
        match how {
            How::Oneshot => Mode::Oneshot,
            How::Level => Mode::Level,
            How::Edge => Mode::Edge,
        }
    }
}

impl Watcher for Own {
    const NAME: &'static str = "anyport";

    fn new(backend: Option<Backend>) -> io::Result<Own> {
        let builder = backend.into_iter().fold(Poller::builder(), |builder, backend| builder.backend(backend));
        Ok(Own { poller: builder.build()?, events: Events::with_capacity(ACTIVE) })
    }

    fn add(&mut self, source: Source<'_>, key: usize, how: How) -> io::Result<()> {
        self.poller.add(source, key, Interest::READABLE, how.into())
    }

    fn modify(&mut self, source: Source<'_>, key: usize, how: How) -> io::Result<()> {
        self.poller.modify(source, key, Interest::READABLE, how.into())
    }

    fn delete(&mut self, source: Source<'_>) -> io::Result<()> {
        self.poller.delete(source)
    }

    fn wait(&mut self, timeout: Duration, ready: &mut Vec<usize>) -> io::Result<()> {
        self.poller.wait(&mut self.events, Some(timeout))?;
        ready.clear();
        ready.extend(self.events.iter().filter(|event| event.is_readable()).map(|event| event.key));
        Ok(())
    }

    fn drain(&mut self, source: Source<'_>) -> io::Result<()> {
        read_all(source)?;
        self.poller.rearm(source, Interest::READABLE)
    }
}
