//! The parts of `support` that only Linux has: what tests are not run elsewhere for.

#[path = "../unix/calls.rs"]
mod calls;
#[path = "../unix/child.rs"]
mod child;
#[path = "../unix/ends.rs"]
mod ends;
mod libkqueue;
#[path = "../unix/limits.rs"]
mod limits;
#[path = "../unix/objects.rs"]
mod objects;
mod own;
mod process;
mod refuse;
#[path = "../unix/signals.rs"]
mod signals;
mod trace;

pub(crate) use calls::*;
pub(crate) use child::*;
pub(crate) use ends::*;
pub(crate) use libc as errno;
pub(crate) use libkqueue::*;
pub(crate) use limits::*;
pub(crate) use objects::*;
pub(crate) use own::*;
pub(crate) use process::*;
pub(crate) use refuse::*;
pub(crate) use signals::*;
pub(crate) use trace::{count, run_if_instrument};
