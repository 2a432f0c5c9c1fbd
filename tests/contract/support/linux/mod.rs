//! The parts of `support` that only Linux has: what tests are not run elsewhere for.

mod ends;
mod libkqueue;
mod objects;
mod process;
mod refuse;
mod trace;

pub(crate) use ends::*;
pub(crate) use libc as errno;
pub(crate) use libkqueue::*;
pub(crate) use objects::*;
pub(crate) use process::*;
pub(crate) use refuse::*;
pub(crate) use trace::{count, run_if_tracer};
