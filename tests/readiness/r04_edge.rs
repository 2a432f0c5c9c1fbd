//! R4: in edge mode a direction is reported when it becomes ready, and again once a call would have blocked and the poller
//! was told; nothing is lost between the two.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::mpsc;
use std::thread;

use anyport::Backend;
use anyport::poller::{Interest, Mode};

use crate::support::*;
use crate::watch::*;

pub(crate) fn tests() -> Vec<Case> {
    cases![
        an_edge_is_reported_once,
        a_drained_source_is_reported_again,
        what_arrives_before_the_poller_is_told_is_reported,
        a_writable_source_is_quiet_while_data_arrives,
        room_after_a_full_socket_is_an_edge,
        an_end_of_stream_is_an_edge,
        a_hang_up_is_not_repeated,
        modify_looks_again,
        rearm_does_nothing_in_other_modes,
        every_byte_arrives_however_writer_and_reader_race,
        what_was_rearmed_survives_a_report_of_the_other_direction,
    ]
}

/// Reads through the poller until it would block (or the stream ends): what edges ask of their user.
fn drain(watch: &Watch, stream: &TcpStream) -> Vec<u8> {
    let (mut all, mut buf) = (Vec::new(), [0; 4096]);
    loop {
        match watch.try_io(stream, Interest::READABLE, || (&*stream).read(&mut buf)) {
            Ok(0) => return all,
            Ok(n) => all.extend_from_slice(&buf[..n]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return all,
            Err(error) => panic!("receive: {error}"),
        }
    }
}

fn nonblocking_pair() -> (TcpStream, TcpStream) {
    let (near, far) = tcp_pair();
    near.set_nonblocking(true).expect("non-blocking");
    (near, far)
}

fn an_edge_is_reported_once(backend: Backend) {
    let mut watch = poller(backend);
    let (near, mut far) = nonblocking_pair();
    far.write_all(b"x").expect("send");
    watch.add(&near, 1, Interest::READABLE, Mode::Edge).expect("add");
    assert!(watch.one().is_readable());
    watch.silent();
    watch.silent();
}

fn a_drained_source_is_reported_again(backend: Backend) {
    let mut watch = poller(backend);
    let (near, mut far) = nonblocking_pair();
    watch.add(&near, 1, Interest::READABLE, Mode::Edge).expect("add");
    for round in 0..4 {
        watch.silent();
        far.write_all(&pattern(round, 10)).expect("send");
        let mut received = Vec::new();
        while received.len() < 10 {
            assert!(watch.one().is_readable());
            received.extend(drain(&watch, &near));
        }
        assert_piece(&received, round, 0);
    }
}

fn what_arrives_before_the_poller_is_told_is_reported(backend: Backend) {
    let mut watch = poller(backend);
    let (near, mut far) = nonblocking_pair();
    watch.add(&near, 1, Interest::READABLE, Mode::Edge).expect("add");
    far.write_all(b"x").expect("send");
    watch.one();
    let mut buf = [0; 8];
    assert_eq!((&near).read(&mut buf).expect("receive"), 1);
    // The call that would block is made, data arrives, and only then the poller hears of the call.
    let blocked = watch.try_io(&near, Interest::READABLE, || {
        let result = (&near).read(&mut buf);
        far.write_all(b"y")?;
        near.set_nonblocking(false)?;
        near.peek(&mut [0])?;
        near.set_nonblocking(true)?;
        result
    });
    assert_eq!(blocked.expect_err("nothing was there").kind(), ErrorKind::WouldBlock);
    assert!(watch.one().is_readable());
    assert_eq!(drain(&watch, &near), b"y");
}

/// What makes edges worth having: a socket that can nearly always be written is not reported for that.
fn a_writable_source_is_quiet_while_data_arrives(backend: Backend) {
    let mut watch = poller(backend);
    let (near, mut far) = nonblocking_pair();
    watch.add(&near, 1, Interest::READABLE | Interest::WRITABLE, Mode::Edge).expect("add");
    assert!(watch.one().is_writable());
    for _ in 0..3 {
        watch.silent();
        far.write_all(b"x").expect("send");
        assert!(watch.one().is_readable());
        assert_eq!(drain(&watch, &near), b"x");
    }
    watch.silent();
}

fn room_after_a_full_socket_is_an_edge(backend: Backend) {
    let mut watch = poller(backend);
    let (near, far) = nonblocking_pair();
    watch.add(&near, 1, Interest::WRITABLE, Mode::Edge).expect("add");
    let reader = thread::spawn(move || {
        let mut far = far;
        let mut total = 0;
        let mut buf = vec![0; 1 << 16];
        loop {
            match far.read(&mut buf).expect("receive") {
                0 => return total,
                n => total += n,
            }
        }
    });
    let whole = 8 << 20;
    let data = vec![7; 1 << 16];
    let mut sent = 0;
    while sent < whole {
        assert!(watch.one().is_writable());
        loop {
            let rest = data.len().min(whole - sent);
            match watch.try_io(&near, Interest::WRITABLE, || (&near).write(&data[..rest])) {
                Ok(n) => sent += n,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => panic!("send: {error}"),
            }
            if sent == whole {
                break;
            }
        }
    }
    near.shutdown(std::net::Shutdown::Write).expect("end the stream");
    assert_eq!(reader.join().expect("the reader"), whole);
}

fn an_end_of_stream_is_an_edge(backend: Backend) {
    let mut watch = poller(backend);
    let (near, far) = nonblocking_pair();
    watch.add(&near, 1, Interest::READABLE, Mode::Edge).expect("add");
    assert_eq!(drain(&watch, &near), b"");
    watch.silent();
    far.shutdown(std::net::Shutdown::Write).expect("end the stream");
    let event = watch.until(1, |event| event.is_read_closed());
    assert!(event.is_readable(), "{event:?}");
    assert_eq!((&near).read(&mut [0]).expect("receive"), 0);
}

fn a_hang_up_is_not_repeated(backend: Backend) {
    let mut watch = poller(backend);
    let (near, far) = nonblocking_pair();
    let priority = if tells_priority(backend) { Interest::PRIORITY } else { Interest::empty() };
    let all = Interest::READABLE | Interest::WRITABLE | priority;
    watch.add(&near, 1, all, Mode::Edge).expect("add");
    watch.one();
    drain(&watch, &near);
    drop(far);
    watch.until(1, |event| event.is_read_closed());
    near.shutdown(std::net::Shutdown::Both).expect("hang up");
    // Two transitions, at most an event each; then silence.
    assert!(watch.look().len() <= 1);
    assert!(watch.look().len() <= 1);
    watch.silent();
}

fn modify_looks_again(backend: Backend) {
    let mut watch = poller(backend);
    let (near, mut far) = nonblocking_pair();
    far.write_all(b"x").expect("send");
    watch.add(&near, 1, Interest::READABLE, Mode::Edge).expect("add");
    watch.one();
    watch.silent();
    watch.modify(&near, 2, Interest::READABLE, Mode::Edge).expect("modify");
    assert_eq!(watch.one().key, 2);
    watch.silent();
}

fn rearm_does_nothing_in_other_modes(backend: Backend) {
    let mut watch = poller(backend);
    let (near, mut far) = nonblocking_pair();
    far.write_all(b"x").expect("send");
    watch.add(&near, 1, Interest::READABLE, Mode::Oneshot).expect("add");
    watch.one();
    watch.rearm(&near, Interest::READABLE).expect("rearm");
    watch.silent();
    watch.modify(&near, 1, Interest::READABLE, Mode::Level).expect("modify");
    watch.rearm(&near, Interest::WRITABLE).expect("rearm");
    let event = watch.one();
    assert!(event.is_readable() && !event.is_writable(), "{event:?}");
}

/// The writer never waits for the reader, so bytes arrive at every moment between a read that would block and the next
/// wait. An edge that got lost would stop the reader for good.
fn every_byte_arrives_however_writer_and_reader_race(backend: Backend) {
    let mut watch = poller(backend);
    let (near, far) = nonblocking_pair();
    watch.add(&near, 1, Interest::READABLE, Mode::Edge).expect("add");
    let writer = thread::spawn(move || -> io::Result<()> {
        let mut far = far;
        for offset in 0..20_000 {
            far.write_all(&piece(1, offset, 1))?;
        }
        Ok(())
    });
    let mut received = Vec::new();
    while received.len() < 20_000 {
        watch.one();
        received.extend(drain(&watch, &near));
    }
    writer.join().expect("the writer").expect("send");
    assert_piece(&received, 1, 0);
}

/// One thread waits, and has room to write reported over and over. Another one reads: it is told of a byte, drains, rearms,
/// and has the next byte sent. What it rearms must not get lost in the report that is under way.
fn what_was_rearmed_survives_a_report_of_the_other_direction(backend: Backend) {
    const BYTES: usize = 5_000;
    let mut watch = poller(backend);
    let (near, mut far) = nonblocking_pair();
    watch.add(&near, 1, Interest::READABLE | Interest::WRITABLE, Mode::Edge).expect("add");
    let Watch { poller, events } = &mut watch;
    let (poller, near) = (&*poller, &near);
    let (sent, arrived) = (&AtomicUsize::new(0), &AtomicUsize::new(0));
    thread::scope(|scope| {
        let (tell, told) = mpsc::channel();
        scope.spawn(move || {
            for byte in 1..=BYTES {
                sent.store(byte, SeqCst);
                far.write_all(b"x").expect("send");
                while near.peek(&mut [0]).is_err() {
                    thread::yield_now();
                }
                arrived.store(byte, SeqCst);
                if told.recv().is_err() {
                    return; // the other thread's assertion failed
                }
                while poller.try_io(near, Interest::READABLE, || (&*near).read(&mut [0; 16])).is_ok() {}
            }
        });
        let (mut seen, mut silent) = (0, 0);
        while seen < BYTES {
            silent = if arrived.load(SeqCst) > seen { silent + 1 } else { 0 };
            assert!(silent < 1000, "byte {} is there, but {silent} waits did not say so", seen + 1);
            assert_ne!(poller.wait(events, Some(PATIENCE)).expect("wait"), 0);
            for event in &*events {
                if event.is_writable() {
                    poller.rearm(near, Interest::WRITABLE).expect("rearm");
                }
                if event.is_readable() && sent.load(SeqCst) > seen {
                    seen += 1;
                    tell.send(()).expect("the reader is there");
                }
            }
        }
    });
}
