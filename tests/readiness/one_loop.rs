//! A port and a poller in one loop, each way round, on one socket: each is a source of the other.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use anyport::poller::{Events, Interest, Mode, Poller};
use anyport::{Backend, Port, Token, op};

use crate::support::*;
use crate::watch::*;

pub(crate) fn tests() -> Vec<Case> {
    cases! {
        each_backend: [
            a_poller_drives_every_port,
            a_port_drives_the_poller,
            posts_and_closures_wake_a_loop_that_sleeps_elsewhere,
            each_post_makes_the_descriptor_readable,
            each_notification_of_a_source_makes_the_descriptor_readable,
            a_timer_bounds_the_sleep_elsewhere,
            what_is_ready_forbids_to_sleep,
            a_poller_watches_a_poller,
        ],
    }
}

const PORT: usize = 1;
const SOCKET: usize = 2;

/// Ports of each backend that has a descriptor to wait on; of io_uring also as older kernels have it, where that is
/// another descriptor.
fn ports() -> Vec<Port> {
    let works = Backend::ALL.iter().filter(|backend| backend.check().is_ok());
    let builders = works.flat_map(|&backend| flavours(backend));
    builders.map(|(_, builder)| builder.build().expect("open")).filter(|port| port.waitable().is_ok()).collect()
}

/// The poller's backend alternates with the test's, the port's in the test: every pair of the two.
fn a_poller_drives_every_port(backend: Backend) {
    for mut port in ports() {
        let watch = poller(backend);
        let mut events = Events::new();
        watch.add(port.waitable().expect("it has one"), PORT, Interest::READABLE, Mode::Level).expect("add the port");
        // One socket for both: the port writes it, the poller says when it can be read.
        let (near, mut far) = tcp_pair();
        near.set_nonblocking(true).expect("non-blocking");
        let reader = near.try_clone().expect("a second descriptor of the socket");
        watch.add(&reader, SOCKET, Interest::READABLE, Mode::Level).expect("add the socket");
        let conn = port.attach(near).expect("attach");
        let echo = thread::spawn(move || -> std::io::Result<TcpStream> {
            let mut buf = [0; 100];
            for _ in 0..200 {
                far.read_exact(&mut buf)?;
                far.write_all(&buf)?;
            }
            Ok(far)
        });
        for round in 0..200 {
            port.submit(op::SendAll::new(conn, pattern(round, 100)), Token(round));
            let (mut sent, mut received) = (false, Vec::new());
            while !sent || received.len() < 100 {
                let nap = port.prepare_wait().expect("prepare").unwrap_or(PATIENCE);
                watch.poller.wait(&mut events, Some(nap)).expect("wait");
                for event in &events {
                    let mut buf = [0; 64];
                    if event.key == SOCKET
                        && let Ok(n) = (&reader).read(&mut buf)
                    {
                        received.extend_from_slice(&buf[..n]);
                    }
                }
                port.wait(Some(Duration::ZERO)).expect("collect");
                while let Some(done) = port.next() {
                    assert_eq!(done.token(), Token(round));
                    done.unpack::<op::SendAll<Vec<u8>>>().0.expect("send");
                    sent = true;
                }
            }
            assert_piece(&received, round, 0);
        }
        echo.join().expect("the echo").expect("echo");
    }
}

/// The twin: the poller is a source of the port, and its socket is one of both.
fn a_port_drives_the_poller(backend: Backend) {
    let works = Backend::ALL.iter().filter(|backend| backend.check().is_ok());
    for mut port in works.map(|&backend| port(backend)) {
        let mut watch = poller(backend);
        let Ok(fd) = watch.waitable() else { return };
        let queue = port.attach(fd.try_clone_to_owned().expect("duplicate")).expect("attach the poller");
        let (mut near, mut far) = tcp_pair();
        watch.add(&near, SOCKET, Interest::READABLE, Mode::Level).expect("add");
        for round in 0..50 {
            port.submit(op::Ready::readable(queue), Token(round));
            port.submit(op::Timer::after(Duration::from_secs(3600)), Token(1000));
            far.write_all(b"x").expect("send");
            let done = one(&mut port);
            assert_eq!(done.token(), Token(round));
            done.unpack::<op::Ready>().expect("ready");
            assert_eq!(watch.one().key, SOCKET);
            near.read_exact(&mut [0]).expect("receive");
            watch.silent();
        }
    }
}

