//! The traps that libraries of this kind fall into, each with the test that shows that this one does not. Most belong
//! to a promise, and their tests are in its file: [`TRAPS`] names them, and a test checks that they are there. The rest
//! is here.
//!
//! What only one system has is in `uring_traps.rs` and `iocp_traps.rs`.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use anyport::buf::PoolBuf;
use anyport::op;
use anyport::{Backend, Handle, Port, Source, Token, error};
use socket2::{Domain, Socket, Type};

use crate::support::*;

pub(crate) fn tests() -> Vec<Case> {
    cases! {
        once: [
            every_trap_has_its_test,
        ],
        each_backend: [
            a_cancel_through_a_full_queue_lets_the_operation_end,
            a_cancel_that_finds_nothing_is_repeated,
            a_count_that_looks_like_readiness_is_a_count,
            a_short_datagram_does_not_mean_drained,
            an_edge_may_stand_for_many_connections,
        ],
        each_backend_isolated: [
            an_accept_without_descriptors_goes_on_when_there_are_some,
            a_closed_descriptor_with_a_duplicate_wakes_nobody,
            a_detached_descriptor_wakes_nobody,
            a_receive_without_buffers_waits_quietly_and_goes_on,
            a_full_blocking_pool_is_waited_for_quietly,
        ],
    }
}

