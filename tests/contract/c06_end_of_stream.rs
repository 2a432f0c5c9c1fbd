//! C6: the end of a stream is `Ok(0)` (of pooled receives an empty, final buffer), as often as it is asked for; a reset
//! is an error and never an end, also when another operation has met it first; neither a cancel, nor a deadline, nor
//! urgent data, nor a buffer without room looks like an end.

use std::io::{self, ErrorKind, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use anyport::op::{self, Operation};
use anyport::{Backend, Completion, Handle, OpId, Port, Source, Token, error};
use socket2::{Domain, SockRef, Socket, Type};

use crate::support::*;

pub(crate) fn tests() -> Vec<Case> {
    cases! {
        each_backend: [
            the_end_is_zero_as_often_as_it_is_asked_for,
            the_end_reaches_a_waiting_receive,
            a_half_closed_stream_is_read_to_its_end_and_written_to,
            an_end_makes_no_room_to_write,
            a_reset_in_the_middle_of_a_send_is_one_to_the_receives,
            an_end_that_comes_with_the_data_is_seen,
            an_end_that_comes_while_nobody_reads_is_seen,
            a_reset_is_an_error,
            data_before_a_reset_ends_in_the_reset,
            a_refused_connection_is_no_end,
            a_peer_that_leaves_data_unread_resets_a_unix_stream,
            a_cancel_is_no_end,
            a_cancel_that_meets_the_end_is_one_or_the_other,
            a_deadline_is_no_end,
            shutting_down_receiving_ends_the_waiting_receive,
            urgent_data_stalls_no_reader,
            urgent_data_alone_is_no_end,
            descriptors_sent_along_stall_no_reader,
            a_buffer_without_room_is_no_end,
            an_empty_datagram_ends_nothing,
        ],
        // A child of another trial would hold the peer's socket for a moment, and the reset would be late.
        each_backend_isolated: [a_reset_that_a_send_has_met_is_one_to_the_receives],
    }
}

const MS: Duration = Duration::from_millis(1);

/// The ways to receive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Plain,
    Vectored,
    Pooled,
    Multishot,
}

const WAYS: [Way; 4] = [Way::Plain, Way::Vectored, Way::Pooled, Way::Multishot];

/// Submits a receive of at most `room` bytes (a pooled one: of a pool buffer).
fn receive(port: &mut Port, handle: Handle, way: Way, room: usize) -> OpId {
    let token = Token(way as u64);
    match way {
        Way::Plain => port.submit(op::Recv::new(handle, Vec::with_capacity(room)), token),
        Way::Vectored => {
            let rooms = [Vec::with_capacity(room / 2), Vec::with_capacity(room - room / 2)];
            port.submit(op::RecvVectored::new(handle, rooms), token)
        }
        Way::Pooled => port.submit(op::RecvPooled::new(handle), token),
        Way::Multishot => port.submit(op::RecvPooledMulti::new(handle), token),
    }
}

/// What a receive came back with: empty is the end of the stream.
#[track_caller]
fn received(done: Completion) -> io::Result<Vec<u8>> {
    let (way, more, moved) = (WAYS[done.token().0 as usize], done.more(), done.transferred());
    let result = match way {
        Way::Plain => {
            let (result, buf) = done.unpack::<op::Recv<Vec<u8>>>();
            result.map(|n| buf[..n].to_vec())
        }
        Way::Vectored => {
            let (result, bufs) = done.unpack::<op::RecvVectored<[Vec<u8>; 2]>>();
            result.map(|n| bufs.concat()[..n].to_vec())
        }
        Way::Pooled => done.unpack::<op::RecvPooled>().map(|buf| buf.to_vec()),
        Way::Multishot => done.unpack::<op::RecvPooledMulti>().map(|buf| buf.to_vec()),
    };
    let data = result.as_ref().is_ok_and(|bytes| !bytes.is_empty());
    assert_eq!(more, data && way == Way::Multishot, "{way:?}: only data of a multishot receive is followed by more");
    assert_eq!(moved, result.as_ref().map_or(0, Vec::len), "{way:?}: transferred()");
    result
}

