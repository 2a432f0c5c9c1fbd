//! C9: a post is never lost, keeps its sender's order, and wakes a waiting port.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Barrier, mpsc};
use std::thread;
use std::time::Duration;

use anyport::{Backend, Port, Poster, Token, op};

use crate::support::*;

pub(crate) fn tests() -> Vec<Case> {
    cases![
        a_post_arrives_with_its_token_and_its_value,
        values_of_any_size_and_type_arrive,
        a_sender_keeps_its_order,
        many_senders_lose_nothing,
        a_post_wakes_a_waiting_port,
        no_wake_up_is_lost,
        a_port_posts_to_itself,
        a_port_may_post_while_it_handles_a_post,
        two_ports_play_ping_pong,
        a_post_arrives_while_sockets_are_busy,
        a_post_to_a_dropped_port_gives_the_value_back,
        posts_that_nobody_fetched_are_dropped_with_the_port,
        every_value_is_accounted_for_when_the_port_goes_amid_posts,
    ]
}

const PATIENCE: Option<Duration> = Some(Duration::from_secs(30));

/// Posts a value to a port that is there.
fn post<T: Send + 'static>(poster: &Poster, token: u64, value: T) {
    assert!(poster.post(Token(token), value).is_ok(), "the port is there");
}

fn a_post_arrives_with_its_token_and_its_value(backend: Backend) {
    let mut port = port(backend);
    post(&port.poster(), 7, String::from("seven"));
    let done = one(&mut port);
    assert_eq!((done.token(), done.more()), (Token(7), false));
    assert!(done.is::<op::Post<String>>());
    // Asked for the wrong type it stays whole.
    let done = done.try_unpack::<op::Post<Vec<u8>>>().expect_err("it is a String");
    assert_eq!(done.unpack::<op::Post<String>>(), "seven");
    assert_eq!(port.in_flight(), 0, "a post is nobody's operation");
}

fn values_of_any_size_and_type_arrive(backend: Backend) {
    #[derive(Debug, PartialEq)]
    #[repr(align(64))]
    struct Aligned([u64; 40]);
    let mut port = port(backend);
    let poster = port.poster();
    post(&poster, 1, ());
    post(&poster, 2, 0xfeed_u64);
    post(&poster, 3, Aligned([9; 40]));
    post(&poster, 4, Box::new(5_u8) as Box<dyn std::any::Any + Send>);
    let mut done = drive(&mut port, 4).into_iter();
    let mut next = || done.next().expect("four posts");
    next().unpack::<op::Post<()>>();
    assert_eq!(next().unpack::<op::Post<u64>>(), 0xfeed);
    let aligned = next().unpack::<op::Post<Aligned>>();
    assert_eq!(aligned, Aligned([9; 40]));
    assert!(next().unpack::<op::Post<Box<dyn std::any::Any + Send>>>().is::<u8>());
}

fn a_sender_keeps_its_order(backend: Backend) {
    const POSTS: u64 = 100_000;
    let mut port = port(backend);
    let poster = port.poster();
    let sender = thread::spawn(move || (0..POSTS).for_each(|number| post(&poster, number, number)));
    for expected in 0..POSTS {
        let done = one(&mut port);
        assert_eq!(done.token(), Token(expected));
        assert_eq!(done.unpack::<op::Post<u64>>(), expected);
    }
    sender.join().expect("the sender");
}

fn many_senders_lose_nothing(backend: Backend) {
    const SENDERS: usize = 8;
    const POSTS: u64 = 10_000;
    let mut port = port(backend);
    let start = Arc::new(Barrier::new(SENDERS));
    let senders: Vec<_> = (0..SENDERS)
        .map(|sender| {
            let (poster, start) = (port.poster(), start.clone());
            thread::spawn(move || {
                start.wait();
                (0..POSTS).for_each(|number| post(&poster, sender as u64, number));
            })
        })
        .collect();
    let mut expected = [0; SENDERS];
    for _ in 0..SENDERS as u64 * POSTS {
        let done = one(&mut port);
        let sender = done.token().0 as usize;
        assert_eq!(done.unpack::<op::Post<u64>>(), expected[sender], "sender {sender}");
        expected[sender] += 1;
    }
    assert_eq!(expected, [POSTS; SENDERS]);
    senders.into_iter().for_each(|sender| sender.join().expect("a sender"));
    assert!(drive_for(&mut port, Duration::from_millis(10)).is_empty(), "more came than was sent");
}

fn a_post_wakes_a_waiting_port(backend: Backend) {
    let mut port = port(backend);
    let poster = port.poster();
    let sender = thread::spawn(move || {
        // Long enough for the port to be asleep; a shorter pause would only make the test weaker.
        thread::sleep(Duration::from_millis(50));
        post(&poster, 1, ());
    });
    assert!(port.wait(PATIENCE).expect("wait"), "the post did not wake the port");
    assert_eq!(one(&mut port).token(), Token(1));
    sender.join().expect("the sender");
}

