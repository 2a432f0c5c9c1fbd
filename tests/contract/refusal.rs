//! What happens when io_uring, or a part of it, is refused: the port falls back and says why, in words that name what
//! to change. The refusals are real ones: a seccomp filter, a resource limit, the sysctl.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyport::op::{self, Operation};
use anyport::{Backend, Port, Token, error};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use rustix::thread::CapabilitySet;

use crate::support::*;

pub(crate) fn tests() -> Vec<Case> {
    cases! {
        once_isolated: [
            a_seccomp_filter_is_named_and_epoll_takes_over,
            an_old_kernel_is_named_and_epoll_takes_over,
            the_sysctl_is_named_and_epoll_takes_over,
            the_memlock_limit_is_named_and_epoll_takes_over,
            a_ring_that_cannot_be_mapped_falls_back,
            a_ring_that_may_not_be_entered_falls_back,
            a_ring_that_may_not_register_still_works,
            each_part_of_io_uring_can_be_left_out,
            all_parts_of_io_uring_can_be_left_out,
            asking_for_a_refused_backend_is_an_error,
            the_environment_asks_like_the_builder,
            an_unknown_backend_in_the_environment_is_an_error,
            nothing_is_refused_without_a_reason,
            a_forbidden_call_fails_in_its_thread_only,
            a_program_that_forbids_itself_to_register_still_ends_its_connections,
        ],
        each_backend_isolated: [
            a_port_without_descriptors_left_is_an_error,
        ],
        once: [
            leaving_out_what_does_not_exist_is_an_error,
        ],
    }
}

