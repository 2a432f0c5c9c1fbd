//! An operation as the backends see it: which call, with which pointers and lengths.
//!
//! The typed front ([`crate::op`]) lowers to this; each backend has one `match` over it. It is plain
//! data: the pointers are into the operation's payload or scratch, which stay in place until the
//! operation has come back, so a backend may use them from `start` to the final event.

use crate::error::{self, Refusal};
use crate::outcome::Outcome;
use crate::scratch::Scratch;
use crate::sys::{NativePath, OpenHow, Raw};
use bitflags::bitflags;
use std::net::Shutdown;

/// The largest transfer that one call is asked for; longer ones are short transfers. (Linux moves
/// at most 0x7fff_f000 bytes a call: read(2), "Notes".)
pub(crate) const MAX_TRANSFER: usize = 0x7fff_f000;

/// Direction of data, as readiness has it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Direction {
    Read,
    Write,
}

bitflags! {
    /// What has to be there for an operation, one of them at most. An object has bytes or connections; a read of the other is
    /// refused, and is to be tried for that.
    #[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
    pub(crate) struct Needs: u8 {
        const BYTES = 1;
        const CONNECTIONS = 2;
        /// For bytes that are sent.
        const ROOM = 4;
        const ANY_READ = Self::BYTES.bits() | Self::CONNECTIONS.bits();
    }
}

/// The operations.
#[derive(Clone, Copy, Debug)]
pub(crate) enum RawOp {
    Nop,
    /// Lives in the port's wheel and reaches no backend. Its time is its result, unless an earlier
    /// deadline was set on it: then `overruled`, and that time is `TimedOut`.
    Timer {
        overruled: bool,
    },
    Accept {
        multi: bool,
    },
    /// `begun`: the call was made and its outcome is still to come (a reactor's note).
    Connect {
        scratch: *mut Scratch,
        #[cfg_attr(windows, expect(dead_code, reason = "nothing is tried there"))]
        begun: bool,
    },
    Recv {
        buf: *mut u8,
        len: usize,
    },
    Send {
        buf: *const u8,
        len: usize,
        all: bool,
    },
    RecvMsg {
        scratch: *mut Scratch,
    },
    SendMsg {
        scratch: *mut Scratch,
    },
    /// What is to be sent is in the scratch.
    SendFile {
        scratch: *mut Scratch,
    },
    /// A send-file meanwhile: the blocking pool reads what is to be sent next.
    Bring {
        scratch: *mut Scratch,
    },
    RecvPooled {
        multi: bool,
    },
    /// The sender's name goes to the scratch.
    RecvFromPooled {
        scratch: *mut Scratch,
    },
    /// The sender's name goes to the front of each buffer.
    RecvFromPooledMulti,
    Shutdown {
        how: Shutdown,
    },
    Ready {
        direction: Direction,
    },
    Open {
        path: *const NativePath,
        how: OpenHow,
    },
    ReadAt {
        buf: *mut u8,
        len: u32,
        offset: u64,
    },
    WriteAt {
        buf: *const u8,
        len: u32,
        offset: u64,
    },
    Sync {
        #[cfg_attr(windows, expect(dead_code, reason = "a flush there is of everything"))]
        data: bool,
    },
    /// Metadata of the path, or of the handle when `path` is null, into the scratch.
    Stat {
        path: *const NativePath,
        scratch: *mut Scratch,
    },
    /// Closes the object, which the port has taken out of its handle (none before that).
    Close {
        object: Raw,
    },
    /// Runs the closure in the payload on the blocking pool.
    Call {
        run: unsafe fn(*mut u8),
        payload: *mut u8,
    },
}

/// The queues of a handle. The operations of the first four take effect one after the other, in the
/// order of submission: only the head of each is with the backend. Those in `Free` run side by side.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(crate) enum Lane {
    Read,
    Write,
    Readable,
    Writable,
    Free,
}

/// Number of lanes.
pub(crate) const LANES: usize = 5;

impl Lane {
    #[cfg(target_os = "linux")]
    pub(crate) fn is_write(self) -> bool {
        matches!(self, Lane::Write | Lane::Writable)
    }

    /// Its place in a set of lanes.
    pub(crate) const fn bit(self) -> u8 {
        1 << self as u8
    }

    /// The first lane of a set.
    #[cfg_attr(windows, expect(dead_code, reason = "nothing is tried there"))]
    #[inline(always)]
    pub(crate) fn first_of(set: u8) -> Option<Lane> {
        match set.trailing_zeros() {
            0 => Some(Lane::Read),
            1 => Some(Lane::Write),
            2 => Some(Lane::Readable),
            3 => Some(Lane::Writable),
            4 => Some(Lane::Free),
            _ => None,
        }
    }

    pub(crate) const ALL: [Lane; LANES] = [Lane::Read, Lane::Write, Lane::Readable, Lane::Writable, Lane::Free];
}

