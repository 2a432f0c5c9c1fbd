//! C3: a cancel is never lost, however full the queues; the outcome is what really happened, the result or cancelled;
//! and nothing is lost with what was given up: no byte of a stream, no connection, no descriptor, no buffer of the pool.

use std::collections::HashSet;
use std::fmt::Debug;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use anyport::buf::PoolBuf;
use anyport::op::{self, Operation};
use anyport::{Backend, Builder, Completion, Handle, OpId, Port, Source, Token, error};
use socket2::{Domain, Socket, Type};

use crate::support::*;

pub(crate) fn tests() -> Vec<Case> {
    cases! {
        each_backend: [
            every_kind_is_cancelled_through_a_queue_of_one,
            thousands_of_cancels_pass_a_queue_of_one,
            cancels_reach_only_what_they_name,
            a_cancel_may_follow_its_submission_at_once,
            an_operation_may_be_cancelled_twice,
            an_id_of_what_is_done_is_harmless,
            an_id_of_another_port_is_harmless,
            all_of_a_handle_and_nothing_else,
            the_head_of_a_lane_makes_room_for_the_next,
            what_is_queued_is_given_up_and_those_around_it_stay,
            no_byte_is_lost_to_a_cancelled_receive,
            no_byte_is_lost_to_a_cancelled_multishot_receive,
            no_byte_is_lost_to_a_deadline,
            a_cancelled_send_tells_what_went_out,
            a_cancelled_send_into_a_pipe_tells_what_was_read,
            no_connection_is_lost_to_a_cancelled_accept,
            no_datagram_is_lost_to_a_cancelled_receive,
            a_cancelled_connect_either_connects_or_does_not,
            a_closure_that_has_not_begun_never_runs,
            a_closure_that_has_begun_gives_its_result,
            timers_are_cancelled_among_others,
            a_cancelled_receive_gives_its_pool_buffer_back,
            a_cancelled_receive_that_waits_for_the_pool_ends,
            a_cancel_is_not_lost_when_the_object_becomes_ready_at_that_moment,
        ],
        each_backend_isolated: [
            what_is_accepted_after_it_was_given_up_is_closed,
            what_is_opened_after_it_was_given_up_is_closed,
            what_nobody_took_from_a_dropped_port_is_closed,
        ],
    }
}

const HOUR: Duration = Duration::from_secs(3600);
const MS: Duration = Duration::from_millis(1);
const NOW: Option<Duration> = Some(Duration::ZERO);

#[track_caller]
fn assert_cancelled<T: Debug>(what: &str, result: io::Result<T>) {
    assert!(result.as_ref().is_err_and(error::is_cancelled), "{what}: {result:?}");
}

#[track_caller]
fn build(builder: &Builder) -> Port {
    builder.clone().build().expect("a port")
}

fn every_kind_is_cancelled_through_a_queue_of_one(backend: Backend) {
    for (flavour, builder) in flavours(backend) {
        for handed_over in [false, true] {
            let (mut port, tally) = (build(&builder.clone().entries(1)), Tally::default());
            let cast = submit_every_kind(&mut port, &tally, None);
            if handed_over {
                assert!(!port.wait(Some(MS)).expect("wait"), "{flavour}");
            }
            // The last first: a shutdown that comes to the head of its lane is done at once.
            for pending in cast.pending.iter().rev() {
                assert!(port.cancel(pending.id), "{flavour}: {}", pending.name);
            }
            cast.each_once(&mut port, |pending, result| assert_cancelled(&format!("{flavour}: {}", pending.name), result));
            cast.send_to_all();
            drop(port);
            tally.assert_settled();
        }
    }
}

fn thousands_of_cancels_pass_a_queue_of_one(backend: Backend) {
    const CONNECTIONS: u64 = 200;
    const DEEP: u64 = 25;
    for (flavour, builder) in flavours(backend) {
        let (mut port, tally) = (build(&builder.entries(1)), Tally::default());
        let mut peers = Vec::new();
        let conns: Vec<Handle> = (0..CONNECTIONS)
            .map(|_| {
                let (near, far) = unix_pair();
                peers.push(far);
                port.attach(near).expect("attach")
            })
            .collect();
        for round in 0..2 {
            let mut ids = Vec::new();
            for deep in 0..DEEP {
                for (number, &conn) in conns.iter().enumerate() {
                    let token = Token(deep * CONNECTIONS + number as u64);
                    ids.push(match deep % 4 {
                        0 => port.submit(op::Recv::new(conn, tally.lend(8)), token),
                        1 => port.submit(op::Ready::readable(conn), token),
                        2 => port.submit(op::RecvPooled::new(conn).within(HOUR), token),
                        _ => port.submit(op::Timer::after(HOUR), token),
                    });
                }
                if round == 1 {
                    assert!(!port.wait(NOW).expect("wait"), "{flavour}");
                }
            }
            for &id in &ids {
                assert!(port.cancel(id), "{flavour}: it is in flight");
            }
            let mut seen = vec![false; ids.len()];
            for _ in &ids {
                let done = one(&mut port);
                let at = done.token().0 as usize;
                assert_eq!(done.id(), ids[at], "{flavour}");
                assert!(!std::mem::replace(&mut seen[at], true), "{flavour}: {at} completed twice");
                assert_eq!((done.transferred(), done.more()), (0, false), "{flavour}");
                match at as u64 / CONNECTIONS % 4 {
                    0 => assert_cancelled(flavour, done.unpack::<op::Recv<Lent>>().0),
                    1 => assert_cancelled(flavour, done.unpack::<op::Ready>()),
                    2 => assert_cancelled(flavour, done.unpack::<op::RecvPooled>()),
                    _ => assert_cancelled(flavour, done.unpack::<op::Timer>()),
                }
            }
            assert_eq!(port.in_flight(), 0, "{flavour}");
            tally.assert_settled();
        }
        // All of it left the connections as they were.
        for (number, peer) in peers.iter_mut().enumerate() {
            peer.write_all(&pattern(number as u64, 8)).expect("write");
            port.submit(op::Recv::new(conns[number], [0; 8]), Token(0));
            assert_piece(&one(&mut port).unpack::<op::Recv<[u8; 8]>>().1, number as u64, 0);
        }
    }
}

