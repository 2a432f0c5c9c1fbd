//! C7: the same event gives the same `io::ErrorKind`, and `raw_os_error` keeps the number that the system gave. What the
//! port itself refuses has no number, and says what to do. The table for users is in `src/error.rs`.
//!
//! Events that only Unix has, or
//! tells apart, are in `c07_unix_kinds.rs`.

use std::any::Any;
use std::fmt::Debug;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::panic::resume_unwind;
use std::path::Path;
use std::time::Duration;

use anyport::buf::IoBuf;
use anyport::op::{self, Operation, Unpack};
use anyport::{Backend, Handle, Port, Token, error};
use socket2::{Domain, SockAddr, SockRef, Socket, Type};

use crate::support::*;

pub(crate) fn tests() -> Vec<Case> {
    cases! {
        each_backend: [
            a_refused_connection,
            a_refused_datagram,
            a_datagram_that_another_ones_refusal_does_not_hold_up,
            a_reset_connection,
            a_reset_under_a_receive,
            a_direction_that_was_shut_down,
            a_receiver_that_is_gone,
            a_receive_without_a_connection,
            a_send_without_a_connection,
            a_listener_without_a_connection,
            a_datagram_without_a_destination,
            a_socket_that_is_connected_already,
            an_address_that_cannot_be_used,
            an_address_that_is_in_use,
            a_message_that_is_too_long,
            a_path_that_leads_nowhere,
            a_name_that_is_too_long,
            a_file_that_is_there_already,
            a_file_that_may_only_be_read,
            a_descriptor_that_is_open_for_the_other_direction,
            an_object_of_the_wrong_kind,
            a_socket_that_does_not_listen,
            a_device_that_is_full,
            an_offset_that_no_file_has,
            a_deadline_that_passes,
            a_connection_that_the_system_gives_up,
            an_operation_that_is_given_up,
            a_stale_handle,
            a_busy_handle,
            a_buffer_without_room,
            an_impossible_path_or_access,
            a_closure_that_panics,
        ],
        each_backend_isolated: [
            a_network_that_cannot_be_reached,
            a_process_without_descriptors,
        ],
    }
}

/// Does one operation.
#[track_caller]
pub(crate) fn run<O: Operation>(port: &mut Port, operation: O) -> <O::Of as Unpack>::Output {
    port.submit(operation, Token(7));
    let done = one(port);
    assert!(!done.more());
    done.unpack::<O::Of>()
}

/// The system's error `errno`, which is of this kind.
#[track_caller]
pub(crate) fn assert_error<T: Debug>(what: &str, result: io::Result<T>, errno: impl Errno, kind: ErrorKind) {
    let error = result.expect_err(what);
    let number = error.raw_os_error().unwrap_or_else(|| panic!("{what}: {error:?} has no number"));
    assert!(errno.is(number), "{what}: {error:?}");
    assert_eq!(error.kind(), kind, "{what}: {error:?}");
}

/// The system's error `errno`, whose kind has no name: `std` calls it `Uncategorized`, for itself alone.
#[track_caller]
pub(crate) fn assert_errno<T: Debug>(what: &str, result: io::Result<T>, errno: impl Errno) {
    let kind = result.as_ref().map_or_else(io::Error::kind, |_| ErrorKind::Other);
    assert_eq!(format!("{kind:?}"), "Uncategorized", "{what}: {result:?}");
    assert_error(what, result, errno, kind);
}

/// What the port refuses by itself: the system was not asked, and the text tells the way out.
#[track_caller]
fn assert_refused<T: Debug>(what: &str, result: io::Result<T>, kind: ErrorKind, way_out: &str) {
    let error = result.expect_err(what);
    assert_eq!((error.raw_os_error(), error.kind()), (None, kind), "{what}: {error:?}");
    assert!(error.to_string().contains(way_out), "{what}: {error}");
}

/// Receives in every way; each must fail like this.
#[track_caller]
pub(crate) fn assert_receives(port: &mut Port, what: &str, on: Handle, errno: impl Errno, kind: ErrorKind) {
    let what = |how| format!("{what}, {how}");
    assert_error(&what("recv"), run(port, op::Recv::new(on, [0; 8])).0, errno, kind);
    assert_error(&what("vectored"), run(port, op::RecvVectored::new(on, [[0; 8], [0; 8]])).0, errno, kind);
    assert_error(&what("recv-from"), run(port, op::RecvFrom::new(on, [0; 8])).0, errno, kind);
    assert_error(&what("pooled"), run(port, op::RecvPooled::new(on)), errno, kind);
    assert_error(&what("multishot"), run(port, op::RecvPooledMulti::new(on)), errno, kind);
    assert_error(&what("recv-from, pooled"), run(port, op::RecvFromPooled::new(on)), errno, kind);
    assert_error(&what("recv-from, multishot"), run(port, op::RecvFromPooledMulti::new(on)), errno, kind);
}

