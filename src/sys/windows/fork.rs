//! Windows has no fork.

use std::io;

/// Never in a child.
pub(crate) struct ForkGuard;

impl ForkGuard {
    pub(crate) fn new() -> io::Result<ForkGuard> {
        Ok(ForkGuard)
    }

    pub(crate) fn is_child(&self) -> bool {
        false
    }
}
