//! C5: operations of one direction on a stream take effect in the order of submission: a later send never overtakes an
//! earlier one, receives are filled in turn, and whatever is queued behind a connect or before a shutdown keeps its
//! place. Each stream's bytes are a pattern of their own, so that a swap, a loss or a repetition is seen.

use std::io::Read;
use std::net::Shutdown;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyport::op::{self, Operation};
use anyport::{Backend, Completion, Handle, OpId, Port, Source, Token, error};
use socket2::{Domain, SockAddr, Socket, Type};

use crate::support::*;

pub(crate) fn tests() -> Vec<Case> {
    cases![
        queued_sends_arrive_in_order,
        queued_receives_are_filled_in_order,
        order_holds_when_the_queues_are_full,
        both_directions_of_a_stream_run_side_by_side,
        shutdown_takes_its_turn_behind_the_sends,
        shutdown_does_not_wait_for_room,
        what_is_queued_behind_a_connect_waits_for_it,
        what_is_queued_behind_a_refused_connect_fails,
        a_cancelled_send_leaves_the_others_in_order,
        a_cancelled_receive_leaves_the_others_in_order,
        a_send_that_ran_out_of_time_leaves_the_others_in_order,
        datagrams_keep_their_order,
        datagrams_to_a_full_receiver_keep_their_order,
    ]
}

/// Where a port's stream ends, read by a plain thread.
type Far = Box<dyn Read + Send>;

/// A stream of each kind: its near end is attached, its far end is read from.
fn writable_streams() -> Vec<(&'static str, Source, Far)> {
    let (tcp_near, tcp_far) = tcp_pair();
    let (unix_near, unix_far) = unix_pair();
    let (read_end, write_end) = pipe();
    vec![
        ("tcp", tcp_near.into(), Box::new(tcp_far)),
        ("unix", unix_near.into(), Box::new(unix_far)),
        ("pipe", write_end.into(), Box::new(read_end)),
    ]
}

fn read_to_end(mut far: Far) -> JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        far.read_to_end(&mut bytes).expect("read to the end");
        bytes
    })
}

/// The lengths of a test's sends: mostly small, some of a page or a segment, a few larger than any socket buffer.
fn length(number: u64) -> usize {
    match number % 50 {
        7 => 3 << 20,
        31 => 700_000,
        n if n % 3 == 0 => 1 + (number as usize * 37) % 64,
        n if n % 3 == 1 => 1000 + (number as usize * 911) % 9000,
        _ => 1 + (number as usize * 7919) % 70_000,
    }
}

/// Submits the send number `number`, in one of the ways there are, of the pattern with that number.
fn submit_send(port: &mut Port, handle: Handle, number: u64, length: usize) -> OpId {
    let token = Token(number);
    match number % 4 {
        0 => port.submit(op::Send::new(handle, pattern(number, length)), token),
        1 => {
            let (a, b) = (length / 3, length / 2);
            let pieces = [piece(number, 0, a), piece(number, a, b - a), piece(number, b, length - b)];
            port.submit(op::SendVectored::new(handle, pieces), token)
        }
        2 => port.submit(op::SendAll::new(handle, pattern(number, length)), token),
        _ => port.submit(op::SendAll::new(handle, pattern(number, length).into_boxed_slice()), token),
    }
}

/// How many bytes a send has moved; a cancelled or timed-out one says that, too.
#[track_caller]
fn sent(done: Completion) -> (usize, Result<(), std::io::Error>) {
    let moved = done.transferred();
    let result = match done.token().0 % 4 {
        0 => done.unpack::<op::Send<Vec<u8>>>().0,
        1 => done.unpack::<op::SendVectored<[Vec<u8>; 3]>>().0,
        2 => done.unpack::<op::SendAll<Vec<u8>>>().0,
        _ => done.unpack::<op::SendAll<Box<[u8]>>>().0,
    };
    if let Ok(n) = result {
        assert_eq!(n, moved, "the result and transferred() say the same");
    }
    (moved, result.map(drop))
}

