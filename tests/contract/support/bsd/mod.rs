//! The parts of `support` on macOS and the BSDs. What is the same on every Unix comes from the folder beside.

#[path = "../unix/calls.rs"]
mod calls;
#[path = "../unix/child.rs"]
mod child;
mod costs;
#[path = "../unix/ends.rs"]
mod ends;
#[path = "../unix/limits.rs"]
mod limits;
#[path = "../no_libkqueue.rs"]
mod no_libkqueue;
#[path = "../unix/objects.rs"]
mod objects;
mod own;
mod process;
#[path = "../unix/signals.rs"]
mod signals;

pub(crate) use calls::*;
pub(crate) use child::*;
pub(crate) use costs::*;
pub(crate) use ends::*;
pub(crate) use libc as errno;
pub(crate) use limits::*;
pub(crate) use no_libkqueue::*;
pub(crate) use objects::*;
pub(crate) use own::*;
pub(crate) use process::*;
pub(crate) use signals::*;
