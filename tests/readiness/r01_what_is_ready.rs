//! R1: a source that is ready when it is added, in whichever mode, is reported by the next wait; one that is not ready is
//! reported when it becomes so; and only what was asked for is.

use std::io::Write;
use std::net::{TcpStream, UdpSocket};

use anyport::Backend;
use anyport::poller::{Interest, Mode};
use socket2::{Domain, Socket, Type};

use crate::support::*;
use crate::watch::*;

pub(crate) fn tests() -> Vec<Case> {
    cases![
        what_is_ready_when_it_is_added_is_reported,
        what_becomes_ready_later_is_reported,
        a_full_socket_is_not_writable_until_it_is_emptied,
        only_what_was_asked_for_is_reported,
        both_directions_come_in_one_event,
        a_listener_is_readable_when_somebody_connects,
        a_connect_in_progress_is_writable_when_it_is_done,
        datagrams_make_a_socket_readable,
        nothing_is_reported_without_interest,
        sources_may_share_a_key,
    ]
}

const MODES: [Mode; 3] = [Mode::Oneshot, Mode::Level, Mode::Edge];

fn what_is_ready_when_it_is_added_is_reported(backend: Backend) {
    for mode in MODES {
        let mut watch = poller(backend);
        let (near, mut far) = tcp_pair();
        far.write_all(b"x").expect("send");
        near.peek(&mut [0]).expect("it has arrived");
        watch.add(&near, 7, Interest::READABLE, mode).expect("add");
        let event = watch.one();
        assert!(event.key == 7 && event.is_readable() && !event.is_writable(), "{mode:?}: {event:?}");
    }
}

fn what_becomes_ready_later_is_reported(backend: Backend) {
    for mode in MODES {
        let mut watch = poller(backend);
        let (near, mut far) = tcp_pair();
        watch.add(&near, 7, Interest::READABLE, mode).expect("add");
        watch.silent();
        far.write_all(b"x").expect("send");
        let event = watch.one();
        assert!(event.key == 7 && event.is_readable() && !event.is_writable(), "{mode:?}: {event:?}");
    }
}

/// Sends until there is no room.
fn fill(mut stream: &TcpStream) {
    stream.set_nonblocking(true).expect("non-blocking");
    while stream.write(&[0; 65536]).is_ok() {}
}

fn a_full_socket_is_not_writable_until_it_is_emptied(backend: Backend) {
    for mode in MODES {
        let mut watch = poller(backend);
        let (near, far) = tcp_pair();
        fill(&near);
        watch.add(&near, 1, Interest::WRITABLE, mode).expect("add");
        watch.silent();
        drop(std::thread::spawn(move || std::io::copy(&mut &far, &mut std::io::sink())));
        let event = watch.one();
        assert!(event.is_writable() && !event.is_readable(), "{mode:?}: {event:?}");
        near.shutdown(std::net::Shutdown::Both).expect("end the reader");
    }
}

fn only_what_was_asked_for_is_reported(backend: Backend) {
    let mut watch = poller(backend);
    let (near, mut far) = tcp_pair();
    far.write_all(b"x").expect("send");
    near.peek(&mut [0]).expect("it has arrived");
    watch.add(&near, 1, Interest::WRITABLE, Mode::Level).expect("add");
    let event = watch.one();
    assert!(event.is_writable() && !event.is_readable(), "{event:?}");
    watch.modify(&near, 1, Interest::READABLE, Mode::Level).expect("modify");
    let event = watch.one();
    assert!(!event.is_writable() && event.is_readable(), "{event:?}");
}

fn both_directions_come_in_one_event(backend: Backend) {
    for mode in MODES {
        let mut watch = poller(backend);
        let (near, mut far) = tcp_pair();
        far.write_all(b"x").expect("send");
        near.peek(&mut [0]).expect("it has arrived");
        watch.add(&near, 1, Interest::READABLE | Interest::WRITABLE, mode).expect("add");
        let event = watch.one();
        assert!(event.is_writable() && event.is_readable(), "{mode:?}: {event:?}");
    }
}

fn a_listener_is_readable_when_somebody_connects(backend: Backend) {
    for mode in MODES {
        let mut watch = poller(backend);
        let (listener, address) = listener();
        watch.add(&listener, 3, Interest::READABLE, mode).expect("add");
        watch.silent();
        let _client = TcpStream::connect(address).expect("connect");
        let event = watch.one();
        assert!(event.key == 3 && event.is_readable(), "{mode:?}: {event:?}");
        listener.accept().expect("accept");
    }
}

fn a_connect_in_progress_is_writable_when_it_is_done(backend: Backend) {
    for mode in MODES {
        let mut watch = poller(backend);
        let (listener, address) = listener();
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        socket.set_nonblocking(true).expect("non-blocking");
        // In progress: `EINPROGRESS` or `WSAEWOULDBLOCK`.
        let _ = socket.connect(&address.into());
        watch.add(&socket, 4, Interest::WRITABLE, mode).expect("add");
        let event = watch.one();
        assert!(event.is_writable() && !event.is_error(), "{mode:?}: {event:?}");
        assert!(socket.take_error().expect("SO_ERROR").is_none());
        listener.accept().expect("accept");
    }
}

fn datagrams_make_a_socket_readable(backend: Backend) {
    let mut watch = poller(backend);
    let near = UdpSocket::bind("127.0.0.1:0").expect("a UDP socket");
    watch.add(&near, 5, Interest::READABLE, Mode::Level).expect("add");
    watch.silent();
    near.send_to(b"x", near.local_addr().expect("its address")).expect("send to itself");
    let event = watch.one();
    assert!(event.key == 5 && event.is_readable() && !event.is_writable(), "{event:?}");
}

fn nothing_is_reported_without_interest(backend: Backend) {
    for mode in MODES {
        let mut watch = poller(backend);
        let (near, mut far) = tcp_pair();
        far.write_all(b"x").expect("send");
        near.peek(&mut [0]).expect("it has arrived");
        watch.add(&near, 1, Interest::empty(), mode).expect("add");
        watch.silent();
        // A hang-up may be told once.
        drop(far);
        near.shutdown(std::net::Shutdown::Both).expect("hang up");
        let told = watch.look();
        assert!(told.len() <= 1, "{mode:?}: {told:?}");
        watch.silent();
        watch.modify(&near, 2, Interest::READABLE, mode).expect("modify");
        assert_eq!(watch.one().key, 2);
    }
}

fn sources_may_share_a_key(backend: Backend) {
    let mut watch = poller(backend);
    let (one, two) = tcp_pair();
    for source in [&one, &two] {
        watch.add(source, 9, Interest::WRITABLE, Mode::Oneshot).expect("add");
    }
    let mut events = watch.some();
    if events.len() < 2 {
        events.extend(watch.some());
    }
    assert_eq!(keys(&events), [9, 9]);
}