/// Sends in every way; each must fail like this.
#[track_caller]
pub(crate) fn assert_sends(port: &mut Port, what: &str, on: Handle, errno: impl Errno, kind: ErrorKind) {
    let what = |how| format!("{what}, {how}");
    assert_error(&what("send"), run(port, op::Send::new(on, "lost")).0, errno, kind);
    assert_error(&what("send-all"), run(port, op::SendAll::new(on, "lost")).0, errno, kind);
    assert_error(&what("vectored"), run(port, op::SendVectored::new(on, ["lo", "st"])).0, errno, kind);
}

pub(crate) fn any_address() -> SocketAddr {
    "127.0.0.1:0".parse().expect("an address")
}

/// A TCP address that nobody listens on and nobody else can get meanwhile: it is bound as long as the socket lives.
fn silent_address(domain: Domain) -> Option<(Socket, SockAddr)> {
    let address = if domain == Domain::IPV4 { "127.0.0.1:0" } else { "[::1]:0" };
    let socket = Socket::new(domain, Type::STREAM, None).ok()?;
    socket.bind(&address.parse::<SocketAddr>().expect("an address").into()).ok()?;
    let address = socket.local_addr().expect("an address");
    Some((socket, address))
}

pub(crate) fn fresh(port: &mut Port, domain: Domain) -> Handle {
    port.attach(Socket::new(domain, Type::STREAM, None).expect("a socket")).expect("attach")
}

fn a_refused_connection(backend: Backend) {
    let mut port = port(backend);
    for domain in [Domain::IPV4, Domain::IPV6] {
        // A machine may be without IPv6.
        let Some((_taken, address)) = silent_address(domain) else { continue };
        let on = fresh(&mut port, domain);
        let refused = run(&mut port, op::Connect::new(on, address));
        assert_error("tcp", refused, errno::ECONNREFUSED, ErrorKind::ConnectionRefused);
    }
}

fn a_refused_datagram(backend: Backend) {
    skip_on_wine("tells no receive that a datagram was refused");
    let mut port = port(backend);
    let (near, far) = udp_pair();
    drop(far);
    let watched = near.try_clone().expect("a duplicate");
    let on = port.attach(near).expect("attach");
    // The refusal of a datagram is told to whoever asks next.
    let send = |port: &mut Port| {
        assert_eq!(run(port, op::Send::new(on, "lost")).0.expect("it is sent"), 4);
        until_readable("the refusal", &watched);
    };
    let (errno, kind) = (errno::ECONNREFUSED, ErrorKind::ConnectionRefused);
    send(&mut port);
    assert_error("recv", run(&mut port, op::Recv::new(on, [0; 8])).0, errno, kind);
    send(&mut port);
    assert_error("recv-from", run(&mut port, op::RecvFrom::new(on, [0; 8])).0, errno, kind);
    send(&mut port);
    assert_error("pooled", run(&mut port, op::RecvPooled::new(on)), errno, kind);
    send(&mut port);
    assert_error("multishot", run(&mut port, op::RecvPooledMulti::new(on)), errno, kind);
    send(&mut port);
    assert_error("recv-from, pooled", run(&mut port, op::RecvFromPooled::new(on)), errno, kind);
    send(&mut port);
    assert_error("recv-from, multishot", run(&mut port, op::RecvFromPooledMulti::new(on)), errno, kind);
    if backend != Backend::Iocp {
        // Windows tells receives alone.
        send(&mut port);
        assert_error("send", run(&mut port, op::Send::new(on, "lost")).0, errno, kind);
    }
    // A receive that waits is told, too.
    port.submit(op::Recv::new(on, [0; 8]), Token(1));
    assert!(!port.wait(Some(Duration::from_millis(1))).expect("wait"), "nothing is refused yet");
    port.submit(op::Send::new(on, "lost"), Token(2));
    for done in drive(&mut port, 2) {
        match done.token() {
            Token(1) => assert_error("waiting", done.unpack::<op::Recv<[u8; 8]>>().0, errno, kind),
            _ => drop(done.unpack::<op::Send<&str>>().0.expect("it is sent")),
        }
    }
}

