//! Echo: what a request costs a server, by Anyport and by hand.
//!
//! The server runs on one core, its clients on the other. What counts is the server's CPU time per request: it
//! holds also when the clients are the ones who limit the rate.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::panic::resume_unwind;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};

use anyport::{Backend, Port};

use super::affinity::{on_core, pin};
use super::clock::CpuClock;
use super::contest::{Against, Contest, Contestant, Goal, Number, Sample};
use super::load::Load;
use super::plan::Plan;
use super::raw;
use super::work::Work;
use crate::echo_loop::EchoLoop;

/// After how many turns a server and its clients make room for new ones. Where the system happens to put what belongs to
/// them makes one server faster or slower than the next that does the same, for as long as it lives; one for all rounds would
/// measure that. (64 connections x 64 B on io_uring, one server beside one by hand, begun anew three times: 0.957, 1.032
/// and 1.046, each to 0.007.)
const TURNS: usize = 4;

/// Connections and bytes of a message.
const CELLS: [(usize, usize); 3] = [(64, 64), (1000, 64), (64, 16 * 1024)];

/// For each cell the loops by hand and each backend.
pub fn contests(plan: &Plan) -> Vec<Contest<'_>> {
    let cell = |(connections, size)| {
        let work = Work::once(connections, size);
        let by_hand = |(name, serve): (_, raw::Serve)| {
            let mut seat = None;
            Contestant::by_hand(name, move || turn(plan, work, &mut seat, serve))
        };
        let mut contestants: Vec<_> = raw::servers::ALL.into_iter().map(by_hand).collect();
        contestants.extend(plan.backends.iter().map(|candidate| {
            let (place, goal) = match candidate.backend {
                Backend::Uring => (1, Some(Goal::RatioAtMost(1.03))),
                Backend::Epoll => (0, Some(Goal::RatioAtMost(1.03))),
                _ => (0, None),
            };
            let number = Number::Cpu;
            let mut seat = None;
            candidate.contestant(Some(Against { place, number }), goal, move |backend| {
                turn(plan, work, &mut seat, move |listener, work| by_port(backend, listener, work))
            })
        }));
        Contest {
            benchmark: "echo",
            work: format!("{connections} connections x {}, TCP on 127.0.0.1", bytes(size)),
            unit: "request",
            rounds: plan.most_rounds(),
            contestants,
        }
    };
    CELLS.map(cell).into()
}

/// The server on a port: see [`Serve`].
pub fn by_port(backend: Backend, listener: TcpListener, work: &Work) -> io::Result<()> {
    let builder = Port::builder().backend(backend).entries(work.entries(1));
    let mut port = builder.pool(work.buffers(), work.buffer()).build()?;
    let mut echo = EchoLoop::start(&mut port, listener)?;
    while echo.gone() < work.total {
        port.wait(None)?;
        while let Some(done) = port.next() {
            echo.complete(&mut port, done)?;
        }
    }
    Ok(())
}

/// A server that stays for some turns, and its clients. It ends when they have gone.
struct Seat {
    addr: SocketAddr,
    turns_left: usize,
    load: Option<Load>,
    server: Option<JoinHandle<io::Result<()>>>,
    clock: CpuClock,
}

impl Seat {
    /// Starts the server on its core and connects the clients.
    fn start(
        plan: &Plan,
        work: Work,
        serve: impl FnOnce(TcpListener, &Work) -> io::Result<()> + Send + 'static,
    ) -> io::Result<Seat> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let addr = listener.local_addr()?;
        let (send_clock, clock) = mpsc::channel();
        let core = plan.cores.server;
        let server = thread::spawn(move || {
            pin(core)?;
            let _ = send_clock.send(CpuClock::of_this_thread()?);
            serve(listener, &work)
        });
        let clock = clock.recv().map_err(io::Error::other)?;
        let mut seat = Seat { addr, turns_left: TURNS, load: None, server: Some(server), clock };
        let connect = || {
            let mut load = Load::connect(addr, &work)?;
            load.compare()?;
            Ok(load)
        };
        seat.load = Some(seat.or_why(on_core(plan.cores.load, connect))?);
        Ok(seat)
    }

    /// What the clients have found; but a server's error explains the clients'.
    fn or_why<T>(&mut self, found: io::Result<T>) -> io::Result<T> {
        if found.is_err() {
            self.load = None;
            // The server waits until as many have gone as it was told of, and some have not come.
            let serves = || self.server.as_ref().is_some_and(|server| !server.is_finished());
            while serves() && TcpStream::connect(self.addr).is_ok() {}
            self.end()?;
        }
        found
    }

    fn end(&mut self) -> io::Result<()> {
        self.load = None;
        let served = self.server.take().map(|server| server.join().unwrap_or_else(|panic| resume_unwind(panic)));
        served.unwrap_or(Ok(()))
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        // Had it failed before the end, a client would have told.
        let _ = self.end();
    }
}

/// Keeps a server busy for a while; starts one if there is none, and ends it when it has had its turns.
fn turn(
    plan: &Plan,
    work: Work,
    seat: &mut Option<Seat>,
    serve: impl FnOnce(TcpListener, &Work) -> io::Result<()> + Send + 'static,
) -> io::Result<Sample> {
    let mut taken = match seat.take() {
        Some(seat) => seat,
        None => Seat::start(plan, work, serve)?,
    };
    let (clock, window) = (&taken.clock, plan.short_window());
    let load = taken.load.as_mut().expect("it is connected until it ends");
    let lap = on_core(plan.cores.load, || load.run(window / 4, window, &|| clock.read()));
    let lap = taken.or_why(lap)?;
    taken.turns_left -= 1;
    if taken.turns_left > 0 {
        *seat = Some(taken);
    } else {
        taken.end()?;
    }
    let cpu = lap.after - lap.before;
    let mut sample = Sample::of(lap.latencies.len() as usize, lap.wall, cpu);
    let busy = cpu.as_secs_f64() / lap.wall.as_secs_f64();
    sample.also = vec![("busy %", (100.0 * busy).round())];
    Ok(sample)
}

fn bytes(size: usize) -> String {
    if size < 1024 { format!("{size} B") } else { format!("{} KiB", size / 1024) }
}