/// Uses a port for a bit of everything, and checks each result: what falls back must still mean the same.
#[track_caller]
fn assert_works(port: &mut Port) {
    port.submit(op::Nop::new(), Token(1));
    one(port).unpack::<op::Nop>().expect("a nop");

    // Connections, by both ways to accept.
    let (listener, address) = listener();
    let listener = port.attach(listener).expect("attach");
    port.submit(op::Accept::new(listener), Token(2));
    let client = TcpStream::connect(address).expect("connect");
    let served = one(port).unpack::<op::Accept>().expect("accept");
    let served = port.attach(served).expect("attach");
    let accepting = port.submit(op::AcceptMulti::new(listener), Token(3));
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
    let second = port.attach(socket).expect("attach");
    port.submit(op::Connect::new(second, address), Token(4));
    let mut both = drive(port, 2);
    both.sort_by_key(|done| done.token());
    both.pop().expect("two").unpack::<op::Connect>().expect("connect");
    drop(both.pop().expect("two").unpack::<op::AcceptMulti>().expect("accept"));
    port.cancel(accepting);
    let done = one(port);
    assert!(!done.more());
    assert!(error::is_cancelled(&done.unpack::<op::AcceptMulti>().expect_err("cancelled")));

    // Data, by all ways to receive and to send.
    let client = port.attach(client).expect("attach");
    let message = pattern(1, 3 << 20);
    port.submit(op::SendAll::new(client, message.clone()), Token(5));
    let (mut received, mut sent, mut way) = (Vec::new(), false, 0);
    submit_receive(port, served, way);
    while received.len() < message.len() || !sent {
        let done = one(port);
        if done.token() == Token(5) {
            assert_eq!(done.unpack::<op::SendAll<Vec<u8>>>().0.expect("sent"), message.len());
            sent = true;
            continue;
        }
        match way % 3 {
            0 => {
                let (n, buf) = done.unpack::<op::Recv<Vec<u8>>>();
                received.extend_from_slice(&buf[..n.expect("data")]);
            }
            1 => received.extend_from_slice(&done.unpack::<op::RecvPooled>().expect("data")),
            _ => {
                let (n, [one, two]) = done.unpack::<op::RecvVectored<[Vec<u8>; 2]>>();
                n.expect("data");
                received.extend([one, two].concat());
            }
        }
        if received.len() < message.len() {
            way += 1;
            submit_receive(port, served, way);
        }
    }
    assert_piece(&received, 1, 0);
    assert_eq!(received.len(), message.len());

    // Multishot, with the end of the stream.
    port.submit(op::RecvPooledMulti::new(served), Token(6));
    port.submit(op::SendVectored::new(client, ["several ", "pieces"]), Token(7));
    port.submit(op::Shutdown::new(client, std::net::Shutdown::Write), Token(8));
    let mut text = Vec::new();
    let mut over = 0;
    while over < 3 {
        let done = one(port);
        over += usize::from(!done.more());
        match done.token() {
            Token(6) => text.extend_from_slice(&done.unpack::<op::RecvPooledMulti>().expect("data")),
            Token(7) => assert_eq!(done.unpack::<op::SendVectored<[&str; 2]>>().0.expect("sent"), 14),
            _ => done.unpack::<op::Shutdown>().expect("shutdown"),
        }
    }
    assert_eq!(text, b"several pieces");

    // Time, readiness, cancels.
    let (near, mut far) = unix_pair();
    let near = port.attach(near).expect("attach");
    port.submit(op::Recv::new(near, vec![0; 8]).within(Duration::from_millis(2)), Token(9));
    let timed_out = one(port).unpack::<op::Recv<Vec<u8>>>().0.expect_err("nothing came");
    assert_eq!(timed_out.kind(), io::ErrorKind::TimedOut);
    port.submit(op::Ready::readable(near), Token(10));
    far.write_all(b"now").expect("write");
    one(port).unpack::<op::Ready>().expect("readable");
    port.submit(op::Close::new(near), Token(11));
    one(port).unpack::<op::Close>().expect("close");

    // Datagrams.
    let (here, there) = udp_unconnected();
    let address = there.local_addr().expect("an address");
    let (here, there) = (port.attach(here).expect("attach"), port.attach(there).expect("attach"));
    port.submit(op::SendTo::new(here, "datagram", address), Token(12));
    assert_eq!(one(port).unpack::<op::SendTo<&str>>().0.expect("sent"), 8);
    port.submit(op::RecvFrom::new(there, vec![0; 100]), Token(13));
    let (result, buf) = one(port).unpack::<op::RecvFrom<Vec<u8>>>();
    assert_eq!((result.expect("data").0, &buf[..]), (8, &b"datagram"[..]));

    // A pipe, and more than it holds.
    let (read_end, write_end) = pipe();
    let (reader, writer) = (port.attach(read_end).expect("attach"), port.attach(write_end).expect("attach"));
    let size = 300_000;
    port.submit(op::SendAll::new(writer, pattern(3, size)), Token(20));
    port.submit(op::Recv::new(reader, Vec::with_capacity(5000)), Token(21));
    let (mut read, mut written) = (0, false);
    while read < size || !written {
        let done = one(port);
        if done.token() == Token(20) {
            assert_eq!(done.unpack::<op::SendAll<Vec<u8>>>().0.expect("written"), size);
            written = true;
            continue;
        }
        let (n, buf) = done.unpack::<op::Recv<Vec<u8>>>();
        n.expect("data");
        assert_piece(&buf, 3, read);
        read += buf.len();
        if read < size {
            port.submit(op::Recv::new(reader, buf), Token(21));
        }
    }

    // Files, and the pool.
    let folder = tempfile::tempdir().expect("a temporary folder");
    port.submit(op::Open::new(folder.path().join("file")).read(true).write(true).create(true), Token(14));
    let file = one(port).unpack::<op::Open>().expect("create");
    let file = port.attach(file).expect("attach");
    port.submit(op::WriteAt::new(file, pattern(2, 5000), 100), Token(15));
    assert_eq!(one(port).unpack::<op::WriteAt<Vec<u8>>>().0.expect("written"), 5000);
    port.submit(op::Fsync::new(file), Token(16));
    one(port).unpack::<op::Fsync>().expect("fsync");
    port.submit(op::Metadata::of(file), Token(17));
    assert_eq!(one(port).unpack::<op::Metadata>().expect("metadata").len(), 5100);
    port.submit(op::ReadAt::new(file, Vec::with_capacity(6000), 100), Token(18));
    let (n, buf) = one(port).unpack::<op::ReadAt<Vec<u8>>>();
    assert_eq!(n.expect("read"), 5000);
    assert_piece(&buf, 2, 0);
    assert!(port.poster().post(Token(19), 19_u8).is_ok());
    assert_eq!(one(port).unpack::<op::Post<u8>>(), 19);
    assert_eq!(port.in_flight(), 0);
}

