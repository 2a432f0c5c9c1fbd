//! The client of the echo benchmark: connections that each send a message, wait for all of it to come back, and send the
//! next. It runs on a core of its own and copies as little as it can, so that the server is what limits.
//!
//! A warm-up compares every byte; in the measured window lengths are enough.

mod epoll;
mod uring;

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use super::clock::ThreadClock;

/// Connected peers of one echo server.
pub struct Load {
    connections: Vec<TcpStream>,
    message: Vec<u8>,
}

/// What happened in the measured window.
#[derive(Clone, Copy, Debug)]
pub struct Lap {
    /// Messages that came back whole.
    pub requests: u64,
    /// How long the window was in fact.
    pub wall: Duration,
    /// The server's CPU time in it.
    pub server_cpu: Duration,
}

impl Load {
    /// Opens `connections` connections for messages of `size` bytes.
    pub fn connect(addr: SocketAddr, connections: usize, size: usize) -> io::Result<Load> {
        let connect = || {
            let socket = TcpStream::connect(addr)?;
            socket.set_nodelay(true)?;
            Ok(socket)
        };
        Ok(Load {
            connections: (0..connections).map(|_| connect()).collect::<io::Result<_>>()?,
            message: (0..size).map(|place| place as u8).collect(),
        })
    }

    /// Exchanges two messages on every connection, one after the other, and compares every byte. No two are alike.
    /// A message has to fit into the sockets' buffers.
    pub fn compare(&mut self) -> io::Result<()> {
        let mut echoed = vec![0; self.message.len()];
        for round in 0..2_u64 {
            for (place, mut socket) in self.connections.iter().enumerate() {
                let mark = (round << 32 | place as u64).to_le_bytes();
                let sent: Vec<u8> =
                    (self.message.iter().zip(mark.iter().cycle())).map(|(byte, mark)| byte ^ mark).collect();
                socket.write_all(&sent)?;
                socket.read_exact(&mut echoed)?;
                if echoed != sent {
                    return Err(io::Error::other(format!("connection {place} got back other bytes than it sent")));
                }
            }
        }
        Ok(())
    }

    /// Keeps every connection busy for `ramp`, then for the measured `window`, and waits for what is still under way.
    /// `server` is the clock of the thread that serves.
    pub fn run(&mut self, ramp: Duration, window: Duration, server: ThreadClock) -> io::Result<Lap> {
        let mut meter = Meter::start(ramp, window, server);
        match super::raw::ring::bare(2 * self.connections.len().next_power_of_two() as u32) {
            Ok(ring) => uring::drive(ring, &self.connections, &self.message, &mut meter)?,
            Err(_) => epoll::drive(&self.connections, &self.message, &mut meter)?,
        }
        meter.lap.ok_or_else(|| io::Error::other("the load ended before its time"))
    }
}

/// Counts replies, and reads the clocks at both ends of the window.
struct Meter {
    server: ThreadClock,
    /// When the window begins, and how long it should be.
    opens: Instant,
    window: Duration,
    /// Clocks at its beginning, once that has come.
    began: Option<(Instant, Duration)>,
    requests: u64,
    lap: Option<Lap>,
}

impl Meter {
    fn start(ramp: Duration, window: Duration, server: ThreadClock) -> Meter {
        Meter { server, opens: Instant::now() + ramp, window, began: None, requests: 0, lap: None }
    }

    /// Takes note of a batch of replies. `false`: the window is over, send no more.
    fn replied(&mut self, replies: u64) -> io::Result<bool> {
        if self.lap.is_some() {
            return Ok(false);
        }
        let now = Instant::now();
        match self.began {
            None if now < self.opens => {}
            None => self.began = Some((now, self.server.read()?)),
            Some((began, cpu)) => {
                self.requests += replies;
                let wall = now - began;
                if wall >= self.window {
                    self.lap = Some(Lap { requests: self.requests, wall, server_cpu: self.server.read()? - cpu });
                }
            }
        }
        Ok(self.lap.is_none())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;
    use std::sync::mpsc;
    use std::thread;

    /// Runs `drive` on 5 connections to a server by hand, with messages that do and do not fit into a socket.
    fn drives(drive: impl Fn(&[TcpStream], &[u8], &mut Meter) -> io::Result<()>) {
        for size in [1, 64, 3_000_000] {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let addr = listener.local_addr().unwrap();
            let (send_clock, clock) = mpsc::channel();
            let server = thread::spawn(move || {
                send_clock.send(ThreadClock::of_this_thread().unwrap()).unwrap();
                super::super::raw::epoll::serve(listener, 5)
            });
            let mut load = Load::connect(addr, 5, size).unwrap();
            if size < 3_000_000 {
                load.compare().unwrap(); // It reads only when all is written, which must fit.
            }
            let window = Duration::from_millis(30);
            let mut meter = Meter::start(window / 3, window, clock.recv().unwrap());
            drive(&load.connections, &load.message, &mut meter).unwrap();
            let lap = meter.lap.expect("a measured window");
            assert!(lap.requests > 0 && lap.wall >= window && lap.server_cpu > Duration::ZERO);
            drop(load);
            server.join().unwrap().unwrap();
        }
    }

    #[test]
    fn the_load_on_epoll_brings_every_message_back() {
        drives(epoll::drive);
    }

    #[test]
    fn the_load_on_io_uring_brings_every_message_back() {
        if let Err(error) = super::super::raw::ring::bare(16) {
            println!("skipped: io_uring: {error}");
            return;
        }
        drives(|connections, message, meter| {
            let ring = super::super::raw::ring::bare(16)?;
            uring::drive(ring, connections, message, meter)
        });
    }
}
