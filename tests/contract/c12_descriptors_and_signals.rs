//! C12: descriptors are close-on-exec (on Windows: no handle is inherited), and `SIGPIPE` never reaches the user. Each of
//! these tests has a process of its own: it looks at all descriptors there are, or restores the signal's deadly default.

use std::collections::BTreeMap;
use std::io;
use std::net::TcpStream;

use anyport::{Backend, Handle, Object, Port, Token, op};
use socket2::{Socket, Type};

use crate::support::*;

pub(crate) fn tests() -> Vec<Case> {
    cases! {
        each_backend_isolated: [
            the_ports_own_descriptors_are_close_on_exec,
            what_is_accepted_is_close_on_exec,
            what_is_opened_is_close_on_exec,
            a_program_that_is_started_inherits_nothing,
            sending_to_a_closed_socket_does_not_kill,
            sending_a_file_to_a_closed_socket_does_not_kill,
            sending_to_a_closed_pipe_does_not_kill,
            nor_does_it_on_a_kernel_without_a_flag_for_that,
            nor_is_a_signal_left_pending_on_such_a_kernel,
            sigpipe_is_left_as_it_was,
        ],
    }
}

/// The descriptors that are open now and were not `before`.
fn since(before: &BTreeMap<Number, String>) -> BTreeMap<Number, String> {
    descriptors().into_iter().filter(|(number, what)| before.get(number) != Some(what)).collect()
}

#[track_caller]
fn assert_close_on_exec(opened: &BTreeMap<Number, String>) {
    for (&number, what) in opened {
        assert!(close_on_exec(number), "descriptor {number}, {what}, would be inherited");
    }
}

/// A port that has used everything that may need a descriptor of its own: a wait, a timer, a post, a pooled receive,
/// the blocking pool, a file.
fn port_in_full_use(backend: Backend) -> (Port, Handle) {
    let mut port = port(backend);
    port.submit(op::Nop::new(), Token(0));
    port.submit(op::Timer::after(std::time::Duration::from_millis(1)), Token(0));
    port.submit(op::Blocking::new(|| ()), Token(0));
    port.submit(op::Metadata::at("/"), Token(0));
    assert!(port.poster().post(Token(0), ()).is_ok());
    drop(drive(&mut port, 5));
    let (near, mut far) = unix_pair();
    let conn = port.attach(near).expect("attach");
    port.submit(op::RecvPooled::new(conn), Token(0));
    io::Write::write_all(&mut far, b"x").expect("write");
    assert_eq!(*one(&mut port).unpack::<op::RecvPooled>().expect("data"), *b"x");
    (port, conn)
}

fn the_ports_own_descriptors_are_close_on_exec(backend: Backend) {
    let before = descriptors();
    let (_port, _) = port_in_full_use(backend);
    let opened = since(&before);
    assert!(!opened.is_empty(), "the connection at least is new");
    assert_close_on_exec(&opened);
}

fn what_is_accepted_is_close_on_exec(backend: Backend) {
    let (listener, address) = listener();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (unix_listener, unix_address) = unix_target(folder.path());
    let mut port = port(backend);
    let tcp = port.attach(listener).expect("attach");
    let unix = port.attach(unix_listener).expect("attach");
    let before = descriptors();

    port.submit(op::Accept::new(tcp), Token(1));
    let client = TcpStream::connect(address).expect("connect");
    let accepted = Object::from(one(&mut port).unpack::<op::Accept>().expect("accept"));
    assert!(close_on_exec(number(&accepted)));

    port.submit(op::AcceptMulti::new(unix), Token(2));
    let clients = [0, 1, 2].map(|_| {
        let client = Socket::new(domain_of(&unix_address), Type::STREAM, None).expect("a socket");
        client.connect(&unix_address).expect("connect");
        client
    });
    for _ in &clients {
        let accepted = one(&mut port).unpack::<op::AcceptMulti>().expect("accept");
        // In the port's hands it stays what it is.
        port.attach(accepted).expect("attach");
    }
    let opened = since(&before);
    let each = 1 + 1 + 3 + 3;
    assert!((each..=each + ACCEPTS_AHEAD).contains(&opened.len()), "a client and its connection each: {opened:?}");
    assert_close_on_exec(&opened);
    drop((client, clients));
}

