//! What can be done to an object or a process on Linux alone.

use std::io::{PipeReader, PipeWriter};

use std::time::Duration;

use rustix::thread::{CapabilitySet, UnshareFlags, gettid, unshare_unsafe};
use socket2::Socket;

use super::{pipe, without_capabilities};
use crate::support::skip::skip_elsewhere;

/// System calls by their numbers, for [`forbid`](super::forbid).
pub(crate) const IO_URING_ENTER: libc::c_long = libc::SYS_io_uring_enter;
pub(crate) const PWRITEV2: libc::c_long = libc::SYS_pwritev2;

/// Where a process sees its own descriptors.
pub(crate) const OWN_DESCRIPTORS: &str = "/proc/self/fd";

/// The number of this thread in `/proc/self/task`.
pub(crate) fn thread_number() -> i32 {
    gettid().as_raw_nonzero().get()
}

/// Runs `body` in a thread that may open only what its user may, as whoever is no administrator.
pub(crate) fn without_power_over_files<T: Send>(body: impl FnOnce() -> T + Send) -> T {
    without_capabilities(CapabilitySet::DAC_OVERRIDE | CapabilitySet::DAC_READ_SEARCH, body)
}

/// Gives the process a network of its own, in which not even loopback is up. For isolated trials.
pub(crate) fn leave_the_network() {
    // SAFETY: the process has one thread, which loses nothing that others rely on.
    if let Err(error) = unsafe { unshare_unsafe(UnshareFlags::NEWUSER | UnshareFlags::NEWNET) } {
        skip_elsewhere(format!("no network namespace may be made here: {error}"));
    }
}

/// Has the system give a connection up that is not made soon.
pub(crate) fn give_up_soon(socket: &Socket) {
    socket.set_tcp_user_timeout(Some(Duration::from_millis(1))).expect("TCP_USER_TIMEOUT");
}

/// Holds small pieces back until they are let go together.
pub(crate) fn cork(socket: &Socket, on: bool) {
    socket.set_tcp_cork(on).expect("TCP_CORK");
}

/// A pipe that holds little.
pub(crate) fn small_pipe() -> (PipeReader, PipeWriter) {
    let (read_end, write_end) = pipe();
    rustix::pipe::fcntl_setpipe_size(&write_end, 4096).expect("F_SETPIPE_SZ");
    (read_end, write_end)
}

/// Has the system forget what it holds of a file in memory; says whether it did. Some file systems hold all of it for
/// good, and none lets go of what is being sent.
pub(crate) fn forget_pages(file: &std::fs::File) -> bool {
    use rustix::fs::{Advice, fadvise};
    use rustix::io::{Errno, ReadWriteFlags, preadv2};
    file.sync_all().expect("fsync");
    fadvise(file, 0, None, Advice::DontNeed).expect("fadvise");
    let byte = &mut [0];
    preadv2(file, &mut [std::io::IoSliceMut::new(byte)], 0, ReadWriteFlags::NOWAIT) == Err(Errno::AGAIN)
}

/// Has a socket hold `len` bytes that nobody has received, whatever the system's limit.
pub(crate) fn hold_much(socket: &std::net::TcpStream, len: u32) {
    use std::os::fd::AsRawFd;
    let (address, size) = ((&raw const len).cast(), size_of_val(&len) as u32);
    // SAFETY: the number is of this frame, and as long as is said.
    let result = unsafe { libc::setsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, libc::SO_SNDBUFFORCE, address, size) };
    if result != 0 {
        skip_elsewhere("only the administrator has a socket hold more than the system's limit");
    }
}
