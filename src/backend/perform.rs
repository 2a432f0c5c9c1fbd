//! What each operation becomes as a plain system call: the table of the reactors and of the blocking
//! pool, and of io_uring for what a kernel's ring cannot do.
//!
//! [`perform`] never blocks: it is called on descriptors that were made non-blocking or with
//! `MSG_DONTWAIT`, and answers `WouldBlock`. [`perform_blocking`] may block: it runs on a pool thread.

use super::destination::{Destination, take};
use super::quirks;
use super::send_file::{bring, send_next};
use crate::buf::pool::Pool;
use crate::buf::sender::Sender;
use crate::handle::Kind;
use crate::op::raw::{Direction, MAX_TRANSFER, RawOp};
use crate::outcome::Outcome;
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::retry_on_intr;
use rustix::net::SendFlags;
use std::hint::cold_path;
use std::io;
use std::net::Shutdown;
use std::os::fd::{AsRawFd, BorrowedFd, IntoRawFd, RawFd};

/// From a system call of rustix.
impl From<rustix::io::Result<usize>> for Outcome {
    #[inline]
    fn from(result: rustix::io::Result<usize>) -> Outcome {
        match result {
            Ok(n) => Outcome::done(n),
            Err(errno) => Outcome::error(errno.raw_os_error()),
        }
    }
}

/// Makes the call, again when a signal interrupts it.
#[inline(always)]
pub(super) fn again(call: impl FnMut() -> rustix::io::Result<usize>) -> Outcome {
    retry_on_intr(call).into()
}

/// As [`again`], for a call of the C library that answers -1 and `errno`.
#[inline]
pub(super) fn again_c(mut call: impl FnMut() -> isize) -> Outcome {
    loop {
        match usize::try_from(call()) {
            Ok(n) => return Outcome::done(n),
            Err(_) => match io::Error::last_os_error() {
                error if error.kind() == io::ErrorKind::Interrupted => {}
                error => return error.into(),
            },
        }
    }
}

/// # Safety
/// As for the `RawOp`s: `buf` is valid for reads of `len` bytes, and nobody writes to it.
unsafe fn bytes<'a>(buf: *const u8, len: usize) -> &'a [u8] {
    // SAFETY: the caller's.
    unsafe { std::slice::from_raw_parts(buf, len.min(MAX_TRANSFER)) }
}

/// Receives into the buffers of a header. For one of them there is a call that takes no header, which the kernel would
/// have to fetch and check.
fn receive_message(fd: BorrowedFd<'_>, header: &mut libc::msghdr) -> Outcome {
    let (fd, flags) = (fd.as_raw_fd(), libc::MSG_DONTWAIT);
    if header.msg_iovlen != 1 {
        // SAFETY: the header points to the payload's buffers and to the scratch, which stay in place (`perform`).
        return again_c(|| unsafe { libc::recvmsg(fd, header, flags) });
    }
    // SAFETY: as above; the list has one entry.
    let libc::iovec { iov_base, iov_len } = unsafe { *header.msg_iov };
    let (name, length) = (header.msg_name.cast(), &raw mut header.msg_namelen);
    // SAFETY: as above; the length is that of the room for the name, where there is one.
    again_c(|| unsafe { libc::recvfrom(fd, iov_base, iov_len, flags, name, length) })
}

/// Sends from the buffers of a header; for one of them as above.
fn send_message(fd: BorrowedFd<'_>, header: &libc::msghdr) -> Outcome {
    let (fd, flags) = (fd.as_raw_fd(), libc::MSG_DONTWAIT | quirks::NO_SIGNAL.bits() as i32);
    if header.msg_iovlen != 1 {
        // SAFETY: as in `receive_message`.
        return again_c(|| unsafe { libc::sendmsg(fd, header, flags) });
    }
    // SAFETY: as in `receive_message`.
    let libc::iovec { iov_base, iov_len } = unsafe { *header.msg_iov };
    let (name, length) = (header.msg_name.cast(), header.msg_namelen);
    // SAFETY: as in `receive_message`.
    again_c(|| unsafe { libc::sendto(fd, iov_base, iov_len, flags, name, length) })
}