/// Submits receives until one brings the end or an error; returns all data before it, and which of the two it was.
#[track_caller]
fn receive_to_end(port: &mut Port, handle: Handle, way: Way, room: usize) -> (Vec<u8>, io::Result<()>) {
    let (mut bytes, mut waiting) = (Vec::new(), false);
    loop {
        if !waiting {
            receive(port, handle, way, room);
        }
        let done = one(port);
        waiting = done.more();
        match received(done) {
            Ok(piece) if piece.is_empty() => return (bytes, Ok(())),
            Ok(piece) => bytes.extend_from_slice(&piece),
            Err(error) => return (bytes, Err(error)),
        }
    }
}

/// A port whose pooled receives need many buffers for little data.
fn port_of(backend: Backend) -> Port {
    Port::builder().backend(backend).pool(16, 64).build().expect("a port")
}

/// A readable stream of each kind; its other end is written by blocking calls.
fn readable_streams() -> Vec<(&'static str, Source, Box<dyn Write>)> {
    let (tcp_near, tcp_far) = tcp_pair();
    let (unix_near, unix_far) = unix_pair();
    let (read_end, write_end) = pipe();
    vec![
        ("tcp", tcp_near.into(), Box::new(tcp_far)),
        ("unix", unix_near.into(), Box::new(unix_far)),
        ("pipe", read_end.into(), Box::new(write_end)),
    ]
}

/// Lets the kernel deliver what was just sent over loopback, and the port hear of it.
fn settle(port: &mut Port) {
    assert!(drive_for(port, Duration::from_millis(2)).is_empty(), "nothing is to complete yet");
}

/// Has the port watch the handle, as a receive that found nothing does; then nothing is in flight.
fn register(port: &mut Port, handle: Handle) {
    let id = port.submit(op::Recv::new(handle, vec![0; 8]), Token(0));
    assert!(!port.wait(Some(Duration::ZERO)).expect("wait"), "nothing is there yet");
    assert!(port.cancel(id));
    assert!(error::is_cancelled(&received(one(port)).expect_err("cancelled")));
}

#[track_caller]
fn assert_reset(what: &str, result: io::Result<Vec<u8>>) {
    let error = match result {
        Err(error) => error,
        Ok(bytes) => panic!("{what}: a reset looks like {} bytes", bytes.len()),
    };
    assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{what}");
    assert_eq!(error.raw_os_error(), Some(errno::ECONNRESET), "{what}");
}

fn the_end_is_zero_as_often_as_it_is_asked_for(backend: Backend) {
    let mut port = port_of(backend);
    for way in WAYS {
        for (what, near, mut far) in readable_streams() {
            let handle = port.attach(near).expect("attach");
            far.write_all(&pattern(1, 1000)).expect("write");
            drop(far);
            let (bytes, end) = receive_to_end(&mut port, handle, way, 100);
            end.unwrap_or_else(|error| panic!("{way:?}, {what}: {error}"));
            assert_eq!(bytes.len(), 1000, "{way:?}, {what}");
            assert_piece(&bytes, 1, 0);
            for again in WAYS.into_iter().chain(WAYS) {
                receive(&mut port, handle, again, 100);
                assert_eq!(received(one(&mut port)).expect("the end"), b"", "{again:?} after {way:?}, {what}");
            }
            // Several at once: each of them ends.
            let _ids = WAYS.map(|way| receive(&mut port, handle, way, 100));
            for done in drive(&mut port, 4) {
                assert_eq!(received(done).expect("the end"), b"", "{what}");
            }
        }
    }
}

fn the_end_reaches_a_waiting_receive(backend: Backend) {
    let mut port = port_of(backend);
    for way in WAYS {
        for (what, near, far) in readable_streams() {
            let handle = port.attach(near).expect("attach");
            receive(&mut port, handle, way, 100);
            receive(&mut port, handle, Way::Plain, 100);
            settle(&mut port);
            drop(far);
            for _ in 0..2 {
                assert_eq!(received(one(&mut port)).expect("the end"), b"", "{way:?}, {what}");
            }
        }
    }
}

