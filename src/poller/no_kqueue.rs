//! In place of the poller on kqueue, on a system without kqueue(2): one that cannot be opened.

use super::queue::{Registration, Woken};
use super::source::Raw;
use super::{Event, Interest};
use std::convert::Infallible;
use std::io;
use std::os::fd::BorrowedFd;
use std::time::Duration;

pub(crate) const HERE: bool = false;

/// Has no value.
pub(crate) struct Kqueue(Infallible);

impl Kqueue {
    pub(crate) fn new() -> io::Result<Kqueue> {
        Err(io::Error::new(io::ErrorKind::Unsupported, "this system has no kqueue"))
    }

    pub(crate) fn add(&self, _source: Raw<'_>, _registration: Registration) -> io::Result<()> {
        match self.0 {}
    }

    pub(crate) fn modify(&self, _source: Raw<'_>, _registration: Registration) -> io::Result<()> {
        match self.0 {}
    }

    pub(crate) fn delete(&self, _source: Raw<'_>) -> io::Result<()> {
        match self.0 {}
    }

    pub(crate) fn rearm(&self, _source: Raw<'_>, _directions: Interest) -> io::Result<()> {
        match self.0 {}
    }

    pub(crate) fn wait(&self, _events: &mut Vec<Event>, _room: usize, _timeout: Option<Duration>) -> io::Result<Woken> {
        match self.0 {}
    }

    pub(crate) fn call(&self) {
        match self.0 {}
    }

    pub(crate) fn waitable(&self) -> io::Result<BorrowedFd<'_>> {
        match self.0 {}
    }
}