/// Checks that the stream is made of the first `moved` bytes of each send, one after the other.
#[track_caller]
fn assert_stream(what: &str, stream: &[u8], sends: &[(u64, usize)]) {
    let mut rest = stream;
    for &(number, moved) in sends {
        assert!(rest.len() >= moved, "{what}: the stream ends within send {number}");
        assert_piece(&rest[..moved], number, 0);
        rest = &rest[moved..];
    }
    assert!(rest.is_empty(), "{what}: {} bytes too many", rest.len());
}

fn queued_sends_arrive_in_order(backend: Backend) {
    let mut port = port(backend);
    for (what, near, far) in writable_streams() {
        let handle = port.attach(near).expect("attach");
        let sends = 300;
        for number in 0..sends {
            submit_send(&mut port, handle, number, length(number));
        }
        let far = read_to_end(far);
        let mut moved = Vec::new();
        for number in 0..sends {
            let done = one(&mut port);
            assert_eq!(done.token(), Token(number), "{what}: completions come in order, too");
            let (n, result) = sent(done);
            result.unwrap_or_else(|error| panic!("{what}, send {number}: {error}"));
            assert!(n > 0, "{what}: send {number} moved nothing");
            if number % 4 >= 2 {
                assert_eq!(n, length(number), "{what}: a send-all sends all");
            }
            moved.push((number, n));
        }
        port.submit(op::Close::new(handle), Token(sends));
        one(&mut port).unpack::<op::Close>().expect("close");
        assert_stream(what, &far.join().expect("the reader"), &moved);
    }
}

fn queued_receives_are_filled_in_order(backend: Backend) {
    let mut port = Port::builder().backend(backend).pool(64, 512).build().expect("a port");
    let total = 200_000;
    let streams: Vec<(&str, Source, Box<dyn std::io::Write + Send>)> = {
        let (tcp_near, tcp_far) = tcp_pair();
        let (unix_near, unix_far) = unix_pair();
        let (read_end, write_end) = pipe();
        vec![
            ("tcp", tcp_near.into(), Box::new(tcp_far)),
            ("unix", unix_near.into(), Box::new(unix_far)),
            ("pipe", read_end.into(), Box::new(write_end)),
        ]
    };
    for (what, near, mut far) in streams {
        let handle = port.attach(near).expect("attach");
        let writer = thread::spawn(move || {
            let (bytes, mut at) = (pattern(1, total), 0);
            // Pieces of all sizes, with pauses in which the receives run into "would block".
            for round in 0.. {
                let end = (at + 1 + (round * 677) % 4000).min(total);
                far.write_all(&bytes[at..end]).expect("write");
                at = end;
                if at == total {
                    break;
                }
                if round % 16 == 0 {
                    thread::sleep(Duration::from_millis(1));
                }
            }
        });
        let submit = |port: &mut Port, number: u64| {
            let room = 1 + (number as usize * 131) % 1500;
            match number % 3 {
                0 => port.submit(op::Recv::new(handle, Vec::with_capacity(room)), Token(number)),
                1 => {
                    let rooms = [Vec::with_capacity(room), Vec::new(), Vec::with_capacity(1), Vec::with_capacity(77)];
                    port.submit(op::RecvVectored::new(handle, rooms), Token(number))
                }
                _ => port.submit(op::RecvPooled::new(handle), Token(number)),
            }
        };
        // Two hundred of them are queued at any time.
        let mut next = 0;
        while next < 200 {
            submit(&mut port, next);
            next += 1;
        }
        let (mut at, mut expected, mut ended) = (0, 0, false);
        while expected < next {
            let done = one(&mut port);
            assert_eq!(done.token(), Token(expected), "{what}: completions come in order");
            let bytes = match expected % 3 {
                0 => {
                    let (result, buf) = done.unpack::<op::Recv<Vec<u8>>>();
                    assert_eq!(result.expect("receive"), buf.len());
                    buf
                }
                1 => {
                    let (result, bufs) = done.unpack::<op::RecvVectored<[Vec<u8>; 4]>>();
                    let bytes = bufs.concat();
                    assert_eq!(result.expect("receive"), bytes.len());
                    if bufs.iter().skip(2).any(|buf| !buf.is_empty()) {
                        assert_eq!(bufs[0].len(), bufs[0].capacity(), "{what}: the first buffer is filled first");
                    }
                    bytes
                }
                _ => done.unpack::<op::RecvPooled>().expect("receive").to_vec(),
            };
            assert_piece(&bytes, 1, at);
            at += bytes.len();
            if bytes.is_empty() {
                assert_eq!(at, total, "{what}: the end comes behind the last byte");
                ended = true;
            } else {
                assert!(!ended, "{what}: data after the end");
                submit(&mut port, next);
                next += 1;
            }
            expected += 1;
        }
        assert!(ended, "{what}");
        writer.join().expect("the writer");
    }
}

