//! R9: a wait is over when something is ready, when its time is up and not before, or when it is notified. It replaces
//! the events of the wait before, hands out at most as many as there is room, and leaves none of the others out.

use std::io::{ErrorKind, Write};
use std::thread;
use std::time::{Duration, Instant};

use anyport::Backend;
use anyport::poller::{Events, Interest, Mode, Poller};

use crate::support::*;
use crate::watch::*;

pub(crate) fn tests() -> Vec<Case> {
    cases! {
        each_backend: [
            never_before_its_time,
            zero_only_looks,
            an_event_ends_it,
            the_events_of_the_last_wait_are_replaced,
            when_there_is_little_room_all_have_their_turn,
            there_is_one_waiter_at_a_time,
            an_endless_time_is_a_time,
        ],
        once: [the_backend_is_chosen_at_run_time],
        once_isolated: [the_environment_chooses_the_backend],
    }
}

fn never_before_its_time(backend: Backend) {
    let mut watch = poller(backend);
    for micros in [1, 50, 500, 1_000, 1_500, 10_300] {
        let time = Duration::from_micros(micros);
        let start = Instant::now();
        let count = watch.poller.wait(&mut watch.events, Some(time)).expect("wait");
        let elapsed = start.elapsed();
        assert_eq!(count, 0);
        assert!(elapsed >= time, "{elapsed:?} of {time:?}");
    }
}

fn zero_only_looks(backend: Backend) {
    let mut watch = poller(backend);
    let (near, _far) = tcp_pair();
    watch.silent();
    watch.add(&near, 1, Interest::WRITABLE, Mode::Level).expect("add");
    assert_eq!(keys(&watch.look()), [1]);
}

fn an_event_ends_it(backend: Backend) {
    let mut watch = poller(backend);
    let (near, mut far) = tcp_pair();
    watch.add(&near, 1, Interest::READABLE, Mode::Level).expect("add");
    let sender = thread::spawn(move || {
        far.write_all(b"x").expect("send");
        far
    });
    assert_eq!(watch.poller.wait(&mut watch.events, None).expect("wait"), 1);
    sender.join().expect("the sender");
}

fn the_events_of_the_last_wait_are_replaced(backend: Backend) {
    let mut watch = poller(backend);
    let (near, _far) = tcp_pair();
    watch.add(&near, 1, Interest::WRITABLE, Mode::Oneshot).expect("add");
    watch.one();
    assert_eq!(watch.events.len(), 1);
    watch.silent();
    assert_eq!(watch.events.iter().len(), 0);
}

/// Level-triggered sources are always ready; with room for three, those at the end must not starve.
fn when_there_is_little_room_all_have_their_turn(backend: Backend) {
    for mode in [Mode::Oneshot, Mode::Level, Mode::Edge] {
        let mut watch = poller(backend);
        watch.events = Events::with_capacity(3);
        let pairs: Vec<_> = (0..10).map(|_| tcp_pair()).collect();
        for (key, (near, _)) in pairs.iter().enumerate() {
            watch.add(near, key, Interest::WRITABLE, mode).expect("add");
        }
        let mut reported = [0; 10];
        // Four rounds are enough for ten; twice as many for those that count on luck.
        for _ in 0..8 {
            let events = watch.look();
            assert!(events.len() <= 3, "{mode:?}: {events:?}");
            for event in events {
                reported[event.key] += 1;
            }
        }
        assert!(reported.iter().all(|&times| times > 0), "{mode:?}: {reported:?}");
        if mode != Mode::Level {
            assert_eq!(reported, [1; 10], "{mode:?}");
        }
    }
}

fn there_is_one_waiter_at_a_time(backend: Backend) {
    let mut watch = poller(backend);
    let Watch { poller, events } = &mut watch;
    let poller: &Poller = poller;
    thread::scope(|scope| {
        // Each of the two may find the other one waiting; this one waits for good once it is let in.
        let waiter = scope.spawn(|| {
            loop {
                match poller.wait(events, None) {
                    Err(error) if error.kind() == ErrorKind::ResourceBusy => thread::yield_now(),
                    count => return count.expect("wait"),
                }
            }
        });
        let mut mine = Events::with_capacity(1);
        let refused = loop {
            match poller.wait(&mut mine, Some(Duration::ZERO)) {
                Ok(_) => thread::yield_now(),
                Err(error) => break error,
            }
        };
        assert_eq!(refused.kind(), ErrorKind::ResourceBusy);
        poller.notify();
        assert_eq!(waiter.join().expect("the waiting thread"), 0);
    });
}

fn an_endless_time_is_a_time(backend: Backend) {
    let mut watch = poller(backend);
    let (near, _far) = tcp_pair();
    watch.add(&near, 1, Interest::WRITABLE, Mode::Level).expect("add");
    for time in [Duration::MAX, Duration::from_secs(u64::MAX / 2), Duration::from_secs(1 << 40)] {
        assert_eq!(watch.poller.wait(&mut watch.events, Some(time)).expect("wait"), 1);
    }
}

fn the_backend_is_chosen_at_run_time() {
    for &backend in Poller::BACKENDS {
        assert_eq!(open(backend).expect("open").backend(), backend);
    }
    for &backend in Backend::ALL.iter().filter(|backend| !Poller::BACKENDS.contains(backend)) {
        let error = open(backend).expect_err("it reports completions only");
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.to_string().contains(Poller::BACKENDS[0].name()), "{error}");
    }
}

fn the_environment_chooses_the_backend() {
    let set = |name: &str| {
        // SAFETY: this trial is alone in its process, which has one thread.
        unsafe { std::env::set_var("ANYPORT_BACKEND", name) };
    };
    assert_eq!(Poller::new().expect("open").backend(), Poller::BACKENDS[0]);
    for &backend in Poller::BACKENDS {
        set(backend.name());
        assert_eq!(Poller::new().expect("open").backend(), backend);
    }
    for &backend in Backend::ALL.iter().filter(|backend| !Poller::BACKENDS.contains(backend)) {
        // It names a port's backend; a poller takes its best.
        set(backend.name());
        assert_eq!(Poller::new().expect("open").backend(), Poller::BACKENDS[0]);
    }
    set("select");
    let error = Poller::new().expect_err("no such backend");
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(error.to_string().contains("ANYPORT_BACKEND") && error.to_string().contains("select"), "{error}");
}

