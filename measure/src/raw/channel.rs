//! Posts as one would write them by hand: a channel, and an eventfd that epoll watches. The eventfd is written only
//! when the receiver has not been told already.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::event::{EventfdFlags, eventfd};
use rustix::io::{Errno, write};

/// The contestant.
pub const NAME: &str = "by hand, mpsc + eventfd";

/// The receiving end, which sleeps in epoll.
pub struct Inbox {
    values: mpsc::Receiver<u64>,
    bell: Arc<Bell>,
    epoll: OwnedFd,
}

/// The sending end.
#[derive(Clone)]
pub struct Outbox {
    values: mpsc::Sender<u64>,
    bell: Arc<Bell>,
}

struct Bell {
    eventfd: OwnedFd,
    rung: AtomicBool,
}

/// A new pair.
pub fn inbox() -> io::Result<(Outbox, Inbox)> {
    let bell = Arc::new(Bell {
        eventfd: eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?,
        rung: AtomicBool::new(false),
    });
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    // Edge-triggered: the counter never has to be read.
    let interest = EventFlags::IN | EventFlags::ET;
    epoll::add(&epoll, &bell.eventfd, EventData::new_u64(0), interest)?;
    let (send, receive) = mpsc::channel();
    Ok((Outbox { values: send, bell: bell.clone() }, Inbox { values: receive, bell, epoll }))
}

impl Outbox {
    /// Sends a value and wakes the receiver if it might sleep.
    pub fn post(&self, value: u64) -> io::Result<()> {
        let gone = |_| io::Error::from(io::ErrorKind::BrokenPipe);
        self.values.send(value).map_err(gone)?;
        if !self.bell.rung.swap(true, Ordering::SeqCst) {
            write(&self.bell.eventfd, &1_u64.to_ne_bytes())?;
        }
        Ok(())
    }
}

impl Inbox {
    /// Takes what comes, sleeping when there is nothing, until `take` says that it was the last.
    pub fn receive(&self, mut take: impl FnMut(u64) -> bool) -> io::Result<()> {
        loop {
            while let Ok(value) = self.values.try_recv() {
                if take(value) {
                    return Ok(());
                }
            }
            // What is sent after this rings the bell; what was sent before is found by the look that follows.
            self.bell.rung.store(false, Ordering::SeqCst);
            match self.values.try_recv() {
                Err(_) => self.sleep()?,
                Ok(value) => {
                    self.bell.rung.store(true, Ordering::SeqCst);
                    if take(value) {
                        return Ok(());
                    }
                }
            }
        }
    }

    fn sleep(&self) -> io::Result<()> {
        let mut events = Vec::with_capacity(1);
        match epoll::wait(&self.epoll, spare_capacity(&mut events), None) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}
