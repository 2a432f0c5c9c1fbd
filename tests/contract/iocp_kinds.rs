//! C7 on Windows: the events of `c07_error_kinds.rs` that this system has, held to the same kinds. (That file also holds the
//! numbers of Unix to them.)

use std::io::{self, ErrorKind, Write};
use std::net::{Shutdown, TcpListener, UdpSocket};
use std::time::Duration;

use anyport::{Backend, Handle, Port, Token, op};
use socket2::{Domain, SockRef, Socket, Type};

use crate::support::*;

pub(crate) fn tests() -> Vec<Case> {
    cases![
        a_connect_to_nobody_is_refused,
        a_datagram_to_nobody_is_refused,
        a_datagram_to_nobody_ends_no_receive_of_a_socket_without_a_peer,
        a_reset_stays_one_and_then_the_pipe_is_broken,
        a_send_after_its_shutdown_is_a_broken_pipe,
        a_pipe_without_a_reader_is_broken_and_one_without_a_writer_has_ended,
        what_is_not_connected_says_so,
        paths_have_their_kinds,
        what_has_no_offsets_cannot_be_read_at_one,
    ]
}

#[track_caller]
fn assert_kind<T: std::fmt::Debug>(what: &str, result: io::Result<T>, kind: ErrorKind) {
    let error = result.expect_err(what);
    assert_eq!(error.kind(), kind, "{what}: {error}");
    assert!(error.raw_os_error().is_some(), "{what}: the system's number is kept");
}

