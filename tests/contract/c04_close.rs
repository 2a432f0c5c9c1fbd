//! C4: `close` ends every operation in flight on the handle, and completes last. From then on the handle is stale, its
//! descriptor's number is free, the peer sees the end, and nothing of it reaches whatever comes after it.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use anyport::op::{self, Operation};
use anyport::{Backend, Builder, Completion, Handle, OpId, Port, Source, Token, error};
use socket2::{Domain, Socket, Type};

use crate::support::*;

pub(crate) fn tests() -> Vec<Case> {
    cases! {
        each_backend: [
            close_ends_every_kind_and_completes_last,
            close_ends_every_kind_while_the_peers_send,
            close_empties_every_lane,
            close_comes_after_completions_that_wait_to_be_taken,
            close_ends_a_multishot_accept_and_what_it_accepted_comes_first,
            close_ends_a_multishot_receive_and_what_it_received_comes_first,
            a_closing_handle_is_stale_at_once,
            a_close_cannot_be_given_up,
            a_deadline_does_not_reach_a_close,
            thousands_of_handles_close_through_a_queue_of_one,
            a_close_sends_what_was_sent_before,
            the_peer_sees_the_end_though_operations_were_in_flight,
            a_closed_listener_takes_nobody,
            nothing_of_a_closed_handle_reaches_its_successor,
            a_duplicate_that_stays_open_reaches_no_other_handle,
            an_object_may_join_again_after_it_was_closed,
            close_waits_for_the_pools_work_on_the_file,
            close_of_a_file_whose_work_has_not_begun,
            each_of_two_handles_of_one_object_is_its_own,
        ],
        each_backend_isolated: [
            the_descriptor_is_gone_when_close_completes,
            every_close_gives_its_descriptor_back,
        ],
    }
}

const HOUR: Duration = Duration::from_secs(3600);
const MS: Duration = Duration::from_millis(1);
const NOW: Option<Duration> = Some(Duration::ZERO);
const CLOSE: u64 = 1 << 40;

#[track_caller]
fn build(builder: &Builder) -> Port {
    builder.clone().build().expect("a port")
}

#[track_caller]
fn close(port: &mut Port, handle: Handle) {
    let id = port.submit(op::Close::new(handle), Token(CLOSE));
    let done = one(port);
    assert_eq!(done.id(), id, "something else completed: {done:?}");
    done.unpack::<op::Close>().expect("close");
}

/// Closes every handle of the cast and takes all completions: those of a handle's operations, then its close.
#[track_caller]
fn close_all(what: &str, port: &mut Port, cast: &Cast, mut check: impl FnMut(&Pending, Completion)) {
    let mut left: HashMap<Handle, usize> = HashMap::new();
    for handle in cast.pending.iter().filter_map(|pending| pending.handle) {
        *left.entry(handle).or_default() += 1;
    }
    let mut handles: Vec<Handle> = left.keys().copied().collect();
    handles.sort_by_key(|handle| format!("{handle:?}"));
    for (at, &handle) in handles.iter().enumerate() {
        port.submit(op::Close::new(handle), Token(CLOSE + at as u64));
    }
    let mut more: usize = left.values().sum::<usize>() + handles.len();
    while more > 0 {
        let done = one(port);
        more -= usize::from(!done.more());
        if done.token().0 >= CLOSE {
            let handle = handles[(done.token().0 - CLOSE) as usize];
            assert_eq!(left[&handle], 0, "{what}: a close overtook operations of its handle");
            done.unpack::<op::Close>().expect("close");
        } else {
            let pending = &cast.pending[done.token().0 as usize];
            let handle = pending.handle.expect("only those are ended");
            if !done.more() {
                *left.get_mut(&handle).expect("its handle") -= 1;
            }
            check(pending, done);
        }
    }
}

fn close_ends_every_kind_and_completes_last(backend: Backend) {
    for (flavour, builder) in flavours(backend) {
        for (handed_over, entries) in [(false, 256), (true, 256), (false, 1), (true, 1)] {
            let (mut port, tally) = (build(&builder.clone().entries(entries)), Tally::default());
            let cast = submit_every_kind(&mut port, &tally, None);
            if handed_over {
                assert!(!port.wait(Some(MS)).expect("wait"), "{flavour}");
            }
            close_all(flavour, &mut port, &cast, |pending, done| {
                let text = format!("{done:?}");
                let cancelled = ["Canceled", "code: 125", "code: 1223"].iter().any(|sign| text.contains(sign));
                assert!(cancelled, "{flavour}: {}: {text}", pending.name);
            });
            // What has no handle is not concerned.
            let others: Vec<OpId> = cast.pending.iter().filter(|p| p.handle.is_none()).map(|p| p.id).collect();
            assert_eq!(port.in_flight(), others.len(), "{flavour}");
            assert!(!port.wait(Some(MS)).expect("wait"), "{flavour}: {:?}", port.next());
            assert!(others.into_iter().all(|id| port.cancel(id)), "{flavour}");
            drop(port);
            tally.assert_settled();
        }
    }
}