fn a_datagram_that_another_ones_refusal_does_not_hold_up(backend: Backend) {
    let mut port = port(backend);
    let (near, nobody) = udp_unconnected();
    let (own, address) = (near.local_addr().expect("an address"), nobody.local_addr().expect("an address"));
    drop(nobody);
    let on = port.attach(near).expect("attach");
    run(&mut port, op::SendTo::new(on, "lost", address)).0.expect("it is sent");
    UdpSocket::bind("127.0.0.1:0").expect("bind").send_to(b"found", own).expect("send");
    assert_eq!(run(&mut port, op::Recv::new(on, [0; 8])).0.expect("a socket without a peer is told of no refusal"), 5);
}

/// The near end of a TCP connection that its peer has reset.
fn reset_connection(port: &mut Port) -> Handle {
    let (near, far) = tcp_pair();
    SockRef::from(&far).set_linger(Some(Duration::ZERO)).expect("SO_LINGER");
    let watched = near.try_clone().expect("a duplicate");
    let on = port.attach(near).expect("attach");
    drop(far);
    until_readable("the reset", &watched);
    on
}

fn a_reset_connection(backend: Backend) {
    let mut port = port(backend);
    let on = reset_connection(&mut port);
    assert_receives(&mut port, "a reset", on, errno::ECONNRESET, ErrorKind::ConnectionReset);
    // Whoever sends first hears of the reset, from then on there is nothing to send on.
    let on = reset_connection(&mut port);
    let first = run(&mut port, op::Send::new(on, "lost")).0;
    assert_error("the first send", first, errno::ECONNRESET, ErrorKind::ConnectionReset);
    assert_sends(&mut port, "a later send", on, errno::EPIPE, ErrorKind::BrokenPipe);
    assert_receives(&mut port, "after the sends", on, errno::ECONNRESET, ErrorKind::ConnectionReset);
    let on = reset_connection(&mut port);
    let first = run(&mut port, op::SendVectored::new(on, ["lo", "st"])).0;
    assert_error("the first vectored send", first, errno::ECONNRESET, ErrorKind::ConnectionReset);
    let on = reset_connection(&mut port);
    let first = run(&mut port, op::SendAll::new(on, "lost")).0;
    assert_error("the first send-all", first, errno::ECONNRESET, ErrorKind::ConnectionReset);
}

fn a_reset_under_a_receive(backend: Backend) {
    let mut port = port(backend);
    let (near, far) = tcp_pair();
    let on = port.attach(near).expect("attach");
    port.submit(op::Recv::new(on, [0; 8]), Token(1));
    assert!(!port.wait(Some(Duration::ZERO)).expect("wait"));
    SockRef::from(&far).set_linger(Some(Duration::ZERO)).expect("SO_LINGER");
    drop(far);
    let (reset, _) = one(&mut port).unpack::<op::Recv<[u8; 8]>>();
    assert_error("a reset", reset, errno::ECONNRESET, ErrorKind::ConnectionReset);
    assert_sends(&mut port, "a send after it", on, errno::EPIPE, ErrorKind::BrokenPipe);
    assert_receives(&mut port, "after that", on, errno::ECONNRESET, ErrorKind::ConnectionReset);
    let shutdown = run(&mut port, op::Shutdown::new(on, Shutdown::Write));
    assert_error("a shutdown", shutdown, errno::ENOTCONN, ErrorKind::NotConnected);
}

fn a_direction_that_was_shut_down(backend: Backend) {
    let mut port = port(backend);
    for (what, near, _far) in stream_pairs() {
        let on = port.attach(near).expect("attach");
        run(&mut port, op::Shutdown::new(on, Shutdown::Write)).expect("shutdown");
        assert_sends(&mut port, what, on, errno::EPIPE, ErrorKind::BrokenPipe);
    }
}

fn a_receiver_that_is_gone(backend: Backend) {
    let mut port = port(backend);
    let (read_end, write_end) = pipe();
    drop(read_end);
    let on = port.attach(write_end).expect("attach");
    assert_sends(&mut port, "pipe", on, errno::EPIPE, ErrorKind::BrokenPipe);
    // One that goes while a send waits for room.
    let (read_end, write_end) = pipe();
    let on = port.attach(write_end).expect("attach");
    port.submit(op::SendAll::new(on, vec![1; 4 << 20]), Token(1));
    assert!(drive_for(&mut port, Duration::from_millis(5)).is_empty(), "nobody reads");
    drop(read_end);
    let (result, _) = one(&mut port).unpack::<op::SendAll<Vec<u8>>>();
    assert_error("pipe", result, errno::EPIPE, ErrorKind::BrokenPipe);
}

