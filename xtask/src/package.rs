//! The package of the library as a registry would hand it out: complete, and able to build without the workspace.

use crate::command::cargo;
use crate::step::Outcome;

/// What is not committed yet may be tried too.
pub(crate) fn package() -> Outcome {
    cargo(["package", "--package", "anyport", "--all-features", "--allow-dirty"]).run()
}
