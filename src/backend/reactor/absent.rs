//! In place of the kqueue selector, on a system without kqueue(2): one that cannot be opened.

use super::{Report, Selector};
use crate::handle::Kind;
use crate::op::raw::Direction;
use crate::poster::Inbox;
use std::convert::Infallible;
use std::io;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::time::Duration;

pub(crate) const HERE: bool = false;

/// Has no value.
pub(crate) struct Kqueue(Infallible);

impl Selector for Kqueue {
    const CALL: &'static str = "kevent";

    fn new(_events: usize, _inbox: &Arc<Inbox>) -> io::Result<Kqueue> {
        Err(io::Error::new(io::ErrorKind::Unsupported, "this system has no kqueue"))
    }

    fn add(&mut self, _fd: BorrowedFd<'_>, _kind: Kind, _handle: u32, _generation: u32) -> io::Result<()> {
        match self.0 {}
    }

    fn expect(&mut self, _fd: BorrowedFd<'_>, _handle: u32, _direction: Direction) {
        match self.0 {}
    }

    fn remove(&mut self, _fd: BorrowedFd<'_>, _handle: u32) {
        match self.0 {}
    }

    fn wait(&mut self, _timeout: Option<Duration>, _report: impl FnMut(Report)) -> io::Result<()> {
        match self.0 {}
    }
}
