//! Echo on bare epoll: each connection registered once, edge-triggered, for both directions; one buffer for all of
//! them; a receive that did not fill it has drained the socket, so the one that would say `EAGAIN` is left out.

use std::io;
use std::net::{TcpListener, TcpStream};

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};

use super::accept;

/// Larger than any message of the benchmark, so that a whole message never fills it.
const BUFFER: usize = 64 * 1024;

struct Connection {
    socket: TcpStream,
    /// What the socket did not take yet. Nothing more is received until it has.
    unsent: Vec<u8>,
}

/// See [`super::Serve`].
pub fn serve(listener: TcpListener, connections: usize) -> io::Result<()> {
    let epoll = epoll::create(CreateFlags::CLOEXEC)?;
    let mut open = Vec::with_capacity(connections);
    for (place, socket) in accept(&listener, connections)?.into_iter().enumerate() {
        socket.set_nonblocking(true)?;
        let interest = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
        epoll::add(&epoll, &socket, EventData::new_u64(place as u64), interest)?;
        open.push(Some(Connection { socket, unsent: Vec::new() }));
    }

    let mut left = connections;
    let mut buffer = vec![0; BUFFER];
    let mut events = Vec::with_capacity(1024);
    while left > 0 {
        match epoll::wait(&epoll, spare_capacity(&mut events), None) {
            Err(Errno::INTR) => continue,
            other => other?,
        };
        for event in events.drain(..) {
            let slot = &mut open[event.data.u64() as usize];
            let Some(connection) = slot else { continue };
            let ending = { event.flags }.intersects(EventFlags::RDHUP | EventFlags::HUP | EventFlags::ERR);
            if !connection.echo(&mut buffer, ending)? {
                *slot = None;
                left -= 1;
            }
        }
    }
    Ok(())
}

impl Connection {
    /// Echoes until the socket is drained or takes no more. `false`: the peer has closed it.
    /// With `ending` a short receive proves nothing: the end of the stream is still to be read.
    fn echo(&mut self, buffer: &mut [u8], ending: bool) -> io::Result<bool> {
        if !self.unsent.is_empty() {
            let sent = push(&self.socket, &self.unsent)?;
            self.unsent.drain(..sent);
            if !self.unsent.is_empty() {
                return Ok(true);
            }
        }
        loop {
            let received = match recv(&self.socket, &mut *buffer, RecvFlags::empty()) {
                Ok((_, 0)) => return Ok(false),
                Ok((_, received)) => received,
                Err(Errno::AGAIN) => return Ok(true),
                Err(error) => return Err(error.into()),
            };
            let sent = push(&self.socket, &buffer[..received])?;
            if sent < received {
                self.unsent.extend_from_slice(&buffer[sent..received]);
                return Ok(true);
            }
            if received < buffer.len() && !ending {
                return Ok(true);
            }
        }
    }
}

/// Sends until all is sent or the socket takes no more; returns how much it took.
fn push(socket: &TcpStream, bytes: &[u8]) -> io::Result<usize> {
    let mut sent = 0;
    while sent < bytes.len() {
        match send(socket, &bytes[sent..], SendFlags::NOSIGNAL) {
            Ok(more) => sent += more,
            Err(Errno::AGAIN) => break,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(sent)
}
