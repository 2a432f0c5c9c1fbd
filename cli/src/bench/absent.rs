//! `anyport bench` where there are no loops by hand to compare with.

use clap::Args;

use crate::failure::Failure;

/// Measure each backend next to loops written by hand (on Linux and Windows only, so far)
#[derive(Debug, Args)]
pub(crate) struct Bench {
    /// Not on this system
    #[arg(hide = true, trailing_var_arg = true, allow_hyphen_values = true)]
    any: Vec<String>,
}

/// Says why not.
pub(crate) fn run(_: Bench) -> Result<(), Failure> {
    Err(Failure::input("the loops to compare with are written for Linux and Windows only; run the benchmarks there"))
}
