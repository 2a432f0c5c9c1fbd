//! The instruments of the suite, checked against what is known: a counter that counts nothing would let every promise
//! pass.

use std::io::{Read, Write};
use std::time::Duration;
use std::{hint, io, thread};

use crate::support::*;

pub(crate) fn tests() -> Vec<Case> {
    cases! {
        once: [
            allocations_of_this_thread_are_counted,
            system_calls_of_this_thread_are_counted,
            a_peer_plays_its_script,
            a_pattern_shows_shifts_and_swaps,
        ],
        once_isolated: [
            a_process_of_its_own_has_one_thread,
            mappings_are_counted_but_not_the_heaps,
            descriptors_are_listed_with_their_flags,
        ],
    }
}

fn allocations_of_this_thread_are_counted() {
    let (heap, bytes) = counted(|| hint::black_box(vec![1u8; 100]));
    assert_eq!(heap, Heap { allocations: 1, live: 100 });
    let (heap, ()) = counted(|| drop(bytes));
    assert_eq!(heap, Heap { allocations: 0, live: -100 });
    let elsewhere = thread::spawn(|| hint::black_box(vec![1u8; 1 << 20]));
    let (heap, bytes) = counted(|| elsewhere.join().expect("no panic"));
    assert!(heap.live < 1 << 20, "another thread's allocation was counted: {heap:?}");
    drop(bytes);
}

fn system_calls_of_this_thread_are_counted() {
    let (calls, ()) = count(|| ());
    assert_eq!(calls.total(), 0, "{calls}");

    let (mut near, far) = unix_pair();
    let peer = Peer::start(far, vec![Step::Echo { size: 1, times: 10 }, Step::Pause(Duration::from_millis(1))]);
    let (calls, ()) = count(|| {
        for _ in 0..10 {
            near.write_all(b"x").expect("write");
            near.read_exact(&mut [0]).expect("read");
        }
    });
    peer.finish();
    assert_eq!((calls.of_any(SENDS), calls.of_any(RECVS)), (10, 10), "{calls}");
    assert_eq!(calls.except(SENDS).except(RECVS).total(), 0, "{calls}");
}

fn a_peer_plays_its_script() {
    let (mut near, far) = tcp_pair();
    let script = vec![Step::Echo { size: 3, times: 2 }, Step::Send(pattern(2, 5)), Step::Receive(1), Step::Reset];
    let peer = Peer::start(far, script);
    near.write_all(&pattern(1, 6)).expect("write");
    let mut echoed = [0; 6];
    near.read_exact(&mut echoed).expect("read");
    assert_piece(&echoed, 1, 0);
    let mut sent = [0; 5];
    near.read_exact(&mut sent).expect("read");
    assert_piece(&sent, 2, 0);
    near.write_all(b"!").expect("write");
    assert_eq!(peer.finish(), [pattern(1, 6), b"!".to_vec()].concat());
    let reset = near.read(&mut [0]).map_err(|error| error.kind());
    // Wine calls it an end (wine_lacks.rs).
    assert!(reset == Err(io::ErrorKind::ConnectionReset) || is_wine(), "{reset:?}");
}

fn a_pattern_shows_shifts_and_swaps() {
    let bytes = pattern(7, 64);
    assert_eq!(piece(7, 16, 48), bytes[16..]);
    assert_ne!(piece(7, 1, 63), bytes[..63]);
    assert_ne!(pattern(8, 64), bytes);
}

fn a_process_of_its_own_has_one_thread() {
    assert_eq!(threads().len(), 1, "{:?}", threads());
    let (over, listed) = std::sync::mpsc::channel::<()>();
    let running = thread::Builder::new().name("a-second-one".into()).spawn(move || listed.recv().is_err());
    let running = running.expect("start a thread");
    eventually("the new thread is listed", || threads().iter().any(|name| name == "a-second-one"));
    drop(over);
    running.join().expect("no panic");
}

fn mappings_are_counted_but_not_the_heaps() {
    let before = mapped_beside_the_heap();
    let big = hint::black_box(vec![1u8; 10 << 20]);
    assert_eq!(mapped_beside_the_heap(), before, "the allocator's own mappings were counted");
    drop(big);
    let mapped = Mapped::new(1 << 20);
    assert_eq!(mapped_beside_the_heap() - before, 1 << 20);
    drop(mapped);
    assert_eq!(mapped_beside_the_heap(), before);
}

fn descriptors_are_listed_with_their_flags() {
    // The first child that is started leaves something behind on Wine.
    let seen = seen_by_a_child();
    let before = descriptors();
    let (near, far) = unix_pair();
    let opened = descriptors().len() - before.len();
    assert_eq!(opened, 2);
    assert!(close_on_exec(number(&near)));
    have_inherited(&near);
    assert!(!close_on_exec(number(&near)));
    assert_ne!(seen_by_a_child(), seen, "a child has one more");
    drop((near, far));
    assert_eq!(descriptors(), before);
}
