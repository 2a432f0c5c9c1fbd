//! The echo servers by hand, as the benchmark calls them. Backends are compared with those in the first two places.

use super::{Serve, epoll, multishot, ring, uring};

/// All of them.
pub const ALL: [(&str, Serve); 3] = [
    ("by hand, epoll", epoll::serve),
    ("by hand, io_uring", uring::serve),
    ("by hand, io_uring multishot", multishot::serve),
];

/// Why one of them does not run on this machine.
pub fn refusal(name: &str) -> Option<String> {
    let needs_ring = name.contains("io_uring");
    needs_ring.then(|| ring::bare(8).err()).flatten().map(|error| error.to_string())
}
