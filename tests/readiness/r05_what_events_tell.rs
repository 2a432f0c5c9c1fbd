//! R5: what an event tells is the same on every backend: the end of the peer's direction, a hang-up, an error, priority
//! data; and after a hang-up or an error both directions count as ready.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};

use anyport::Backend;
use anyport::poller::{Interest, Mode};
use socket2::{Domain, SockRef, Socket, Type};

use crate::support::*;
use crate::watch::*;

pub(crate) fn tests() -> Vec<Case> {
    cases![
        plain_data_tells_nothing_else,
        a_peer_that_has_ended_its_direction,
        data_before_the_end_is_not_lost,
        both_directions_over,
        a_reset,
        a_refused_connect,
        urgent_data,
        a_reset_wakes_whoever_asked_for_one_direction,
    ]
}

const BOTH: Interest = Interest::READABLE.union(Interest::WRITABLE);

fn plain_data_tells_nothing_else(backend: Backend) {
    let mut watch = poller(backend);
    let (near, mut far) = tcp_pair();
    far.write_all(b"x").expect("send");
    watch.add(&near, 1, Interest::READABLE, Mode::Level).expect("add");
    let event = watch.one();
    assert!(event.is_readable());
    assert!(!event.is_writable() && !event.is_priority() && !event.is_error(), "{event:?}");
    assert!(!event.is_read_closed() && !event.is_write_closed() && !event.is_hang_up(), "{event:?}");
}

fn a_peer_that_has_ended_its_direction(backend: Backend) {
    let mut watch = poller(backend);
    let (mut near, far) = tcp_pair();
    watch.add(&near, 1, BOTH, Mode::Level).expect("add");
    far.shutdown(Shutdown::Write).expect("end the stream");
    let event = watch.until(1, |event| event.is_readable());
    assert!(event.is_read_closed() && event.is_writable(), "{event:?}");
    assert!(!event.is_write_closed() && !event.is_hang_up() && !event.is_error(), "{event:?}");
    assert_eq!(near.read(&mut [0]).expect("receive"), 0);
    near.write_all(b"x").expect("the other direction is open");
}

/// The end is told with the data before it, or once that was read; and it does not swallow any.
fn data_before_the_end_is_not_lost(backend: Backend) {
    let mut watch = poller(backend);
    let (mut near, mut far) = tcp_pair();
    far.write_all(b"last words").expect("send");
    far.shutdown(Shutdown::Write).expect("end the stream");
    watch.add(&near, 1, Interest::READABLE, Mode::Level).expect("add");
    let mut text = String::new();
    loop {
        let event = watch.one();
        assert!(event.is_readable(), "{event:?}");
        if event.is_read_closed() {
            break;
        }
        let mut letter = [0];
        assert_eq!(near.read(&mut letter).expect("receive"), 1);
        text.push(letter[0].into());
    }
    near.read_to_string(&mut text).expect("receive");
    assert_eq!(text, "last words");
}

fn both_directions_over(backend: Backend) {
    let mut watch = poller(backend);
    let (near, far) = tcp_pair();
    far.shutdown(Shutdown::Write).expect("end the stream");
    near.shutdown(Shutdown::Write).expect("end the stream");
    watch.add(&near, 1, BOTH, Mode::Level).expect("add");
    let event = watch.until(1, |event| event.is_read_closed());
    assert!(event.is_readable() && event.is_writable(), "{event:?}");
    assert!(!event.is_error(), "an orderly end is none: {event:?}");
}

fn reset_pair() -> TcpStream {
    let (near, far) = tcp_pair();
    SockRef::from(&far).set_linger(Some(std::time::Duration::ZERO)).expect("SO_LINGER");
    drop(far);
    near
}

fn a_reset(backend: Backend) {
    let mut watch = poller(backend);
    let near = reset_pair();
    watch.add(&near, 1, BOTH, Mode::Level).expect("add");
    let event = watch.until(1, |event| event.is_error());
    assert!(event.is_readable() && event.is_writable() && event.is_hang_up(), "{event:?}");
    assert!(event.is_read_closed() && event.is_write_closed(), "{event:?}");
}

fn a_reset_wakes_whoever_asked_for_one_direction(backend: Backend) {
    for (interest, mode) in [Interest::READABLE, Interest::WRITABLE]
        .into_iter()
        .flat_map(|interest| [Mode::Oneshot, Mode::Level, Mode::Edge].map(|mode| (interest, mode)))
    {
        let mut watch = poller(backend);
        let near = reset_pair();
        // The reset has arrived.
        near.set_nonblocking(false).expect("blocking");
        let _ = near.peek(&mut [0]);
        watch.add(&near, 1, interest, mode).expect("add");
        let event = watch.one();
        assert!(event.is_readable() || event.is_writable(), "{interest:?}, {mode:?}: {event:?}");
    }
}

fn a_refused_connect(backend: Backend) {
    for mode in [Mode::Oneshot, Mode::Level, Mode::Edge] {
        let mut watch = poller(backend);
        let nobody = TcpListener::bind("127.0.0.1:0").expect("listen").local_addr().expect("its address");
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        socket.set_nonblocking(true).expect("non-blocking");
        let _ = socket.connect(&nobody.into());
        watch.add(&socket, 1, Interest::WRITABLE, mode).expect("add");
        let event = watch.one();
        assert!(event.is_writable() && event.is_error(), "{mode:?}: {event:?}");
        match socket.take_error().expect("SO_ERROR") {
            Some(error) => assert_eq!(error.kind(), ErrorKind::ConnectionRefused),
            None => assert!(is_libkqueue(backend), "only libkqueue takes the error up itself"),
        }
    }
}

fn urgent_data(backend: Backend) {
    for mode in [Mode::Oneshot, Mode::Level, Mode::Edge] {
        let mut watch = poller(backend);
        let (near, far) = tcp_pair();
        let added = watch.add(&near, 1, Interest::PRIORITY, mode);
        if !tells_priority(backend) {
            assert_eq!(added.expect_err("it is not told here").kind(), ErrorKind::Unsupported);
            watch.add(&near, 1, Interest::READABLE, mode).expect("what was refused is not registered");
            continue;
        }
        added.expect("add");
        watch.silent();
        (&far).write_all(b"plain").expect("send");
        near.peek(&mut [0]).expect("it has arrived");
        watch.silent();
        SockRef::from(&far).send_out_of_band(b"!").expect("send urgent data");
        let event = watch.one();
        assert!(event.is_priority() && !event.is_readable() && !event.is_error(), "{mode:?}: {event:?}");
        let mut urgent = [std::mem::MaybeUninit::uninit()];
        assert_eq!(SockRef::from(&near).recv_out_of_band(&mut urgent).expect("receive it"), 1);
    }
}
