//! Objects as every Unix has them: Unix sockets, pipes, descriptors that are written to until they are full.

use std::io::{self, PipeReader, PipeWriter};
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::path::Path;

use anyport::{Handle, Object, Port};
use socket2::{Domain, SockAddr, Socket, Type};

pub(crate) use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};

/// Two ends of a Unix stream connection.
pub(crate) fn unix_pair() -> (UnixStream, UnixStream) {
    UnixStream::pair().expect("a pair of Unix stream sockets")
}

/// Two ends of a Unix datagram pair.
pub(crate) fn unix_datagram_pair() -> (UnixDatagram, UnixDatagram) {
    UnixDatagram::pair().expect("a pair of Unix datagram sockets")
}

/// A Unix listener in a new folder, which lives as long as the returned guard.
pub(crate) fn unix_listener() -> (UnixListener, tempfile::TempDir) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let listener = UnixListener::bind(folder.path().join("socket")).expect("listen on a Unix socket");
    (listener, folder)
}

/// A pipe.
pub(crate) fn pipe() -> (PipeReader, PipeWriter) {
    std::io::pipe().expect("a pipe")
}

pub(crate) fn set_blocking(fd: impl AsFd, blocking: bool) {
    rustix::io::ioctl_fionbio(fd, !blocking).expect("FIONBIO");
}

/// Writes until nothing more fits.
pub(crate) fn fill(fd: impl AsFd) {
    set_blocking(&fd, false);
    for size in [4096, 1] {
        while rustix::io::write(&fd, &[0; 4096][..size]).is_ok() {}
    }
    set_blocking(&fd, true);
}

/// Writes as much as fits.
pub(crate) fn try_write(fd: impl AsFd, bytes: &[u8]) {
    set_blocking(&fd, false);
    let _ = rustix::io::write(&fd, bytes);
}

/// The same of a Unix listener.
pub(crate) fn silent_unix() -> (Vec<OwnedFd>, SockAddr, tempfile::TempDir) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let address = SockAddr::unix(folder.path().join("silent")).expect("an address");
    let listener = Socket::new(Domain::UNIX, Type::STREAM, None).expect("a socket");
    listener.bind(&address).expect("bind");
    listener.listen(0).expect("listen");
    let first = Socket::new(Domain::UNIX, Type::STREAM, None).expect("a socket");
    first.connect(&address).expect("connect");
    (vec![listener.into(), first.into()], address, folder)
}

/// Sends bytes with a descriptor alongside, as SCM_RIGHTS.
pub(crate) fn send_with_descriptor(far: &Socket, bytes: &[u8]) {
    use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags};
    let descriptors = [far.as_fd()];
    let mut space = [std::mem::MaybeUninit::uninit(); 64];
    let mut control = SendAncillaryBuffer::new(&mut space);
    assert!(control.push(SendAncillaryMessage::ScmRights(&descriptors)));
    let sent = rustix::net::sendmsg(far, &[io::IoSlice::new(bytes)], &mut control, SendFlags::empty());
    assert_eq!(sent.expect("send a descriptor"), bytes.len());
}

/// Skips a test of Windows' own; this is none.
pub(crate) fn skip_on_wine(_: &str) {}

/// Has an object leave the port.
#[track_caller]
pub(crate) fn detach(port: &mut Port, handle: Handle) -> Object {
    port.detach(handle).expect("detach")
}

/// Whether objects can leave a port here.
pub(crate) fn can_detach() -> bool {
    true
}

/// A listener on a Unix socket in `folder`, and its address.
pub(crate) fn unix_target(folder: &Path) -> (Socket, SockAddr) {
    let address = SockAddr::unix(folder.join("socket")).expect("an address");
    let listener = Socket::new(Domain::UNIX, Type::STREAM, None).expect("a socket");
    listener.bind(&address).expect("bind");
    listener.listen(4).expect("listen");
    (listener, address)
}

/// An open folder.
pub(crate) fn folder() -> std::fs::File {
    std::fs::File::open("/").expect("the root folder")
}

/// A datagram to a receiver that is full waits; elsewhere it is lost.
pub(crate) const DATAGRAMS_WAIT: bool = true;

/// This is no Wine.
pub(crate) fn is_wine() -> bool {
    false
}

/// The system tells when there is room in a pipe.
pub(crate) const PIPES_TELL_ROOM: bool = true;

/// The path of what takes everything and has nothing.
pub(crate) const NULL: &str = "/dev/null";

/// A file that takes everything and has nothing.
pub(crate) fn null() -> std::fs::File {
    std::fs::File::options().read(true).write(true).open(NULL).expect("/dev/null")
}

/// A source that never runs dry and never blocks: no edge and no "would block" ends a turn of it.
pub(crate) fn endless() -> std::fs::File {
    std::fs::File::open("/dev/zero").expect("/dev/zero")
}

/// A socket that was accepted or detached, as one of the standard library's.
pub(crate) fn tcp_of(object: impl Into<Object>) -> std::net::TcpStream {
    object.into().into()
}

/// The same as a plain socket.
pub(crate) fn socket_of(object: impl Into<Object>) -> Socket {
    object.into().into()
}

/// What the system knows an open object by.
pub(crate) type Number = RawFd;

/// The number that the system knows an object by.
pub(crate) fn number(object: &impl AsRawFd) -> Number {
    object.as_raw_fd()
}

/// The same of an object that a port has.
pub(crate) fn number_behind(port: &Port, handle: Handle) -> Number {
    port.as_fd(handle).expect("attached").as_raw_fd()
}

/// Takes what is there, without waiting, whatever the socket's flags are.
pub(crate) fn take_now(socket: impl AsFd, buf: &mut [u8]) {
    let _ = rustix::net::recv(socket, buf, rustix::net::RecvFlags::DONTWAIT);
}

/// Skips a test of an object that joins twice, by a duplicate; here it can.
pub(crate) fn skip_where_an_object_joins_once() {}

/// Sockets that a multishot accept has ready for connections to come.
pub(crate) const ACCEPTS_AHEAD: usize = 0;
