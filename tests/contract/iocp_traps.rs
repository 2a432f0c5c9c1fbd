//! The traps of I/O completion ports, each with a test: what goes wrong when a program takes the system for what it is
//! not. (The others are in `traps.rs`.)

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

use anyport::op::{self, Operation};
use anyport::{Backend, Port, Token, error};
use socket2::{Domain, SockRef, Socket, Type};

use crate::support::*;
use crate::traps::{Trap, assert_tested};

pub(crate) fn tests() -> Vec<Case> {
    cases! {
        once: [
            every_trap_of_a_completion_port_has_its_test,
        ],
        each_backend_isolated: [
            a_call_that_succeeds_at_once_waits_for_no_packet,
        ],
        each_backend: [
            connections_that_are_there_before_the_accept_are_accepted,
            connections_that_come_as_the_accept_is_made_are_accepted,
            accepts_outlive_a_connection_that_another_has,
            an_accepted_socket_knows_its_addresses_and_shuts_down,
            a_connected_socket_knows_its_peer_and_shuts_down,
            a_reset_is_no_end_of_stream,
            a_call_that_succeeds_at_once_completes_once,
            a_call_that_fails_at_once_completes_once,
            a_datagram_that_does_not_fit_is_cut_and_completes_once,
            a_cancel_that_meets_a_completion_loses_neither,
            a_send_is_given_up_while_it_goes_on,
            a_multishot_accept_that_is_given_up_leaves_its_listener_working,
            a_port_dropped_in_mid_flight_gives_everything_back_and_nothing_is_written_to_after_that,
            an_object_that_has_left_joins_another_port,
            a_file_for_synchronous_calls_is_served_all_the_same,
            a_pipe_of_messages_gives_each_in_pieces,
        ],
    }
}

const TRAPS: &[Trap] = &[
    (
        "what belongs to an AcceptEx is written down when it returns, and races with its packet",
        &[
            "traps::connections_that_are_there_before_the_accept_are_accepted",
            "traps::connections_that_come_as_the_accept_is_made_are_accepted",
        ],
    ),
    (
        "a socket without SO_UPDATE_ACCEPT_CONTEXT or SO_UPDATE_CONNECT_CONTEXT is half a socket",
        &[
            "traps::an_accepted_socket_knows_its_addresses_and_shuts_down",
            "traps::a_connected_socket_knows_its_peer_and_shuts_down",
        ],
    ),
    (
        "ERROR_NETNAME_DELETED and its like are taken for the end of the stream",
        &["traps::a_reset_is_no_end_of_stream", "c07::a_reset_under_a_receive", "c06::a_reset_is_an_error"],
    ),
    (
        "a packet is expected of a call that has succeeded at once, or has failed at once",
        &[
            "traps::a_call_that_succeeds_at_once_completes_once",
            "traps::a_call_that_succeeds_at_once_waits_for_no_packet",
            "traps::a_call_that_fails_at_once_completes_once",
            "traps::a_datagram_that_does_not_fit_is_cut_and_completes_once",
            "traps::a_pipe_of_messages_gives_each_in_pieces",
        ],
    ),
    (
        "a cancel and the completion that it meets: one is lost",
        &[
            "traps::a_cancel_that_meets_a_completion_loses_neither",
            "traps::a_multishot_accept_that_is_given_up_leaves_its_listener_working",
        ],
    ),
    (
        "memory that the system may still write is freed with the port, or leaks",
        &[
            "traps::a_port_dropped_in_mid_flight_gives_everything_back_and_nothing_is_written_to_after_that",
            "c11::a_port_dropped_with_operations_in_flight_leaves_nothing",
        ],
    ),
    ("an object stays bound to its completion port", &["traps::an_object_that_has_left_joins_another_port"]),
    (
        "an object that is open for synchronous calls joins no completion port",
        &["traps::a_file_for_synchronous_calls_is_served_all_the_same"],
    ),
    ("a clock that ticks every 15.6 ms", &["wine::a_packet_can_wait_for_a_timer", "c08::a_timed_wait_is_never_early"]),
];

fn every_trap_of_a_completion_port_has_its_test() {
    assert_tested(TRAPS);
}

const MS: Duration = Duration::from_millis(1);

