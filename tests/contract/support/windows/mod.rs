//! The parts of `support` that differ on Windows.

mod ends;
pub(crate) mod errno;
mod memory;
#[path = "../no_libkqueue.rs"]
mod no_libkqueue;
mod objects;
mod pipe;
mod process;
mod queue;
mod trace;
mod wine;

pub(crate) use ends::*;
pub(crate) use memory::{Mapped, mapped_beside_the_heap};
pub(crate) use no_libkqueue::*;
pub(crate) use objects::*;
pub(crate) use pipe::{PipeReader, PipeWriter, message_pipe, pipe};
pub(crate) use process::*;
pub(crate) use queue::until_arrived;
pub(crate) use trace::*;
pub(crate) use wine::*;