fn fresh(port: &mut Port) -> Handle {
    port.attach(Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket")).expect("attach")
}

fn recv(port: &mut Port, on: Handle) -> io::Result<usize> {
    port.submit(op::Recv::new(on, [0; 8]), Token(1));
    one(port).unpack::<op::Recv<[u8; 8]>>().0
}

fn send(port: &mut Port, on: Handle) -> io::Result<usize> {
    port.submit(op::Send::new(on, "bytes"), Token(1));
    one(port).unpack::<op::Send<&str>>().0
}

fn a_connect_to_nobody_is_refused(backend: Backend) {
    let mut port = port(backend);
    let nobody = TcpListener::bind("127.0.0.1:0").expect("bind").local_addr().expect("an address");
    let on = fresh(&mut port);
    port.submit(op::Connect::new(on, nobody), Token(1));
    assert_kind("connect", one(&mut port).unpack::<op::Connect>(), ErrorKind::ConnectionRefused);
    assert_kind("recv after it", recv(&mut port, on), ErrorKind::NotConnected);
    assert_kind("send after it", send(&mut port, on), ErrorKind::BrokenPipe);
}

fn a_datagram_to_nobody_is_refused(backend: Backend) {
    skip_on_wine("tells no receive that a datagram was refused");
    let mut port = port(backend);
    let (near, far) = udp_pair();
    drop(far);
    let on = port.attach(near).expect("attach");
    assert_eq!(send(&mut port, on).expect("it is sent, and nobody is there"), 5);
    assert_kind("what became of it", recv(&mut port, on), ErrorKind::ConnectionRefused);
}

fn a_datagram_to_nobody_ends_no_receive_of_a_socket_without_a_peer(backend: Backend) {
    let mut port = port(backend);
    let socket = UdpSocket::bind("127.0.0.1:0").expect("bind");
    let nobody = UdpSocket::bind("127.0.0.1:0").expect("bind").local_addr().expect("an address");
    let own = socket.local_addr().expect("an address");
    let on = port.attach(socket).expect("attach");
    port.submit(op::SendTo::new(on, "lost", nobody), Token(1));
    one(&mut port).unpack::<op::SendTo<&str>>().0.expect("it is sent");
    UdpSocket::bind("127.0.0.1:0").expect("bind").send_to(b"found", own).expect("send");
    assert_eq!(recv(&mut port, on).expect("another's"), 5);
}

fn a_reset_stays_one_and_then_the_pipe_is_broken(backend: Backend) {
    let mut port = port(backend);
    let (near, far) = tcp_pair();
    let on = port.attach(near).expect("attach");
    SockRef::from(&far).set_linger(Some(Duration::ZERO)).expect("SO_LINGER");
    port.submit(op::Recv::new(on, [0; 8]), Token(1));
    drop(far);
    assert_kind("a reset", one(&mut port).unpack::<op::Recv<[u8; 8]>>().0, ErrorKind::ConnectionReset);
    assert_kind("a send after it", send(&mut port, on), ErrorKind::BrokenPipe);
    assert_kind("and again", recv(&mut port, on), ErrorKind::ConnectionReset);
    port.submit(op::Shutdown::new(on, Shutdown::Write), Token(1));
    assert_kind("a shutdown", one(&mut port).unpack::<op::Shutdown>(), ErrorKind::NotConnected);
}

fn a_send_after_its_shutdown_is_a_broken_pipe(backend: Backend) {
    let mut port = port(backend);
    let (near, _far) = tcp_pair();
    let on = port.attach(near).expect("attach");
    port.submit(op::Shutdown::new(on, Shutdown::Write), Token(1));
    one(&mut port).unpack::<op::Shutdown>().expect("shutdown");
    assert_kind("send", send(&mut port, on), ErrorKind::BrokenPipe);
}

fn a_pipe_without_a_reader_is_broken_and_one_without_a_writer_has_ended(backend: Backend) {
    let mut port = port(backend);
    let (reader, writer) = pipe();
    let on = port.attach(writer).expect("attach");
    drop(reader);
    assert_kind("send", send(&mut port, on), ErrorKind::BrokenPipe);
    let (reader, mut writer) = pipe();
    let on = port.attach(reader).expect("attach");
    writer.write_all(b"last").expect("write");
    drop(writer);
    assert_eq!(recv(&mut port, on).expect("the last"), 4);
    assert_eq!(recv(&mut port, on).expect("the end"), 0);
}

fn what_is_not_connected_says_so(backend: Backend) {
    let mut port = port(backend);
    let on = fresh(&mut port);
    assert_kind("recv", recv(&mut port, on), ErrorKind::NotConnected);
    for how in [Shutdown::Read, Shutdown::Write, Shutdown::Both] {
        port.submit(op::Shutdown::new(on, how), Token(1));
        assert_kind("shutdown", one(&mut port).unpack::<op::Shutdown>(), ErrorKind::NotConnected);
    }
}

fn paths_have_their_kinds(backend: Backend) {
    let mut port = port(backend);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("file");
    let mut open = |open: op::Open| {
        port.submit(open, Token(1));
        one(&mut port).unpack::<op::Open>()
    };
    assert_kind("nothing", open(op::Open::new(&path).read(true)), ErrorKind::NotFound);
    let new = || op::Open::new(&path).write(true).create(true).exclusive(true);
    open(new()).expect("a new file");
    assert_kind("it exists", open(new()), ErrorKind::AlreadyExists);
    open(op::Open::new(&path).read(true).create(true)).expect("made or not, to be read");
    let mut metadata = |path: &std::path::Path| {
        port.submit(op::Metadata::at(path), Token(1));
        one(&mut port).unpack::<op::Metadata>()
    };
    assert!(metadata(&path).expect("a file").is_file());
    assert!(metadata(folder.path()).expect("a folder").is_dir());
    assert_kind("metadata", metadata(&folder.path().join("nothing")), ErrorKind::NotFound);
}

fn what_has_no_offsets_cannot_be_read_at_one(backend: Backend) {
    let mut port = port(backend);
    let (near, _far) = tcp_pair();
    let (reader, _writer) = pipe();
    for on in [port.attach(near).expect("attach"), port.attach(reader).expect("attach")] {
        port.submit(op::ReadAt::new(on, [0; 8], 0), Token(1));
        assert_kind("read-at", one(&mut port).unpack::<op::ReadAt<[u8; 8]>>().0, ErrorKind::NotSeekable);
        port.submit(op::WriteAt::new(on, "x", 0), Token(1));
        assert_kind("write-at", one(&mut port).unpack::<op::WriteAt<&str>>().0, ErrorKind::NotSeekable);
    }
}
