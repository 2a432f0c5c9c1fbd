//! Tests of what the selector builds on, by plain kevent(2) calls: they hold on every kqueue. Below them, what libkqueue
//! does and no kernel: when one of these fails, libkqueue has learnt better, and `docs/BACKENDS.md` has a line too many.

use super::{Event, Filter, Queue};
use socket2::Socket;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd};
use std::thread::scope;
use std::time::Duration;

fn ident(object: impl AsFd) -> usize {
    object.as_fd().as_raw_fd() as usize
}

/// The events of one call with these changes. It waits for the first event if it expects any.
fn call(queue: &Queue, changes: &[Event], room: usize, waits: bool) -> Vec<Event> {
    let mut events = Vec::new();
    let timeout = if waits { Duration::from_secs(10) } else { Duration::ZERO };
    queue.call(changes, &mut events, room, Some(timeout)).expect("kevent");
    events
}

/// The one event of a call.
#[track_caller]
fn only(queue: &Queue, changes: &[Event]) -> Event {
    let events = call(queue, changes, 8, true);
    assert_eq!(events.len(), 1);
    events[0]
}

fn nothing(queue: &Queue) -> bool {
    call(queue, &[], 8, false).is_empty()
}

fn tcp_pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("listen");
    let near = TcpStream::connect(listener.local_addr().expect("an address")).expect("connect");
    (near, listener.accept().expect("accept").0)
}

/// An address on which nobody listens.
fn refusing() -> socket2::SockAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("listen");
    listener.local_addr().expect("an address").into()
}

fn connect_in_vain() -> Socket {
    let socket = Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
    socket.set_nonblocking(true).expect("O_NONBLOCK");
    let _ = socket.connect(&refusing());
    socket
}

#[test]
fn what_is_ready_when_it_is_added_is_an_edge() {
    let queue = Queue::new().expect("a queue");
    let (reader, mut writer) = io::pipe().expect("a pipe");
    writer.write_all(b"12345").expect("write");
    let event = only(&queue, &[Event::add(Filter::Read, ident(&reader), 7)]);
    assert_eq!((event.filter(), event.ident(), event.udata()), (Some(Filter::Read), ident(&reader), 7));
    assert_eq!((event.data(), event.is_end(), event.receipt()), (5, false, None));
}

#[test]
fn an_edge_is_reported_once_and_the_next_one_again() {
    let queue = Queue::new().expect("a queue");
    let (near, mut far) = tcp_pair();
    far.write_all(b"1").expect("write");
    assert_eq!(only(&queue, &[Event::add(Filter::Read, ident(&near), 7)]).data(), 1);
    assert!(nothing(&queue), "nothing new has come");
    far.write_all(b"23").expect("write");
    assert_eq!(only(&queue, &[]).data(), 3, "what is there in all");
}

#[test]
fn a_refused_change_is_answered_and_the_others_are_made() {
    let queue = Queue::new().expect("a queue");
    let (near, mut far) = tcp_pair();
    far.write_all(b"1").expect("write");
    let closed = 1 << 20;
    let changes = [Event::add(Filter::Read, closed, 1), Event::add(Filter::Read, ident(&near), 2)];
    let mut events = call(&queue, &changes, 8, true);
    assert_eq!((events[0].ident(), events[0].udata(), events[0].receipt()), (closed, 1, Some(libc::EBADF)));
    if events.len() == 1 {
        events.push(only(&queue, &[])); // a kernel's answers come alone
    }
    assert_eq!((events.len(), events[1].udata(), events[1].receipt()), (2, 2, None));
}

#[test]
fn receipts_leave_the_events_where_they_are() {
    let queue = Queue::new().expect("a queue");
    let ((near, mut far), (other, _far)) = (tcp_pair(), tcp_pair());
    let add = |object, udata| Event::add(Filter::Read, ident(object), udata);
    assert!(call(&queue, &[add(&near, 1), add(&other, 2)], 8, false).is_empty());
    far.write_all(b"1").expect("write");
    let answers = call(&queue, &[Event::delete(Filter::Read, ident(&other)); 2], 2, true);
    let answers: Vec<_> = answers.iter().map(Event::receipt).collect();
    assert_eq!(answers, [Some(0), Some(libc::ENOENT)], "the second time there is nothing to delete");
    assert_eq!(only(&queue, &[]).udata(), 1);
}

#[test]
fn an_edge_is_none_when_what_made_it_was_read_meanwhile() {
    let queue = Queue::new().expect("a queue");
    let (mut near, mut far) = tcp_pair();
    assert!(call(&queue, &[Event::add(Filter::Read, ident(&near), 0)], 8, false).is_empty());
    far.write_all(b"1").expect("write");
    near.read_exact(&mut [0]).expect("read");
    assert!(nothing(&queue));
}

#[test]
fn an_end_comes_with_the_bytes_before_it() {
    let queue = Queue::new().expect("a queue");
    let (mut near, mut far) = tcp_pair();
    far.write_all(b"last words").expect("write");
    drop(far);
    while near.peek(&mut [0; 16]).expect("peek") < 10 {}
    let mut event = only(&queue, &[Event::add(Filter::Read, ident(&near), 0)]);
    if !event.is_end() {
        event = only(&queue, &[]); // it came a little later
    }
    assert_eq!((event.is_end(), event.data()), (true, 10));
    let mut bytes = Vec::new();
    assert_eq!(near.read_to_end(&mut bytes).expect("read"), 10);
}

