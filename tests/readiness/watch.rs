//! A poller with its events, and the few ways in which the tests wait.
//!
//! Nothing here depends on how fast the machine is: what must come is waited for, long; what must not come is looked
//! for where it would be already, without waiting.

use std::io;
use std::ops::Deref;
use std::time::Duration;

use anyport::Backend;
use anyport::poller::{Event, Events, Poller};

/// How long a test waits for what must come.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) fn open(backend: Backend) -> io::Result<Poller> {
    Poller::builder().backend(backend).build()
}

/// Whether the backend tells priority data.
pub(crate) fn tells_priority(backend: Backend) -> bool {
    backend != Backend::Kqueue
}

pub(crate) fn poller(backend: Backend) -> Watch {
    Watch { poller: open(backend).expect("open a poller"), events: Events::new() }
}

/// A poller and room for its events.
pub(crate) struct Watch {
    pub(crate) poller: Poller,
    pub(crate) events: Events,
}

impl Deref for Watch {
    type Target = Poller;

    fn deref(&self) -> &Poller {
        &self.poller
    }
}

impl Watch {
    /// Waits for events; panics when none comes.
    pub(crate) fn some(&mut self) -> Vec<Event> {
        let count = self.poller.wait(&mut self.events, Some(PATIENCE)).expect("wait");
        assert!(count > 0, "no event within {PATIENCE:?}");
        assert_eq!(count, self.events.len());
        self.events.iter().collect()
    }

    /// Waits for exactly one event.
    pub(crate) fn one(&mut self) -> Event {
        let events = self.some();
        assert_eq!(events.len(), 1, "{events:?}");
        events[0]
    }

    /// Waits until the source `key` is as `is` says. (Some things are told in two events: first the data, then the end.)
    pub(crate) fn until(&mut self, key: usize, is: fn(&Event) -> bool) -> Event {
        loop {
            for event in self.some() {
                assert_eq!(event.key, key, "{event:?}");
                if is(&event) {
                    return event;
                }
            }
        }
    }

    /// Waits until `key` is reported; others may be.
    pub(crate) fn until_key(&mut self, key: usize) {
        while !self.some().iter().any(|event| event.key == key) {}
    }

    /// What is there already.
    pub(crate) fn look(&mut self) -> Vec<Event> {
        self.poller.wait(&mut self.events, Some(Duration::ZERO)).expect("look");
        self.events.iter().collect()
    }

    /// Nothing is there.
    pub(crate) fn silent(&mut self) {
        let events = self.look();
        assert!(events.is_empty(), "{events:?}");
    }
}

/// The keys of events, in order.
pub(crate) fn keys(events: &[Event]) -> Vec<usize> {
    let mut keys: Vec<_> = events.iter().map(|event| event.key).collect();
    keys.sort();
    keys
}
