//! Readiness: what registering costs, what an event costs, and how that grows with sources that are idle.
//!
//! One thread does everything, so that what is counted is the poller and the calls it makes: near ends of socket pairs
//! are watched, and whoever reads a byte there writes the next one to the far end. Each contestant is used as its own
//! documentation says; the peers (`polling`, `mio`) are here with the feature `peers`.

mod anyport;
#[cfg_attr(windows, path = "windows/by_hand.rs")]
mod by_hand;
mod idle;
#[cfg(all(feature = "peers", target_os = "linux"))]
mod mio;
#[cfg(all(feature = "peers", target_os = "linux"))]
mod polling;
#[cfg_attr(windows, path = "windows/sockets.rs")]
mod sockets;

use std::io;
use std::time::{Duration, Instant};

use ::anyport::{Backend, Poller};
use sockets::{Source, Stream, as_source, pair, read, write};

use super::affinity::on_core;
use super::calls;
use super::clock::process_cpu;
use super::contest::{Against, Contest, Contestant, Goal, Number, Sample, Turn};
use super::plan::Plan;

/// Sources that are ready all the time.
pub const ACTIVE: usize = 32;

/// Sources that registering is measured with.
const MANY: usize = 1000;

/// The first contestant is the reference.
const BY_HAND: Against = Against { place: 0, number: Number::Rate };

/// How a source is watched, for reading.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum How {
    Oneshot,
    Level,
    Edge,
}

/// A readiness API.
trait Watcher: Sized {
    const NAME: &'static str;

