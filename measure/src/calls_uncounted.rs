//! How many system calls a piece of work makes: nobody can count them here.

use std::io;

/// Never.
pub fn count(_: impl FnOnce() -> io::Result<()>) -> Option<u64> {
    None
}
