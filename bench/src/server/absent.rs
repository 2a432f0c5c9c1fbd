//! In the place of a library that was not there when this was built: nobody starts it, since it is not [`here`].

use std::io;
use std::net::{TcpListener, UdpSocket};

use measure::work::Work;

const WHY: &str =
    "it was not there when this was built; install libuv1-dev, libasio-dev, pkg-config and g++ and build again";

pub(crate) fn here() -> Result<(), String> {
    Err(WHY.to_owned())
}

pub(super) fn version() -> Option<String> {
    None
}

pub(super) fn tcp(_: TcpListener, _: &Work) -> io::Result<()> {
    Err(io::Error::other(WHY))
}

pub(super) fn udp(_: UdpSocket, _: bool, _: usize) -> io::Result<()> {
    Err(io::Error::other(WHY))
}
