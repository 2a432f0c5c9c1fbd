//! C2 to C4 on Windows for objects that are open for synchronous calls (`std::io::pipe`), whose operations wait on a thread
//! of the blocking pool: that thread's call is interrupted.

use std::io::{ErrorKind, PipeReader, Read, Write};
use std::thread;
use std::time::Duration;

use anyport::op::Operation;
use anyport::{Backend, Port, Token, error, op};

use crate::support::*;

pub(crate) fn tests() -> Vec<Case> {
    cases! {
        each_backend: [
            a_receive_that_waits_on_a_thread_is_given_up_and_loses_nothing,
            a_receive_that_waits_on_a_thread_has_a_deadline,
            a_send_that_waits_on_a_thread_is_given_up,
            close_ends_what_waits_on_a_thread,
            a_dropped_port_does_not_wait_for_a_peer,
            giving_one_up_leaves_its_neighbours_alone,
            a_closure_that_has_begun_is_left_alone,
        ],
    }
}

const MS: Duration = Duration::from_millis(1);

type Recv = op::Recv<[u8; 8]>;

/// Before a thread has it, on its way into the call, or in it.
const MOMENTS: [Duration; 6] =
    [Duration::ZERO, Duration::from_micros(20), Duration::from_micros(100), MS, Duration::from_millis(5), MS];

fn a_receive_that_waits_on_a_thread_is_given_up_and_loses_nothing(backend: Backend) {
    let mut port = port(backend);
    let (reader, mut writer) = std::io::pipe().expect("a pipe");
    let reader = port.attach(reader).expect("attach");
    for moment in MOMENTS.into_iter().cycle().take(60) {
        let id = port.submit(Recv::new(reader, [7; 8]), Token(1));
        thread::sleep(moment);
        assert!(port.cancel(id));
        let (result, buf) = one(&mut port).unpack::<Recv>();
        assert!(error::is_cancelled(&result.expect_err("nobody writes")));
        assert_eq!(buf, [7; 8]);
    }
    port.submit(Recv::new(reader, [0; 8]), Token(2));
    writer.write_all(b"bytes").expect("write");
    let (result, buf) = one(&mut port).unpack::<Recv>();
    assert_eq!((result.expect("recv"), &buf[..5]), (5, &b"bytes"[..]));
}

fn a_receive_that_waits_on_a_thread_has_a_deadline(backend: Backend) {
    let mut port = port(backend);
    let (reader, writer) = std::io::pipe().expect("a pipe");
    let reader = port.attach(reader).expect("attach");
    let start = port.now();
    port.submit(Recv::new(reader, [0; 8]).within(5 * MS), Token(1));
    let (result, _) = one(&mut port).unpack::<Recv>();
    assert_eq!(result.expect_err("nobody writes").kind(), ErrorKind::TimedOut);
    assert!(port.now() - start >= 5 * MS);
    drop(writer);
}

fn a_send_that_waits_on_a_thread_is_given_up(backend: Backend) {
    let mut port = port(backend);
    let (mut reader, writer) = std::io::pipe().expect("a pipe");
    let writer = port.attach(writer).expect("attach");
    let sent = thread::scope(|scope| {
        let id = port.submit(op::SendAll::new(writer, vec![9; 1 << 20]), Token(1));
        assert!(!port.wait(Some(20 * MS)).expect("wait"), "nobody reads, and there is no room for a million bytes");
        assert!(port.cancel(id));
        let (result, buf) = one(&mut port).unpack::<op::SendAll<Vec<u8>>>();
        assert_eq!(buf.len(), 1 << 20);
        let sent = result.map_or_else(
            |error| {
                assert!(error::is_cancelled(&error), "{error}");
                None
            },
            Some,
        );
        assert_ne!(sent, Some(1 << 20));
        port.submit(op::Close::new(writer), Token(2));
        let read = scope.spawn(move || {
            let mut all = Vec::new();
            reader.read_to_end(&mut all).map(|_| all)
        });
        one(&mut port).unpack::<op::Close>().expect("close");
        let all = read.join().expect("the reader").expect("read");
        assert!(all.iter().all(|&byte| byte == 9));
        sent.is_none_or(|sent| sent <= all.len())
    });
    assert!(sent, "what was said to be sent is there");
}

fn close_ends_what_waits_on_a_thread(backend: Backend) {
    let mut port = port(backend);
    let (reader, _writer) = std::io::pipe().expect("a pipe");
    let reader = port.attach(reader).expect("attach");
    port.submit(Recv::new(reader, [0; 8]), Token(1));
    port.submit(Recv::new(reader, [0; 8]), Token(2));
    thread::sleep(5 * MS);
    port.submit(op::Close::new(reader), Token(3));
    let done = drive(&mut port, 3);
    assert_eq!(done.last().map(|done| done.token()), Some(Token(3)));
}

fn waiting(port: &mut Port) -> std::io::PipeWriter {
    let (reader, writer): (PipeReader, _) = std::io::pipe().expect("a pipe");
    let reader = port.attach(reader).expect("attach");
    port.submit(Recv::new(reader, [0; 8]), Token(1));
    writer
}

fn a_dropped_port_does_not_wait_for_a_peer(backend: Backend) {
    for moment in MOMENTS {
        let mut port = port(backend);
        let writers: Vec<_> = (0..4).map(|_| waiting(&mut port)).collect();
        thread::sleep(moment);
        drop(port);
        drop(writers);
    }
}

fn giving_one_up_leaves_its_neighbours_alone(backend: Backend) {
    let mut port = port(backend);
    let (reader, _writer) = std::io::pipe().expect("a pipe");
    let given_up = port.attach(reader).expect("attach");
    let mut writers: Vec<_> = (0..4).map(|_| waiting(&mut port)).collect();
    for moment in MOMENTS.into_iter().cycle().take(30) {
        let id = port.submit(Recv::new(given_up, [0; 8]), Token(2));
        thread::sleep(moment);
        assert!(port.cancel(id));
        assert_eq!(one(&mut port).token(), Token(2));
    }
    writers.iter_mut().for_each(|writer| writer.write_all(b"here").expect("write"));
    for done in drive(&mut port, 4) {
        assert_eq!(done.token(), Token(1));
        assert_eq!(done.unpack::<Recv>().0.expect("recv"), 4);
    }
}

/// It is the user's, and so are the calls that it makes.
fn a_closure_that_has_begun_is_left_alone(backend: Backend) {
    type Read = op::Blocking<Box<dyn FnOnce() -> std::io::Result<usize> + Send>, std::io::Result<usize>>;
    let mut port = port(backend);
    let (mut reader, mut writer) = std::io::pipe().expect("a pipe");
    let (began, beginning) = std::sync::mpsc::channel();
    let id = port.submit(
        Read::boxed(move || {
            began.send(()).expect("somebody waits");
            reader.read(&mut [0; 8])
        }),
        Token(1),
    );
    beginning.recv().expect("it begins");
    assert!(port.cancel(id));
    assert!(!port.wait(Some(20 * MS)).expect("wait"), "it goes on");
    writer.write_all(b"bytes").expect("write");
    assert_eq!(one(&mut port).unpack::<Read>().expect("it has run").expect("read"), 5);
}
