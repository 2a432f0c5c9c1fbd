//! The other systems, from this one: clippy as they would see the code, and a linked program where a linker is at hand.
//!
//! `std` for them is the ready-made one where it is installed (`rustup target add`), else a nightly builds it from source.

use std::path::PathBuf;

use crate::command::{Cmd, cargo};
use crate::step::{Outcome, Stop};
use crate::toolchain::{has_std, nightly_with_source, target_folder};

const APPLE: [&str; 2] = ["x86_64-apple-darwin", "aarch64-apple-darwin"];
const FREEBSD: &str = "x86_64-unknown-freebsd";

const LIBRARY: &str = "anyport";
const PROGRAM: &str = "anyport-cli";

/// 64 bits and 32, x86 and arm: pointers and alignments differ.
pub(crate) fn clippy_windows() -> Outcome {
    let targets = [windows(), "x86_64-pc-windows-msvc", "i686-pc-windows-msvc", "aarch64-pc-windows-msvc"];
    clippy(LIBRARY, &targets)?;
    clippy(PROGRAM, &targets)
}

/// Apple's other systems, by the name of one of them, take the library alone.
pub(crate) fn clippy_apple() -> Outcome {
    let [intel, arm] = APPLE;
    clippy(LIBRARY, &[intel, arm, "aarch64-apple-ios"])?;
    clippy(PROGRAM, &APPLE)
}

/// The other systems with a kqueue take the library alone.
pub(crate) fn clippy_bsd() -> Outcome {
    clippy(LIBRARY, &[FREEBSD, "x86_64-unknown-netbsd", "x86_64-unknown-openbsd", "x86_64-unknown-dragonfly"])?;
    clippy(PROGRAM, &[FREEBSD])
}

/// The program and all test binaries, where Zig brings a linker and the C libraries.
pub(crate) fn link() -> Outcome {
    let zigbuild = zigbuild_folder()?;
    let [intel, arm] = APPLE;
    for_targets("zigbuild", &[intel, arm, FREEBSD], |build| {
        build
            .args(["--package", LIBRARY, "--package", PROGRAM, "--all-features", "--bins", "--tests"])
            .path_first(&zigbuild)
    })
}

/// The Windows that needs nothing but what every version has had since 7, and so runs under Wine too; no ready-made `std`
/// exists for it.
fn windows() -> &'static str {
    let current = "x86_64-pc-windows-gnu";
    if has_std(current) { current } else { "x86_64-win7-windows-gnu" }
}

fn clippy(package: &str, targets: &[&str]) -> Outcome {
    for_targets("clippy", targets, |clippy| {
        clippy.args(["--package", package, "--all-features", "--", "-D", "warnings"])
    })
}

/// Where cargo-zigbuild is: in a virtual environment of Python, which is then where `ziglang` is too, or on the PATH.
fn zigbuild_folder() -> Result<PathBuf, Stop> {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.or_else(|| Some(std::env::home_dir()?.join(".cache")));
    let in_cache = cache.map(|cache| cache.join("anyport-cross/bin"));
    let on_path = std::env::var_os("PATH").unwrap_or_default();
    in_cache
        .into_iter()
        .chain(std::env::split_paths(&on_path))
        .find(|folder| folder.join("cargo-zigbuild").exists())
        .ok_or_else(|| Stop::Missing {
            tool: "zigbuild",
            why: "no cargo-zigbuild (pip install ziglang cargo-zigbuild)".to_owned(),
        })
}

/// Runs a cargo subcommand for `targets`: at once for those with a ready-made `std`, and for those whose `std` a nightly
/// builds, so that all cores are busy.
fn for_targets(subcommand: &str, targets: &[&str], complete: impl Fn(Cmd) -> Cmd) -> Outcome {
    let (ready, bare): (Vec<&str>, Vec<&str>) = targets.iter().partition(|target| has_std(target));
    let run = |cargo: Cmd, targets: Vec<&str>| {
        // Nobody debugs what is built here.
        let cargo = cargo.env("CARGO_TARGET_DIR", target_folder("cross")).env("CARGO_PROFILE_DEV_DEBUG", "0");
        complete(targets.into_iter().fold(cargo, |cargo, target| cargo.args(["--target", target]))).run()
    };
    if !ready.is_empty() {
        run(cargo([subcommand]), ready)?;
    }
    if !bare.is_empty() {
        nightly_with_source()?;
        run(cargo(["+nightly", subcommand, "-Zbuild-std=std,panic_abort,test"]), bare)?;
    }
    Ok(String::new())
}