fn order_holds_when_the_queues_are_full(backend: Backend) {
    // A ring of one entry: nearly every submission finds it full.
    let mut port = Port::builder().backend(backend).entries(1).build().expect("a port");
    let (mut handles, mut readers) = (Vec::new(), Vec::new());
    for round in 0..40 {
        let (near, far): (Source, Far) = if round % 2 == 0 {
            let (near, far) = tcp_pair();
            (near.into(), Box::new(far))
        } else {
            let (near, far) = unix_pair();
            (near.into(), Box::new(far))
        };
        handles.push(port.attach(near).expect("attach"));
        readers.push(read_to_end(far));
    }
    let per_stream = 25;
    for step in 0..per_stream {
        for (stream, &handle) in handles.iter().enumerate() {
            let number = (stream as u64) << 32 | step;
            port.submit(op::SendAll::new(handle, pattern(number, 1 + (step as usize * 1733) % 20_000)), Token(number));
        }
    }
    for &handle in &handles {
        port.submit(op::Shutdown::new(handle, Shutdown::Write), Token(u64::MAX));
    }
    for done in drive(&mut port, handles.len() * (per_stream as usize + 1)) {
        if done.token() == Token(u64::MAX) {
            done.unpack::<op::Shutdown>().expect("shutdown");
        } else {
            done.unpack::<op::SendAll<Vec<u8>>>().0.expect("send");
        }
    }
    for (stream, reader) in readers.into_iter().enumerate() {
        let sends: Vec<(u64, usize)> =
            (0..per_stream).map(|step| ((stream as u64) << 32 | step, 1 + (step as usize * 1733) % 20_000)).collect();
        assert_stream("full queues", &reader.join().expect("the reader"), &sends);
    }
}

fn both_directions_of_a_stream_run_side_by_side(backend: Backend) {
    let mut port = port(backend);
    for (what, near, far) in stream_pairs() {
        let handle = port.attach(near).expect("attach");
        // A receive that nothing comes for must not hold up a send, nor a stuck send a receive.
        port.submit(op::Recv::new(handle, vec![0; 64]), Token(1));
        port.submit(op::SendAll::new(handle, pattern(5, 100)), Token(2));
        let done = one(&mut port);
        assert_eq!(done.token(), Token(2), "{what}: the send overtakes the receive");
        drop(done);
        port.submit(op::SendAll::new(handle, pattern(6, 8 << 20)), Token(3));
        assert!(drive_for(&mut port, Duration::from_millis(10)).is_empty(), "{what}: nobody reads");
        let peer = Peer::start(
            far,
            vec![Step::Send(pattern(7, 10)), Step::Pause(Duration::from_millis(20)), Step::ReceiveToEnd],
        );
        let done = one(&mut port);
        assert_eq!(done.token(), Token(1), "{what}: the receive overtakes the send");
        let (result, buf) = done.unpack::<op::Recv<Vec<u8>>>();
        assert_piece(&buf[..result.expect("receive")], 7, 0);
        assert_eq!(one(&mut port).unpack::<op::SendAll<Vec<u8>>>().0.expect("send"), 8 << 20);
        port.submit(op::Close::new(handle), Token(4));
        one(&mut port).unpack::<op::Close>().expect("close");
        assert_stream(what, &peer.finish(), &[(5, 100), (6, 8 << 20)]);
    }
}

