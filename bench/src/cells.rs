//! What the servers are asked to do: a contest for each kind of work, with every server in it.

use std::cell::RefCell;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

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
    /// Turns of each server.
    pub rounds: usize,
    /// The measured part of a turn.
    pub window: Duration,
    /// A part of a server's name; the others are left out.
    pub who: Option<String>,
}

/// Bytes under way at once from which on a turn takes long.
const HEAVY: usize = 100_000_000;

/// One kind of work for servers.
#[derive(Clone, Copy, Debug)]
pub struct Task {
    benchmark: &'static str,
    shape: Shape,
    work: Work,
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

    /// The contest of all servers.
    pub fn contest<'a>(&'a self, setting: &'a Setting) -> Contest<'a> {
        let wanted = |server: &&Server| setting.who.as_ref().is_none_or(|who| server.name.contains(who.as_str()));
        let contestants = server::ALL.iter().filter(wanted).map(|server| {
            Contestant::new(server.name, server.backend, (server.here)(), move || {
                on_core(setting.cores.load, || self.turn(setting, server.name))
            })
        });
        Contest {
            benchmark: self.benchmark,
            work: self.describe(),
            unit: self.unit(),
            // A turn of these takes seconds.
            rounds: if self.data() > HEAVY { setting.rounds.min(3) } else { setting.rounds },
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
                Ok(calls) => drop(also.insert("calls", Spread { median: calls, min: calls, max: calls })),
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

    /// A window in which each of very many connections has its turn a few times.
    fn window(&self, setting: &Setting) -> Duration {
        setting.window.max(Duration::from_nanos(self.data() as u64))
    }

    /// Bytes that a message on each active connection moves, and some for the connection.
    fn data(&self) -> usize {
        self.work.active * (self.work.message + 4096)
    }

    fn turn(&self, setting: &Setting, name: &str) -> io::Result<Sample> {
        let server = self.start(setting, name)?;
        let window = self.window(setting);
        let ramp = window / 4;
        let before = server.memory()?;
        let probe = || server.usage();
        let mut memory = None;
        let lap = match self.shape {
            Shape::Echo | Shape::PingPong => {
                let mut load = self.connect(&server)?;
                let lap = load.run(ramp, window, &probe)?;
                // Few do not tell: what a server touches for the first of them would be theirs.
                if self.shape == Shape::Echo && self.work.connections >= 1000 {
                    memory = Some(server.memory()?.saturating_sub(before) as f64 / self.work.connections as f64);
                }
                lap
            }
            Shape::Churn => load::churn(server.addr, self.work.message, ramp, window, &probe)?,
            Shape::Flood => {
                let flood = load::flood(server.addr, self.work.message, ramp, window, &probe)?;
                let (before, after) = flood.usage;
                let mut sample = sample(flood.taken, flood.wall, before, after);
                let lost = flood.lost as f64 / (flood.lost + flood.taken) as f64;
                sample.also.push(("lost %", 100.0 * lost));
                return Ok(sample);
            }
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
        let server = self.start(setting, name)?;
        let window = self.window(setting);
        let ramp = window / 4;
        let mut load = match self.shape {
            Shape::Echo | Shape::PingPong => Some(self.connect(&server)?),
            Shape::Churn | Shape::Flood => None,
        };
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
            also.insert(name, Spread { median: mean, min: mean, max: mean });
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