fn a_receive_without_a_connection(backend: Backend) {
    let mut port = port(backend);
    let on = fresh(&mut port, Domain::IPV4);
    assert_receives(&mut port, "tcp", on, errno::ENOTCONN, ErrorKind::NotConnected);
    for how in [Shutdown::Read, Shutdown::Write, Shutdown::Both] {
        let result = run(&mut port, op::Shutdown::new(on, how));
        assert_error("shutdown", result, errno::ENOTCONN, ErrorKind::NotConnected);
    }
    // After a connect that failed, too.
    let (_taken, address) = silent_address(Domain::IPV4).expect("loopback");
    run(&mut port, op::Connect::new(on, address)).expect_err("refused");
    assert_receives(&mut port, "refused", on, errno::ENOTCONN, ErrorKind::NotConnected);
    assert_sends(&mut port, "refused", on, errno::EPIPE, ErrorKind::BrokenPipe);
}

/// Linux tells a TCP socket that never was connected from one that no longer is for receives only; others follow.
fn a_send_without_a_connection(backend: Backend) {
    skip_on_wine("calls it a reset");
    let mut port = port(backend);
    let on = fresh(&mut port, Domain::IPV4);
    assert_sends(&mut port, "tcp", on, errno::EPIPE, ErrorKind::BrokenPipe);
}

fn a_listener_without_a_connection(backend: Backend) {
    skip_on_wine("lets a receive or send on a listener wait for ever");
    let mut port = port(backend);
    let on = port.attach(listener().0).expect("attach");
    assert_receives(&mut port, "a listener", on, errno::ENOTCONN, ErrorKind::NotConnected);
    assert_sends(&mut port, "a listener", on, errno::EPIPE, ErrorKind::BrokenPipe);
}

fn a_datagram_without_a_destination(backend: Backend) {
    skip_on_wine("calls it an invalid argument");
    let mut port = port(backend);
    let on = port.attach(UdpSocket::bind("127.0.0.1:0").expect("a socket")).expect("attach");
    assert_errno("udp", run(&mut port, op::Send::new(on, "lost")).0, errno::EDESTADDRREQ);
}

fn a_socket_that_is_connected_already(backend: Backend) {
    let mut port = port(backend);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (tcp, address) = listener();
    let (other, path) = unix_target(folder.path());
    for (what, address) in [("tcp", SockAddr::from(address)), ("unix", path)] {
        let on = fresh(&mut port, domain_of(&address));
        run(&mut port, op::Connect::new(on, address.clone())).expect("connect");
        for _ in 0..2 {
            assert_errno(what, run(&mut port, op::Connect::new(on, address.clone())), errno::EISCONN);
        }
    }
    let (on, here) = (port.attach(tcp).expect("attach"), address);
    assert_errno("a listener", run(&mut port, op::Connect::new(on, here)), errno::EISCONN);
    drop(other);
}

fn an_address_that_cannot_be_used(backend: Backend) {
    let mut port = port(backend);
    // An address of another family.
    let on = fresh(&mut port, Domain::IPV4);
    let other: SocketAddr = "[::1]:9".parse().expect("an address");
    assert_errno("another family", run(&mut port, op::Connect::new(on, other)), errno::EAFNOSUPPORT);
    let on = port.attach(UdpSocket::bind("127.0.0.1:0").expect("a socket")).expect("attach");
    assert_errno("another family", run(&mut port, op::SendTo::new(on, "lost", other)).0, errno::EAFNOSUPPORT);
}

fn an_address_that_is_in_use(backend: Backend) {
    let mut port = port(backend);
    let (listener, address) = listener();
    let on = port.attach(listener).expect("attach");
    port.submit(op::AcceptMulti::new(on), Token(1));
    assert_error("in use", TcpListener::bind(address), errno::EADDRINUSE, ErrorKind::AddrInUse);
    port.submit(op::Close::new(on), Token(2));
    drop(drive(&mut port, 2));
    TcpListener::bind(address).expect("once the port has closed it, it can be had again");
}

