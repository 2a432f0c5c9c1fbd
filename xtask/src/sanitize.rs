//! The tests once more, with `std` and everything else built under a sanitizer of the compiler.
//!
//! `ANYPORT_SANITIZER` names it, for the tests that measure what its runtime adds to.

use crate::command::{Cmd, cargo};
use crate::step::{Outcome, Stop};
use crate::toolchain::{host, nightly_with_source, target_folder};

/// Every test of the library: lent memory, slots, rings.
pub(crate) fn address() -> Outcome {
    test("address", &["--lib", "--test", "contract"])?.run_tests()
}

/// The same: posts, the blocking pool, descriptors that change hands, and the tests' own threads. C11 counts system calls,
/// and the runtime of this sanitizer makes calls between those of the code.
pub(crate) fn thread() -> Outcome {
    test("thread", &["--lib", "--test", "contract", "--", "--skip", "c11::"])?.run_tests()
}

/// `--target` keeps the flags from build scripts and macros, which run in the compiler.
fn test(sanitizer: &str, arguments: &[&str]) -> Result<Cmd, Stop> {
    let host = host()?;
    if !host.ends_with("linux-gnu") {
        return Err(Stop::NotHere(format!("the sanitizers are run on Linux, this is {host}")));
    }
    nightly_with_source()?;
    Ok(cargo(["+nightly", "test", "-Zbuild-std", "--target", &host, "--package", "anyport", "--all-features"])
        .args(arguments)
        .env("CARGO_TARGET_DIR", target_folder(sanitizer))
        .env("RUSTFLAGS", format!("-Zsanitizer={sanitizer}"))
        .env("ANYPORT_SANITIZER", sanitizer)
        // Several times slower than without.
        .env("ANYPORT_TRIAL_SECONDS", "300"))
}
