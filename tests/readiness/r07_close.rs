//! R7: a source should be deleted before it is closed. One that is closed all the same breaks nothing: other sources go on,
//! waits go on. (Its number can be registered again by whoever gets it next: descriptors.rs.)

use std::io::Write;
use std::net::TcpStream;

use anyport::Backend;
use anyport::poller::{Interest, Mode};

use crate::support::*;
use crate::watch::*;

pub(crate) fn tests() -> Vec<Case> {
    cases![
        deleted_then_closed_leaves_nothing_behind,
        the_others_go_on_when_one_is_closed,
        the_poller_may_go_before_its_sources,
    ]
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


fn the_poller_may_go_before_its_sources(backend: Backend) {
    let watch = poller(backend);
    let (near, mut far): (TcpStream, TcpStream) = tcp_pair();
    watch.add(&near, 1, Interest::READABLE, Mode::Edge).expect("add");
    drop(watch);
    far.write_all(b"x").expect("send");
    near.peek(&mut [0]).expect("the source is as it was");
}
