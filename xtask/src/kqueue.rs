//! The kqueue backend, run on Linux over libkqueue: the contract, next to the other backends.
//!
//! The library is found where `ANYPORT_LIBKQUEUE` says (the folder it was installed in), or by pkg-config.

use std::path::{Path, PathBuf};

use crate::command::{Cmd, cargo};
use crate::step::{Outcome, Stop};
use crate::toolchain::{host, output, target_folder};

/// Where libkqueue was installed, if pkg-config does not know it.
const FOLDER: &str = "ANYPORT_LIBKQUEUE";

/// The selector's own tests and those of what it builds on; every test of the contract on this backend; and the oracle, which compares its traces to
/// those of the other backends.
pub(crate) fn over_libkqueue() -> Outcome {
    let host = host()?;
    if !host.contains("linux") {
        return Err(Stop::NotHere(format!("this runs libkqueue on Linux, this is {host}: here `cargo test` does it")));
    }
    let library = libkqueue()?;
    let mut ran = Vec::new();
    for (what, arguments) in [
        ("selector", &["--lib", "--", "kqueue"][..]),
        ("contract", &["--test", "contract", "--", "kqueue::"]),
        ("readiness", &["--test", "readiness", "--", "kqueue::"]),
        ("oracle", &["--test", "contract", "--", "once::oracle"]),
    ] {
        let tests = test(&host, &library).args(arguments).run_tests()?;
        ran.push(format!("{what} {tests}"));
    }
    Ok(ran.join(", "))
}

/// `--target` keeps the flags from build scripts and macros, which run in the compiler.
fn test(host: &str, library: &Path) -> Cmd {
    let library = library.display();
    cargo(["test", "--target", host, "--package", "anyport", "--all-features"])
        .env("CARGO_TARGET_DIR", target_folder("kqueue"))
        .env("RUSTFLAGS", format!("--cfg anyport_libkqueue -L {library} -C link-arg=-Wl,-rpath,{library}"))
}

/// The folder that the library is in.
fn libkqueue() -> Result<PathBuf, Stop> {
    if let Some(folder) = std::env::var_os(FOLDER) {
        let folder = PathBuf::from(folder).join("lib");
        let made = folder.join("libkqueue.so").exists() || folder.join("libkqueue.a").exists();
        return if made { Ok(folder) } else { Err(missing(&format!("not in {}, by {FOLDER}", folder.display()))) };
    }
    output("pkg-config", &["--variable=libdir", "libkqueue"])
        .map(|folder| PathBuf::from(folder.trim()))
        .ok_or_else(|| missing(&format!("{FOLDER}=FOLDER names where it is, docs/BACKENDS.md how to build it")))
}

fn missing(why: &str) -> Stop {
    Stop::Missing { tool: "libkqueue", why: format!("libkqueue not installed ({why})") }
}