fn shutdown_how(how: Shutdown) -> rustix::net::Shutdown {
    match how {
        Shutdown::Read => rustix::net::Shutdown::Read,
        Shutdown::Write => rustix::net::Shutdown::Write,
        Shutdown::Both => rustix::net::Shutdown::Both,
    }
}

/// Is the descriptor ready for this direction? (poll(2) with a time-out of 0.)
pub(super) fn is_ready(fd: BorrowedFd<'_>, direction: Direction) -> bool {
    readiness(fd, direction).value().is_some()
}

/// The same as the outcome of an operation: `EAGAIN` if it is not.
fn readiness(fd: BorrowedFd<'_>, direction: Direction) -> Outcome {
    let flags = match direction {
        Direction::Read => PollFlags::IN,
        Direction::Write => PollFlags::OUT,
    };
    let mut fds = [PollFd::from_borrowed_fd(fd, flags)];
    match again(|| rustix::event::poll(&mut fds, Some(&Timespec::default()))) {
        none if none.value() == Some(0) => Outcome::error(libc::EAGAIN),
        found => found,
    }
}

/// Sends from a lent buffer on a socket.
///
/// # Safety
/// As for the `RawOp`s: `buf` is valid for reads of `len` bytes, and nobody writes to it.
#[inline(always)]
pub(super) unsafe fn send(fd: BorrowedFd<'_>, buf: *const u8, len: usize) -> Outcome {
    // SAFETY: the caller's.
    let bytes = unsafe { bytes(buf, len) };
    again(|| rustix::net::send(fd, bytes, SendFlags::DONTWAIT | quirks::NO_SIGNAL))
}

/// What a socket's send came to. A datagram for which there is no room at the receiver is to wait, whatever the system's
/// word for that.
#[inline(always)]
pub(super) fn sent(kind: Kind, outcome: Outcome) -> Outcome {
    let is_full = quirks::FULL != libc::EAGAIN && kind == Kind::Datagram && outcome.errno() == Some(quirks::FULL);
    if is_full { Outcome::error(libc::EAGAIN) } else { outcome }
}

/// Starts a connect, or (`begun`) asks how it went.
fn connect(fd: BorrowedFd<'_>, scratch: *const crate::scratch::Scratch, begun: &mut bool) -> Outcome {
    if *begun && let Ok(Err(errno)) | Err(errno) = rustix::net::sockopt::socket_error(fd) {
        return Outcome::error(errno.raw_os_error());
    }
    // SAFETY: the scratch lives in the operation's payload, which the caller keeps in place.
    let (name, len) = unsafe { (*scratch).name() };
    // SAFETY: `name` is valid for `len` bytes, as just said.
    let outcome = again_c(|| unsafe { libc::connect(fd.as_raw_fd(), name, len) as isize });
    match outcome.errno() {
        Some(libc::EINPROGRESS) => {
            *begun = true;
            Outcome::error(libc::EAGAIN)
        }
        // An edge can be older than the connect: no error may mean that it is still on its way. And asked
        // again, it takes its success up, which a later connect would be told instead of EISCONN.
        Some(libc::EALREADY) if *begun => Outcome::error(libc::EAGAIN),
        Some(libc::EISCONN) if *begun => Outcome::done(0),
        _ => outcome,
    }
}

/// What a call came to.
pub(crate) struct Performed {
    pub(crate) outcome: Outcome,
    /// It moved fewer bytes than it was asked for.
    pub(crate) short: bool,
}

/// Receives into a buffer of the pool, with the sender's name. A datagram keeps its buffer though it is empty if `keeps`
/// says so.
fn receive_from(
    fd: BorrowedFd<'_>,
    pool: &Pool,
    name: impl FnOnce(u16) -> (*mut libc::sockaddr, *mut libc::socklen_t),
    keeps: impl FnOnce(u16) -> bool,
) -> Outcome {
    let index = match take(pool) {
        Ok(index) => index,
        Err(outcome) => return outcome,
    };
    let (address, size) = pool.room(index);
    let (name, len) = name(index);
    let fd = fd.as_raw_fd();
    // SAFETY: the pool has just given this buffer out, to nobody but this call; the name's room is as long as is said there.
    let outcome = again_c(|| unsafe { libc::recvfrom(fd, address.cast(), size, libc::MSG_DONTWAIT, name, len) });
    match outcome.value() {
        Some(n) if n > 0 || keeps(index) => Outcome::in_buffer(n, index),
        _ => {
            pool.give_back(index);
            outcome
        }
    }
}

