//! Bytes whose content tells where they belong: a stream that lost, repeated or swapped a piece is noticed, and so is
//! a buffer that somebody else wrote to.

/// `len` bytes of the stream number `seed`.
pub(crate) fn pattern(seed: u64, len: usize) -> Vec<u8> {
    piece(seed, 0, len)
}

/// `len` bytes of the stream number `seed` from `offset` on.
pub(crate) fn piece(seed: u64, offset: usize, len: usize) -> Vec<u8> {
    (offset..offset + len).map(|position| byte(seed, position)).collect()
}

/// Checks that `bytes` are those of the stream number `seed` from `offset` on; says where they differ.
#[track_caller]
pub(crate) fn assert_piece(bytes: &[u8], seed: u64, offset: usize) {
    let wrong = bytes.iter().enumerate().find(|&(at, &got)| got != byte(seed, offset + at));
    if let Some((at, &got)) = wrong {
        let expected = byte(seed, offset + at);
        panic!(
            "stream {seed}: byte {} is {got:#04x}, not {expected:#04x} ({} bytes from {offset} on)",
            offset + at,
            bytes.len()
        );
    }
}

/// A mixer (the finalizer of SplitMix64), so that no shift or swap of a stream looks like the stream itself.
fn byte(seed: u64, position: usize) -> u8 {
    let mut x = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(position as u64);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (x ^ (x >> 31)) as u8
}
