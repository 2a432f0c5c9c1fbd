//! R12: a wait is one system call, with a time-out or without (on Windows, and one for each source that it watches once
//! more); adding, modifying and deleting are one each at most; in steady state nothing allocates (on Windows, adding
//! does); descriptors are close-on-exec.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyport::Backend;
use anyport::poller::{Interest, Mode};

use crate::support::*;
use crate::watch::*;

pub(crate) fn tests() -> Vec<Case> {
    cases! {
        each_backend_isolated: [
            a_timed_wait_is_one_system_call,
            a_wait_for_an_event_is_one_system_call,
            registering_costs_one_system_call_each,
            an_edge_costs_no_rearming,
            a_notification_costs_a_write_only_once,
            steady_state_allocates_nothing,
            descriptors_are_few_and_close_on_exec,
        ],
    }
}

/// What watches once more what a wait has told of: Windows' AFD is asked for one event at a time.
const ASKS: &[&str] = &["NtDeviceIoControlFile"];

const NOTIFICATIONS: &[&str] = &["write", "PostQueuedCompletionStatus"];

/// The queue and what wakes it; on Windows the completion port, AFD and a timer.
const DESCRIPTORS: usize = if cfg!(windows) { 3 } else { 2 };

fn a_timed_wait_is_one_system_call(backend: Backend) {
    let mut watch = poller(backend);
    let (near, _far) = tcp_pair();
    watch.add(&near, 1, Interest::READABLE, Mode::Level).expect("add");
    watch.silent();
    let (calls, ()) = count(|| {
        for micros in [10, 1_500, 20] {
            watch.poller.wait(&mut watch.events, Some(Duration::from_micros(micros))).expect("wait");
        }
    });
    if backend == Backend::Epoll {
        assert_eq!(calls.of("epoll_pwait2"), 3, "the one that takes nanoseconds: {calls}");
    }
    // What libkqueue asks the descriptor of an event.
    let calls = if is_libkqueue(backend) { calls.except(&["ioctl"]) } else { calls };
    let calls = calls.except(ALARMS);
    assert_eq!((calls.of_any(WAITS), calls.total()), (3, 3), "{calls}");
}

fn a_wait_for_an_event_is_one_system_call(backend: Backend) {
    let mut watch = poller(backend);
    let (near, _far) = tcp_pair();
    watch.add(&near, 1, Interest::WRITABLE, Mode::Level).expect("add");
    watch.one();
    let (calls, ()) = count(|| {
        for timeout in [None, Some(Duration::ZERO), Some(Duration::from_millis(7))] {
            assert_eq!(watch.poller.wait(&mut watch.events, timeout).expect("wait"), 1);
        }
    });
    // What libkqueue asks the descriptor of an event.
    let calls = if is_libkqueue(backend) { calls.except(&["ioctl"]) } else { calls };
    assert!(calls.of_any(ASKS) <= 3, "{calls}");
    let calls = calls.except(ASKS).except(ALARMS);
    assert_eq!((calls.of_any(WAITS), calls.total()), (3, 3), "{calls}");
}

fn registering_costs_one_system_call_each(backend: Backend) {
    skip_on_libkqueue(backend, "makes several calls for a kevent(2)");
    let mut watch = poller(backend);
    let (near, _far) = tcp_pair();
    watch.silent();
    let (calls, ()) = count(|| {
        watch.add(&near, 1, Interest::READABLE, Mode::Oneshot).expect("add");
        for key in 0..10 {
            watch.modify(&near, key, Interest::READABLE, Mode::Oneshot).expect("modify");
        }
        watch.delete(&near).expect("delete");
    });
    assert!(calls.total() <= 12, "{calls}");
}

/// On epoll the kernel arms an edge again; telling the poller costs nothing.
fn an_edge_costs_no_rearming(backend: Backend) {
    let mut watch = poller(backend);
    let (near, mut far) = tcp_pair();
    near.set_nonblocking(true).expect("non-blocking");
    watch.add(&near, 1, Interest::READABLE, Mode::Edge).expect("add");
    let mut buf = [0; 16];
    let mut round = || {
        far.write_all(b"x").expect("send");
        watch.one();
        while watch.try_io(&near, Interest::READABLE, || (&near).read(&mut buf)).is_ok() {}
    };
    // Room for events is made by the first wait: a call of the allocator's, when its heap must grow for that.
    round();
    let (calls, ()) = count(|| (0..10).for_each(|_| round()));
    // What libkqueue asks the descriptor of an event.
    let calls = if is_libkqueue(backend) { calls.except(&["ioctl"]) } else { calls };
    assert_eq!(calls.of_any(WAITS), 10, "{calls}");
    let calls = calls.except(WAITS).except(ALARMS);
    assert_eq!((calls.of_any(SENDS), calls.of_any(RECVS)), (10, 20), "{calls}");
    let calls = calls.except(SENDS).except(RECVS);
    assert!(calls.of_any(ASKS) <= 10, "{calls}");
    assert_eq!(calls.except(ASKS).total(), 0, "{calls}");
}

fn a_notification_costs_a_write_only_once(backend: Backend) {
    let mut watch = poller(backend);
    let (calls, ()) = count(|| {
        for _ in 0..10 {
            watch.notify();
        }
    });
    assert_eq!((calls.of_any(NOTIFICATIONS), calls.total()), (1, 1), "{calls}");
    watch.poller.wait(&mut watch.events, None).expect("wait");
}

fn steady_state_allocates_nothing(backend: Backend) {
    let mut watch = poller(backend);
    let pairs: Vec<(TcpStream, TcpStream)> = (0..20).map(|_| tcp_pair()).collect();
    for (key, (near, _)) in pairs.iter().enumerate() {
        watch.add(near, key, Interest::WRITABLE, Mode::Oneshot).expect("add");
    }
    let mut round = || {
        let count = watch.poller.wait(&mut watch.events, None).expect("wait");
        assert_eq!(count, 20);
        for event in &watch.events {
            let (near, _) = &pairs[event.key];
            watch.poller.modify(near, event.key, Interest::WRITABLE, Mode::Oneshot).expect("modify");
        }
        watch.poller.wait(&mut watch.events, Some(Duration::ZERO)).expect("look");
        for (key, (near, _)) in pairs.iter().enumerate() {
            watch.poller.delete(near).expect("delete");
            watch.poller.add(near, key, Interest::WRITABLE, Mode::Oneshot).expect("add");
        }
    };
    round();
    round();
    let (used, ()) = counted(|| {
        for _ in 0..10 {
            round();
        }
    });
    // The system keeps what it was asked in memory of the source's own.
    let added = if cfg!(windows) { 10 * 20 } else { 0 };
    assert_eq!(used, Heap { allocations: added, live: 0 });
}

fn descriptors_are_few_and_close_on_exec(backend: Backend) {
    skip_on_libkqueue(backend, "opens more than a kernel's kqueue");
    let before = descriptors();
    let watch = poller(backend);
    let opened: Vec<_> = descriptors().into_iter().filter(|(fd, _)| !before.contains_key(fd)).collect();
    assert!(opened.len() <= DESCRIPTORS, "{opened:?}");
    for (fd, what) in &opened {
        assert!(close_on_exec(*fd), "{what}");
    }
    drop(watch);
    assert_eq!(descriptors(), before);
}
