//! The load on Linux: on io_uring, or on epoll where that is refused.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::fd::AsRawFd;

use socket2::{Domain, Socket, Type};

use super::{Meter, epoll, uring};
use crate::raw::ring;

/// Nothing: a ring or an epoll instance is made anew for each drive.
pub(super) struct Queue;

impl Queue {
    pub(super) fn of(_active: &[&TcpStream]) -> io::Result<Queue> {
        Ok(Queue)
    }

    /// Drives the sockets until `meter` has had enough and nothing is under way any more.
    pub(super) fn drive<P>(&self, active: &[&TcpStream], message: &[u8], meter: &mut Meter<'_, P>) -> io::Result<()> {
        match ring::bare((2 * active.len() + 1).next_power_of_two() as u32) {
            Ok(ring) => uring::drive(ring, active, message, meter),
            Err(_) => epoll::drive(active, message, meter),
        }
    }
}

/// Connects to the server. Many connections come from many addresses, so that no address runs out of ports.
pub fn connect(addr: SocketAddr, place: usize) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    // The system chooses the port only when it knows the peer: one is in use only if all four of the addresses and ports are.
    let on: libc::c_int = 1;
    let (value, length) = ((&raw const on).cast(), size_of_val(&on) as u32);
    // SAFETY: the option takes an int, which is read during the call only.
    if unsafe { libc::setsockopt(socket.as_raw_fd(), libc::SOL_IP, libc::IP_BIND_ADDRESS_NO_PORT, value, length) } != 0
    {
        return Err(io::Error::last_os_error());
    }
    let source = Ipv4Addr::new(127, 0, 0, 2 + (place / 8192 % 128) as u8);
    socket.bind(&SocketAddr::from((source, 0)).into())?;
    socket.connect(&addr.into())?;
    socket.set_tcp_nodelay(true)?;
    Ok(socket.into())
}
