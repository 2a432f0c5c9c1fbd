//! The names of numbers, as the manual has them.

use io_uring::opcode;

/// The names of the bits that are set, joined with `|`; what has no name comes last, as a number.
pub(super) fn flags(bits: u64, names: &[(u64, &str)]) -> String {
    let mut left = bits;
    let mut found = Vec::new();
    for &(bit, name) in names {
        if bit != 0 && left & bit == bit {
            left &= !bit;
            found.push(name.to_owned());
        }
    }
    if left != 0 || found.is_empty() {
        found.push(if left == 0 { "0".to_owned() } else { format!("{left:#x}") });
    }
    found.join("|")
}

pub(super) const EPOLL: &[(u64, &str)] = &[
    (libc::EPOLLIN as u64, "IN"),
    (libc::EPOLLOUT as u64, "OUT"),
    (libc::EPOLLPRI as u64, "PRI"),
    (libc::EPOLLRDHUP as u64, "RDHUP"),
    (libc::EPOLLERR as u64, "ERR"),
    (libc::EPOLLHUP as u64, "HUP"),
    (libc::EPOLLET as u32 as u64, "ET"),
    (libc::EPOLLONESHOT as u64, "ONESHOT"),
];

pub(super) const POLL: &[(u64, &str)] = &[
    (libc::POLLIN as u64, "IN"),
    (libc::POLLPRI as u64, "PRI"),
    (libc::POLLOUT as u64, "OUT"),
    (libc::POLLERR as u64, "ERR"),
    (libc::POLLHUP as u64, "HUP"),
];

pub(super) const MESSAGE: &[(u64, &str)] = &[
    (libc::MSG_DONTWAIT as u64, "DONTWAIT"),
    (libc::MSG_NOSIGNAL as u64, "NOSIGNAL"),
    (libc::MSG_PEEK as u64, "PEEK"),
];

/// eventfd(2), epoll_create1(2).
pub(super) const OPEN: &[(u64, &str)] = &[(libc::O_NONBLOCK as u64, "NONBLOCK"), (libc::O_CLOEXEC as u64, "CLOEXEC")];

/// An open file's flags, as far as they say how calls on it behave.
pub(super) fn status(bits: u64) -> String {
    const STATUS: &[(u64, &str)] = &[(libc::O_RDWR as u64, "RDWR"), (libc::O_NONBLOCK as u64, "NONBLOCK")];
    flags(bits & (libc::O_RDWR | libc::O_NONBLOCK) as u64, STATUS)
}

/// io_uring_setup(2).
pub(super) const SET_UP: &[(u64, &str)] = &[
    (1 << 0, "IOPOLL"),
    (1 << 1, "SQPOLL"),
    (1 << 3, "CQSIZE"),
    (1 << 4, "CLAMP"),
    (1 << 6, "R_DISABLED"),
    (1 << 7, "SUBMIT_ALL"),
    (1 << 8, "COOP_TASKRUN"),
    (1 << 9, "TASKRUN_FLAG"),
    (1 << 12, "SINGLE_ISSUER"),
    (1 << 13, "DEFER_TASKRUN"),
    (1 << 16, "NO_SQARRAY"),
];

/// io_uring_enter(2).
pub(super) const ENTER: &[(u64, &str)] = &[
    (1 << 0, "GETEVENTS"),
    (1 << 1, "SQ_WAKEUP"),
    (1 << 3, "EXT_ARG"),
    (1 << 4, "REGISTERED_RING"),
    (1 << 7, "NO_IOWAIT"),
];

/// io_uring_register(2): the requests that the library makes.
pub(super) fn register(request: u64) -> String {
    match request {
        8 => "REGISTER_PROBE".to_owned(),
        22 => "REGISTER_PBUF_RING".to_owned(),
        23 => "UNREGISTER_PBUF_RING".to_owned(),
        other => other.to_string(),
    }
}

/// The operation of a submission entry.
pub(super) fn operation(code: u8) -> String {
    let known = [
        (opcode::Nop::CODE, "NOP"),
        (opcode::Recv::CODE, "RECV"),
        (opcode::Read::CODE, "READ"),
        (opcode::Send::CODE, "SEND"),
        (opcode::PollAdd::CODE, "POLL_ADD"),
        (opcode::AsyncCancel::CODE, "ASYNC_CANCEL"),
        (opcode::Close::CODE, "CLOSE"),
        (opcode::Accept::CODE, "ACCEPT"),
        (opcode::Timeout::CODE, "TIMEOUT"),
    ];
    let name = known.iter().find(|(known, _)| *known == code);
    name.map_or_else(|| format!("operation {code}"), |(_, name)| (*name).to_owned())
}

/// A level and option of getsockopt(2).
pub(super) fn socket_option(level: u64, option: u64) -> String {
    if level != libc::SOL_SOCKET as u64 {
        return format!("level {level}, option {option}");
    }
    match option as i32 {
        libc::SO_TYPE => "SO_TYPE".to_owned(),
        libc::SO_DOMAIN => "SO_DOMAIN".to_owned(),
        libc::SO_PROTOCOL => "SO_PROTOCOL".to_owned(),
        libc::SO_ACCEPTCONN => "SO_ACCEPTCONN".to_owned(),
        libc::SO_ERROR => "SO_ERROR".to_owned(),
        other => format!("SOL_SOCKET, option {other}"),
    }
}

pub(super) fn control(command: u64) -> String {
    match command as i32 {
        libc::F_GETFL => "F_GETFL".to_owned(),
        libc::F_SETFL => "F_SETFL".to_owned(),
        libc::F_DUPFD_CLOEXEC => "F_DUPFD_CLOEXEC".to_owned(),
        other => other.to_string(),
    }
}
