//! Pooled receives that tell the sender, one by one and multishot: what the promises come to for them. The order among
//! other receives is C5's, errors are C7's, the cost C11's; a cancel, a deadline, a close, a drop and a fork meet them
//! among all other kinds in C2, C3 and C4.

use std::collections::{HashSet, VecDeque};
use std::io::Write;
use std::net::UdpSocket;
use std::thread;
use std::time::Duration;

use anyport::buf::PoolBuf;
use anyport::op::{self, Operation};
use anyport::{Backend, Completion, Handle, OpId, Port, Token, error};
use socket2::SockAddr;

use crate::support::*;

pub(crate) fn tests() -> Vec<Case> {
    cases![
        each_datagram_comes_with_its_sender,
        what_was_received_is_sent_back_from_its_buffer,
        an_empty_datagram_is_one_like_others,
        a_datagram_has_all_of_a_buffer_and_is_cut_to_it,
        the_end_of_a_stream_is_an_empty_buffer_and_final,
        while_the_pool_is_empty_it_waits,
        the_two_pools_are_apart,
        an_idle_socket_holds_no_buffer,
        those_that_wait_for_a_buffer_have_them_in_turn,
        a_cancel_costs_no_buffer_and_no_datagram_that_was_left,
        a_deadline_ends_it,
        a_buffer_outlives_its_port,
        what_is_no_socket_has_no_senders,
    ]
}

const MS: Duration = Duration::from_millis(1);
const NOW: Option<Duration> = Some(Duration::ZERO);

/// Submits one for a datagram, or one for many.
fn submit(port: &mut Port, on: Handle, multi: bool, token: Token) -> OpId {
    match multi {
        true => port.submit(op::RecvFromPooledMulti::new(on), token),
        false => port.submit(op::RecvFromPooled::new(on), token),
    }
}

fn unpack(done: Completion) -> std::io::Result<(PoolBuf, SockAddr)> {
    match done.is::<op::RecvFromPooledMulti>() {
        true => done.unpack::<op::RecvFromPooledMulti>(),
        false => done.unpack::<op::RecvFromPooled>(),
    }
}

/// The next datagram: where it is one for each, a receive is submitted first.
#[track_caller]
fn next(port: &mut Port, on: Handle, multi: bool) -> (PoolBuf, SockAddr) {
    if !multi {
        submit(port, on, multi, Token(1));
    }
    let done = one(port);
    assert_eq!((done.token(), done.more()), (Token(1), multi));
    unpack(done).expect("a datagram")
}

/// On ports of all flavours with so large a pool, and for both operations.
fn on_each(backend: Backend, buffers: u16, size: usize, mut check: impl FnMut(&str, Port, bool)) {
    for (flavour, builder) in flavours(backend) {
        for multi in [false, true] {
            let port = builder.clone().pool(buffers, size).build().expect("a port");
            check(&format!("{flavour}, multishot: {multi}"), port, multi);
        }
    }
}

fn each_datagram_comes_with_its_sender(backend: Backend) {
    on_each(backend, 4, 2000, |what, mut port, multi| {
        for local in ["127.0.0.1:0", "[::1]:0"] {
            // A machine may be without IPv6.
            let Ok(socket) = UdpSocket::bind(local) else { continue };
            let to = socket.local_addr().expect("an address");
            let on = port.attach(socket).expect("attach");
            let senders: Vec<UdpSocket> = (0..3).map(|_| UdpSocket::bind(local).expect("bind")).collect();
            if multi {
                submit(&mut port, on, multi, Token(1));
            }
            for number in 0..60_u64 {
                let sender = &senders[number as usize % 3];
                let len = 1 + number as usize * 33;
                sender.send_to(&pattern(number, len), to).expect("send");
                let (buf, from) = next(&mut port, on, multi);
                assert_eq!(from.as_socket(), Some(sender.local_addr().expect("an address")), "{what}, {local}");
                assert_eq!(buf.len(), len, "{what}, {local}");
                assert_piece(&buf, number, 0);
            }
            port.submit(op::Close::new(on), Token(2));
            while one(&mut port).token() != Token(2) {}
        }
    });
}

fn what_was_received_is_sent_back_from_its_buffer(backend: Backend) {
    on_each(backend, 2, 512, |what, mut port, multi| {
        let (here, there) = udp_unconnected();
        let to = here.local_addr().expect("an address");
        let on = port.attach(here).expect("attach");
        if multi {
            submit(&mut port, on, multi, Token(1));
        }
        for round in 0..10 {
            there.send_to(&pattern(round, 512), to).expect("send");
            let (mut buf, from) = next(&mut port, on, multi);
            buf[0] = !buf[0];
            port.submit(op::SendTo::new(on, buf, from), Token(2));
            let (sent, buf) = one(&mut port).unpack::<op::SendTo<PoolBuf>>();
            assert_eq!(sent.expect("sent"), 512, "{what}");
            let mut back = [0; 600];
            assert_eq!(there.recv(&mut back).expect("its echo"), 512, "{what}");
            assert_eq!(*buf, back[..512], "{what}");
            back[0] = !back[0];
            assert_piece(&back[..512], round, 0);
        }
    });
}

