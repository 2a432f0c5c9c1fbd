//! What came of an operation, as plain data.
//!
//! An [`Outcome`] travels from the system call to the completion in registers: a count, a descriptor or
//! an error number, and perhaps a buffer of the pool. Only the completion makes an `io::Result` of it,
//! so nothing is allocated or dropped on the way. Whoever holds an outcome is responsible for the
//! descriptor or buffer in it; [`Completion`](crate::Completion) is the one place where that ends.

use crate::error::{self, Refusal};
use std::io;

/// A count or descriptor (0 and up), an error number (down to -(2^31 - 1)), or one of the port's own refusals.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Outcome {
    code: i64,
    /// The pool buffer that the bytes are in, or [`NO_BUFFER`].
    buffer: u32,
}

const NO_BUFFER: u32 = u32::MAX;

/// Below all error numbers.
const REFUSALS: i64 = -(1 << 32);

impl Outcome {
    #[inline]
    pub(crate) fn done(n: usize) -> Outcome {
        Outcome { code: n as i64, buffer: NO_BUFFER }
    }

    /// `n` bytes in a buffer of the pool.
    #[inline]
    pub(crate) fn in_buffer(n: usize, buffer: u16) -> Outcome {
        Outcome { code: n as i64, buffer: u32::from(buffer) }
    }

    #[inline]
    pub(crate) fn error(errno: i32) -> Outcome {
        Outcome { code: -i64::from(errno), buffer: NO_BUFFER }
    }

    pub(crate) fn refused(refusal: Refusal) -> Outcome {
        Outcome { code: REFUSALS - refusal as i64, buffer: NO_BUFFER }
    }

    /// The count or descriptor.
    #[inline]
    pub(crate) fn value(self) -> Option<usize> {
        usize::try_from(self.code).ok()
    }

    /// The error number, if it is the system's.
    #[inline]
    pub(crate) fn errno(self) -> Option<i32> {
        (self.code < 0 && self.code > REFUSALS).then_some(-self.code as i32)
    }

    /// No bytes and no descriptor: an end of the stream, a call that only succeeds, an error.
    #[inline]
    pub(crate) fn is_empty(self) -> bool {
        self.code <= 0
    }

    #[inline]
    pub(crate) fn is_error(self) -> bool {
        self.code < 0
    }

    #[inline]
    pub(crate) fn buffer(self) -> Option<u16> {
        (self.buffer != NO_BUFFER).then_some(self.buffer as u16)
    }

    /// As the user gets it.
    #[inline]
    pub(crate) fn result(self) -> io::Result<usize> {
        if self.code >= 0 { Ok(self.code as usize) } else { Err(self.to_error()) }
    }

    #[cold]
    fn to_error(self) -> io::Error {
        match self.errno() {
            Some(errno) => io::Error::from_raw_os_error(errno),
            None => Refusal::ALL[(REFUSALS - self.code) as usize].into(),
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
}
