//! What can be done to an object or a process on Linux alone, as far as it goes here.

use std::io::{PipeReader, PipeWriter};

use socket2::Socket;

use super::pipe;
use crate::support::skip::skip_elsewhere;

pub(crate) const IO_URING_ENTER: libc::c_long = -1;
pub(crate) const PWRITEV2: libc::c_long = -1;

/// Has a system call fail: not here.
pub(crate) fn forbid(_: libc::c_long, _: i32) {
    skip_elsewhere("system calls can be forbidden on Linux alone");
}

/// Where a process sees its own descriptors. (The first three alone on FreeBSD, unless fdescfs is mounted there.)
pub(crate) const OWN_DESCRIPTORS: &str = "/dev/fd";

pub(crate) fn thread_number() -> i32 {
    skip_elsewhere("a thread's call is told on Linux alone")
}

/// Runs `body` if this is not the administrator's process.
pub(crate) fn without_power_over_files<T>(body: impl FnOnce() -> T) -> T {
    if rustix::process::geteuid().is_root() {
        skip_elsewhere("the administrator may open anything: run it as somebody else");
    }
    body()
}

pub(crate) fn leave_the_network() {
    skip_elsewhere("a process gets a network of its own on Linux alone");
}

pub(crate) fn give_up_soon(_: &Socket) {
    skip_elsewhere("how soon a connection is given up can be set on Linux alone");
}

/// Holds small pieces back until they are let go together: there is no such option on all of these systems.
pub(crate) fn cork(_: &Socket, _: bool) {}

/// A pipe that holds little: as it comes, for its size cannot be set.
pub(crate) fn small_pipe() -> (PipeReader, PipeWriter) {
    pipe()
}

/// Nothing is known about what the system holds of a file in memory, and so the port has it read in any case.
pub(crate) fn forget_pages(_file: &std::fs::File) -> bool {
    true
}

/// Has a socket hold more than the system's limit: not here.
pub(crate) fn hold_much(_: &std::net::TcpStream, _: u32) {
    skip_elsewhere("a socket can hold more than the system's limit on Linux alone");
}
