//! The parts of `support` that differ on Windows.

mod costs;
mod ends;
pub(crate) mod errno;
mod objects;
mod pipe;
mod process;
mod wine;

pub(crate) use costs::*;
pub(crate) use ends::*;
pub(crate) use objects::*;
pub(crate) use pipe::{PipeReader, PipeWriter, message_pipe, pipe};
pub(crate) use process::*;
pub(crate) use wine::*;
