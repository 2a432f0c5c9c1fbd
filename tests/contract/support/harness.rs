//! The harness: turns the cases that each promise's file exports into trials, one per backend, named
//! `epoll::c04::close_completes_last`, and runs them with `libtest-mimic` (so that filters, `--list` and nextest work).
//!
//! Called by `main.rs` only. It keeps three invariants: a trial either passes, fails or is skipped *by name*; a trial
//! that hangs ends the process with its name; an isolated trial has a process of its own.

use std::any::Any;
use std::fmt::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::process::{Command, ExitCode, Stdio};
use std::sync::mpsc;
use std::time::Duration;
use std::{env, process, thread};

use anyport::Backend;
use libtest_mimic::{Arguments, Trial};

use super::settle_libkqueue;
use super::skip::{self, Skipped};

/// Set in the process of an isolated trial: the full name of the trial it is to run.
const SCENARIO: &str = "ANYPORT_SCENARIO";
/// Seconds that a trial may take, for slow machines and sanitizers.
const TRIAL_SECONDS: &str = "ANYPORT_TRIAL_SECONDS";
/// With `1`, each trial is an isolated one.
const ISOLATED: &str = "ANYPORT_ISOLATED";
/// With `1`, a trial that this kind of machine (Linux 6.1 or later, io_uring allowed) can run must not be skipped.
const NO_SKIPS: &str = "ANYPORT_NO_SKIPS";
/// How the process of an isolated trial says that it was skipped.
const EXIT_SKIPPED: u8 = 77;

/// One test of a promise, before it is expanded to its backends.
#[derive(Clone, Copy)]
pub(crate) struct Case {
    name: &'static str,
    body: Body,
    isolated: bool,
}

#[derive(Clone, Copy)]
enum Body {
    Each(fn(Backend)),
    Once(fn()),
}

impl Case {
    /// Whether this is its name.
    pub(crate) fn is(&self, name: &str) -> bool {
        self.name == name
    }

    /// A test that every backend must pass.
    pub(crate) const fn each_backend(name: &'static str, test: fn(Backend)) -> Case {
        Case { name, body: Body::Each(test), isolated: false }
    }

    /// The same, in a process of its own: for tests that count descriptors or threads, set limits or change signals.
    pub(crate) const fn each_backend_isolated(name: &'static str, test: fn(Backend)) -> Case {
        Case { name, body: Body::Each(test), isolated: true }
    }

    /// A test that chooses its backends itself (the oracle, the refusals).
    pub(crate) const fn once(name: &'static str, test: fn()) -> Case {
        Case { name, body: Body::Once(test), isolated: false }
    }

    /// The same, in a process of its own.
    pub(crate) const fn once_isolated(name: &'static str, test: fn()) -> Case {
        Case { name, body: Body::Once(test), isolated: true }
    }
}

/// Lists the tests of a file: `cases![one, two]` for tests that run on each backend, or by kind, where a kind is a
/// constructor of [`Case`]: `cases! { each_backend: [one, two], once_isolated: [three] }`.
macro_rules! cases {
    ($($kind:ident: [$($test:ident),* $(,)?]),+ $(,)?) => {
        vec![$($($crate::support::Case::$kind(stringify!($test), $test)),*),+]
    };
    ($($test:ident),* $(,)?) => {
        vec![$($crate::support::Case::each_backend(stringify!($test), $test)),*]
    };
}
pub(crate) use cases;

/// The backends that a suite runs on, and how it asks whether one of them works here.
#[derive(Clone, Copy)]
pub(crate) struct Backends {
    pub(crate) all: &'static [Backend],
    pub(crate) check: fn(Backend) -> Result<(), String>,
}

/// A case on one backend.
#[derive(Clone)]
struct Job {
    name: String,
    case: Case,
    backend: Option<Backend>,
    check: fn(Backend) -> Result<(), String>,
}

/// Runs the suite, given as `(promise, its cases)`; or, in the process of an isolated trial, that trial alone.
pub(crate) fn run(promises: &[(&str, Vec<Case>)], backends: Backends) -> ExitCode {
    let jobs = expand(promises, backends);
    if let Ok(name) = env::var(SCENARIO) {
        let job = jobs.iter().find(|job| job.name == name);
        return run_scenario(job.unwrap_or_else(|| panic!("no trial is called {name}")));
    }
    let arguments = Arguments::from_args();
    let trials = jobs
        .into_iter()
        .map(|job| {
            Trial::test(job.name.clone(), move || {
                run_trial(&job);
                Ok(())
            })
        })
        .collect();
    let outcome = libtest_mimic::run(&arguments, trials);
    if arguments.list {
        return outcome.exit_code();
    }
    let avoidable = skip::summary();
    if avoidable > 0 && is_set(NO_SKIPS) {
        println!("{NO_SKIPS}=1: {avoidable} of the skipped tests can run on this kind of machine");
        return ExitCode::FAILURE;
    }
    outcome.exit_code()
}

