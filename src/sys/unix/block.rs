//! A Unix keeps nothing in the slot of an operation beside what it lends.

/// Nothing.
pub(crate) struct Block;

impl Block {
    pub(crate) fn of_slot(_slot: u32) -> Block {
        Block
    }
}
