//! What came of an operation, as plain data.
//!
//! An [`Outcome`] travels from the system call to the completion in registers: a count, a descriptor or
//! an error number, and perhaps a buffer of the pool. Only the completion makes an `io::Result` of it,
//! so nothing is allocated or dropped on the way. Whoever holds an outcome is responsible for the
//! descriptor or buffer in it; [`Completion`](crate::Completion) is the one place where that ends.

use crate::error::{self, Refusal};
use std::io;

/// A count or descriptor (0 and up), an error number (down to -(2^31 - 1)), one of the port's own refusals (below), or with
/// [`IN_BUFFER`] a count and the pool buffer that the bytes are in. One word: an event of the backend then is two, which
/// are handed on in registers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Outcome(i64);

/// The count is in the lower 32 bits, the buffer's number in the 16 above it.
const IN_BUFFER: i64 = 1 << 62;

/// Below all error numbers.
const REFUSALS: i64 = -(1 << 32);

impl Outcome {
    #[inline]
    pub(crate) fn done(n: usize) -> Outcome {
        Outcome(n as i64)
    }

    /// `n` bytes in a buffer of the pool.
    #[inline]
    pub(crate) fn in_buffer(n: usize, buffer: u16) -> Outcome {
        Outcome(IN_BUFFER | i64::from(buffer) << 32 | i64::from(n as u32))
    }

    #[inline]
    pub(crate) fn error(errno: i32) -> Outcome {
        Outcome(-i64::from(errno))
    }

    pub(crate) fn refused(refusal: Refusal) -> Outcome {
        Outcome(REFUSALS - refusal as i64)
    }

    /// The count or descriptor.
    #[inline]
    pub(crate) fn value(self) -> Option<usize> {
        (self.0 >= 0).then_some(self.count())
    }

    /// The count, where it is no error.
    #[inline]
    pub(crate) fn count(self) -> usize {
        if self.0 & IN_BUFFER == 0 { self.0 as usize } else { self.0 as u32 as usize }
    }

    /// The error number, if it is the system's.
    #[inline]
    pub(crate) fn errno(self) -> Option<i32> {
        (self.0 < 0 && self.0 > REFUSALS).then_some(-self.0 as i32)
    }

    /// No bytes and no descriptor: an end of the stream, a call that only succeeds, an error.
    #[inline]
    pub(crate) fn is_empty(self) -> bool {
        self.0 <= 0
    }

    #[inline]
    pub(crate) fn is_error(self) -> bool {
        self.0 < 0
    }

    #[inline]
    pub(crate) fn buffer(self) -> Option<u16> {
        (self.0 >= IN_BUFFER).then_some((self.0 >> 32) as u16)
    }

    /// As the user gets it.
    #[inline]
    pub(crate) fn result(self) -> io::Result<usize> {
        if self.0 >= 0 { Ok(self.count()) } else { Err(self.to_error()) }
    }

    #[cold]
    fn to_error(self) -> io::Error {
        match self.errno() {
            Some(errno) => io::Error::from_raw_os_error(errno),
            None => Refusal::ALL[(REFUSALS - self.0) as usize].into(),
        }
    }
}

/// From something whose errors come from the system.
impl From<io::Error> for Outcome {
    fn from(error: io::Error) -> Outcome {
        Outcome::error(error.raw_os_error().unwrap_or(error::OTHER))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_comes_back_as_itself() {
        for (at, &refusal) in Refusal::ALL.iter().enumerate() {
            assert_eq!(refusal as usize, at);
            let error = Outcome::refused(refusal).result().unwrap_err();
            assert_eq!(error.to_string(), io::Error::from(refusal).to_string());
        }
        assert_eq!(Outcome::error(32).result().unwrap_err().raw_os_error(), Some(32));
        assert_eq!(Outcome::done(7).result().unwrap(), 7);
    }

    #[test]
    fn a_count_is_told_from_one_in_a_buffer() {
        for n in [0, 1, u32::MAX as usize, 1 << 40] {
            assert_eq!((Outcome::done(n).value(), Outcome::done(n).buffer()), (Some(n), None));
        }
        for (n, buffer) in [(1, 0), (16_384, 32_767), (u32::MAX as usize, 7)] {
            let outcome = Outcome::in_buffer(n, buffer);
            assert_eq!((outcome.value(), outcome.buffer(), outcome.errno()), (Some(n), Some(buffer), None));
        }
        assert_eq!((Outcome::error(32).value(), Outcome::error(32).buffer()), (None, None));
    }
}
