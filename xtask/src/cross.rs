//! The other systems, from this one: clippy as they would see the code, and a linked program where a linker is at hand.
//!
//! `std` for them is the ready-made one where it is installed (`rustup target add`), else a nightly builds it from source.

use std::path::PathBuf;

use crate::command::{Cmd, cargo};
use crate::step::{Outcome, Stop};
use crate::toolchain::{has_std, nightly_with_source, target_folder};

const MACOS: &str = "x86_64-apple-darwin";
const MACOS_ARM: &str = "aarch64-apple-darwin";
const FREEBSD: &str = "x86_64-unknown-freebsd";

/// What ships.
const SHIPPED: [&str; 4] = ["--package", "anyport", "--package", "anyport-cli"];

pub(crate) fn clippy_windows() -> Outcome {
    clippy(windows())
}

pub(crate) fn clippy_windows_msvc() -> Outcome {
    clippy("x86_64-pc-windows-msvc")
}

/// 32 bits: pointers and alignments differ.
pub(crate) fn clippy_windows_x86() -> Outcome {
    clippy("i686-pc-windows-msvc")
}

pub(crate) fn clippy_windows_arm() -> Outcome {
    clippy("aarch64-pc-windows-msvc")
}

pub(crate) fn clippy_macos() -> Outcome {
    clippy(MACOS)
}

pub(crate) fn clippy_macos_arm() -> Outcome {
    clippy(MACOS_ARM)
}

pub(crate) fn clippy_freebsd() -> Outcome {
    clippy(FREEBSD)
}

/// The other systems with a kqueue, and Apple's other ones by the name of one of them: the library alone.
pub(crate) fn clippy_netbsd() -> Outcome {
    clippy_library("x86_64-unknown-netbsd")
}

pub(crate) fn clippy_openbsd() -> Outcome {
    clippy_library("x86_64-unknown-openbsd")
}

pub(crate) fn clippy_dragonfly() -> Outcome {
    clippy_library("x86_64-unknown-dragonfly")
}

pub(crate) fn clippy_ios() -> Outcome {
    clippy_library("aarch64-apple-ios")
}

pub(crate) fn link_macos() -> Outcome {
    link_with_zig(MACOS)
}

pub(crate) fn link_macos_arm() -> Outcome {
    link_with_zig(MACOS_ARM)
}

pub(crate) fn link_freebsd() -> Outcome {
    link_with_zig(FREEBSD)
}

/// The Windows that needs nothing but what every version has had since 7, and so runs under Wine too; no ready-made `std`
/// exists for it.
fn windows() -> &'static str {
    let current = "x86_64-pc-windows-gnu";
    if has_std(current) { current } else { "x86_64-win7-windows-gnu" }
}

fn clippy(target: &str) -> Outcome {
    for_target("clippy", target)?.args(SHIPPED).args(["--all-features", "--", "-D", "warnings"]).run()
}

fn clippy_library(target: &str) -> Outcome {
    for_target("clippy", target)?.args(["--package", "anyport", "--all-features", "--", "-D", "warnings"]).run()
}

/// The program and all test binaries. Zig brings a linker and the C libraries of all of them.
fn link_with_zig(target: &str) -> Outcome {
    let zigbuild = zigbuild_folder()?;
    for_target("zigbuild", target)?
        .args(SHIPPED)
        .args(["--all-features", "--bins", "--tests"])
        .path_first(&zigbuild)
        .run()
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

/// A cargo subcommand for `target`, with a `std` from wherever there is one.
fn for_target(subcommand: &str, target: &str) -> Result<Cmd, Stop> {
    let cargo = if has_std(target) {
        cargo([subcommand])
    } else {
        nightly_with_source()?;
        cargo(["+nightly", subcommand, "-Zbuild-std=std,panic_abort,test"])
    };
    // Nobody debugs what is built here.
    Ok(cargo
        .args(["--target", target])
        .env("CARGO_TARGET_DIR", target_folder("cross"))
        .env("CARGO_PROFILE_DEV_DEBUG", "0"))
}
