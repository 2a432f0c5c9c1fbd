//! Echo on bare epoll: each connection registered once, edge-triggered, for both directions; one buffer for all of
//! them; a receive that did not fill it has drained the socket, so the one that would say `EAGAIN` is left out.

use std::io;
use std::net::TcpListener;
use std::os::fd::OwnedFd;

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, SocketFlags, accept_with, recv, send, sockopt};
use slab::Slab;

use crate::page::PageAligned;
use crate::work::Work;

const LISTENER: u64 = u64::MAX;

struct Connection {
    socket: OwnedFd,
    /// What the socket did not take yet. Nothing more is received until it has.
    unsent: Vec<u8>,
}

/// See [`super::Serve`].
pub fn serve(listener: TcpListener, work: &Work) -> io::Result<()> {
    // What is accepted inherits this.
    sockopt::set_tcp_nodelay(&listener, true)?;
    let epoll = epoll::create(CreateFlags::CLOEXEC)?;
    listener.set_nonblocking(true)?;
    epoll::add(&epoll, &listener, EventData::new_u64(LISTENER), EventFlags::IN | EventFlags::ET)?;
    let mut open: Slab<Connection> = Slab::with_capacity(work.connections.min(1 << 16));
    let mut gone = 0;
    let mut buffer = PageAligned::zeroed(work.buffer());
    let mut events = Vec::with_capacity(1024);
    while gone < work.total {
        match epoll::wait(&epoll, spare_capacity(&mut events), None) {
            Err(Errno::INTR) => continue,
            other => other?,
        };
        for event in events.drain(..) {
            if event.data.u64() == LISTENER {
                accept_all(&epoll, &listener, &mut open)?;
                continue;
            }
            let place = event.data.u64() as usize;
            let ending = { event.flags }.intersects(EventFlags::RDHUP | EventFlags::HUP | EventFlags::ERR);
            if !open[place].echo(&mut buffer, ending).unwrap_or(false) {
                // Closing the only descriptor takes it out of the epoll.
                open.remove(place);
                gone += 1;
            }
        }
    }
    Ok(())
}

fn accept_all(epoll: &OwnedFd, listener: &TcpListener, open: &mut Slab<Connection>) -> io::Result<()> {
    loop {
        let socket = match accept_with(listener, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK) {
            Ok(socket) => socket,
            Err(Errno::AGAIN) => return Ok(()),
            Err(Errno::CONNABORTED | Errno::INTR) => continue,
            Err(error) => return Err(error.into()),
        };
        let entry = open.vacant_entry();
        let interest = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
        epoll::add(epoll, &socket, EventData::new_u64(entry.key() as u64), interest)?;
        entry.insert(Connection { socket, unsent: Vec::new() });
    }
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
fn push(socket: &OwnedFd, bytes: &[u8]) -> io::Result<usize> {
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