fn close_ends_every_kind_while_the_peers_send(backend: Backend) {
    for (flavour, builder) in flavours(backend) {
        for round in 0..4 {
            let (mut port, tally) = (build(&builder), Tally::default());
            let cast = submit_every_kind(&mut port, &tally, None);
            let _ = port.wait(Some(MS)).expect("wait");
            let stop = AtomicBool::new(false);
            thread::scope(|scope| {
                scope.spawn(|| {
                    while !stop.load(SeqCst) {
                        cast.send_to_all();
                    }
                });
                thread::sleep(Duration::from_micros(100 * round));
                close_all(flavour, &mut port, &cast, |_, _| ());
                stop.store(true, SeqCst);
            });
            drop(port);
            tally.assert_settled();
        }
    }
}

fn close_empties_every_lane(backend: Backend) {
    for (flavour, builder) in flavours(backend) {
        for handed_over in [false, true] {
            let (mut port, tally) = (build(&builder), Tally::default());
            let (near, _far) = tcp_pair();
            let near = Socket::from(near);
            near.set_send_buffer_size(10_000).expect("SO_SNDBUF");
            let conn = port.attach(near).expect("attach");
            let mut ids = HashSet::new();
            for number in 0..50 {
                let token = Token(number);
                ids.insert(port.submit(op::Recv::new(conn, tally.lend(8)), token));
                ids.insert(port.submit(op::RecvVectored::new(conn, vec![tally.lend(8)]), token));
                ids.insert(port.submit(op::RecvPooled::new(conn), token));
                ids.insert(port.submit(op::SendAll::new(conn, tally.lend(8 << 20)), token));
                ids.insert(port.submit(op::Send::new(conn, tally.lend(8)).within(HOUR), token));
                ids.insert(port.submit(op::Ready::readable(conn), token));
                if number == 25 {
                    ids.insert(port.submit(op::Shutdown::new(conn, Shutdown::Write), token));
                }
            }
            if handed_over {
                assert!(!port.wait(Some(MS)).expect("wait"), "{flavour}");
            }
            let last = port.submit(op::Close::new(conn), Token(CLOSE));
            for _ in 0..301 {
                let done = one(&mut port);
                assert!(ids.remove(&done.id()), "{flavour}: {done:?}");
                assert!(format!("{done:?}").contains("Err"), "{flavour}: {done:?}");
            }
            let done = one(&mut port);
            assert_eq!(done.id(), last, "{flavour}");
            done.unpack::<op::Close>().expect("close");
            assert_eq!(port.in_flight(), 0, "{flavour}");
            tally.assert_settled();
        }
    }
}

fn close_comes_after_completions_that_wait_to_be_taken(backend: Backend) {
    for (flavour, builder) in flavours(backend) {
        let mut port = build(&builder);
        for round in 0..50 {
            let (near, mut far) = unix_pair();
            let conn = port.attach(near).expect("attach");
            far.write_all(&pattern(round, 40)).expect("write");
            let mut expected = Vec::new();
            for number in 0..8 {
                expected.push(port.submit(op::Recv::new(conn, [0; 4]), Token(number)));
            }
            match round % 3 {
                0 => {}
                1 => assert!(port.wait(NOW).is_ok()),
                _ => assert!(port.wait(Some(HOUR)).expect("wait")),
            }
            expected.push(port.submit(op::Close::new(conn), Token(8)));
            let mut seen = Vec::new();
            let (mut at, mut given_up) = (0, false);
            for _ in 0..9 {
                let done = one(&mut port);
                seen.push(done.id());
                if done.token() == Token(8) {
                    done.unpack::<op::Close>().expect("close");
                    continue;
                }
                let (result, buf) = done.unpack::<op::Recv<[u8; 4]>>();
                match result {
                    Ok(4) => {
                        assert!(!given_up || backend == Backend::Uring, "{flavour}");
                        assert_piece(&buf, round, at);
                        at += 4;
                    }
                    other => {
                        given_up = true;
                        assert!(other.as_ref().is_err_and(error::is_cancelled), "{flavour}: {other:?}");
                    }
                }
            }
            assert_eq!(seen.last(), expected.last(), "{flavour}: the close is the last");
            assert_eq!(seen.iter().collect::<HashSet<_>>().len(), 9, "{flavour}");
            if backend != Backend::Uring {
                assert_eq!(at, 32, "{flavour}: they were done before the close");
            }
        }
    }
}