fn submit_receive(port: &mut Port, handle: anyport::Handle, way: usize) {
    match way % 3 {
        0 => port.submit(op::Recv::new(handle, Vec::with_capacity(30_000)), Token(0)),
        1 => port.submit(op::RecvPooled::new(handle), Token(0)),
        _ => {
            let bufs = [Vec::with_capacity(1000), Vec::with_capacity(50_000)];
            port.submit(op::RecvVectored::new(handle, bufs), Token(0))
        }
    };
}

/// Skips the test unless io_uring works here before it is refused.
fn require_io_uring() {
    if let Err(why) = Backend::Uring.check() {
        skip(why);
    }
}

/// The same, for a test that looks at the reason of a refusal: what the sysctl says is a part of that.
#[must_use]
fn io_uring_with_steady_sysctl() -> Sysctl {
    let steady = Sysctl::keep();
    require_io_uring();
    steady
}

/// What a port says about io_uring's refusal, after checking that the port runs on epoll and works.
#[track_caller]
fn fallen_back() -> String {
    let mut port = Port::new().expect("another backend takes over");
    assert_eq!(port.backend(), Backend::Epoll);
    assert_works(&mut port);
    let why = Backend::Uring.check().expect_err("it is refused");
    let explained = port.explain().to_string();
    assert!(explained.contains(&why), "the reason is not in the explanation.\n{why}\n{explained}");
    println!("{why}");
    why
}

#[track_caller]
fn assert_names(why: &str, what: &str) {
    assert!(why.to_lowercase().contains(what), "{what} is not named: {why}");
}

fn a_seccomp_filter_is_named_and_epoll_takes_over() {
    let _steady = io_uring_with_steady_sysctl();
    forbid(libc::SYS_io_uring_setup, libc::EPERM);
    assert_names(&fallen_back(), "seccomp");
}

fn an_old_kernel_is_named_and_epoll_takes_over() {
    let _steady = io_uring_with_steady_sysctl();
    forbid(libc::SYS_io_uring_setup, libc::ENOSYS);
    assert_names(&fallen_back(), "kernel");
}

fn the_sysctl_is_named_and_epoll_takes_over() {
    require_io_uring();
    let _reserved = Sysctl::set("1");
    without_capabilities(CapabilitySet::SYS_ADMIN, || assert_names(&fallen_back(), "io_uring_disabled"));
}

fn the_memlock_limit_is_named_and_epoll_takes_over() {
    let _steady = io_uring_with_steady_sysctl();
    limit(Resource::RLIMIT_MEMLOCK, 0);
    without_capabilities(CapabilitySet::IPC_LOCK, || {
        // Whether a kernel charges rings to this limit changed twice (5.12 stopped it); ask this one.
        match io_uring_setup() {
            Err(error) if error.raw_os_error() == Some(libc::ENOMEM) => {}
            other => skip_elsewhere(format!("this kernel charges no ring to RLIMIT_MEMLOCK: {other:?}")),
        }
        assert_names(&fallen_back(), "memlock");
    });
}

/// Makes a ring of eight entries with the bare system call, and closes it.
fn io_uring_setup() -> io::Result<()> {
    use std::os::fd::{FromRawFd, OwnedFd};
    let mut parameters = [0_u32; 30];
    // SAFETY: `parameters` has the 120 bytes of `struct io_uring_params`, which the call fills in.
    let ring = unsafe { libc::syscall(libc::SYS_io_uring_setup, 8, parameters.as_mut_ptr()) };
    if ring < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call has just made this descriptor, and nobody else knows it.
    drop(unsafe { OwnedFd::from_raw_fd(ring as i32) });
    Ok(())
}

