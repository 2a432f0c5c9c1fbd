//! Real clients of the poller: programs on `smol` and `async-io` as crates.io has them, with Anyport's poller in the place
//! of the one below them. They are a workspace of their own, so that nobody else builds them.

use crate::command::{Cmd, cargo};
use crate::step::{Outcome, Stop};

/// The backends that a poller has here, by the names that `ANYPORT_BACKEND` takes.
const BACKENDS: &[&str] = if cfg!(target_os = "linux") { &["epoll", "poll"] } else { &[] };

/// Each client on each backend.
pub(crate) fn clients() -> Outcome {
    if BACKENDS.is_empty() {
        return Err(Stop::NotHere("the poller's clients run on Linux so far".to_owned()));
    }
    adapter("clippy").args(["--all-targets", "--", "-D", "warnings"]).run()?;
    let mut told = Vec::new();
    for backend in BACKENDS {
        let passed = adapter("test").args(["--no-fail-fast"]).env("ANYPORT_BACKEND", backend).run_tests()?;
        told.push(format!("{passed} on {backend}"));
    }
    Ok(told.join(", "))
}

fn adapter(command: &str) -> Cmd {
    cargo([command, "--manifest-path", "tests/adapter/Cargo.toml", "--target-dir", "target/adapter"])
}
