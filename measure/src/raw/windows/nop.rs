//! Packets that a thread posts to its own completion port: what the port costs with nothing to do.

use std::io;

use super::completion_port::CompletionPort;

/// The contestant.
pub const NAME: &str = "by hand, posted packets";

/// A queue with room for a batch.
pub fn open(_: usize) -> io::Result<CompletionPort> {
    CompletionPort::new()
}

/// Posts `batch` packets and takes them, `batches` times.
pub fn run(port: &mut CompletionPort, batch: usize, batches: usize) -> io::Result<()> {
    let mut packets = Vec::with_capacity(batch);
    let mut sum = 0;
    for _ in 0..batches {
        for place in 0..batch {
            port.post(place)?;
        }
        let mut left = batch;
        while left > 0 {
            port.wait(&mut packets, None)?;
            left -= packets.len();
            sum += packets.iter().map(|packet| packet.lpCompletionKey).sum::<usize>();
        }
    }
    if sum != batch * (batch - 1) / 2 * batches {
        return Err(io::Error::other("not every packet came back once"));
    }
    Ok(())
}