fn shutdown_takes_its_turn_behind_the_sends(backend: Backend) {
    let mut port = port(backend);
    for how in [Shutdown::Write, Shutdown::Both] {
        for (what, near, far) in stream_pairs() {
            let handle = port.attach(near).expect("attach");
            for number in [2, 6, 10] {
                submit_send(&mut port, handle, number, 2 << 20);
            }
            port.submit(op::Shutdown::new(handle, how), Token(100));
            submit_send(&mut port, handle, 14, 10);
            let peer = Peer::start(far, vec![Step::Pause(Duration::from_millis(5)), Step::ReceiveToEnd]);
            for number in [2, 6, 10] {
                let done = one(&mut port);
                assert_eq!(done.token(), Token(number), "{what}");
                sent(done).1.expect("send");
            }
            let done = one(&mut port);
            assert_eq!(done.token(), Token(100), "{what}");
            done.unpack::<op::Shutdown>().expect("shutdown");
            let error = sent(one(&mut port)).1.expect_err("nothing can be sent after the shutdown");
            assert_eq!(error.kind(), std::io::ErrorKind::BrokenPipe, "{what}");
            assert_stream(what, &peer.finish(), &[(2, 2 << 20), (6, 2 << 20), (10, 2 << 20)]);
        }
    }
}

fn shutdown_does_not_wait_for_room(backend: Backend) {
    let mut port = port(backend);
    for (what, near, far) in stream_pairs() {
        let handle = port.attach(near).expect("attach");
        // Fill the connection until a send has to wait, and give that one up.
        let mut moved = Vec::new();
        for number in (0..).step_by(4) {
            let id = submit_send(&mut port, handle, number, 1 << 20);
            let mut done = drive_for(&mut port, Duration::from_millis(20));
            if done.is_empty() {
                port.cancel(id);
                done.push(one(&mut port));
            }
            let (n, result) = sent(done.remove(0));
            moved.push((number, n));
            if result.is_err() {
                break;
            }
        }
        // The peer reads nothing yet; the end is announced all the same.
        port.submit(op::Shutdown::new(handle, Shutdown::Write), Token(1));
        one(&mut port).unpack::<op::Shutdown>().expect("shutdown");
        assert_stream(what, &Peer::start(far, vec![Step::ReceiveToEnd]).finish(), &moved);
    }
}

fn what_is_queued_behind_a_connect_waits_for_it(backend: Backend) {
    let mut port = port(backend);
    let (tcp, address) = listener();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (unix, path) = unix_target(folder.path());
    let targets: [(&str, Domain, SockAddr, Socket); 2] =
        [("tcp", Domain::IPV4, address.into(), tcp.into()), ("unix", domain_of(&path), path, unix)];
    for (what, domain, address, listener) in targets {
        for _ in 0..10 {
            let socket = Socket::new(domain, Type::STREAM, None).expect("a socket");
            let handle = port.attach(socket).expect("attach");
            port.submit(op::Connect::new(handle, address.clone()), Token(100));
            for number in 0..8 {
                submit_send(&mut port, handle, number, 1000);
            }
            port.submit(op::Shutdown::new(handle, Shutdown::Write), Token(101));
            port.submit(op::Recv::new(handle, Vec::with_capacity(3000)), Token(200));
            port.submit(op::RecvPooled::new(handle), Token(201));
            // The connect is on its way before anybody accepts (a ring hears of it only now).
            let _ = port.wait(Some(Duration::ZERO)).expect("wait");
            let (far, _) = listener.accept().expect("accept");
            let script = vec![
                Step::Receive(8000),
                Step::Send(pattern(9, 3000)),
                Step::ReceiveToEnd,
                Step::Send(pattern(10, 100)),
            ];
            let peer = Peer::start(far, script);
            let mut writes: Vec<u64> = Vec::new();
            let (mut pieces, mut reads) = (Vec::new(), Vec::new());
            for _ in 0..12 {
                let done = one(&mut port);
                match done.token().0 {
                    100 => {
                        writes.push(100);
                        done.unpack::<op::Connect>().expect("connect");
                    }
                    101 => {
                        writes.push(101);
                        done.unpack::<op::Shutdown>().expect("shutdown");
                    }
                    200 => {
                        assert_eq!(writes.first(), Some(&100), "{what}: a receive waits for the connect");
                        let (result, buf) = done.unpack::<op::Recv<Vec<u8>>>();
                        assert_eq!(result.expect("receive"), buf.len());
                        reads.extend_from_slice(&buf);
                        pieces.push(200);
                    }
                    201 => {
                        reads.extend_from_slice(&done.unpack::<op::RecvPooled>().expect("receive"));
                        pieces.push(201);
                    }
                    number => {
                        writes.push(number);
                        assert_eq!(sent(done).0, 1000, "{what}: it fits");
                    }
                }
            }
            assert_eq!(writes, [100, 0, 1, 2, 3, 4, 5, 6, 7, 101], "{what}");
            assert_eq!(pieces, [200, 201], "{what}");
            let first = reads.len().min(3000);
            assert_piece(&reads[..first], 9, 0);
            assert_piece(&reads[first..], 10, 0);
            assert_stream(what, &peer.finish(), &[0, 1, 2, 3, 4, 5, 6, 7].map(|number| (number, 1000)));
        }
    }
}

