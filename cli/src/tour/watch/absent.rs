//! Nobody watches: here the program sees no system calls, and tells the steps with their times and with the calls that
//! `story` knows of.

use anyport::Backend;

use super::account::Calls;
use super::steps::PerStep;
use crate::failure::Failure;

/// Says why not.
pub(super) fn watch(_: Backend, _: usize) -> Result<PerStep<Calls>, String> {
    Err("the program can trace itself on Linux with glibc only, by ptrace(2)".to_owned())
}

/// There is nobody to play for.
pub(super) fn play_watched(_: Backend, _: usize) -> Result<(), Failure> {
    Err(Failure::input("--play is for a tracer, and there is none here; leave it out"))
}
