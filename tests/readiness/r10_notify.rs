//! R10: a notification wakes the wait in progress, or else the next one; it is never lost, and several before that wait
//! returns make one.

use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

use anyport::Backend;
use anyport::poller::{Events, Interest, Mode};

use crate::support::*;
use crate::watch::*;

pub(crate) fn tests() -> Vec<Case> {
    cases![
        it_wakes_the_wait_in_progress,
        it_wakes_the_next_wait,
        several_make_one,
        it_hides_no_event,
        events_hide_no_notification,
        none_is_lost,
    ]
}

fn it_wakes_the_wait_in_progress(backend: Backend) {
    let mut watch = poller(backend);
    let Watch { poller, events } = &mut watch;
    let poller = &*poller;
    thread::scope(|scope| {
        let waiter = scope.spawn(|| poller.wait(events, None).expect("wait"));
        thread::sleep(Duration::from_millis(2));
        poller.notify();
        assert_eq!(waiter.join().expect("the waiting thread"), 0);
    });
}

fn it_wakes_the_next_wait(backend: Backend) {
    let mut watch = poller(backend);
    for _ in 0..3 {
        watch.notify();
        assert_eq!(watch.poller.wait(&mut watch.events, None).expect("wait"), 0);
    }
}

fn several_make_one(backend: Backend) {
    let mut watch = poller(backend);
    for _ in 0..10 {
        watch.notify();
    }
    assert_eq!(watch.poller.wait(&mut watch.events, None).expect("wait"), 0);
    // Nothing is left of them: a wait of a millisecond takes its time.
    let start = std::time::Instant::now();
    watch.poller.wait(&mut watch.events, Some(Duration::from_millis(1))).expect("wait");
    assert!(start.elapsed() >= Duration::from_millis(1));
}

fn it_hides_no_event(backend: Backend) {
    for mode in [Mode::Oneshot, Mode::Level, Mode::Edge] {
        let mut watch = poller(backend);
        let (near, mut far) = tcp_pair();
        far.write_all(b"x").expect("send");
        near.peek(&mut [0]).expect("it has arrived");
        watch.add(&near, 1, Interest::READABLE, mode).expect("add");
        watch.notify();
        let mut events = watch.look();
        if events.is_empty() {
            events = watch.some();
        }
        assert_eq!(keys(&events), [1], "{mode:?}");
    }
}

/// With room for one event, and one there: the notification has its turn, too.
fn events_hide_no_notification(backend: Backend) {
    let mut watch = poller(backend);
    watch.events = Events::with_capacity(1);
    let (near, _far) = tcp_pair();
    watch.add(&near, 1, Interest::WRITABLE, Mode::Oneshot).expect("add");
    watch.notify();
    let first = watch.poller.wait(&mut watch.events, None).expect("wait");
    if first == 1 {
        // It came with the event, or it is still to come; a second one is there in any case.
        watch.notify();
        assert_eq!(watch.poller.wait(&mut watch.events, None).expect("wait"), 0);
    } else {
        assert_eq!(watch.poller.wait(&mut watch.events, None).expect("wait"), 1);
    }
}

/// Each number is written before its notification, so after each wake-up the waiter sees a newer one. A lost wake-up hangs.
fn none_is_lost(backend: Backend) {
    const ROUNDS: usize = 20_000;
    let mut watch = poller(backend);
    let (asked, answered) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let Watch { poller, events } = &mut watch;
    let poller = &*poller;
    thread::scope(|scope| {
        scope.spawn(|| {
            while answered.load(SeqCst) < ROUNDS {
                while asked.load(SeqCst) == answered.load(SeqCst) {
                    poller.wait(events, None).expect("wait");
                }
                answered.store(asked.load(SeqCst), SeqCst);
            }
        });
        for round in 1..=ROUNDS {
            asked.store(round, SeqCst);
            poller.notify();
            // Some rounds overtake the waiter, some do not.
            while round % 3 == 0 && answered.load(SeqCst) < round {
                thread::yield_now();
            }
        }
    });
    assert_eq!(answered.load(SeqCst), ROUNDS);
}
