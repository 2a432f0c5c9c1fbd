//! R7: a source should be deleted before it is closed. One that is closed all the same breaks nothing: other sources go on,
//! waits go on, and its number can be registered again by whoever gets it next.

use std::io::Write;
use std::net::TcpStream;
use std::os::fd::AsRawFd;

use anyport::Backend;
use anyport::poller::{Interest, Mode};

use crate::support::*;
use crate::watch::*;

pub(crate) fn tests() -> Vec<Case> {
    cases! {
        each_backend: [
            deleted_then_closed_leaves_nothing_behind,
            the_others_go_on_when_one_is_closed,
            the_poller_may_go_before_its_sources,
        ],
        each_backend_isolated: [
            a_reused_number_can_be_registered,
            a_source_closed_without_being_deleted_is_forgotten,
        ],
    }
}

fn deleted_then_closed_leaves_nothing_behind(backend: Backend) {
    let mut watch = poller(backend);
    for key in 0..100 {
        let (near, mut far) = tcp_pair();
        watch.add(&near, key, Interest::READABLE, Mode::Level).expect("add");
        far.write_all(b"x").expect("send");
        assert_eq!(watch.one().key, key);
        watch.delete(&near).expect("delete");
    }
    watch.silent();
}

fn the_others_go_on_when_one_is_closed(backend: Backend) {
    let mut watch = poller(backend);
    let (one, mut one_far) = tcp_pair();
    let (two, _two_far) = tcp_pair();
    let (three, mut three_far) = tcp_pair();
    for (key, source) in [(1, &one), (2, &two), (3, &three)] {
        watch.add(source, key, Interest::READABLE, Mode::Level).expect("add");
    }
    drop(two);
    for (key, far) in [(1, &mut one_far), (3, &mut three_far)] {
        far.write_all(b"x").expect("send");
        watch.until_key(key);
    }
}

impl Watch {
    /// Waits until `key` is reported; others may be.
    fn until_key(&mut self, key: usize) {
        while !self.some().iter().any(|event| event.key == key) {}
    }
}

/// Alone in its process, so that nobody else takes the number.
fn a_reused_number_can_be_registered(backend: Backend) {
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

fn the_poller_may_go_before_its_sources(backend: Backend) {
    let watch = poller(backend);
    let (near, mut far): (TcpStream, TcpStream) = tcp_pair();
    watch.add(&near, 1, Interest::READABLE, Mode::Edge).expect("add");
    drop(watch);
    far.write_all(b"x").expect("send");
    near.peek(&mut [0]).expect("the source is as it was");
}
