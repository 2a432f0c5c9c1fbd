//! What the tests of all promises share. Each file is one idea; `use crate::support::*` gives a test all of it.

mod alloc;
mod drive;
mod harness;
mod libkqueue;
mod pattern;
mod peer;
mod pending;
mod process;
mod refuse;
mod skip;
mod sockets;
mod trace;

pub(crate) use alloc::{Heap, counted, process_heap};
pub(crate) use drive::*;
pub(crate) use harness::*;
pub(crate) use libkqueue::*;
pub(crate) use pattern::{assert_piece, pattern, piece};
pub(crate) use peer::{Peer, Step};
pub(crate) use pending::*;
pub(crate) use process::*;
pub(crate) use refuse::*;
pub(crate) use skip::{skip, skip_elsewhere};
pub(crate) use sockets::*;
pub(crate) use trace::{count, run_if_tracer};
