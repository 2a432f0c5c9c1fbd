//! R2: in level mode a source is reported by each wait for as long as the condition holds, and no longer.

use std::io::{Read, Write};

use anyport::Backend;
use anyport::poller::{Interest, Mode};

use crate::support::*;
use crate::watch::*;

pub(crate) fn tests() -> Vec<Case> {
    cases![
        each_wait_reports_it_until_it_is_drained,
        what_arrives_afterwards_is_reported_again,
        each_direction_by_itself,
        an_end_of_stream_stays,
    ]
}

fn each_wait_reports_it_until_it_is_drained(backend: Backend) {
    let mut watch = poller(backend);
    let (mut near, mut far) = tcp_pair();
    far.write_all(b"abc").expect("send");
    watch.add(&near, 1, Interest::READABLE, Mode::Level).expect("add");
    for _ in 0..5 {
        assert!(watch.one().is_readable());
    }
    // A part is not all.
    near.read_exact(&mut [0; 2]).expect("receive");
    assert!(watch.one().is_readable());
    near.read_exact(&mut [0; 1]).expect("receive");
    watch.silent();
}

fn what_arrives_afterwards_is_reported_again(backend: Backend) {
    let mut watch = poller(backend);
    let (mut near, mut far) = tcp_pair();
    watch.add(&near, 1, Interest::READABLE, Mode::Level).expect("add");
    for _ in 0..3 {
        watch.silent();
        far.write_all(b"x").expect("send");
        assert!(watch.one().is_readable());
        near.read_exact(&mut [0]).expect("receive");
    }
}

fn each_direction_by_itself(backend: Backend) {
    let mut watch = poller(backend);
    let (mut near, mut far) = tcp_pair();
    watch.add(&near, 1, Interest::READABLE | Interest::WRITABLE, Mode::Level).expect("add");
    for _ in 0..2 {
        let event = watch.one();
        assert!(event.is_writable() && !event.is_readable(), "{event:?}");
    }
    far.write_all(b"x").expect("send");
    near.peek(&mut [0]).expect("it has arrived");
    for _ in 0..2 {
        let event = watch.until(1, |event| event.is_readable());
        assert!(event.is_writable(), "{event:?}");
    }
    near.read_exact(&mut [0]).expect("receive");
    let event = watch.one();
    assert!(event.is_writable() && !event.is_readable(), "{event:?}");
}

fn an_end_of_stream_stays(backend: Backend) {
    let mut watch = poller(backend);
    let (mut near, far) = tcp_pair();
    drop(far);
    watch.add(&near, 1, Interest::READABLE, Mode::Level).expect("add");
    for _ in 0..3 {
        assert!(watch.one().is_readable());
        assert_eq!(near.read(&mut [0]).expect("receive"), 0);
    }
}
