//! What the servers are asked to do: a contest for each kind of work, with every server in it.

use std::cell::RefCell;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use indicatif::ProgressBar;
use measure::affinity::{Cores, on_core};
use measure::contest::{Contest, Contestant, Sample};
use measure::load::Load;
use measure::report::{Cell, Outcome};
use measure::stats::Spread;
use measure::work::Work;

use crate::calls::Way;
use crate::load;
use crate::server::process::{Kind, Process, Usage};
use crate::server::{self, Server};

/// How a run measures servers.
#[derive(Clone, Debug)]
pub struct Setting {
    /// This program, which is started again for each server.
    pub program: PathBuf,
    pub cores: Cores,
    /// Turns of a server that is started for each of them.
    pub rounds: usize,
    /// The measured part of such a turn.
    pub window: Duration,
    /// The measured part of a turn of a server that stays: it has as many more as they are shorter.
    pub short_window: Duration,
    /// A part of a server's name; the others are left out.
    pub who: Option<String>,
}

/// Bytes under way at once from which on a turn takes long.
const HEAVY: usize = 100_000_000;

/// With more connections than this not all servers can be connected at once: a process has so many descriptors.
const STAY: usize = 1000;

/// One kind of work for servers.
#[derive(Clone, Copy, Debug)]
pub struct Task {
    benchmark: &'static str,
    shape: Shape,
    work: Work,
}

/// A server that is ready for its next turn.
struct Seat {
    server: Process,
    /// Its connections, where they stay.
    load: Option<Load>,
    /// Bytes of memory that it had before there was any.
    memory: u64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Shape {
    /// A closed loop on connections that stay.
    Echo,
    /// Connections that come and go.
    Churn,
    /// Datagrams there and back.
    PingPong,
    /// Datagrams one way.
    Flood,
}

/// Everything that servers are asked to do; in short, a choice of it.
pub fn tasks(quick: bool) -> Vec<Task> {
    let echo = |connections, message| Task {
        benchmark: "echo",
        shape: Shape::Echo,
        work: Work { total: usize::MAX, ..Work::once(connections, message) },
    };
    let mut tasks = Vec::new();
    for message in [64, 1024, 16 * 1024, 64 * 1024] {
        for connections in [1, 64, 1000, 10_000] {
            let short = message == 64 && connections < 10_000 || message == 16 * 1024 && connections == 64;
            if !quick || short {
                tasks.push(echo(connections, message));
            }
        }
    }
    let idle = Task { benchmark: "idle", ..echo(10_000, 64) };
    tasks.push(Task { work: Work { active: 64, ..idle.work }, ..idle });
    tasks.push(Task { benchmark: "churn", shape: Shape::Churn, ..echo(load::TOGETHER, 64) });
    tasks.push(Task { benchmark: "udp", shape: Shape::PingPong, ..echo(64, 64) });
    tasks.push(Task { benchmark: "udp", shape: Shape::Flood, ..echo(1, 64) });
    tasks
}

impl Task {
    /// The work in words.
    pub fn describe(&self) -> String {
        let Work { connections, active, message, .. } = self.work;
        let message = bytes(message);
        match self.shape {
            Shape::Echo if active < connections => {
                format!("{active} active among {connections} connections, {message}")
            }
            Shape::Echo if connections == 1 => format!("1 connection, {message}"),
            Shape::Echo => format!("{connections} connections, {message}"),
            Shape::Churn => format!("connect, one message of {message}, close; {connections} at a time"),
            Shape::PingPong => format!("{connections} clients with a datagram of {message} under way each"),
            Shape::Flood => format!("a flood of datagrams of {message}, one way"),
        }
    }

    fn unit(&self) -> &'static str {
        match self.shape {
            Shape::Echo => "request",
            Shape::Churn => "connection",
            Shape::PingPong | Shape::Flood => "datagram",
        }
    }

    /// Runs the contest on the core of the load: on one thread, because a server ends with the one that started it.
    pub fn run(&self, setting: &Setting, progress: &ProgressBar) -> io::Result<Cell> {
        on_core(setting.cores.load, || Ok(self.contest(setting).run(progress)))
    }