/// Receives a datagram of many: the name goes to the front of its buffer.
fn receive_named(fd: BorrowedFd<'_>, kind: Kind, pool: &Pool) -> Outcome {
    let name = |index| {
        // SAFETY: the buffer has just been taken, with what is in front of it.
        let (name, len) = unsafe { Sender::expect(pool.sender(index)) };
        (name.cast(), len)
    };
    // SAFETY: as above; the call is over.
    receive_from(fd, pool, name, |index| is_datagram(fd, kind, unsafe { &*pool.sender(index) }))
}

/// Whether an empty receive has had a datagram, and not found an end.
pub(super) fn is_datagram(fd: BorrowedFd<'_>, kind: Kind, sender: &Sender) -> bool {
    kind == Kind::Datagram && (sender.address().len() > 0 || quirks::has_unnamed_senders(fd))
}

/// Carries `raw` out on `fd` if that is possible at once; `EAGAIN` if not. An empty pool is `ENOBUFS`.
// The calls of a busy stream are inlined into the reactor's loops: the kernel's own calls probably push out what the
// processor remembers of ours, so that it foresees no return that follows a system call (samples pile up behind them).
#[inline(always)]
pub(crate) fn perform(raw: &mut RawOp, fd: BorrowedFd<'_>, kind: Kind, pool: &Pool) -> Performed {
    match *raw {
        RawOp::Recv { buf, len } => {
            // SAFETY: as said in `perform_seldom`.
            unsafe { Destination::lent(buf, len).receive(fd, kind, pool) }
        }
        RawOp::RecvPooled { .. } => match Destination::taken(pool) {
            // SAFETY: nothing was lent.
            Ok(buffer) => unsafe { buffer.receive(fd, kind, pool) },
            Err(outcome) => Performed { outcome, short: false },
        },
        RawOp::Send { buf, len, .. } if kind.is_socket() => {
            // SAFETY: as said in `perform_seldom`.
            let outcome = unsafe { send(fd, buf, len) };
            Performed { outcome: sent(kind, outcome), short: outcome.count() < len }
        }
        _ => {
            cold_path();
            Performed { outcome: perform_seldom(raw, fd, kind, pool), short: false }
        }
    }
}

/// The same for the other operations.
#[inline(never)]
fn perform_seldom(raw: &mut RawOp, fd: BorrowedFd<'_>, kind: Kind, pool: &Pool) -> Outcome {
    // SAFETY (of each block below): pointers in a RawOp lead into its payload, which stays in place
    // and is nobody else's until the operation is over (slot.rs, the list of states).
    match *raw {
        RawOp::Nop => Outcome::done(0),
        RawOp::Accept { .. } => match quirks::accept(fd) {
            Ok(fd) => Outcome::done(fd.into_raw_fd() as usize),
            Err(error) => error.into(),
        },
        RawOp::Connect { scratch, ref mut begun } => connect(fd, scratch, begun),
        RawOp::Send { buf, len, .. } => {
            // SAFETY: see above.
            let bytes = unsafe { bytes(buf, len) };
            let buffer = libc::iovec { iov_base: buf.cast_mut().cast(), iov_len: bytes.len() };
            quirks::write_without_signal(fd, &raw const buffer, 1)
        }
        RawOp::RecvMsg { scratch } => {
            // SAFETY: see above; the header points to the payload's buffers.
            let scratch = unsafe { &mut *scratch };
            if kind.is_socket() {
                return receive_message(fd, &mut scratch.header);
            }
            let (list, count) = scratch.iovecs();
            // SAFETY: as above.
            again_c(|| unsafe { libc::readv(fd.as_raw_fd(), list, count as _) })
        }
        RawOp::RecvFromPooled { scratch } => {
            // SAFETY: see above.
            let scratch = unsafe { &mut *scratch };
            receive_from(fd, pool, |_| scratch.name_mut(), |_| false)
        }
        RawOp::RecvFromPooledMulti => receive_named(fd, kind, pool.named()),
        RawOp::SendMsg { scratch } => {
            // SAFETY: see above; the header points to the payload's buffers.
            let scratch = unsafe { &mut *scratch };
            if kind.is_socket() {
                return sent(kind, send_message(fd, &scratch.header));
            }
            let (list, count) = scratch.iovecs();
            quirks::write_without_signal(fd, list, count)
        }
        // SAFETY: see above.
        RawOp::SendFile { scratch } => unsafe { send_next(fd, &(*scratch).part) },
        RawOp::Shutdown { how } => again(|| rustix::net::shutdown(fd, shutdown_how(how)).map(|()| 0)),
        RawOp::Ready { direction } => readiness(fd, direction),
        RawOp::Recv { .. } | RawOp::RecvPooled { .. } => unreachable!("{raw:?} is `perform`'s own"),
        RawOp::Timer { .. }
        | RawOp::Open { .. }
        | RawOp::Bring { .. }
        | RawOp::ReadAt { .. }
        | RawOp::WriteAt { .. }
        | RawOp::Sync { .. }
        | RawOp::Stat { .. }
        | RawOp::Close { .. }
        | RawOp::Call { .. } => unreachable!("{raw:?} is not tried on the port's thread"),
    }
}

