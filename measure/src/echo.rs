//! Echo: what a request costs a server, by Anyport and by hand.
//!
//! The server runs on one core, its clients on the other. What counts is the server's CPU time per request: it
//! holds also when the clients are the ones who limit the rate.

use std::io;
use std::net::TcpListener;
use std::panic::resume_unwind;
use std::sync::mpsc;
use std::thread;

use anyport::{Backend, Port};

use super::affinity::pin;
use super::clock::CpuClock;
use super::contest::{Against, Contest, Contestant, Goal, Number, Sample};
use super::load::Load;
use super::plan::Plan;
use super::raw;
use super::work::Work;
use crate::echo_loop::EchoLoop;

/// Connections and bytes of a message.
const CELLS: [(usize, usize); 3] = [(64, 64), (1000, 64), (64, 16 * 1024)];

/// For each cell the loops by hand and each backend.
pub fn contests(plan: &Plan) -> Vec<Contest<'_>> {
    let cell = |(connections, size)| {
        let by_hand =
            |(name, serve)| Contestant::by_hand(name, move || turn(plan, Work::once(connections, size), serve));
        let mut contestants: Vec<_> = raw::servers::ALL.into_iter().map(by_hand).collect();
        contestants.extend(plan.backends.iter().map(|candidate| {
            let (place, goal) = match candidate.backend {
                Backend::Uring => (1, Some(Goal::RatioAtMost(1.03))),
                Backend::Epoll => (0, Some(Goal::RatioAtMost(1.03))),
                _ => (0, None),
            };
            let number = Number::Cpu;
            candidate.contestant(Some(Against { place, number }), goal, move |backend| {
                turn(plan, Work::once(connections, size), |listener, work| by_port(backend, listener, work))
            })
        }));
        Contest {
            benchmark: "echo",
            work: format!("{connections} connections x {}, TCP on 127.0.0.1", bytes(size)),
            unit: "request",
            rounds: plan.many_rounds(),
            contestants,
        }
    };
    CELLS.map(cell).into()
}

/// The server on a port: see [`Serve`].
pub fn by_port(backend: Backend, listener: TcpListener, work: &Work) -> io::Result<()> {
    let mut port = Port::builder().backend(backend).pool(work.buffers(), work.buffer()).build()?;
    let mut echo = EchoLoop::start(&mut port, listener)?;
    while echo.gone() < work.total {
        port.wait(None)?;
        while let Some(done) = port.next() {
            echo.complete(&mut port, done)?;
        }
    }
    Ok(())
}

/// Starts a server, keeps it busy for a while and stops it.
fn turn(
    plan: &Plan,
    work: Work,
    serve: impl FnOnce(TcpListener, &Work) -> io::Result<()> + Send,
) -> io::Result<Sample> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let addr = listener.local_addr()?;
    thread::scope(|scope| {
        let (send_clock, clock) = mpsc::channel();
        let server = scope.spawn(move || {
            pin(plan.cores.server)?;
            let _ = send_clock.send(CpuClock::of_this_thread()?);
            serve(listener, &work)
        });
        let clock = clock.recv().map_err(io::Error::other)?;
        let measure = move || {
            pin(plan.cores.load)?;
            let mut load = Load::connect(addr, &work)?;
            load.compare()?;
            load.run(plan.window() / 4, plan.window(), &|| clock.read())
        };
        let load = scope.spawn(measure).join();
        let served = server.join();
        let lap = load.unwrap_or_else(|panic| resume_unwind(panic));
        // The server's error explains the client's.
        served.unwrap_or_else(|panic| resume_unwind(panic))?;
        let lap = lap?;
        let cpu = lap.after - lap.before;
        let mut sample = Sample::of(lap.latencies.len() as usize, lap.wall, cpu);
        let busy = cpu.as_secs_f64() / lap.wall.as_secs_f64();
        sample.also = vec![("busy %", (100.0 * busy).round())];
        Ok(sample)
    })
}

fn bytes(size: usize) -> String {
    if size < 1024 { format!("{size} B") } else { format!("{} KiB", size / 1024) }
}
