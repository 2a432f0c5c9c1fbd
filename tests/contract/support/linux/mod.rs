//! The parts of `support` that only Linux has: what tests are not run elsewhere for.

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
mod trace;

pub(crate) use child::*;
pub(crate) use ends::*;
pub(crate) use libc as errno;
pub(crate) use libkqueue::*;
pub(crate) use limits::*;
pub(crate) use objects::*;
pub(crate) use own::*;
pub(crate) use process::*;
pub(crate) use refuse::*;
pub(crate) use trace::{count, run_if_tracer};