fn cancels_reach_only_what_they_name(backend: Backend) {
    const CONNECTIONS: u64 = 600;
    for (flavour, builder) in flavours(backend) {
        for entries in [1, 64] {
            let mut port = build(&builder.clone().entries(entries));
            let (mut ids, mut peers) = (Vec::new(), Vec::new());
            for number in 0..CONNECTIONS {
                let (near, far) = unix_pair();
                let conn = port.attach(near).expect("attach");
                ids.push(port.submit(op::Recv::new(conn, [0; 8]), Token(number)));
                peers.push(far);
                // Now and then the system has taken up all so far.
                if number % 100 == 99 {
                    assert!(!port.wait(NOW).expect("wait"), "{flavour}");
                }
            }
            for number in (0..CONNECTIONS).filter(|number| number % 3 != 0) {
                assert!(port.cancel(ids[number as usize]), "{flavour}");
            }
            for (number, peer) in peers.iter_mut().enumerate().filter(|(number, _)| number % 3 == 0) {
                peer.write_all(&pattern(number as u64, 8)).expect("write");
            }
            for done in drive(&mut port, CONNECTIONS as usize) {
                let number = done.token().0;
                let (result, buf) = done.unpack::<op::Recv<[u8; 8]>>();
                if number % 3 == 0 {
                    assert_eq!(result.expect("it was not given up"), 8, "{flavour}");
                    assert_piece(&buf, number, 0);
                } else {
                    assert_cancelled(flavour, result);
                    assert_eq!(buf, [0; 8], "{flavour}");
                }
            }
        }
    }
}

fn a_cancel_may_follow_its_submission_at_once(backend: Backend) {
    for (flavour, builder) in flavours(backend) {
        let mut port = build(&builder.entries(2));
        let (near, mut far) = tcp_pair();
        let conn = port.attach(near).expect("attach");
        let (listener, _) = listener();
        let listener = port.attach(listener).expect("attach");
        for round in 0..500 {
            let ids = [
                port.submit(op::Recv::new(conn, [0; 8]), Token(0)),
                port.submit(op::AcceptMulti::new(listener), Token(1)),
                port.submit(op::Timer::after(HOUR), Token(2)),
                port.submit(op::RecvPooledMulti::new(conn), Token(3)),
            ];
            // All orders, and not always at the same place of the queue.
            for at in 0..4 {
                assert!(port.cancel(ids[(at + round) % 4]), "{flavour}");
            }
            for _ in 0..4 {
                let done = one(&mut port);
                assert_eq!(done.id(), ids[done.token().0 as usize], "{flavour}");
                assert!(format!("{done:?}").contains("Err"), "{flavour}: {done:?}");
            }
        }
        far.write_all(b"whole").expect("write");
        port.submit(op::Recv::new(conn, [0; 5]), Token(0));
        assert_eq!(one(&mut port).unpack::<op::Recv<[u8; 5]>>().1, *b"whole", "{flavour}");
    }
}

fn an_operation_may_be_cancelled_twice(backend: Backend) {
    for (flavour, builder) in flavours(backend) {
        let (mut port, tally) = (build(&builder), Tally::default());
        let cast = submit_every_kind(&mut port, &tally, None);
        let _ = port.wait(Some(MS)).expect("wait");
        for pending in cast.pending.iter().rev() {
            assert!(port.cancel(pending.id), "{flavour}: {}", pending.name);
            // It says so until it is done.
            let _ = port.cancel(pending.id);
        }
        for pending in &cast.pending {
            let _ = port.cancel(pending.id);
            pending.handle.map(|handle| port.cancel_all(handle));
        }
        cast.each_once(&mut port, |pending, result| assert_cancelled(pending.name, result));
        assert!(cast.pending.iter().all(|pending| !port.cancel(pending.id)), "{flavour}");
    }
}

fn an_id_of_what_is_done_is_harmless(backend: Backend) {
    for (flavour, builder) in flavours(backend) {
        let mut port = build(&builder);
        let (near, mut far) = unix_pair();
        let conn = port.attach(near).expect("attach");
        let mut old: Vec<OpId> = Vec::new();
        for round in 0..300 {
            // Reuses the slot of all those before it.
            let id = port.submit(op::Recv::new(conn, [0; 4]), Token(round));
            let _ = port.wait(NOW).expect("wait");
            assert!(!old.contains(&id), "{flavour}: an id came twice");
            assert!(old.iter().all(|&old| !port.cancel(old)), "{flavour}");
            far.write_all(b"data").expect("write");
            if round % 2 == 0 {
                // Done, but not taken: there is nothing to give up any more.
                assert!(port.wait(Some(HOUR)).expect("wait"), "{flavour}");
                port.cancel(id);
            }
            let (result, buf) = one(&mut port).unpack::<op::Recv<[u8; 4]>>();
            if result.is_err() {
                assert_cancelled(flavour, result);
                far.write_all(b"").expect("write");
                port.submit(op::Recv::new(conn, [0; 4]), Token(round));
                assert_eq!(one(&mut port).unpack::<op::Recv<[u8; 4]>>().1, *b"data", "{flavour}");
            } else {
                assert_eq!(buf, *b"data", "{flavour}");
            }
            assert!(!port.cancel(id), "{flavour}: it was taken");
            old.push(id);
        }
        // A nop's, a timer's, a post's.
        let nop = port.submit(op::Nop::new(), Token(0));
        one(&mut port).unpack::<op::Nop>().expect("nop");
        let timer = port.submit(op::Timer::after(Duration::ZERO), Token(0));
        assert!(port.wait(Some(HOUR)).expect("wait"));
        assert!(!port.cancel(timer), "{flavour}: it has fired");
        one(&mut port).unpack::<op::Timer>().expect("it has fired");
        assert!(port.poster().post(Token(0), ()).is_ok());
        let post = one(&mut port).id();
        assert!(!port.cancel(nop) && !port.cancel(timer) && !port.cancel(post), "{flavour}");
    }
}

fn an_id_of_another_port_is_harmless(backend: Backend) {
    for (flavour, builder) in flavours(backend) {
        let (mut here, mut there) = (build(&builder), build(&builder));
        let mut conns = Vec::new();
        for port in [&mut here, &mut there] {
            let (near, far) = unix_pair();
            let conn = port.attach(near).expect("attach");
            let id = port.submit(op::Recv::new(conn, [0; 4]), Token(0));
            assert!(!port.wait(NOW).expect("wait"));
            conns.push((conn, id, far));
        }
        assert!(!here.cancel(conns[1].1) && !there.cancel(conns[0].1), "{flavour}");
        assert_eq!((here.cancel_all(conns[1].0), there.cancel_all(conns[0].0)), (0, 0), "{flavour}");
        for (port, (_, _, far)) in [&mut here, &mut there].into_iter().zip(&mut conns) {
            assert!(!port.wait(Some(MS)).expect("wait"), "{flavour}");
            far.write_all(b"data").expect("write");
            assert_eq!(one(port).unpack::<op::Recv<[u8; 4]>>().1, *b"data", "{flavour}");
        }
    }
}