/// `AcceptEx` may be over before it has returned.
fn connections_that_are_there_before_the_accept_are_accepted(backend: Backend) {
    let mut port = port(backend);
    let (listener, address) = listener();
    let clients: Vec<TcpStream> = (0..8).map(|_| TcpStream::connect(address).expect("connect")).collect();
    let listener = port.attach(listener).expect("attach");
    for _ in 0..4 {
        port.submit(op::Accept::new(listener), Token(1));
        one(&mut port).unpack::<op::Accept>().expect("accept");
    }
    let id = port.submit(op::AcceptMulti::new(listener), Token(2));
    for done in drive(&mut port, 4) {
        assert!(done.more());
        done.unpack::<op::AcceptMulti>().expect("accept");
    }
    assert!(port.cancel(id));
    assert!(error::is_cancelled(&one(&mut port).unpack::<op::AcceptMulti>().expect_err("cancelled")));
    assert_eq!(port.in_flight(), 0);
    drop(clients);
}

/// Its packet may be taken while what belongs to the call is still being written down.
fn connections_that_come_as_the_accept_is_made_are_accepted(backend: Backend) {
    const CLIENTS: usize = 200;
    let mut port = port(backend);
    let (listener, address) = listener();
    let listener = port.attach(listener).expect("attach");
    let clients =
        thread::spawn(move || (0..CLIENTS).map(|_| TcpStream::connect(address).expect("connect")).collect::<Vec<_>>());
    for _ in 0..CLIENTS {
        port.submit(op::Accept::new(listener), Token(1));
        let accepted = one(&mut port).unpack::<op::Accept>().expect("accept");
        assert_eq!(accepted.peer_addr().expect("a peer").as_socket().expect("an address").ip(), address.ip());
    }
    clients.join().expect("all have connected");
}

/// Wine gives one connection to two calls when somebody asks for it at that moment, and tells the second that it is not
/// there (`an_accept_waits_for_a_connection_of_its_own`).
fn accepts_outlive_a_connection_that_another_has(backend: Backend) {
    const CONNECTIONS: u64 = 200;
    for multi in [true, false] {
        let mut port = port(backend);
        let (listener, address) = listener();
        let watched = listener.try_clone().expect("a duplicate");
        let handle = port.attach(listener).expect("attach");
        match multi {
            true => drop(port.submit(op::AcceptMulti::new(handle), Token(0))),
            false => drop([1, 2].map(|token| port.submit(op::Accept::new(handle), Token(token)))),
        }
        while_asked(&watched, || {
            for _ in 0..CONNECTIONS {
                let _client = TcpStream::connect(address).expect("connect");
                let done = one(&mut port);
                if multi {
                    assert!(done.more());
                    done.unpack::<op::AcceptMulti>().expect("accept");
                } else {
                    port.submit(op::Accept::new(handle), done.token());
                    done.unpack::<op::Accept>().expect("accept");
                }
            }
        });
    }
}

/// Without `SO_UPDATE_ACCEPT_CONTEXT` a socket knows no peer, and cannot be shut down.
fn an_accepted_socket_knows_its_addresses_and_shuts_down(backend: Backend) {
    let mut port = port(backend);
    let (listener, address) = listener();
    let listener = port.attach(listener).expect("attach");
    port.submit(op::Accept::new(listener), Token(1));
    let mut client = TcpStream::connect(address).expect("connect");
    let accepted = one(&mut port).unpack::<op::Accept>().expect("accept");
    let peer = accepted.peer_addr().expect("a peer").as_socket();
    assert_eq!(peer, Some(client.local_addr().expect("an address")));
    let conn = port.attach(accepted).expect("attach");
    let own = port.with_socket(conn, |socket| socket.local_addr()).expect("attached").expect("an address");
    assert_eq!(own.as_socket(), Some(address));
    port.submit(op::Shutdown::new(conn, Shutdown::Write), Token(2));
    one(&mut port).unpack::<op::Shutdown>().expect("shutdown");
    assert_eq!(client.read(&mut [0; 1]).expect("the end"), 0);
}

