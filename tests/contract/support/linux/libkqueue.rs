//! On Linux the kqueue backend runs on libkqueue (`cargo xtask kqueue`), which is no kernel: what it does otherwise is
//! listed in docs/BACKENDS.md. A test that this would make fail says so here.

use std::io::Write;
use std::net::Shutdown;
use std::time::Duration;

use anyport::{Backend, Port, Token, op};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::support::calls::Calls;
use crate::support::drive::{drive, eventually, one, port};
use crate::support::skip::skip_elsewhere;
use crate::support::sockets::tcp_pair;

/// True for the backend that is libkqueue's here.
pub(crate) fn is_libkqueue(backend: Backend) -> bool {
    cfg!(target_os = "linux") && backend == Backend::Kqueue
}

/// Skips a test of a kernel's kqueue.
pub(crate) fn skip_on_libkqueue(backend: Backend, why: &str) {
    if is_libkqueue(backend) {
        skip_elsewhere(format!("a kernel's kqueue: libkqueue {why}"));
    }
}

/// Skips a test that many half-closed connections make likely to meet what [`forgets_ends`] looks for.
pub(crate) fn skip_where_ends_are_forgotten(backend: Backend) {
    if is_libkqueue(backend) && forgets_ends(&mut port(backend)) {
        skip_on_libkqueue(backend, "forgets to report the end of a stream, until it is mended (docs/BACKENDS.md)");
    }
}

/// Once it watches a socket for room to write, libkqueue no longer looks for the end of what is to be read; one that
/// comes with the last data is then not reported with them.
fn forgets_ends(port: &mut Port) -> bool {
    let (near, mut far) = tcp_pair();
    let on = port.attach(near).expect("attach");
    port.submit(op::Recv::new(on, vec![0; 10]), Token(0));
    port.submit(op::SendAll::new(on, vec![1; 32 << 20]), Token(1));
    assert!(!port.wait(Some(Duration::ZERO)).expect("wait"), "both wait, so both are watched");
    far.write_all(b"1").expect("write");
    far.shutdown(Shutdown::Write).expect("shutdown");
    eventually("the end is there", || {
        let socket = port.as_fd(on).expect("attached");
        let mut watched = [PollFd::new(&socket, PollFlags::RDHUP)];
        poll(&mut watched, Some(&Timespec::default())).expect("poll") == 1
    });
    assert_eq!(one(port).unpack::<op::Recv<Vec<u8>>>().0.expect("data"), 1);
    port.submit(op::Recv::new(on, vec![0; 10]), Token(0));
    let forgotten = !port.wait(Some(Duration::ZERO)).expect("wait");
    port.submit(op::Close::new(on), Token(2));
    drop(drive(port, 3));
    forgotten
}

/// The calls without those that libkqueue makes inside of a kevent(2), which is a ppoll(2) here.
pub(crate) fn without_libkqueue(backend: Backend, calls: Calls) -> Calls {
    if is_libkqueue(backend) { calls.except(&["epoll_wait", "ioctl", "brk"]) } else { calls }
}

/// Has libkqueue free the queues that were closed, which it does later, in a thread of its own. Nothing in other builds.
pub(crate) fn settle_libkqueue() {
    #[cfg(anyport_libkqueue)]
    {
        unsafe extern "C" {
            safe fn libkqueue_drain_pending_close();
        }
        libkqueue_drain_pending_close();
    }
}