fn a_message_that_is_too_long(backend: Backend) {
    let mut port = port(backend);
    let (near, far) = udp_pair();
    let address = far.local_addr().expect("an address");
    let on = port.attach(near).expect("attach");
    let huge = || vec![0; 70_000];
    assert_errno("send", run(&mut port, op::Send::new(on, huge())).0, errno::EMSGSIZE);
    assert_errno("send-all", run(&mut port, op::SendAll::new(on, huge())).0, errno::EMSGSIZE);
    assert_errno("vectored", run(&mut port, op::SendVectored::new(on, [huge(), huge()])).0, errno::EMSGSIZE);
    let (unconnected, _) = udp_unconnected();
    let on = port.attach(unconnected).expect("attach");
    assert_errno("send-to", run(&mut port, op::SendTo::new(on, huge(), address)).0, errno::EMSGSIZE);
}

fn a_path_that_leads_nowhere(backend: Backend) {
    let mut port = port(backend);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let at = |name: &str| folder.path().join(name);
    for (name, kind) in [("nothing", ErrorKind::NotFound), ("nothing/below", ErrorKind::NotFound)] {
        assert_error(name, run(&mut port, op::Open::new(at(name)).read(true)), errno::ENOENT, kind);
        assert_error(name, run(&mut port, op::Metadata::at(at(name))), errno::ENOENT, kind);
    }
    assert_error("empty", run(&mut port, op::Open::new("").read(true)), errno::ENOENT, ErrorKind::NotFound);
    assert_error("empty", run(&mut port, op::Metadata::at("")), errno::ENOENT, ErrorKind::NotFound);
}

fn a_name_that_is_too_long(backend: Backend) {
    skip_on_wine("says of a name that is too long that it is not there");
    let mut port = port(backend);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let long = folder.path().join("x".repeat(300));
    let (errno, kind) = (errno::ENAMETOOLONG, ErrorKind::InvalidFilename);
    assert_error("open", run(&mut port, op::Open::new(&long).read(true)), errno, kind);
    assert_error("metadata", run(&mut port, op::Metadata::at(&long)), errno, kind);
}

fn a_file_that_is_there_already(backend: Backend) {
    let mut port = port(backend);
    let file = tempfile::NamedTempFile::new().expect("a file");
    let open = op::Open::new(file.path()).write(true).create(true).exclusive(true);
    assert_error("a new file", run(&mut port, open), errno::EEXIST, ErrorKind::AlreadyExists);
}

fn a_file_that_may_only_be_read(backend: Backend) {
    without_power_over_files(|| {
        let file = tempfile::NamedTempFile::new().expect("a file");
        set_readonly(file.path(), true);
        let mut port = port(backend);
        run(&mut port, op::Open::new(file.path()).read(true)).expect("reading is allowed");
        let write = run(&mut port, op::Open::new(file.path()).write(true));
        assert_error("write", write, errno::EACCES, ErrorKind::PermissionDenied);
        // Windows removes no file that is read-only.
        set_readonly(file.path(), false);
    });
}

fn a_descriptor_that_is_open_for_the_other_direction(backend: Backend) {
    let mut port = port(backend);
    let named = tempfile::NamedTempFile::new().expect("a file");
    let mut open = |open: op::Open| {
        let opened = run(&mut port, open).expect("open");
        port.attach(opened).expect("attach")
    };
    let (reading, writing) =
        (open(op::Open::new(named.path()).read(true)), open(op::Open::new(named.path()).write(true)));
    let (read_end, write_end) = pipe();
    let pipe = (port.attach(read_end).expect("attach"), port.attach(write_end).expect("attach"));
    for (reading, writing) in [(reading, writing), pipe] {
        assert_wrong_direction(&mut port, reading, writing);
        assert_errno("pooled", run(&mut port, op::RecvPooled::new(writing)), errno::EBADF);
        assert_errno("multishot", run(&mut port, op::RecvPooledMulti::new(writing)), errno::EBADF);
    }
    // Opened by somebody else: on Windows for calls that block.
    let others = File::open(named.path()).expect("open");
    let other_writing = File::options().write(true).open(named.path()).expect("open");
    let others = (port.attach(others).expect("attach"), port.attach(other_writing).expect("attach"));
    assert_wrong_direction(&mut port, others.0, others.1);
    for (reading, writing) in [(reading, writing), others] {
        assert_errno("write-at", run(&mut port, op::WriteAt::new(reading, "text", 0)).0, errno::EBADF);
        assert_errno("read-at", run(&mut port, op::ReadAt::new(writing, [0; 8], 0)).0, errno::EBADF);
    }
}

