//! C1: every submitted operation gets exactly one final completion; those of a multishot one before it say `more`.

use std::fmt::Debug;
use std::io::{self, ErrorKind, Write};
use std::net::{Shutdown, TcpStream};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Duration;

use anyport::buf::IoBuf;
use anyport::op::{self, Operation, Unpack};
use anyport::{Backend, Completion, Handle, Port, Token, error};
use socket2::{Domain, SockAddr, Socket, Type};

use crate::support::*;

pub(crate) fn tests() -> Vec<Case> {
    cases![
        every_operation_that_succeeds_completes_once,
        every_operation_that_is_cancelled_completes_once,
        every_operation_that_times_out_completes_once,
        every_operation_whose_handle_is_closed_completes_once,
        every_operation_on_a_stale_handle_completes_once,
        every_operation_on_a_handle_of_another_port_completes_once,
        every_bad_argument_is_a_completion,
        the_wrong_kind_of_object_is_a_completion,
        a_connection_accepts_nothing_and_a_listener_receives_nothing,
        the_wrong_kind_of_object_is_one_also_when_nothing_is_there_to_read,
        what_the_system_refuses_is_a_completion,
        a_multishot_accept_says_more_until_its_last,
        a_multishot_receive_says_more_until_its_last,
        a_multishot_operation_that_fails_at_once_has_one_completion,
        thousands_in_flight_need_no_large_ring,
        thousands_of_receives_need_no_large_ring,
        file_operations_need_no_large_ring,
        an_operation_is_in_flight_until_its_completion_is_taken,
        operations_may_be_submitted_while_others_complete,
        a_token_is_the_users_own,
        unpacking_as_another_operation_panics_and_leaks_nothing,
        try_unpack_gives_the_completion_back,
        a_buffer_of_any_size_and_alignment_can_be_lent,
        a_buffer_that_panics_leaves_the_port_as_it_was,
    ]
}

const HOUR: Duration = Duration::from_secs(3600);
const MS: Duration = Duration::from_millis(1);

/// Submits an operation and takes its completion, which must be the only one.
#[track_caller]
fn only<O: Operation>(port: &mut Port, operation: O) -> <O::Of as Unpack>::Output {
    let before = port.in_flight();
    let id = port.submit(operation, Token(4711));
    assert_eq!(port.in_flight(), before + 1);
    let done = one(port);
    assert_eq!((done.token(), done.id(), done.more()), (Token(4711), id, false));
    assert!(done.is::<O::Of>());
    assert_eq!(port.in_flight(), before, "{}: its final completion was taken", done.name());
    assert!(!port.cancel(id), "{}: it is done", done.name());
    let output = done.unpack::<O::Of>();
    assert!(port.next().is_none() && !port.wait(Some(Duration::ZERO)).expect("wait"), "it completed again");
    output
}

#[track_caller]
fn assert_kind<T: Debug>(what: &str, result: io::Result<T>, kinds: &[ErrorKind]) {
    match result {
        Err(error) => assert!(kinds.contains(&error.kind()), "{what}: {error:?}, not one of {kinds:?}"),
        Ok(value) => panic!("{what}: Ok({value:?}), not one of {kinds:?}"),
    }
}