fn a_half_closed_stream_is_read_to_its_end_and_written_to(backend: Backend) {
    let mut port = port_of(backend);
    for way in WAYS {
        for (what, near, far) in stream_pairs() {
            let handle = port.attach(near).expect("attach");
            let peer =
                Peer::start(far, vec![Step::Send(pattern(2, 100_000)), Step::ShutdownWrite, Step::Receive(50_000)]);
            let (bytes, end) = receive_to_end(&mut port, handle, way, 700);
            end.unwrap_or_else(|error| panic!("{way:?}, {what}: {error}"));
            assert_eq!(bytes.len(), 100_000, "{way:?}, {what}");
            assert_piece(&bytes, 2, 0);
            port.submit(op::SendAll::new(handle, pattern(3, 50_000)), Token(9));
            assert_eq!(one(&mut port).unpack::<op::SendAll<Vec<u8>>>().0.expect("send"), 50_000, "{what}");
            assert_piece(&peer.finish(), 3, 0);
        }
    }
}

/// Has the kernel put the data and the end of the stream into one segment, so that they arrive at once.
fn send_with_end(far: &TcpStream, bytes: &[u8]) {
    let socket = SockRef::from(far);
    cork(&socket, true);
    (&*socket).write_all(bytes).expect("write");
    socket.shutdown(Shutdown::Write).expect("shutdown");
}

const SENDING: Token = Token(100);

/// Fills the way to the peer: a part of it is sent, and the rest waits for room.
fn fill(port: &mut Port, conn: Handle) {
    port.submit(op::SendAll::new(conn, vec![7; 8 << 20]), SENDING);
    assert!(!port.wait(Some(10 * MS)).expect("wait"), "so much does not fit");
}

/// A ring reports a half-close to a poll that asked for room alone.
fn an_end_makes_no_room_to_write(backend: Backend) {
    for (kind, near, far) in stream_pairs() {
        let mut port = port(backend);
        let conn = port.attach(near).expect("attach");
        fill(&mut port, conn);
        far.shutdown(Shutdown::Write).expect("shutdown");
        port.submit(op::Ready::writable(conn), Token(2));
        assert!(!port.wait(Some(30 * MS)).expect("wait"), "{kind}: {:?}", port.next());
        port.submit(op::Ready::readable(conn), Token(3));
        assert_eq!(one(&mut port).token(), Token(3), "{kind}: the end can be read");
    }
}

/// What was sent before must not hide it, also from a receive that waits meanwhile.
fn a_reset_in_the_middle_of_a_send_is_one_to_the_receives(backend: Backend) {
    for way in WAYS {
        let mut port = port(backend);
        let (near, far) = tcp_pair();
        let conn = port.attach(near).expect("attach");
        receive(&mut port, conn, way, 16);
        fill(&mut port, conn);
        reset(far);
        for done in drive(&mut port, 2) {
            if done.token() == SENDING {
                done.unpack::<op::SendAll<Vec<u8>>>().0.expect_err("the connection was reset");
            } else {
                assert_reset(&format!("{way:?}"), received(done));
            }
        }
    }
}

fn an_end_that_comes_with_the_data_is_seen(backend: Backend) {
    let mut port = port_of(backend);
    for way in WAYS {
        for room in [4, 10, 64, 4096] {
            // The receive waits for data; or it comes when both are there.
            for waits in [true, false] {
                let (near, far) = tcp_pair();
                let handle = port.attach(near).expect("attach");
                register(&mut port, handle);
                if waits {
                    receive(&mut port, handle, way, room);
                }
                settle(&mut port);
                send_with_end(&far, &pattern(4, 10));
                if !waits {
                    // The port is told of the edge while no receive is there to act on it.
                    settle(&mut port);
                    receive(&mut port, handle, way, room);
                }
                let done = one(&mut port);
                let more = done.more();
                let mut bytes = received(done).expect("data");
                assert!(!bytes.is_empty(), "{way:?}: the data come first");
                if more {
                    while let piece @ [_, ..] = &received(one(&mut port)).expect("data or the end")[..] {
                        bytes.extend_from_slice(piece);
                    }
                } else {
                    let (rest, end) = receive_to_end(&mut port, handle, way, room);
                    end.expect("the end");
                    bytes.extend_from_slice(&rest);
                }
                assert_eq!(bytes, pattern(4, 10), "{way:?}, room {room}, waits {waits}");
                port.submit(op::Close::new(handle), Token(9));
                one(&mut port).unpack::<op::Close>().expect("close");
            }
        }
    }
}

