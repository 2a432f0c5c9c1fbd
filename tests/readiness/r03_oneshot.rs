//! R3: in oneshot mode a source is reported once, then says nothing, not even a hang-up, until `modify` asks again.

use std::io::{Read, Write};
use std::net::Shutdown;

use anyport::Backend;
use anyport::poller::{Interest, Mode};

use crate::support::*;
use crate::watch::*;

pub(crate) fn tests() -> Vec<Case> {
    cases![
        one_event_then_silence,
        modify_asks_again_and_sees_what_is_there_already,
        an_event_of_one_direction_silences_the_other,
        not_even_a_hang_up_comes_afterwards,
        it_stays_registered,
    ]
}

fn one_event_then_silence(backend: Backend) {
    let mut watch = poller(backend);
    let (near, mut far) = tcp_pair();
    watch.add(&near, 1, Interest::READABLE, Mode::Oneshot).expect("add");
    far.write_all(b"x").expect("send");
    assert!(watch.one().is_readable());
    watch.silent();
    far.write_all(b"y").expect("send");
    near.peek(&mut [0; 2]).expect("it has arrived");
    watch.silent();
}

fn modify_asks_again_and_sees_what_is_there_already(backend: Backend) {
    let mut watch = poller(backend);
    let (mut near, mut far) = tcp_pair();
    watch.add(&near, 1, Interest::READABLE, Mode::Oneshot).expect("add");
    far.write_all(b"x").expect("send");
    for key in 1..5 {
        assert_eq!(watch.one().key, key);
        watch.silent();
        watch.modify(&near, key + 1, Interest::READABLE, Mode::Oneshot).expect("modify");
    }
    assert_eq!(watch.one().key, 5);
    near.read_exact(&mut [0]).expect("receive");
    watch.modify(&near, 6, Interest::READABLE, Mode::Oneshot).expect("modify");
    watch.silent();
    far.write_all(b"y").expect("send");
    assert_eq!(watch.one().key, 6);
}

fn an_event_of_one_direction_silences_the_other(backend: Backend) {
    let mut watch = poller(backend);
    let (near, mut far) = tcp_pair();
    watch.add(&near, 1, Interest::READABLE | Interest::WRITABLE, Mode::Oneshot).expect("add");
    let event = watch.one();
    assert!(event.is_writable() && !event.is_readable(), "{event:?}");
    far.write_all(b"x").expect("send");
    near.peek(&mut [0]).expect("it has arrived");
    watch.silent();
}

fn not_even_a_hang_up_comes_afterwards(backend: Backend) {
    let mut watch = poller(backend);
    let (near, far) = tcp_pair();
    watch.add(&near, 1, Interest::WRITABLE, Mode::Oneshot).expect("add");
    watch.one();
    drop(far);
    near.shutdown(Shutdown::Both).expect("hang up");
    assert_eq!((&near).read(&mut [0]).expect("the end is there"), 0);
    watch.silent();
    watch.modify(&near, 2, Interest::READABLE, Mode::Oneshot).expect("modify");
    assert!(watch.one().is_readable());
    watch.silent();
}

fn it_stays_registered(backend: Backend) {
    let mut watch = poller(backend);
    let (near, _far) = tcp_pair();
    watch.add(&near, 1, Interest::WRITABLE, Mode::Oneshot).expect("add");
    watch.one();
    let error = watch.add(&near, 1, Interest::WRITABLE, Mode::Oneshot).expect_err("it is registered");
    assert_eq!(error.kind(), std::io::ErrorKind::AlreadyExists);
    watch.delete(&near).expect("delete");
}
