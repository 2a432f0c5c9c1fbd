//! The work of an echo server, as it is told before it starts: how many peers, how large a message. Every server, by hand or not,
//! sizes its queues and buffers by the same rule from it.

use serde::{Deserialize, Serialize};

/// What will be asked of an echo server.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Work {
    /// Peers connected at once, at most.
    pub connections: usize,
    /// Those of them that have a message under way at once, at most; the others are idle.
    pub active: usize,
    /// Bytes of a message.
    pub message: usize,
    /// After how many connections that have come and gone the server ends. `usize::MAX`: it goes on until it is killed.
    pub total: usize,
}

impl Work {
    /// `connections` peers that all are busy, and the end when they have gone.
    pub fn once(connections: usize, message: usize) -> Work {
        Work { connections, active: connections, message, total: connections }
    }

    /// The size of a receive buffer: larger than a message, so that one that is filled tells that more is there; a page at
    /// least.
    pub fn buffer(&self) -> usize {
        (2 * self.message).max(4096)
    }

    /// How many buffers a server has that shares them among its peers: one for each that is active.
    pub fn buffers(&self) -> u16 {
        self.active.next_power_of_two().min(1 << 15) as u16
    }

    /// The size of a submission queue that holds `each` entries for every active peer and some for the listener, so that it
    /// is not full in steady state: a power of two.
    pub fn entries(&self, each: usize) -> u32 {
        (each * self.active + 8).next_power_of_two().min(1 << 15) as u32
    }
}
