//! R6: `modify` replaces key, interest and mode at once, also for a wait in progress; what was registered before is not
//! reported any more.

use std::io::{ErrorKind, Read, Write};
use std::thread;

use anyport::Backend;
use anyport::poller::{Interest, Mode};

use crate::support::*;
use crate::watch::*;

pub(crate) fn tests() -> Vec<Case> {
    cases![
        the_key_changes,
        the_interest_changes,
        each_mode_becomes_each_other,
        a_wait_in_progress_takes_it_up,
        what_was_found_before_is_not_told_after,
        what_is_not_registered_cannot_be_modified,
        the_reserved_key_is_refused,
    ]
}

fn the_key_changes(backend: Backend) {
    let mut watch = poller(backend);
    let (near, _far) = tcp_pair();
    watch.add(&near, 1, Interest::WRITABLE, Mode::Level).expect("add");
    for key in [0, 2, usize::MAX - 1, 1 << 31, 3] {
        watch.modify(&near, key, Interest::WRITABLE, Mode::Level).expect("modify");
        assert_eq!(watch.one().key, key);
    }
}

fn the_interest_changes(backend: Backend) {
    let mut watch = poller(backend);
    let (mut near, mut far) = tcp_pair();
    watch.add(&near, 1, Interest::WRITABLE, Mode::Level).expect("add");
    watch.one();
    watch.modify(&near, 1, Interest::READABLE, Mode::Level).expect("modify");
    watch.silent();
    far.write_all(b"x").expect("send");
    assert!(watch.one().is_readable());
    watch.modify(&near, 1, Interest::empty(), Mode::Level).expect("modify");
    watch.silent();
    watch.modify(&near, 1, Interest::READABLE | Interest::WRITABLE, Mode::Level).expect("modify");
    let event = watch.one();
    assert!(event.is_readable() && event.is_writable(), "{event:?}");
    near.read_exact(&mut [0]).expect("receive");
}

fn each_mode_becomes_each_other(backend: Backend) {
    const MODES: [Mode; 3] = [Mode::Oneshot, Mode::Level, Mode::Edge];
    for (before, after) in MODES.into_iter().flat_map(|before| MODES.map(|after| (before, after))) {
        let mut watch = poller(backend);
        let (near, _far) = tcp_pair();
        watch.add(&near, 1, Interest::WRITABLE, before).expect("add");
        watch.one();
        watch.modify(&near, 2, Interest::WRITABLE, after).expect("modify");
        let event = watch.one();
        assert!(event.key == 2 && event.is_writable(), "{before:?} to {after:?}: {event:?}");
        let again = watch.look().len();
        assert_eq!(again, usize::from(after == Mode::Level), "{before:?} to {after:?}");
    }
}

/// The wait begins while nothing is watched that could become ready.
fn a_wait_in_progress_takes_it_up(backend: Backend) {
    for mode in [Mode::Oneshot, Mode::Level, Mode::Edge] {
        let mut watch = poller(backend);
        let (near, mut far) = tcp_pair();
        watch.add(&near, 1, Interest::empty(), mode).expect("add");
        let Watch { poller, events } = &mut watch;
        let poller = &*poller;
        thread::scope(|scope| {
            let waiter = scope.spawn(|| {
                poller.wait(events, Some(PATIENCE)).expect("wait");
                events.iter().next()
            });
            // Whether it sleeps already or not must not matter; mostly it does.
            thread::yield_now();
            poller.modify(&near, 2, Interest::READABLE, mode).expect("modify");
            far.write_all(b"x").expect("send");
            let event = waiter.join().expect("the waiting thread").expect("an event");
            assert!(event.key == 2 && event.is_readable(), "{mode:?}: {event:?}");
        });
    }
}

/// The source is always writable and never readable. What a wait in progress found for the one registration must not be
/// told under the next.
fn what_was_found_before_is_not_told_after(backend: Backend) {
    const ROUNDS: usize = 20_000;
    let mut watch = poller(backend);
    let (near, _far) = tcp_pair();
    watch.add(&near, 1, Interest::WRITABLE, Mode::Level).expect("add");
    let Watch { poller, events } = &mut watch;
    let poller = &*poller;
    thread::scope(|scope| {
        let modifier = scope.spawn(|| {
            for round in 0..ROUNDS {
                let interest = if round % 2 == 0 { Interest::READABLE } else { Interest::WRITABLE };
                poller.modify(&near, round % 2, interest, Mode::Level).expect("modify");
            }
            poller.notify();
        });
        while !modifier.is_finished() {
            poller.wait(events, Some(PATIENCE)).expect("wait");
            for event in &*events {
                assert!(event.key == 1 && event.is_writable(), "{event:?}");
            }
        }
    });
}

fn what_is_not_registered_cannot_be_modified(backend: Backend) {
    let watch = poller(backend);
    let (near, _far) = tcp_pair();
    let error = watch.modify(&near, 1, Interest::READABLE, Mode::Level).expect_err("it was not added");
    assert_eq!(error.kind(), ErrorKind::NotFound);
    watch.add(&near, 1, Interest::READABLE, Mode::Level).expect("add");
    watch.delete(&near).expect("delete");
    let error = watch.modify(&near, 1, Interest::READABLE, Mode::Level).expect_err("it was deleted");
    assert_eq!(error.kind(), ErrorKind::NotFound);
}

fn the_reserved_key_is_refused(backend: Backend) {
    let watch = poller(backend);
    let (near, _far) = tcp_pair();
    let error = watch.add(&near, usize::MAX, Interest::READABLE, Mode::Level).expect_err("a reserved key");
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(error.to_string().contains("usize::MAX"), "{error}");
    watch.add(&near, 1, Interest::READABLE, Mode::Level).expect("add");
    let error = watch.modify(&near, usize::MAX, Interest::READABLE, Mode::Level).expect_err("a reserved key");
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
}