    /// With room for as many events as there are active sources.
    fn new(backend: Option<Backend>) -> io::Result<Self>;
    fn add(&mut self, source: Source<'_>, key: usize, how: How) -> io::Result<()>;
    fn modify(&mut self, source: Source<'_>, key: usize, how: How) -> io::Result<()>;
    fn delete(&mut self, source: Source<'_>) -> io::Result<()>;
    /// Waits with a time-out, as programs with timers do, and leaves the keys of what is ready in `ready`.
    fn wait(&mut self, timeout: Duration, ready: &mut Vec<usize>) -> io::Result<()>;
    /// Reads until the call would block, in the way that the next edge asks for.
    fn drain(&mut self, source: Source<'_>) -> io::Result<()> {
        read_all(source)
    }
}

/// Reads until the call would block.
fn read_all(source: Source<'_>) -> io::Result<()> {
    loop {
        match read(source, &mut [0u8; 64]) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(_) => {}
        }
    }
}

/// Socket pairs; the near ends are non-blocking.
struct Pairs {
    near: Vec<Stream>,
    far: Vec<Stream>,
}

impl Pairs {
    fn new(count: usize) -> io::Result<Pairs> {
        let (mut near, mut far) = (Vec::new(), Vec::new());
        for _ in 0..count {
            let (one, other) = pair()?;
            one.set_nonblocking(true)?;
            near.push(one);
            far.push(other);
        }
        Ok(Pairs { near, far })
    }
}

/// A piece of work of about `count` operations; returns how many it did, and what they took.
type Work<W> = fn(&mut W, usize) -> io::Result<Took>;

struct Took {
    operations: usize,
    wall: Duration,
    cpu: Duration,
}

fn timed(operations: impl FnOnce() -> io::Result<usize>) -> io::Result<Took> {
    let (start, cpu) = (Instant::now(), process_cpu());
    let operations = operations()?;
    Ok(Took { operations, wall: start.elapsed(), cpu: process_cpu() - cpu })
}

fn add_and_delete<W: Watcher>(watcher: &mut W, count: usize) -> io::Result<Took> {
    let pairs = Pairs::new(MANY / 2)?;
    let sources: Vec<_> = pairs.near.iter().chain(&pairs.far).map(as_source).collect();
    timed(|| {
        let rounds = count.div_ceil(2 * MANY);
        for _ in 0..rounds {
            for (key, source) in sources.iter().enumerate() {
                watcher.add(*source, key, How::Edge)?;
            }
            for source in &sources {
                watcher.delete(*source)?;
            }
        }
        Ok(rounds * 2 * MANY)
    })
}

fn modify<W: Watcher>(watcher: &mut W, count: usize) -> io::Result<Took> {
    let pairs = Pairs::new(MANY / 2)?;
    let sources: Vec<_> = pairs.near.iter().chain(&pairs.far).map(as_source).collect();
    for (key, source) in sources.iter().enumerate() {
        watcher.add(*source, key, How::Edge)?;
    }
    timed(|| {
        let rounds = count.div_ceil(MANY);
        for round in 0..rounds {
            for (key, source) in sources.iter().enumerate() {
                watcher.modify(*source, key + round % 2, How::Edge)?;
            }
        }
        Ok(rounds * MANY)
    })
}

/// A byte travels through each pair, over and over.
fn events<W: Watcher>(watcher: &mut W, active: usize, count: usize, how: How) -> io::Result<Took> {
    let pairs = Pairs::new(active)?;
    for (key, near) in pairs.near.iter().enumerate() {
        watcher.add(as_source(near), key, how)?;
    }
    for far in &pairs.far {
        write(far, b"x")?;
    }
    let mut ready = Vec::with_capacity(ACTIVE);
    timed(|| {
        let mut done = 0;
        while done < count {
            watcher.wait(Duration::from_secs(10), &mut ready)?;
            if ready.is_empty() {
                return Err(io::Error::other("nothing is ready, though a byte is in each pair"));
            }
            for &key in &ready {
                let near = as_source(&pairs.near[key]);
                if how == How::Edge {
                    watcher.drain(near)?;
                } else if read(near, &mut [0u8; 64])? != 1 {
                    return Err(io::Error::other("not the one byte that was sent"));
                }
                write(&pairs.far[key], b"x")?;
                if how == How::Oneshot {
                    watcher.modify(near, key, how)?;
                }
            }
            done += ready.len();
        }
        Ok(done)
    })
}

/// A contestant that does `work`; `None` is the backend of who has none to choose.
fn contestant<'a, W: Watcher + 'a>(
    plan: &'a Plan,
    backend: Option<Backend>,
    count: usize,
    work: Work<W>,
) -> Contestant<'a> {
    let count = plan.scaled(count);
    let once = move |count| {
        let mut watcher = W::new(backend)?;
        work(&mut watcher, count)
    };
    let mut calls = None;
    let turn: Turn<'a> = Box::new(move || {
        // Counting slows the calls down a hundredfold, so it is done beforehand, on fewer.
        let calls = *calls.get_or_insert_with(|| calls_per_operation(once));
        let Took { operations, wall, cpu } = on_core(plan.cores.server, || once(count))?;
        let mut sample = Sample::of(operations, wall, cpu);
        sample.also.extend(calls.map(|calls| ("system calls each", calls)));
        Ok(sample)
    });
    Contestant {
        name: backend.map_or(W::NAME.to_owned(), |backend| format!("{}, {backend}", W::NAME)),
        backend,
        against: Some(BY_HAND),
        // The others use epoll, too.
        goal: (backend == Some(Backend::Epoll)).then_some(Goal::BehindNobody),
        turn: Ok(turn),
    }
}

/// The system calls that an operation makes: the difference between more and fewer of them, so that what comes before
/// and after is not counted. `None` where nobody may count.
fn calls_per_operation(once: impl Fn(usize) -> io::Result<Took>) -> Option<f64> {
    let (few, many) = (2 * MANY, 8 * MANY);
    let counted = |operations| calls::count(|| once(operations).map(drop));
    Some((counted(many)? - counted(few)?) as f64 / (many - few) as f64)
}