fn posts_and_closures_wake_a_loop_that_sleeps_elsewhere(backend: Backend) {
    for mut port in ports() {
        let watch = poller(backend);
        let mut events = Events::new();
        watch.add(port.waitable().expect("it has one"), PORT, Interest::READABLE, Mode::Level).expect("add");
        let poster = port.poster();
        let poster = thread::spawn(move || {
            for number in 0..500u64 {
                poster.post(Token(number), ()).expect("the port is there");
                if number % 7 == 0 {
                    thread::yield_now();
                }
            }
        });
        port.submit(op::Blocking::new(|| ()), Token(1000));
        let (mut posts, mut calls) = (0, 0);
        while (posts, calls) != (500, 1) {
            let nap = port.prepare_wait().expect("prepare").unwrap_or(PATIENCE);
            let start = Instant::now();
            watch.poller.wait(&mut events, Some(nap)).expect("wait");
            assert!(start.elapsed() < PATIENCE, "{}: {posts} posts came, the next was slept through", port.backend());
            port.wait(Some(Duration::ZERO)).expect("collect");
            while let Some(done) = port.next() {
                if done.token() == Token(1000) {
                    calls += 1;
                } else {
                    assert_eq!(done.token(), Token(posts));
                    posts += 1;
                }
            }
        }
        poster.join().expect("the poster");
    }
}

/// One after another, each while the loop would sleep.
fn each_post_makes_the_descriptor_readable(backend: Backend) {
    for mut port in ports() {
        let mut watch = poller(backend);
        watch.add(port.waitable().expect("it has one"), PORT, Interest::READABLE, Mode::Level).expect("add");
        let poster = port.poster();
        for number in 0..10 {
            assert_eq!(port.prepare_wait().expect("prepare"), None);
            poster.post(Token(number), ()).expect("the port is there");
            assert_eq!(watch.one().key, PORT, "{}", port.backend());
            port.wait(Some(Duration::ZERO)).expect("collect");
            assert_eq!(port.next().expect("the post").token(), Token(number));
        }
        // Nor is a port that sleeps by itself forgotten.
        let sender = thread::spawn(move || poster.post(Token(10), ()));
        assert_eq!(one(&mut port).token(), Token(10));
        sender.join().expect("the sender").expect("the port is there");
    }
}

/// The source is a poller that is notified: on Linux by a write to an eventfd, in which the kernel can wake nobody by
/// another eventfd.
fn each_notification_of_a_source_makes_the_descriptor_readable(backend: Backend) {
    for mut port in ports() {
        let mut watch = poller(backend);
        watch.add(port.waitable().expect("it has one"), PORT, Interest::READABLE, Mode::Level).expect("add");
        let mut source = poller(backend);
        let Ok(fd) = source.waitable() else { return };
        let queue = port.attach(fd.try_clone_to_owned().expect("duplicate")).expect("attach the poller");
        for round in 0..10 {
            port.submit(op::Ready::readable(queue), Token(round));
            assert_eq!(port.prepare_wait().expect("prepare"), None);
            source.notify();
            assert_eq!(watch.one().key, PORT, "{}", port.backend());
            port.wait(Some(Duration::ZERO)).expect("collect");
            assert_eq!(port.next().expect("it is ready").token(), Token(round));
            source.silent();
        }
    }
}

fn a_timer_bounds_the_sleep_elsewhere(_: Backend) {
    for mut port in ports() {
        assert_eq!(port.prepare_wait().expect("prepare"), None);
        port.submit(op::Timer::after(Duration::from_secs(3600)), Token(1));
        let nap = port.prepare_wait().expect("prepare").expect("a timer is due");
        assert!(nap < Duration::from_secs(3601) && nap > Duration::from_secs(1800), "{nap:?}");
    }
}

fn what_is_ready_forbids_to_sleep(_: Backend) {
    for mut port in ports() {
        port.submit(op::Nop::new(), Token(1));
        assert_eq!(port.prepare_wait().expect("prepare"), Some(Duration::ZERO));
        one(&mut port);
        port.poster().post(Token(2), ()).expect("the port is there");
        assert_eq!(port.prepare_wait().expect("prepare"), Some(Duration::ZERO));
        assert_eq!(one(&mut port).token(), Token(2));
        assert_eq!(port.prepare_wait().expect("prepare"), None);
    }
}

fn a_poller_watches_a_poller(backend: Backend) {
    for &other in Poller::BACKENDS {
        let mut inner = poller(other);
        let Ok(fd) = inner.waitable() else { continue };
        let mut outer = poller(backend);
        outer.add(fd, 5, Interest::READABLE, Mode::Level).expect("add the poller");
        let (near, mut far) = tcp_pair();
        inner.add(&near, 6, Interest::READABLE, Mode::Oneshot).expect("add");
        outer.silent();
        far.write_all(b"x").expect("send");
        assert_eq!(outer.one().key, 5);
        assert_eq!(inner.one().key, 6);
        outer.silent();
        inner.notify();
        assert_eq!(outer.one().key, 5);
    }
}
