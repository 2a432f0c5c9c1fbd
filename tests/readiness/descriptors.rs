//! What R1, R5, R7 and R9 mean for descriptors, which only Unix has: pipes, numbers that are used again, signals.

use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};

use anyport::Backend;
use anyport::poller::{Interest, Mode};

use crate::support::*;
use crate::watch::*;

pub(crate) fn tests() -> Vec<Case> {
    cases! {
        each_backend: [
            pipes_are_watched_too,
            a_pipe_without_writers,
            a_pipe_without_readers,
            a_full_pipe_without_readers,
        ],
        each_backend_isolated: [
            a_reused_number_can_be_registered,
            a_source_closed_without_being_deleted_is_forgotten,
            a_signal_does_not_end_a_wait,
        ],
    }
}

const MODES: [Mode; 3] = [Mode::Oneshot, Mode::Level, Mode::Edge];

fn pipes_are_watched_too(backend: Backend) {
    for mode in MODES {
        let mut watch = poller(backend);
        let (reader, mut writer) = pipe();
        watch.add(&reader, 6, Interest::READABLE, mode).expect("add");
        watch.silent();
        writer.write_all(b"x").expect("write");
        let event = watch.one();
        assert!(event.key == 6 && event.is_readable(), "{mode:?}: {event:?}");
        watch.delete(&reader).expect("delete");
        watch.add(&writer, 8, Interest::WRITABLE, mode).expect("add");
        let event = watch.one();
        assert!(event.key == 8 && event.is_writable(), "{mode:?}: {event:?}");
    }
}

fn a_pipe_without_writers(backend: Backend) {
    let mut watch = poller(backend);
    let (mut reader, mut writer) = pipe();
    writer.write_all(b"x").expect("write");
    drop(writer);
    watch.add(&reader, 1, Interest::READABLE, Mode::Level).expect("add");
    let event = watch.until(1, |event| event.is_read_closed());
    assert!(event.is_readable() && !event.is_error(), "{event:?}");
    let mut text = String::new();
    reader.read_to_string(&mut text).expect("read");
    assert_eq!(text, "x");
}

fn a_pipe_without_readers(backend: Backend) {
    for mode in MODES {
        let mut watch = poller(backend);
        let (reader, writer) = pipe();
        drop(reader);
        watch.add(&writer, 1, Interest::WRITABLE, mode).expect("add");
        let event = watch.one();
        assert!(event.is_writable() && event.is_error(), "{mode:?}: {event:?}");
    }
}

/// There is no room, but a write would not block.
fn a_full_pipe_without_readers(backend: Backend) {
    for mode in MODES {
        let mut watch = poller(backend);
        let (reader, writer) = pipe();
        let flags = rustix::fs::fcntl_getfl(&writer).expect("its flags");
        rustix::fs::fcntl_setfl(&writer, flags | rustix::fs::OFlags::NONBLOCK).expect("non-blocking");
        while (&writer).write(&[0; 4096]).is_ok() {}
        watch.add(&writer, 1, Interest::WRITABLE, mode).expect("add");
        watch.silent();
        drop(reader);
        let event = watch.one();
        assert!(event.is_writable() && event.is_error(), "{mode:?}: {event:?}");
    }
}

/// Alone in its process, so that nobody else takes the number.
fn a_reused_number_can_be_registered(backend: Backend) {
    skip_on_libkqueue(backend, "does not see that a descriptor was closed");
    let mut watch = poller(backend);
    for key in 0..10 {
        let (near, mut far) = tcp_pair();
        watch.add(&near, key, Interest::READABLE, Mode::Level).expect("a number whose owner was closed is free");
        far.write_all(b"x").expect("send");
        watch.until_key(key);
        // Closed, both, without a delete. The next pair gets the same numbers.
    }
}

fn a_source_closed_without_being_deleted_is_forgotten(backend: Backend) {
    let mut watch = poller(backend);
    let (near, mut far) = tcp_pair();
    let number = near.as_raw_fd();
    far.write_all(b"x").expect("send");
    watch.add(&near, 1, Interest::READABLE, Mode::Level).expect("add");
    watch.one();
    drop(near);
    watch.silent();
    // Nobody but the poller ever knew the number; now somebody else has it, unregistered, and is not reported.
    let (successor, mut peer) = tcp_pair();
    assert_eq!(successor.as_raw_fd(), number);
    peer.write_all(b"x").expect("send");
    successor.peek(&mut [0]).expect("it has arrived");
    watch.silent();
}

/// A handler without `SA_RESTART` interrupts the wait again and again; it sleeps its time all the same.
fn a_signal_does_not_end_a_wait(backend: Backend) {
    use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
    extern "C" fn nothing(_: libc::c_int) {}
    let action = SigAction::new(SigHandler::Handler(nothing), SaFlags::empty(), SigSet::empty());
    // SAFETY: the handler does nothing.
    unsafe { sigaction(Signal::SIGUSR1, &action) }.expect("install a handler");
    let mut watch = poller(backend);
    // SAFETY: a call without arguments.
    let waiter = unsafe { libc::pthread_self() };
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(SeqCst) {
                // SAFETY: the thread outlives this scope.
                assert_eq!(unsafe { libc::pthread_kill(waiter, libc::SIGUSR1) }, 0);
                thread::yield_now();
            }
        });
        let start = Instant::now();
        let time = Duration::from_millis(20);
        let waited = watch.poller.wait(&mut watch.events, Some(time));
        over.store(true, SeqCst);
        assert_eq!(waited.expect("wait"), 0);
        assert!(start.elapsed() >= time);
    });
}
