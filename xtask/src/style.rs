//! How the code reads: rustfmt and clippy for the system that runs the checks.

use crate::command::cargo;
use crate::step::Outcome;

pub(crate) fn fmt() -> Outcome {
    cargo(["fmt", "--all", "--check"]).run()
}

/// `--locked` here covers the steps after it: a lock file that is out of date ends the run of checks as a failure.
pub(crate) fn clippy() -> Outcome {
    for features in ["--all-features", "--no-default-features"] {
        cargo(["clippy", "--locked", "--workspace", "--all-targets", features, "--", "-D", "warnings"]).run()?;
    }
    Ok(String::new())
}
