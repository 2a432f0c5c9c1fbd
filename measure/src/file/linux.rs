//! The file on Linux, and who reads it by hand: a bare io_uring, and `pread`.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;

use super::{Plan, Sample, check, pinned, timed};
use crate::raw;
use crate::raw::block::Block;

/// A file that has no name.
pub type Blocks = File;

pub(super) fn empty() -> io::Result<Blocks> {
    tempfile::tempfile()
}

pub(super) fn file(blocks: &Blocks) -> &File {
    blocks
}

/// Opens the file anew, past the page cache if that is asked for.
pub fn open(blocks: &Blocks, direct: bool) -> io::Result<File> {
    let flags = if direct { libc::O_DIRECT } else { 0 };
    OpenOptions::new().read(true).custom_flags(flags).open(format!("/proc/self/fd/{}", blocks.as_raw_fd()))
}

type Turn = fn(&Plan, &Blocks, bool, usize) -> io::Result<Sample>;

pub(super) const BY_HAND: [(&str, Turn); 2] =
    [("by hand, io_uring", ring_turn), ("by hand, pread one by one", pread_turn)];

fn ring_turn(plan: &Plan, blocks: &Blocks, direct: bool, depth: usize) -> io::Result<Sample> {
    let file = open(blocks, direct)?;
    pinned(plan, || {
        let mut ring = raw::ring::bare(depth as u32)?;
        timed(plan, depth, |blocks| raw::read::ring(&mut ring, &file, vec![Block::new(); depth], blocks, check))
    })
}

fn pread_turn(plan: &Plan, blocks: &Blocks, direct: bool, _: usize) -> io::Result<Sample> {
    let file = open(blocks, direct)?;
    pinned(plan, || timed(plan, 1, |blocks| raw::read::pread(&file, Block::new(), blocks, check)))
}
