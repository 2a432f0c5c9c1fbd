//! Nops on a bare io_uring: what a ring costs with nothing to do.

use std::io;

use io_uring::{IoUring, opcode};

use super::ring::{bare, enter, push};

/// The contestant.
pub const NAME: &str = "by hand, io_uring";

/// A ring with room for a batch.
pub fn open(batch: usize) -> io::Result<IoUring> {
    bare(batch as u32)
}

/// Submits `batch` nops at once and takes their completions, `batches` times. The queue of `ring` has room for a batch.
pub fn run(ring: &mut IoUring, batch: usize, batches: usize) -> io::Result<()> {
    let mut sum = 0;
    for _ in 0..batches {
        let mut queue = ring.submission();
        for place in 0..batch {
            // SAFETY: a nop points to nothing.
            unsafe { push(&mut queue, &opcode::Nop::new().build().user_data(place as u64))? };
        }
        drop(queue);
        enter(ring, batch)?;
        for completion in ring.completion() {
            sum += completion.user_data();
        }
    }
    let expected = batch * (batch - 1) / 2 * batches;
    if sum != expected as u64 {
        return Err(io::Error::other("not every nop came back once"));
    }
    Ok(())
}
