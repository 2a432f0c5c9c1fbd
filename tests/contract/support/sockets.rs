//! Connected pairs of every kind of object that the tests use. One side is usually attached to a port, the other is
//! played by a blocking [`super::peer::Peer`]. Loopback and port 0 only.

use std::io::{PipeReader, PipeWriter};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};

use socket2::Socket;

/// A TCP listener on the loopback address, and where it listens.
pub(crate) fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("listen on 127.0.0.1");
    let address = listener.local_addr().expect("the address of a listener");
    (listener, address)
}

/// Two ends of a TCP connection over loopback, with `TCP_NODELAY` so that a test's timing is its own.
pub(crate) fn tcp_pair() -> (TcpStream, TcpStream) {
    let (listener, address) = listener();
    let near = TcpStream::connect(address).expect("connect over loopback");
    let (far, _) = listener.accept().expect("accept over loopback");
    near.set_nodelay(true).expect("TCP_NODELAY");
    far.set_nodelay(true).expect("TCP_NODELAY");
    (near, far)
}

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

/// Two UDP sockets on loopback, each connected to the other.
pub(crate) fn udp_pair() -> (UdpSocket, UdpSocket) {
    let (near, far) = udp_unconnected();
    near.connect(far.local_addr().expect("an address")).expect("connect a UDP socket");
    far.connect(near.local_addr().expect("an address")).expect("connect a UDP socket");
    (near, far)
}

/// Two UDP sockets on loopback that are not connected.
pub(crate) fn udp_unconnected() -> (UdpSocket, UdpSocket) {
    let bind = || UdpSocket::bind("127.0.0.1:0").expect("a UDP socket on 127.0.0.1");
    (bind(), bind())
}

/// A pipe.
pub(crate) fn pipe() -> (PipeReader, PipeWriter) {
    std::io::pipe().expect("a pipe")
}

/// A connected pair of each kind of stream socket, named: for promises that hold for all of them.
pub(crate) fn stream_pairs() -> Vec<(&'static str, Socket, Socket)> {
    let (tcp_near, tcp_far) = tcp_pair();
    let (unix_near, unix_far) = unix_pair();
    vec![("tcp", tcp_near.into(), tcp_far.into()), ("unix", unix_near.into(), unix_far.into())]
}