impl RawOp {
    #[inline(always)]
    pub(crate) fn lane(&self) -> Lane {
        match self {
            RawOp::Accept { .. }
            | RawOp::Recv { .. }
            | RawOp::RecvMsg { .. }
            | RawOp::RecvPooled { .. }
            | RawOp::RecvFromPooled { .. }
            | RawOp::RecvFromPooledMulti => Lane::Read,
            RawOp::Connect { .. }
            | RawOp::Send { .. }
            | RawOp::SendMsg { .. }
            | RawOp::SendFile { .. }
            | RawOp::Bring { .. } => Lane::Write,
            // What was sent before goes out before the direction is shut; a shutdown of receiving
            // must not wait behind the receive that it is to end.
            RawOp::Shutdown { how } => {
                if *how == Shutdown::Read {
                    Lane::Free
                } else {
                    Lane::Write
                }
            }
            RawOp::Ready { direction: Direction::Read } => Lane::Readable,
            RawOp::Ready { direction: Direction::Write } => Lane::Writable,
            _ => Lane::Free,
        }
    }

    /// What it takes or fills. (A connect and a shutdown need no room.)
    #[inline(always)]
    pub(crate) fn needs(&self) -> Needs {
        match self {
            RawOp::Accept { .. } => Needs::CONNECTIONS,
            _ if self.receives() => Needs::BYTES,
            _ if self.sends() => Needs::ROOM,
            _ => Needs::empty(),
        }
    }

    /// True when it takes bytes in.
    #[inline(always)]
    pub(crate) fn receives(&self) -> bool {
        matches!(self, RawOp::Recv { .. } | RawOp::RecvMsg { .. }) || self.is_pooled()
    }

    /// True when it takes them into a buffer of a pool.
    #[inline(always)]
    pub(crate) fn is_pooled(&self) -> bool {
        matches!(self, RawOp::RecvPooled { .. } | RawOp::RecvFromPooled { .. } | RawOp::RecvFromPooledMulti)
    }

    /// True when it moves data out.
    #[inline(always)]
    pub(crate) fn sends(&self) -> bool {
        matches!(self, RawOp::Send { .. } | RawOp::SendMsg { .. } | RawOp::SendFile { .. })
    }

    /// True for what takes more than a place in its lane to be submitted.
    #[inline(always)]
    pub(crate) fn is_special(&self) -> bool {
        matches!(self, RawOp::Close { .. } | RawOp::Connect { .. } | RawOp::SendFile { .. })
    }

    /// True for what may have more than one event.
    #[inline(always)]
    pub(crate) fn is_composite(&self) -> bool {
        matches!(
            self,
            RawOp::Accept { multi: true }
                | RawOp::Connect { .. }
                | RawOp::Send { all: true, .. }
                | RawOp::RecvPooled { multi: true }
                | RawOp::RecvFromPooledMulti
                | RawOp::SendFile { .. }
                | RawOp::Bring { .. }
        )
    }

    /// True for what results in an object or a buffer, where others result in a count.
    #[inline(always)]
    pub(crate) fn results_in_more(&self) -> bool {
        matches!(self, RawOp::Accept { .. } | RawOp::Open { .. }) || self.is_pooled()
    }

    /// True when one submission has many completions.
    pub(crate) fn is_multi(&self) -> bool {
        matches!(self, RawOp::Accept { multi: true } | RawOp::RecvPooled { multi: true } | RawOp::RecvFromPooledMulti)
    }

    /// True when a multishot operation has more to come after this: a connection, bytes, or a datagram with its sender,
    /// which may be empty. (No buffer at all is the end of the stream.)
    pub(crate) fn goes_on_after(&self, outcome: Outcome) -> bool {
        match self {
            RawOp::Accept { multi: true } => !outcome.is_error(),
            RawOp::RecvPooled { multi: true } | RawOp::RecvFromPooledMulti => outcome.buffer().is_some(),
            _ => false,
        }
    }

    /// True for errors after which the port tries again by itself: no result of an operation that was given up.
    pub(crate) fn is_retried_after(&self, errno: i32) -> bool {
        match self {
            _ if self.is_pooled() => errno == error::NO_BUFFER,
            RawOp::Accept { multi: true } => error::is_lost_connection(errno) || error::is_exhaustion(errno),
            RawOp::SendFile { .. } => errno == error::NOT_AT_HAND || error::would_block(errno),
            RawOp::Connect { .. } | RawOp::Send { .. } | RawOp::SendMsg { .. } | RawOp::Ready { .. } => {
                error::would_block(errno)
            }
            _ => false,
        }
    }

    /// A receive, refused when its buffer has no room: its 0 would look like an end of stream.
    pub(crate) fn recv(buf: *mut u8, room: usize) -> Result<RawOp, Refusal> {
        if room == 0 {
            return Err(Refusal::NoRoom);
        }
        Ok(RawOp::Recv { buf, len: room })
    }

    pub(crate) fn read_at(buf: *mut u8, room: usize, offset: u64) -> Result<RawOp, Refusal> {
        if room == 0 {
            return Err(Refusal::NoRoom);
        }
        let len = room.min(MAX_TRANSFER) as u32;
        Ok(RawOp::ReadAt { buf, len, offset: check(offset)? })
    }

    pub(crate) fn write_at(buf: *const u8, len: usize, offset: u64) -> Result<RawOp, Refusal> {
        let len = len.min(MAX_TRANSFER) as u32;
        Ok(RawOp::WriteAt { buf, len, offset: check(offset)? })
    }
}

/// Checks a file offset: the system's are signed.
pub(super) fn check(offset: u64) -> Result<u64, Refusal> {
    if offset > i64::MAX as u64 { Err(Refusal::Offset) } else { Ok(offset) }
}
