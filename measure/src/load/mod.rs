//! The client of the echo benchmark: connections that each send a message, wait for all of it to come back, and send the
//! next. It runs on a core of its own and copies as little as it can, so that the server is what limits.
//!
//! A warm-up compares every byte; in the measured window lengths are enough.

#[cfg(target_os = "linux")]
mod epoll;
#[cfg_attr(target_os = "linux", path = "linux.rs")]
#[cfg_attr(windows, path = "windows.rs")]
mod here;
#[cfg(target_os = "linux")]
mod uring;

pub use here::connect;

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use super::page::PageAligned;
use super::work::Work;

/// Longer than any load is kept up. A message that is not back by then is lost.
const LIMIT: Duration = Duration::from_secs(45);

/// Connected peers of one echo server.
pub struct Load {
    connections: Vec<TcpStream>,
    active: usize,
    message: PageAligned,
    /// Where the system tells about the active ones, once they have been driven.
    queue: Option<here::Queue>,
}

/// What happened in the measured window.
#[derive(Clone, Debug)]
pub struct Lap<P> {
    /// How long the window was in fact.
    pub wall: Duration,
    /// What the probe said at its beginning.
    pub before: P,
    /// What the probe said at its end.
    pub after: P,
    /// A latency, in nanoseconds, for each message that came back whole: from the moment that it was handed to the system to
    /// the one that the client has seen all of it. The client looks at the clock once for each batch of events.
    pub latencies: Histogram<u32>,
}

impl Load {
    /// Opens the connections of `work`.
    pub fn connect(addr: SocketAddr, work: &Work) -> io::Result<Load> {
        let mut load = Load::over(Vec::with_capacity(work.connections), work);
        for place in 0..work.connections {
            load.connections.push(connect(addr, place)?);
            // The queue of a listener is bounded: let the server keep up.
            if place % 1024 == 1023 {
                let mut echoed = vec![0; work.message];
                exchange(&mut load.connections[place], &load.message, 0, &mut echoed)?;
            }
        }
        Ok(load)
    }

    /// A load on sockets that are connected already.
    pub fn over(connections: Vec<TcpStream>, work: &Work) -> Load {
        let mut message = PageAligned::zeroed(work.message);
        message.iter_mut().enumerate().for_each(|(place, byte)| *byte = place as u8);
        Load { connections, active: work.active, message, queue: None }
    }

    /// Exchanges two messages on every connection (one on each of very many) and compares every byte. No two are alike.
    /// A message has to fit into the sockets' buffers.
    pub fn compare(&mut self) -> io::Result<()> {
        // Some connections at a time, so that not each message wakes client and server.
        const TOGETHER: usize = 64;
        let mut echoed = vec![0; self.message.len()];
        let rounds = if self.connections.len() > 1000 { 1 } else { 2 };
        for round in 0..rounds {
            for (part, sockets) in self.connections.chunks_mut(TOGETHER).enumerate() {
                let sent = |place: usize| marked(&self.message, round << 32 | (part * TOGETHER + place) as u64);
                for (place, socket) in sockets.iter_mut().enumerate() {
                    socket.write_all(&sent(place))?;
                }
                for (place, socket) in sockets.iter_mut().enumerate() {
                    receive(socket, &sent(place), &mut echoed).map_err(|error| {
                        io::Error::new(error.kind(), format!("connection {}: {error}", part * TOGETHER + place))
                    })?;
                }
            }
        }
        Ok(())
    }

    /// Keeps the active connections busy for `ramp`, then for the measured `window`, and waits for what is still under way.
    /// `probe` is asked at both ends of the window.
    pub fn run<P>(&mut self, ramp: Duration, window: Duration, probe: Probe<'_, P>) -> io::Result<Lap<P>> {
        // Spread evenly among the others.
        let step = self.connections.len() / self.active;
        let active: Vec<&TcpStream> = self.connections.iter().step_by(step).take(self.active).collect();
        let mut meter = Meter::start(ramp, window, probe);
        let queue = match self.queue.take() {
            Some(queue) => queue,
            None => here::Queue::of(&active)?,
        };
        self.queue.insert(queue).drive(&active, &self.message, &mut meter)?;
        meter.lap.ok_or_else(|| io::Error::other("the load ended before its time"))
    }
}

/// Sends `message`, marked with a number, and compares what comes back.
pub fn exchange(socket: &mut TcpStream, message: &[u8], mark: u64, echoed: &mut [u8]) -> io::Result<()> {
    let sent = marked(message, mark);
    socket.write_all(&sent)?;
    receive(socket, &sent, echoed)
}