/// A trap and its tests, as `file::test`.
pub(crate) type Trap = (&'static str, &'static [&'static str]);

const TRAPS: &[Trap] = &[
    (
        "a cancel that finds the submission queue full is dropped",
        &["c03::every_kind_is_cancelled_through_a_queue_of_one", "c03::thousands_of_cancels_pass_a_queue_of_one"],
    ),
    (
        "a cancel that finds nothing, though its operation goes on, is lost, or repeated for ever",
        &[
            "traps::a_cancel_through_a_full_queue_lets_the_operation_end",
            "traps::a_cancel_that_finds_nothing_is_repeated",
            "c03::a_cancel_is_not_lost_when_the_object_becomes_ready_at_that_moment",
        ],
    ),
    (
        "a cancelled accept or open completes late with a descriptor that nobody closes",
        &[
            "c03::what_is_accepted_after_it_was_given_up_is_closed",
            "c03::what_is_opened_after_it_was_given_up_is_closed",
            "c03::what_nobody_took_from_a_dropped_port_is_closed",
        ],
    ),
    (
        "a count of bytes is taken for what a poll reports",
        &["traps::a_count_that_looks_like_readiness_is_a_count"],
    ),
    ("a cancelled pooled receive keeps its buffer", &["c03::a_cancelled_receive_gives_its_pool_buffer_back"]),
    (
        "two sends in flight on one socket are reordered",
        &["c05::queued_sends_arrive_in_order", "c05::order_holds_when_the_queues_are_full"],
    ),
    (
        "epoll keeps the entry of a closed descriptor while a duplicate is open",
        &[
            "traps::a_closed_descriptor_with_a_duplicate_wakes_nobody",
            "traps::a_detached_descriptor_wakes_nobody",
            "c04::a_duplicate_that_stays_open_reaches_no_other_handle",
            "c04::nothing_of_a_closed_handle_reaches_its_successor",
        ],
    ),
    (
        "a short read is taken for drained, though the end came with the data",
        &["c06::an_end_that_comes_with_the_data_is_seen", "c06::an_end_that_comes_while_nobody_reads_is_seen"],
    ),
    (
        "a short read is taken for drained in front of urgent data or a descriptor",
        &["c06::urgent_data_stalls_no_reader", "c06::descriptors_sent_along_stall_no_reader"],
    ),
    (
        "a short datagram or one connection is taken for all",
        &["traps::a_short_datagram_does_not_mean_drained", "traps::an_edge_may_stand_for_many_connections"],
    ),
    (
        "arming and disarming for each operation",
        &["c11::an_echoed_message_costs_one_recv_and_one_send", "c11::a_multishot_echo_costs_the_same"],
    ),
    (
        "a hang-up is reported before the data that came with it",
        &["c06::an_end_that_comes_while_nobody_reads_is_seen", "c06::data_before_a_reset_ends_in_the_reset"],
    ),
    (
        "a wake-up between `nothing is ready` and `go to sleep` is lost",
        &["c09::no_wake_up_is_lost", "c09::two_ports_play_ping_pong"],
    ),
    (
        "an accept without descriptors on an edge-triggered listener",
        &["traps::an_accept_without_descriptors_goes_on_when_there_are_some"],
    ),
    (
        "a multishot operation starves all others",
        &[
            "c10::a_flood_of_multishot_data_lets_a_quiet_peer_in",
            "c10::a_flood_of_connections_lets_a_quiet_peer_in",
            "c10::a_flood_leaves_pool_buffers_for_others",
        ],
    ),
    (
        "an empty pool ends a multishot receive",
        &[
            "c01::a_multishot_receive_says_more_until_its_last",
            "traps::a_receive_without_buffers_waits_quietly_and_goes_on",
        ],
    ),
    ("spinning when the blocking pool is full", &["traps::a_full_blocking_pool_is_waited_for_quietly"]),
];

fn every_trap_has_its_test() {
    assert_tested(TRAPS);
}

/// The tests of each trap are there.
pub(crate) fn assert_tested(traps: &[Trap]) {
    let promises = crate::promises();
    for (trap, tests) in traps {
        for test in *tests {
            let (file, name) = test.split_once("::").expect("file::test");
            let found = promises.iter().any(|(short, cases)| *short == file && cases.iter().any(|case| case.is(name)));
            assert!(found, "{trap}: there is no test {test}");
        }
    }
}

/// Nothing happens for a while, and one call waits for that.
#[track_caller]
fn assert_sleeps(port: &mut Port, what: &str) {
    let (calls, woken) = count(|| port.wait(Some(Duration::from_millis(20))).expect("wait"));
    assert!(!woken, "{what}: something completed");
    assert_eq!((calls.of_any(WAITS), calls.total()), (1, 1), "{what}: {calls}");
}

/// Has the port watch the handle, as a receive that found nothing does; then nothing is in flight.
fn register(port: &mut Port, handle: Handle) {
    let id = port.submit(op::Recv::new(handle, vec![0; 8]), Token(0));
    assert!(!port.wait(Some(Duration::ZERO)).expect("wait"), "nothing is there yet");
    assert!(port.cancel(id));
    let (result, _) = one(port).unpack::<op::Recv<Vec<u8>>>();
    assert!(result.is_err_and(|error| error::is_cancelled(&error)));
}

#[track_caller]
fn close(port: &mut Port, handle: Handle) {
    port.submit(op::Close::new(handle), Token(0));
    one(port).unpack::<op::Close>().expect("close");
}

/// A ring ends a poll for writing with `POLLRDHUP` where nothing can be written yet. As a number that is 8192.
fn a_count_that_looks_like_readiness_is_a_count(backend: Backend) {
    const COUNT: usize = 8192;
    for (flavour, builder) in flavours(backend) {
        let mut port = builder.pool(2, COUNT).build().expect("a port");
        let (near, far) = udp_pair();
        let conn = port.attach(near).expect("attach");
        let file = port.attach(tempfile::tempfile().expect("a file")).expect("attach");
        let bytes = pattern(1, COUNT);

        port.submit(op::WriteAt::new(file, bytes.clone(), 0), Token(0));
        let (written, bytes) = one(&mut port).unpack::<op::WriteAt<Vec<u8>>>();
        assert_eq!(written.expect("written"), COUNT, "{flavour}");
        port.submit(op::ReadAt::new(file, vec![0; COUNT], 0), Token(0));
        let (read, buf) = one(&mut port).unpack::<op::ReadAt<Vec<u8>>>();
        assert_eq!(read.expect("read"), COUNT, "{flavour}");
        assert_piece(&buf, 1, 0);

        port.submit(op::Send::new(conn, bytes), Token(0));
        let (sent, bytes) = one(&mut port).unpack::<op::Send<Vec<u8>>>();
        assert_eq!(sent.expect("sent"), COUNT, "{flavour}");
        far.send(&bytes).expect("send");
        port.submit(op::Recv::new(conn, vec![0; COUNT]), Token(0));
        let (received, buf) = one(&mut port).unpack::<op::Recv<Vec<u8>>>();
        assert_eq!(received.expect("received"), COUNT, "{flavour}");
        assert_piece(&buf, 1, 0);
        far.send(&bytes).expect("send");
        port.submit(op::RecvPooled::new(conn), Token(0));
        let buf = one(&mut port).unpack::<op::RecvPooled>().expect("received");
        assert_eq!(buf.len(), COUNT, "{flavour}");
        assert_piece(&buf, 1, 0);

        // With the name that is in front of it, which a ring counts, too, one of these is as long as that.
        port.submit(op::RecvFromPooledMulti::new(conn), Token(0));
        for len in COUNT - 300..=COUNT {
            far.send(&bytes[..len]).expect("send");
            let (buf, _) = one(&mut port).unpack::<op::RecvFromPooledMulti>().expect("received");
            assert_eq!(buf.len(), len, "{flavour}");
            assert_piece(&buf, 1, 0);
        }
    }
}

/// What the kernel is about to start over, or has just done in a thread of its own, is found by no cancel until the port
/// lets it run. Asked again and again by way of a queue that is full each time, the kernel would never come to that.
fn a_cancel_through_a_full_queue_lets_the_operation_end(backend: Backend) {
    // Fewer entries than there are cancels, and room for the answers to all of them.
    let mut port = Port::builder().backend(backend).entries(4).build().expect("a port");
    // What stands for a Unix socket on Windows holds megabytes.
    for _ in 0..if cfg!(windows) { 4 } else { 20 } {
        let mut ids = Vec::new();
        let mut readers = Vec::new();
        for _ in 0..8 {
            let (near, _far) = tcp_pair();
            let handle = port.attach(near).expect("attach");
            ids.push(port.submit(op::Shutdown::new(handle, Shutdown::Both), Token(0)));
            let (near, far) = unix_pair();
            fill(&near);
            let handle = port.attach(near).expect("attach");
            ids.push(port.submit(op::Send::new(handle, "no room"), Token(1)));
            readers.push(far);
        }
        // Handed over by now, but for the last; the kernel does its part.
        for reader in &mut readers {
            assert!(reader.read(&mut vec![0; 1 << 20]).expect("read") > 0);
        }
        thread::sleep(Duration::from_millis(1));
        // The port may know that a shutdown, or a send, is done.
        ids.iter().for_each(|&id| _ = port.cancel(id));
        for done in drive(&mut port, ids.len()) {
            let result = match done.token() {
                Token(0) => done.unpack::<op::Shutdown>(),
                _ => done.unpack::<op::Send<&str>>().0.map(drop),
            };
            assert!(result.is_ok() || result.is_err_and(|error| error::is_cancelled(&error)));
        }
        assert_eq!(port.in_flight(), 0);
    }
}

/// What the kernel found ready as it began to wait for it, it starts over; a cancel that comes in between finds nothing,
/// and then there may be nothing to receive after all, and the receive waits.
fn a_cancel_that_finds_nothing_is_repeated(backend: Backend) {
    let mut port = port(backend);
    let (near, mut far) = unix_pair();
    let thief = near.try_clone().expect("a duplicate");
    let handle = port.attach(near).expect("attach");
    let flickers = Arc::new(AtomicBool::new(true));
    let goes_on = flickers.clone();
    // Data that comes, and is taken away by another reader, all the time; but not behind the end of a round.
    let (round, rounds) = mpsc::sync_channel::<()>(0);
    let (ended, end) = mpsc::channel();
    let flickering = thread::spawn(move || {
        for () in rounds {
            while goes_on.load(SeqCst) {
                far.write_all(b"x").expect("write");
                take_now(&thief, &mut [0; 1]);
            }
            ended.send(()).expect("the test waits for it");
        }
    });
    for _ in 0..3000 {
        flickers.store(true, SeqCst);
        round.send(()).expect("the other thread");
        // Both in one submission: the receive and its cancel.
        let id = port.submit(op::Recv::new(handle, [0; 1]), Token(0));
        port.cancel(id);
        let _ = port.wait(Some(Duration::ZERO)).expect("wait");
        flickers.store(false, SeqCst);
        end.recv().expect("the other thread");
        let (result, _) = one(&mut port).unpack::<op::Recv<[u8; 1]>>();
        assert!(result.as_ref().is_ok_and(|&n| n == 1) || result.is_err_and(|error| error::is_cancelled(&error)));
    }
    drop(round);
    flickering.join().expect("no panic");
}

fn a_short_datagram_does_not_mean_drained(backend: Backend) {
    let mut port = port(backend);
    let (udp_near, udp_far) = udp_pair();
    let (unix_near, unix_far) = unix_datagram_pair();
    for (what, near, mut far) in [
        ("udp", Source::from(udp_near), Far::new(udp_far)),
        ("unix", Source::from(unix_near), Far::new(unix_far)),
    ] {
        let handle = port.attach(near).expect("attach");
        register(&mut port, handle);
        // One edge for all of them.
        let sent: [&[u8]; 6] = [b"one", b"two", b"three", b"four", b"five", b"six"];
        sent.iter().for_each(|bytes| assert_eq!(far.write(bytes).expect("send"), bytes.len()));
        for (number, bytes) in sent.into_iter().enumerate() {
            match number {
                0 => drop(port.submit(op::Recv::new(handle, vec![0; 100]), Token(0))),
                1 => drop(port.submit(op::RecvFrom::new(handle, vec![0; 100]), Token(1))),
                2 => drop(port.submit(op::RecvVectored::new(handle, vec![vec![0; 100]]), Token(2))),
                3 => drop(port.submit(op::RecvPooled::new(handle), Token(3))),
                4 => drop(port.submit(op::RecvFromPooled::new(handle), Token(4))),
                _ => drop(port.submit(op::RecvFromPooledMulti::new(handle), Token(5))),
            }
            let done = one(&mut port);
            let received = match number {
                0 => done.unpack::<op::Recv<Vec<u8>>>().1,
                1 => done.unpack::<op::RecvFrom<Vec<u8>>>().1,
                2 => done.unpack::<op::RecvVectored<Vec<Vec<u8>>>>().1.concat(),
                3 => done.unpack::<op::RecvPooled>().expect("data").to_vec(),
                4 => done.unpack::<op::RecvFromPooled>().expect("data").0.to_vec(),
                _ => done.unpack::<op::RecvFromPooledMulti>().expect("data").0.to_vec(),
            };
            assert_eq!(received, bytes, "{what}");
        }
    }
}

fn an_edge_may_stand_for_many_connections(backend: Backend) {
    let mut port = port(backend);
    let (listener, address) = listener();
    let listener = port.attach(listener).expect("attach");
    for multi in [false, true] {
        let id = if multi {
            port.submit(op::AcceptMulti::new(listener), Token(0))
        } else {
            port.submit(op::Accept::new(listener), Token(0))
        };
        assert!(!port.wait(Some(Duration::ZERO)).expect("wait"), "nobody connects yet");
        let clients = [(); 4].map(|()| TcpStream::connect(address).expect("connect"));
        for number in 0..clients.len() {
            let done = one(&mut port);
            assert_eq!(done.more(), multi);
            if multi {
                done.unpack::<op::AcceptMulti>().expect("accept");
                continue;
            }
            done.unpack::<op::Accept>().expect("accept");
            if number + 1 < clients.len() {
                port.submit(op::Accept::new(listener), Token(0));
            }
        }
        if multi {
            assert!(port.cancel(id));
            one(&mut port).unpack::<op::AcceptMulti>().expect_err("cancelled");
        }
    }
}

fn an_accept_without_descriptors_goes_on_when_there_are_some(backend: Backend) {
    let mut port = port(backend);
    let (listener, address) = listener();
    let listener = port.attach(listener).expect("attach");
    let client = || Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    let is_exhausted = |error: &std::io::Error| error.raw_os_error() == Some(errno::EMFILE);
    // io_uring goes by the limit that held when the accept was submitted.
    let mut used_up = UsedUp::new();
    for waits in [true, false] {
        used_up.spare_some();
        let clients = [client(), client(), client(), client()];
        if waits {
            port.submit(op::AcceptMulti::new(listener), Token(0));
            assert!(!port.wait(Some(Duration::ZERO)).expect("wait"), "nobody connects yet");
        }
        let start = Instant::now();
        let (calls, ()) = count(|| {
            used_up.fill();
            clients[1..].iter().for_each(|client| client.connect(&address.into()).expect("connect"));
            if !waits {
                port.submit(op::AcceptMulti::new(listener), Token(0));
            }
            let done = one(&mut port);
            assert!(done.more(), "it goes on");
            let error = done.unpack::<op::AcceptMulti>().expect_err("there is no descriptor");
            assert!(is_exhausted(&error), "{error}");
            assert!(drive_for(&mut port, Duration::from_millis(50)).is_empty(), "it is told once");
        });
        // It is tried again, but not all the time: at most every 10 ms.
        let tries = 2 + start.elapsed().as_millis() as u64 / 10;
        assert!(calls.of_any(&["accept4", "io_uring_enter"]) <= 2 * tries, "{tries} tries: {calls}");
        used_up.spare_some();
        // No further edge comes: they have all connected.
        for _ in &clients[1..] {
            let done = one(&mut port);
            assert!(done.more());
            done.unpack::<op::AcceptMulti>().expect("accept");
        }
        port.cancel_all(listener);
        one(&mut port).unpack::<op::AcceptMulti>().expect_err("cancelled");

        // A single accept fails, and the next one finds the connection.
        used_up.fill();
        port.submit(op::Accept::new(listener), Token(0));
        clients[0].connect(&address.into()).expect("connect");
        let error = one(&mut port).unpack::<op::Accept>().expect_err("there is no descriptor");
        assert!(is_exhausted(&error), "{error}");
        used_up.spare_some();
        port.submit(op::Accept::new(listener), Token(0));
        one(&mut port).unpack::<op::Accept>().expect("accept");
    }
}

fn a_closed_descriptor_with_a_duplicate_wakes_nobody(backend: Backend) {
    let mut port = port(backend);
    let (near, mut far) = tcp_pair();
    let duplicate = near.try_clone().expect("a duplicate");
    let number_before = number(&near);
    let handle = port.attach(near).expect("attach");
    register(&mut port, handle);
    close(&mut port, handle);
    far.write_all(b"for the duplicate").expect("write");
    assert_sleeps(&mut port, "closed");
    // Nor is what comes next under the number told of the other's data.
    let (near, mut other) = unix_pair();
    // Unix gives the lowest number out again; elsewhere it may be another one.
    assert!(number(&near) == number_before || cfg!(windows));
    let handle = port.attach(near).expect("attach");
    port.submit(op::Recv::new(handle, [0; 8]), Token(1));
    assert!(!port.wait(Some(Duration::ZERO)).expect("wait"), "nothing was sent here");
    far.write_all(b"for the duplicate").expect("write");
    assert_sleeps(&mut port, "the number is another's");
    other.write_all(b"for this").expect("write");
    assert_eq!(one(&mut port).unpack::<op::Recv<[u8; 8]>>().1, *b"for this");
    drop(duplicate);
}

fn a_detached_descriptor_wakes_nobody(backend: Backend) {
    let mut port = port(backend);
    let (near, mut far) = unix_pair();
    let handle = port.attach(near).expect("attach");
    register(&mut port, handle);
    let near = detach(&mut port, handle);
    far.write_all(b"for its owner").expect("write");
    assert_sleeps(&mut port, "detached");
    // It may come back.
    let handle = port.attach(near).expect("attach");
    port.submit(op::Recv::new(handle, [0; 13]), Token(1));
    assert_eq!(one(&mut port).unpack::<op::Recv<[u8; 13]>>().1, *b"for its owner");
    register(&mut port, handle);
    far.write_all(b"once more").expect("write");
    port.submit(op::Recv::new(handle, [0; 9]), Token(1));
    assert_eq!(one(&mut port).unpack::<op::Recv<[u8; 9]>>().1, *b"once more");
}

fn a_receive_without_buffers_waits_quietly_and_goes_on(backend: Backend) {
    const SIZE: usize = 64;
    let mut port = Port::builder().backend(backend).pool(2, SIZE).build().expect("a port");
    let (near, mut far) = tcp_pair();
    let (second, mut other) = tcp_pair();
    let (many, single) = (port.attach(near).expect("attach"), port.attach(second).expect("attach"));
    let id = port.submit(op::RecvPooledMulti::new(many), Token(1));
    far.write_all(&pattern(1, 6 * SIZE)).expect("write");
    let mut held: Vec<PoolBuf> = Vec::new();
    let mut taken = 0;
    let mut take = |done: anyport::Completion| {
        assert_eq!((done.token(), done.id(), done.more()), (Token(1), id, true));
        let buf = done.unpack::<op::RecvPooledMulti>().expect("data");
        assert_piece(&buf, 1, taken);
        taken += buf.len();
        (buf, taken)
    };
    for _ in 0..2 {
        held.push(take(one(&mut port)).0);
    }
    // All are out; another receive has data, too, and must wait as well.
    other.write_all(b"waits").expect("write");
    port.submit(op::RecvPooled::new(single), Token(2));
    let _ = port.wait(Some(Duration::ZERO)).expect("wait");
    assert_sleeps(&mut port, "there is no buffer");
    // Timers and posts are served meanwhile.
    port.submit(op::Timer::after(Duration::from_millis(1)), Token(3));
    one(&mut port).unpack::<op::Timer>().expect("a timer");
    // Each buffer that comes back brings one piece, of one or the other, without a submission.
    let (mut done_with_many, mut done_with_single) = (false, false);
    while !(done_with_many && done_with_single) {
        drop(held.remove(0));
        let done = one(&mut port);
        let buf = if done.token() == Token(2) {
            done_with_single = true;
            let buf = done.unpack::<op::RecvPooled>().expect("data");
            assert_eq!(*buf, *b"waits");
            buf
        } else {
            let (buf, taken) = take(done);
            done_with_many = taken == 6 * SIZE;
            buf
        };
        held.push(buf);
    }
    assert_eq!(port.in_flight(), 1, "the multishot receive waits for more");
}

fn a_full_blocking_pool_is_waited_for_quietly(backend: Backend) {
    const QUEUED: u64 = 200;
    let mut port = Port::builder().backend(backend).threads(1).build().expect("a port");
    let (go, told) = mpsc::channel::<()>();
    let (began, begun) = mpsc::channel();
    port.submit(
        op::Blocking::boxed(move || {
            began.send(()).expect("the test waits for it");
            let _ = told.recv();
            u64::MAX
        }),
        Token(u64::MAX),
    );
    begun.recv().expect("the only thread is busy");
    // More than there are threads for: they queue, and neither the submissions nor the wait try again and again.
    let (calls, ()) = count(|| {
        for number in 0..QUEUED {
            port.submit(op::Blocking::boxed(move || number), Token(number));
        }
        assert!(!port.wait(Some(Duration::from_millis(20))).expect("wait"), "the thread is busy");
    });
    assert_eq!(calls.of_any(WAITS), 1, "{calls}");
    // A notification each, memory for them, and nothing else.
    assert!(calls.of_any(NOTIFIES) <= QUEUED, "{calls}");
    assert_eq!(calls.except(WAITS).except(NOTIFIES).except(MEMORY).total(), 0, "{calls}");
    assert_eq!(threads().iter().filter(|name| name.starts_with("anyport-")).count(), 1);
    // All else goes on.
    let (near, mut far) = unix_pair();
    let handle = port.attach(near).expect("attach");
    port.submit(op::Recv::new(handle, [0; 4]), Token(1 << 32));
    port.submit(op::Timer::after(Duration::from_millis(1)), Token(1 << 33));
    assert!(port.poster().post(Token(1 << 34), ()).is_ok());
    far.write_all(b"data").expect("write");
    let mut others: Vec<_> = drive(&mut port, 3).iter().map(|done| done.token().0).collect();
    others.sort();
    assert_eq!(others, [1 << 32, 1 << 33, 1 << 34]);
    drop(go);
    // One thread: in the order of submission.
    for token in std::iter::once(u64::MAX).chain(0..QUEUED) {
        let done = one(&mut port);
        assert_eq!(done.token(), Token(token));
        let result = done.unpack::<op::Blocking<Box<dyn FnOnce() -> u64 + Send>, u64>>();
        assert_eq!(result.expect("a closure"), token);
    }
}
