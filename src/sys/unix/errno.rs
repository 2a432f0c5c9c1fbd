//! Error numbers of a Unix, by what they mean to the port.

/// The number that says "cancelled".
pub(crate) const CANCELLED: i32 = libc::ECANCELED;

/// The number that says "the deadline passed".
pub(crate) const TIMED_OUT: i32 = libc::ETIMEDOUT;

/// The pool of receive buffers is empty; the port waits for one instead of reporting this.
pub(crate) const NO_BUFFER: i32 = libc::ENOBUFS;

/// What is to be sent of a file has to be read first; the port has the blocking pool do that instead of reporting this.
pub(crate) const NOT_AT_HAND: i32 = libc::EBUSY;

/// The connection could not be made, so there is none.
pub(crate) const NOT_CONNECTED: i32 = libc::ENOTCONN;

/// Something failed that has no number.
pub(crate) const OTHER: i32 = libc::EIO;

/// The call would have blocked.
pub(crate) fn would_block(errno: i32) -> bool {
    errno == libc::EAGAIN || errno == libc::EWOULDBLOCK
}

/// The connection broke: there is none any more.
pub(crate) fn is_broken(errno: i32) -> bool {
    matches!(errno, libc::ECONNRESET | libc::ECONNABORTED | libc::ETIMEDOUT)
}

/// There is no connection, because it could not be made.
pub(crate) fn is_unreached(errno: i32) -> bool {
    is_broken(errno) || matches!(errno, libc::ECONNREFUSED | libc::EHOSTUNREACH | libc::ENETUNREACH)
}

/// How a receive on a Unix socket says that it is not connected; from a stream socket it means nothing else.
pub(crate) fn is_unconnected(errno: i32) -> bool {
    errno == libc::EINVAL
}

/// The system is out of something that comes back (descriptors, memory): worth another try later.
pub(crate) fn is_exhaustion(errno: i32) -> bool {
    matches!(errno, libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM)
}

/// An accept error that concerns only the one connection that was lost before it was accepted.
pub(crate) fn is_lost_connection(errno: i32) -> bool {
    matches!(errno, libc::ECONNABORTED | libc::EPROTO | libc::EPERM)
}