fn all_of_a_handle_and_nothing_else(backend: Backend) {
    for (flavour, builder) in flavours(backend) {
        for handed_over in [false, true] {
            let (mut port, tally) = (build(&builder.clone().entries(4)), Tally::default());
            let (near, mut far) = tcp_pair();
            let (other, mut others) = tcp_pair();
            let (conn, other) = (port.attach(near).expect("attach"), port.attach(other).expect("attach"));
            let submit = |port: &mut Port, conn: Handle| {
                for number in 0..5 {
                    port.submit(op::Recv::new(conn, tally.lend(8)), Token(number));
                    port.submit(op::SendAll::new(conn, tally.lend(8 << 20)), Token(10 + number));
                    port.submit(op::Ready::readable(conn), Token(20 + number));
                }
                port.submit(op::RecvPooledMulti::new(conn), Token(30));
                port.submit(op::Shutdown::new(conn, std::net::Shutdown::Write), Token(31));
            };
            submit(&mut port, conn);
            submit(&mut port, other);
            if handed_over {
                assert!(!port.wait(Some(MS)).expect("wait"), "{flavour}");
            }
            assert_eq!(port.cancel_all(conn), 17, "{flavour}: those that were in flight");
            let mut tokens = HashSet::new();
            for _ in 0..17 {
                let done = one(&mut port);
                assert!(tokens.insert(done.token()), "{flavour}");
                assert!(format!("{done:?}").contains("Err"), "{flavour}: {done:?}");
            }
            assert_eq!(port.cancel_all(conn), 0, "{flavour}: all are done");
            assert_eq!(port.in_flight(), 17, "{flavour}: the other's");
            assert!(!port.wait(Some(MS)).expect("wait"), "{flavour}");
            // The handle lives on.
            far.write_all(&pattern(1, 8)).expect("write");
            port.submit(op::Recv::new(conn, [0; 8]), Token(0));
            assert_piece(&one(&mut port).unpack::<op::Recv<[u8; 8]>>().1, 1, 0);
            others.write_all(&pattern(2, 8)).expect("write");
            let mut received = false;
            while !received {
                let done = one(&mut port);
                received = done.token() == Token(0);
                assert!(received || done.is::<op::Ready>(), "{flavour}: {done:?}");
            }
            drop(port);
            tally.assert_settled();
        }
    }
}

fn the_head_of_a_lane_makes_room_for_the_next(backend: Backend) {
    for (flavour, builder) in flavours(backend) {
        let mut port = build(&builder);
        for (kind, near, mut far) in stream_pairs() {
            let conn = port.attach(near).expect("attach");
            let ids: Vec<OpId> = (0..20)
                .map(|number| match number % 3 {
                    0 => port.submit(op::Recv::new(conn, [0; 4]), Token(number)),
                    1 => port.submit(op::RecvPooled::new(conn), Token(number)),
                    _ => port.submit(op::RecvVectored::new(conn, [[0; 2], [0; 2]]), Token(number)),
                })
                .collect();
            for (number, &id) in ids.iter().enumerate().take(19) {
                assert!(!port.wait(NOW).expect("wait"), "{flavour}, {kind}");
                assert!(port.cancel(id), "{flavour}, {kind}");
                assert_eq!(one(&mut port).token(), Token(number as u64), "{flavour}, {kind}");
            }
            far.write_all(b"last").expect("write");
            assert_eq!(one(&mut port).unpack::<op::RecvPooled>().map(|buf| buf.len()).expect("data"), 4, "{kind}");
        }
        let (listener, address) = listener();
        let listener = port.attach(listener).expect("attach");
        let ids: Vec<OpId> = (0..5).map(|number| port.submit(op::Accept::new(listener), Token(number))).collect();
        assert!(!port.wait(NOW).expect("wait"), "{flavour}");
        ids.iter().take(4).for_each(|&id| assert!(port.cancel(id), "{flavour}"));
        for _ in 0..4 {
            assert_cancelled(flavour, one(&mut port).unpack::<op::Accept>());
        }
        let _client = TcpStream::connect(address).expect("connect");
        let done = one(&mut port);
        assert_eq!(done.token(), Token(4), "{flavour}");
        done.unpack::<op::Accept>().expect("a connection");
    }
}

fn what_is_queued_is_given_up_and_those_around_it_stay(backend: Backend) {
    for (flavour, builder) in flavours(backend) {
        let mut port = build(&builder);
        for (kind, near, mut far) in stream_pairs() {
            let conn = port.attach(near).expect("attach");
            let ids: Vec<OpId> =
                (0..9).map(|number| port.submit(op::Recv::new(conn, [0; 4]), Token(number))).collect();
            assert!(!port.wait(NOW).expect("wait"), "{flavour}, {kind}");
            // In the middle, side by side, the last.
            for at in [4, 2, 3, 8] {
                assert!(port.cancel(ids[at]), "{flavour}, {kind}");
                let done = one(&mut port);
                assert_eq!(done.id(), ids[at], "{flavour}, {kind}: what is queued ends at once");
                assert_cancelled(kind, done.unpack::<op::Recv<[u8; 4]>>().0);
            }
            far.write_all(&pattern(1, 20)).expect("write");
            for (piece, expected) in [0, 1, 5, 6, 7].into_iter().enumerate() {
                let done = one(&mut port);
                assert_eq!(done.token(), Token(expected), "{flavour}, {kind}");
                let (result, buf) = done.unpack::<op::Recv<[u8; 4]>>();
                assert_eq!(result.expect("data"), 4, "{flavour}, {kind}");
                assert_piece(&buf, 1, piece * 4);
            }
        }
    }
}

/// The two sides of a race: the other thread does its part `number` when it is told to, a little later each time.
struct Race {
    told: Arc<AtomicU64>,
    /// Gives its part back at its end, so that what that owns stays open until `finish`.
    thread: thread::JoinHandle<Box<dyn Send>>,
}