/// Closes a descriptor. Even when it reports an error, the descriptor is gone.
pub(crate) fn close(fd: RawFd) -> Outcome {
    // SAFETY: the port took the descriptor out of its handle for this call alone.
    match unsafe { libc::close(fd) } {
        0 => Outcome::done(0),
        _ => match io::Error::last_os_error() {
            // Interrupted: closed all the same (close(2), "Dealing with error returns").
            error if error.kind() == io::ErrorKind::Interrupted => Outcome::done(0),
            error => error.into(),
        },
    }
}

/// Carries `raw` out, however long it takes, on `fd` (-1 where it has none).
///
/// # Safety
/// The pointers in `raw` are valid, and nobody else's, until the call returns.
pub(crate) unsafe fn perform_blocking(raw: &RawOp, fd: RawFd) -> Outcome {
    match *raw {
        RawOp::Open { path, how } => {
            // SAFETY: the caller's.
            again_c(|| unsafe { libc::open(path, how.flags, how.mode as libc::c_uint) as isize })
        }
        RawOp::ReadAt { buf, len, offset } => {
            // SAFETY: the caller's.
            again_c(|| unsafe { libc::pread(fd, buf.cast(), len as usize, offset as libc::off_t) })
        }
        RawOp::WriteAt { buf, len, offset } => {
            // SAFETY: the caller's.
            again_c(|| unsafe { libc::pwrite(fd, buf.cast(), len as usize, offset as libc::off_t) })
        }
        RawOp::Recv { buf, len } => {
            // SAFETY: the caller's.
            again_c(|| unsafe { libc::read(fd, buf.cast(), len.min(MAX_TRANSFER)) })
        }
        RawOp::Send { buf, len, .. } => {
            // SAFETY: the caller's.
            again_c(|| unsafe { libc::write(fd, buf.cast(), len.min(MAX_TRANSFER)) })
        }
        RawOp::RecvMsg { scratch } => {
            // SAFETY: the caller's.
            let (list, count) = unsafe { (*scratch).iovecs() };
            // SAFETY: the caller's.
            again_c(|| unsafe { libc::readv(fd, list, count as _) })
        }
        RawOp::SendMsg { scratch } => {
            // SAFETY: the caller's.
            let (list, count) = unsafe { (*scratch).iovecs() };
            // SAFETY: the caller's.
            again_c(|| unsafe { libc::writev(fd, list, count as _) })
        }
        // SAFETY: the caller's.
        RawOp::Bring { scratch } => bring(unsafe { &mut (*scratch).part }),
        RawOp::Sync { data } => quirks::sync(fd, data),
        RawOp::Stat { path, scratch } => {
            // SAFETY: the caller's.
            unsafe { quirks::stat(fd, path, &mut *scratch) }
        }
        RawOp::Call { run, payload } => {
            // SAFETY: the caller's; `run` is the one that was made for this payload's type.
            unsafe { run(payload) };
            Outcome::done(0)
        }
        _ => unreachable!("{raw:?} does not need the blocking pool"),
    }
}
