//! Random reads of blocks by hand: on a bare io_uring, as many in flight as there are buffers, and one after the other
//! with `pread`.

use std::fs::File;
use std::io;
use std::mem;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;

use io_uring::{IoUring, opcode, types};

use super::block::{BLOCK, Block};
use super::ring::{enter, push, result};

/// Reads the blocks that `blocks` names, each of the size of a buffer, with all `buffers` in flight. `check` sees each.
/// The queue of `ring` has room for an entry per buffer.
pub fn ring(
    ring: &mut IoUring,
    file: &File,
    mut buffers: Vec<Block>,
    blocks: impl IntoIterator<Item = u64>,
    check: impl FnMut(u64, &[u8]) -> io::Result<()>,
) -> io::Result<()> {
    let read = read_all(ring, file, &mut buffers, &mut blocks.into_iter(), check);
    if read.is_err() {
        // The caller may close the ring, which does not wait for what is in flight.
        mem::forget(buffers);
    }
    read
}

fn read_all(
    ring: &mut IoUring,
    file: &File,
    buffers: &mut [Block],
    blocks: &mut impl Iterator<Item = u64>,
    mut check: impl FnMut(u64, &[u8]) -> io::Result<()>,
) -> io::Result<()> {
    let file = types::Fd(file.as_raw_fd());
    let entry = |place: usize, buffer: &mut [u8], block: u64| {
        opcode::Read::new(file, buffer.as_mut_ptr(), buffer.len() as u32)
            .offset(block * buffer.len() as u64)
            .build()
            .user_data(place as u64)
    };
    // Which block is on its way into each buffer.
    let mut expected = vec![0; buffers.len()];
    let mut busy = 0;
    for (place, block) in (0..buffers.len()).zip(&mut *blocks) {
        expected[place] = block;
        // SAFETY: the buffer outlives what is in flight (see `ring`) and is touched only after the completion.
        unsafe { push(&mut ring.submission(), &entry(place, buffers[place].bytes_mut(), block))? };
        busy += 1;
    }
    while busy > 0 {
        enter(ring, 1)?;
        let (_, mut queue, completions) = ring.split();
        for completion in completions {
            let place = completion.user_data() as usize;
            let length = result(completion.result())?;
            check(expected[place], &buffers[place].bytes()[..length])?;
            let Some(block) = blocks.next() else {
                busy -= 1;
                continue;
            };
            expected[place] = block;
            // SAFETY: as above; the read that used the buffer has completed.
            unsafe { push(&mut queue, &entry(place, buffers[place].bytes_mut(), block))? };
        }
    }
    Ok(())
}

/// The same reads, one after the other on this thread.
pub fn pread(
    file: &File,
    mut buffer: Block,
    blocks: impl IntoIterator<Item = u64>,
    mut check: impl FnMut(u64, &[u8]) -> io::Result<()>,
) -> io::Result<()> {
    for block in blocks {
        let length = file.read_at(buffer.bytes_mut(), block * BLOCK as u64)?;
        check(block, &buffer.bytes()[..length])?;
    }
    Ok(())
}