fn an_end_that_comes_while_nobody_reads_is_seen(backend: Backend) {
    let mut port = port_of(backend);
    for way in WAYS {
        for (what, near, mut far) in readable_streams() {
            let handle = port.attach(near).expect("attach");
            register(&mut port, handle);
            // Two edges, or one with both: nobody reads meanwhile.
            far.write_all(b"last words").expect("write");
            settle(&mut port);
            drop(far);
            settle(&mut port);
            let (bytes, end) = receive_to_end(&mut port, handle, way, 100);
            end.unwrap_or_else(|error| panic!("{way:?}, {what}: {error}"));
            assert_eq!(bytes, b"last words", "{way:?}, {what}");
        }
    }
}

/// Closes a TCP connection with a reset.
fn reset(far: TcpStream) {
    SockRef::from(&far).set_linger(Some(Duration::ZERO)).expect("SO_LINGER");
}

fn a_reset_is_an_error(backend: Backend) {
    let mut port = port_of(backend);
    for way in WAYS {
        for waits in [true, false] {
            for registered in [true, false] {
                let what = format!("{way:?}, waits {waits}, registered {registered}");
                let (near, far) = tcp_pair();
                let handle = port.attach(near).expect("attach");
                if registered {
                    register(&mut port, handle);
                }
                if waits {
                    receive(&mut port, handle, way, 100);
                }
                settle(&mut port);
                reset(far);
                if !waits {
                    settle(&mut port);
                    receive(&mut port, handle, way, 100);
                }
                assert_reset(&what, received(one(&mut port)));
                // It does not turn into an end when it is asked for again.
                for again in WAYS {
                    receive(&mut port, handle, again, 100);
                    assert_reset(&format!("{what}; {again:?} after it"), received(one(&mut port)));
                }
            }
        }
    }
}

fn data_before_a_reset_ends_in_the_reset(backend: Backend) {
    let mut port = port_of(backend);
    for way in WAYS {
        for registered in [true, false] {
            let (near, mut far) = tcp_pair();
            let handle = port.attach(near).expect("attach");
            if registered {
                register(&mut port, handle);
            }
            far.write_all(&pattern(5, 1000)).expect("write");
            reset(far);
            settle(&mut port);
            // Linux still hands out what came before the reset; another system may not.
            let (bytes, end) = receive_to_end(&mut port, handle, way, 100);
            assert!(bytes.len() <= 1000);
            assert_piece(&bytes, 5, 0);
            assert_reset(&format!("{way:?}"), end.map(|()| Vec::new()));
        }
    }
}

fn a_reset_that_a_send_has_met_is_one_to_the_receives(backend: Backend) {
    let mut port = port_of(backend);
    for way in WAYS {
        for waits in [true, false] {
            let what = format!("{way:?}, waits {waits}");
            let (near, far) = tcp_pair();
            let handle = port.attach(near).expect("attach");
            if waits {
                receive(&mut port, handle, way, 100);
            }
            settle(&mut port);
            reset(far);
            // Without a wait in between: the send is the first to hear of the reset, and the system reports it once.
            std::thread::sleep(Duration::from_millis(2));
            port.submit(op::Send::new(handle, "too late"), Token(9));
            if !waits {
                let done = one(&mut port);
                assert_eq!(done.token(), Token(9));
                done.unpack::<op::Send<&str>>().0.expect_err("reset");
                receive(&mut port, handle, way, 100);
            }
            for _ in 0..if waits { 2 } else { 1 } {
                let done = one(&mut port);
                if done.token() == Token(9) {
                    done.unpack::<op::Send<&str>>().0.expect_err("reset");
                } else {
                    assert_reset(&what, received(done));
                }
            }
            receive(&mut port, handle, way, 100);
            assert_reset(&what, received(one(&mut port)));
        }
    }
}