fn what_is_queued_behind_a_refused_connect_fails(backend: Backend) {
    let mut port = port(backend);
    // Bound but not listening: nobody else can get the address meanwhile.
    let taken = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    taken.bind(&"127.0.0.1:0".parse::<std::net::SocketAddr>().expect("an address").into()).expect("bind");
    let address = taken.local_addr().expect("an address");
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    let handle = port.attach(socket).expect("attach");
    port.submit(op::Connect::new(handle, address), Token(100));
    for number in 0..4 {
        submit_send(&mut port, handle, number, 10);
    }
    for number in 200..203 {
        port.submit(op::Recv::new(handle, vec![0; 10]), Token(number));
    }
    let (mut writes, mut reads) = (Vec::new(), Vec::new());
    for done in drive(&mut port, 8) {
        match done.token().0 {
            100 => {
                assert!(writes.is_empty() && reads.is_empty(), "the connect is the first to end");
                let error = done.unpack::<op::Connect>().expect_err("refused");
                assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
                writes.push(100);
            }
            number @ 200.. => {
                let error = done.unpack::<op::Recv<Vec<u8>>>().0.expect_err("not connected");
                assert_eq!(error.kind(), std::io::ErrorKind::NotConnected);
                reads.push(number);
            }
            number => {
                let error = sent(done).1.expect_err("not connected");
                assert_eq!(error.kind(), std::io::ErrorKind::BrokenPipe);
                writes.push(number);
            }
        }
    }
    assert_eq!(writes, [100, 0, 1, 2, 3]);
    assert_eq!(reads, [200, 201, 202]);
}

fn a_cancelled_send_leaves_the_others_in_order(backend: Backend) {
    let mut port = port(backend);
    for (what, near, far) in writable_streams() {
        let handle = port.attach(near).expect("attach");
        let sends = 40;
        // Send-alls, so that each one that is not given up arrives whole.
        let ids: Vec<OpId> = (0..sends).map(|n| submit_send(&mut port, handle, n * 4 + 2, 300_000)).collect();
        let mut done = drive_for(&mut port, Duration::from_millis(10));
        assert!(done.len() < 30, "{what}: the stream is full");
        // The one in flight (wherever that is), some in the middle, and the last.
        let given_up = [done.len(), done.len() + 1, 33, 36, 39];
        for &at in &given_up {
            assert!(port.cancel(ids[at]), "{what}: it is in flight");
        }
        let far = read_to_end(far);
        while done.len() < sends as usize {
            done.push(one(&mut port));
        }
        let mut moved = Vec::new();
        for done in done {
            let number = done.token().0;
            let (n, result) = sent(done);
            let at = (number / 4) as usize;
            match result {
                Ok(()) => assert_eq!(n, 300_000),
                Err(error) => {
                    assert!(error::is_cancelled(&error), "{what}: {error}");
                    assert!(given_up.contains(&at), "{what}: send {at} was not given up");
                    assert!(at == given_up[0] || n == 0, "{what}: send {at} had not begun");
                }
            }
            moved.push((number, n));
        }
        // What was given up while it waited completes at once, ahead of those before it.
        moved.sort_unstable();
        assert_eq!(moved.len(), sends as usize);
        let cancelled = moved.iter().filter(|&&(_, n)| n < 300_000).count();
        assert!(cancelled >= given_up.len() - 1, "{what}: those that had not begun cannot have been sent");
        port.submit(op::Close::new(handle), Token(u64::MAX));
        one(&mut port).unpack::<op::Close>().expect("close");
        assert_stream(what, &far.join().expect("the reader"), &moved);
    }
}

