//! Wakes who sleeps on a kqueue: a user event of that queue (`EVFILT_USER`), or where the system has none (NetBSD
//! before 10, OpenBSD before 7.8) a pipe that the queue watches.
//!
//! So the queue is made here, before the selector that waits on it, and lives as long as the last poster: a late wake
//! finds a queue that nobody waits on, never a stranger's descriptor.

use super::{Event, Filter, Queue};
use crate::sys::unix::waker::Descriptor;
use std::io;
use std::os::fd::AsRawFd;

/// The user event's number. No other user event is added to the queue.
const CALL: usize = 0;

/// A queue that can be woken.
pub(crate) struct QueueWaker {
    queue: Queue,
    pipe: Option<Descriptor>,
}

impl QueueWaker {
    pub(crate) fn new() -> io::Result<QueueWaker> {
        let queue = Queue::new()?;
        match queue.make(Event::add(Filter::User, CALL, 0)) {
            Ok(()) => Ok(QueueWaker { queue, pipe: None }),
            Err(_) => QueueWaker::over_pipe(queue),
        }
    }

    /// As on a system without user events.
    pub(crate) fn over_pipe(queue: Queue) -> io::Result<QueueWaker> {
        let pipe = Descriptor::new()?;
        queue.make(Event::add(Filter::Read, pipe.fd().as_raw_fd() as usize, 0))?;
        Ok(QueueWaker { queue, pipe: Some(pipe) })
    }

    pub(crate) fn wake(&self) {
        match &self.pipe {
            Some(pipe) => pipe.wake(),
            // Fails only when the system has no memory. What the wake was to announce is in the inbox all the same.
            None => drop(self.queue.make(Event::trigger(CALL))),
        }
    }

    /// The queue, for the selector that waits on it.
    pub(crate) fn queue(&self) -> &Queue {
        &self.queue
    }

    /// True when the event is a call of [`wake`](Self::wake), which is taken up with it.
    pub(crate) fn hears(&self, event: &Event) -> bool {
        match &self.pipe {
            None => event.filter() == Some(Filter::User),
            Some(pipe) if event.ident() == pipe.fd().as_raw_fd() as usize => {
                // The edge was taken up with the event; but a pipe that ran full would give no more edges.
                pipe.drain();
                true
            }
            Some(_) => false,
        }
    }
}

pub(crate) use imp::Waker;

#[cfg(not(anyport_libkqueue))]
mod imp {
    use super::QueueWaker;
    use std::io;
    use std::os::fd::{AsFd, BorrowedFd};
    use std::time::Duration;

    /// The waker of all backends: a queue is a descriptor that becomes readable, too.
    pub(crate) struct Waker(QueueWaker);

    impl Waker {
        pub(crate) fn new() -> io::Result<Waker> {
            Ok(Waker(QueueWaker::new()?))
        }

        pub(crate) fn wake(&self) {
            self.0.wake();
        }

        /// Takes the calls up, for a selector that reports levels.
        pub(crate) fn drain(&self) {
            let mut events = Vec::with_capacity(1);
            // A call that could not be taken up is reported again.
            let _ = self.0.queue().call(&[], &mut events, 1, Some(Duration::ZERO));
            for event in &events {
                self.0.hears(event);
            }
        }

        pub(crate) fn fd(&self) -> BorrowedFd<'_> {
            self.0.queue().as_fd()
        }

        /// For the selector that waits on the queue itself.
        ///
        /// # Errors
        /// None here.
        pub(crate) fn queue(&self) -> io::Result<&QueueWaker> {
            Ok(&self.0)
        }
    }
}

#[cfg(anyport_libkqueue)]
mod imp {
    use super::QueueWaker;
    use crate::sys::unix::waker::Descriptor;
    use std::io;
    use std::os::fd::BorrowedFd;
    use std::sync::OnceLock;

    /// libkqueue's queue is no descriptor that others could wait for. They have an eventfd, as in every build for
    /// Linux; the queue is made when the kqueue backend asks for it.
    pub(crate) struct Waker {
        descriptor: Descriptor,
        queue: OnceLock<QueueWaker>,
    }

    impl Waker {
        pub(crate) fn new() -> io::Result<Waker> {
            Ok(Waker { descriptor: Descriptor::new()?, queue: OnceLock::new() })
        }

        pub(crate) fn wake(&self) {
            match self.queue.get() {
                Some(queue) => queue.wake(),
                None => self.descriptor.wake(),
            }
        }

        pub(crate) fn drain(&self) {
            self.descriptor.drain();
        }

        pub(crate) fn fd(&self) -> BorrowedFd<'_> {
            self.descriptor.fd()
        }

        pub(crate) fn queue(&self) -> io::Result<&QueueWaker> {
            if self.queue.get().is_none() {
                let made = QueueWaker::new()?;
                let _ = self.queue.set(made);
            }
            Ok(self.queue.get().expect("it was just made"))
        }
    }
}
