//! The file on Windows, and who reads it by hand: overlapped calls on a bare completion port, and calls that wait.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::windows::fs::OpenOptionsExt;

use tempfile::NamedTempFile;
use windows_sys::Win32::Storage::FileSystem::{FILE_FLAG_NO_BUFFERING, FILE_FLAG_OVERLAPPED};

use super::{Plan, Sample, check, pinned, timed};
use crate::raw;
use crate::raw::block::Block;

/// A file whose name goes with the value.
pub type Blocks = NamedTempFile;

pub(super) fn empty() -> io::Result<Blocks> {
    NamedTempFile::new()
}

pub(super) fn file(blocks: &Blocks) -> &File {
    blocks.as_file()
}

/// Opens the file anew for overlapped calls, past the page cache if that is asked for. (An open file belongs to one
/// completion port for good, so each turn has its own.)
pub fn open(blocks: &Blocks, direct: bool) -> io::Result<File> {
    open_with(blocks, FILE_FLAG_OVERLAPPED, direct)
}

fn open_with(blocks: &Blocks, flags: u32, direct: bool) -> io::Result<File> {
    let direct = if direct { FILE_FLAG_NO_BUFFERING } else { 0 };
    OpenOptions::new().read(true).custom_flags(flags | direct).open(blocks.path())
}

type Turn = fn(&Plan, &Blocks, bool, usize) -> io::Result<Sample>;

pub(super) const BY_HAND: [(&str, Turn); 2] =
    [("by hand, iocp", overlapped_turn), ("by hand, ReadFile one by one", waiting_turn)];

fn overlapped_turn(plan: &Plan, blocks: &Blocks, direct: bool, depth: usize) -> io::Result<Sample> {
    let file = open(blocks, direct)?;
    pinned(plan, || timed(plan, depth, |blocks| raw::read::overlapped(&file, depth, blocks, check)))
}

fn waiting_turn(plan: &Plan, blocks: &Blocks, direct: bool, _: usize) -> io::Result<Sample> {
    let file = open_with(blocks, 0, direct)?;
    pinned(plan, || timed(plan, 1, |blocks| raw::read::one_by_one(&file, Block::new(), blocks, check)))
}