impl Race {
    fn start(rounds: u64, mut part: impl FnMut(u64) + Send + 'static) -> Race {
        let told = Arc::new(AtomicU64::new(0));
        let heard = told.clone();
        let thread = thread::spawn(move || {
            for number in 0..rounds {
                while heard.load(SeqCst) <= number {
                    thread::yield_now();
                }
                (0..number * 7 % 256).for_each(|_| std::hint::spin_loop());
                part(number);
            }
            Box::new(part) as Box<dyn Send>
        });
        Race { told, thread }
    }

    fn go(&self) {
        self.told.fetch_add(1, SeqCst);
    }

    fn finish(self) {
        drop(self.thread.join().expect("the other side"));
    }
}

/// A stream of each kind with its far end to write to.
fn readable_streams() -> Vec<(&'static str, Source, Box<dyn Write + Send>)> {
    let (tcp, tcp_far) = tcp_pair();
    let (unix, unix_far) = unix_pair();
    let (reader, writer) = pipe();
    vec![
        ("tcp", tcp.into(), Box::new(tcp_far)),
        ("unix", unix.into(), Box::new(unix_far)),
        ("pipe", reader.into(), Box::new(writer)),
    ]
}

/// So few that what nobody has received yet fits the stream.
const ROUNDS: u64 = 200;
const PIECE: usize = 16;

/// What a receive of the `round` got; checks that it wrote nothing if it got nothing.
#[track_caller]
fn received(what: &str, done: Completion, round: u64) -> Vec<u8> {
    let none = |result: io::Result<usize>| match result {
        Ok(n) => n,
        Err(error) => {
            let given_up = error::is_cancelled(&error) || error.kind() == io::ErrorKind::TimedOut;
            assert!(given_up, "{what}: {error}");
            0
        }
    };
    match round % 3 {
        0 => {
            let (result, buf) = done.unpack::<op::Recv<Vec<u8>>>();
            let n = none(result);
            if n == 0 {
                assert_eq!(buf, [FRESH; 40], "{what}: it got nothing, and wrote");
                return Vec::new();
            }
            buf
        }
        1 => {
            let (result, bufs) = done.unpack::<op::RecvVectored<[[u8; 7]; 4]>>();
            let n = none(result);
            let bytes = bufs.concat();
            assert!(bytes[n..].iter().all(|&byte| byte == FRESH), "{what}: it wrote more than it got");
            bytes[..n].to_vec()
        }
        _ => match done.unpack::<op::RecvPooled>() {
            Ok(buf) => buf.to_vec(),
            Err(error) => {
                none(Err(error));
                Vec::new()
            }
        },
    }
}

fn submit_receive(port: &mut Port, conn: Handle, round: u64, deadline: Option<Duration>) -> OpId {
    fn by<O: Operation>(port: &mut Port, operation: O, deadline: Option<Duration>) -> OpId {
        match deadline {
            Some(time) => port.submit(operation.within(time), Token(0)),
            None => port.submit(operation, Token(0)),
        }
    }
    match round % 3 {
        0 => by(port, op::Recv::new(conn, vec![FRESH; 40]), deadline),
        1 => by(port, op::RecvVectored::new(conn, [[FRESH; 7]; 4]), deadline),
        _ => by(port, op::RecvPooled::new(conn), deadline),
    }
}

/// Receives that are given up at the moment when data comes: what they did not get, the next one gets.
fn race_receives(backend: Backend, deadlines: bool) {
    for (flavour, builder) in flavours(backend) {
        let mut port = build(&builder.pool(2, 64));
        for (kind, near, mut far) in readable_streams() {
            let what = format!("{flavour}, {kind}");
            let conn = port.attach(near).expect("attach");
            let race = Race::start(ROUNDS, move |round| {
                far.write_all(&piece(1, round as usize * PIECE, PIECE)).expect("write");
            });
            let (mut stream, mut given_up) = (Vec::new(), 0);
            for round in 0..ROUNDS {
                let deadline = deadlines.then(|| Duration::from_micros(round % 150));
                let id = submit_receive(&mut port, conn, round, deadline);
                if round % 2 == 0 {
                    let _ = port.wait(NOW).expect("wait");
                }
                race.go();
                if !deadlines {
                    (0..round * 13 % 256).for_each(|_| std::hint::spin_loop());
                    port.cancel(id);
                }
                let done = one(&mut port);
                assert_eq!((done.id(), done.more()), (id, false), "{what}");
                let bytes = received(&what, done, round);
                given_up += u64::from(bytes.is_empty());
                assert_piece(&bytes, 1, stream.len());
                stream.extend(bytes);
            }
            race.finish();
            // What is left is still in the stream.
            for round in 0.. {
                if stream.len() == ROUNDS as usize * PIECE {
                    break;
                }
                submit_receive(&mut port, conn, round, None);
                let bytes = received(&what, one(&mut port), round);
                assert_piece(&bytes, 1, stream.len());
                stream.extend(bytes);
            }
            assert_piece(&stream, 1, 0);
            println!("{what}: {given_up} of {ROUNDS} given up");
            assert_eq!(port.in_flight(), 0, "{what}");
        }
    }
}

fn no_byte_is_lost_to_a_cancelled_receive(backend: Backend) {
    race_receives(backend, false);
}

fn no_byte_is_lost_to_a_deadline(backend: Backend) {
    race_receives(backend, true);
}

fn no_byte_is_lost_to_a_cancelled_multishot_receive(backend: Backend) {
    for (flavour, builder) in flavours(backend) {
        let mut port = build(&builder.pool(4, 32));
        for (kind, near, mut far) in readable_streams() {
            let what = format!("{flavour}, {kind}");
            let conn = port.attach(near).expect("attach");
            let race = Race::start(ROUNDS, move |round| {
                far.write_all(&piece(1, round as usize * 100, 100)).expect("write");
            });
            let mut stream = Vec::new();
            for round in 0..=ROUNDS {
                let id = port.submit(op::RecvPooledMulti::new(conn), Token(round));
                if round < ROUNDS {
                    race.go();
                }
                let mut cancelled = false;
                loop {
                    // The last time nothing is given up before all is there.
                    if round < ROUNDS || stream.len() == ROUNDS as usize * 100 {
                        cancelled |= port.cancel(id);
                    }
                    let done = one(&mut port);
                    assert_eq!(done.token(), Token(round), "{what}");
                    let more = done.more();
                    match done.unpack::<op::RecvPooledMulti>() {
                        Ok(buf) => {
                            assert!(!buf.is_empty(), "{what}: no end of the stream was sent");
                            assert_piece(&buf, 1, stream.len());
                            stream.extend_from_slice(&buf);
                        }
                        Err(error) => assert!(error::is_cancelled(&error) && !more, "{what}: {error}"),
                    }
                    if !more {
                        break;
                    }
                }
                assert!(cancelled, "{what}: it ended by itself");
            }
            race.finish();
            assert_eq!(stream.len(), ROUNDS as usize * 100, "{what}");
            assert_eq!(port.in_flight(), 0, "{what}");
        }
    }
}