fn a_cancelled_receive_leaves_the_others_in_order(backend: Backend) {
    let mut port = port(backend);
    for (what, near, far) in stream_pairs() {
        let handle = port.attach(near).expect("attach");
        let receives = 12;
        let ids: Vec<OpId> = (0..receives)
            .map(|number| port.submit(op::Recv::new(handle, Vec::with_capacity(100)), Token(number)))
            .collect();
        let _ = port.wait(Some(Duration::ZERO)).expect("wait");
        for at in [0, 1, 5, 11] {
            assert!(port.cancel(ids[at]), "{what}");
        }
        for done in drive(&mut port, 4) {
            assert!([0, 1, 5, 11].contains(&done.token().0), "{what}: {done:?}");
            let error = done.unpack::<op::Recv<Vec<u8>>>().0.expect_err("cancelled");
            assert!(error::is_cancelled(&error), "{what}: {error}");
        }
        let peer = Peer::start(far, vec![Step::Send(pattern(3, 800))]);
        let mut at = 0;
        for expected in [2, 3, 4, 6, 7, 8, 9, 10] {
            let done = one(&mut port);
            assert_eq!(done.token(), Token(expected), "{what}");
            let (result, buf) = done.unpack::<op::Recv<Vec<u8>>>();
            assert!(result.expect("receive") > 0);
            assert_piece(&buf, 3, at);
            at += buf.len();
        }
        peer.finish();
    }
}

fn a_send_that_ran_out_of_time_leaves_the_others_in_order(backend: Backend) {
    let mut port = port(backend);
    for (what, near, far) in writable_streams() {
        let handle = port.attach(near).expect("attach");
        // The first blocks the lane; the second's time is over while it is queued, the third's is not.
        let soon = Duration::from_millis(5);
        port.submit(op::SendAll::new(handle, pattern(0, 6 << 20)), Token(0));
        port.submit(op::SendAll::new(handle, pattern(1, 1000)).within(soon), Token(1));
        port.submit(op::SendAll::new(handle, pattern(2, 1000)).within(Duration::from_secs(60)), Token(2));
        let done = one(&mut port);
        assert_eq!(done.token(), Token(1), "{what}");
        assert_eq!(done.transferred(), 0, "{what}: it had not begun");
        let (result, buf) = done.unpack::<op::SendAll<Vec<u8>>>();
        assert_eq!(result.expect_err("late").kind(), std::io::ErrorKind::TimedOut, "{what}");
        assert_piece(&buf, 1, 0);
        let far = read_to_end(far);
        for expected in [0, 2] {
            let done = one(&mut port);
            assert_eq!(done.token(), Token(expected), "{what}");
            done.unpack::<op::SendAll<Vec<u8>>>().0.expect("send");
        }
        port.submit(op::Close::new(handle), Token(3));
        one(&mut port).unpack::<op::Close>().expect("close");
        assert_stream(what, &far.join().expect("the reader"), &[(0, 6 << 20), (2, 1000)]);
    }
}

