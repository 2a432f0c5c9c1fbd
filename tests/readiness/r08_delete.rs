//! R8: no wait that begins after `delete` has returned reports the source; an event that was handed out before is the
//! caller's, and harmless; the source can be added again.

use std::io::{ErrorKind, Write};
use std::thread;
use std::time::Duration;

use anyport::Backend;
use anyport::poller::{Events, Interest, Mode};

use crate::support::*;
use crate::watch::*;

pub(crate) fn tests() -> Vec<Case> {
    cases![
        a_deleted_source_is_silent,
        a_deleted_source_can_be_added_again,
        a_delete_with_the_event_in_flight,
        a_delete_while_another_thread_waits,
        what_is_not_registered_cannot_be_deleted,
        half_of_many,
    ]
}

fn a_deleted_source_is_silent(backend: Backend) {
    for mode in [Mode::Oneshot, Mode::Level, Mode::Edge] {
        let mut watch = poller(backend);
        let (near, mut far) = tcp_pair();
        watch.add(&near, 1, Interest::READABLE, mode).expect("add");
        watch.delete(&near).expect("delete");
        far.write_all(b"x").expect("send");
        near.peek(&mut [0]).expect("it has arrived");
        watch.silent();
    }
}

fn a_deleted_source_can_be_added_again(backend: Backend) {
    for mode in [Mode::Oneshot, Mode::Level, Mode::Edge] {
        let mut watch = poller(backend);
        let (near, _far) = tcp_pair();
        for key in 0..20 {
            watch.add(&near, key, Interest::WRITABLE, mode).expect("add");
            assert_eq!(watch.one().key, key);
            watch.delete(&near).expect("delete");
            watch.silent();
        }
    }
}

/// Two sources are ready, and one wait takes one of them. The other's event is on its way when it is deleted.
fn a_delete_with_the_event_in_flight(backend: Backend) {
    for mode in [Mode::Oneshot, Mode::Level, Mode::Edge] {
        let mut watch = poller(backend);
        watch.events = Events::with_capacity(1);
        let (one, two) = tcp_pair();
        watch.add(&one, 1, Interest::WRITABLE, mode).expect("add");
        watch.add(&two, 2, Interest::WRITABLE, mode).expect("add");
        let first = watch.one().key;
        let (other, other_key) = if first == 1 { (&two, 2) } else { (&one, 1) };
        watch.delete(other).expect("delete");
        for _ in 0..3 {
            assert!(watch.look().iter().all(|event| event.key != other_key), "{mode:?}");
        }
        // The event that was handed out is still what it was.
        watch.delete(if first == 1 { &one } else { &two }).expect("delete");
        watch.silent();
    }
}

fn a_delete_while_another_thread_waits(backend: Backend) {
    let mut watch = poller(backend);
    let (near, mut far) = tcp_pair();
    let (other, mut other_far) = tcp_pair();
    watch.add(&near, 1, Interest::READABLE, Mode::Level).expect("add");
    watch.add(&other, 2, Interest::READABLE, Mode::Level).expect("add");
    let Watch { poller, events } = &mut watch;
    let poller = &*poller;
    thread::scope(|scope| {
        let waiter = scope.spawn(|| {
            poller.wait(events, Some(PATIENCE)).expect("wait");
            keys(&events.iter().collect::<Vec<_>>())
        });
        thread::yield_now();
        poller.delete(&near).expect("delete");
        far.write_all(b"x").expect("send");
        near.peek(&mut [0]).expect("it has arrived");
        other_far.write_all(b"x").expect("send");
        // It is reported by neither the wait in progress, which it was deleted from before it became ready, nor another.
        assert_eq!(waiter.join().expect("the waiting thread"), [2]);
    });
}

fn what_is_not_registered_cannot_be_deleted(backend: Backend) {
    let watch = poller(backend);
    let (near, _far) = tcp_pair();
    let error = watch.delete(&near).expect_err("it was not added");
    assert_eq!(error.kind(), ErrorKind::NotFound);
    watch.add(&near, 1, Interest::READABLE, Mode::Level).expect("add");
    let error = watch.add(&near, 1, Interest::READABLE, Mode::Level).expect_err("it is registered");
    assert_eq!(error.kind(), ErrorKind::AlreadyExists);
    watch.delete(&near).expect("delete");
    assert_eq!(watch.delete(&near).expect_err("it was deleted").kind(), ErrorKind::NotFound);
}

fn half_of_many(backend: Backend) {
    let mut watch = poller(backend);
    let pairs: Vec<_> = (0..100).map(|_| tcp_pair()).collect();
    for (key, (near, _)) in pairs.iter().enumerate() {
        watch.add(near, key, Interest::READABLE, Mode::Oneshot).expect("add");
    }
    for (near, _) in pairs.iter().step_by(2) {
        watch.delete(near).expect("delete");
    }
    for (_, far) in &pairs {
        let mut far = far;
        far.write_all(b"x").expect("send");
    }
    let mut reported = Vec::new();
    while reported.len() < 50 {
        reported.extend(keys(&watch.some()));
    }
    watch.poller.wait(&mut watch.events, Some(Duration::ZERO)).expect("look");
    assert!(watch.events.is_empty());
    reported.sort();
    assert_eq!(reported, (0..100).filter(|key| key % 2 == 1).collect::<Vec<_>>());
}
