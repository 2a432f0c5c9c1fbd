//! Timers: what arming and cancelling one costs while many are standing, and whether a great many fire, and when.

use std::io;
use std::time::{Duration, Instant};

use anyport::{Completion, Port, Token, error, op};

use super::affinity::on_core;
use super::clock::process_cpu;
use super::contest::{Against, Contest, Contestant, Goal, Number, Sample};
use super::plan::Plan;
use super::raw::timers::Timers;
use super::stats::percentile;

/// The first contestant is the reference.
const BY_HAND: Against = Against { place: 0, number: Number::Rate };

/// Timers that are armed all the time.
pub const STANDING: usize = 100_000;

/// For how many timers a loop looks at the clock once that arms them by deadline: all that it handles between two waits.
pub const TURN: usize = 64;

/// Arm and cancel, by length and by deadline, and a million that fire.
pub fn contests(plan: &Plan) -> [Contest<'_>; 3] {
    let by_length = arm_and_cancel(plan, "arm and cancel", 1, || || op::Timer::after(limit()));
    let by_deadline = arm_and_cancel(plan, "arm by deadline and cancel", TURN, || {
        let mut end = ends(TURN);
        move || op::Timer::at(end())
    });
    [by_length, by_deadline, fire(plan)]
}

/// `turn`: for how many timers the loop by hand looks at the clock once.
fn arm_and_cancel<'a, T: FnMut() -> op::Timer>(
    plan: &'a Plan,
    work: &str,
    turn: usize,
    timers: impl Fn() -> T + Copy + Sync + 'a,
) -> Contest<'a> {
    let times = times(plan);
    let by_hand = move || on_core(plan.cores.server, || map_turn(times, ends(turn)));
    let mut contestants = vec![Contestant::by_hand("by hand, BTreeMap", by_hand)];
    contestants.extend(plan.backends.iter().map(|candidate| {
        let goal = Goal::RateAtLeast(20e6);
        candidate.contestant(Some(BY_HAND), Some(goal), move |backend| {
            on_core(plan.cores.server, || port_turn(Port::builder().backend(backend).build()?, times, timers()))
        })
    }));
    Contest {
        benchmark: "timer",
        work: format!("{work}, with {STANDING} standing"),
        unit: "timer",
        rounds: plan.many_rounds(),
        contestants,
    }
}

/// How many timers a turn arms and cancels.
pub fn times(plan: &Plan) -> usize {
    plan.scaled(2_000_000)
}

/// How many timers fire in a turn, and over which time.
pub fn firing(plan: &Plan) -> (usize, Duration) {
    let count = plan.whole(1_000_000);
    (count, Duration::from_secs(1).mul_f64(count as f64 / 1e6))
}

/// How long a timer has that is not to fire: as time limits have it, and longer than a turn takes.
pub fn limit() -> Duration {
    Duration::from_micros(fastrand::u64(30_000_000..90_000_000))
}

/// Deadlines that far away, with one look at the clock for each `turn` of them.
pub fn ends(turn: usize) -> impl FnMut() -> Instant {
    let (mut now, mut left) = (Instant::now(), 0);
    move || {
        if left == 0 {
            (now, left) = (Instant::now(), turn);
        }
        left -= 1;
        now + limit()
    }
}

fn map_turn(times: usize, mut end: impl FnMut() -> Instant) -> io::Result<Sample> {
    let mut timers = Timers::default();
    for token in 0..STANDING {
        timers.arm(end(), token as u64);
    }
    let (start, cpu) = (Instant::now(), process_cpu());
    for token in 0..times as u64 {
        let key = timers.arm(end(), token);
        if timers.cancel(key) != Some(token) {
            return Err(io::Error::other("another timer was cancelled"));
        }
    }
    Ok(Sample::of(times, start.elapsed(), process_cpu() - cpu))
}