    /// The contest of all servers.
    pub fn contest<'a>(&'a self, setting: &'a Setting) -> Contest<'a> {
        let wanted = |server: &&Server| setting.who.as_ref().is_none_or(|who| server.name.contains(who.as_str()));
        let contestants = server::ALL.iter().filter(wanted).map(|server| {
            let mut seat = None;
            Contestant::new(server.name, server.backend, (server.here)(), move || {
                self.turn(setting, server.name, &mut seat)
            })
        });
        Contest {
            benchmark: self.benchmark,
            work: self.describe(),
            unit: self.unit(),
            rounds: self.rounds(setting),
            contestants: contestants.collect(),
        }
    }

    /// Adds to each row the system calls per operation, from a run of its own.
    pub fn count_calls(&self, setting: &Setting, way: &Way, cell: &mut Cell) {
        // Under strace a round of so many takes longer than the window.
        if matches!(way, Way::Strace) && self.work.active > 1000 {
            return;
        }
        for row in &mut cell.rows {
            let Outcome::Measured { also, .. } = &mut row.outcome else { continue };
            match on_core(setting.cores.load, || self.calls(setting, way, &row.name)) {
                Ok(calls) => drop(also.insert("calls", Spread { median: calls, low: calls, high: calls })),
                Err(error) => row.outcome = Outcome::Failed(format!("while its calls were counted: {error}")),
            }
        }
    }

    fn start(&self, setting: &Setting, name: &str) -> io::Result<Process> {
        let kind = match self.shape {
            Shape::Echo | Shape::Churn => Kind::Tcp,
            Shape::PingPong => Kind::Udp,
            Shape::Flood => Kind::Sink,
        };
        Process::start(&setting.program, name, kind, &self.work, setting.cores.server)
    }

    /// Whether a server stays from turn to turn, with its connections.
    fn stays(&self) -> bool {
        self.work.connections <= STAY
    }

    fn rounds(&self, setting: &Setting) -> usize {
        if self.stays() {
            let whole = setting.window * setting.rounds as u32;
            (whole.as_nanos() / self.window(setting).as_nanos()) as usize
        } else if self.data() > HEAVY {
            // A turn of these takes seconds.
            setting.rounds.min(3)
        } else {
            setting.rounds
        }
    }

    /// A window in which each of very many connections has its turn a few times.
    fn window(&self, setting: &Setting) -> Duration {
        let least = if self.stays() { setting.short_window } else { setting.window };
        least.max(Duration::from_nanos(2 * self.data() as u64))
    }

    /// Bytes that a message on each active connection moves, and some for the connection.
    fn data(&self) -> usize {
        self.work.active * (self.work.message + 4096)
    }

    fn turn(&self, setting: &Setting, name: &str, seat: &mut Option<Seat>) -> io::Result<Sample> {
        let mut taken = match seat.take() {
            Some(seat) => seat,
            None => self.seat(setting, name)?,
        };
        let sample = self.sample(setting, &mut taken)?;
        *seat = Some(taken).filter(|_| self.stays());
        Ok(sample)
    }

    /// Starts a server and opens the connections that stay.
    fn seat(&self, setting: &Setting, name: &str) -> io::Result<Seat> {
        let server = self.start(setting, name)?;
        let memory = server.memory()?;
        let load = match self.shape {
            Shape::Echo | Shape::PingPong => Some(self.connect(&server)?),
            Shape::Churn | Shape::Flood => None,
        };
        Ok(Seat { server, load, memory })
    }

