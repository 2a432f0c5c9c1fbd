//! A handle that has been used often: a system may be told of its object then (a ring registers it), and every promise holds as before.

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use anyport::op::{self, Operation, Unpack};
use anyport::{Backend, Handle, Port, Token};

use crate::support::*;

pub(crate) fn tests() -> Vec<Case> {
    cases! {
        each_backend: [
            its_peer_sees_the_end_when_it_is_closed,
            its_peer_sees_the_end_when_it_is_detached_and_closed,
            its_peer_sees_the_end_when_the_port_is_dropped,
            a_pipes_reader_sees_the_end_when_the_writer_is_closed,
            a_files_lock_is_given_up_when_it_is_closed,
            its_successor_is_another_socket,
            every_operation_on_a_socket_is_done,
            every_operation_on_a_file_is_done,
        ],
    }
}

/// More operations than those after which a ring registers an object.
const OFTEN: usize = 40;

/// Sends so many messages back to a peer.
#[track_caller]
fn use_often(port: &mut Port, near: Handle, far: &mut TcpStream) {
    for round in 0..OFTEN as u8 {
        far.write_all(&[round]).expect("write");
        let data = only(port, op::RecvPooled::new(near)).expect("data");
        assert_eq!(data[..], [round]);
        only(port, op::SendAll::new(near, data)).0.expect("sent");
        let mut back = [0];
        far.read_exact(&mut back).expect("read");
        assert_eq!(back, [round]);
    }
}

#[track_caller]
fn only<O: Operation>(port: &mut Port, operation: O) -> <O::Of as Unpack>::Output {
    port.submit(operation, Token(0));
    one(port).unpack::<O::Of>()
}

/// Two connections that were used often. A receive is in flight on the second one.
fn used(port: &mut Port) -> ([Handle; 2], [TcpStream; 2]) {
    let (conns, mut peers): (Vec<_>, Vec<_>) = (0..2)
        .map(|_| {
            let (near, far) = tcp_pair();
            (port.attach(near).expect("attach"), far)
        })
        .unzip();
    conns.iter().zip(&mut peers).for_each(|(&conn, peer)| use_often(port, conn, peer));
    port.submit(op::RecvPooled::new(conns[1]), Token(1));
    assert!(drive_for(port, Duration::from_millis(1)).is_empty());
    (conns.try_into().expect("two"), peers.try_into().expect("two"))
}

/// At once: nothing has to happen first, on the other connection for example.
#[track_caller]
fn assert_ended(mut peer: &TcpStream) {
    peer.set_nonblocking(true).expect("a socket");
    eventually("the end arrives", || match peer.read(&mut [0]) {
        Err(error) if error.kind() == ErrorKind::WouldBlock => false,
        end => end.expect("an end") == 0,
    });
}

fn its_peer_sees_the_end_when_it_is_closed(backend: Backend) {
    for (flavour, builder) in flavours(backend) {
        println!("{flavour}");
        let mut port = builder.build().expect("a port");
        let ([first, _], [peer, other]) = used(&mut port);
        only(&mut port, op::Close::new(first)).expect("closed");
        assert_ended(&peer);
        drop(port);
        assert_ended(&other);
    }
}

fn its_peer_sees_the_end_when_it_is_detached_and_closed(backend: Backend) {
    if !can_detach() {
        skip_elsewhere("nothing leaves a completion port here");
    }
    let mut port = port(backend);
    let ([first, second], [mut peer, _other]) = used(&mut port);
    let mut back = tcp_of(detach(&mut port, first));
    back.write_all(b"mine again").expect("write");
    peer.read_exact(&mut [0; 10]).expect("read");
    drop(back);
    assert_ended(&peer);
    assert_eq!(port.cancel_all(second), 1);
}

fn its_peer_sees_the_end_when_the_port_is_dropped(backend: Backend) {
    let mut port = port(backend);
    let (_, peers) = used(&mut port);
    drop(port);
    // The system may still be busy with what was the port's own, but not with what was the caller's.
    for mut peer in peers {
        peer.set_nonblocking(true).expect("a socket");
        assert_eq!(peer.read(&mut [0]).expect("the end"), 0);
    }
}

fn a_pipes_reader_sees_the_end_when_the_writer_is_closed(backend: Backend) {
    let mut port = port(backend);
    let (mut reader, writer) = pipe();
    let conn = port.attach(writer).expect("attach");
    for _ in 0..OFTEN {
        only(&mut port, op::SendAll::new(conn, "x")).0.expect("sent");
    }
    only(&mut port, op::Close::new(conn)).expect("closed");
    let mut all = Vec::new();
    assert_eq!(reader.read_to_end(&mut all).expect("read"), OFTEN);
}

