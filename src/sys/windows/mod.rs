//! Windows: an object is a socket or a handle, and calls are overlapped: the system writes their outcome to
//! an [`Block`] of the operation and queues a packet at the port's I/O completion port.

pub(crate) mod afd;
mod block;
pub(crate) mod errno;
mod fork;
mod interop;
mod mapping;
mod notes;
mod object;
mod open;
pub(crate) mod packets;
mod scratch;
pub(crate) mod sleep;
pub(crate) mod socket;
mod source;
mod stat;
pub(crate) mod waitable;
mod waker;
pub(crate) mod watch;
mod worker;

pub(crate) use crate::backend::iocp::perform_blocking;
pub(crate) use block::{Block, Phase, Purpose};
pub(crate) use fork::ForkGuard;
pub(crate) use mapping::Mapping;
pub(crate) use notes::{Notes, Route};
pub(crate) use object::{NO_OBJECT, Raw, from_raw, into_raw, raw_file};
pub(crate) use open::{NativePath, OpenHow, OpenOptions, OwnedPath, own_path, path_ptr};
pub(crate) use scratch::Scratch;
pub(crate) use waker::{WAKE, Waker};
pub(crate) use worker::{Told, Worker};

pub(crate) use object::AsFile;
pub use object::Object;
pub use source::Source;
