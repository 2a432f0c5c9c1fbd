//! The tests, natively: unit tests, the contract suite on every backend, the examples in the documentation.

use crate::command::{Cmd, cargo, in_ci};
use crate::step::Outcome;

/// The command that the README names.
pub(crate) fn default_features() -> Outcome {
    run(cargo(["test"]))
}

/// The checks' own tests are among these. One failure does not hide those of the next binary. The contract suite has all
/// features under AddressSanitizer.
pub(crate) fn all_features() -> Outcome {
    let tests = ["test", "--workspace", "--all-features", "--no-fail-fast"];
    let but_the_contract = ["--lib", "--bins", "--test", "[!c]*"];
    let tested = run(cargo(tests).args(but_the_contract));
    let examples = run(cargo(tests).args(["--doc"]));
    Ok(format!("{}, and {} in the documentation", tested?, examples?))
}

/// In CI a test that finds it cannot run here fails instead of saying so.
fn run(tests: Cmd) -> Outcome {
    if in_ci() { tests.env("ANYPORT_NO_SKIPS", "1") } else { tests }.run_tests()
}