fn what_is_opened_is_close_on_exec(backend: Backend) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut port = port(backend);
    let path = folder.path().join("file");
    port.submit(op::Open::new(&path).write(true).create(true), Token(1));
    let written = Object::from(one(&mut port).unpack::<op::Open>().expect("create"));
    port.submit(op::Open::new(&path).read(true), Token(2));
    let read = Object::from(one(&mut port).unpack::<op::Open>().expect("open"));
    assert!(close_on_exec(number(&written)));
    assert!(close_on_exec(number(&read)));
}

fn a_program_that_is_started_inherits_nothing(backend: Backend) {
    let before = seen_by_a_child();
    let (mut port, _) = port_in_full_use(backend);
    let (listener, address) = listener();
    let listener = port.attach(listener).expect("attach");
    port.submit(op::Accept::new(listener), Token(1));
    let _client = TcpStream::connect(address).expect("connect");
    let accepted = one(&mut port).unpack::<op::Accept>().expect("accept");
    port.attach(accepted).expect("attach");
    let folder = tempfile::tempdir().expect("a temporary folder");
    port.submit(op::Open::new(folder.path().join("file")).write(true).create(true), Token(2));
    let _opened = one(&mut port).unpack::<op::Open>().expect("create");
    assert_eq!(seen_by_a_child(), before);
}

/// A failed send, whatever buffer it was lent.
#[track_caller]
fn assert_broken(what: &str, result: io::Result<usize>) {
    let error = result.expect_err("nobody can receive it");
    let broken = [io::ErrorKind::BrokenPipe, io::ErrorKind::ConnectionReset];
    assert!(broken.contains(&error.kind()), "{what}: {error:?}");
}

/// Sends in every way there is; each must fail, and the process live on.
#[track_caller]
fn send_in_vain(port: &mut Port, handle: Handle, what: &str) {
    for round in 0..3 {
        port.submit(op::Send::new(handle, "lost"), Token(1));
        assert_broken(what, one(port).unpack::<op::Send<&str>>().0);
        port.submit(op::SendAll::new(handle, pattern(round, 100_000)), Token(2));
        assert_broken(what, one(port).unpack::<op::SendAll<Vec<u8>>>().0);
        port.submit(op::SendVectored::new(handle, ["lo", "st"]), Token(3));
        assert_broken(what, one(port).unpack::<op::SendVectored<[&str; 2]>>().0);
    }
}

fn sending_to_a_closed_socket_does_not_kill(backend: Backend) {
    make_sigpipe_deadly();
    let mut port = port(backend);
    for (kind, near, far) in stream_pairs() {
        let conn = port.attach(near).expect("attach");
        // An idle receive sees the end, so that the kernel knows of the reset before the first counted send.
        drop(far);
        port.submit(op::Send::new(conn, "provokes the reset"), Token(0));
        drop(one(&mut port));
        port.submit(op::Recv::new(conn, vec![0; 8]), Token(0));
        drop(one(&mut port));
        send_in_vain(&mut port, conn, kind);
    }
    // A socket whose own direction was ended.
    let (near, _far) = tcp_pair();
    let conn = port.attach(near).expect("attach");
    port.submit(op::Shutdown::new(conn, std::net::Shutdown::Write), Token(0));
    one(&mut port).unpack::<op::Shutdown>().expect("shutdown");
    send_in_vain(&mut port, conn, "after shutdown");
    // A send that is under way when the reader goes.
    let (near, far) = unix_pair();
    let conn = port.attach(near).expect("attach");
    port.submit(op::SendAll::new(conn, pattern(1, 4 << 20)), Token(1));
    assert!(drive_for(&mut port, std::time::Duration::from_millis(20)).is_empty(), "nobody reads");
    drop(far);
    assert_broken("under way", one(&mut port).unpack::<op::SendAll<Vec<u8>>>().0);
}