fn close_ends_a_multishot_accept_and_what_it_accepted_comes_first(backend: Backend) {
    for (flavour, builder) in flavours(backend) {
        let mut port = build(&builder);
        for round in 0..50 {
            let (listener, address) = listener();
            let listener = port.attach(listener).expect("attach");
            let id = port.submit(op::AcceptMulti::new(listener), Token(0));
            let clients = thread::spawn(move || (0..8).map(|_| TcpStream::connect(address)).collect::<Vec<_>>());
            for _ in 0..round % 4 {
                let _ = port.wait(Some(Duration::from_micros(50))).expect("wait");
            }
            let last = port.submit(op::Close::new(listener), Token(1));
            let (mut accepted, mut ended) = (Vec::new(), false);
            loop {
                let done = one(&mut port);
                if done.id() == last {
                    done.unpack::<op::Close>().expect("close");
                    break;
                }
                assert_eq!(done.id(), id, "{flavour}");
                assert!(!ended, "{flavour}: it went on after its end");
                ended = !done.more();
                match done.unpack::<op::AcceptMulti>() {
                    Ok(connection) => accepted.push(connection),
                    Err(error) => assert!(ended && error::is_cancelled(&error), "{flavour}: {error}"),
                }
            }
            assert!(ended, "{flavour}: the close overtook it");
            assert_eq!(port.in_flight(), 0, "{flavour}");
            // What was accepted is alive.
            let clients: Vec<TcpStream> = clients.join().expect("the clients").into_iter().flatten().collect();
            let addresses: HashSet<_> = clients.iter().map(|client| client.local_addr().expect("an address")).collect();
            for connection in &accepted {
                let peer = connection.peer_addr().expect("a peer").as_socket().expect("an IP address");
                assert!(addresses.contains(&peer), "{flavour}: {peer} is no client");
            }
        }
    }
}

fn close_ends_a_multishot_receive_and_what_it_received_comes_first(backend: Backend) {
    for (flavour, builder) in flavours(backend) {
        let mut port = build(&builder.pool(8, 64));
        for (kind, near, mut far) in (0..10).flat_map(|_| stream_pairs()) {
            let what = format!("{flavour}, {kind}");
            let conn = port.attach(near).expect("attach");
            let id = port.submit(op::RecvPooledMulti::new(conn), Token(0));
            let _ = port.wait(NOW).expect("wait");
            far.write_all(&pattern(1, 300)).expect("write");
            let _ = port.wait(Some(Duration::from_micros(20))).expect("wait");
            let last = port.submit(op::Close::new(conn), Token(1));
            let (mut at, mut ended) = (0, false);
            loop {
                let done = one(&mut port);
                if done.id() == last {
                    done.unpack::<op::Close>().expect("close");
                    break;
                }
                assert!(!ended && done.id() == id, "{what}: {done:?}");
                ended = !done.more();
                match done.unpack::<op::RecvPooledMulti>() {
                    Ok(buf) => {
                        assert!(!buf.is_empty(), "{what}: no end of the stream was sent");
                        assert_piece(&buf, 1, at);
                        at += buf.len();
                    }
                    Err(error) => assert!(ended && error::is_cancelled(&error), "{what}: {error}"),
                }
            }
            assert!(ended, "{what}: the close overtook it");
            assert_eq!(port.in_flight(), 0, "{what}");
        }
    }
}