#[track_caller]
fn assert_wrong_direction(port: &mut Port, reading: Handle, writing: Handle) {
    assert_errno("send", run(port, op::Send::new(reading, "lost")).0, errno::EBADF);
    assert_errno("send-all", run(port, op::SendAll::new(reading, "lost")).0, errno::EBADF);
    assert_errno("vectored", run(port, op::SendVectored::new(reading, ["lost"])).0, errno::EBADF);
    assert_errno("recv", run(port, op::Recv::new(writing, [0; 8])).0, errno::EBADF);
    assert_errno("vectored", run(port, op::RecvVectored::new(writing, [[0; 8]])).0, errno::EBADF);
}

fn an_object_of_the_wrong_kind(backend: Backend) {
    let mut port = port(backend);
    let (near, _far) = unix_pair();
    let (stream, (read_end, write_end)) = (port.attach(near).expect("attach"), pipe());
    let (reader, writer) = (port.attach(read_end).expect("attach"), port.attach(write_end).expect("attach"));
    let file = port.attach(tempfile::tempfile().expect("a file")).expect("attach");
    let address = any_address();

    for (what, on) in [("a pipe", reader), ("a pipe", writer), ("a file", file)] {
        assert_errno(what, run(&mut port, op::Accept::new(on)), errno::ENOTSOCK);
        assert_errno(what, run(&mut port, op::AcceptMulti::new(on)), errno::ENOTSOCK);
        assert_errno(what, run(&mut port, op::Connect::new(on, address)), errno::ENOTSOCK);
        assert_errno(what, run(&mut port, op::Shutdown::new(on, Shutdown::Both)), errno::ENOTSOCK);
        assert_errno(what, run(&mut port, op::Shutdown::new(on, Shutdown::Read)), errno::ENOTSOCK);
    }
    for (what, on) in [("a stream", stream), ("a pipe", reader)] {
        let seek = (errno::ESPIPE, ErrorKind::NotSeekable);
        assert_error(what, run(&mut port, op::ReadAt::new(on, [0; 8], 0)).0, seek.0, seek.1);
        let on = if on == reader { writer } else { on };
        assert_error(what, run(&mut port, op::WriteAt::new(on, "lost", 0)).0, seek.0, seek.1);
        assert_error(what, run(&mut port, op::Fsync::new(on)), errno::EINVAL, ErrorKind::InvalidInput);
        assert_error(what, run(&mut port, op::Fsync::data(on)), errno::EINVAL, ErrorKind::InvalidInput);
    }
}

fn a_socket_that_does_not_listen(backend: Backend) {
    skip_on_wine("lets an accept on what does not listen wait for ever");
    let mut port = port(backend);
    let (near, _far) = unix_pair();
    let stream = port.attach(near).expect("attach");
    let tcp = fresh(&mut port, Domain::IPV4);
    let udp = port.attach(UdpSocket::bind("127.0.0.1:0").expect("a socket")).expect("attach");
    for (what, on) in [("a connection", stream), ("a socket that does not listen", tcp)] {
        assert_error(what, run(&mut port, op::Accept::new(on)), errno::EINVAL, ErrorKind::InvalidInput);
        assert_error(what, run(&mut port, op::AcceptMulti::new(on)), errno::EINVAL, ErrorKind::InvalidInput);
    }
    let on_datagrams = run(&mut port, op::Accept::new(udp));
    assert_error("datagrams", on_datagrams, errno::EOPNOTSUPP, ErrorKind::Unsupported);
}

fn a_device_that_is_full(backend: Backend) {
    let Ok(full) = File::options().write(true).open("/dev/full") else { skip_elsewhere("there is no /dev/full") };
    let mut port = port(backend);
    let on = port.attach(full).expect("attach");
    assert_sends(&mut port, "/dev/full", on, errno::ENOSPC, ErrorKind::StorageFull);
}