fn port_turn(mut port: Port, times: usize, mut timer: impl FnMut() -> op::Timer) -> io::Result<Sample> {
    for _ in 0..STANDING {
        port.submit(timer(), Token(u64::MAX));
    }
    port.wait(Some(Duration::ZERO))?;
    let (start, cpu) = (Instant::now(), process_cpu());
    for token in 0..times as u64 {
        let id = port.submit(timer(), Token(token));
        port.cancel(id);
        let done = take(&mut port)?;
        if done.token() != Token(token) {
            return Err(io::Error::other("another timer was cancelled"));
        }
        match done.unpack::<op::Timer>() {
            Err(error) if error::is_cancelled(&error) => {}
            other => return Err(io::Error::other(format!("cancelled, but {other:?}"))),
        }
    }
    Ok(Sample::of(times, start.elapsed(), process_cpu() - cpu))
}

/// The next completion, waiting for it if need be.
// Inlined as `Port::next` is: handed on in memory a completion would wait for being read back. (Arming and cancelling with
// `anyport bench timer --quick`: 47 ns instead of 54.)
#[inline(always)]
fn take(port: &mut Port) -> io::Result<Completion> {
    loop {
        if let Some(done) = port.next() {
            return Ok(done);
        }
        port.wait(None)?;
    }
}

fn fire(plan: &Plan) -> Contest<'_> {
    let (count, over) = firing(plan);
    let contestants = plan.backends.iter().map(|candidate| {
        candidate.contestant(None, None, move |backend| {
            on_core(plan.cores.server, || fire_turn(Port::builder().backend(backend).build()?, count, over))
        })
    });
    Contest {
        benchmark: "timer",
        work: format!("{count} timers that fire over {over:?}; lateness in µs"),
        unit: "timer",
        rounds: plan.rounds.min(if plan.quick { 1 } else { 3 }),
        contestants: contestants.collect(),
    }
}

/// Arms `count` timers with deadlines all over the time `over` and takes them as they fire. Fails if one is missing or early.
fn fire_turn(mut port: Port, count: usize, over: Duration) -> io::Result<Sample> {
    let cpu = process_cpu();
    let (start, deadlines) = deadlines(count, over);
    for (place, &deadline) in deadlines.iter().enumerate() {
        port.submit(op::Timer::at(deadline), Token(place as u64));
    }
    if Instant::now() > start {
        return Err(io::Error::other("arming took longer than the timers had"));
    }
    let mut fired = vec![false; count];
    let mut late = Vec::with_capacity(count);
    while late.len() < count {
        port.wait(None)?;
        // A timer that fired in this wait is not early if it is due now.
        let now = Instant::now();
        while let Some(done) = port.next() {
            let place = done.token().0 as usize;
            done.unpack::<op::Timer>()?;
            if fired[place] {
                return Err(io::Error::other("a timer fired twice"));
            }
            fired[place] = true;
            let Some(lateness) = now.checked_duration_since(deadlines[place]) else {
                return Err(io::Error::other("a timer fired early"));
            };
            late.push(lateness.as_nanos() as u64);
        }
    }
    Ok(lateness(late, start, cpu))
}

/// Deadlines all over the time `over`, and when the first can be due: only when all are armed, so that lateness is that of
/// firing, not of arming.
pub fn deadlines(count: usize, over: Duration) -> (Instant, Vec<Instant>) {
    let start = Instant::now() + (2 * over).max(Duration::from_millis(250));
    (start, (0..count).map(|_| start + over.mul_f64(fastrand::f64())).collect())
}

/// The sample of timers that fired so late, in nanoseconds, from `start` on. `cpu` is the process's when they were not armed yet.
pub fn lateness(mut late: Vec<u64>, start: Instant, cpu: Duration) -> Sample {
    let mut sample = Sample::of(late.len(), start.elapsed(), process_cpu() - cpu);
    late.sort_unstable();
    let micros = |percent| percentile(&late, percent) as f64 / 1e3;
    sample.also = vec![("p50", micros(50.0)), ("p99", micros(99.0)), ("p99.9", micros(99.9)), ("max", micros(100.0))];
    sample
}
