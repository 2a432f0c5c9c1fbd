//! On Linux the kqueue backend runs on libkqueue (`cargo xtask kqueue`), which is no kernel: what it does otherwise is
//! listed in docs/BACKENDS.md. A test that this would make fail says so here.

use anyport::Backend;

use super::skip::skip_elsewhere;
use super::trace::Calls;

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

/// The calls without those that libkqueue makes inside of a kevent(2), which is a ppoll(2) here.
pub(crate) fn without_libkqueue(backend: Backend, calls: Calls) -> Calls {
    if is_libkqueue(backend) { calls.except(&["epoll_wait", "ioctl"]) } else { calls }
}
