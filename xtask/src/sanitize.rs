//! The tests once more, with `std` and everything else built under a sanitizer of the compiler.
//!
//! `ANYPORT_SANITIZER` names it, for the tests that measure what its runtime adds to.

use crate::command::{Cmd, cargo};
use crate::step::{Outcome, Stop};
use crate::toolchain::{host, nightly_with_source, target_folder};

/// Every test of the library: lent memory, slots, rings.
pub(crate) fn address() -> Outcome {
    test("address", &["--lib", "--test", "contract", "--test", "readiness"])?.run_tests()
}

/// What has threads in it: posts, the blocking pool, descriptors and buffers that change hands, drops, fairness, the soak.
///
/// Each trial in a process of its own: a ring closes descriptors without a call that the runtime could see, so it would take
/// a number that comes back in another trial's thread for a race. For the same reason rustix is to make its calls through
/// libc.
pub(crate) fn thread() -> Outcome {
    let skipped = ["c04::", "c05::", "c06::", "c07::", "c11::", "c12::", "refusal::", "oracle::", "traps::"];
    let skips = skipped.iter().flat_map(|promise| ["--skip", promise]);
    let arguments: Vec<&str> =
        ["--lib", "--test", "contract", "--test", "readiness", "--"].into_iter().chain(skips).collect();
    test("thread", &arguments)?.env("ANYPORT_ISOLATED", "1").run_tests()
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
        .env("RUSTFLAGS", format!("-Zsanitizer={sanitizer} --cfg rustix_use_libc"))
        .env("ANYPORT_SANITIZER", sanitizer)
        // Several times slower than without: more time a test, and less of what is random, which soon has been everywhere.
        .env("ANYPORT_TRIAL_SECONDS", "300")
        .env("ANYPORT_SOAK_OPERATIONS", "20000")
        .env("PROPTEST_CASES", "32"))
}
