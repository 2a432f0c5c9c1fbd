//! The comparison with everyone else, `bench/`: a workspace of its own, so that nobody else builds the peers. Nothing is
//! measured here: its tests start every server and let it echo.

use crate::command::{Cmd, cargo};
use crate::step::{Outcome, Stop};

/// No warning, and every server does what it is compared by.
pub(crate) fn servers() -> Outcome {
    if !cfg!(target_os = "linux") {
        return Err(Stop::NotHere("the loops to compare with are written for Linux".to_owned()));
    }
    cargo(["fmt", "--all", "--check", "--manifest-path", "bench/Cargo.toml"]).run()?;
    bench("clippy").args(["--all-targets", "--", "-D", "warnings"]).run()?;
    bench("test").args(["--no-fail-fast"]).run_tests()
}

fn bench(command: &str) -> Cmd {
    cargo([command, "--locked", "--manifest-path", "bench/Cargo.toml", "--target-dir", "target/bench"])
        .env("CARGO_PROFILE_DEV_DEBUG", "0")
}
