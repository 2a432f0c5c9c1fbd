//! What wakes a receiver in another thread on Linux: an eventfd that epoll watches.

use std::io;
use std::os::fd::OwnedFd;

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, Event, EventData, EventFlags};
use rustix::event::{EventfdFlags, eventfd};
use rustix::io::{Errno, write};

/// The contestant whose channel has it.
pub const CHANNEL: &str = "by hand, mpsc + eventfd";

/// Rings on one side and is slept by on the other.
pub struct Bell {
    eventfd: OwnedFd,
    epoll: OwnedFd,
}

impl Bell {
    /// A new one.
    pub fn new() -> io::Result<Bell> {
        let eventfd = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        // Edge-triggered: the counter never has to be read.
        epoll::add(&epoll, &eventfd, EventData::new_u64(0), EventFlags::IN | EventFlags::ET)?;
        Ok(Bell { eventfd, epoll })
    }

    /// Wakes who sleeps, or who sleeps next.
    pub fn ring(&self) -> io::Result<()> {
        write(&self.eventfd, &1_u64.to_ne_bytes())?;
        Ok(())
    }

    /// Sleeps until it rings, or for no reason. `events` has room for one.
    pub fn sleep(&self, events: &mut Vec<Event>) -> io::Result<()> {
        events.clear();
        match epoll::wait(&self.epoll, spare_capacity(events), None) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}