fn marked(message: &[u8], mark: u64) -> Vec<u8> {
    message.iter().zip(mark.to_le_bytes().iter().cycle()).map(|(byte, mark)| byte ^ mark).collect()
}

fn receive(socket: &mut TcpStream, sent: &[u8], echoed: &mut [u8]) -> io::Result<()> {
    socket.read_exact(echoed)?;
    if echoed != sent {
        return Err(io::Error::other("other bytes came back than were sent"));
    }
    Ok(())
}

/// Tells the numbers of the server that are of interest.
pub type Probe<'a, P> = &'a dyn Fn() -> io::Result<P>;

/// Takes note of replies, and asks the probe at both ends of the window.
pub struct Meter<'a, P> {
    probe: Probe<'a, P>,
    /// When the window begins, and how long it should be.
    opens: Instant,
    window: Duration,
    /// Its beginning, once that has come.
    began: Option<(Instant, P)>,
    latencies: Histogram<u32>,
    lap: Option<Lap<P>>,
}

impl<'a, P> Meter<'a, P> {
    /// Begins with the ramp.
    pub fn start(ramp: Duration, window: Duration, probe: Probe<'a, P>) -> Meter<'a, P> {
        let latencies =
            Histogram::new_with_max(60_000_000_000, 3).expect("a minute in nanoseconds is within its bounds");
        Meter { probe, opens: Instant::now() + ramp, window, began: None, latencies, lap: None }
    }

    /// Takes note of the replies of a batch by their latencies. `false`: the window is over, send no more.
    pub fn replied(&mut self, now: Instant, latencies: impl Iterator<Item = Duration>) -> io::Result<bool> {
        if self.lap.is_some() {
            return Ok(false);
        }
        match self.began.take() {
            None if now < self.opens => {}
            None => self.began = Some((now, (self.probe)()?)),
            Some((began, before)) => {
                latencies.for_each(|latency| self.latencies.saturating_record(latency.as_nanos() as u64));
                let wall = now - began;
                if wall < self.window {
                    self.began = Some((began, before));
                } else {
                    let latencies = self.latencies.clone();
                    self.lap = Some(Lap { wall, before, after: (self.probe)()?, latencies });
                }
            }
        }
        Ok(self.lap.is_none())
    }

    /// What was measured, if the window is over.
    pub fn into_lap(self) -> Option<Lap<P>> {
        self.lap
    }
}

#[cfg(test)]
mod tests {
    use super::super::clock::CpuClock;
    use super::*;
    use std::net::TcpListener;
    use std::sync::mpsc;
    use std::thread;

    /// Has `drive` keep 5 connections to a server by hand busy twice, with messages that do and do not fit into a socket.
    fn drives(drive: impl Fn(&mut Load, Duration, Probe<'_, Duration>) -> io::Result<Lap<Duration>>) {
        for size in [1, 64, 3_000_000] {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let addr = listener.local_addr().unwrap();
            let (send_clock, clock) = mpsc::channel();
            let server = thread::spawn(move || {
                send_clock.send(CpuClock::of_this_thread().unwrap()).unwrap();
                let (_, serve) = super::super::raw::servers::ALL[0];
                serve(listener, &Work::once(5, size))
            });
            let mut load = Load::connect(addr, &Work::once(5, size)).unwrap();
            if size < 3_000_000 {
                load.compare().unwrap(); // It reads only when all is written, which must fit.
            }
            // Long enough for a large message on a slow machine.
            let window = Duration::from_millis(300);
            let clock: CpuClock = clock.recv().unwrap();
            let probe = || clock.read();
            for _ in 0..2 {
                let lap = drive(&mut load, window, &probe).unwrap();
                assert!(!lap.latencies.is_empty() && lap.wall >= window);
                assert!(lap.after > lap.before || cfg!(windows), "a coarse clock may not have moved");
            }
            drop(load);
            server.join().unwrap().unwrap();
        }
    }

    #[test]
    fn the_load_of_this_system_brings_every_message_back() {
        drives(|load, window, probe| load.run(window / 3, window, probe));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_load_on_epoll_brings_every_message_back() {
        drives(|load, window, probe| {
            let mut meter = Meter::start(window / 3, window, probe);
            let connections: Vec<&TcpStream> = load.connections.iter().collect();
            epoll::drive(&connections, &load.message, &mut meter)?;
            Ok(meter.into_lap().expect("a measured window"))
        });
    }
}
