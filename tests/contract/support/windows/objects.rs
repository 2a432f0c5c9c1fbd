//! Stand-ins for what Unix has beside TCP, UDP and pipes: Winsock has Unix stream sockets since Windows 10 (1803), but
//! neither pairs of them nor datagrams, and the standard library and Wine have none. What a test does with them as just
//! another stream, it does here with TCP over loopback; what is about Unix sockets as such is skipped.

use std::io;
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::windows::io::{AsRawHandle, AsRawSocket, AsSocket, BorrowedSocket, OwnedSocket};
use std::path::Path;
use std::time::Duration;

use anyport::{Handle, Object, Port, Source};
use socket2::{SockAddr, SockRef, Socket};

use windows_sys::Win32::Storage::FileSystem::{
    FILE_FLAG_BACKUP_SEMANTICS, FILE_FLAG_DELETE_ON_CLOSE, FILE_FLAG_OVERLAPPED,
};
use windows_sys::Win32::System::IO::DeviceIoControl;
use windows_sys::Win32::System::Ioctl::FSCTL_SET_SPARSE;

use super::pipe::{PipeReader, PipeWriter, pipe};
use super::process::Number;

use super::super::pending::silent_tcp;
use super::super::skip::skip_elsewhere;
use super::super::sockets::{listener, tcp_pair, udp_pair};

pub(crate) type UnixStream = TcpStream;
pub(crate) type UnixListener = TcpListener;

/// A socket for datagrams.
pub(crate) struct UnixDatagram(UdpSocket);

impl UnixDatagram {
    pub(crate) fn bind(_: impl AsRef<Path>) -> io::Result<UnixDatagram> {
        skip_elsewhere("Windows has no Unix datagram sockets")
    }

    pub(crate) fn unbound() -> io::Result<UnixDatagram> {
        skip_elsewhere("Windows has no Unix datagram sockets")
    }

    pub(crate) fn connect(&self, _: impl AsRef<Path>) -> io::Result<()> {
        skip_elsewhere("Windows has no Unix datagram sockets")
    }

    pub(crate) fn send_to(&self, _: &[u8], _: impl AsRef<Path>) -> io::Result<usize> {
        skip_elsewhere("Windows has no Unix datagram sockets")
    }

    pub(crate) fn send(&self, bytes: &[u8]) -> io::Result<usize> {
        self.0.send(bytes)
    }

    pub(crate) fn recv(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.0.recv(buf)
    }

    pub(crate) fn set_read_timeout(&self, time: Option<Duration>) -> io::Result<()> {
        self.0.set_read_timeout(time)
    }

    pub(crate) fn set_nonblocking(&self, on: bool) -> io::Result<()> {
        self.0.set_nonblocking(on)
    }
}

impl From<UnixDatagram> for Socket {
    fn from(socket: UnixDatagram) -> Socket {
        socket.0.into()
    }
}

impl From<UnixDatagram> for Source {
    fn from(socket: UnixDatagram) -> Source {
        socket.0.into()
    }
}

impl From<UnixDatagram> for Object {
    fn from(socket: UnixDatagram) -> Object {
        socket.0.into()
    }
}

impl AsSocket for UnixDatagram {
    fn as_socket(&self) -> BorrowedSocket<'_> {
        self.0.as_socket()
    }
}

/// Two ends of another stream. (One that holds much more than a Unix socket does.)
pub(crate) fn unix_pair() -> (UnixStream, UnixStream) {
    tcp_pair()
}

/// Two ends of another pair of datagram sockets.
pub(crate) fn unix_datagram_pair() -> (UnixDatagram, UnixDatagram) {
    let (near, far) = udp_pair();
    (UnixDatagram(near), UnixDatagram(far))
}

/// Another listener.
pub(crate) fn unix_listener() -> (UnixListener, tempfile::TempDir) {
    (listener().0, tempfile::tempdir().expect("a temporary folder"))
}

/// An end that can be written to until nothing more fits.
pub(crate) trait Fill {
    fn fill(&self);
}

/// Tries smaller and smaller pieces, and large ones again after each that was taken: what a large one fills at once may take
/// single bytes for long, and each of them is a call.
fn pieces(mut write: impl FnMut(&[u8]) -> bool) {
    const LARGE: usize = 65536;
    let mut size = LARGE;
    while size > 0 {
        size = if write(&[0; LARGE][..size]) { LARGE } else { size / 16 };
    }
}

impl Fill for TcpStream {
    fn fill(&self) {
        self.set_nonblocking(true).expect("FIONBIO");
        // The system moves what is there on to the other side, until that is full as well.
        let mut quiet = 0;
        while quiet < 5 {
            quiet += 1;
            pieces(|bytes| SockRef::from(self).send(bytes).inspect(|_| quiet = 0).is_ok());
            std::thread::sleep(Duration::from_millis(1));
        }
        self.set_nonblocking(false).expect("FIONBIO");
    }
}

impl Fill for UnixDatagram {
    fn fill(&self) {
        skip_elsewhere("a datagram socket here is never full: what does not fit is lost")
    }
}

impl Fill for PipeWriter {
    fn fill(&self) {
        pieces(|bytes| self.try_write(bytes).is_ok());
    }
}

impl<T: Fill> Fill for &T {
    fn fill(&self) {
        (**self).fill();
    }
}

/// Writes until nothing more fits.
pub(crate) fn fill(end: impl Fill) {
    end.fill();
}

