//! What the process holds: descriptors. For isolated trials, where nobody else opens anything meanwhile.

use std::collections::BTreeMap;
use std::os::fd::{BorrowedFd, RawFd};

use rustix::process::{Resource, getrlimit};

use crate::support::skip::skip_elsewhere;

/// No number is higher in these tests.
const HIGHEST: u64 = 20_000;

/// The open descriptors and what each refers to: its type, device and number, as fstat(2) tells them.
pub(crate) fn descriptors() -> BTreeMap<RawFd, String> {
    let limit = getrlimit(Resource::Nofile).current.unwrap_or(HIGHEST);
    (0..limit.min(HIGHEST) as RawFd).filter_map(|number| Some((number, describe(number)?))).collect()
}

/// None: it is not open.
fn describe(number: RawFd) -> Option<String> {
    // SAFETY: a call without pointers.
    if unsafe { libc::fcntl(number, libc::F_GETFD) } < 0 {
        return None;
    }
    // SAFETY: it is open, and in an isolated trial stays so.
    let stat = rustix::fs::fstat(unsafe { BorrowedFd::borrow_raw(number) });
    Some(stat.map_or_else(
        |error| error.to_string(),
        |stat| format!("{:o} {}:{}", stat.st_mode & libc::S_IFMT, stat.st_dev, stat.st_ino),
    ))
}

/// Whether `descriptor` is close-on-exec.
pub(crate) fn close_on_exec(descriptor: RawFd) -> bool {
    // SAFETY: a call without pointers.
    let flags = unsafe { libc::fcntl(descriptor, libc::F_GETFD) };
    assert!(flags >= 0, "descriptor {descriptor} is open");
    flags & libc::FD_CLOEXEC != 0
}

/// The names of the running threads.
pub(crate) fn threads() -> Vec<String> {
    skip_elsewhere("the names of a process' threads are told on Linux alone")
}

/// Whether reads of `file` can be asked not to wait for the disk.
pub(crate) fn tells_what_is_cached(_: &std::fs::File) -> bool {
    false
}
