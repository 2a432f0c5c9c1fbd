//! The table: what each operation becomes as a submission entry (io_uring_enter(2) lists them).

use super::probe::Probe;
use super::registered::Target;
use crate::backend::quirks::{RWF_NOSIGNAL, STATX_MASK, statx_target};
use crate::buf::pool::Pool;
use crate::handle::Kind;
use crate::op::raw::{Direction, MAX_TRANSFER, RawOp};
use io_uring::opcode;
use io_uring::squeue::{Entry, Flags};
use io_uring::types::{Fd, FsyncFlags};
use std::net::Shutdown;
use std::ptr;

/// The buffer groups of the port's pool, and of the pool with names.
pub(super) const GROUP: u16 = 0;
pub(super) const NAMED_GROUP: u16 = 1;

/// "At the current position", for files; pipes and terminals have none.
const HERE: u64 = u64::MAX;

/// The entry of an operation on `target`. The caller has made sure that the ring supports it.
#[inline(always)]
pub(super) fn build(
    raw: &RawOp,
    target: Target,
    kind: Option<Kind>,
    probe: &Probe,
    pool: &Pool,
    named: *const libc::msghdr,
) -> Entry {
    let fd = target.number;
    let on = Fd(fd);
    let socket = kind.is_none_or(Kind::is_socket);
    let no_signal = if kind == Some(Kind::Pipe) { RWF_NOSIGNAL } else { 0 };
    let entry = match *raw {
        RawOp::Nop => nop(),
        RawOp::Recv { buf, len } if socket => opcode::Recv::new(on, buf, cut(len)).build(),
        RawOp::Recv { buf, len } => opcode::Read::new(on, buf, cut(len)).offset(HERE).build(),
        // Not with MSG_WAITALL, by which the kernel itself would go on after a short send: when the connection
        // breaks meanwhile it answers with what was sent so far, and nobody ever learns of the reset (seen on 6.18).
        RawOp::Send { buf, len, .. } if socket => {
            opcode::Send::new(on, buf, cut(len)).flags(libc::MSG_NOSIGNAL | at_once(kind)).build()
        }
        RawOp::Send { buf, len, .. } => opcode::Write::new(on, buf, cut(len)).offset(HERE).rw_flags(no_signal).build(),
        // Receives are tried first, also from a socket that is known to be drained: what is submitted is handed over a batch
        // later, and by then there is often something. Polled first (`IORING_RECVSEND_POLL_FIRST`), an echo of 64
        // connections took more CPU time (by far more than the spread, beside the loop by hand on 6.18).
        RawOp::RecvPooled { multi } if socket && multi && probe.multishot_recv => {
            opcode::RecvMulti::new(on, GROUP).build()
        }
        RawOp::RecvPooled { .. } if socket => {
            opcode::Recv::new(on, ptr::null_mut(), 0).buf_group(GROUP).build().flags(Flags::BUFFER_SELECT)
        }
        RawOp::RecvPooled { .. } => {
            let read = opcode::Read::new(on, ptr::null_mut(), cut(pool.size())).offset(HERE);
            read.buf_group(GROUP).build().flags(Flags::BUFFER_SELECT)
        }
        RawOp::RecvFromPooled { scratch } => {
            // SAFETY: the scratch lives in the operation's payload, which is in place.
            let scratch = unsafe { &mut *scratch };
            scratch.expect_address();
            opcode::RecvMsg::new(on, &mut scratch.header).buf_group(GROUP).build().flags(Flags::BUFFER_SELECT)
        }
        RawOp::RecvFromPooledMulti => opcode::RecvMsgMulti::new(on, named, NAMED_GROUP).build(),
        RawOp::RecvMsg { scratch } => {
            // SAFETY: the scratch lives in the operation's payload, which is in place.
            let scratch = unsafe { &mut *scratch };
            if socket {
                opcode::RecvMsg::new(on, &mut scratch.header).build()
            } else {
                let (list, count) = scratch.iovecs();
                opcode::Readv::new(on, list, count as u32).offset(HERE).build()
            }
        }
        RawOp::SendMsg { scratch } => {
            // SAFETY: the scratch lives in the operation's payload, which is in place.
            let scratch = unsafe { &mut *scratch };
            if socket {
                let flags = libc::MSG_NOSIGNAL | at_once(kind);
                opcode::SendMsg::new(on, &scratch.header).flags(flags as u32).build()
            } else {
                let (list, count) = scratch.iovecs();
                opcode::Writev::new(on, list, count as u32).offset(HERE).rw_flags(no_signal).build()
            }
        }
        RawOp::Accept { multi } if multi && probe.multishot_accept => {
            opcode::AcceptMulti::new(on).flags(libc::SOCK_CLOEXEC).build()
        }
        RawOp::Accept { .. } => {
            opcode::Accept::new(on, ptr::null_mut(), ptr::null_mut()).flags(libc::SOCK_CLOEXEC).build()
        }
        RawOp::Connect { scratch, .. } => {
            // SAFETY: the scratch lives in the operation's payload, which is in place.
            let (name, len) = unsafe { (*scratch).name() };
            opcode::Connect::new(on, name, len).build()
        }
        RawOp::Shutdown { how } => opcode::Shutdown::new(on, shutdown_how(how)).build(),
        RawOp::Ready { direction } => poll(fd, direction),
        RawOp::Open { path, how } => {
            opcode::OpenAt::new(Fd(libc::AT_FDCWD), path).flags(how.flags).mode(how.mode).build()
        }
        RawOp::ReadAt { buf, len, offset } => opcode::Read::new(on, buf, len).offset(offset).build(),
        RawOp::WriteAt { buf, len, offset } => opcode::Write::new(on, buf, len).offset(offset).build(),
        RawOp::Sync { data } => {
            let flags = if data { FsyncFlags::DATASYNC } else { FsyncFlags::empty() };
            opcode::Fsync::new(on).flags(flags).build()
        }
        RawOp::Stat { path, scratch } => {
            let (dir, path, flags) = statx_target(fd, path);
            // SAFETY: the scratch lives in the operation's payload, which is in place.
            let buffer = unsafe { &raw mut (*scratch).statx };
            opcode::Statx::new(Fd(dir), path, buffer.cast()).flags(flags).mask(STATX_MASK).build()
        }
        RawOp::Close { object } => opcode::Close::new(Fd(object)).build(),
        RawOp::Timer { .. } | RawOp::Call { .. } | RawOp::SendFile { .. } | RawOp::Bring { .. } => {
            unreachable!("{raw:?} is not for the ring")
        }
    };
    entry.flags(target.flags)
}

/// The flag with which a ring does not wait until a datagram can be sent: when it tries again, the kernel
/// (seen on 6.18, Unix sockets) has lost the place in the buffer, and sends an empty one.
fn at_once(kind: Option<Kind>) -> i32 {
    if kind == Some(Kind::Datagram) { libc::MSG_DONTWAIT } else { 0 }
}

pub(super) fn nop() -> Entry {
    opcode::Nop::new().build()
}

/// Polls a descriptor once.
pub(super) fn poll(fd: i32, direction: Direction) -> Entry {
    let events = match direction {
        Direction::Read => libc::POLLIN,
        Direction::Write => libc::POLLOUT,
    };
    opcode::PollAdd::new(Fd(fd), events as u32).build()
}

fn cut(len: usize) -> u32 {
    len.min(MAX_TRANSFER) as u32
}

fn shutdown_how(how: Shutdown) -> i32 {
    match how {
        Shutdown::Read => libc::SHUT_RD,
        Shutdown::Write => libc::SHUT_WR,
        Shutdown::Both => libc::SHUT_RDWR,
    }
}