fn every_operation_that_succeeds_completes_once(backend: Backend) {
    let mut port = port(backend);
    let folder = tempfile::tempdir().expect("a temporary folder");

    only(&mut port, op::Nop::new()).expect("nop");
    only(&mut port, op::Nop::new().within(HOUR)).expect("nop with a deadline");
    only(&mut port, op::Timer::after(MS)).expect("timer");
    only(&mut port, op::Timer::after(MS).within(HOUR)).expect("timer with a later deadline");
    assert_eq!(only(&mut port, op::Blocking::new(|| 42)).expect("closure"), 42);
    let panicked: io::Result<()> = only(&mut port, op::Blocking::new(|| resume_unwind(Box::new("on purpose"))));
    assert!(panicked.expect_err("it panicked").to_string().contains("on purpose"));

    let path = folder.path().join("file");
    let opened = only(&mut port, op::Open::new(&path).read(true).write(true).create(true)).expect("open");
    let file = port.attach(opened).expect("attach");
    assert_eq!(only(&mut port, op::WriteAt::new(file, pattern(1, 1000), 7)).0.expect("write-at"), 1000);
    only(&mut port, op::Fsync::new(file)).expect("fsync");
    only(&mut port, op::Fsync::data(file)).expect("fdatasync");
    let (result, buf) = only(&mut port, op::ReadAt::new(file, vec![0; 2000], 7));
    assert_eq!(result.expect("read-at"), 1000);
    assert_piece(&buf, 1, 0);
    assert_eq!(only(&mut port, op::ReadAt::new(file, vec![0; 10], 5000)).0.expect("beyond the end"), 0);
    assert_eq!(only(&mut port, op::Metadata::of(file)).expect("metadata").len(), 1007);
    assert_eq!(only(&mut port, op::Metadata::at(&path)).expect("metadata").len(), 1007);
    only(&mut port, op::Ready::readable(file)).expect("files are always ready");
    only(&mut port, op::Close::new(file)).expect("close");

    let (listener, address) = listener();
    let listener = port.attach(listener).expect("attach");
    let near = port.attach(Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket")).expect("attach");
    only(&mut port, op::Connect::new(near, address)).expect("connect");
    only(&mut port, op::Ready::readable(listener)).expect("a connection waits");
    let far = only(&mut port, op::Accept::new(listener)).expect("accept");
    let far = port.attach(far).expect("attach");
    only(&mut port, op::Ready::writable(near)).expect("writable");
    assert_eq!(only(&mut port, op::Send::new(near, "one")).0.expect("send"), 3);
    assert_eq!(only(&mut port, op::SendAll::new(near, "two")).0.expect("send-all"), 3);
    assert_eq!(only(&mut port, op::SendVectored::new(near, ["th", "ree"])).0.expect("send vectored"), 5);
    only(&mut port, op::Ready::readable(far)).expect("readable");
    assert_eq!(only(&mut port, op::Recv::new(far, [0; 3])).1, *b"one");
    let (result, bufs) = only(&mut port, op::RecvVectored::new(far, [[0; 1], [0; 1]]));
    assert_eq!((result.expect("recv vectored"), bufs), (2, [*b"t", *b"w"]));
    assert_eq!(only(&mut port, op::Recv::new(far, [0; 1])).1, *b"o");
    assert_eq!(*only(&mut port, op::RecvPooled::new(far)).expect("recv pooled"), *b"three");
    only(&mut port, op::Shutdown::new(near, Shutdown::Write)).expect("shutdown");
    assert_eq!(only(&mut port, op::Recv::new(far, [0; 1])).0.expect("end of stream"), 0);
    assert_eq!(*only(&mut port, op::RecvPooled::new(far)).expect("end of stream"), []);
    assert_eq!(*only(&mut port, op::RecvPooledMulti::new(far)).expect("end of stream"), []);
    only(&mut port, op::Shutdown::new(far, Shutdown::Both)).expect("shutdown");
    only(&mut port, op::Close::new(near)).expect("close");
    only(&mut port, op::Close::new(far).within(HOUR)).expect("close with a deadline");

    let (here, there) = udp_unconnected();
    let (from, to) = (here.local_addr().expect("an address"), there.local_addr().expect("an address"));
    let (here, there) = (port.attach(here).expect("attach"), port.attach(there).expect("attach"));
    assert_eq!(only(&mut port, op::SendTo::new(here, *b"datagram", to)).0.expect("send-to"), 8);
    let (result, buf) = only(&mut port, op::RecvFrom::new(there, [0; 16]));
    let (len, sender) = result.expect("recv-from");
    assert_eq!((len, &buf[..8], sender.as_socket()), (8, &b"datagram"[..], Some(from)));
    assert_eq!(only(&mut port, op::SendTo::new(here, *b"pooled", to)).0.expect("send-to"), 6);
    let (buf, sender) = only(&mut port, op::RecvFromPooled::new(there)).expect("recv-from pooled");
    assert_eq!((&*buf, sender.as_socket()), (&b"pooled"[..], Some(from)));

    let (reader, writer) = pipe();
    let (reader, writer) = (port.attach(reader).expect("attach"), port.attach(writer).expect("attach"));
    assert_eq!(only(&mut port, op::SendVectored::new(writer, ["a", "b"])).0.expect("writev"), 2);
    assert_eq!(only(&mut port, op::SendAll::new(writer, "c")).0.expect("write"), 1);
    let (result, bufs) = only(&mut port, op::RecvVectored::new(reader, [[0; 1], [0; 1]]));
    assert_eq!((result.expect("readv"), bufs), (2, [*b"a", *b"b"]));
    assert_eq!(only(&mut port, op::Recv::new(reader, [0; 4])).0.expect("read"), 1);
    assert_eq!(port.in_flight(), 0);
}

#[track_caller]
fn assert_cancelled(what: &str, result: io::Result<()>) {
    assert!(result.as_ref().is_err_and(error::is_cancelled), "{what}: {result:?}");
}

/// Lets the backend have what was submitted, where it takes that up only when it waits.
fn hand_over(port: &mut Port) {
    assert!(!port.wait(Some(MS)).expect("wait"), "nothing completes by itself: {:?}", port.next());
}

fn every_operation_that_is_cancelled_completes_once(backend: Backend) {
    for handed_over in [true, false] {
        let (mut port, tally) = (port(backend), Tally::default());
        let cast = submit_every_kind(&mut port, &tally, None);
        assert_eq!(port.in_flight(), cast.pending.len());
        if handed_over {
            hand_over(&mut port);
        }
        // The last first: a shutdown that comes to the head of its lane is done at once.
        for pending in cast.pending.iter().rev() {
            assert!(port.cancel(pending.id), "{} was in flight", pending.name);
        }
        cast.each_once(&mut port, |pending, result| assert_cancelled(pending.name, result));
        for pending in &cast.pending {
            assert!(!port.cancel(pending.id), "{} is done", pending.name);
        }
        drop(port);
        cast.send_to_all();
        tally.assert_settled();
    }
}

fn every_operation_that_times_out_completes_once(backend: Backend) {
    for deadline in [5 * MS, Duration::ZERO] {
        let (mut port, tally) = (port(backend), Tally::default());
        let cast = submit_every_kind(&mut port, &tally, Some(deadline));
        cast.each_once(&mut port, |pending, result| assert_kind(pending.name, result, &[ErrorKind::TimedOut]));
        drop(port);
        cast.send_to_all();
        tally.assert_settled();
    }
}

fn every_operation_whose_handle_is_closed_completes_once(backend: Backend) {
    let (mut port, tally) = (port(backend), Tally::default());
    let cast = submit_every_kind(&mut port, &tally, None);
    hand_over(&mut port);
    let mut handles: Vec<Handle> = cast.pending.iter().filter_map(|pending| pending.handle).collect();
    handles.dedup();
    let closes: Vec<_> = handles.iter().map(|&handle| port.submit(op::Close::new(handle), Token(u64::MAX))).collect();
    for pending in cast.pending.iter().filter(|pending| pending.handle.is_none()) {
        port.cancel(pending.id);
    }
    let (mut closed, mut ended) = (Vec::new(), vec![0; cast.pending.len()]);
    for done in drive(&mut port, cast.pending.len() + handles.len()) {
        assert!(!done.more());
        if done.token() == Token(u64::MAX) {
            closed.push(done.id());
            done.unpack::<op::Close>().expect("close");
        } else {
            let pending = &cast.pending[done.token().0 as usize];
            assert_eq!(done.id(), pending.id);
            ended[done.token().0 as usize] += 1;
        }
    }
    assert_eq!(closed.len(), closes.len());
    assert!(closes.iter().all(|id| closed.contains(id)));
    assert!(ended.iter().all(|&times| times == 1), "{ended:?}");
    assert_eq!(port.in_flight(), 0);
    tally.assert_settled();
}

/// Submits every operation that takes a handle; each must end with `NotFound`, and its buffer come back.
fn everything_is_not_found(port: &mut Port, handle: Handle, tally: &Tally) {
    let gone = &[ErrorKind::NotFound];
    let lend = || tally.lend(8);
    let address: SockAddr = "127.0.0.1:9".parse::<std::net::SocketAddr>().expect("an address").into();
    assert_kind("accept", only(port, op::Accept::new(handle)), gone);
    assert_kind("accept multi", only(port, op::AcceptMulti::new(handle)), gone);
    assert_kind("connect", only(port, op::Connect::new(handle, address.clone())), gone);
    assert_kind("recv", only(port, op::Recv::new(handle, lend())).0, gone);
    assert_kind("recv with a deadline", only(port, op::Recv::new(handle, lend()).within(HOUR)).0, gone);
    assert_kind("recv pooled", only(port, op::RecvPooled::new(handle)), gone);
    assert_kind("recv pooled multi", only(port, op::RecvPooledMulti::new(handle)), gone);
    assert_kind("recv vectored", only(port, op::RecvVectored::new(handle, [lend(), lend()])).0, gone);
    assert_kind("recv-from", only(port, op::RecvFrom::new(handle, lend())).0, gone);
    assert_kind("recv-from pooled", only(port, op::RecvFromPooled::new(handle)), gone);
    assert_kind("recv-from pooled multi", only(port, op::RecvFromPooledMulti::new(handle)), gone);
    assert_kind("send", only(port, op::Send::new(handle, lend())).0, gone);
    assert_kind("send-all", only(port, op::SendAll::new(handle, lend())).0, gone);
    assert_kind("send vectored", only(port, op::SendVectored::new(handle, vec![lend()])).0, gone);
    assert_kind("send-to", only(port, op::SendTo::new(handle, lend(), address)).0, gone);
    assert_kind("shutdown", only(port, op::Shutdown::new(handle, Shutdown::Both)), gone);
    assert_kind("ready", only(port, op::Ready::readable(handle)), gone);
    assert_kind("ready", only(port, op::Ready::writable(handle)), gone);
    assert_kind("read-at", only(port, op::ReadAt::new(handle, lend(), 0)).0, gone);
    assert_kind("write-at", only(port, op::WriteAt::new(handle, lend(), 0)).0, gone);
    assert_kind("fsync", only(port, op::Fsync::new(handle)), gone);
    assert_kind("metadata", only(port, op::Metadata::of(handle)), gone);
    assert_kind("close", only(port, op::Close::new(handle)), gone);
    assert_kind("detach", port.detach(handle), gone);
    assert_kind("its object", near(port, handle), gone);
    assert_eq!(port.cancel_all(handle), 0);
    tally.assert_settled();
}

fn every_operation_on_a_stale_handle_completes_once(backend: Backend) {
    let (mut port, tally) = (port(backend), Tally::default());
    let closed = port.attach(unix_pair().0).expect("attach");
    only(&mut port, op::Close::new(closed)).expect("close");
    everything_is_not_found(&mut port, closed, &tally);
    let detached = port.attach(unix_pair().0).expect("attach");
    if can_detach() {
        drop(detach(&mut port, detached));
        everything_is_not_found(&mut port, detached, &tally);
    }
    // Others that have their places now are not reached.
    let (near, mut far) = unix_pair();
    let successor = port.attach(near).expect("attach");
    everything_is_not_found(&mut port, closed, &tally);
    if can_detach() {
        everything_is_not_found(&mut port, detached, &tally);
    }
    far.write_all(b"alive").expect("write");
    assert_eq!(only(&mut port, op::Recv::new(successor, [0; 5])).1, *b"alive");
}

fn every_operation_on_a_handle_of_another_port_completes_once(backend: Backend) {
    let (mut here, mut there, tally) = (port(backend), port(backend), Tally::default());
    let (near, mut far) = unix_pair();
    let mine = here.attach(near).expect("attach");
    let foreign = there.attach(unix_pair().0).expect("attach");
    everything_is_not_found(&mut here, foreign, &tally);
    drop(there);
    everything_is_not_found(&mut here, foreign, &tally);
    far.write_all(b"alive").expect("write");
    assert_eq!(only(&mut here, op::Recv::new(mine, [0; 5])).1, *b"alive");
}

fn every_bad_argument_is_a_completion(backend: Backend) {
    let mut port = port(backend);
    let bad = &[ErrorKind::InvalidInput];
    let (near, mut far) = tcp_pair();
    let conn = port.attach(near).expect("attach");
    let (here, there) = udp_pair();
    let (here, _there) = (port.attach(here).expect("attach"), there);
    let file = port.attach(tempfile::tempfile().expect("a file")).expect("attach");
    far.write_all(b"data that no receive without room may take").expect("write");

    let vec = Vec::with_capacity(0);
    assert_kind("no room", only(&mut port, op::Recv::new(conn, vec)).0, bad);
    assert_kind("no room", only(&mut port, op::Recv::new(conn, [0; 0])).0, bad);
    assert_kind("no room", only(&mut port, op::Recv::new(conn, Box::<[u8]>::default())).0, bad);
    assert_kind("no room", only(&mut port, op::Recv::new(conn, Vec::with_capacity(8).slice(1..))).0, bad);
    assert_kind("no room", only(&mut port, op::Recv::new(conn, vec![0; 8].slice(3..3))).0, bad);
    assert_kind("no room", only(&mut port, op::Recv::new(conn, Vec::new()).within(HOUR)).0, bad);
    assert_kind("no room", only(&mut port, op::RecvFrom::new(here, Vec::new())).0, bad);
    assert_kind("no room", only(&mut port, op::RecvVectored::new(conn, [[0; 0]; 3])).0, bad);
    assert_kind("no buffer", only(&mut port, op::RecvVectored::new(conn, Vec::<Vec<u8>>::new())).0, bad);
    assert_kind("no room", only(&mut port, op::ReadAt::new(file, Vec::new(), 0)).0, bad);
    for offset in [1 << 63, u64::MAX] {
        assert_kind("offset", only(&mut port, op::ReadAt::new(file, vec![0; 8], offset)).0, bad);
        assert_kind("offset", only(&mut port, op::WriteAt::new(file, vec![0; 8], offset)).0, bad);
    }
    assert_kind("NUL", only(&mut port, op::Open::new("a\0b").read(true)), bad);
    assert_kind("NUL", only(&mut port, op::Metadata::at("a\0b")), bad);
    assert_kind("NUL", only(&mut port, op::Metadata::at("\0").within(HOUR)), bad);
    assert_kind("neither", only(&mut port, op::Open::new("/dev/null")), bad);

    // Nothing of it has harmed the objects.
    assert_eq!(only(&mut port, op::Recv::new(conn, [0; 4])).1, *b"data");
    // What sends nothing is no error.
    assert_eq!(only(&mut port, op::Send::new(conn, "")).0.expect("nothing to send"), 0);
    assert_eq!(only(&mut port, op::SendAll::new(conn, Vec::new())).0.expect("nothing to send"), 0);
    assert_eq!(only(&mut port, op::SendVectored::new(conn, Vec::<Vec<u8>>::new())).0.expect("no buffer"), 0);
    assert_eq!(only(&mut port, op::WriteAt::new(file, "", 0)).0.expect("nothing to write"), 0);
}

fn the_wrong_kind_of_object_is_a_completion(backend: Backend) {
    let mut port = port(backend);
    let (near, _far) = unix_pair();
    let stream = port.attach(near).expect("attach");
    let tcp = port.attach(listener().0).expect("attach");
    let fresh = port.attach(Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket")).expect("attach");
    let (reader, _writer) = pipe();
    let reader = port.attach(reader).expect("attach");
    let (_reader, writer) = pipe();
    let writer = port.attach(writer).expect("attach");
    let file = port.attach(tempfile::tempfile().expect("a file")).expect("attach");
    let folder = port.attach(folder()).expect("attach");
    let address: std::net::SocketAddr = "127.0.0.1:9".parse().expect("an address");

    // What exactly each is called is C7's; here each ends, once.
    assert!(only(&mut port, op::Accept::new(reader)).is_err(), "accept on a pipe");
    assert!(only(&mut port, op::Accept::new(file)).is_err(), "accept on a file");
    assert!(only(&mut port, op::AcceptMulti::new(file)).is_err(), "accept on a file");
    assert!(only(&mut port, op::Connect::new(reader, address)).is_err(), "connect a pipe");
    assert!(only(&mut port, op::Connect::new(file, address)).is_err(), "connect a file");
    assert!(only(&mut port, op::Connect::new(tcp, address)).is_err(), "connect a listener");
    assert!(only(&mut port, op::Recv::new(fresh, [0; 1])).0.is_err(), "recv on what is not connected");
    assert!(only(&mut port, op::Recv::new(writer, [0; 1])).0.is_err(), "read the writing end");
    assert!(only(&mut port, op::Recv::new(folder, [0; 1])).0.is_err(), "read a folder");
    assert!(only(&mut port, op::RecvPooled::new(writer)).is_err(), "read the writing end");
    assert!(only(&mut port, op::RecvPooledMulti::new(writer)).is_err(), "read the writing end");
    assert!(only(&mut port, op::RecvVectored::new(writer, [[0; 1]])).0.is_err(), "read the writing end");
    assert!(only(&mut port, op::Send::new(reader, "x")).0.is_err(), "write to the reading end");
    assert!(only(&mut port, op::SendAll::new(reader, "x")).0.is_err(), "write to the reading end");
    assert!(only(&mut port, op::SendVectored::new(reader, ["x"])).0.is_err(), "write to the reading end");
    assert!(only(&mut port, op::SendVectored::new(folder, ["x"])).0.is_err(), "write to a folder");
    assert!(only(&mut port, op::Shutdown::new(reader, Shutdown::Both)).is_err(), "shut a pipe down");
    assert!(only(&mut port, op::Shutdown::new(fresh, Shutdown::Write)).is_err(), "shut down what is not connected");
    assert!(only(&mut port, op::Shutdown::new(fresh, Shutdown::Read)).is_err(), "shut down what is not connected");
    assert!(only(&mut port, op::Fsync::new(stream)).is_err(), "fsync a socket");
    assert!(only(&mut port, op::Fsync::new(reader)).is_err(), "fsync a pipe");
    assert!(only(&mut port, op::ReadAt::new(stream, [0; 1], 0)).0.is_err(), "a socket has no offsets");
    assert!(only(&mut port, op::ReadAt::new(reader, [0; 1], 0)).0.is_err(), "a pipe has no offsets");
    assert!(only(&mut port, op::WriteAt::new(stream, "x", 0)).0.is_err(), "a socket has no offsets");
    assert!(only(&mut port, op::WriteAt::new(writer, "x", 0)).0.is_err(), "a pipe has no offsets");
    assert!(only(&mut port, op::ReadAt::new(folder, [0; 1], 0)).0.is_err(), "read a folder");
    assert_eq!(port.in_flight(), 0);
}

fn a_connection_accepts_nothing_and_a_listener_receives_nothing(backend: Backend) {
    skip_on_wine(WAITS);
    let mut port = port(backend);
    let (near, _far) = unix_pair();
    let stream = port.attach(near).expect("attach");
    let tcp = port.attach(listener().0).expect("attach");
    let fresh = port.attach(Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket")).expect("attach");
    assert!(only(&mut port, op::Accept::new(stream)).is_err(), "accept on a connection");
    assert!(only(&mut port, op::Accept::new(fresh)).is_err(), "accept on a socket that does not listen");
    assert!(only(&mut port, op::AcceptMulti::new(stream)).is_err(), "accept on a connection");
    assert!(only(&mut port, op::Recv::new(tcp, [0; 1])).0.is_err(), "recv on a listener");
    assert!(only(&mut port, op::RecvPooled::new(tcp)).is_err(), "recv on a listener");
    assert!(only(&mut port, op::RecvPooledMulti::new(tcp)).is_err(), "recv on a listener");
    assert!(only(&mut port, op::RecvFromPooled::new(tcp)).is_err(), "recv on a listener");
    assert!(only(&mut port, op::RecvFromPooledMulti::new(tcp)).is_err(), "recv on a listener");
    assert!(only(&mut port, op::RecvVectored::new(tcp, [[0; 1]])).0.is_err(), "recv on a listener");
    assert!(only(&mut port, op::Send::new(tcp, "x")).0.is_err(), "send on a listener");
    assert_eq!(port.in_flight(), 0);
}

/// What Wine does instead.
const WAITS: &str = "lets an accept on what does not listen, and a receive or send on a listener, wait for ever";

/// A reactor that knows that a read would block must not conclude that any operation would.
fn the_wrong_kind_of_object_is_one_also_when_nothing_is_there_to_read(backend: Backend) {
    let mut port = port(backend);
    skip_on_wine(WAITS);
    let (near, _far) = tcp_pair();
    let stream = port.attach(near).expect("attach");
    let listener = port.attach(listener().0).expect("attach");
    let waiting = [
        port.submit(op::Recv::new(stream, [0; 1]), Token(0)),
        port.submit(op::Accept::new(listener), Token(1)),
    ];
    hand_over(&mut port);
    for id in waiting {
        assert!(port.cancel(id));
    }
    drive(&mut port, 2);
    assert!(only(&mut port, op::Accept::new(stream)).is_err(), "accept on a connection");
    assert!(only(&mut port, op::AcceptMulti::new(stream)).is_err(), "accept on a connection");
    assert!(only(&mut port, op::Recv::new(listener, [0; 1])).0.is_err(), "recv on a listener");
    assert!(only(&mut port, op::RecvPooled::new(listener)).is_err(), "recv on a listener");
    assert!(only(&mut port, op::RecvPooledMulti::new(listener)).is_err(), "recv on a listener");
}

fn what_the_system_refuses_is_a_completion(backend: Backend) {
    let mut port = port(backend);
    let address = listener().1;
    let conn = port.attach(Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket")).expect("attach");
    assert_kind("connect", only(&mut port, op::Connect::new(conn, address)), &[ErrorKind::ConnectionRefused]);
    // The connect that failed lets those behind it go, and they fail for themselves.
    let conn = port.attach(Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket")).expect("attach");
    port.submit(op::Connect::new(conn, address), Token(0));
    port.submit(op::Recv::new(conn, [0; 1]), Token(1));
    port.submit(op::SendAll::new(conn, "x"), Token(2));
    port.submit(op::Recv::new(conn, [0; 1]), Token(3));
    let mut tokens: Vec<_> = drive(&mut port, 4).iter().map(|done| (done.token(), done.more())).collect();
    tokens.sort();
    assert_eq!(tokens, [0, 1, 2, 3].map(|token| (Token(token), false)));

    let missing = only(&mut port, op::Open::new("/no/such/file").read(true));
    assert_kind("open", missing, &[ErrorKind::NotFound]);
    assert_kind("metadata", only(&mut port, op::Metadata::at("/no/such/file")), &[ErrorKind::NotFound]);
    let (here, _there) = udp_unconnected();
    let here = port.attach(here).expect("attach");
    assert!(only(&mut port, op::Send::new(here, "x")).0.is_err(), "no destination");
    let huge = vec![0; 70_000];
    let to = "127.0.0.1:9".parse::<std::net::SocketAddr>().expect("an address");
    assert!(only(&mut port, op::SendTo::new(here, huge, to)).0.is_err(), "larger than a datagram can be");
    assert_eq!(port.in_flight(), 0);
}

fn a_multishot_accept_says_more_until_its_last(backend: Backend) {
    let mut port = port(backend);
    let (listener, address) = listener();
    let listener = port.attach(listener).expect("attach");
    let id = port.submit(op::AcceptMulti::new(listener), Token(1));
    let mut clients = Vec::new();
    for batch in [1, 3, 40] {
        clients.extend((0..batch).map(|_| TcpStream::connect(address).expect("connect")));
        for done in drive(&mut port, batch) {
            assert_eq!((done.token(), done.id(), done.more()), (Token(1), id, true));
            assert_eq!(port.in_flight(), 1);
            done.unpack::<op::AcceptMulti>().expect("accept");
        }
    }
    assert!(port.cancel(id));
    let done = one(&mut port);
    assert_eq!((done.token(), done.id(), done.more()), (Token(1), id, false));
    assert_cancelled("accept", done.unpack::<op::AcceptMulti>().map(drop));
    assert_eq!(port.in_flight(), 0);
    // What connects now is nobody's.
    let _late = TcpStream::connect(address).expect("connect");
    assert!(drive_for(&mut port, 10 * MS).is_empty(), "it was over");
    assert!(!port.cancel(id));
}

fn a_multishot_receive_says_more_until_its_last(backend: Backend) {
    for (kind, near, mut far) in stream_pairs() {
        // A pool smaller than what arrives, so that it is out of buffers on the way.
        let mut port = Port::builder().backend(backend).pool(4, 128).build().expect("a port");
        let conn = port.attach(near).expect("attach");
        let id = port.submit(op::RecvPooledMulti::new(conn), Token(1));
        let (mut received, size) = (Vec::new(), 10_000);
        far.write_all(&pattern(1, size)).expect("write");
        let mut held = Vec::new();
        while received.len() < size {
            let done = one(&mut port);
            assert_eq!((done.token(), done.id(), done.more()), (Token(1), id, true), "{kind}");
            let buf = done.unpack::<op::RecvPooledMulti>().expect("data");
            assert!(!buf.is_empty(), "{kind}");
            received.extend_from_slice(&buf);
            // All buffers are out for a while.
            held.push(buf);
            if held.len() == 4 {
                assert!(port.next().is_none(), "{kind}: there is no buffer");
                held.clear();
            }
        }
        assert_piece(&received, 1, 0);
        drop(far);
        let done = one(&mut port);
        assert_eq!((done.token(), done.id(), done.more()), (Token(1), id, false), "{kind}");
        assert_eq!(*done.unpack::<op::RecvPooledMulti>().expect("end of stream"), [], "{kind}");
        assert_eq!(port.in_flight(), 0, "{kind}");
        assert!(drive_for(&mut port, 5 * MS).is_empty(), "{kind}: it was over");
    }
}

fn a_multishot_operation_that_fails_at_once_has_one_completion(backend: Backend) {
    skip_on_wine(WAITS);
    let mut port = port(backend);
    let fresh = port.attach(Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket")).expect("attach");
    assert!(only(&mut port, op::AcceptMulti::new(fresh)).is_err());
    assert!(only(&mut port, op::RecvPooledMulti::new(fresh)).is_err());
    assert!(only(&mut port, op::RecvFromPooledMulti::new(fresh)).is_err());
}

fn small_port(backend: Backend, entries: u32) -> Port {
    Port::builder().backend(backend).entries(entries).build().expect("a port with few entries")
}

fn thousands_in_flight_need_no_large_ring(backend: Backend) {
    for entries in [1, 2, 4] {
        let mut port = small_port(backend, entries);
        let folder = tempfile::tempdir().expect("a temporary folder");
        const EACH: u64 = 1000;
        let mut ids = std::collections::HashMap::new();
        for n in 0..EACH {
            for (kind, id) in [
                port.submit(op::Nop::new(), Token(n)),
                port.submit(op::Timer::after(Duration::from_micros(n * 20)), Token(n + EACH)),
                port.submit(op::Metadata::at(folder.path()), Token(n + 2 * EACH)),
                port.submit(op::Blocking::new(|| ()), Token(n + 3 * EACH)),
                port.submit(op::Open::new("/no/such/file").read(true), Token(n + 4 * EACH)),
            ]
            .into_iter()
            .enumerate()
            {
                assert_eq!(ids.insert(n + kind as u64 * EACH, id), None);
            }
        }
        assert_eq!(port.in_flight() as u64, 5 * EACH);
        for left in (0..5 * EACH).rev() {
            let done = one(&mut port);
            assert_eq!(Some(done.id()), ids.remove(&done.token().0), "{:?}", done.token());
            assert_eq!(port.in_flight() as u64, left);
        }
        assert!(drive_for(&mut port, 5 * MS).is_empty());
    }
}

fn thousands_of_receives_need_no_large_ring(backend: Backend) {
    const CONNECTIONS: usize = 200;
    const DEEP: usize = 10;
    for entries in [1, 2, 4] {
        let mut port = small_port(backend, entries);
        let (mut handles, mut peers) = (Vec::new(), Vec::new());
        for _ in 0..CONNECTIONS {
            let (near, far) = unix_pair();
            handles.push(port.attach(near).expect("attach"));
            peers.push(far);
        }
        for deep in 0..DEEP {
            for (number, &handle) in handles.iter().enumerate() {
                port.submit(op::Recv::new(handle, [0; 4]), Token((number * DEEP + deep) as u64));
            }
        }
        for (number, peer) in peers.iter_mut().enumerate() {
            peer.write_all(&pattern(number as u64, DEEP * 4)).expect("write");
        }
        let mut next = [0; CONNECTIONS];
        for _ in 0..CONNECTIONS * DEEP {
            let done = one(&mut port);
            let (number, deep) = (done.token().0 as usize / DEEP, done.token().0 as usize % DEEP);
            assert_eq!(deep, next[number], "receives of one connection complete in order");
            next[number] += 1;
            let (result, buf) = done.unpack::<op::Recv<[u8; 4]>>();
            assert_eq!(result.expect("data"), 4);
            assert_piece(&buf, number as u64, deep * 4);
        }
        assert_eq!(port.in_flight(), 0);
    }
}

fn file_operations_need_no_large_ring(backend: Backend) {
    const OPERATIONS: usize = 2000;
    const SIZE: usize = 64;
    let mut port = small_port(backend, 1);
    let file = port.attach(tempfile::tempfile().expect("a file")).expect("attach");
    for number in 0..OPERATIONS {
        let bytes = piece(3, number * SIZE, SIZE);
        port.submit(op::WriteAt::new(file, bytes, (number * SIZE) as u64), Token(number as u64));
    }
    for done in drive(&mut port, OPERATIONS) {
        assert_eq!(done.unpack::<op::WriteAt<Vec<u8>>>().0.expect("write"), SIZE);
    }
    for number in 0..OPERATIONS {
        port.submit(op::ReadAt::new(file, [0; SIZE], (number * SIZE) as u64), Token(number as u64));
    }
    let mut seen = [false; OPERATIONS];
    for done in drive(&mut port, OPERATIONS) {
        let number = done.token().0 as usize;
        assert!(!std::mem::replace(&mut seen[number], true), "{number} completed twice");
        let (result, buf) = done.unpack::<op::ReadAt<[u8; SIZE]>>();
        assert_eq!(result.expect("read"), SIZE);
        assert_piece(&buf, 3, number * SIZE);
    }
    assert_eq!(port.in_flight(), 0);
}

fn an_operation_is_in_flight_until_its_completion_is_taken(backend: Backend) {
    let mut port = port(backend);
    let (near, mut far) = unix_pair();
    let conn = port.attach(near).expect("attach");
    port.submit(op::Recv::new(conn, [0; 1]), Token(1));
    port.submit(op::Recv::new(conn, Vec::new()), Token(2));
    port.submit(op::Nop::new(), Token(3));
    assert_eq!(port.in_flight(), 3);
    far.write_all(b"x").expect("write");
    assert!(port.wait(None).expect("wait"));
    assert_eq!(port.in_flight(), 3, "waiting takes nothing");
    for left in (0..3).rev() {
        let done = one(&mut port);
        assert_eq!(port.in_flight(), left, "{done:?} was taken");
    }
}

fn operations_may_be_submitted_while_others_complete(backend: Backend) {
    let mut port = small_port(backend, 4);
    const CHAINS: u64 = 50;
    const LINKS: u64 = 200;
    for chain in 0..CHAINS {
        port.submit(op::Nop::new(), Token(chain * LINKS));
    }
    let mut completed = 0;
    while port.in_flight() > 0 {
        let done = one(&mut port);
        completed += 1;
        let link = done.token().0;
        if link % LINKS < LINKS - 1 {
            let token = Token(link + 1);
            match link % 3 {
                0 => port.submit(op::Nop::new(), token),
                1 => port.submit(op::Timer::after(Duration::ZERO), token),
                _ => port.submit(op::Open::new("/\0").read(true), token),
            };
        }
    }
    assert_eq!(completed, CHAINS * LINKS);
}

fn a_token_is_the_users_own(backend: Backend) {
    let mut port = port(backend);
    let (near, _far) = unix_pair();
    let conn = port.attach(near).expect("attach");
    // Also those that a backend might use for itself, and one token for many.
    for token in [0, 1, u64::MAX, u64::MAX - 1, u64::MAX - 2, 1 << 63, 1 << 32, (1 << 32) - 1, 7, 7, 7] {
        let id = port.submit(op::Recv::new(conn, [0; 1]), Token(token));
        assert!(port.next().is_none());
        assert!(port.cancel(id));
        let done = one(&mut port);
        assert_eq!((done.token(), done.id()), (Token(token), id));
        port.submit(op::Nop::new(), Token(token));
        assert_eq!(one(&mut port).token(), Token(token));
        assert!(port.poster().post(Token(token), ()).is_ok());
        assert_eq!(one(&mut port).token(), Token(token));
    }
}

/// A completion that holds one of the tally's buffers.
fn completed_receive(port: &mut Port, tally: &Tally) -> Completion {
    let (near, mut far) = unix_pair();
    let conn = port.attach(near).expect("attach");
    far.write_all(b"x").expect("write");
    port.submit(op::Recv::new(conn, tally.lend(8)), Token(77));
    one(port)
}

fn unpacking_as_another_operation_panics_and_leaks_nothing(backend: Backend) {
    let (mut port, tally) = (port(backend), Tally::default());
    fn panic_of<O: Unpack>(done: Completion) -> String {
        let panic = expect_panic("it is no such operation", || drop(done.unpack::<O>()));
        panic.downcast_ref::<String>().expect("a message").clone()
    }
    // The same operation with another buffer, another operation with the same buffer, a plain one, a post.
    for wrong in
        [panic_of::<op::Recv<Vec<u8>>>, panic_of::<op::Send<Lent>>, panic_of::<op::Nop>, panic_of::<op::Post<Lent>>]
    {
        let done = completed_receive(&mut port, &tally);
        assert_eq!(tally.out(), 1);
        let message = wrong(done);
        assert!(message.contains("Token(77)") && message.contains("recv"), "{message}");
        assert_eq!(tally.out(), 0, "the buffer was leaked");
    }
    // The port is unharmed.
    only(&mut port, op::Nop::new()).expect("nop");
    tally.assert_settled();
}

fn try_unpack_gives_the_completion_back(backend: Backend) {
    let (mut port, tally) = (port(backend), Tally::default());
    let done = completed_receive(&mut port, &tally);
    let id = done.id();
    assert!(done.is::<op::Recv<Lent>>());
    assert!(!done.is::<op::Recv<Vec<u8>>>() && !done.is::<op::Nop>());
    let done = done.try_unpack::<op::Recv<Vec<u8>>>().expect_err("another buffer");
    let done = done.try_unpack::<op::RecvPooled>().map(drop).expect_err("another operation");
    assert_eq!((done.token(), done.id(), done.more(), done.transferred()), (Token(77), id, false, 1));
    assert_eq!(done.name(), "recv");
    assert_eq!(tally.out(), 1);
    let (result, buf) = done.try_unpack::<op::Recv<Lent>>().map_err(drop).expect("this is what it is");
    assert_eq!((result.expect("data"), buf[0]), (1, b'x'));
    drop(buf);
    // Dropped without being unpacked, it drops what it owns.
    drop(completed_receive(&mut port, &tally));
    tally.assert_settled();
}

fn a_buffer_of_any_size_and_alignment_can_be_lent(backend: Backend) {
    #[repr(align(256))]
    #[derive(Debug)]
    struct Aligned([u8; 40]);
    // SAFETY: the bytes are the value itself, which the port does not move while it is lent.
    unsafe impl IoBuf for Aligned {
        fn stable_ptr(&self) -> *const u8 {
            assert!(std::ptr::from_ref(self).is_aligned(), "the port put it at a crooked address");
            self.0.as_ptr()
        }
        fn initialized(&self) -> usize {
            self.0.len()
        }
    }
    let mut port = port(backend);
    let (near, far) = unix_pair();
    let (near, far) = (port.attach(near).expect("attach"), port.attach(far).expect("attach"));
    let (_, buf) = only(&mut port, op::SendAll::new(near, Aligned([9; 40])));
    assert_eq!(buf.0, [9; 40]);
    let (result, buf) = only(&mut port, op::Recv::new(far, [0; 40]));
    assert_eq!((result.expect("data"), buf), (40, [9; 40]));
    // Around the size up to which a slot has room, and beyond a page.
    macro_rules! there_and_back {
        ($($size:literal),*) => {$(
            let sent: [u8; $size] = pattern($size, $size).try_into().expect("its size");
            assert_eq!(only(&mut port, op::SendAll::new(near, sent)).1, sent);
            let (result, received) = only(&mut port, op::Recv::new(far, [0; $size]));
            assert_eq!((result.expect("data"), received), ($size, sent));
        )*};
    }
    there_and_back!(1, 7, 8, 47, 48, 49, 64, 4096, 10_000);
}

fn a_buffer_that_panics_leaves_the_port_as_it_was(backend: Backend) {
    struct Refuses(#[allow(dead_code)] Lent);
    // SAFETY: no address is ever handed out.
    unsafe impl IoBuf for Refuses {
        fn stable_ptr(&self) -> *const u8 {
            resume_unwind(Box::new("on purpose"));
        }
        fn initialized(&self) -> usize {
            0
        }
    }
    let (mut port, tally) = (port(backend), Tally::default());
    let (near, _far) = unix_pair();
    let conn = port.attach(near).expect("attach");
    for _ in 0..100 {
        let send = op::Send::new(conn, Refuses(tally.lend(8)));
        let panic = catch_unwind(AssertUnwindSafe(|| port.submit(send, Token(1))));
        assert!(panic.is_err());
        assert_eq!(port.in_flight(), 0, "it was never submitted");
    }
    only(&mut port, op::Send::new(conn, "x")).0.expect("the port goes on");
}
