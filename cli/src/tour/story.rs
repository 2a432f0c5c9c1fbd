//! The words of the tour: what each step is for, and how a backend goes about it.
//!
//! A new backend gets its arms in [`backend`], [`calls`] and, where a step makes no call, [`silence`]. What is called is
//! told from here only where it cannot be seen.

use anyport::Backend;

use super::steps::Step;

/// A step as its heading and the code that does it.
pub(super) fn step(step: Step) -> (&'static str, &'static str) {
    match step {
        Step::Create => ("1  create the queue", "let mut port = Port::builder().backend(backend).build()?;"),
        Step::Join => {
            ("2  a socket joins, and a buffer", "let conn = port.attach(stream)?; let buf = Vec::with_capacity(4096);")
        }
        Step::Lend => ("3  register interest, lending the buffer", "port.submit(op::Recv::new(conn, buf), Token(7));"),
        Step::Wait => ("4  block until something has completed", "port.wait(None)?;"),
        Step::Return => {
            ("5  the buffer is back, filled", "let (result, buf) = port.next().unwrap().unpack::<op::Recv<Vec<u8>>>();")
        }
        Step::Again => ("again: 3 to 5 for the next message", "submit, wait, next"),
    }
}

/// How the backend comes to a completion.
pub(super) fn backend(backend: Backend) -> &'static str {
    match backend {
        Backend::Uring => {
            "io_uring is handed the buffer: the kernel itself receives into it when data comes, and says when that is done. \
             Program and kernel talk through two rings in shared memory, so steps 3 and 5 need no system call."
        }
        Backend::Epoll => {
            "epoll cannot be handed a buffer; it only tells that a socket is ready. So the port tries the receive itself, \
             asks epoll to tell of changes, and tries again when told: the buffer stays with the port until then."
        }
        Backend::Poll => {
            "poll(2) tells about readiness as epoll does, but keeps no list: each wait brings along every descriptor, and \
             its cost grows with their number. Every Unix has it."
        }
        Backend::Kqueue => {
            "kqueue cannot be handed a buffer; it only tells that a socket is ready. So the port tries the receive itself, \
             asks kqueue to tell of changes - that request rides along with the next wait - and tries again when told."
        }
        Backend::Iocp => {
            "Windows is handed the buffer: an overlapped receive lends it to the system, which fills it when data comes and \
             puts a packet into the completion port."
        }
        _ => "How this backend goes about it is told in its module of the library.",
    }
}

/// The calls that a step is about, in order, for where they cannot be seen. The program's tests hold those of Linux to
/// what is seen there.
pub(super) fn calls(backend: Backend, step: Step) -> &'static [&'static str] {
    match (backend, step) {
        (Backend::Uring, Step::Create) => &["io_uring_setup", "io_uring_register", "io_uring_enter"],
        (Backend::Uring, Step::Wait | Step::Again) => &["io_uring_enter"],
        (Backend::Epoll, Step::Create) => &["epoll_create1", "epoll_ctl"],
        (Backend::Epoll, Step::Wait) => &["recvfrom", "epoll_ctl", "epoll_pwait", "recvfrom"],
        (Backend::Epoll, Step::Again) => &["epoll_pwait", "recvfrom"],
        (Backend::Poll, Step::Wait) => &["recvfrom", "ppoll", "recvfrom"],
        (Backend::Poll, Step::Again) => &["ppoll", "recvfrom"],
        (Backend::Kqueue, Step::Create) => &["kqueue", "kevent"],
        (Backend::Kqueue, Step::Wait) => &["recvfrom", "kevent", "recvfrom"],
        (Backend::Kqueue, Step::Again) => &["kevent", "recvfrom"],
        (Backend::Epoll | Backend::Poll | Backend::Kqueue, Step::Join) => &["fcntl"],
        (Backend::Iocp, Step::Create) => &["CreateIoCompletionPort"],
        (Backend::Iocp, Step::Join) => &["CreateIoCompletionPort", "SetFileCompletionNotificationModes"],
        (Backend::Iocp, Step::Lend) => &["WSARecv"],
        (Backend::Iocp, Step::Wait) => &["GetQueuedCompletionStatusEx"],
        (Backend::Iocp, Step::Again) => &["WSARecv", "GetQueuedCompletionStatusEx"],
        _ => &[],
    }
}

/// What a step means where it makes no system call.
pub(super) fn silence(backend: Backend, step: Step) -> &'static str {
    match (backend, step) {
        (Backend::Uring, Step::Lend) => {
            "no system call: the receive is written into the ring and goes to the kernel with the next wait"
        }
        (Backend::Epoll | Backend::Poll | Backend::Kqueue, Step::Lend) => {
            "no system call: the receive is queued, and tried when the port is asked for completions"
        }
        (_, Step::Return) => "no system call: a move in memory, from the port back to you",
        _ => "no system call",
    }
}