fn an_empty_datagram_is_one_like_others(backend: Backend) {
    on_each(backend, 2, 64, |what, mut port, multi| {
        let (here, there) = udp_unconnected();
        let (from, to) = (there.local_addr().expect("an address"), here.local_addr().expect("an address"));
        let on = port.attach(here).expect("attach");
        for at_once in [false, true] {
            let id = multi.then(|| submit(&mut port, on, multi, Token(1)));
            let datagrams: [&[u8]; 6] = [b"", b"one", b"", b"", b"two", b""];
            if at_once {
                for bytes in datagrams {
                    there.send_to(bytes, to).expect("send");
                }
            }
            for bytes in datagrams {
                if !at_once {
                    there.send_to(bytes, to).expect("send");
                }
                let (buf, sender) = next(&mut port, on, multi);
                assert_eq!((&*buf, sender.as_socket()), (bytes, Some(from)), "{what}");
            }
            if let Some(id) = id {
                assert!(!port.wait(Some(MS)).expect("wait") && port.cancel(id), "{what}");
                let done = one(&mut port);
                assert!(!done.more() && unpack(done).is_err_and(|error| error::is_cancelled(&error)), "{what}");
            }
        }
    });
}

fn a_datagram_has_all_of_a_buffer_and_is_cut_to_it(backend: Backend) {
    for size in [1, 64, 100, 4096] {
        on_each(backend, 4, size, |what, mut port, multi| {
            let (here, there) = udp_unconnected();
            let (from, to) = (there.local_addr().expect("an address"), here.local_addr().expect("an address"));
            let on = port.attach(here).expect("attach");
            if multi {
                submit(&mut port, on, multi, Token(1));
            }
            // Those with a neighbour would show what is written beyond the end.
            for (round, len) in [size, size + 1, size, size + 1000, size].into_iter().enumerate() {
                there.send_to(&pattern(round as u64, len), to).expect("send");
                let (buf, sender) = next(&mut port, on, multi);
                assert_eq!((buf.len(), sender.as_socket()), (size, Some(from)), "{what}, {size}");
                assert_piece(&buf, round as u64, 0);
            }
        });
    }
}

fn the_end_of_a_stream_is_an_empty_buffer_and_final(backend: Backend) {
    on_each(backend, 4, 64, |what, mut port, multi| {
        for (kind, near, mut far) in stream_pairs() {
            let on = port.attach(near).expect("attach");
            far.write_all(&pattern(1, 200)).expect("write");
            drop(far);
            let mut received = Vec::new();
            loop {
                if !multi || received.is_empty() {
                    submit(&mut port, on, multi, Token(1));
                }
                let done = one(&mut port);
                let more = done.more();
                let (buf, from) = unpack(done).expect("data");
                assert_eq!(from.as_socket(), None, "{what}, {kind}: a stream's receives name nobody");
                assert_eq!(more, multi && !buf.is_empty(), "{what}, {kind}");
                received.extend_from_slice(&buf);
                if buf.is_empty() {
                    break;
                }
            }
            assert_eq!(received.len(), 200, "{what}, {kind}");
            assert_piece(&received, 1, 0);
        }
    });
}

/// The socket of a port and a socket to send to it.
fn receiver(port: &mut Port) -> (Handle, UdpSocket) {
    let (near, far) = udp_pair();
    (port.attach(near).expect("attach"), far)
}

fn send_many(far: &UdpSocket, times: usize, bytes: &[u8]) {
    for _ in 0..times {
        assert_eq!(far.send(bytes).expect("send"), bytes.len());
    }
}

fn while_the_pool_is_empty_it_waits(backend: Backend) {
    on_each(backend, 2, 64, |what, mut port, multi| {
        let (on, far) = receiver(&mut port);
        if multi {
            submit(&mut port, on, multi, Token(1));
        }
        let mut held = VecDeque::new();
        for number in 0..20 {
            far.send(&pattern(number, 64)).expect("send");
            if number >= 2 {
                if !multi {
                    submit(&mut port, on, multi, Token(1));
                }
                assert!(!port.wait(NOW).expect("wait") && port.next().is_none(), "{what}: there is no buffer");
                drop(held.pop_front());
                let done = one(&mut port);
                assert_eq!(done.more(), multi, "{what}");
                held.push_back(unpack(done).expect("a datagram").0);
            } else {
                held.push_back(next(&mut port, on, multi).0);
            }
            assert_piece(held.back().expect("the newest"), number, 0);
        }
        let places: HashSet<*const u8> = held.iter().map(|buf| buf.as_ptr()).collect();
        assert_eq!(places.len(), 2, "{what}: a buffer was given out twice");
    });
}

