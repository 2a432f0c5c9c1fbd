//! On mio, which is edge-triggered: registered once for both directions, drained at each event.

use std::io::{self, ErrorKind};
use std::net;

use measure::work::Work;
use mio::net::{TcpListener, UdpSocket};
use mio::{Events, Interest, Poll, Token};
use slab::Slab;

use super::drain::Echo;

const LISTENER: Token = Token(usize::MAX);

pub(super) fn tcp(listener: net::TcpListener, work: &Work) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let mut listener = TcpListener::from_std(listener);
    let mut poll = Poll::new()?;
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    let mut peers = Slab::with_capacity(work.connections);
    let mut buffer = vec![0; work.buffer()];
    let mut events = Events::with_capacity(1024);
    loop {
        match poll.poll(&mut events, None) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            other => other?,
        }
        for event in &events {
            if event.token() != LISTENER {
                let place = event.token().0;
                let ending = event.is_read_closed() || event.is_error();
                let peer: &mut Echo<_> = &mut peers[place];
                if !peer.ready(&mut buffer, ending) {
                    // Closing it takes it out of the queue.
                    peers.remove(place);
                }
                continue;
            }
            loop {
                let mut socket = match listener.accept() {
                    Ok((socket, _)) => socket,
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    Err(error) if error.kind() == ErrorKind::ConnectionAborted => continue,
                    Err(error) => return Err(error),
                };
                let _ = socket.set_nodelay(true);
                let entry = peers.vacant_entry();
                let both = Interest::READABLE | Interest::WRITABLE;
                poll.registry().register(&mut socket, Token(entry.key()), both)?;
                entry.insert(Echo::new(socket));
            }
        }
    }
}

pub(super) fn udp(socket: net::UdpSocket, reply: bool, length: usize) -> io::Result<()> {
    socket.set_nonblocking(true)?;
    let mut socket = UdpSocket::from_std(socket);
    let mut poll = Poll::new()?;
    poll.registry().register(&mut socket, LISTENER, Interest::READABLE)?;
    let mut buffer = vec![0; length];
    let mut events = Events::with_capacity(1);
    loop {
        match poll.poll(&mut events, None) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            other => other?,
        }
        loop {
            match socket.recv_from(&mut buffer) {
                Ok((received, from)) if reply => {
                    socket.send_to(&buffer[..received], from)?;
                }
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
    }
}
