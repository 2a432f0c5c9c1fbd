//! Which Rust toolchains this machine has, and the check that the promised oldest one builds the project.

use std::path::Path;
use std::process::Command;

use crate::command::cargo;
use crate::step::{Outcome, Stop};

/// The `rust-version` of Cargo.toml, with the patch level that names a toolchain.
fn promised_version() -> String {
    let version = env!("CARGO_PKG_RUST_VERSION");
    let parts = version.split('.').count();
    format!("{version}{}", ".0".repeat(3_usize.saturating_sub(parts)))
}

/// Builds with exactly the promised version, whichever one runs the checks.
pub(crate) fn msrv() -> Outcome {
    let promised = promised_version();
    let is_promised = |rustc: &[&str]| output("rustc", rustc).is_some_and(|line| names_version(&line, &promised));
    let toolchain = format!("+{promised}");
    let build = ["build", "--workspace", "--all-features"];
    if is_promised(&["--version"]) {
        cargo(build).run()?;
    } else if is_promised(&[&toolchain, "--version"]) {
        cargo([toolchain.as_str()].into_iter().chain(build)).run()?;
    } else {
        return Err(Stop::Missing {
            tool: "msrv",
            why: format!("no Rust {promised} (rustup toolchain install {promised})"),
        });
    }
    Ok(format!("Rust {promised}"))
}

/// Whether `line`, the answer of `rustc --version`, is that of `version`.
fn names_version(line: &str, version: &str) -> bool {
    line.split_whitespace().nth(1) == Some(version)
}

/// The triple of this machine.
pub(crate) fn host() -> Result<String, Stop> {
    let about = output("rustc", &["--version", "--verbose"]);
    let host = about.iter().flat_map(|text| text.lines()).find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).ok_or_else(|| Stop::Failed("rustc does not say what it runs on".to_owned()))
}

/// Whether the toolchain that runs the checks has a ready-made `std` for `target`.
pub(crate) fn has_std(target: &str) -> bool {
    output("rustc", &["--print", "target-libdir", "--target", target])
        .is_some_and(|folder| Path::new(folder.trim()).exists())
}

/// A nightly that can build `std` from source.
pub(crate) fn nightly_with_source() -> Result<(), Stop> {
    let missing = |why: &str| Stop::Missing { tool: "nightly", why: why.to_owned() };
    let sysroot = output("rustc", &["+nightly", "--print", "sysroot"])
        .ok_or_else(|| missing("no nightly toolchain (rustup toolchain install nightly)"))?;
    if !Path::new(sysroot.trim()).join("lib/rustlib/src/rust/library/Cargo.lock").exists() {
        return Err(missing("the nightly has no rust-src (rustup component add rust-src --toolchain nightly)"));
    }
    Ok(())
}

/// The folder a cargo invocation of its own flags builds in, so that it does not undo the work of the others.
pub(crate) fn target_folder(name: &str) -> String {
    let target = std::env::var("CARGO_TARGET_DIR").unwrap_or_else(|_| "target".to_owned());
    format!("{target}/{name}")
}

/// What a command prints, if there is such a command and it succeeds.
pub(crate) fn output(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod versions {
    use super::{names_version, promised_version};

    #[test]
    fn the_promised_version_is_matched_to_the_patch_level() {
        let promised = promised_version();
        assert_eq!(promised.split('.').count(), 3, "{promised}");
        assert!(names_version("rustc 1.95.0 (59807616e 2026-04-14)", "1.95.0"));
        assert!(!names_version("rustc 1.95.1 (0123456 2026-05-01)", "1.95.0"));
        assert!(!names_version("rustc 1.97.0-nightly (e50aa6fba 2026-05-19)", "1.97.0"));
    }
}