/// Nor without `SO_UPDATE_CONNECT_CONTEXT`.
fn a_connected_socket_knows_its_peer_and_shuts_down(backend: Backend) {
    let mut port = port(backend);
    let (listener, address) = listener();
    let conn = port.attach(Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket")).expect("attach");
    port.submit(op::Connect::new(conn, address), Token(1));
    one(&mut port).unpack::<op::Connect>().expect("connect");
    let (mut far, _) = listener.accept().expect("accept");
    let peer = port.with_socket(conn, |socket| socket.peer_addr()).expect("attached").expect("a peer");
    assert_eq!(peer.as_socket(), Some(address));
    port.submit(op::Shutdown::new(conn, Shutdown::Write), Token(2));
    one(&mut port).unpack::<op::Shutdown>().expect("shutdown");
    assert_eq!(far.read(&mut [0; 1]).expect("the end"), 0);
}

/// `ERROR_NETNAME_DELETED` and its like.
fn a_reset_is_no_end_of_stream(backend: Backend) {
    let mut port = port(backend);
    for waits in [true, false] {
        for pooled in [true, false] {
            let (near, far) = tcp_pair();
            let conn = port.attach(near).expect("attach");
            let submit = |port: &mut Port| match pooled {
                true => port.submit(op::RecvPooled::new(conn), Token(1)),
                false => port.submit(op::Recv::new(conn, [0; 8]), Token(1)),
            };
            if waits {
                submit(&mut port);
                assert!(!port.wait(Some(Duration::ZERO)).expect("wait"));
            }
            SockRef::from(&far).set_linger(Some(Duration::ZERO)).expect("SO_LINGER");
            drop(far);
            if !waits {
                thread::sleep(20 * MS);
                submit(&mut port);
            }
            let done = one(&mut port);
            let error = match pooled {
                true => done.unpack::<op::RecvPooled>().expect_err("a reset"),
                false => done.unpack::<op::Recv<[u8; 8]>>().0.expect_err("a reset"),
            };
            assert_eq!(error.kind(), ErrorKind::ConnectionReset, "waits: {waits}, pooled: {pooled}");
        }
    }
}

/// With packets skipped on success, who expects one waits for ever; who expects none takes one up that is another's.
fn a_call_that_succeeds_at_once_completes_once(backend: Backend) {
    let mut port = port(backend);
    let (near, mut far) = tcp_pair();
    let (udp, peer) = udp_pair();
    let opened = opened(&mut port);
    let file = port.attach(opened).expect("attach");
    let (conn, udp) = (port.attach(near).expect("attach"), port.attach(udp).expect("attach"));
    for round in 0..50u8 {
        far.write_all(&[round]).expect("write");
        peer.send(&[round; 2]).expect("send");
        thread::sleep(MS);
        port.submit(op::Recv::new(conn, [0; 8]), Token(1));
        port.submit(op::Send::new(conn, [round]), Token(2));
        port.submit(op::Recv::new(udp, [0; 8]), Token(3));
        port.submit(op::Send::new(udp, [round; 3]), Token(4));
        port.submit(op::WriteAt::new(file, [round; 4], 0), Token(5));
        let mut tokens: Vec<_> = drive(&mut port, 5).iter().map(|done| (done.token().0, done.transferred())).collect();
        tokens.sort_unstable();
        assert_eq!(tokens, [(1, 1), (2, 1), (3, 2), (4, 3), (5, 4)]);
        port.submit(op::ReadAt::new(file, [0; 8], 0), Token(6));
        let done = one(&mut port);
        assert_eq!((done.token(), done.unpack::<op::ReadAt<[u8; 8]>>().1[..4] == [round; 4]), (Token(6), true));
        assert!(!port.wait(Some(Duration::ZERO)).expect("wait"), "a second completion");
    }
}

/// The system says that the call is over, and nobody asks the completion port. (Whether it says so of a file is its own
/// affair: Wine never does.)
fn a_call_that_succeeds_at_once_waits_for_no_packet(backend: Backend) {
    #[track_caller]
    fn assert_at_once<O: Operation>(port: &mut Port, operation: O) {
        let (calls, done) = count(|| {
            port.submit(operation, Token(1));
            port.next()
        });
        let done = done.expect("it is over");
        assert_eq!((done.transferred(), calls.of_any(WAITS), calls.total()), (4, 0, 1), "{done:?}: {calls}");
    }
    let mut port = port(backend);
    let (socket, mut far) = tcp_pair();
    let conn = port.attach(socket).expect("attach");
    for _ in 0..3 {
        assert_at_once(&mut port, op::Send::new(conn, "room"));
        far.write_all(b"data").expect("write");
        eventually("the data is there", || near(&port, conn).expect("attached").unread() == 4);
        assert_at_once(&mut port, op::Recv::new(conn, [0; 8]));
    }
}

/// A file that the port itself has opened: for overlapped calls.
fn opened(port: &mut Port) -> op::Opened {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let open = op::Open::new(folder.path().join("file")).read(true).write(true).create(true);
    port.submit(open, Token(0));
    one(port).unpack::<op::Open>().expect("open")
}

/// An error that is told at once has no packet.
fn a_call_that_fails_at_once_completes_once(backend: Backend) {
    let mut port = port(backend);
    let address: std::net::SocketAddr = "127.0.0.1:9".parse().expect("an address");
    let (udp, _) = udp_unconnected();
    let (reader, _writer) = pipe();
    let (udp, reader) = (port.attach(udp).expect("attach"), port.attach(reader).expect("attach"));
    for _ in 0..20 {
        port.submit(op::SendTo::new(udp, vec![0; 70_000], address), Token(1));
        port.submit(op::Send::new(udp, "nobody"), Token(2));
        port.submit(op::Connect::new(reader, address), Token(3));
        port.submit(op::ReadAt::new(reader, [0; 8], 0), Token(4));
        let mut tokens: Vec<_> = drive(&mut port, 4).iter().map(|done| done.token().0).collect();
        tokens.sort_unstable();
        assert_eq!(tokens, [1, 2, 3, 4]);
        assert!(!port.wait(Some(MS)).expect("wait"), "a packet that belongs to nothing");
    }
}

/// The system calls it an error, and sometimes queues a packet for it.
fn a_datagram_that_does_not_fit_is_cut_and_completes_once(backend: Backend) {
    let mut port = port(backend);
    let (near, far) = udp_pair();
    let conn = port.attach(near).expect("attach");
    for there_before in [true, false] {
        if there_before {
            far.send(b"longer than that").expect("send");
            thread::sleep(5 * MS);
        }
        port.submit(op::Recv::new(conn, [0; 4]), Token(1));
        if !there_before {
            assert!(!port.wait(Some(Duration::ZERO)).expect("wait"));
            far.send(b"longer than that").expect("send");
        }
        let (result, buf) = one(&mut port).unpack::<op::Recv<[u8; 4]>>();
        assert_eq!((result.expect("a datagram"), &buf), (4, b"long"));
        assert!(!port.wait(Some(MS)).expect("wait"), "a second completion");
    }
}

/// A cancel may find nothing because the packet is on its way: then it is the result that counts.
fn a_cancel_that_meets_a_completion_loses_neither(backend: Backend) {
    let mut port = port(backend);
    let (near, mut far) = tcp_pair();
    let conn = port.attach(near).expect("attach");
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = stop.clone();
    let writer = thread::spawn(move || {
        let mut written = 0u64;
        while !stopped.load(SeqCst) {
            far.write_all(&[written as u8]).expect("write");
            written += 1;
            thread::yield_now();
        }
        written
    });
    let mut received = 0u64;
    for _ in 0..2000 {
        let id = port.submit(op::Recv::new(conn, [0; 1]), Token(1));
        port.cancel(id);
        let (result, buf) = one(&mut port).unpack::<op::Recv<[u8; 1]>>();
        match result {
            Ok(n) => {
                assert_eq!((n, buf[0]), (1, received as u8), "a byte was lost");
                received += 1;
            }
            Err(error) => assert!(error::is_cancelled(&error), "{error}"),
        }
    }
    stop.store(true, SeqCst);
    let written = writer.join().expect("no panic");
    let mut left = written - received;
    while left > 0 {
        port.submit(op::Recv::new(conn, [0; 1]), Token(1));
        let (result, buf) = one(&mut port).unpack::<op::Recv<[u8; 1]>>();
        assert_eq!((result.expect("a byte"), buf[0]), (1, (written - left) as u8), "a byte was lost");
        left -= 1;
    }
    assert_eq!(port.in_flight(), 0);
}

/// Several calls are with the system: each comes back, and what they have accepted is reported or closed.
fn a_multishot_accept_that_is_given_up_leaves_its_listener_working(backend: Backend) {
    let mut port = port(backend);
    let (listener, address): (TcpListener, _) = listener();
    let listener = port.attach(listener).expect("attach");
    for _ in 0..10 {
        let id = port.submit(op::AcceptMulti::new(listener), Token(1));
        assert!(!port.wait(Some(Duration::ZERO)).expect("wait"));
        let client = thread::spawn(move || TcpStream::connect(address).expect("connect"));
        port.cancel(id);
        let mut accepted = 0;
        loop {
            let done = one(&mut port);
            let more = done.more();
            match done.unpack::<op::AcceptMulti>() {
                Ok(_) => accepted += 1,
                Err(error) => assert!(error::is_cancelled(&error), "{error}"),
            }
            if !more {
                break;
            }
        }
        let mut client = client.join().expect("no panic");
        if accepted == 0 {
            port.submit(op::Accept::new(listener), Token(2));
            one(&mut port).unpack::<op::Accept>().expect("it was left for the next one");
        }
        assert_eq!(client.read(&mut [0; 1]).expect("its connection was dropped"), 0);
        assert_eq!(port.in_flight(), 0);
    }
}

fn a_port_dropped_in_mid_flight_gives_everything_back_and_nothing_is_written_to_after_that(backend: Backend) {
    for round in 0..10 {
        let tally = Tally::default();
        let mut port = port(backend);
        let cast = submit_every_kind(&mut port, &tally, None);
        if round % 2 == 0 {
            let _ = port.wait(Some(Duration::ZERO)).expect("wait");
        }
        drop(port);
        cast.send_to_all();
        thread::sleep(MS);
        tally.assert_settled();
    }
}

/// A socket stays with its completion port unless it is let go.
fn an_object_that_has_left_joins_another_port(backend: Backend) {
    let (mut first, mut second) = (port(backend), port(backend));
    let (near, mut far) = tcp_pair();
    let conn = first.attach(near).expect("attach");
    let near = detach(&mut first, conn);
    let conn = second.attach(near).expect("attach again");
    second.submit(op::Recv::new(conn, [0; 2]), Token(1));
    far.write_all(b"ok").expect("write");
    assert_eq!(one(&mut second).unpack::<op::Recv<[u8; 2]>>().1, *b"ok");
    assert!(!first.wait(Some(MS)).expect("wait"));
}

/// No completion port takes it: the blocking pool carries its operations.
fn a_file_for_synchronous_calls_is_served_all_the_same(backend: Backend) {
    let mut port = port(backend);
    let file = port.attach(tempfile::tempfile().expect("a file")).expect("attach");
    port.submit(op::WriteAt::new(file, "at its place", 10), Token(1));
    assert_eq!(one(&mut port).unpack::<op::WriteAt<&str>>().0.expect("write"), 12);
    port.submit(op::ReadAt::new(file, [0; 5], 17), Token(2));
    let (result, buf) = one(&mut port).unpack::<op::ReadAt<[u8; 5]>>();
    assert_eq!((result.expect("read"), &buf), (5, b"place"));
    port.submit(op::ReadAt::new(file, [0; 5], 22), Token(3));
    assert_eq!(one(&mut port).unpack::<op::ReadAt<[u8; 5]>>().0.expect("the end"), 0);
    let back = std::os::windows::io::OwnedHandle::try_from(port.detach(file).expect("it never joined"));
    assert!(back.is_ok());
}

/// A message that is longer than the buffer is an error to the system ("more data"), and none to a stream's reader.
fn a_pipe_of_messages_gives_each_in_pieces(backend: Backend) {
    let mut port = port(backend);
    let (reader, mut writer) = message_pipe();
    let reader = port.attach(reader).expect("attach");
    for there_before in [true, false] {
        if there_before {
            writer.write_all(b"a message").expect("write");
        }
        port.submit(op::Recv::new(reader, [0; 4]), Token(1));
        if !there_before {
            writer.write_all(b"a message").expect("write");
        }
        let mut whole = Vec::new();
        while whole.len() < 9 {
            let (result, buf) = one(&mut port).unpack::<op::Recv<[u8; 4]>>();
            whole.extend_from_slice(&buf[..result.expect("a piece")]);
            if whole.len() < 9 {
                port.submit(op::Recv::new(reader, [0; 4]), Token(1));
            }
        }
        assert_eq!(whole, b"a message");
    }
}

/// Wine does not find a send that it is about to go on with (`a_send_is_found_while_it_goes_on`): in a few rounds of these
/// hundreds, with a system that is kept busy. Nobody reads on, so that the send would wait for ever.
fn a_send_is_given_up_while_it_goes_on(backend: Backend) {
    const ROUNDS: usize = 400;
    let mut port = port(backend);
    let (near, mut far) = tcp_pair();
    let watched = near.try_clone().expect("a duplicate");
    let handle = port.attach(near).expect("attach");
    let (mut much, mut part) = (vec![0; 64 << 20], vec![0; 1 << 20]);
    while_asked(&watched, || {
        for round in 0..ROUNDS {
            let id = port.submit(op::Send::new(handle, much), Token(0));
            assert!(!port.wait(Some(Duration::ZERO)).expect("wait"), "there is no room for so much");
            let is_reading = AtomicBool::new(false);
            much = thread::scope(|scope| {
                scope.spawn(|| {
                    is_reading.store(true, SeqCst);
                    far.read_exact(&mut part).expect("a part");
                });
                while !is_reading.load(SeqCst) {}
                (0..round * 997 % 5000).for_each(|_| std::hint::spin_loop());
                assert!(port.cancel(id));
                one(&mut port).unpack::<op::Send<Vec<u8>>>().1
            });
        }
    });
}
