//! On polling, in its edge-triggered mode: registered once for both directions, so that nothing is armed again.

use std::io::{self, ErrorKind};
use std::net::{TcpListener, UdpSocket};

use measure::work::Work;
use polling::{Event, Events, PollMode, Poller};
use slab::Slab;

use super::drain::Echo;

/// `usize::MAX` is its own.
const LISTENER: usize = usize::MAX - 1;

pub(super) fn tcp(listener: TcpListener, work: &Work) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let poller = Poller::new()?;
    // SAFETY: the listener outlives the poller, which is dropped before it.
    unsafe { poller.add_with_mode(&listener, Event::readable(LISTENER), PollMode::Edge)? };
    let mut peers = Slab::with_capacity(work.connections);
    let mut buffer = vec![0; work.buffer()];
    let mut events = Events::new();
    loop {
        events.clear();
        poller.wait(&mut events, None)?;
        for event in events.iter() {
            if event.key != LISTENER {
                let ending = event.is_interrupt() || event.is_err() == Some(true);
                let peer: &mut Echo<_> = &mut peers[event.key];
                if !peer.ready(&mut buffer, ending) {
                    poller.delete(&peer.socket)?;
                    peers.remove(event.key);
                }
                continue;
            }
            loop {
                let socket = match listener.accept() {
                    Ok((socket, _)) => socket,
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    Err(error) if error.kind() == ErrorKind::ConnectionAborted => continue,
                    Err(error) => return Err(error),
                };
                socket.set_nonblocking(true)?;
                let _ = socket.set_nodelay(true);
                let entry = peers.vacant_entry();
                let both = Event::all(entry.key()).with_interrupt();
                // SAFETY: it is deleted before it is dropped.
                unsafe { poller.add_with_mode(&socket, both, PollMode::Edge)? };
                entry.insert(Echo::new(socket));
            }
        }
    }
}

pub(super) fn udp(socket: UdpSocket, reply: bool, length: usize) -> io::Result<()> {
    socket.set_nonblocking(true)?;
    let poller = Poller::new()?;
    // SAFETY: the socket outlives the poller, which is dropped before it.
    unsafe { poller.add_with_mode(&socket, Event::readable(0), PollMode::Edge)? };
    let mut buffer = vec![0; length];
    let mut events = Events::new();
    loop {
        events.clear();
        poller.wait(&mut events, None)?;
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