fn no_datagram_is_lost_to_a_cancelled_receive(backend: Backend) {
    for (flavour, builder) in flavours(backend) {
        let mut port = build(&builder);
        let (near, far) = unix_datagram_pair();
        let conn = port.attach(near).expect("attach");
        let race = Race::start(ROUNDS, move |round| assert_eq!(far.send(&round.to_ne_bytes()).expect("send"), 8));
        let mut next = 0;
        while next < ROUNDS {
            let told = race.told.load(SeqCst);
            if told < ROUNDS && told < next + 5 {
                race.go();
            }
            let id = port.submit(op::RecvFrom::new(conn, [0; 16]), Token(0));
            let _ = port.wait(NOW).expect("wait");
            port.cancel(id);
            match one(&mut port).unpack::<op::RecvFrom<[u8; 16]>>() {
                (Ok((size, _)), buf) => {
                    assert_eq!((size, &buf[..8]), (8, &next.to_ne_bytes()[..]), "{flavour}");
                    next += 1;
                }
                (Err(error), buf) => {
                    assert!(error::is_cancelled(&error), "{flavour}: {error}");
                    assert_eq!(buf, [0; 16], "{flavour}");
                }
            }
        }
        race.finish();
    }
}

fn a_cancelled_send_tells_what_went_out(backend: Backend) {
    const SIZE: usize = 100_000;
    for (flavour, builder) in flavours(backend) {
        let mut port = build(&builder);
        for (kind, near, mut far) in stream_pairs() {
            let what = format!("{flavour}, {kind}");
            near.set_send_buffer_size(30_000).expect("SO_SNDBUF");
            let conn = port.attach(near).expect("attach");
            let reader = thread::spawn(move || {
                let (mut stream, mut bytes) = (Vec::new(), vec![0; 10_000]);
                while let Ok(size @ 1..) = far.read(&mut bytes) {
                    stream.extend_from_slice(&bytes[..size]);
                }
                stream
            });
            let mut sent = Vec::new();
            let mut partly = 0;
            for round in 0..20 {
                let ids: Vec<OpId> = (0..3)
                    .map(|number| match number {
                        0 => port.submit(op::SendAll::new(conn, pattern(round * 3, SIZE)), Token(0)),
                        1 => port.submit(op::Send::new(conn, pattern(round * 3 + 1, SIZE)), Token(1)),
                        _ => port.submit(op::SendVectored::new(conn, vec![pattern(round * 3 + 2, SIZE)]), Token(2)),
                    })
                    .collect();
                if round % 2 == 0 {
                    let _ = port.wait(NOW).expect("wait");
                }
                (0..round * 997 % 2000).for_each(|_| std::hint::spin_loop());
                for &id in ids.iter().rev() {
                    port.cancel(id);
                }
                let mut done = drive(&mut port, 3);
                // What had not begun ends first, with nothing sent; the rest in order.
                done.sort_by_key(|done| done.token());
                for (number, done) in done.into_iter().enumerate() {
                    let moved = done.transferred();
                    let result = match number {
                        0 => done.unpack::<op::SendAll<Vec<u8>>>().0,
                        1 => done.unpack::<op::Send<Vec<u8>>>().0,
                        _ => done.unpack::<op::SendVectored<Vec<Vec<u8>>>>().0,
                    };
                    match result {
                        Ok(n) => assert_eq!(n, moved, "{what}"),
                        Err(error) => assert!(error::is_cancelled(&error), "{what}: {error}"),
                    }
                    partly += usize::from(moved > 0 && moved < SIZE);
                    sent.push((round * 3 + number as u64, moved));
                }
            }
            port.submit(op::Close::new(conn), Token(9));
            one(&mut port).unpack::<op::Close>().expect("close");
            let stream = reader.join().expect("the reader");
            let mut rest = &stream[..];
            for (number, moved) in sent {
                assert!(rest.len() >= moved, "{what}: send {number} says more than it sent");
                assert_piece(&rest[..moved], number, 0);
                rest = &rest[moved..];
            }
            assert!(rest.is_empty(), "{what}: {} bytes that nobody told of", rest.len());
            println!("{what}: {partly} were sent in part");
        }
    }
}

fn a_cancelled_send_into_a_pipe_tells_what_was_read(backend: Backend) {
    skip_on_wine("says that nothing was written");
    for (flavour, builder) in flavours(backend) {
        let mut port = build(&builder);
        let (mut reader, writer) = pipe();
        let handle = port.attach(writer).expect("attach");
        let id = port.submit(op::SendAll::new(handle, pattern(1, 256 << 10)), Token(0));
        assert!(!port.wait(NOW).expect("wait"), "{flavour}: there is no room for so much");
        let mut stream = vec![0; 4096];
        reader.read_exact(&mut stream).expect("a part");
        assert!(port.cancel(id), "{flavour}");
        let done = one(&mut port);
        let moved = done.transferred();
        assert_cancelled(flavour, done.unpack::<op::SendAll<Vec<u8>>>().0);
        port.submit(op::Close::new(handle), Token(1));
        one(&mut port).unpack::<op::Close>().expect("close");
        reader.read_to_end(&mut stream).expect("the rest");
        assert_eq!(stream.len(), moved, "{flavour}");
        assert_piece(&stream, 1, 0);
    }
}

/// Clients of a listener, each of which says its number when it is connected.
fn clients(address: SocketAddr, rounds: u64) -> Race {
    let mut open = Vec::new();
    Race::start(rounds, move |number| {
        let mut client = TcpStream::connect(address).expect("connect");
        client.write_all(&number.to_ne_bytes()).expect("write");
        open.push(client);
    })
}

fn number_of(connection: impl Into<anyport::Object>) -> u64 {
    let mut stream = tcp_of(connection);
    stream.set_nonblocking(false).expect("O_NONBLOCK");
    let mut number = [0; 8];
    stream.read_exact(&mut number).expect("the client's number");
    u64::from_ne_bytes(number)
}

