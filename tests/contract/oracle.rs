//! The differential oracle: random scripts of operations against a scripted peer run on every backend, and on io_uring
//! with its fallbacks in place of what the kernel offers. Each run is held to a model of the contract, and the
//! normalised traces of all runs must be equal.
//!
//! `script` is what a script is, `end` the model of one object, `world` a running script (port, model and trace),
//! `play` what each step does, `peer` its other side, `outcome` how a completion is written down, `tape` the content.

mod able;
mod end;
mod outcome;
mod peer;
mod play;
mod script;
pub(crate) mod tape;
mod world;

use std::cell::RefCell;
use std::env;
use std::fmt::Write as _;
use std::io::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};

use anyport::{Backend, Port};
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};

use crate::support::*;
use script::Script;

pub(crate) fn tests() -> Vec<Case> {
    // In a process of its own: a child that another trial starts holds for a moment what is open in this process, and what
    // a script has just closed would not be closed yet.
    cases! { once_isolated: [random_scripts_have_the_same_trace_everywhere] }
}

/// How many scripts are run; more find more.
const CASES: &str = "ANYPORT_ORACLE_CASES";
/// The first script's seed; the following ones count up from it.
const SEED: &str = "ANYPORT_ORACLE_SEED";

/// A file that the traces are appended to.
const TRACES: &str = "ANYPORT_ORACLE_TRACES";

/// What a script runs on.
#[derive(Clone, Copy)]
struct Subject {
    name: &'static str,
    backend: Backend,
    /// Features of the kernel that it does without.
    without: &'static [&'static str],
}

impl Subject {
    fn port(&self, script: &Script) -> std::io::Result<Port> {
        let builder = Port::builder().backend(self.backend).entries(script.entries.into());
        let builder = builder.pool(script.pool.0, script.pool.1).threads(script.threads);
        self.without.iter().fold(builder, |builder, feature| builder.without(feature)).build()
    }
}

/// Every backend of this machine, and io_uring as older kernels have it.
fn subjects() -> Vec<Subject> {
    let here = |backend: &Backend| backend.check().is_ok();
    let mut subjects: Vec<_> = Backend::ALL
        .iter()
        .copied()
        .filter(here)
        .map(|backend| Subject { name: backend.name(), backend, without: &[] })
        .collect();
    if here(&Backend::Uring) {
        let variant = |name, without| Subject { name, backend: Backend::Uring, without };
        subjects.push(variant("no multishot", &["defer taskrun", "multishot poll", "multishot accept", "multishot recv", "multishot recvmsg"]));
        subjects.push(variant("all emulated", EMULATED));
    }
    subjects
}

fn number(variable: &str) -> Option<u64> {
    env::var(variable).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{variable}={text} is no number")))
}

fn random_scripts_have_the_same_trace_everywhere() {
    let subjects = subjects();
    // The same scripts each time, so that a change is what makes the difference; other seeds find more.
    let first = number(SEED).unwrap_or(1);
    let count = number(CASES).unwrap_or(if cfg!(debug_assertions) { 100 } else { 300 });
    println!("oracle: {count} scripts from {SEED}={first} on");
    for seed in first..first + count {
        run_seed(seed, &subjects);
    }
}

/// Runs the script that this seed stands for; if it diverges, shrinks it and says how.
#[track_caller]
fn run_seed(seed: u64, subjects: &[Subject]) {
    // A hang costs its patience each time, so there is a limit to shrinking.
    let config = Config { cases: 1, failure_persistence: None, max_shrink_iters: 10_000, max_shrink_time: 40_000, ..Config::default() };
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let report = RefCell::new(String::new());
    let result = TestRunner::new_with_rng(config, rng).run(&script::scripts(), |script| {
        compare(&script, subjects).map_err(|divergence| {
            *report.borrow_mut() = divergence;
            TestCaseError::fail("traces differ")
        })
    });
    match result {
        Ok(()) => {}
        Err(TestError::Fail(_, script)) => {
            // The last report may be of a smaller script that passed after all (a race): run it once more.
            let report = compare(&script, subjects).err().unwrap_or_else(|| report.into_inner());
            panic!("{script:#?}\n{report}\nagain: {SEED}={seed} {CASES}=1 cargo test --test contract -- oracle");
        }
        Err(TestError::Abort(why)) => panic!("the oracle cannot run: {why}"),
    }
}

/// Writes a trace that all agree on down, for a comparison with those of another system.
fn record(trace: &[String]) {
    let Ok(path) = env::var(TRACES) else { return };
    let mut file = std::fs::File::options().create(true).append(true).open(path).expect("a file for traces");
    trace.iter().for_each(|line| writeln!(file, "{line}").expect("write a trace"));
}

/// Runs a script on each subject; the error shows all traces side by side.
fn compare(script: &Script, subjects: &[Subject]) -> Result<(), String> {
    let runs: Vec<world::Run> = subjects.iter().map(|subject| run(script, subject)).collect();
    if runs.iter().all(|run| !run.wrong && run.trace == runs[0].trace) {
        record(&runs[0].trace);
        return Ok(());
    }
    let rows = runs.iter().map(|run| run.trace.len()).max().unwrap_or(0);
    let cell = |run: &world::Run, row: usize| run.trace.get(row).cloned().unwrap_or_default();
    let width = |run: &world::Run| run.trace.iter().map(|line| line.chars().count()).max().unwrap_or(0).max(16);
    let mut table = String::from("  ");
    for (subject, run) in subjects.iter().zip(&runs) {
        let _ = write!(table, "{:1$} | ", subject.name, width(run));
    }
    for row in 0..rows {
        let same = runs.iter().all(|run| cell(run, row) == cell(&runs[0], row));
        let wrong = runs.iter().any(|run| cell(run, row).contains("!!"));
        let _ = write!(table, "\n{} ", if wrong { '!' } else if same { ' ' } else { '#' });
        for run in &runs {
            let _ = write!(table, "{:1$} | ", cell(run, row), width(run));
        }
    }
    Err(table)
}

fn run(script: &Script, subject: &Subject) -> world::Run {
    let port = match subject.port(script) {
        Ok(port) => port,
        Err(error) => return world::Run { trace: vec![format!("!! no port: {error}")], wrong: true },
    };
    let mut world = world::World::new(port, script.pool);
    let played = catch_unwind(AssertUnwindSafe(|| world.play(script)));
    match played {
        Ok(()) => world.end(),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
            world.give_up(&format!("panicked: {}", text.unwrap_or_default()))
        }
    }
}