fn a_closing_handle_is_stale_at_once(backend: Backend) {
    for (flavour, builder) in flavours(backend) {
        let (mut port, tally) = (build(&builder), Tally::default());
        let (near, _far) = tcp_pair();
        let conn = port.attach(near).expect("attach");
        port.submit(op::Recv::new(conn, tally.lend(8)), Token(0));
        port.submit(op::SendAll::new(conn, tally.lend(32 << 20)), Token(1));
        assert!(!port.wait(Some(MS)).expect("wait"), "{flavour}");
        port.submit(op::Close::new(conn), Token(2));
        // Refused, though the close is still on its way.
        assert_eq!(crate::support::near(&port, conn).expect_err("stale").kind(), ErrorKind::NotFound, "{flavour}");
        assert_eq!(port.detach(conn).expect_err("stale").kind(), ErrorKind::NotFound, "{flavour}");
        assert_eq!(port.cancel_all(conn), 0, "{flavour}");
        port.submit(op::Recv::new(conn, tally.lend(8)), Token(10));
        port.submit(op::Send::new(conn, tally.lend(8)), Token(11));
        port.submit(op::RecvPooledMulti::new(conn), Token(12));
        port.submit(op::Ready::writable(conn).within(HOUR), Token(13));
        port.submit(op::Close::new(conn), Token(14));
        let mut stale = 0;
        for done in drive(&mut port, 8) {
            let text = format!("{done:?}");
            match done.token().0 {
                2 => done.unpack::<op::Close>().expect("close"),
                0 | 1 => assert!(text.contains("Err"), "{flavour}: {text}"),
                _ => {
                    stale += 1;
                    assert!(text.contains("NotFound"), "{flavour}: {text}");
                }
            }
        }
        assert_eq!(stale, 5, "{flavour}");
        assert_eq!(port.in_flight(), 0, "{flavour}");
        tally.assert_settled();
    }
}

fn a_close_cannot_be_given_up(backend: Backend) {
    for (flavour, builder) in flavours(backend) {
        let mut port = build(&builder);
        for (_, near, mut far) in stream_pairs() {
            let conn = port.attach(near).expect("attach");
            let receive = port.submit(op::Recv::new(conn, [0; 8]), Token(0));
            assert!(!port.wait(NOW).expect("wait"));
            let id = port.submit(op::Close::new(conn), Token(1));
            assert!(!port.cancel(id), "{flavour}");
            port.cancel(receive);
            assert!(!port.cancel(id), "{flavour}");
            assert_eq!(one(&mut port).id(), receive, "{flavour}");
            assert!(!port.cancel(id), "{flavour}");
            one(&mut port).unpack::<op::Close>().expect("close");
            assert_eq!(far.read(&mut [0; 1]).expect("the end"), 0, "{flavour}");
        }
    }
}

fn a_deadline_does_not_reach_a_close(backend: Backend) {
    for (flavour, builder) in flavours(backend) {
        let mut port = build(&builder);
        for (_, near, mut far) in stream_pairs() {
            let conn = port.attach(near).expect("attach");
            port.submit(op::Recv::new(conn, [0; 8]), Token(0));
            assert!(!port.wait(NOW).expect("wait"));
            port.submit(op::Close::new(conn).by(Instant::now() - MS), Token(1));
            let (first, second) = (one(&mut port), one(&mut port));
            assert!(first.unpack::<op::Recv<[u8; 8]>>().0.is_err_and(|error| error::is_cancelled(&error)), "{flavour}");
            second.unpack::<op::Close>().expect("close");
            assert_eq!(far.read(&mut [0; 1]).expect("the end"), 0, "{flavour}");
        }
    }
}

fn thousands_of_handles_close_through_a_queue_of_one(backend: Backend) {
    const HANDLES: usize = 250;
    for (flavour, builder) in flavours(backend) {
        let (mut port, tally) = (build(&builder.entries(1)), Tally::default());
        for round in 0..3 {
            let mut peers = Vec::new();
            let conns: Vec<Handle> = (0..HANDLES)
                .map(|_| {
                    let (near, far) = unix_pair();
                    peers.push(far);
                    port.attach(near).expect("attach")
                })
                .collect();
            for (number, &conn) in conns.iter().enumerate() {
                for _ in 0..8 {
                    port.submit(op::Recv::new(conn, tally.lend(4)), Token(number as u64));
                }
            }
            if round > 0 {
                assert!(!port.wait(NOW).expect("wait"), "{flavour}");
            }
            for (number, &conn) in conns.iter().enumerate() {
                port.submit(op::Close::new(conn), Token(CLOSE + number as u64));
            }
            let mut ended = vec![0; HANDLES];
            for _ in 0..HANDLES * 9 {
                let done = one(&mut port);
                let number = (done.token().0 % CLOSE) as usize;
                let is_close = done.token().0 >= CLOSE;
                assert_eq!(ended[number] == 8, is_close, "{flavour}: not in its turn: {done:?}");
                ended[number] += 1;
            }
            assert_eq!((port.in_flight(), tally.out()), (0, 0), "{flavour}");
            for peer in &mut peers {
                assert_eq!(peer.read(&mut [0; 1]).expect("the end"), 0, "{flavour}");
            }
        }
        tally.assert_settled();
    }
}