fn no_connection_is_lost_to_a_cancelled_accept(backend: Backend) {
    // So few that all of them fit the listener's queue.
    const CLIENTS: u64 = 100;
    for (flavour, builder) in flavours(backend) {
        let mut port = build(&builder);
        let (listener, address) = listener();
        let backlog: TcpListener = listener.try_clone().expect("a duplicate");
        let listener = port.attach(listener).expect("attach");
        let race = clients(address, CLIENTS);
        let mut numbers = HashSet::new();
        for round in 0..CLIENTS {
            let id = match round % 2 {
                0 => port.submit(op::Accept::new(listener), Token(round)),
                _ => port.submit(op::AcceptMulti::new(listener), Token(round)),
            };
            if round % 3 == 0 {
                let _ = port.wait(NOW).expect("wait");
            }
            race.go();
            (0..round % 10 * 150).for_each(|_| std::hint::spin_loop());
            port.cancel(id);
            loop {
                let done = one(&mut port);
                assert_eq!(done.id(), id, "{flavour}");
                let more = done.more();
                let result = match round % 2 {
                    0 => done.unpack::<op::Accept>(),
                    _ => done.unpack::<op::AcceptMulti>(),
                };
                match result {
                    Ok(accepted) => assert!(numbers.insert(number_of(accepted)), "{flavour}: accepted twice"),
                    Err(error) => assert!(error::is_cancelled(&error), "{flavour}: {error}"),
                }
                if !more {
                    break;
                }
            }
        }
        race.finish();
        println!("{flavour}: {} of {CLIENTS} accepted in spite of it", numbers.len());
        // Those that were not accepted wait for somebody else.
        backlog.set_nonblocking(true).expect("O_NONBLOCK");
        while let Ok((stream, _)) = backlog.accept() {
            assert!(numbers.insert(number_of(stream)), "{flavour}: accepted twice");
        }
        assert_eq!(numbers.len() as u64, CLIENTS, "{flavour}: connections were lost");
    }
}

fn a_cancelled_connect_either_connects_or_does_not(backend: Backend) {
    for (flavour, builder) in flavours(backend) {
        let mut port = build(&builder);
        let (listener, address) = listener();
        let (mut connected, mut given_up) = (0, 0);
        for round in 0..200 {
            let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
            let conn = port.attach(socket).expect("attach");
            let id = port.submit(op::Connect::new(conn, address), Token(0));
            port.submit(op::SendAll::new(conn, *b"sent"), Token(1));
            if round % 2 == 0 {
                let _ = port.wait(NOW).expect("wait");
            }
            port.cancel(id);
            let done = one(&mut port);
            assert_eq!(done.id(), id, "{flavour}: the send waits for it");
            match done.unpack::<op::Connect>() {
                Ok(()) => {
                    connected += 1;
                    let (mut far, _) = listener.accept().expect("it has connected");
                    let (result, _) = one(&mut port).unpack::<op::SendAll<[u8; 4]>>();
                    assert_eq!(result.expect("sent"), 4, "{flavour}");
                    let mut bytes = [0; 4];
                    far.read_exact(&mut bytes).expect("read");
                    assert_eq!(bytes, *b"sent", "{flavour}");
                    port.submit(op::Close::new(conn), Token(2));
                    one(&mut port).unpack::<op::Close>().expect("close");
                }
                Err(error) => {
                    given_up += 1;
                    assert!(error::is_cancelled(&error), "{flavour}: {error}");
                    port.submit(op::Close::new(conn), Token(2));
                    for done in drive(&mut port, 2) {
                        assert_eq!(done.token() == Token(2), done.is::<op::Close>(), "{flavour}");
                    }
                    // The system may have connected it all the same; then it is an end of the stream.
                    listener.set_nonblocking(true).expect("O_NONBLOCK");
                    while let Ok((far, _)) = listener.accept() {
                        far.set_nonblocking(false).expect("O_NONBLOCK");
                        let mut bytes = Vec::new();
                        let _ = (&far).read_to_end(&mut bytes);
                        assert!(bytes.is_empty() || bytes == b"sent", "{flavour}");
                    }
                    listener.set_nonblocking(false).expect("O_NONBLOCK");
                }
            }
            assert_eq!(port.in_flight(), 0, "{flavour}");
        }
        println!("{flavour}: {connected} connected, {given_up} given up");
        // One that cannot come through is given up for certain.
        let (_silent, address) = silent_tcp();
        for _ in 0..20 {
            let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
            let conn = port.attach(socket).expect("attach");
            let id = port.submit(op::Connect::new(conn, address.clone()), Token(0));
            port.submit(op::Recv::new(conn, [0; 4]), Token(1));
            assert!(!port.wait(NOW).expect("wait"), "{flavour}");
            assert_eq!(port.cancel_all(conn), 2, "{flavour}");
            assert!(!port.cancel(id) || port.in_flight() > 0, "{flavour}");
            for done in drive(&mut port, 2) {
                assert!(format!("{done:?}").contains("Err"), "{flavour}: {done:?}");
            }
        }
    }
}

/// A port whose one thread a closure keeps busy, until the returned sender is dropped.
fn with_busy_thread(builder: Builder) -> (Port, mpsc::Sender<()>) {
    let mut port = build(&builder.threads(1));
    let (release, released) = mpsc::channel::<()>();
    let (begin, begun) = mpsc::channel();
    let closure = move || {
        begin.send(()).expect("the test waits for it");
        let _ = released.recv();
        7
    };
    port.submit(op::Blocking::boxed(closure), Token(u64::MAX));
    begun.recv().expect("it runs");
    (port, release)
}

fn a_closure_that_has_not_begun_never_runs(backend: Backend) {
    let (mut port, release) = with_busy_thread(Port::builder().backend(backend).entries(1));
    let (ran, tally) = (Arc::new(AtomicUsize::new(0)), Tally::default());
    let ids: Vec<OpId> = (0..1000)
        .map(|number| {
            let (ran, lent) = (ran.clone(), tally.lend(8));
            let closure = move || {
                ran.fetch_add(1, SeqCst);
                lent
            };
            port.submit(op::Blocking::boxed(closure), Token(number))
        })
        .collect();
    for &id in ids.iter().skip(1).step_by(2) {
        assert!(port.cancel(id));
    }
    for _ in 0..500 {
        let done = one(&mut port);
        assert_eq!(done.token().0 % 2, 1);
        assert_cancelled("closure", done.unpack::<op::Blocking<Box<dyn FnOnce() -> Lent + Send>, Lent>>().map(drop));
    }
    assert_eq!((tally.out(), ran.load(SeqCst)), (500, 0));
    drop(release);
    let done = drive(&mut port, 501);
    assert_eq!(ran.load(SeqCst), 500, "all that were not given up, and only they");
    drop(done);
    tally.assert_settled();
}