fn the_two_pools_are_apart(backend: Backend) {
    for (flavour, builder) in flavours(backend) {
        let mut port = builder.pool(1, 64).build().expect("a port");
        let [(many, far), (single, other_far), (plain, plain_far)] = [(); 3].map(|()| receiver(&mut port));
        // The one buffer of receives of many is out; those of others is not.
        submit(&mut port, many, true, Token(1));
        send_many(&far, 2, b"many");
        let held = unpack(one(&mut port)).expect("a datagram").0;
        assert!(!port.wait(Some(MS)).expect("wait"), "{flavour}: there is no buffer");
        other_far.send(b"one").expect("send");
        submit(&mut port, single, false, Token(2));
        let other = unpack(one(&mut port)).expect("a datagram").0;
        assert_eq!((&*held, &*other), (&b"many"[..], &b"one"[..]), "{flavour}");
        // Which a receive that tells no sender takes, too.
        plain_far.send(b"none").expect("send");
        port.submit(op::RecvPooled::new(plain), Token(3));
        assert!(!port.wait(Some(MS)).expect("wait"), "{flavour}: there is no buffer");
        drop(held);
        assert_eq!(one(&mut port).token(), Token(1), "{flavour}");
        assert!(!port.wait(Some(MS)).expect("wait"), "{flavour}: that was a buffer of the other pool");
        drop(other);
        assert_eq!(*one(&mut port).unpack::<op::RecvPooled>().expect("a datagram"), *b"none", "{flavour}");
    }
}

fn an_idle_socket_holds_no_buffer(backend: Backend) {
    on_each(backend, 1, 64, |what, mut port, multi| {
        let sockets: Vec<(Handle, UdpSocket)> = (0..20).map(|_| receiver(&mut port)).collect();
        for (number, &(on, _)) in sockets.iter().enumerate() {
            submit(&mut port, on, multi, Token(number as u64));
        }
        let _ = port.wait(NOW).expect("wait");
        for (number, (_, far)) in sockets.iter().enumerate().rev() {
            far.send(&pattern(number as u64, 64)).expect("send");
            let done = one(&mut port);
            assert_eq!(done.token(), Token(number as u64), "{what}");
            assert_piece(&unpack(done).expect("a datagram").0, number as u64, 0);
        }
    });
}

fn those_that_wait_for_a_buffer_have_them_in_turn(backend: Backend) {
    const SOCKETS: usize = 5;
    const DATAGRAMS: usize = 20;
    on_each(backend, 1, 64, |what, mut port, multi| {
        let sockets: Vec<(Handle, UdpSocket)> = (0..SOCKETS).map(|_| receiver(&mut port)).collect();
        for (number, (on, far)) in sockets.iter().enumerate() {
            send_many(far, DATAGRAMS, b"datagram");
            submit(&mut port, *on, multi, Token(number as u64));
        }
        let (mut counts, mut last) = ([0; SOCKETS], [0; SOCKETS]);
        let mut held = None;
        for round in 0..SOCKETS * DATAGRAMS {
            if held.is_some() {
                assert!(!port.wait(NOW).expect("wait"), "{what}: there is no buffer");
            }
            drop(held.take());
            let done = one(&mut port);
            let number = done.token().0 as usize;
            held = Some(unpack(done).expect("a datagram"));
            if !multi {
                submit(&mut port, sockets[number].0, multi, Token(number as u64));
            }
            (counts[number], last[number]) = (counts[number] + 1, round);
            // Nobody who has something is passed over more often than there are others.
            let waited = (0..SOCKETS).filter(|&at| counts[at] < DATAGRAMS).map(|at| round - last[at]).max();
            assert!(waited.unwrap_or(0) <= 2 * SOCKETS, "{what}: one of them waited for {waited:?}: {counts:?}");
        }
        assert_eq!(counts, [DATAGRAMS; SOCKETS], "{what}");
    });
}

