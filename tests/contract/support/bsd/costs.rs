//! What is not counted here: system calls, and memory that is mapped. And what only libkqueue, on Linux, does otherwise.

use std::process::ExitCode;

use anyport::Backend;

use crate::support::skip::skip_elsewhere;

/// System calls by name.
pub(crate) struct Calls(());

impl Calls {
    pub(crate) fn of(&self, _: &str) -> u64 {
        unreachable!("none was counted")
    }

    pub(crate) fn of_any(&self, _: &[&str]) -> u64 {
        unreachable!("none was counted")
    }

    pub(crate) fn total(&self) -> u64 {
        unreachable!("none was counted")
    }

    pub(crate) fn except(&self, _: &[&str]) -> Calls {
        unreachable!("none was counted")
    }
}

impl std::fmt::Display for Calls {
    fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        unreachable!("none was counted")
    }
}

/// Counts the calls that `body` makes: not here.
pub(crate) fn count<T>(_body: impl FnOnce() -> T) -> (Calls, T) {
    skip_elsewhere("system calls are counted on Linux alone")
}

/// There is no tracer here.
pub(crate) fn run_if_tracer() -> Option<ExitCode> {
    None
}

/// Bytes of anonymous memory that somebody mapped for himself.
pub(crate) fn mapped_beside_the_heap() -> i64 {
    skip_elsewhere("a process' mappings are told on Linux alone")
}

pub(crate) fn without_libkqueue(_: Backend, calls: Calls) -> Calls {
    calls
}

pub(crate) fn is_libkqueue(_: Backend) -> bool {
    false
}

pub(crate) fn skip_on_libkqueue(_: Backend, _: &str) {}

pub(crate) fn settle_libkqueue() {}

pub(crate) fn skip_where_ends_are_forgotten(_: Backend) {}