/// A lock ends with the last reference to its open file.
fn a_files_lock_is_given_up_when_it_is_closed(backend: Backend) {
    let mut port = port(backend);
    let mut named = tempfile::NamedTempFile::new().expect("a file");
    named.write_all(b"content").expect("write");
    let file = File::open(named.path()).expect("open");
    file.lock().expect("lock");
    let other = File::open(named.path()).expect("open");
    let file = port.attach(file).expect("attach");
    for _ in 0..OFTEN {
        let (count, buf) = only(&mut port, op::ReadAt::new(file, [0; 7], 0));
        assert_eq!((count.expect("read"), &buf), (7, b"content"));
    }
    assert!(other.try_lock().is_err(), "it is held");
    only(&mut port, op::Close::new(file)).expect("closed");
    other.try_lock().expect("it is free");
}

/// Though it has its handle's place.
fn its_successor_is_another_socket(backend: Backend) {
    let mut port = port(backend);
    for _ in 0..3 {
        let (near, mut far) = tcp_pair();
        let conn = port.attach(near).expect("attach");
        use_often(&mut port, conn, &mut far);
        only(&mut port, op::Close::new(conn)).expect("closed");
        assert_ended(&far);
    }
}

fn every_operation_on_a_socket_is_done(backend: Backend) {
    let mut port = port(backend);
    let (listener, address) = listener();
    let listener = port.attach(listener).expect("attach");
    let (near, mut far) = tcp_pair();
    let conn = port.attach(near).expect("attach");
    let (one_end, other_end) = udp_unconnected();
    let to = other_end.local_addr().expect("bound");
    let [here, there] = [one_end, other_end].map(|socket| port.attach(socket).expect("attach"));
    for round in 0..OFTEN as u8 {
        let client = TcpStream::connect(address).expect("connect");
        drop(only(&mut port, op::Accept::new(listener)).expect("accepted"));
        drop(client);

        assert_eq!(only(&mut port, op::SendVectored::new(conn, [[round], [round + 1]])).0.expect("sent"), 2);
        let mut both = [0; 2];
        far.read_exact(&mut both).expect("read");
        assert_eq!(both, [round, round + 1]);
        far.write_all(&both).expect("write");
        only(&mut port, op::Ready::readable(conn)).expect("readable");
        let (count, bufs) = only(&mut port, op::RecvVectored::new(conn, [[0; 1], [0; 1]]));
        assert_eq!((count.expect("data"), bufs), (2, [[round], [round + 1]]));
        far.write_all(&[round]).expect("write");
        let (count, buf) = only(&mut port, op::Recv::new(conn, [0; 1]));
        assert_eq!((count.expect("data"), buf), (1, [round]));

        assert_eq!(only(&mut port, op::SendTo::new(here, [round; 3], to)).0.expect("sent"), 3);
        let (result, buf) = only(&mut port, op::RecvFrom::new(there, [0; 3]));
        assert_eq!((result.expect("a datagram").0, buf), (3, [round; 3]));
        assert_eq!(only(&mut port, op::SendTo::new(here, [round; 3], to)).0.expect("sent"), 3);
        assert_eq!(*only(&mut port, op::RecvFromPooled::new(there)).expect("a datagram").0, [round; 3]);
    }
    let _client = TcpStream::connect(address).expect("connect");
    drop(one_of_many(&mut port, listener, op::AcceptMulti::new(listener)).expect("accepted"));
    far.write_all(b"many").expect("write");
    assert_eq!(*one_of_many(&mut port, conn, op::RecvPooledMulti::new(conn)).expect("data"), *b"many");
    assert_eq!(only(&mut port, op::SendTo::new(here, *b"many", to)).0.expect("sent"), 4);
    let (data, _) = one_of_many(&mut port, there, op::RecvFromPooledMulti::new(there)).expect("a datagram");
    assert_eq!(*data, *b"many");
    only(&mut port, op::Shutdown::new(conn, Shutdown::Write)).expect("shut down");
    assert_ended(&far);
}

fn every_operation_on_a_file_is_done(backend: Backend) {
    let mut port = port(backend);
    let file = port.attach(tempfile::tempfile().expect("a file")).expect("attach");
    for round in 0..OFTEN as u64 {
        let bytes = round.to_ne_bytes();
        assert_eq!(only(&mut port, op::WriteAt::new(file, bytes, 8 * round)).0.expect("written"), 8);
        let (count, back) = only(&mut port, op::ReadAt::new(file, [0; 8], 8 * round));
        assert_eq!((count.expect("read"), back), (8, bytes));
        only(&mut port, op::Fsync::new(file)).expect("fsync");
        only(&mut port, op::Fsync::data(file)).expect("fdatasync");
        assert_eq!(only(&mut port, op::Metadata::of(file)).expect("metadata").len(), 8 * (round + 1));
    }
}

/// What a multishot operation has first; then it is given up.
#[track_caller]
fn one_of_many<O: Operation>(port: &mut Port, handle: Handle, operation: O) -> <O::Of as Unpack>::Output {
    port.submit(operation, Token(1));
    let first = one(port);
    assert!(first.more());
    assert_eq!(port.cancel_all(handle), 1);
    assert!(!one(port).more());
    first.unpack::<O::Of>()
}