fn a_close_sends_what_was_sent_before(backend: Backend) {
    for (flavour, builder) in flavours(backend) {
        let mut port = build(&builder);
        for (kind, near, far) in stream_pairs() {
            let what = format!("{flavour}, {kind}");
            let conn = port.attach(near).expect("attach");
            let peer = Peer::start(far, vec![Step::ReceiveToEnd]);
            port.submit(op::SendAll::new(conn, pattern(1, 500_000)), Token(0));
            let (result, _) = one(&mut port).unpack::<op::SendAll<Vec<u8>>>();
            assert_eq!(result.expect("sent"), 500_000, "{what}");
            port.submit(op::Recv::new(conn, [0; 8]), Token(1));
            port.submit(op::Close::new(conn), Token(2));
            drop(drive(&mut port, 2));
            let received = peer.finish();
            assert_eq!(received.len(), 500_000, "{what}");
            assert_piece(&received, 1, 0);
        }
    }
}

fn the_peer_sees_the_end_though_operations_were_in_flight(backend: Backend) {
    for (flavour, builder) in flavours(backend) {
        let mut port = build(&builder);
        let (reader, writer) = pipe();
        let (tcp, tcp_far) = tcp_pair();
        let (unix, unix_far) = unix_pair();
        let ends: Vec<(&str, Source, Box<dyn Read>)> = vec![
            ("tcp", tcp.into(), Box::new(tcp_far)),
            ("unix", unix.into(), Box::new(unix_far)),
            ("pipe", writer.into(), Box::new(reader)),
        ];
        for (kind, near, mut far) in ends {
            let conn = port.attach(near).expect("attach");
            if kind != "pipe" {
                for _ in 0..3 {
                    port.submit(op::Recv::new(conn, [0; 8]), Token(0));
                    port.submit(op::RecvPooledMulti::new(conn), Token(0));
                    port.submit(op::Ready::readable(conn), Token(0));
                }
            }
            assert!(!port.wait(Some(MS)).expect("wait"), "{flavour}, {kind}");
            port.submit(op::Close::new(conn), Token(1));
            while one(&mut port).token() != Token(1) {}
            // Now, not when the port is dropped.
            let end = far.read(&mut [0; 8]).expect("the end");
            assert_eq!(end, 0, "{flavour}, {kind}");
        }
        let (reader, mut writer) = pipe();
        let conn = port.attach(reader).expect("attach");
        port.submit(op::Recv::new(conn, [0; 8]), Token(0));
        assert!(!port.wait(NOW).expect("wait"), "{flavour}");
        port.submit(op::Close::new(conn), Token(1));
        while one(&mut port).token() != Token(1) {}
        let error = writer.write(b"x").expect_err("nobody reads");
        assert_eq!(error.kind(), ErrorKind::BrokenPipe, "{flavour}");
    }
}

fn a_closed_listener_takes_nobody(backend: Backend) {
    for (flavour, builder) in flavours(backend) {
        let mut port = build(&builder);
        let (listener, address) = listener();
        let listener = port.attach(listener).expect("attach");
        for _ in 0..3 {
            port.submit(op::Accept::new(listener), Token(0));
        }
        assert!(!port.wait(NOW).expect("wait"), "{flavour}");
        port.submit(op::Close::new(listener), Token(1));
        for _ in 0..3 {
            let result = one(&mut port).unpack::<op::Accept>();
            assert!(result.is_err_and(|error| error::is_cancelled(&error)), "{flavour}");
        }
        one(&mut port).unpack::<op::Close>().expect("close");
        let refused = TcpStream::connect(address).expect_err("nobody listens");
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused, "{flavour}");
    }
}