fn a_cancel_costs_no_buffer_and_no_datagram_that_was_left(backend: Backend) {
    // No more datagrams than a socket holds: who is slow must not lose any.
    const ROUNDS: u64 = 200;
    on_each(backend, 4, 64, |what, mut port, multi| {
        let (on, far) = receiver(&mut port);
        let sender = thread::spawn(move || {
            for number in 0..ROUNDS {
                far.send(&pattern(number, 64)).expect("send");
                if number % 8 == 0 {
                    thread::sleep(MS / 4);
                }
            }
            far
        });
        // Receives are given up while datagrams come; each datagram is in one of them, or still there.
        let mut received = 0;
        let mut take = |done: Completion| match unpack(done) {
            Ok((buf, _)) => {
                assert_piece(&buf, received, 0);
                received += 1;
            }
            Err(error) => assert!(error::is_cancelled(&error), "{what}: {error}"),
        };
        for round in 0..ROUNDS {
            let id = submit(&mut port, on, multi, Token(1));
            let _ = port.wait(Some(MS / 20 * (round % 3) as u32)).expect("wait");
            port.cancel(id);
            loop {
                let done = one(&mut port);
                let more = done.more();
                take(done);
                if !more {
                    break;
                }
            }
        }
        let far = sender.join().expect("the sender");
        while received < ROUNDS {
            submit(&mut port, on, false, Token(1));
            let (buf, _) = unpack(one(&mut port)).expect("what was left");
            assert_piece(&buf, received, 0);
            received += 1;
        }
        // All of the buffers can be had.
        send_many(&far, 5, b"for a buffer");
        let id = multi.then(|| submit(&mut port, on, multi, Token(1)));
        let held: Vec<PoolBuf> = (0..4).map(|_| next(&mut port, on, multi).0).collect();
        let places: HashSet<*const u8> = held.iter().map(|buf| buf.as_ptr()).collect();
        assert_eq!(places.len(), 4, "{what}: a buffer was given out twice");
        // And one that waits for a buffer is given up like others.
        let id = id.unwrap_or_else(|| submit(&mut port, on, multi, Token(1)));
        assert!(!port.wait(Some(MS)).expect("wait") && port.cancel(id), "{what}: there is no buffer");
        assert!(unpack(one(&mut port)).is_err_and(|error| error::is_cancelled(&error)), "{what}");
        assert_eq!(port.in_flight(), 0, "{what}");
    });
}

fn a_deadline_ends_it(backend: Backend) {
    on_each(backend, 2, 64, |what, mut port, multi| {
        let (on, far) = receiver(&mut port);
        far.send(b"in time").expect("send");
        match multi {
            true => drop(port.submit(op::RecvFromPooledMulti::new(on).within(50 * MS), Token(1))),
            false => drop(port.submit(op::RecvFromPooled::new(on).within(Duration::from_secs(3600)), Token(1))),
        }
        let done = one(&mut port);
        assert_eq!(done.more(), multi, "{what}");
        assert_eq!(*unpack(done).expect("a datagram").0, *b"in time", "{what}");
        if !multi {
            port.submit(op::RecvFromPooled::new(on).within(MS), Token(1));
        }
        let done = one(&mut port);
        let (more, result) = (done.more(), unpack(done));
        let kind = result.expect_err("the time is up").kind();
        assert_eq!((more, kind, port.in_flight()), (false, std::io::ErrorKind::TimedOut, 0), "{what}");
    });
}

fn a_buffer_outlives_its_port(backend: Backend) {
    on_each(backend, 2, 64, |what, mut port, multi| {
        let (on, far) = receiver(&mut port);
        far.send(&pattern(3, 64)).expect("send");
        submit(&mut port, on, multi, Token(1));
        let done = one(&mut port);
        // This one is never looked at.
        far.send(b"another").expect("send");
        submit(&mut port, on, multi, Token(1));
        let _ = port.wait(Some(MS)).expect("wait");
        drop(port);
        let (buf, from) = unpack(done).expect("a datagram");
        assert_eq!(from.as_socket(), Some(far.local_addr().expect("an address")), "{what}");
        assert_piece(&buf, 3, 0);
    });
}

fn what_is_no_socket_has_no_senders(backend: Backend) {
    on_each(backend, 1, 64, |what, mut port, multi| {
        let (reader, mut writer) = pipe();
        writer.write_all(b"bytes").expect("write");
        let pipe = port.attach(reader).expect("attach");
        let file = port.attach(tempfile::tempfile().expect("a file")).expect("attach");
        for on in [pipe, file, pipe] {
            submit(&mut port, on, multi, Token(1));
            let done = one(&mut port);
            assert!(!done.more(), "{what}");
            let error = unpack(done).expect_err("no socket");
            assert!(error.raw_os_error().is_some_and(|number| errno::ENOTSOCK.is(number)), "{what}: {error:?}");
        }
        // Neither the bytes nor a buffer is lost.
        port.submit(op::RecvPooled::new(pipe), Token(1));
        assert_eq!(*one(&mut port).unpack::<op::RecvPooled>().expect("data"), *b"bytes", "{what}");
    });
}