    fn sample(&self, setting: &Setting, Seat { server, load, memory: before }: &mut Seat) -> io::Result<Sample> {
        let window = self.window(setting);
        let ramp = window / 4;
        let probe = || server.usage();
        let mut memory = None;
        let lap = match (load, self.shape) {
            (Some(load), _) => {
                let lap = load.run(ramp, window, &probe)?;
                // Few do not tell: what a server touches for the first of them would be theirs.
                if self.shape == Shape::Echo && self.work.connections >= 1000 {
                    memory = Some(server.memory()?.saturating_sub(*before) as f64 / self.work.connections as f64);
                }
                lap
            }
            (None, Shape::Flood) => {
                let flood = load::flood(server.addr, self.work.message, ramp, window, &probe)?;
                let (before, after) = flood.usage;
                let mut sample = sample(flood.taken, flood.wall, before, after);
                let lost = flood.lost as f64 / (flood.lost + flood.taken) as f64;
                sample.also.push(("lost %", 100.0 * lost));
                return Ok(sample);
            }
            (None, _) => load::churn(server.addr, self.work.message, ramp, window, &probe)?,
        };
        let mut sample = sample(lap.latencies.len(), lap.wall, lap.before, lap.after);
        let micros = |quantile| lap.latencies.value_at_quantile(quantile) as f64 / 1e3;
        sample.also.extend([("p50 µs", micros(0.5)), ("p99 µs", micros(0.99)), ("p99.9 µs", micros(0.999))]);
        sample.also.extend(memory.map(|bytes| ("KiB/connection", bytes / 1024.0)));
        Ok(sample)
    }

    fn connect(&self, server: &Process) -> io::Result<Load> {
        let mut load = match self.shape {
            Shape::PingPong => load::ping_pong(server.addr, &self.work)?,
            _ => Load::connect(server.addr, &self.work)?,
        };
        load.compare()?;
        Ok(load)
    }

    /// System calls per operation: in the window where the count can be read at its ends, else all those of the run.
    fn calls(&self, setting: &Setting, way: &Way, name: &str) -> io::Result<f64> {
        let Seat { server, mut load, .. } = self.seat(setting, name)?;
        let window = setting.window.max(self.window(setting));
        let ramp = window / 4;
        let count = RefCell::new(way.count(server.id())?);
        let probe = || count.borrow_mut().so_far();
        let (operations, before, after) = match (&mut load, self.shape) {
            (None, Shape::Flood) => {
                let flood = load::flood(server.addr, self.work.message, ramp, window, &probe)?;
                (flood.taken, flood.usage.0, flood.usage.1)
            }
            (load, _) => {
                let lap = match load {
                    Some(load) => load.run(ramp, window, &probe)?,
                    None => load::churn(server.addr, self.work.message, ramp, window, &probe)?,
                };
                (lap.latencies.len(), lap.before, lap.after)
            }
        };
        let calls = match (before, after) {
            (Some(before), Some(after)) => after - before,
            // The ramp is in it: a quarter more operations.
            _ => (count.into_inner().finish()? as f64 / 1.25) as u64,
        };
        Ok(calls as f64 / operations.max(1) as f64)
    }
}

/// Shows user and system time as their means over the turns: a turn has few ticks, and the median of few is mostly none.
pub fn average_shares(cell: &mut Cell) {
    for row in &mut cell.rows {
        let Outcome::Measured { also, turns, .. } = &mut row.outcome else { continue };
        for name in ["user ns", "system ns"] {
            let values = turns.iter().flat_map(|turn| &turn.also).filter(|(other, _)| *other == name);
            let mean = values.map(|(_, value)| value).sum::<f64>() / turns.len() as f64;
            also.insert(name, Spread { median: mean, low: mean, high: mean });
        }
    }
}

fn sample(operations: u64, wall: Duration, before: Usage, after: Usage) -> Sample {
    let cpu = after.cpu - before.cpu;
    let mut sample = Sample::of(operations as usize, wall, cpu);
    // The kernel tells the sum to the nanosecond, its parts by ticks: see `average_shares`.
    let (user, system) = (after.user_ticks - before.user_ticks, after.system_ticks - before.system_ticks);
    let share = user as f64 / (user + system).max(1) as f64;
    sample.also = vec![
        ("user ns", sample.cpu_ns * share),
        ("system ns", sample.cpu_ns * (1.0 - share)),
        ("busy %", 100.0 * cpu.as_secs_f64() / wall.as_secs_f64()),
    ];
    sample
}

fn bytes(size: usize) -> String {
    if size < 1024 { format!("{size} B") } else { format!("{} KiB", size / 1024) }
}