fn an_offset_that_no_file_has(backend: Backend) {
    let mut port = port(backend);
    let on = port.attach(tempfile::tempfile().expect("a file")).expect("attach");
    for offset in [1 << 63, u64::MAX] {
        let read = run(&mut port, op::ReadAt::new(on, [0; 8], offset)).0;
        assert_refused("read-at", read, ErrorKind::InvalidInput, "at most 2^63 - 1");
        let written = run(&mut port, op::WriteAt::new(on, "text", offset)).0;
        assert_refused("write-at", written, ErrorKind::InvalidInput, "at most 2^63 - 1");
    }
    // Where nothing is, there is the end.
    assert_eq!(run(&mut port, op::ReadAt::new(on, [0; 8], 1 << 40)).0.expect("the end"), 0);
    // An offset whose end is beyond what can be said.
    let edge = i64::MAX as u64 - 2;
    let read = run(&mut port, op::ReadAt::new(on, [0; 8], edge)).0;
    assert_error("over the edge", read, errno::EINVAL, ErrorKind::InvalidInput);
    let written = run(&mut port, op::WriteAt::new(on, "text", edge)).0;
    assert_error("over the edge", written, errno::EINVAL, ErrorKind::InvalidInput);
}

fn a_deadline_that_passes(backend: Backend) {
    let mut port = port(backend);
    let (near, _far) = unix_pair();
    let on = port.attach(near).expect("attach");
    let soon = Duration::from_millis(1);
    let (errno, kind) = (errno::ETIMEDOUT, ErrorKind::TimedOut);
    assert_error("recv", run(&mut port, op::Recv::new(on, [0; 8]).within(soon)).0, errno, kind);
    assert_error("pooled", run(&mut port, op::RecvPooled::new(on).within(soon)), errno, kind);
    assert_error("ready", run(&mut port, op::Ready::readable(on).within(soon)), errno, kind);
    let hour = Duration::from_secs(3600);
    assert_error("timer", run(&mut port, op::Timer::after(hour).within(soon)), errno, kind);
}

fn a_connection_that_the_system_gives_up(backend: Backend) {
    let mut port = port(backend);
    let (_full, address) = silent_tcp();
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    // It still asks a second time, after a second.
    give_up_soon(&socket);
    let on = port.attach(socket).expect("attach");
    let given_up = run(&mut port, op::Connect::new(on, address));
    assert_error("connect", given_up, errno::ETIMEDOUT, ErrorKind::TimedOut);
}

fn an_operation_that_is_given_up(backend: Backend) {
    let mut port = port(backend);
    let (near, _far) = tcp_pair();
    let on = port.attach(near).expect("attach");
    let is_cancelled = |what: &str, result: io::Result<()>| {
        assert!(result.as_ref().is_err_and(error::is_cancelled), "{what}: {result:?}");
        assert_errno(what, result, errno::ECANCELED);
    };
    let id = port.submit(op::Recv::new(on, [0; 8]), Token(1));
    assert!(port.cancel(id));
    is_cancelled("recv", one(&mut port).unpack::<op::Recv<[u8; 8]>>().0.map(drop));
    let id = port.submit(op::Timer::after(Duration::from_secs(3600)), Token(1));
    assert!(port.cancel(id));
    is_cancelled("timer", one(&mut port).unpack::<op::Timer>());
    port.submit(op::RecvPooledMulti::new(on), Token(1));
    assert_eq!(port.cancel_all(on), 1);
    is_cancelled("multishot", one(&mut port).unpack::<op::RecvPooledMulti>().map(drop));
    port.submit(op::Ready::readable(on), Token(1));
    port.submit(op::Close::new(on), Token(2));
    is_cancelled("ready", one(&mut port).unpack::<op::Ready>());
    one(&mut port).unpack::<op::Close>().expect("close");
    // What only looks like it is not.
    for error in [io::ErrorKind::TimedOut.into(), io::Error::other("cancelled"), io::ErrorKind::Interrupted.into()] {
        assert!(!error::is_cancelled(&error), "{error:?}");
    }
}

fn a_stale_handle(backend: Backend) {
    let (mut port, mut other) = (port(backend), port(backend));
    let closed = port.attach(unix_pair().0).expect("attach");
    run(&mut port, op::Close::new(closed)).expect("close");
    let foreign = other.attach(unix_pair().0).expect("attach");
    let mut stale = vec![closed, foreign];
    if can_detach() {
        let detached = port.attach(unix_pair().0).expect("attach");
        drop(detach(&mut port, detached));
        stale.push(detached);
    }
    for on in stale {
        let (kind, way_out) = (ErrorKind::NotFound, "attach the object again");
        assert_refused("recv", run(&mut port, op::Recv::new(on, [0; 8])).0, kind, way_out);
        assert_refused("multishot", run(&mut port, op::AcceptMulti::new(on)), kind, way_out);
        assert_refused("write-at", run(&mut port, op::WriteAt::new(on, "lost", 0)).0, kind, way_out);
        assert_refused("close", run(&mut port, op::Close::new(on)), kind, way_out);
        assert_refused("detach", port.detach(on), kind, way_out);
        assert_refused("the object", near(&port, on), kind, way_out);
    }
}

