//! The echo servers by hand, as the benchmark calls them. The first is what the backend is compared with.

use super::{Serve, iocp};

/// All of them.
pub const ALL: [(&str, Serve); 1] = [("by hand, iocp", iocp::serve)];

/// Why one of them does not run on this machine.
pub fn refusal(_: &str) -> Option<String> {
    None
}
