//! Endless content that is cheap to make and to check: a tape of random bytes whose length shares no factor with any
//! buffer's, read from a different place for each stream. A lost, repeated or swapped piece does not match.

use std::sync::OnceLock;

use crate::support::pattern;

/// A prime.
const LEN: usize = 65_521;

fn tape() -> &'static [u8] {
    static TAPE: OnceLock<Vec<u8>> = OnceLock::new();
    TAPE.get_or_init(|| pattern(4711, LEN))
}

/// The pieces of the tape that `len` bytes of stream `seed` from `offset` on consist of.
fn pieces(seed: u64, offset: usize, len: usize) -> impl Iterator<Item = &'static [u8]> {
    let start = (seed % LEN as u64 * 7919) as usize;
    let mut left = len;
    let mut at = (start + offset) % LEN;
    std::iter::from_fn(move || {
        let piece = &tape()[at..LEN.min(at + left)];
        left -= piece.len();
        at = 0;
        (!piece.is_empty()).then_some(piece)
    })
}

/// Appends `len` bytes of stream `seed` from `offset` on.
pub(crate) fn append(to: &mut Vec<u8>, seed: u64, offset: usize, len: usize) {
    pieces(seed, offset, len).for_each(|piece| to.extend_from_slice(piece));
}

/// `len` bytes of stream `seed` from `offset` on.
pub(crate) fn cut(seed: u64, offset: usize, len: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(len);
    append(&mut bytes, seed, offset, len);
    bytes
}

/// Whether `bytes` are those of stream `seed` from `offset` on.
pub(crate) fn matches(bytes: &[u8], seed: u64, offset: usize) -> bool {
    let mut rest = bytes;
    pieces(seed, offset, bytes.len()).all(|piece| {
        let (here, behind) = rest.split_at(piece.len());
        rest = behind;
        here == piece
    })
}
