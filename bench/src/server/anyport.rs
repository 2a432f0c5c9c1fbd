//! On Anyport, on each of its backends. The TCP server is the one of `anyport echo`; the pool is as its documentation
//! says: a buffer for each active peer, larger than a message.

use std::io;
use std::net::{TcpListener, UdpSocket};

use anyport::{Backend, Port, Token, op};
use measure::echo::by_port;
use measure::work::Work;

pub(super) fn tcp_uring(listener: TcpListener, work: &Work) -> io::Result<()> {
    by_port(Backend::Uring, listener, work)
}

pub(super) fn tcp_epoll(listener: TcpListener, work: &Work) -> io::Result<()> {
    by_port(Backend::Epoll, listener, work)
}

pub(super) fn tcp_poll(listener: TcpListener, work: &Work) -> io::Result<()> {
    by_port(Backend::Poll, listener, work)
}

/// A flood is received by one submission. Where each datagram is answered, the port sends one after the other, each with a
/// system call, which takes a receive along.
pub(super) fn udp_uring(socket: UdpSocket, reply: bool, length: usize) -> io::Result<()> {
    if reply { udp(Backend::Uring, socket, reply, length) } else { flood(socket, length) }
}

/// One receive brings all datagrams, each in a buffer of the pool.
fn flood(socket: UdpSocket, length: usize) -> io::Result<()> {
    const BUFFERS: u16 = 64;
    let mut port = Port::builder().backend(Backend::Uring).pool(BUFFERS, length).build()?;
    let socket = port.attach(socket)?;
    port.submit(op::RecvFromPooledMulti::new(socket), Token(0));
    loop {
        port.wait(None)?;
        while let Some(done) = port.next() {
            drop(done.unpack::<op::RecvFromPooledMulti>()?);
        }
    }
}

pub(super) fn udp_epoll(socket: UdpSocket, reply: bool, length: usize) -> io::Result<()> {
    udp(Backend::Epoll, socket, reply, length)
}

pub(super) fn udp_poll(socket: UdpSocket, reply: bool, length: usize) -> io::Result<()> {
    udp(Backend::Poll, socket, reply, length)
}

/// Each of some buffers is lent to a receive, then to the reply, then to a receive again.
fn udp(backend: Backend, socket: UdpSocket, reply: bool, length: usize) -> io::Result<()> {
    // One that is lent to a reply, one to the next receive: more only grow what the cache has to hold.
    const BUFFERS: u64 = 2;
    let mut port = Port::builder().backend(backend).build()?;
    let socket = port.attach(socket)?;
    for number in 0..BUFFERS {
        port.submit(op::RecvFrom::new(socket, Vec::<u8>::with_capacity(length)), Token(number));
    }
    loop {
        port.wait(None)?;
        while let Some(done) = port.next() {
            let token = done.token();
            let mut buffer = if done.is::<op::RecvFrom<Vec<u8>>>() {
                let (received, buffer) = done.unpack::<op::RecvFrom<Vec<u8>>>();
                let (_, from) = received?;
                if reply {
                    port.submit(op::SendTo::new(socket, buffer, from), token);
                    continue;
                }
                buffer
            } else {
                let (sent, buffer) = done.unpack::<op::SendTo<Vec<u8>>>();
                sent?;
                buffer
            };
            buffer.clear();
            port.submit(op::RecvFrom::new(socket, buffer), token);
        }
    }
}