#[test]
fn a_connect_that_failed_is_writable_at_its_end() {
    let queue = Queue::new().expect("a queue");
    let socket = connect_in_vain();
    let event = only(&queue, &[Event::add(Filter::Write, ident(&socket), 0)]);
    assert!(event.is_end());
    assert_eq!(event.notes(), libc::ECONNREFUSED as u32, "the socket's error comes with its end");
}

#[test]
fn calls_become_one_event_and_are_not_lost() {
    let queue = Queue::new().expect("a queue");
    queue.make(Event::add(Filter::User, 5, 9)).expect("EVFILT_USER");
    assert!(nothing(&queue));
    for _ in 0..3 {
        queue.make(Event::trigger(5)).expect("NOTE_TRIGGER");
    }
    assert_eq!((only(&queue, &[]).filter(), nothing(&queue)), (Some(Filter::User), true));
    scope(|scope| {
        scope.spawn(|| queue.make(Event::trigger(5)).expect("from another thread"));
        assert_eq!(only(&queue, &[]).ident(), 5);
    });
    assert!(queue.make(Event::trigger(6)).is_err(), "nobody added that one");
}

#[test]
fn a_child_that_ends_is_an_event_with_its_status() {
    let queue = Queue::new().expect("a queue");
    let mut shell = std::process::Command::new("/bin/sh");
    let shell = shell.args(["-c", "read x; exit 3"]).stdin(std::process::Stdio::piped());
    let mut child = shell.spawn().expect("a child");
    let pid = child.id() as usize;
    queue.make(Event::add(Filter::Process, pid, 4)).expect("EVFILT_PROC");
    assert!(nothing(&queue), "it still reads");
    drop(child.stdin.take());
    let event = only(&queue, &[]);
    assert_eq!((event.filter(), event.ident(), event.udata()), (Some(Filter::Process), pid, 4));
    assert_eq!(libc::WEXITSTATUS(event.data() as i32), 3);
    child.wait().expect("wait");
}

#[cfg(anyport_libkqueue)]
mod libkqueue {
    use super::*;

    /// A kernel leaves the error to `SO_ERROR`, too.
    #[test]
    fn it_takes_the_error_of_a_socket_up() {
        let queue = Queue::new().expect("a queue");
        let socket = connect_in_vain();
        let event = only(&queue, &[Event::add(Filter::Write, ident(&socket), 0)]);
        assert_eq!(event.notes(), libc::ECONNREFUSED as u32);
        assert!(socket.take_error().expect("SO_ERROR").is_none());
    }

    /// A kernel keeps it for the next call.
    #[test]
    fn it_loses_the_second_event_of_a_descriptor_when_the_list_is_full() {
        let queue = Queue::new().expect("a queue");
        let (near, mut far) = tcp_pair();
        far.write_all(b"1").expect("write");
        let add = |filter| Event::add(filter, ident(&near), 0);
        let first = call(&queue, &[add(Filter::Read), add(Filter::Write)], 1, true);
        assert_eq!(first[0].filter(), Some(Filter::Read));
        assert!(nothing(&queue), "it is writable all the same");
    }

    /// A kernel counts all bytes, behind a mark of urgent data too.
    #[test]
    fn it_counts_the_bytes_before_urgent_data_only() {
        let queue = Queue::new().expect("a queue");
        let (near, far) = tcp_pair();
        let far = Socket::from(far);
        (&far).write_all(b"before").expect("write");
        far.send_out_of_band(b"!").expect("urgent data");
        (&far).write_all(b"behind").expect("write");
        std::thread::sleep(Duration::from_millis(20));
        assert_eq!(only(&queue, &[Event::add(Filter::Read, ident(&near), 0)]).data(), 6);
    }

    /// A kernel knows that a closed descriptor is gone, with all its knotes.
    #[test]
    fn it_takes_a_new_descriptor_for_a_closed_one_of_its_number() {
        let queue = Queue::new().expect("a queue");
        let (near, _far) = tcp_pair();
        let number = ident(&near);
        assert!(call(&queue, &[Event::add(Filter::Read, number, 1)], 8, false).is_empty());
        let (other, mut far) = tcp_pair();
        // SAFETY: closes `near` and gives its number to the other end, without a moment in between.
        assert!(unsafe { libc::dup2(other.as_raw_fd(), number as i32) } >= 0);
        far.write_all(b"1").expect("write");
        assert!(call(&queue, &[Event::add(Filter::Read, number, 2)], 8, false).is_empty(), "there is a byte to read");
    }

    /// A kernel has notes for sockets only.
    #[test]
    fn it_has_an_error_for_a_pipe_without_a_reader() {
        let queue = Queue::new().expect("a queue");
        let (reader, writer) = io::pipe().expect("a pipe");
        drop(reader);
        let event = only(&queue, &[Event::add(Filter::Write, ident(&writer), 0)]);
        assert_eq!((event.is_end(), event.notes()), (true, libc::EIO as u32));
    }
}
