//! Bare epoll.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::time::Duration;

use anyport::Backend;
use rustix::buffer::spare_capacity;
use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};

use super::{ACTIVE, How, Watcher};

pub(super) struct ByHand {
    epoll: OwnedFd,
    events: Vec<epoll::Event>,
}

fn flags(how: How) -> EventFlags {
    EventFlags::IN
        | EventFlags::RDHUP
        | match how {
            How::Oneshot => EventFlags::ONESHOT,
            How::Level => EventFlags::empty(),
            How::Edge => EventFlags::ET,
        }
}

impl Watcher for ByHand {
    const NAME: &'static str = "by hand, epoll";

    fn new(_: Option<Backend>) -> io::Result<ByHand> {
        Ok(ByHand { epoll: epoll::create(CreateFlags::CLOEXEC)?, events: Vec::with_capacity(ACTIVE) })
    }

    fn add(&mut self, source: BorrowedFd<'_>, key: usize, how: How) -> io::Result<()> {
        Ok(epoll::add(&self.epoll, source, EventData::new_u64(key as u64), flags(how))?)
    }

    fn modify(&mut self, source: BorrowedFd<'_>, key: usize, how: How) -> io::Result<()> {
        Ok(epoll::modify(&self.epoll, source, EventData::new_u64(key as u64), flags(how))?)
    }

    fn delete(&mut self, source: BorrowedFd<'_>) -> io::Result<()> {
        Ok(epoll::delete(&self.epoll, source)?)
    }

    fn wait(&mut self, timeout: Duration, ready: &mut Vec<usize>) -> io::Result<()> {
        let timeout = Timespec { tv_sec: timeout.as_secs() as i64, tv_nsec: timeout.subsec_nanos().into() };
        self.events.clear();
        epoll::wait(&self.epoll, spare_capacity(&mut self.events), Some(&timeout))?;
        ready.clear();
        let readable = self.events.iter().filter(|event| { event.flags }.contains(EventFlags::IN));
        ready.extend(readable.map(|event| { event.data }.u64() as usize));
        Ok(())
    }
}