fn nothing_of_a_closed_handle_reaches_its_successor(backend: Backend) {
    for (flavour, builder) in flavours(backend) {
        let mut port = build(&builder);
        let mut handles = HashSet::new();
        for round in 0..200 {
            let (near, mut far) = tcp_pair();
            let conn = port.attach(near).expect("attach");
            assert!(handles.insert(conn), "{flavour}: a handle came twice");
            port.submit(op::Recv::new(conn, [0; 8]), Token(0));
            port.submit(op::Recv::new(conn, [0; 8]), Token(0));
            let _ = port.wait(NOW).expect("wait");
            // Events of it are on their way, or reported and not yet taken up.
            far.write_all(b"stale").expect("write");
            if round % 3 == 0 {
                let _ = port.wait(NOW).expect("wait");
            }
            port.submit(op::Close::new(conn), Token(1));
            // Its number and its place are taken at once by a successor that has nothing to receive.
            let mut quiet = None;
            loop {
                let token = one(&mut port).token();
                assert_ne!(token, Token(2), "{flavour}: the successor got something");
                if token == Token(1) {
                    break;
                }
                if round % 2 == 0 && quiet.is_none() {
                    quiet = Some(unix_pair());
                }
            }
            let (near, mut far) = quiet.unwrap_or_else(unix_pair);
            let next = port.attach(near).expect("attach");
            port.submit(op::Recv::new(next, [0; 8]), Token(2));
            port.submit(op::Ready::readable(next), Token(3));
            assert!(!port.wait(Some(Duration::from_micros(200))).expect("wait"), "{flavour}: {:?}", port.next());
            far.write_all(b"its own").expect("write");
            let (mut received, mut ready) = (false, false);
            while !received {
                let done = one(&mut port);
                ready |= done.token() == Token(3);
                received = done.token() == Token(2);
                if received {
                    assert_eq!(done.unpack::<op::Recv<[u8; 8]>>().1[..7], *b"its own", "{flavour}");
                }
            }
            port.submit(op::Close::new(next), Token(4));
            let rest = drive(&mut port, if ready { 1 } else { 2 });
            assert_eq!(rest.last().map(Completion::token), Some(Token(4)), "{flavour}");
        }
    }
}

fn a_duplicate_that_stays_open_reaches_no_other_handle(backend: Backend) {
    for (flavour, builder) in flavours(backend) {
        let mut port = build(&builder);
        let mut kept: Vec<(UnixStream, UnixStream)> = Vec::new();
        for round in 0..30 {
            let (near, mut far) = unix_pair();
            let duplicate = near.try_clone().expect("a duplicate");
            let number_before = number(&near);
            let conn = port.attach(near).expect("attach");
            port.submit(op::Recv::new(conn, [0; 8]), Token(0));
            port.submit(op::Ready::readable(conn), Token(1));
            assert!(!port.wait(NOW).expect("wait"), "{flavour}: {:?}", port.next());
            if round % 2 == 0 || !can_detach() {
                close_after(&mut port, conn, 2);
            } else {
                assert_eq!(port.cancel_all(conn), 2, "{flavour}");
                drop(drive(&mut port, 2));
                drop(detach(&mut port, conn));
            }
            // The object lives: its peer has not seen the end, and it can be written to.
            far.set_nonblocking(true).expect("O_NONBLOCK");
            assert_eq!(far.read(&mut [0; 1]).expect_err("no end").kind(), ErrorKind::WouldBlock, "{flavour}");
            // The successor has the handle's place, and often the descriptor's number.
            let (near, mut others) = unix_pair();
            let reused = number(&near) == number_before;
            let next = port.attach(near).expect("attach");
            port.submit(op::Recv::new(next, [0; 8]), Token(2));
            port.submit(op::Ready::readable(next), Token(3));
            assert!(!port.wait(NOW).expect("wait"), "{flavour}");
            for _ in 0..3 {
                let _ = far.write(b"stale");
                for (_, far) in &mut kept {
                    let _ = far.write(b"stale");
                }
                let woken = port.wait(Some(Duration::from_micros(300))).expect("wait");
                assert!(!woken, "{flavour}, number reused: {reused}: {:?}", port.next());
            }
            others.write_all(b"its own").expect("write");
            let mut tokens = Vec::new();
            while !tokens.contains(&2) {
                let done = one(&mut port);
                tokens.push(done.token().0);
                if done.token() == Token(2) {
                    assert_eq!(done.unpack::<op::Recv<[u8; 8]>>().1[..7], *b"its own", "{flavour}");
                }
            }
            close_after(&mut port, next, 2 - tokens.len());
            kept.push((duplicate, far));
            if kept.len() > 5 {
                kept.remove(0);
            }
        }
    }
}

/// Closes a handle on which so many operations are in flight.
#[track_caller]
fn close_after(port: &mut Port, handle: Handle, in_flight: usize) {
    port.submit(op::Close::new(handle), Token(CLOSE));
    let mut done = drive(port, in_flight + 1);
    assert_eq!(done.pop().map(|done| done.token()), Some(Token(CLOSE)));
    assert!(done.iter().all(|done| done.token() != Token(CLOSE)));
}

