//! Skipping a test by name. A test (or anything it calls) that finds that this machine cannot run it calls [`skip`];
//! the harness prints `skipped: <test>: <why>` at once and lists all of them again after the last trial.
//!
//! Invariant: nothing is skipped silently, and a skip that says "this machine could have" is told from one that
//! cannot be helped ([`skip_elsewhere`]).

use std::fmt;
use std::panic::resume_unwind;
use std::sync::Mutex;

static SKIPS: Mutex<Vec<(String, Skipped)>> = Mutex::new(Vec::new());

const AVOIDABLE: &str = "skipped: ";
const ELSEWHERE: &str = "skipped, needs another machine: ";

/// Why a test was not run. Travels as the payload of an unwind, so that any function below a test can decide it.
#[derive(Clone, Debug)]
pub(crate) struct Skipped {
    why: String,
    /// A Linux of 6.1 or later that allows io_uring could have run it; `ANYPORT_NO_SKIPS=1` makes that an error.
    avoidable: bool,
}

impl fmt::Display for Skipped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.avoidable { AVOIDABLE } else { ELSEWHERE };
        write!(f, "{kind}{}", self.why)
    }
}

impl Skipped {
    /// Reads the line that `Display` writes; an isolated trial says it over its standard output.
    pub(crate) fn parse(line: &str) -> Option<Skipped> {
        let avoidable = line.strip_prefix(AVOIDABLE).map(|why| (why, true));
        let (why, avoidable) = avoidable.or_else(|| line.strip_prefix(ELSEWHERE).map(|why| (why, false)))?;
        Some(Skipped { why: why.to_owned(), avoidable })
    }
}

/// Ends the test as skipped: something is missing that a Linux of 6.1 or later with io_uring is supposed to have.
pub(crate) fn skip(why: impl Into<String>) -> ! {
    unwind(why.into(), true)
}

/// Ends the test as skipped: it needs another kind of machine (root, a writable sysctl, another kernel).
pub(crate) fn skip_elsewhere(why: impl Into<String>) -> ! {
    unwind(why.into(), false)
}

fn unwind(why: String, avoidable: bool) -> ! {
    // One line, because that is how it travels out of an isolated trial. No panic hook runs: this is no failure.
    let why = why.replace('\n', "; ");
    resume_unwind(Box::new(Skipped { why, avoidable }))
}

/// Notes the skip of `test` and prints it.
pub(crate) fn record(test: &str, skipped: Skipped) {
    println!("skipped: {test}: {}", skipped.why);
    SKIPS.lock().expect("no panic while recording").push((test.to_owned(), skipped));
}

/// Prints what was skipped, and returns how many of these this kind of machine could have run.
pub(crate) fn summary() -> usize {
    let skips = SKIPS.lock().expect("no panic while recording");
    if skips.is_empty() {
        println!("no skips");
        return 0;
    }
    println!("{} skipped:", skips.len());
    for (test, skipped) in skips.iter() {
        println!("    {test}: {skipped}");
    }
    println!();
    skips.iter().filter(|(_, skipped)| skipped.avoidable).count()
}