fn a_refused_connection_is_no_end(backend: Backend) {
    let mut port = port_of(backend);
    let taken = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    taken.bind(&"127.0.0.1:0".parse::<std::net::SocketAddr>().expect("an address").into()).expect("bind");
    let address = taken.local_addr().expect("an address");
    for way in WAYS {
        let handle = port.attach(Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket")).expect("attach");
        port.submit(op::Connect::new(handle, address.clone()), Token(9));
        receive(&mut port, handle, way, 100);
        let error = one(&mut port).unpack::<op::Connect>().expect_err("refused");
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
        for _ in 0..2 {
            let error = received(one(&mut port)).expect_err("a stream that never was has no end");
            assert_eq!(error.kind(), ErrorKind::NotConnected, "{way:?}");
            receive(&mut port, handle, way, 100);
        }
        drop(one(&mut port));
    }
}

fn a_peer_that_leaves_data_unread_resets_a_unix_stream(backend: Backend) {
    let mut port = port_of(backend);
    for way in WAYS {
        let (near, far) = unix_pair();
        let handle = port.attach(near).expect("attach");
        receive(&mut port, handle, way, 100);
        port.submit(op::Send::new(handle, "never read"), Token(9));
        one(&mut port).unpack::<op::Send<&str>>().0.expect("send");
        drop(far);
        for _ in 0..2 {
            assert_reset(&format!("{way:?}"), received(one(&mut port)));
            receive(&mut port, handle, way, 100);
        }
        drop(one(&mut port));
    }
}

fn a_cancel_is_no_end(backend: Backend) {
    let mut port = port_of(backend);
    for way in WAYS {
        for (what, near, mut far) in readable_streams() {
            let handle = port.attach(near).expect("attach");
            for submitted in [false, true] {
                let id = receive(&mut port, handle, way, 100);
                if submitted {
                    settle(&mut port);
                }
                assert!(port.cancel(id));
                let error = received(one(&mut port)).expect_err("cancelled");
                assert!(error::is_cancelled(&error), "{way:?}, {what}: {error}");
            }
            far.write_all(b"still here").expect("write");
            receive(&mut port, handle, way, 100);
            assert_eq!(received(one(&mut port)).expect("data"), b"still here", "{way:?}, {what}");
            port.submit(op::Close::new(handle), Token(9));
            for done in drive(&mut port, 1 + usize::from(way == Way::Multishot)) {
                match done.token() {
                    Token(9) => done.unpack::<op::Close>().expect("close"),
                    _ => assert!(error::is_cancelled(&received(done).expect_err("closed")), "{way:?}, {what}"),
                }
            }
        }
    }
}

fn a_cancel_that_meets_the_end_is_one_or_the_other(backend: Backend) {
    let mut port = port_of(backend);
    for way in WAYS {
        for round in 0..20 {
            for (what, near, mut far) in readable_streams() {
                let handle = port.attach(near).expect("attach");
                let id = receive(&mut port, handle, way, 100);
                if round % 2 == 0 {
                    let _ = port.wait(Some(Duration::ZERO)).expect("wait");
                }
                let data: &[u8] = if round % 4 < 2 { b"" } else { b"data" };
                far.write_all(data).expect("write");
                drop(far);
                if round % 5 == 0 {
                    std::thread::yield_now();
                }
                assert!(port.cancel(id), "{way:?}, {what}: it was not taken yet");
                let mut bytes = Vec::new();
                loop {
                    let done = one(&mut port);
                    let more = done.more();
                    match received(done) {
                        Ok(piece) => {
                            assert!(!piece.is_empty() || bytes.len() == data.len(), "{way:?}, {what}: no early end");
                            bytes.extend_from_slice(&piece);
                        }
                        Err(error) => assert!(error::is_cancelled(&error), "{way:?}, {what}: {error}"),
                    }
                    if !more {
                        break;
                    }
                }
                // Whatever it was, nothing is lost and the end is still there.
                let (rest, end) = receive_to_end(&mut port, handle, Way::Plain, 100);
                end.expect("the end");
                bytes.extend_from_slice(&rest);
                assert_eq!(bytes, data, "{way:?}, {what}");
            }
        }
    }
}

fn a_deadline_is_no_end(backend: Backend) {
    let mut port = port_of(backend);
    for (what, near, far) in readable_streams() {
        let handle = port.attach(near).expect("attach");
        let soon = Duration::from_millis(1);
        port.submit(op::Recv::new(handle, Vec::with_capacity(10)).within(soon), Token(0));
        let error = received(one(&mut port)).expect_err("late");
        assert_eq!(error.kind(), ErrorKind::TimedOut, "{what}");
        port.submit(op::RecvPooled::new(handle).within(soon), Token(2));
        let error = received(one(&mut port)).expect_err("late");
        assert_eq!(error.kind(), ErrorKind::TimedOut, "{what}");
        port.submit(op::RecvPooledMulti::new(handle).within(soon), Token(3));
        let error = received(one(&mut port)).expect_err("late");
        assert_eq!(error.kind(), ErrorKind::TimedOut, "{what}");
        // Not even once the connection is known to have timed out an operation.
        drop(far);
        receive(&mut port, handle, Way::Plain, 10);
        assert_eq!(received(one(&mut port)).expect("the end"), b"", "{what}");
    }
}

fn shutting_down_receiving_ends_the_waiting_receive(backend: Backend) {
    let mut port = port_of(backend);
    for way in WAYS {
        for (what, near, far) in stream_pairs() {
            let handle = port.attach(near).expect("attach");
            receive(&mut port, handle, way, 100);
            settle(&mut port);
            port.submit(op::Shutdown::new(handle, Shutdown::Read), Token(9));
            for done in drive(&mut port, 2) {
                match done.token() {
                    Token(9) => done.unpack::<op::Shutdown>().expect("shutdown"),
                    _ => assert_eq!(received(done).expect("the end"), b"", "{way:?}, {what}"),
                }
            }
            drop(far);
        }
    }
}

fn urgent_data_stalls_no_reader(backend: Backend) {
    skip_on_libkqueue(backend, "does not count what is behind a mark of urgent data");
    let mut port = port_of(backend);
    for way in WAYS {
        for round in 0..16 {
            let (near, far) = tcp_pair();
            let far = Socket::from(far);
            let handle = port.attach(near).expect("attach");
            if round & 1 != 0 {
                register(&mut port, handle);
            }
            if round & 2 != 0 {
                receive(&mut port, handle, way, 1000);
            }
            settle(&mut port);
            // The urgent byte splits what is there: a read stops in front of it, with more behind it.
            (&far).write_all(b"before").expect("write");
            if round & 4 != 0 {
                std::thread::sleep(Duration::from_millis(1));
            }
            assert_eq!(far.send_out_of_band(b"!").expect("urgent data"), 1);
            if round & 8 != 0 {
                std::thread::sleep(Duration::from_millis(1));
            }
            (&far).write_all(b"behind").expect("write");
            std::thread::sleep(Duration::from_millis(1));
            let mut waiting = round & 2 != 0;
            let mut bytes = Vec::new();
            while bytes.len() < 12 {
                if !waiting {
                    receive(&mut port, handle, way, 1000);
                }
                let done = one(&mut port);
                waiting = done.more();
                let piece = received(done).expect("data");
                assert!(!piece.is_empty(), "{way:?}, round {round}: no end");
                bytes.extend_from_slice(&piece);
            }
            assert_eq!(bytes, b"beforebehind", "{way:?}, round {round}");
            drop(far);
            port.submit(op::Close::new(handle), Token(9));
            drop(drive(&mut port, 1 + usize::from(waiting)));
        }
    }
}

fn urgent_data_alone_is_no_end(backend: Backend) {
    let mut port = port_of(backend);
    for way in WAYS {
        let (near, far) = tcp_pair();
        let far = Socket::from(far);
        let handle = port.attach(near).expect("attach");
        receive(&mut port, handle, way, 100);
        settle(&mut port);
        assert_eq!(far.send_out_of_band(b"!").expect("urgent data"), 1);
        settle(&mut port);
        (&far).write_all(b"normal").expect("write");
        assert_eq!(received(one(&mut port)).expect("data"), b"normal", "{way:?}");
    }
}

/// A read of a Unix stream stops where a descriptor was sent along, however much is behind that.
fn descriptors_sent_along_stall_no_reader(backend: Backend) {
    let mut port = port_of(backend);
    for way in WAYS {
        let (near, far) = unix_pair();
        let far = Socket::from(far);
        let handle = port.attach(near).expect("attach");
        register(&mut port, handle);
        receive(&mut port, handle, way, 1000);
        settle(&mut port);
        (&far).write_all(b"one ").expect("write");
        send_with_descriptor(&far, b"two ");
        (&far).write_all(b"three").expect("write");
        let (mut bytes, mut waiting) = (Vec::new(), true);
        while bytes.len() < 13 {
            if !waiting {
                receive(&mut port, handle, way, 1000);
            }
            let done = one(&mut port);
            waiting = done.more();
            bytes.extend_from_slice(&received(done).expect("data"));
        }
        assert_eq!(bytes, b"one two three", "{way:?}");
        drop(far);
        port.submit(op::Close::new(handle), Token(9));
        drop(drive(&mut port, 1 + usize::from(waiting)));
    }
}

fn a_buffer_without_room_is_no_end(backend: Backend) {
    let mut port = port_of(backend);
    let (near, mut far) = unix_pair();
    let handle = port.attach(near).expect("attach");
    far.write_all(b"data").expect("write");
    let no_room = |what: &str, error: io::Error| {
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{what}");
        assert_eq!(error.raw_os_error(), None, "{what}: the system was not asked");
    };
    port.submit(op::Recv::new(handle, Vec::new()), Token(0));
    no_room("an empty Vec", one(&mut port).unpack::<op::Recv<Vec<u8>>>().0.expect_err("no room"));
    port.submit(op::Recv::new(handle, [0; 0]), Token(0));
    no_room("an empty array", one(&mut port).unpack::<op::Recv<[u8; 0]>>().0.expect_err("no room"));
    port.submit(op::RecvVectored::new(handle, Vec::<Vec<u8>>::new()), Token(0));
    no_room("no buffers", one(&mut port).unpack::<op::RecvVectored<Vec<Vec<u8>>>>().0.expect_err("no room"));
    port.submit(op::RecvVectored::new(handle, [Vec::new(), Vec::new()]), Token(0));
    no_room("empty buffers", one(&mut port).unpack::<op::RecvVectored<[Vec<u8>; 2]>>().0.expect_err("no room"));
    // The room is behind as many buffers as one call can take.
    let mut buffers = vec![Vec::new(); 3000];
    buffers.push(Vec::with_capacity(10));
    port.submit(op::RecvVectored::new(handle, buffers), Token(0));
    no_room("room out of reach", one(&mut port).unpack::<op::RecvVectored<Vec<Vec<u8>>>>().0.expect_err("no room"));
    port.submit(op::RecvFrom::new(handle, Vec::new()), Token(0));
    no_room("receive from", one(&mut port).unpack::<op::RecvFrom<Vec<u8>>>().0.expect_err("no room"));
    receive(&mut port, handle, Way::Plain, 10);
    assert_eq!(received(one(&mut port)).expect("data"), b"data", "nothing was lost");
}

fn an_empty_datagram_ends_nothing(backend: Backend) {
    let mut port = port_of(backend);
    let (near, far) = udp_pair();
    let handle = port.attach(near).expect("attach");
    for way in [Way::Plain, Way::Vectored, Way::Pooled] {
        for registered in [true, false] {
            if registered {
                register(&mut port, handle);
            }
            far.send(b"").expect("send");
            far.send(b"data").expect("send");
            receive(&mut port, handle, way, 10);
            assert_eq!(received(one(&mut port)).expect("an empty datagram"), b"", "{way:?}");
            receive(&mut port, handle, way, 10);
            assert_eq!(received(one(&mut port)).expect("data"), b"data", "{way:?}");
        }
    }
}
