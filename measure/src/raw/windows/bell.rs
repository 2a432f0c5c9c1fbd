//! What wakes a receiver in another thread on Windows: a packet of a completion port.

use std::io;

use windows_sys::Win32::System::IO::OVERLAPPED_ENTRY;

use super::completion_port::CompletionPort;

/// The contestant whose channel has it.
pub const CHANNEL: &str = "by hand, mpsc + completion port";

/// Rings on one side and is slept by on the other.
pub struct Bell(CompletionPort);

impl Bell {
    /// A new one.
    pub fn new() -> io::Result<Bell> {
        CompletionPort::new().map(Bell)
    }

    /// Wakes who sleeps, or who sleeps next.
    pub fn ring(&self) -> io::Result<()> {
        self.0.post(0)
    }

    /// Sleeps until it rings. `packets` has room for one.
    pub fn sleep(&self, packets: &mut Vec<OVERLAPPED_ENTRY>) -> io::Result<()> {
        self.0.wait(packets, None)
    }
}