fn an_object_may_join_again_after_it_was_closed(backend: Backend) {
    skip_where_an_object_joins_once();
    for (flavour, builder) in flavours(backend) {
        let mut port = build(&builder);
        for (kind, near, mut far) in stream_pairs() {
            let mut spare = near.try_clone().expect("a duplicate");
            let mut near = Some(near);
            for round in 0..20 {
                let conn = port.attach(near.take().expect("kept")).expect("attach");
                port.submit(op::Recv::new(conn, [0; 8]), Token(0));
                assert!(!port.wait(NOW).expect("wait"), "{flavour}, {kind}: {:?}", port.next());
                // Data that came meanwhile is there for the next one.
                close_after(&mut port, conn, 1);
                far.write_all(&pattern(round, 8)).expect("write");
                let again = port.attach(spare).expect("attach");
                port.submit(op::Recv::new(again, [0; 8]), Token(1));
                let done = one(&mut port);
                assert_eq!(done.token(), Token(1), "{flavour}, {kind}");
                assert_piece(&done.unpack::<op::Recv<[u8; 8]>>().1, round, 0);
                port.submit(op::Recv::new(again, [0; 8]), Token(1));
                assert!(!port.wait(NOW).expect("wait"), "{flavour}, {kind}");
                assert_eq!(port.cancel_all(again), 1, "{flavour}, {kind}");
                drop(one(&mut port));
                let back = socket_of(detach(&mut port, again));
                spare = back.try_clone().expect("a duplicate");
                near = Some(back);
            }
        }
    }
}

fn each_of_two_handles_of_one_object_is_its_own(backend: Backend) {
    skip_where_an_object_joins_once();
    for (flavour, builder) in flavours(backend) {
        let mut port = build(&builder);
        for (kind, near, mut far) in stream_pairs() {
            let twin = port.attach(near.try_clone().expect("a duplicate")).expect("attach");
            let conn = port.attach(near).expect("attach");
            port.submit(op::Recv::new(conn, [0; 8]), Token(0));
            port.submit(op::Ready::readable(twin), Token(1));
            assert!(!port.wait(NOW).expect("wait"), "{flavour}, {kind}");
            close_after_one(&mut port, conn, Token(0));
            assert!(!port.wait(Some(MS)).expect("wait"), "{flavour}, {kind}: the other goes on");
            far.write_all(b"for the other").expect("write");
            assert_eq!(one(&mut port).token(), Token(1), "{flavour}, {kind}");
            port.submit(op::Recv::new(twin, [0; 13]), Token(2));
            assert_eq!(one(&mut port).unpack::<op::Recv<[u8; 13]>>().1, *b"for the other", "{flavour}, {kind}");
            close(&mut port, twin);
            assert_eq!(far.read(&mut [0; 1]).expect("the end"), 0, "{flavour}, {kind}");
        }
    }
}

#[track_caller]
fn close_after_one(port: &mut Port, handle: Handle, token: Token) {
    port.submit(op::Close::new(handle), Token(CLOSE));
    assert_eq!((one(port).token(), one(port).token()), (token, Token(CLOSE)));
}

fn close_waits_for_the_pools_work_on_the_file(backend: Backend) {
    const SIZE: usize = 1 << 18;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let paths = [1, 2].map(|number| {
        let path = folder.path().join(number.to_string());
        std::fs::write(&path, vec![number; SIZE]).expect("write");
        path
    });
    for (flavour, builder) in flavours(backend) {
        for round in 0..40 {
            let mut port = build(&builder.clone().threads(3));
            let file = port.attach(File::open(&paths[0]).expect("open")).expect("attach");
            for number in 0..8 {
                port.submit(op::ReadAt::new(file, vec![0; SIZE], 0), Token(number));
                port.submit(op::Metadata::of(file), Token(100 + number));
            }
            if round % 2 == 0 {
                let _ = port.wait(NOW).expect("wait");
            }
            let last = port.submit(op::Close::new(file), Token(200));
            let (mut read, mut given_up) = (0, 0);
            let mut others = Vec::new();
            for left in (0..17).rev() {
                let done = one(&mut port);
                // Somebody else's file takes the number as soon as it is free.
                others.push(File::open(&paths[1]).expect("open"));
                assert_eq!(done.id() == last, left == 0, "{flavour}: {done:?} with {left} left");
                let result = match done.token().0 {
                    0..100 => {
                        let (result, buf) = done.unpack::<op::ReadAt<Vec<u8>>>();
                        let size = *result.as_ref().unwrap_or(&0);
                        assert!(buf[..size] == [1; SIZE][..size], "{flavour}: that is another file's");
                        result.map(drop)
                    }
                    200 => done.unpack::<op::Close>(),
                    _ => done.unpack::<op::Metadata>().map(drop),
                };
                match result {
                    Ok(()) => read += 1,
                    Err(error) => {
                        assert!(error::is_cancelled(&error), "{flavour}: {error}");
                        given_up += 1;
                    }
                }
            }
            assert_eq!((read + given_up, port.in_flight()), (17, 0), "{flavour}");
        }
    }
}

