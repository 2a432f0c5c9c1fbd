//! The loads beside the closed loop of [`measure::load`]: connections that come and go, datagrams, and a flood of them.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use measure::load::{Lap, Load, Meter, Probe, connect};
use measure::work::Work;
use socket2::SockRef;

/// Connections that a client opens before it closes the first of them.
pub const TOGETHER: usize = 16;

/// Connects, exchanges a message and closes with a reset, a handful of connections at a time, which counts as one operation
/// a connection. (A reset, because an orderly end would use up a port of the client for a minute.)
pub fn churn<P>(
    addr: SocketAddr,
    message: usize,
    ramp: Duration,
    window: Duration,
    probe: Probe<'_, P>,
) -> io::Result<Lap<P>> {
    let message = vec![b'm'; message];
    let mut echoed = vec![0; message.len()];
    let mut meter = Meter::start(ramp, window, probe);
    let mut peers: Vec<(TcpStream, Instant)> = Vec::with_capacity(TOGETHER);
    let mut done = Vec::with_capacity(TOGETHER);
    for place in 0.. {
        let began = Instant::now();
        let mut peer = connect(addr, place)?;
        peer.write_all(&message)?;
        peers.push((peer, began));
        if peers.len() < TOGETHER {
            continue;
        }
        for (mut peer, began) in peers.drain(..) {
            peer.read_exact(&mut echoed)?;
            if echoed != message {
                return Err(io::Error::other("other bytes came back than were sent"));
            }
            SockRef::from(&peer).set_linger(Some(Duration::ZERO))?;
            drop(peer);
            done.push(began.elapsed());
        }
        if !meter.replied(Instant::now(), done.drain(..))? {
            break;
        }
    }
    meter.into_lap().ok_or_else(|| io::Error::other("the load ended before its time"))
}

/// Clients of a datagram server that each have one datagram under way. None is lost on the way: together they fit into the
/// buffer of the server's socket.
pub fn ping_pong(addr: SocketAddr, work: &Work) -> io::Result<Load> {
    let connect = || {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        socket.connect(addr)?;
        // The closed loop sends and receives on what is connected; it does not ask what that is.
        Ok(TcpStream::from(OwnedFd::from(socket)))
    };
    let sockets = (0..work.connections).map(|_| connect()).collect::<io::Result<_>>()?;
    Ok(Load::over(sockets, work))
}

/// What a flood came to.
pub struct Flood<P> {
    /// How long it lasted.
    pub wall: Duration,
    /// Datagrams that the server's socket took.
    pub taken: u64,
    /// Datagrams that it had no room for.
    pub lost: u64,
    /// What the probe said at the beginning and the end.
    pub usage: (P, P),
}

/// Sends datagrams as fast as a client can. What the server does not take, its socket drops and counts.
pub fn flood<P>(
    addr: SocketAddr,
    message: usize,
    ramp: Duration,
    window: Duration,
    probe: Probe<'_, P>,
) -> io::Result<Flood<P>> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    socket.connect(addr)?;
    let message = vec![b'm'; message];
    let send_for = |time: Duration| {
        let (start, mut sent) = (Instant::now(), 0);
        while start.elapsed() < time {
            // The clock costs, too.
            for _ in 0..64 {
                socket.send(&message)?;
            }
            sent += 64;
        }
        io::Result::Ok((start.elapsed(), sent))
    };
    send_for(ramp)?;
    let (lost_before, before) = (dropped(addr)?, probe()?);
    let (wall, sent) = send_for(window)?;
    let (after, lost) = (probe()?, dropped(addr)? - lost_before);
    Ok(Flood { wall, taken: sent - lost, lost, usage: (before, after) })
}

/// How many datagrams the socket bound to `addr` had no room for, as the kernel counts them.
fn dropped(addr: SocketAddr) -> io::Result<u64> {
    let table = fs::read_to_string("/proc/net/udp")?;
    let port = format!(":{:04X}", addr.port());
    let line = table.lines().find(|line| line.split_whitespace().nth(1).is_some_and(|local| local.ends_with(&port)));
    let drops = line.and_then(|line| line.split_whitespace().last()?.parse().ok());
    drops.ok_or_else(|| io::Error::other("/proc/net/udp does not list the server's socket"))
}