fn a_closure_that_has_begun_gives_its_result(backend: Backend) {
    let (mut port, release) = with_busy_thread(Port::builder().backend(backend));
    let (done, begun) = (port.in_flight(), Token(u64::MAX));
    assert_eq!(done, 1);
    // The only one in flight: find its id by cancelling through a deadline is not possible, so begin another.
    drop(release);
    assert_eq!(one(&mut port).token(), begun);
    for _ in 0..100 {
        let (begin, begun) = mpsc::channel();
        let (release, released) = mpsc::channel::<()>();
        let closure = move || {
            begin.send(()).expect("the test waits for it");
            let _ = released.recv();
            7
        };
        let id = port.submit(op::Blocking::boxed(closure), Token(1));
        begun.recv().expect("it runs");
        assert!(port.cancel(id), "it is in flight");
        assert!(port.cancel(id), "still");
        assert!(!port.wait(NOW).expect("wait"), "it cannot end yet");
        drop(release);
        let result = one(&mut port).unpack::<op::Blocking<Box<dyn FnOnce() -> i32 + Send>, i32>>();
        assert_eq!(result.expect("it ran"), 7);
    }
}

fn timers_are_cancelled_among_others(backend: Backend) {
    let mut port = port(backend);
    const TIMERS: u64 = 20_000;
    // All distances: soon, and on every level of a wheel.
    let delay = |number: u64| match number % 4 {
        0 => Duration::from_micros(number * 3 % 20_000),
        1 => Duration::from_secs(number),
        2 => Duration::from_secs(number * 86_400),
        _ => Duration::MAX,
    };
    let ids: Vec<OpId> =
        (0..TIMERS).map(|number| port.submit(op::Timer::after(delay(number)), Token(number))).collect();
    let stays = |number: u64| number.is_multiple_of(12);
    for number in (0..TIMERS).filter(|&number| !stays(number)) {
        assert!(port.cancel(ids[number as usize]));
    }
    for done in drive(&mut port, TIMERS as usize) {
        let number = done.token().0;
        match done.unpack::<op::Timer>() {
            Ok(()) => assert!(stays(number), "timer {number} was given up"),
            Err(error) => assert!(error::is_cancelled(&error) && !stays(number), "timer {number}: {error}"),
        }
    }
    assert_eq!(port.in_flight(), 0);
    assert!(!port.wait(Some(5 * MS)).expect("wait"));
}

/// All of a pool's buffers can be had.
#[track_caller]
fn assert_pool_is_whole(what: &str, port: &mut Port, buffers: usize, size: usize) {
    let (near, mut far) = unix_pair();
    let conn = port.attach(near).expect("attach");
    far.write_all(&pattern(1, buffers * size)).expect("write");
    let held: Vec<PoolBuf> = (0..buffers)
        .map(|_| {
            port.submit(op::RecvPooled::new(conn).within(Duration::from_secs(20)), Token(0));
            one(port).unpack::<op::RecvPooled>().unwrap_or_else(|error| panic!("{what}: a buffer is missing: {error}"))
        })
        .collect();
    let places: HashSet<*const u8> = held.iter().map(|buf| buf.as_ptr()).collect();
    assert_eq!(places.len(), buffers, "{what}: a buffer was given out twice");
    held.iter().enumerate().for_each(|(at, buf)| assert_piece(buf, 1, at * size));
    port.submit(op::Close::new(conn), Token(0));
    one(port).unpack::<op::Close>().expect("close");
}

fn a_cancelled_receive_gives_its_pool_buffer_back(backend: Backend) {
    for (flavour, builder) in flavours(backend) {
        let mut port = build(&builder.pool(4, 64));
        for (kind, near, mut far) in readable_streams() {
            let what = format!("{flavour}, {kind}");
            let conn = port.attach(near).expect("attach");
            let race = Race::start(ROUNDS, move |_| far.write_all(&[1; 64]).expect("write"));
            for round in 0..ROUNDS {
                let id = match round % 3 {
                    0 => port.submit(op::RecvPooled::new(conn), Token(0)),
                    1 => port.submit(op::RecvPooledMulti::new(conn), Token(0)),
                    _ => port.submit(op::RecvPooled::new(conn).within(Duration::from_micros(round % 90)), Token(0)),
                };
                race.go();
                let _ = port.wait(NOW).expect("wait");
                if round % 3 != 2 {
                    port.cancel(id);
                }
                // Whatever came is dropped.
                while one(&mut port).more() {}
            }
            race.finish();
            port.submit(op::RecvPooledMulti::new(conn), Token(1));
            let _ = port.wait(NOW).expect("wait");
            // A close gives up what stands.
            port.submit(op::Close::new(conn), Token(2));
            while one(&mut port).token() != Token(2) {}
            assert_pool_is_whole(&what, &mut port, 4, 64);
        }
    }
}

fn a_cancelled_receive_that_waits_for_the_pool_ends(backend: Backend) {
    for (flavour, builder) in flavours(backend) {
        let mut port = build(&builder.pool(2, 64));
        let (near, mut far) = unix_pair();
        let conn = port.attach(near).expect("attach");
        far.write_all(&pattern(1, 256)).expect("write");
        for end in 0..4 {
            let held: Vec<PoolBuf> = (0..2)
                .map(|_| {
                    port.submit(op::RecvPooled::new(conn), Token(0));
                    one(&mut port).unpack::<op::RecvPooled>().expect("data")
                })
                .collect();
            far.write_all(&pattern(1, 128)).expect("write");
            let submit = |port: &mut Port, token| match end % 2 {
                0 => port.submit(op::RecvPooled::new(conn), token),
                _ => port.submit(op::RecvPooledMulti::new(conn), token),
            };
            let id = submit(&mut port, Token(1));
            let queued = submit(&mut port, Token(2));
            assert!(!port.wait(Some(MS)).expect("wait"), "{flavour}: there is no buffer");
            assert!(port.cancel(id) && port.cancel(queued), "{flavour}");
            for done in drive(&mut port, 2) {
                assert!(!done.more() && format!("{done:?}").contains("Err"), "{flavour}: {done:?}");
            }
            assert_eq!(port.in_flight(), 0, "{flavour}");
            drop(held);
        }
        // All that was sent is there.
        let mut left = 256 + 4 * 128 - 4 * 128;
        while left > 0 {
            port.submit(op::RecvPooled::new(conn), Token(0));
            left -= one(&mut port).unpack::<op::RecvPooled>().expect("data").len();
        }
        assert_pool_is_whole(flavour, &mut port, 2, 64);
    }
}

