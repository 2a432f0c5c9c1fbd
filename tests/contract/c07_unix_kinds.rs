//! C7 on Unix: the events that only it has, or tells apart. The rest, and what is used here, is in `c07_error_kinds.rs`.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::time::Duration;

use anyport::{Backend, Token, op};
use socket2::{Domain, SockAddr, Socket, Type};

use crate::c07_error_kinds::{any_address, assert_error, assert_receives, assert_sends, fresh, run};
use crate::support::*;

pub(crate) fn tests() -> Vec<Case> {
    cases![
        a_refused_unix_connection,
        a_receiver_on_a_unix_socket_that_is_gone,
        a_unix_socket_that_is_not_connected,
        an_address_that_is_taken,
        a_path_that_leads_astray,
        a_folder_in_place_of_a_file,
        a_file_that_may_not_be_opened,
    ]
}

fn a_refused_unix_connection(backend: Backend) {
    let mut port = port(backend);
    // A socket that was left behind by its listener.
    let (listener, folder) = unix_listener();
    drop(listener);
    let address = SockAddr::unix(folder.path().join("socket")).expect("an address");
    let on = fresh(&mut port, Domain::UNIX);
    let refused = run(&mut port, op::Connect::new(on, address));
    assert_error("unix", refused, errno::ECONNREFUSED, ErrorKind::ConnectionRefused);
    let nowhere = SockAddr::unix(folder.path().join("nothing")).expect("an address");
    let on = fresh(&mut port, Domain::UNIX);
    assert_error("no path", run(&mut port, op::Connect::new(on, nowhere)), errno::ENOENT, ErrorKind::NotFound);
}

fn a_receiver_on_a_unix_socket_that_is_gone(backend: Backend) {
    let mut port = port(backend);
    let (near, far) = unix_pair();
    drop(far);
    let on = port.attach(near).expect("attach");
    assert_sends(&mut port, "unix", on, errno::EPIPE, ErrorKind::BrokenPipe);
    // One that goes while a send waits for room.
    let (near, far) = unix_pair();
    let on = port.attach(near).expect("attach");
    port.submit(op::SendAll::new(on, vec![1; 4 << 20]), Token(1));
    assert!(drive_for(&mut port, Duration::from_millis(5)).is_empty(), "nobody reads");
    drop(far);
    let (result, _) = one(&mut port).unpack::<op::SendAll<Vec<u8>>>();
    assert_error("unix", result, errno::EPIPE, ErrorKind::BrokenPipe);
    let (near, far) = unix_datagram_pair();
    drop(far);
    let on = port.attach(near).expect("attach");
    let refused = run(&mut port, op::Send::new(on, "lost")).0;
    assert_error("datagram", refused, errno::ECONNREFUSED, ErrorKind::ConnectionRefused);
    assert_sends(&mut port, "and then", on, errno::ENOTCONN, ErrorKind::NotConnected);
}

fn a_unix_socket_that_is_not_connected(backend: Backend) {
    let mut port = port(backend);
    let (listener, _folder) = unix_listener();
    let listener = port.attach(listener).expect("attach");
    for (what, on) in [("unix", fresh(&mut port, Domain::UNIX)), ("unix listener", listener)] {
        assert_receives(&mut port, what, on, errno::ENOTCONN, ErrorKind::NotConnected);
        assert_sends(&mut port, what, on, errno::ENOTCONN, ErrorKind::NotConnected);
    }
    let on = port.attach(UnixDatagram::unbound().expect("a socket")).expect("attach");
    let result = run(&mut port, op::Send::new(on, "lost")).0;
    assert_error("unix datagram", result, errno::ENOTCONN, ErrorKind::NotConnected);
}

fn an_address_that_is_taken(backend: Backend) {
    let mut port = port(backend);
    let (_listener, address) = listener();
    // A second connection from the same address to the same address.
    let bound = |to: SocketAddr| {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        socket.set_reuse_address(true).expect("SO_REUSEADDR");
        socket.bind(&to.into()).expect("bind");
        socket
    };
    let first = bound(any_address());
    let from = first.local_addr().expect("an address").as_socket().expect("an IPv4 address");
    let second = bound(from);
    first.connect(&address.into()).expect("connect");
    let on = port.attach(second).expect("attach");
    let taken = run(&mut port, op::Connect::new(on, address));
    assert_error("taken", taken, errno::EADDRNOTAVAIL, ErrorKind::AddrNotAvailable);
}

fn a_path_that_leads_astray(backend: Backend) {
    let mut port = port(backend);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let at = |name: &str| folder.path().join(name);
    fs::write(at("file"), "text").expect("a file");
    symlink(at("loop"), at("loop")).expect("a link");
    // Windows finds no path below a file, and asks about no loop.
    let (errno, kind) = (errno::ENOTDIR, ErrorKind::NotADirectory);
    assert_error("below a file", run(&mut port, op::Open::new(at("file/below")).read(true)), errno, kind);
    assert_error("below a file", run(&mut port, op::Metadata::at(at("file/below"))), errno, kind);
    // `FilesystemLoop`, which has no stable name.
    let (errno, kind) = (errno::ELOOP, io::Error::from_raw_os_error(errno::ELOOP).kind());
    assert_error("a loop", run(&mut port, op::Open::new(at("loop")).read(true)), errno, kind);
    assert_error("a loop", run(&mut port, op::Metadata::at(at("loop"))), errno, kind);
}

fn a_folder_in_place_of_a_file(backend: Backend) {
    let mut port = port(backend);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (errno, kind) = (errno::EISDIR, ErrorKind::IsADirectory);
    assert_error("open", run(&mut port, op::Open::new(folder.path()).write(true)), errno, kind);
    let on = port.attach(File::open(folder.path()).expect("a folder can be opened")).expect("attach");
    assert_error("recv", run(&mut port, op::Recv::new(on, [0; 8])).0, errno, kind);
    assert_error("vectored", run(&mut port, op::RecvVectored::new(on, [[0; 8]])).0, errno, kind);
    assert_error("read-at", run(&mut port, op::ReadAt::new(on, [0; 8], 0)).0, errno, kind);
}

fn a_file_that_may_not_be_opened(backend: Backend) {
    // The administrator may open anything but a program that runs.
    let mut busy = port(backend);
    let program = std::env::current_exe().expect("this program");
    let open = op::Open::new(&program).write(true);
    assert_error("a running program", run(&mut busy, open), errno::ETXTBSY, ErrorKind::ExecutableFileBusy);

    let folder = tempfile::tempdir().expect("a temporary folder");
    let secret = folder.path().join("secret");
    fs::write(&secret, "text").expect("a file");
    fs::set_permissions(&secret, PermissionsExt::from_mode(0o000)).expect("chmod");
    without_power_over_files(|| {
        let mut port = port(backend);
        let (errno, kind) = (errno::EACCES, ErrorKind::PermissionDenied);
        assert_error("read", run(&mut port, op::Open::new(&secret).read(true)), errno, kind);
        assert_error("write", run(&mut port, op::Open::new(&secret).write(true)), errno, kind);
        fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o000)).expect("chmod");
        assert_error("below", run(&mut port, op::Open::new(&secret).read(true)), errno, kind);
        assert_error("below", run(&mut port, op::Metadata::at(&secret)), errno, kind);
    });
    fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o700)).expect("chmod");
}