fn is_set(variable: &str) -> bool {
    env::var(variable).is_ok_and(|value| value == "1")
}

fn expand(promises: &[(&str, Vec<Case>)], backends: Backends) -> Vec<Job> {
    let Backends { all, check } = backends;
    let mut jobs = Vec::new();
    for (promise, cases) in promises {
        for &case in cases {
            match case.body {
                Body::Each(_) => jobs.extend(all.iter().map(|&backend| Job {
                    name: format!("{backend}::{promise}::{}", case.name),
                    case,
                    backend: Some(backend),
                    check,
                })),
                Body::Once(_) => {
                    jobs.push(Job { name: format!("once::{promise}::{}", case.name), case, backend: None, check })
                }
            }
        }
    }
    jobs
}

fn run_trial(job: &Job) {
    let _watched = Watchdog::over(job.name.clone());
    let body = || {
        if job.case.isolated || is_set(ISOLATED) { run_isolated(&job.name) } else { run_body(job) }
    };
    if let Err(panic) = catch_unwind(AssertUnwindSafe(body)) {
        match panic.downcast::<Skipped>() {
            Ok(skipped) => skip::record(&job.name, *skipped),
            Err(panic) => resume_unwind(panic),
        }
    }
}

fn run_body(job: &Job) {
    match (job.case.body, job.backend) {
        (Body::Each(test), Some(backend)) => {
            if let Err(why) = (job.check)(backend) {
                skip::skip(why);
            }
            settle_libkqueue();
            test(backend);
        }
        (Body::Once(test), _) => test(),
        (Body::Each(_), None) => unreachable!("expand() gives each of these a backend"),
    }
}

/// Runs a trial in a new process: this program again, told by an environment variable which trial it is.
/// `ANYPORT_BACKEND` is not handed on, so that `Port::new()` chooses by itself there.
fn run_isolated(name: &str) {
    let output = Command::new(env::current_exe().expect("the path of the test binary"))
        .env(SCENARIO, name)
        .env_remove("ANYPORT_BACKEND")
        .stdin(Stdio::null())
        .output()
        .expect("start the test binary once more");
    let stdout = String::from_utf8_lossy(&output.stdout);
    if output.status.code() == Some(EXIT_SKIPPED.into()) {
        let skipped = stdout.lines().find_map(Skipped::parse);
        resume_unwind(Box::new(skipped.expect("a skipped scenario says why")));
    }
    print!("{stdout}");
    if !output.status.success() {
        let mut message = format!("its process ended with {}\n", output.status);
        let _ = write!(message, "{stdout}{}", String::from_utf8_lossy(&output.stderr));
        panic!("{message}");
    }
}

/// The other side of [`run_isolated`]: runs the trial on the main thread, with no other thread in the process. The
/// kernel's alarm clock is the watchdog here, because a thread would disturb what these trials count.
fn run_scenario(job: &Job) -> ExitCode {
    // A little earlier than the harness, which can then still say what this process had to say.
    super::end_process_after(trial_limit().saturating_sub(Duration::from_secs(5)));
    match catch_unwind(AssertUnwindSafe(|| run_body(job))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(panic) => match as_skipped(panic) {
            Some(skipped) => {
                println!("{skipped}");
                ExitCode::from(EXIT_SKIPPED)
            }
            None => ExitCode::FAILURE,
        },
    }
}

fn as_skipped(panic: Box<dyn Any + Send>) -> Option<Skipped> {
    panic.downcast::<Skipped>().ok().map(|skipped| *skipped)
}

fn trial_limit() -> Duration {
    let seconds = env::var(TRIAL_SECONDS).ok().and_then(|text| text.parse().ok());
    Duration::from_secs(seconds.unwrap_or(120))
}

/// Ends the process, naming the trial, if that is not over in time: a hang must not eat the time of a whole CI run.
struct Watchdog {
    /// Dropped with the trial; the watching thread sees that and ends.
    _over: mpsc::Sender<()>,
}

impl Watchdog {
    fn over(name: String) -> Watchdog {
        let (over, trial) = mpsc::channel::<()>();
        let limit = trial_limit();
        thread::spawn(move || {
            if trial.recv_timeout(limit) == Err(mpsc::RecvTimeoutError::Timeout) {
                eprintln!("\nhung: {name} is not over after {} s; giving up", limit.as_secs());
                process::abort();
            }
        });
        Watchdog { _over: over }
    }
}