fn a_ring_that_cannot_be_mapped_falls_back() {
    require_io_uring();
    let before = descriptors();
    // mmap(2) fails with ENOMEM when the address space is used up, the one way that no kernel exempts.
    let mut in_use = 0;
    if let Ok(statm) = std::fs::read_to_string("/proc/self/statm") {
        in_use = statm.split(' ').next().and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0) * 4096;
    }
    let hard = getrlimit(Resource::RLIMIT_AS).expect("a limit").1;
    setrlimit(Resource::RLIMIT_AS, in_use, hard).expect("lower the limit");
    let refused = Port::builder().backend(Backend::Uring).entries(4096).build().map(drop);
    setrlimit(Resource::RLIMIT_AS, hard, hard).expect("raise the limit");
    let error = refused.expect_err("there is no room for a ring");
    println!("{error}");
    assert_names(&error.to_string(), "io_uring");
    assert_eq!(descriptors(), before, "the ring was leaked");
    assert_works(&mut Port::builder().backend(Backend::Uring).build().expect("there is room again"));
}

fn a_ring_that_may_not_be_entered_falls_back() {
    require_io_uring();
    forbid(libc::SYS_io_uring_enter, libc::EPERM);
    fallen_back();
}

fn a_ring_that_may_not_register_still_works() {
    require_io_uring();
    forbid(libc::SYS_io_uring_register, libc::EPERM);
    // Whether the rest of io_uring or epoll carries it is the port's choice.
    let mut port = Port::new().expect("a port");
    println!("without io_uring_register: {}", port.backend());
    assert_works(&mut port);
}

fn asking_for_a_refused_backend_is_an_error() {
    let _steady = io_uring_with_steady_sysctl();
    forbid(libc::SYS_io_uring_setup, libc::EPERM);
    let error = Port::builder().backend(Backend::Uring).build().map(drop).expect_err("it is refused");
    println!("{error}");
    assert_eq!(error.kind(), io::ErrorKind::Unsupported);
    assert_names(&error.to_string(), "io_uring");
    assert_names(&error.to_string(), "seccomp");
    // The others are not affected.
    assert_works(&mut Port::builder().backend(Backend::Epoll).build().expect("epoll"));
    assert_works(&mut Port::builder().backend(Backend::Poll).build().expect("poll"));
}

fn set_backend_variable(value: &str) {
    // SAFETY: an isolated test is alone in its process, with one thread.
    unsafe { std::env::set_var("ANYPORT_BACKEND", value) };
}

fn the_environment_asks_like_the_builder() {
    let _steady = Sysctl::keep();
    for &backend in Backend::ALL {
        set_backend_variable(&backend.to_string());
        match backend.check() {
            Ok(()) => assert_eq!(Port::new().expect("a port").backend(), backend),
            Err(_) => drop(Port::new().expect_err("that one was asked for")),
        }
        // The program's own choice is the stronger one.
        let port = Port::builder().backend(Backend::Poll).build().expect("poll");
        assert_eq!(port.backend(), Backend::Poll);
    }
    if Backend::Uring.check().is_ok() {
        set_backend_variable("io_uring");
        forbid(libc::SYS_io_uring_setup, libc::EPERM);
        let error = Port::new().map(drop).expect_err("asked for, and refused");
        assert_names(&error.to_string(), "seccomp");
    }
}

fn an_unknown_backend_in_the_environment_is_an_error() {
    set_backend_variable("epol");
    let error = Port::new().map(drop).expect_err("there is no such backend");
    println!("{error}");
    for name in ["anyport_backend", "epol", "io_uring", "epoll", "poll"] {
        assert_names(&error.to_string(), name);
    }
}

fn nothing_is_refused_without_a_reason() {
    let _steady = Sysctl::keep();
    let explained = Port::new().expect("a port").explain().to_string();
    for &backend in Backend::ALL {
        assert!(explained.contains(&backend.to_string()), "{backend} is not explained:\n{explained}");
        if let Err(why) = backend.check() {
            assert!(explained.contains(&why), "{why}\n{explained}");
        }
    }
}

