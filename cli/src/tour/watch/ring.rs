//! The ring that the child shares with the kernel, as seen from outside: what it hands over with io_uring_enter(2) is
//! in no argument of the call, but in this memory.

use super::memory::Memory;
use super::names;

/// Where the entries are, by io_uring_setup(2) and the mappings that follow it.
#[derive(Default)]
pub(super) struct Ring {
    fd: i64,
    /// Offsets in the submission queue: its tail, its mask, the array of indices.
    tail: u64,
    mask: u64,
    array: u64,
    /// Entries lie in the order of submission, without the array.
    in_order: bool,
    /// Addresses of the queue and of the entries.
    queue: u64,
    entries: u64,
}

/// The offset with which the entries are mapped: `IORING_OFF_SQES`.
const ENTRIES: u64 = 0x1000_0000;
const NO_SQARRAY: u32 = 1 << 16;
/// The sizes and offsets in `struct io_uring_params`.
const FLAGS: u64 = 8;
const OFFSETS: u64 = 40;
const ENTRY: u64 = 64;

impl Ring {
    /// A ring was made: `fd`, with these parameters.
    pub(super) fn made(fd: i64, parameters: u64, memory: &Memory) -> Option<Ring> {
        let offset = |index: u64| memory.word(parameters + OFFSETS + 4 * index).map(u64::from);
        Some(Ring {
            fd,
            tail: offset(1)?,
            mask: offset(2)?,
            array: offset(6)?,
            in_order: memory.word(parameters + FLAGS)? & NO_SQARRAY != 0,
            queue: 0,
            entries: 0,
        })
    }

    /// The call that made a mapping of `fd` returned `address`.
    pub(super) fn mapped(&mut self, fd: i64, offset: u64, address: u64) {
        match offset {
            _ if fd != self.fd => {}
            0 => self.queue = address,
            ENTRIES => self.entries = address,
            _ => {}
        }
    }

    /// The last `count` entries, in words.
    pub(super) fn handed_over(&self, count: u64, memory: &Memory) -> Option<Vec<String>> {
        if self.queue == 0 || self.entries == 0 {
            return None;
        }
        let tail = memory.word(self.queue + self.tail)?;
        let mask = memory.word(self.queue + self.mask)?;
        let positions = (0..count as u32).rev().map(|before| tail.wrapping_sub(before + 1) & mask);
        let describe = |position: u32| {
            let index = match self.in_order {
                true => position,
                false => memory.word(self.queue + self.array + 4 * u64::from(position))?,
            };
            let entry: [u8; ENTRY as usize] = memory.bytes(self.entries + ENTRY * u64::from(index))?;
            let number = |at: usize| i32::from_ne_bytes(entry[at..at + 4].try_into().expect("four bytes"));
            let operation = names::operation(entry[0]);
            let object = memory.descriptor(i64::from(number(4)));
            Some(match number(24) {
                len if operation == "RECV" => format!("{operation} {object} into a buffer of {len}"),
                _ => format!("{operation} {object}"),
            })
        };
        positions.map(describe).collect()
    }
}
