//! The sockets that are watched on Windows: both ends of TCP connections, and idle datagram sockets that nobody ever sends to.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::windows::io::{AsSocket, BorrowedSocket};

use socket2::{Domain, SockRef, Socket, Type};

/// What a poller is given.
pub(super) type Source<'a> = BorrowedSocket<'a>;

/// An end of a pair.
pub(super) type Stream = TcpStream;

/// An idle socket.
pub(super) type Sleeper = Socket;

pub(super) fn pair() -> io::Result<(Stream, Stream)> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let one = TcpStream::connect(listener.local_addr()?)?;
    let (other, _) = listener.accept()?;
    one.set_nodelay(true)?;
    other.set_nodelay(true)?;
    Ok((one, other))
}

pub(super) fn as_source(stream: &Stream) -> Source<'_> {
    stream.as_socket()
}

pub(super) fn read(source: Source<'_>, buffer: &mut [u8]) -> io::Result<usize> {
    (&*SockRef::from(&source)).read(buffer)
}

pub(super) fn write(mut stream: &Stream, bytes: &[u8]) -> io::Result<usize> {
    stream.write(bytes)
}

pub(super) fn sleeper() -> io::Result<Sleeper> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, None)?;
    socket.bind(&std::net::SocketAddr::from(([127, 0, 0, 1], 0)).into())?;
    Ok(socket)
}

pub(super) fn as_sleeping_source(sleeper: &Sleeper) -> Source<'_> {
    sleeper.as_socket()
}