/// The call that sends from a file knows no flag against the signal.
fn sending_a_file_to_a_closed_socket_does_not_kill(backend: Backend) {
    make_sigpipe_deadly();
    let mut port = port(backend);
    let file = std::rc::Rc::new(tempfile::tempfile().expect("a temporary file"));
    file.set_len(4 << 20).expect("a file of zeros");
    for (kind, near, far) in stream_pairs() {
        let conn = port.attach(near).expect("attach");
        port.submit(op::SendFile::new(conn, file.clone(), 0..4 << 20), Token(1));
        drop(drive_for(&mut port, std::time::Duration::from_millis(20)));
        drop(far);
        for attempt in 0..3 {
            if attempt > 0 {
                port.submit(op::SendFile::new(conn, file.clone(), 0..4 << 20), Token(1));
            }
            let (result, ..) = one(&mut port).unpack::<op::SendFile<std::rc::Rc<std::fs::File>>>();
            assert_broken(kind, result);
        }
    }
}

fn sending_to_a_closed_pipe_does_not_kill(backend: Backend) {
    make_sigpipe_deadly();
    write_to_closed_pipes(&mut port(backend));
}

fn nor_does_it_on_a_kernel_without_a_flag_for_that(backend: Backend) {
    make_sigpipe_deadly();
    write_to_closed_pipes(&mut port_of_older_kernel(backend));
}

/// A port on a kernel like Linux before 6.18, which answers so to RWF_NOSIGNAL.
fn port_of_older_kernel(backend: Backend) -> Port {
    forbid(PWRITEV2, errno::EOPNOTSUPP);
    let builder = Port::builder().backend(backend);
    let builder = if backend == Backend::Uring { builder.without("write without signal") } else { builder };
    builder.build().expect("a port on a backend that works here")
}

#[track_caller]
fn write_to_closed_pipes(port: &mut Port) {
    let (read_end, write_end) = pipe();
    let writer = port.attach(write_end).expect("attach");
    drop(read_end);
    send_in_vain(port, writer, "pipe");
    // A send that is under way when the reader goes.
    let (read_end, write_end) = pipe();
    let writer = port.attach(write_end).expect("attach");
    port.submit(op::SendAll::new(writer, pattern(1, 4 << 20)), Token(1));
    assert!(drive_for(port, std::time::Duration::from_millis(20)).is_empty(), "nobody reads");
    drop(read_end);
    assert_broken("under way", one(port).unpack::<op::SendAll<Vec<u8>>>().0);
}

fn sigpipe_is_left_as_it_was(backend: Backend) {
    assert_signal_state_is_kept(&mut port(backend));
}

fn nor_is_a_signal_left_pending_on_such_a_kernel(backend: Backend) {
    assert_signal_state_is_kept(&mut port_of_older_kernel(backend));
}

#[track_caller]
fn assert_signal_state_is_kept(port: &mut Port) {
    block_deadly_sigpipe();
    let (read_end, write_end) = pipe();
    let writer = port.attach(write_end).expect("attach");
    drop(read_end);
    send_in_vain(port, writer, "pipe");
    let (near, far) = unix_pair();
    let conn = port.attach(near).expect("attach");
    drop(far);
    send_in_vain(port, conn, "unix");
    let file = tempfile::tempfile().expect("a temporary file");
    file.set_len(10).expect("a file of zeros");
    port.submit(op::SendFile::new(conn, file, 0..10), Token(1));
    assert_broken("unix, from a file", one(port).unpack::<op::SendFile<std::fs::File>>().0);
    assert_sigpipe_untouched();
}
