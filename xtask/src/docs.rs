//! The library's pages. Their examples are tests, and run with the others.

use crate::command::cargo;
use crate::step::Outcome;

/// Private items first, so that the pages left in `target/doc` are the public ones. The program has the library's name,
/// and its pages would overwrite them: it has none.
pub(crate) fn doc() -> Outcome {
    let doc = ["doc", "--package", "anyport", "--all-features", "--no-deps"];
    cargo(doc.into_iter().chain(["--document-private-items"])).env("RUSTDOCFLAGS", "-D warnings").run()?;
    cargo(doc).env("RUSTDOCFLAGS", "-D warnings").run()
}
