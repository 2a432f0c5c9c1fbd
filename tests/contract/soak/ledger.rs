//! The soak's buffers and bytes: every buffer that is lent is counted and has a number, rests poisoned between two
//! uses, and is looked at before its next one; every byte that is sent is cut from one tape of random bytes.
//!
//! Invariant: a buffer is either lent, and owned by an operation or its completion, or rests in the ledger.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::OnceLock;

use anyport::buf::{IoBuf, IoBufMut};

use crate::support::pattern;

/// The longest piece of the tape.
pub(super) const LONGEST: usize = 96 << 10;

/// What all pieces are cut from.
pub(super) fn tape() -> &'static [u8] {
    static TAPE: OnceLock<Vec<u8>> = OnceLock::new();
    TAPE.get_or_init(|| pattern(4712, 2 * LONGEST))
}

/// `len` bytes that tell where they belong: one of thousands of places on the tape.
pub(super) fn piece(rng: &mut fastrand::Rng, len: usize) -> &'static [u8] {
    let start = rng.usize(..tape().len() - len);
    &tape()[start..start + len]
}

/// Where on the tape a piece begins.
pub(super) fn place_of(piece: &'static [u8]) -> u64 {
    (piece.as_ptr().addr() - tape().as_ptr().addr()) as u64
}

/// Bytes of each buffer.
pub(super) const SIZE: usize = 2048;
/// What a buffer holds where nobody has written.
const POISON: [u8; SIZE] = [0xdd; SIZE];

type Bytes = Box<[u8; SIZE]>;

/// The buffers of one life of the soak.
#[derive(Default)]
pub(super) struct Ledger {
    resting: RefCell<Vec<Bytes>>,
    lent: Cell<u64>,
    out: Cell<usize>,
}

impl Ledger {
    /// A poisoned buffer of `len` bytes.
    pub(super) fn lend(self: &Rc<Self>, len: usize) -> Buf {
        let bytes = self.resting.borrow_mut().pop().unwrap_or_else(|| Box::new(POISON));
        assert!(*bytes == POISON, "somebody wrote to a buffer that was given back");
        self.lent.set(self.lent.get() + 1);
        self.out.set(self.out.get() + 1);
        Buf { bytes: Some(bytes), len: len as u32, number: self.lent.get() as u32, home: self.clone() }
    }

    /// A buffer that holds `piece`.
    pub(super) fn lend_filled(self: &Rc<Self>, piece: &[u8]) -> Buf {
        let mut buf = self.lend(piece.len());
        buf.bytes.as_mut().expect("it is lent")[..piece.len()].copy_from_slice(piece);
        buf
    }

    /// How often a buffer was lent.
    pub(super) fn lent(&self) -> u64 {
        self.lent.get()
    }

    /// Every buffer was given back, once, and nobody has written to one since.
    #[track_caller]
    pub(super) fn assert_settled(&self) {
        assert_eq!(self.out.get(), 0, "buffers are missing");
        let touched = self.resting.borrow().iter().filter(|bytes| ***bytes != POISON).count();
        assert_eq!(touched, 0, "somebody wrote to buffers that were given back");
    }
}

/// A buffer on loan.
pub(super) struct Buf {
    bytes: Option<Bytes>,
    len: u32,
    /// Which of the loans it is.
    pub(super) number: u32,
    home: Rc<Ledger>,
}

impl Buf {
    fn bytes(&self) -> &[u8; SIZE] {
        self.bytes.as_ref().expect("it is lent")
    }

    /// The `n` bytes that were received; what is behind them must be untouched.
    #[track_caller]
    pub(super) fn received(&self, n: usize) -> &[u8] {
        assert!(n <= self.len as usize, "{n} bytes in a buffer of {}", self.len);
        assert!(self.bytes()[n..] == POISON[n..], "somebody wrote behind the {n} bytes that were received");
        &self.bytes()[..n]
    }
}

// SAFETY: the bytes are on the heap and stay there until the buffer is dropped (and longer).
unsafe impl IoBuf for Buf {
    fn stable_ptr(&self) -> *const u8 {
        self.bytes().as_ptr()
    }
    fn initialized(&self) -> usize {
        self.len as usize
    }
}

// SAFETY: as above; `len` is at most their number.
unsafe impl IoBufMut for Buf {
    fn stable_mut_ptr(&mut self) -> *mut u8 {
        self.bytes.as_mut().expect("it is lent").as_mut_ptr()
    }
    fn capacity(&self) -> usize {
        self.len as usize
    }
    unsafe fn filled(&mut self, _len: usize) {}
}

impl Drop for Buf {
    fn drop(&mut self) {
        let mut bytes = self.bytes.take().expect("a buffer is dropped once");
        *bytes = POISON;
        self.home.resting.borrow_mut().push(bytes);
        self.home.out.set(self.home.out.get() - 1);
    }
}