fn a_busy_handle(backend: Backend) {
    let mut port = port(backend);
    let on = port.attach(unix_pair().0).expect("attach");
    let (read_end, _write_end) = pipe();
    let waiting = port.attach(read_end).expect("attach");
    port.submit(op::Recv::new(waiting, [0; 8]), Token(1));
    assert_refused("detach", port.detach(waiting), ErrorKind::ResourceBusy, "cancel them");
    if can_detach() {
        port.detach(on).expect("this one is idle");
    }
}

fn a_buffer_without_room(backend: Backend) {
    let mut port = port(backend);
    let on = port.attach(unix_pair().0).expect("attach");
    let file = port.attach(tempfile::tempfile().expect("a file")).expect("attach");
    let (kind, way_out) = (ErrorKind::InvalidInput, "lend one with capacity");
    assert_refused("recv", run(&mut port, op::Recv::new(on, Vec::new())).0, kind, way_out);
    assert_refused("slice", run(&mut port, op::Recv::new(on, vec![0; 8].slice(8..))).0, kind, way_out);
    assert_refused("vectored", run(&mut port, op::RecvVectored::new(on, [[0; 0]; 2])).0, kind, way_out);
    assert_refused("recv-from", run(&mut port, op::RecvFrom::new(on, [0; 0])).0, kind, way_out);
    assert_refused("read-at", run(&mut port, op::ReadAt::new(file, Vec::new(), 0)).0, kind, way_out);
}

fn an_impossible_path_or_access(backend: Backend) {
    let mut port = port(backend);
    let kind = ErrorKind::InvalidInput;
    assert_refused("open", run(&mut port, op::Open::new("a\0b").read(true)), kind, "NUL");
    assert_refused("metadata", run(&mut port, op::Metadata::at("a\0b")), kind, "NUL");
    assert_refused("neither", run(&mut port, op::Open::new(Path::new("/"))), kind, "for reading, writing or both");
}

fn a_closure_that_panics(backend: Backend) {
    let mut port = port(backend);
    // As `panic!` does it, for words, formatted words and a value, but without the report.
    let panicking = |payload: Box<dyn Any + Send>| op::Blocking::boxed(move || -> () { resume_unwind(payload) });
    let kind = ErrorKind::Other;
    assert_refused("words", run(&mut port, panicking(Box::new("in so many words"))), kind, "in so many words");
    assert_refused("formatted", run(&mut port, panicking(Box::new(String::from("number 7")))), kind, "number 7");
    assert_refused("a value", run(&mut port, panicking(Box::new(7))), kind, "panicked");
    assert_eq!(run(&mut port, op::Blocking::new(|| 7)).expect("the pool lives on"), 7);
}

fn a_network_that_cannot_be_reached(backend: Backend) {
    leave_the_network();
    let mut port = port(backend);
    let address: SocketAddr = "127.0.0.1:9".parse().expect("an address");
    let on = fresh(&mut port, Domain::IPV4);
    let (errno, kind) = (errno::ENETUNREACH, ErrorKind::NetworkUnreachable);
    assert_error("connect", run(&mut port, op::Connect::new(on, address)), errno, kind);
    let on = port.attach(UdpSocket::bind("0.0.0.0:0").expect("a socket")).expect("attach");
    assert_error("connect, udp", run(&mut port, op::Connect::new(on, address)), errno, kind);
    assert_error("send-to", run(&mut port, op::SendTo::new(on, "lost", address)).0, errno, kind);
}

fn a_process_without_descriptors(backend: Backend) {
    let mut port = port(backend);
    let (listener, address) = listener();
    let _client = TcpStream::connect(address).expect("connect");
    let on = port.attach(listener).expect("attach");
    // The pool's thread needs none, but is started before.
    run(&mut port, op::Metadata::at("/")).expect("metadata");
    {
        let _used_up = UsedUp::new();
        assert_errno("open", run(&mut port, op::Open::new(NULL).read(true)), errno::EMFILE);
        assert_errno("accept", run(&mut port, op::Accept::new(on)), errno::EMFILE);
    }
    drop(run(&mut port, op::Open::new(NULL).read(true)).expect("open"));
    drop(run(&mut port, op::Accept::new(on)).expect("the connection still waits"));
}