fn close_of_a_file_whose_work_has_not_begun(backend: Backend) {
    for (flavour, builder) in flavours(backend) {
        let (mut port, tally) = (build(&builder.threads(1)), Tally::default());
        let (release, released) = mpsc::channel::<()>();
        let (begin, begun) = mpsc::channel();
        let closure = move || {
            begin.send(()).expect("the test waits for it");
            let _ = released.recv();
        };
        port.submit(op::Blocking::new(closure), Token(1));
        begun.recv().expect("it runs");
        let file = port.attach(tempfile::tempfile().expect("a file")).expect("attach");
        for at in 0..20 {
            port.submit(op::WriteAt::new(file, tally.lend(100), at * 100), Token(2));
            port.submit(op::Fsync::new(file), Token(2));
        }
        port.submit(op::Close::new(file), Token(3));
        // The one thread is busy; that does not hold the close up.
        for _ in 0..40 {
            assert_eq!(one(&mut port).token(), Token(2), "{flavour}");
        }
        let done = one(&mut port);
        assert_eq!(done.token(), Token(3), "{flavour}");
        done.unpack::<op::Close>().expect("close");
        assert!(tally.out() == 0, "{flavour}");
        drop(release);
        assert_eq!(one(&mut port).token(), Token(1), "{flavour}");
        tally.assert_settled();
    }
}

fn the_descriptor_is_gone_when_close_completes(backend: Backend) {
    for (flavour, builder) in flavours(backend) {
        let mut port = build(&builder);
        let (reader, writer) = pipe();
        let (udp, _udp_far) = udp_pair();
        let (tcp, _tcp_far) = tcp_pair();
        let sources: Vec<(&str, Source)> = vec![
            ("tcp", tcp.into()),
            ("udp", udp.into()),
            ("listener", listener().0.into()),
            ("pipe to read", reader.into()),
            ("pipe to write", writer.into()),
            ("file", tempfile::tempfile().expect("a file").into()),
            ("unconnected", Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket").into()),
        ];
        for (kind, source) in sources {
            let handle = port.attach(source).expect("attach");
            let number_before = number_behind(&port, handle);
            let operation = port.submit(op::Ready::readable(handle), Token(0));
            let _ = port.wait(NOW).expect("wait");
            assert!(descriptors().contains_key(&number_before), "{flavour}, {kind}");
            let last = port.submit(op::Close::new(handle), Token(1));
            let ids = [one(&mut port).id(), one(&mut port).id()];
            assert_eq!(ids, [operation, last], "{flavour}, {kind}");
            assert!(!descriptors().contains_key(&number_before), "{flavour}, {kind}: it is still open");
            // The number is the next one's, and stays its own.
            let next = null();
            assert!(cfg!(windows) || number(&next) <= number_before, "{flavour}, {kind}"); // Windows gives out others first
            assert!(!port.wait(Some(MS)).expect("wait"), "{flavour}, {kind}");
            assert!(descriptors().contains_key(&number(&next)), "{flavour}, {kind}: closed twice");
        }
    }
}

fn every_close_gives_its_descriptor_back(backend: Backend) {
    for (flavour, builder) in flavours(backend) {
        let mut port = build(&builder.entries(4));
        let before = descriptors();
        for round in 0..30 {
            let mut peers: Vec<anyport::Object> = Vec::new();
            let mut handles = Vec::new();
            for number in 0..20 {
                let (near, far) = unix_pair();
                let conn = port.attach(near).expect("attach");
                port.submit(op::Recv::new(conn, [0; 8]), Token(0));
                port.submit(op::RecvPooledMulti::new(conn), Token(0));
                if number % 2 == round % 2 {
                    let _ = (&far).write(b"data");
                }
                peers.push(far.into());
                handles.push(conn);
            }
            if round % 3 == 0 {
                let _ = port.wait(NOW).expect("wait");
            }
            for &handle in &handles {
                port.submit(op::Close::new(handle), Token(1));
            }
            while port.in_flight() > 0 {
                drop(one(&mut port));
            }
            drop(peers);
            assert_eq!(descriptors(), before, "{flavour}, round {round}");
        }
    }
}
