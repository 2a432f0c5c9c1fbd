//! Connected pairs of every kind of object that the tests use. One side is usually attached to a port, the other is
//! played by a blocking [`super::peer::Peer`]. Loopback and port 0 only.

use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};

use socket2::{Domain, SockAddr, Socket};

use super::unix_pair;

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

/// A connected pair of each kind of stream socket, named: for promises that hold for all of them.
pub(crate) fn stream_pairs() -> Vec<(&'static str, Socket, Socket)> {
    let (tcp_near, tcp_far) = tcp_pair();
    let (unix_near, unix_far) = unix_pair();
    vec![("tcp", tcp_near.into(), tcp_far.into()), ("unix", unix_near.into(), unix_far.into())]
}

/// The domain of a socket that is to connect to `address`.
pub(crate) fn domain_of(address: &SockAddr) -> Domain {
    if address.is_ipv4() { Domain::IPV4 } else { Domain::UNIX }
}
