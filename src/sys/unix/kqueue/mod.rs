//! kqueue(2), of the system or of libkqueue: the queue, and how to wake who sleeps on it.

#[cfg(test)]
mod facts;
#[cfg(anyport_libkqueue)]
mod libkqueue;
mod queue;
mod waker;

pub(crate) use queue::{Event, Filter, Queue, Trigger};
#[cfg(test)]
pub(crate) use waker::QueueWaker;
pub(crate) use waker::Waker;

#[cfg(not(anyport_libkqueue))]
use libc as system;
#[cfg(anyport_libkqueue)]
use libkqueue as system;

/// Events that a call must have room for at least: libkqueue loses some of those that it has no room for.
pub(crate) const LEAST_ROOM: usize = if cfg!(anyport_libkqueue) { 512 } else { 1 };
