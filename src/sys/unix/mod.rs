//! Unix: every object is a descriptor.

mod block;
#[cfg(target_os = "linux")]
pub(crate) mod epoll;
pub(crate) mod errno;
mod fork;
mod interop;
#[cfg_attr(
    not(any(
        target_vendor = "apple",
        target_os = "dragonfly",
        target_os = "freebsd",
        target_os = "netbsd",
        target_os = "openbsd",
        anyport_libkqueue
    )),
    path = "no_kqueue.rs"
)]
pub(crate) mod kqueue;
mod mapping;
mod notes;
mod object;
mod open;
pub(crate) mod poll;
mod scratch;
mod source;
mod stat;
mod waker;
mod worker;

pub(crate) use crate::backend::perform::perform_blocking;
pub(crate) use block::Block;
pub(crate) use fork::ForkGuard;
pub(crate) use mapping::Mapping;
pub(crate) use notes::Notes;
pub(crate) use object::{NO_OBJECT, Raw, from_raw, into_raw, raw_file};
pub(crate) use open::{NativePath, OpenHow, OpenOptions, OwnedPath, own_path, path_ptr};
pub(crate) use scratch::Scratch;
pub(crate) use source::set_nonblocking;
#[cfg(target_os = "linux")]
pub(crate) use source::without_blocking;
pub(crate) use waker::Waker;
pub(crate) use worker::{Told, Worker};

pub(crate) use object::AsFile;
pub use object::Object;
pub use source::Source;
