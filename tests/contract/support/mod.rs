//! What the tests of all promises share. Each file is one idea; `use crate::support::*` gives a test all of it.
//!
//! What differs between systems is in a folder of each, picked by `cfg`, under the same names. Where a system lacks
//! something, its function of that name skips the test that asks for it.

mod alloc;
mod calls;
mod drive;
mod errnos;
mod files;
mod harness;
mod panics;
mod pattern;
mod peer;
mod pending;
mod skip;
mod sockets;

#[cfg(target_os = "linux")]
#[path = "linux/mod.rs"]
mod system;
#[cfg(all(unix, not(target_os = "linux")))]
#[path = "bsd/mod.rs"]
mod system;
#[cfg(windows)]
#[path = "windows/mod.rs"]
mod system;

pub(crate) use alloc::{Heap, counted, process_heap};
pub(crate) use drive::*;
pub(crate) use errnos::Errno;
pub(crate) use files::set_readonly;
pub(crate) use harness::*;
pub(crate) use panics::expect_panic;
pub(crate) use pattern::{assert_piece, pattern, piece};
pub(crate) use peer::{Peer, Step};
pub(crate) use pending::*;
pub(crate) use skip::{skip, skip_elsewhere};
pub(crate) use sockets::*;
pub(crate) use system::*;
