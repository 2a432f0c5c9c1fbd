//! R11: a poller is shared: one thread waits, any number of others add, modify, delete and notify meanwhile, and what they
//! do takes effect at once.

use std::io::{Read, Write};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread;

use anyport::Backend;
use anyport::poller::{Interest, Mode};

use crate::support::*;
use crate::watch::*;

pub(crate) fn tests() -> Vec<Case> {
    cases![
        a_source_added_during_a_wait_is_reported_by_it,
        a_oneshot_source_is_passed_from_thread_to_thread,
        many_threads_come_and_go,
    ]
}

fn a_source_added_during_a_wait_is_reported_by_it(backend: Backend) {
    for mode in [Mode::Oneshot, Mode::Level, Mode::Edge] {
        let mut watch = poller(backend);
        let (near, _far) = tcp_pair();
        let Watch { poller, events } = &mut watch;
        let poller = &*poller;
        thread::scope(|scope| {
            let waiter = scope.spawn(|| poller.wait(events, Some(PATIENCE)).expect("wait"));
            thread::yield_now();
            poller.add(&near, 1, Interest::WRITABLE, mode).expect("add");
            assert_eq!(waiter.join().expect("the waiting thread"), 1, "{mode:?}");
        });
    }
}

/// One thread waits and hands the work to another, which reads a byte and arms the source again: a reactor and its worker.
fn a_oneshot_source_is_passed_from_thread_to_thread(backend: Backend) {
    const BYTES: usize = 2_000;
    let mut watch = poller(backend);
    let (near, mut far) = tcp_pair();
    watch.add(&near, 1, Interest::READABLE, Mode::Oneshot).expect("add");
    far.write_all(&pattern(1, BYTES)).expect("send");
    let (work, jobs) = std::sync::mpsc::channel();
    let Watch { poller, events } = &mut watch;
    let poller = &*poller;
    thread::scope(|scope| {
        let worker = scope.spawn(move || {
            let mut received = Vec::new();
            for () in jobs {
                let mut byte = [0];
                (&near).read_exact(&mut byte).expect("receive");
                received.push(byte[0]);
                poller.modify(&near, 1, Interest::READABLE, Mode::Oneshot).expect("modify");
                if received.len() == BYTES {
                    break;
                }
            }
            received
        });
        for _ in 0..BYTES {
            assert_eq!(poller.wait(events, Some(PATIENCE)).expect("wait"), 1);
            work.send(()).expect("the worker is there");
        }
        assert_piece(&worker.join().expect("the worker"), 1, 0);
    });
}

fn many_threads_come_and_go(backend: Backend) {
    const THREADS: usize = 4;
    const ROUNDS: usize = 200;
    let mut watch = poller(backend);
    // What each thread waits for: that the waiter has seen its key.
    let seen: Vec<AtomicUsize> = (0..THREADS).map(|_| AtomicUsize::new(0)).collect();
    let over = AtomicUsize::new(0);
    let Watch { poller, events } = &mut watch;
    let poller = &*poller;
    thread::scope(|scope| {
        for (thread, seen) in seen.iter().enumerate() {
            let over = &over;
            scope.spawn(move || {
                for round in 1..=ROUNDS {
                    let (near, _far) = tcp_pair();
                    let key = round * THREADS + thread;
                    poller.add(&near, key, Interest::READABLE, Mode::Level).expect("add");
                    poller.modify(&near, key, Interest::WRITABLE, Mode::Oneshot).expect("modify");
                    while seen.load(SeqCst) < round {
                        thread::yield_now();
                    }
                    poller.delete(&near).expect("delete");
                }
                over.fetch_add(1, SeqCst);
                poller.notify();
            });
        }
        while over.load(SeqCst) < THREADS {
            poller.wait(events, Some(PATIENCE)).expect("wait");
            for event in &*events {
                assert!(event.is_writable(), "{event:?}");
                let round = event.key / THREADS;
                assert_eq!(seen[event.key % THREADS].swap(round, SeqCst), round - 1, "{event:?} came twice");
            }
        }
    });
}
