//! Who watches the steps, on Linux: ptrace(2). The program starts itself once more, as a child that plays the steps
//! and does nothing else; each system call of its main thread stops it, is decoded and timed here.
//!
//! A stop costs more than most calls do, so the times here are estimates: that of a call less that of one that does
//! nothing, which is made and traced just as well, and of both the median over the rounds. The steps' own times, which
//! the program takes without a tracer, are the exact ones. The peer's thread is not traced.

mod decode;
mod memory;
mod names;
mod ring;
mod tracer;

use std::io::{self, Read, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::{env, mem};

use anyport::Backend;
use nix::unistd::Pid;

use super::account::{Call, Calls};
use super::steps::{PerStep, Stage, Step, play};
use crate::failure::Failure;
use tracer::Tracer;

/// The number of a system call that does not exist: the kernel answers `ENOSYS`, and the tracer is told something.
const MARK: libc::c_long = 0x00a1_1ce0;
/// What a mark says in its first argument: this, or the number of the step that begins.
const END: u64 = 100;
const NOTHING: u64 = 101;
const ROUND: u64 = 102;
/// How many calls that do nothing are traced in each round.
const NOTHINGS: usize = 8;

fn mark(what: u64) {
    // SAFETY: the kernel knows no call of this number and answers ENOSYS without doing anything.
    unsafe { libc::syscall(MARK, what) };
}

/// Shows the tracer where a step begins and ends.
struct Marked;

impl Stage for Marked {
    fn step<T>(&mut self, step: Step, body: impl FnOnce() -> T) -> T {
        mark(step as u64);
        let result = body();
        mark(END);
        result
    }
}

/// The child's side: plays the steps as often as told, once somebody says on standard input that the tracer is there.
pub(super) fn play_watched(backend: Backend, rounds: usize) -> Result<(), Failure> {
    if io::stdin().read(&mut [0])? == 0 {
        return Ok(());
    }
    for _ in 0..rounds {
        (0..NOTHINGS).for_each(|_| mark(NOTHING));
        play(backend, &mut Marked)?;
        mark(ROUND);
    }
    Ok(())
}

/// A child that waits for its start, and is gone when this is.
struct Player {
    child: Child,
    /// The tracer has seen its end; its number may be another's by now.
    ended: bool,
    start: Option<ChildStdin>,
}

impl Player {
    fn spawn(backend: Backend, rounds: usize) -> io::Result<Player> {
        let mut command = Command::new(env::current_exe()?);
        command.args(["tour", "--backend", backend.name(), "--play", &rounds.to_string()]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn()?;
        let start = child.stdin.take();
        Ok(Player { child, ended: false, start })
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().cast_signed())
    }
}

impl Drop for Player {
    fn drop(&mut self) {
        if !self.ended {
            // It waits for its start or was left in the middle; nothing of it is needed any more.
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// The system calls that the steps make on `backend`, from this many rounds. An error says why they cannot be seen.
pub(super) fn watch(backend: Backend, rounds: usize) -> Result<PerStep<Calls>, String> {
    let failed = |error: io::Error| format!("the steps could not be traced: {error}");
    let mut player = Player::spawn(backend, rounds).map_err(failed)?;
    let mut tracer = Tracer::seize(player.pid())?;
    if let Some(mut start) = player.start.take() {
        start.write_all(b"!").map_err(failed)?;
    }
    let mut all = Rounds::default();
    while let Some(seen) = tracer.next().map_err(failed)? {
        all.take(seen);
    }
    player.ended = true;
    all.summary().ok_or_else(|| "the steps ended before they were over; see above".to_owned())
}

/// Something that the tracer saw.
enum Seen {
    /// A mark, and how long it took.
    Mark(u64, f64),
    Call(Call),
}

/// What was seen, put in order.
#[derive(Default)]
struct Rounds {
    nothing: Vec<f64>,
    step: Option<Step>,
    current: PerStep<Calls>,
    done: Vec<PerStep<Calls>>,
}

impl Rounds {
    fn take(&mut self, seen: Seen) {
        match (seen, self.step) {
            (Seen::Mark(NOTHING, took), _) => self.nothing.push(took),
            (Seen::Mark(ROUND, _), _) => self.done.push(mem::take(&mut self.current)),
            (Seen::Mark(step, _), _) => self.step = Step::ALL.get(step as usize).copied(),
            (Seen::Call(call), Some(step)) => self.current.of_mut(step).push(call),
            (Seen::Call(_), None) => {}
        }
    }

    /// Of each step what most rounds have in common: a ring that the kernel takes down late can interrupt a call of the next
    /// round, which is then made again. The times are the medians over those rounds.
    fn summary(mut self) -> Option<PerStep<Calls>> {
        let nothing = median(&mut self.nothing)?;
        let mut summary = PerStep::default();
        for step in Step::ALL {
            let alike = most_alike(self.done.iter().map(|round| round.of(step)));
            let mut calls = (*alike.last()?).clone();
            for (index, call) in calls.iter_mut().enumerate() {
                let mut times: Vec<f64> = alike.iter().map(|calls| calls[index].micros).collect();
                call.micros = (median(&mut times)? - nothing).max(0.0);
            }
            *summary.of_mut(step) = calls;
        }
        Some(summary)
    }
}

/// The largest group of those that have the same calls in the same order.
fn most_alike<'a>(all: impl Iterator<Item = &'a Calls>) -> Vec<&'a Calls> {
    let mut groups: Vec<Vec<&Calls>> = Vec::new();
    for calls in all {
        let names = |calls: &'a Calls| calls.iter().map(|call| &call.name);
        match groups.iter_mut().find(|group| names(group[0]).eq(names(calls))) {
            Some(group) => group.push(calls),
            None => groups.push(vec![calls]),
        }
    }
    groups.into_iter().max_by_key(Vec::len).unwrap_or_default()
}

fn median(values: &mut [f64]) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(name: &str, micros: f64) -> Seen {
        let (name, text) = (name.to_owned(), String::new());
        Seen::Call(Call { name, arguments: text.clone(), result: text.clone(), meaning: text, micros })
    }

    #[test]
    fn what_most_rounds_have_in_common_is_told_less_the_cost_of_tracing() {
        let mut rounds = Rounds::default();
        for (calls, micros) in [(1, 7.0), (1, 9.0), (2, 50.0), (1, 100.0), (2, 60.0)] {
            rounds.take(Seen::Mark(NOTHING, 5.0));
            rounds.take(call("outside", 1.0));
            rounds.take(Seen::Mark(Step::Wait as u64, 5.0));
            (0..calls).for_each(|_| rounds.take(call("wait", micros)));
            rounds.take(Seen::Mark(END, 5.0));
            rounds.take(Seen::Mark(ROUND, 5.0));
        }
        let summary = rounds.summary().expect("five rounds");
        let waits: Vec<f64> = summary.of(Step::Wait).iter().map(|call| call.micros).collect();
        assert_eq!(waits, [4.0]);
        assert!(Step::ALL.iter().all(|&step| step == Step::Wait || summary.of(step).is_empty()));
    }

    #[test]
    fn no_round_is_no_account() {
        assert_eq!(Rounds::default().summary(), None);
    }
}
