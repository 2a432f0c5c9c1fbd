//! The words of the tour: what each step is for, and how a backend goes about it.
//!
//! A new backend gets its arm in [`backend`]. What it calls is not told here where it can be seen instead.

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
        _ => "",
    }
}

/// What a step means where it makes no system call.
pub(super) fn silence(backend: Backend, step: Step) -> &'static str {
    match (backend, step) {
        (Backend::Uring, Step::Lend) => {
            "no system call: the receive is written into the ring and goes to the kernel with the next wait"
        }
        (_, Step::Return) => "no system call: a move in memory, from the port back to you",
        _ => "no system call",
    }
}