/// Everybody who can do this.
fn everybody<'a>(
    plan: &'a Plan,
    count: usize,
    by_hand: Work<by_hand::ByHand>,
    own: Work<anyport::Own>,
    #[cfg(all(feature = "peers", target_os = "linux"))] polling: Option<Work<polling::Polling>>,
    #[cfg(all(feature = "peers", target_os = "linux"))] mio: Option<Work<mio::Mio>>,
) -> Vec<Contestant<'a>> {
    let mut all = vec![contestant(plan, None, count, by_hand)];
    all[0].against = None;
    let wanted = |backend: &&Backend| plan.backends.iter().any(|candidate| candidate.backend == **backend);
    all.extend(Poller::BACKENDS.iter().filter(wanted).map(|&backend| contestant(plan, Some(backend), count, own)));
    #[cfg(all(feature = "peers", target_os = "linux"))]
    {
        all.extend(polling.map(|work| contestant(plan, None, count, work)));
        all.extend(mio.map(|work| contestant(plan, None, count, work)));
    }
    all
}

/// Registering, modifying, events; and the scaling of [`idle`].
pub fn contests(plan: &Plan) -> Vec<Contest<'_>> {
    macro_rules! contest {
        ($work:literal, $unit:literal, $count:literal, $does:expr, polling: $polling:expr, mio: $mio:expr) => {
            Contest {
                benchmark: "ready",
                work: $work.to_owned(),
                unit: $unit,
                rounds: plan.many_rounds(),
                contestants: everybody(
                    plan,
                    $count,
                    $does,
                    $does,
                    #[cfg(all(feature = "peers", target_os = "linux"))]
                    $polling,
                    #[cfg(all(feature = "peers", target_os = "linux"))]
                    $mio,
                ),
            }
        };
    }
    let mut contests = vec![
        contest!("1000 sockets added, edge-triggered, and deleted", "registration", 400_000, add_and_delete,
            polling: Some(add_and_delete), mio: Some(add_and_delete)),
        contest!("registrations of 1000 sockets modified", "modification", 400_000, modify,
            polling: Some(modify), mio: Some(modify)),
        contest!(
            "one active socket, oneshot, each wait with a time-out",
            "event",
            200_000,
            |watcher, count| events(watcher, 1, count, How::Oneshot),
            polling: Some(|watcher, count| events(watcher, 1, count, How::Oneshot)),
            mio: None
        ),
        contest!("32 active sockets, oneshot, each wait with a time-out", "event", 400_000,
            |watcher, count| events(watcher, ACTIVE, count, How::Oneshot),
            polling: Some(|watcher, count| events(watcher, ACTIVE, count, How::Oneshot)), mio: None),
        contest!("32 active sockets, edge-triggered, each wait with a time-out", "event", 400_000,
            |watcher, count| events(watcher, ACTIVE, count, How::Edge),
            polling: Some(|watcher, count| events(watcher, ACTIVE, count, How::Edge)),
            mio: Some(|watcher, count| events(watcher, ACTIVE, count, How::Edge))),
    ];
    contests.extend(idle::contests(plan));
    contests
}

/// The benchmark's name in the cells of [`idle`].
pub use idle::{BENCHMARK as IDLE, COUNTS as IDLE_COUNTS};

#[cfg(test)]
mod tests {
    use super::*;

    /// All work, a little of each, as whoever can be watched in all these ways.
    fn works<W: Watcher>(backend: Option<Backend>, ways: &[How]) {
        let watcher = || W::new(backend).unwrap();
        assert_eq!(add_and_delete(&mut watcher(), 1).unwrap().operations, 2 * MANY);
        assert_eq!(modify(&mut watcher(), MANY + 1).unwrap().operations, 2 * MANY);
        for (active, &how) in [1, ACTIVE].into_iter().flat_map(|active| ways.iter().map(move |how| (active, how))) {
            assert!(events(&mut watcher(), active, 500, how).unwrap().operations >= 500, "{how:?}");
        }
    }

    const ALL: [How; 3] = [How::Oneshot, How::Level, How::Edge];

    #[test]
    fn the_loop_by_hand_and_each_backend_do_the_work() {
        works::<by_hand::ByHand>(None, &ALL);
        for &backend in Poller::BACKENDS {
            works::<anyport::Own>(Some(backend), &ALL);
        }
    }

    #[cfg(all(feature = "peers", target_os = "linux"))]
    #[test]
    fn the_peers_do_the_work() {
        works::<polling::Polling>(None, &ALL);
        works::<mio::Mio>(None, &[How::Edge]);
    }
}