/// Writes as much as fits.
pub(crate) fn try_write(object: &Object, bytes: &[u8]) {
    if let Object::Socket(socket) = object {
        let _ = SockRef::from(socket).set_nonblocking(true);
        let _ = SockRef::from(socket).send(bytes);
    }
}

/// A listener that answers nobody, as [`silent_tcp`] is one. (A Windows refuses, some seconds later.)
pub(crate) fn silent_unix() -> (Vec<Object>, SockAddr, tempfile::TempDir) {
    let (kept, address) = silent_tcp();
    (kept, address, tempfile::tempdir().expect("a temporary folder"))
}

/// Another listener, and its address.
pub(crate) fn unix_target(_: &Path) -> (Socket, SockAddr) {
    let (listener, address) = listener();
    (listener.into(), address.into())
}

/// A pipe that holds little.
pub(crate) fn small_pipe() -> (PipeReader, PipeWriter) {
    pipe()
}

/// An open folder.
pub(crate) fn folder() -> std::fs::File {
    use std::os::windows::fs::OpenOptionsExt;
    let folder = std::fs::OpenOptions::new().read(true).custom_flags(FILE_FLAG_BACKUP_SEMANTICS).open("/");
    folder.expect("the root folder")
}

/// Sends bytes with a descriptor alongside.
pub(crate) fn send_with_descriptor(_: &Socket, _: &[u8]) {
    skip_elsewhere("no descriptors are sent along here")
}

/// Holds small pieces back until they are let go together: not here, where there is no such option.
pub(crate) fn cork(_: &Socket, _: bool) {}

/// A datagram to a receiver that is full is lost.
pub(crate) const DATAGRAMS_WAIT: bool = false;

/// The system tells when there is something in a pipe, but not when there is room.
pub(crate) const PIPES_TELL_ROOM: bool = false;

/// The path of what takes everything and has nothing.
pub(crate) const NULL: &str = "NUL";

/// A file that takes everything and has nothing.
pub(crate) fn null() -> std::fs::File {
    std::fs::File::options().read(true).write(true).open(NULL).expect("NUL")
}

/// A source that never runs dry and never blocks for long: a file of a size that nobody reads through, all of it a hole.
/// For overlapped calls; it goes with its last handle.
pub(crate) fn endless() -> std::fs::File {
    use std::os::windows::fs::OpenOptionsExt;
    let (hole, path) = tempfile::NamedTempFile::new().expect("a file").keep().expect("a file");
    let mut bytes = 0;
    // SAFETY: no data goes in or out; the handle is of the standard library, so the call is over when it returns.
    let sparse = unsafe {
        let (none, handle) = (std::ptr::null_mut(), hole.as_raw_handle());
        DeviceIoControl(handle, FSCTL_SET_SPARSE, none, 0, none, 0, &mut bytes, std::ptr::null_mut())
    };
    assert_ne!(sparse, 0, "FSCTL_SET_SPARSE: {}", io::Error::last_os_error());
    hole.set_len(1 << 36).expect("a large file");
    drop(hole);
    let flags = FILE_FLAG_OVERLAPPED | FILE_FLAG_DELETE_ON_CLOSE;
    std::fs::OpenOptions::new().read(true).custom_flags(flags).open(path).expect("the file")
}

/// A socket that was accepted or detached, as one of the standard library's.
pub(crate) fn tcp_of(object: impl Into<Object>) -> TcpStream {
    OwnedSocket::try_from(object.into()).expect("a socket").into()
}

/// The same as a plain socket.
pub(crate) fn socket_of(object: impl Into<Object>) -> Socket {
    OwnedSocket::try_from(object.into()).expect("a socket").into()
}

/// What has a number that the system knows it by.
pub(crate) trait Numbered {
    fn number(&self) -> Number;
}

impl Numbered for TcpStream {
    fn number(&self) -> Number {
        self.as_raw_socket() as Number
    }
}

impl Numbered for std::fs::File {
    fn number(&self) -> Number {
        self.as_raw_handle() as Number
    }
}

impl Numbered for Object {
    fn number(&self) -> Number {
        match self {
            Object::Socket(socket) => socket.as_raw_socket() as Number,
            Object::Handle(handle) => handle.as_raw_handle() as Number,
        }
    }
}

/// The number that the system knows an object by.
pub(crate) fn number(object: &impl Numbered) -> Number {
    object.number()
}

/// The same of an object that a port has.
pub(crate) fn number_behind(port: &Port, handle: Handle) -> Number {
    port.as_handle(handle).expect("attached").as_raw_handle() as Number
}

/// Takes what is there, without waiting.
pub(crate) fn take_now(socket: &TcpStream, buf: &mut [u8]) {
    let _ = socket.set_nonblocking(true);
    let _ = std::io::Read::read(&mut &*socket, buf);
}

/// Skips a test of an object that joins twice, by a duplicate.
pub(crate) fn skip_where_an_object_joins_once() {
    skip_elsewhere("a duplicate belongs to the completion port of the first, and joins no other")
}

/// Sockets that a multishot accept has ready for connections to come.
pub(crate) const ACCEPTS_AHEAD: usize = 4;

/// The system reads by itself what it does not hold of a file in memory.
pub(crate) fn forget_pages(_file: &std::fs::File) -> bool {
    true
}

/// Has a socket hold `len` bytes that nobody has received. The system takes what is sent from a file as it likes.
pub(crate) fn hold_much(_: &TcpStream, _: u32) {
    skip_elsewhere("the system itself divides the sending of a file");
}
