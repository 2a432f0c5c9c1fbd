//! Random reads of blocks by hand: overlapped calls on a bare completion port, as many in flight as there are buffers, and
//! one after the other with calls that wait.

use std::fs::File;
use std::io;
use std::mem;
use std::os::windows::fs::FileExt;
use std::os::windows::io::AsRawHandle;

use windows_sys::Win32::Storage::FileSystem::ReadFile;
use windows_sys::Win32::System::IO::OVERLAPPED;

use super::block::{BLOCK, Block};
use super::completion_port::{CompletionPort, issued, result};

/// A read; its packet names it by its address.
#[repr(C)]
struct Read {
    memory: OVERLAPPED,
    buffer: Block,
    block: u64,
}

/// Reads the blocks that `blocks` names from a file that is open for overlapped calls, `depth` of them in flight. `check`
/// sees each.
pub fn overlapped(
    file: &File,
    depth: usize,
    blocks: &mut dyn Iterator<Item = u64>,
    check: impl FnMut(u64, &[u8]) -> io::Result<()>,
) -> io::Result<()> {
    let port = CompletionPort::new()?;
    port.join(file.as_raw_handle() as usize, 0)?;
    let mut reads: Vec<Box<Read>> = Vec::with_capacity(depth);
    let read = read_all(&port, file, depth, &mut reads, blocks, check);
    if read.is_err() {
        // The system may still write to the buffers.
        mem::forget(reads);
    }
    read
}

#[expect(clippy::vec_box, reason = "the system knows the address of each")]
fn read_all(
    port: &CompletionPort,
    file: &File,
    depth: usize,
    reads: &mut Vec<Box<Read>>,
    blocks: &mut dyn Iterator<Item = u64>,
    mut check: impl FnMut(u64, &[u8]) -> io::Result<()>,
) -> io::Result<()> {
    let mut busy = 0;
    // Reads block after block into one buffer as long as the calls are over at once. False: there are no more.
    let mut go_on = |read: &mut Read, mut length: Option<usize>| {
        loop {
            if let Some(length) = length {
                check(read.block, &read.buffer.bytes()[..length])?;
            }
            let Some(block) = blocks.next() else { return Ok(false) };
            read.block = block;
            length = read.start(file)?;
            if length.is_none() {
                return Ok::<bool, io::Error>(true);
            }
        }
    };
    for _ in 0..depth {
        let mut read = Box::new(Read { memory: OVERLAPPED::default(), buffer: Block::new(), block: 0 });
        busy += usize::from(go_on(&mut read, None)?);
        reads.push(read);
    }
    let mut packets = Vec::with_capacity(depth);
    while busy > 0 {
        port.wait(&mut packets, None)?;
        for packet in &packets {
            // SAFETY: the packet's address is that of a boxed read, which begins with its memory; the call is over.
            let read = unsafe { &mut *packet.lpOverlapped.cast::<Read>() };
            let length = result(&read.memory)?;
            busy -= usize::from(!go_on(read, Some(length))?);
        }
    }
    Ok(())
}

impl Read {
    fn start(&mut self, file: &File) -> io::Result<Option<usize>> {
        let offset = self.block * BLOCK as u64;
        self.memory = OVERLAPPED::default();
        self.memory.Anonymous.Anonymous.Offset = offset as u32;
        self.memory.Anonymous.Anonymous.OffsetHigh = (offset >> 32) as u32;
        let (buffer, mut bytes) = (self.buffer.bytes_mut(), 0);
        // SAFETY: the box and its buffer are in place until the call is over (see `overlapped`).
        let succeeded = unsafe {
            let (address, length) = (buffer.as_mut_ptr(), buffer.len() as u32);
            ReadFile(file.as_raw_handle(), address, length, &mut bytes, &mut self.memory)
        };
        issued(succeeded != 0, bytes)
    }
}

/// The same reads from a file that is open for calls that wait, one after the other on this thread.
pub fn one_by_one(
    file: &File,
    mut buffer: Block,
    blocks: &mut dyn Iterator<Item = u64>,
    mut check: impl FnMut(u64, &[u8]) -> io::Result<()>,
) -> io::Result<()> {
    for block in blocks {
        let length = file.seek_read(buffer.bytes_mut(), block * BLOCK as u64)?;
        check(block, &buffer.bytes()[..length])?;
    }
    Ok(())
}