fn a_cancel_is_not_lost_when_the_object_becomes_ready_at_that_moment(backend: Backend) {
    // What else it is that wakes a receive: data that another reader takes away. It must then still be given up.
    for (flavour, builder) in flavours(backend) {
        let mut port = build(&builder);
        let (near, mut far) = unix_pair();
        let thief = near.try_clone().expect("a duplicate");
        let conn = port.attach(near).expect("attach");
        let race = Race::start(1000, move |_| {
            far.write_all(b"x").expect("write");
            // Its flags are the port's business: this reads without waiting whatever they are.
            take_now(&thief, &mut [0; 1]);
        });
        let mut got = 0;
        for _ in 0..1000 {
            let id = port.submit(op::Recv::new(conn, [0; 1]), Token(0));
            let _ = port.wait(NOW).expect("wait");
            race.go();
            port.cancel(id);
            let (result, _) = one(&mut port).unpack::<op::Recv<[u8; 1]>>();
            match result {
                Ok(size) => got += size,
                Err(error) => assert!(error::is_cancelled(&error), "{flavour}: {error}"),
            }
        }
        println!("{flavour}: {got} of 1000 received");
        race.finish();
    }
}

/// Nobody holds the other end of this connection.
#[track_caller]
fn assert_let_go(what: &str, mut client: TcpStream) {
    client.set_read_timeout(Some(Duration::from_secs(20))).expect("a time-out");
    // Linux may forget to tell a client whose listener closes just as it connects; then this is answered by a reset.
    let _ = client.write(b"?");
    let end = client.read_to_end(&mut Vec::new()).map_err(|error| error.kind());
    assert!(matches!(end, Ok(0) | Err(io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe)), "{what}: held open: {end:?}");
}

fn what_is_accepted_after_it_was_given_up_is_closed(backend: Backend) {
    for (flavour, builder) in flavours(backend) {
        // The pool's threads and rings are opened at first use.
        let mut port = build(&builder);
        let before = descriptors();
        for round in 0..150 {
            let (listener, address) = listener();
            let listener = port.attach(listener).expect("attach");
            let id = match round % 3 {
                0 => port.submit(op::Accept::new(listener), Token(1)),
                1 => port.submit(op::AcceptMulti::new(listener), Token(1)),
                _ => port.submit(op::Accept::new(listener).within(Duration::from_micros(round)), Token(1)),
            };
            if round % 2 == 0 {
                let _ = port.wait(NOW).expect("wait");
            }
            let client = thread::spawn(move || TcpStream::connect(address));
            (0..round * 501 % 5000).for_each(|_| std::hint::spin_loop());
            if round % 3 < 2 {
                port.cancel(id);
            }
            port.submit(op::Close::new(listener), Token(2));
            // Nobody looks at what was accepted.
            while one(&mut port).token() != Token(2) {}
            assert_eq!(port.in_flight(), 0, "{flavour}");
            if let Ok(client) = client.join().expect("the client") {
                assert_let_go(flavour, client);
            }
        }
        assert_eq!(descriptors(), before, "{flavour}");
    }
}

fn what_is_opened_after_it_was_given_up_is_closed(backend: Backend) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("file");
    std::fs::write(&path, "content").expect("write");
    for (flavour, builder) in flavours(backend) {
        let mut port = build(&builder.threads(2));
        port.submit(op::Open::new(&path).read(true), Token(0));
        one(&mut port).unpack::<op::Open>().expect("open");
        let before = descriptors();
        let (mut opened, mut given_up) = (0, 0);
        for round in 0..200 {
            let ids: Vec<OpId> = (0..10)
                .map(|number| match number % 2 {
                    0 => port.submit(op::Open::new(&path).read(true), Token(0)),
                    _ => port.submit(op::Open::new(&path).read(true).within(Duration::from_micros(round)), Token(0)),
                })
                .collect();
            if round % 2 == 0 {
                let _ = port.wait(NOW).expect("wait");
            }
            (0..round * 77 % 3000).for_each(|_| std::hint::spin_loop());
            for &id in &ids {
                port.cancel(id);
            }
            for number in 0..10 {
                let done = one(&mut port);
                if number % 3 == 0 {
                    // Dropped without a look at it.
                    continue;
                }
                match done.unpack::<op::Open>() {
                    Ok(_) => opened += 1,
                    Err(error) => {
                        let late = error::is_cancelled(&error) || error.kind() == io::ErrorKind::TimedOut;
                        assert!(late, "{flavour}: {error}");
                        given_up += 1;
                    }
                }
            }
        }
        println!("{flavour}: {opened} opened, {given_up} given up");
        assert_eq!(descriptors(), before, "{flavour}");
    }
}

fn what_nobody_took_from_a_dropped_port_is_closed(backend: Backend) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("file");
    std::fs::write(&path, "content").expect("write");
    let life = |builder: Builder, round: u64| {
        let mut port = build(&builder.threads(2));
        let (listener, address) = listener();
        let listener = port.attach(listener).expect("attach");
        if round.is_multiple_of(2) {
            port.submit(op::AcceptMulti::new(listener), Token(0));
        } else {
            for _ in 0..5 {
                port.submit(op::Accept::new(listener), Token(0));
            }
        }
        for _ in 0..10 {
            port.submit(op::Open::new(&path).read(true), Token(1));
        }
        let clients = thread::spawn(move || (0..5).map(|_| TcpStream::connect(address)).collect::<Vec<_>>());
        for _ in 0..round % 4 {
            let _ = port.wait(Some(Duration::from_micros(100))).expect("wait");
            drop(port.next());
        }
        // Some are done and wait to be taken, some are on their way.
        drop(port);
        for client in clients.join().expect("the clients").into_iter().flatten() {
            assert_let_go("drop", client);
        }
    };
    for (flavour, builder) in flavours(backend) {
        life(builder.clone(), 0);
        let before = descriptors();
        for round in 0..40 {
            life(builder.clone(), round);
            assert_eq!(descriptors(), before, "{flavour}, round {round}");
        }
    }
}