fn datagrams_keep_their_order(backend: Backend) {
    let mut port = port(backend);
    let (udp_near, udp_far) = udp_pair();
    let (unix_near, unix_far) = unix_datagram_pair();
    // No more than a socket holds, where those that it has no room for are lost.
    let many = if DATAGRAMS_WAIT { 500 } else { 60 };
    let pairs: [(&str, Source, Source, u64); 2] =
        [("udp", udp_near.into(), udp_far.into(), 60), ("unix", unix_near.into(), unix_far.into(), many)];
    for (what, near, far, datagrams) in pairs {
        let (near, far) = (port.attach(near).expect("attach"), port.attach(far).expect("attach"));
        for number in 0..datagrams {
            let bytes = pattern(number, 1 + number as usize % 700);
            match number % 2 {
                0 => port.submit(op::Send::new(near, bytes), Token(number)),
                _ => port.submit(op::SendVectored::new(near, vec![bytes]), Token(number)),
            };
        }
        for number in 0..datagrams {
            let token = Token(1000 + number);
            match number % 5 {
                0 => port.submit(op::Recv::new(far, Vec::with_capacity(1000)), token),
                1 => port.submit(op::RecvFrom::new(far, Vec::with_capacity(1000)), token),
                2 => port.submit(op::RecvPooled::new(far), token),
                3 => port.submit(op::RecvFromPooled::new(far), token),
                _ => port.submit(op::RecvVectored::new(far, [vec![0; 1], vec![0; 999]]), token),
            };
        }
        let (mut sends, mut receives) = (0, 0);
        for done in drive(&mut port, 2 * datagrams as usize) {
            let token = done.token().0;
            if token < 1000 {
                assert_eq!(token, sends, "{what}");
                assert_eq!(done.transferred(), 1 + sends as usize % 700, "{what}: a datagram goes whole");
                sends += 1;
                continue;
            }
            assert_eq!(token, 1000 + receives, "{what}");
            let bytes = match receives % 5 {
                0 => done.unpack::<op::Recv<Vec<u8>>>().1,
                1 => done.unpack::<op::RecvFrom<Vec<u8>>>().1,
                2 => done.unpack::<op::RecvPooled>().expect("receive").to_vec(),
                3 => done.unpack::<op::RecvFromPooled>().expect("receive").0.to_vec(),
                _ => {
                    let (result, bufs) = done.unpack::<op::RecvVectored<[Vec<u8>; 2]>>();
                    let mut bytes = bufs.concat();
                    bytes.truncate(result.expect("receive"));
                    bytes
                }
            };
            assert_eq!(bytes.len(), 1 + receives as usize % 700, "{what}: one datagram a receive");
            assert_piece(&bytes, receives, 0);
            receives += 1;
        }
    }
}

/// What fills the receiver here are another's datagrams: as these are taken, nothing tells a sender that is not connected,
/// whose socket has been "writable" all the time.
fn datagrams_to_a_full_receiver_keep_their_order(backend: Backend) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for connected in [false, true] {
        let mut port = port(backend);
        let path = folder.path().join(format!("receiver-{connected}"));
        let receiver = UnixDatagram::bind(&path).expect("bind");
        let filler = UnixDatagram::unbound().expect("a socket");
        filler.set_nonblocking(true).expect("O_NONBLOCK");
        let mut others = 0;
        while filler.send_to(b"another's", &path).is_ok() {
            others += 1;
        }
        let sender = UnixDatagram::unbound().expect("a socket");
        if connected {
            sender.connect(&path).expect("connect");
        }
        let handle = port.attach(sender).expect("attach");
        let address = SockAddr::unix(&path).expect("an address");
        let datagrams: u64 = 100;
        for number in 0..datagrams {
            let bytes = number.to_ne_bytes();
            match connected {
                true => port.submit(op::Send::new(handle, bytes), Token(number)),
                false => port.submit(op::SendTo::new(handle, bytes, address.clone()), Token(number)),
            };
        }
        assert!(drive_for(&mut port, Duration::from_millis(20)).is_empty(), "the receiver is full");
        let reader = thread::spawn(move || {
            receiver.set_read_timeout(Some(Duration::from_secs(20))).expect("a time-out");
            let mut bytes = [0; 16];
            for _ in 0..others {
                assert_eq!(receiver.recv(&mut bytes).expect("receive"), 9);
            }
            for number in 0..datagrams {
                assert_eq!(receiver.recv(&mut bytes).expect("receive"), 8, "datagram {number}");
                assert_eq!(u64::from_ne_bytes(bytes[..8].try_into().expect("8 bytes")), number);
            }
        });
        for number in 0..datagrams {
            let done = one(&mut port);
            assert_eq!(done.token(), Token(number));
            assert_eq!(done.transferred(), 8);
        }
        reader.join().expect("the reader");
    }
}