fn a_port_without_descriptors_left_is_an_error(backend: Backend) {
    skip_on_libkqueue(backend, "needs descriptors of its own, and keeps some");
    let before = descriptors();
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("a limit");
    let used = before.keys().max().map_or(0, |&highest| highest as u64 + 1);
    // Fill the gaps below the limit, so that exactly none, one, two, ... are left.
    setrlimit(Resource::RLIMIT_NOFILE, used, hard).expect("lower the limit");
    let mut filling = Vec::new();
    while let Ok(file) = std::fs::File::open("/dev/null") {
        filling.push(file);
    }
    for left in 0..8 {
        setrlimit(Resource::RLIMIT_NOFILE, used + left, hard).expect("a limit");
        let made = Port::builder().backend(backend).build();
        let made = made.and_then(|mut port| {
            port.submit(op::Nop::new(), Token(0));
            one(&mut port).unpack::<op::Nop>()
        });
        if let Err(error) = &made {
            assert_names(&error.to_string(), "too many open files");
        }
        assert!(left > 0 || made.is_err(), "a port without any descriptor");
        assert!(left < 7 || made.is_ok(), "seven descriptors are not enough: {made:?}");
    }
    setrlimit(Resource::RLIMIT_NOFILE, soft, hard).expect("raise the limit");
    drop(filling);
    assert_eq!(descriptors(), before, "a port that was not made left a descriptor");
    assert_works(&mut port(backend));
}

/// What can be left out of io_uring here, by the names in `explain()`.
fn parts() -> Vec<&'static str> {
    require_io_uring();
    let explained = port(Backend::Uring).explain();
    explained.features.iter().map(|feature| feature.name).collect()
}

fn each_part_of_io_uring_can_be_left_out() {
    let parts = parts();
    assert!(parts.len() > 10, "{parts:?}");
    for part in parts {
        println!("without {part}");
        let port = Port::builder().backend(Backend::Uring).without(part).build();
        let mut port = port.unwrap_or_else(|error| panic!("without {part}: {error}"));
        assert_eq!(port.backend(), Backend::Uring, "without {part}");
        let left_out = port.explain().features.into_iter().find(|feature| feature.name == part);
        assert!(left_out.is_some_and(|feature| !feature.used), "{part} is still in use");
        assert_works(&mut port);
    }
}

fn all_parts_of_io_uring_can_be_left_out() {
    let builder = Port::builder().backend(Backend::Uring);
    let builder = parts().iter().fold(builder, |builder, part| builder.without(part));
    assert_works(&mut builder.build().expect("a ring with nothing but what it must have"));
}

fn leaving_out_what_does_not_exist_is_an_error() {
    require_io_uring();
    let made = Port::builder().backend(Backend::Uring).without("warp drive").build().map(drop);
    let error = made.expect_err("a typing error must not pass as a test of a fallback");
    assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    assert_names(&error.to_string(), "warp drive");
}

/// A sandbox that is closed when the server is set up: what was registered before has to be forgotten all the same.
fn a_program_that_forbids_itself_to_register_still_ends_its_connections() {
    require_io_uring();
    let mut port = Port::builder().backend(Backend::Uring).build().expect("a ring");
    let used_often = |port: &mut Port| {
        let (near, far) = tcp_pair();
        let conn = port.attach(near).expect("attach");
        for _ in 0..40 {
            port.submit(op::Send::new(conn, "x"), Token(0));
            one(port).unpack::<op::Send<&str>>().0.expect("sent");
        }
        (conn, far)
    };
    let assert_ended = |mut far: TcpStream| assert_eq!(far.read_to_end(&mut Vec::new()).expect("the end"), 40);
    let (closed, far_of_closed) = used_often(&mut port);
    let (detached, far_of_detached) = used_often(&mut port);
    forbid(libc::SYS_io_uring_register, libc::EPERM);
    port.submit(op::Close::new(closed), Token(0));
    one(&mut port).unpack::<op::Close>().expect("closed");
    assert_ended(far_of_closed);
    drop(port.detach(detached).expect("idle"));
    assert_ended(far_of_detached);
    // Who comes later goes by a descriptor, and nothing else has come of it.
    let (_, far) = used_often(&mut port);
    assert!(!port.wait(Some(Duration::ZERO)).expect("wait"));
    drop(port);
    assert_ended(far);
}

/// The instrument itself.
fn a_forbidden_call_fails_in_its_thread_only() {
    let forbidden = std::thread::spawn(|| {
        forbid(libc::SYS_pipe2, libc::EPERM);
        io::pipe().map(drop)
    });
    let error = forbidden.join().expect("no panic").expect_err("the filter forbids it");
    assert_eq!(error.raw_os_error(), Some(libc::EPERM));
    io::pipe().expect("no filter in this thread");
}