fn no_wake_up_is_lost(backend: Backend) {
    const ROUNDS: u64 = 20_000;
    let mut port = port(backend);
    let poster = port.poster();
    let round = Arc::new(AtomicU64::new(0));
    let told = round.clone();
    let sender = thread::spawn(move || {
        for number in 1..=ROUNDS {
            // Posts just when the port goes to sleep: after it said so, and a little later each time.
            while told.load(SeqCst) < number {
                std::hint::spin_loop();
            }
            (0..number % 64).for_each(|_| std::hint::spin_loop());
            post(&poster, number, number);
        }
    });
    for number in 1..=ROUNDS {
        assert!(port.next().is_none(), "round {number}: nothing was posted yet");
        round.store(number, SeqCst);
        assert!(port.wait(PATIENCE).expect("wait"), "round {number}: the wake-up was lost");
        assert_eq!(one(&mut port).unpack::<op::Post<u64>>(), number);
    }
    sender.join().expect("the sender");
}

fn a_port_posts_to_itself(backend: Backend) {
    const POSTS: u64 = 50_000;
    let mut port = port(backend);
    let poster = port.poster();
    // More than any queue that could be bounded: a post must not wait for its own thread.
    (0..POSTS).for_each(|number| post(&poster, number, number));
    for expected in 0..POSTS {
        assert_eq!(one(&mut port).unpack::<op::Post<u64>>(), expected);
    }
}

fn a_port_may_post_while_it_handles_a_post(backend: Backend) {
    let mut port = port(backend);
    let poster = port.poster();
    post(&poster, 0, 0_u64);
    for expected in 0..1000 {
        let number = one(&mut port).unpack::<op::Post<u64>>();
        assert_eq!(number, expected);
        post(&poster, 0, number + 1);
    }
}

fn two_ports_play_ping_pong(backend: Backend) {
    const ROUNDS: u64 = 5_000;
    let mut here = port(backend);
    let home = here.poster();
    let (tell, there) = mpsc::channel();
    let other = thread::spawn(move || {
        let mut port = port(backend);
        tell.send(port.poster()).expect("the test waits for it");
        for _ in 0..ROUNDS {
            let number = one(&mut port).unpack::<op::Post<u64>>();
            post(&home, 0, number + 1);
        }
    });
    let there = there.recv().expect("the other port");
    let mut number = 0;
    for _ in 0..ROUNDS {
        post(&there, 0, number);
        number = one(&mut here).unpack::<op::Post<u64>>();
    }
    assert_eq!(number, ROUNDS);
    other.join().expect("the other port");
}

fn a_post_arrives_while_sockets_are_busy(backend: Backend) {
    let mut port = port(backend);
    let (near, far) = tcp_pair();
    let conn = port.attach(near).expect("attach");
    let stop = Arc::new(AtomicBool::new(false));
    let flood = {
        let stop = stop.clone();
        thread::spawn(move || {
            use std::io::Write;
            let mut far = far;
            while !stop.load(SeqCst) && far.write_all(&[1; 4096]).is_ok() {}
        })
    };
    let poster = port.poster();
    let sender = thread::spawn(move || (0..1000_u64).for_each(|number| post(&poster, 1, number)));
    port.submit(op::Recv::new(conn, vec![0; 4096]), Token(0));
    let mut expected = 0;
    while expected < 1000 {
        let done = one(&mut port);
        if done.token() == Token(1) {
            assert_eq!(done.unpack::<op::Post<u64>>(), expected);
            expected += 1;
        } else {
            let (result, buf) = done.unpack::<op::Recv<Vec<u8>>>();
            assert!(result.expect("the flood goes on") > 0);
            port.submit(op::Recv::new(conn, buf), Token(0));
        }
    }
    stop.store(true, SeqCst);
    drop(port);
    sender.join().expect("the sender");
    flood.join().expect("the flood");
}

fn a_post_to_a_dropped_port_gives_the_value_back(backend: Backend) {
    let port = port(backend);
    let poster = port.poster();
    let another = poster.clone();
    drop(port);
    let back = poster.post(Token(1), String::from("back")).expect_err("the port is gone");
    assert_eq!(back.0, "back");
    let from_elsewhere = thread::spawn(move || another.post(Token(1), 5).is_err());
    assert!(from_elsewhere.join().expect("no panic"));
}

fn posts_that_nobody_fetched_are_dropped_with_the_port(backend: Backend) {
    let mut port = port(backend);
    let value = Arc::new(());
    let poster = port.poster();
    for number in 0..100 {
        post(&poster, number, value.clone());
    }
    // Some are fetched, some may sit in the queue of ready completions, the rest in the inbox.
    drop(drive(&mut port, 10));
    assert_eq!(Arc::strong_count(&value), 91);
    drop(port);
    assert_eq!(Arc::strong_count(&value), 1, "a value was leaked");
    assert!(poster.post(Token(0), value.clone()).is_err());
    assert_eq!(Arc::strong_count(&value), 1);
}

fn every_value_is_accounted_for_when_the_port_goes_amid_posts(backend: Backend) {
    for round in 0..50 {
        let mut port = port(backend);
        let value = Arc::new(());
        let start = Arc::new(Barrier::new(4));
        let senders: Vec<_> = (0..3)
            .map(|_| {
                let (poster, value, start) = (port.poster(), value.clone(), start.clone());
                thread::spawn(move || {
                    start.wait();
                    // Until the port is gone: every value is then either with it or handed back.
                    while poster.post(Token(0), value.clone()).is_ok() {}
                })
            })
            .collect();
        start.wait();
        for _ in 0..round {
            let _ = one(&mut port);
        }
        drop::<Port>(port);
        senders.into_iter().for_each(|sender| sender.join().expect("a sender"));
        assert_eq!(Arc::strong_count(&value), 1, "round {round}");
    }
}
