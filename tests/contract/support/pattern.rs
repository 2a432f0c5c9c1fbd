//! Bytes whose content tells where they belong: a stream that lost, repeated or swapped a piece is noticed, and so is
//! a buffer that somebody else wrote to.

/// `len` bytes of the stream number `seed`.
pub(crate) fn pattern(seed: u64, len: usize) -> Vec<u8> {
    piece(seed, 0, len)
}

/// `len` bytes of the stream number `seed` from `offset` on.
pub(crate) fn piece(seed: u64, offset: usize, len: usize) -> Vec<u8> {
    let before = offset % WORD;
    let mut bytes = Vec::with_capacity(before + len + WORD);
    let mut number = (offset / WORD) as u64;
    // (A loop, as iterators are slow where nothing is optimised, and there are many bytes.)
    while bytes.len() < before + len {
        bytes.extend_from_slice(&word(seed, number));
        number += 1;
    }
    bytes.truncate(before + len);
    bytes.drain(..before);
    bytes
}

/// Checks that `bytes` are those of the stream number `seed` from `offset` on; says where they differ.
#[track_caller]
pub(crate) fn assert_piece(bytes: &[u8], seed: u64, offset: usize) {
    let expected = piece(seed, offset, bytes.len());
    if bytes != expected {
        let at = bytes.iter().zip(&expected).position(|(got, expected)| got != expected).expect("where they differ");
        panic!(
            "stream {seed}: byte {} is {:#04x}, not {:#04x} ({} bytes from {offset} on)",
            offset + at,
            bytes[at],
            expected[at],
            bytes.len()
        );
    }
}

const WORD: usize = 8;

/// A mixer (the finalizer of SplitMix64), so that no shift or swap of a stream looks like the stream itself.
fn word(seed: u64, number: u64) -> [u8; WORD] {
    let mut x = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(number);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (x ^ (x >> 31)).to_le_bytes()
}
