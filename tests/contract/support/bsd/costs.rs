//! What is not counted here: system calls, and memory that is mapped.

use std::process::ExitCode;

use crate::support::calls::Calls;
use crate::support::skip::skip_elsewhere;

/// Counts the calls that `body` makes: not here.
pub(crate) fn count<T>(_body: impl FnOnce() -> T) -> (Calls, T) {
    skip_elsewhere("system calls are counted on Linux and Windows alone")
}

/// This program is started for its trials alone.
pub(crate) fn run_if_instrument() -> Option<ExitCode> {
    None
}

/// Bytes of anonymous memory that somebody mapped for himself.
pub(crate) fn mapped_beside_the_heap() -> i64 {
    skip_elsewhere("a process' mappings are told on Linux and Windows alone")
}
