//! A step: one check with a name, and what can come of it.
//!
//! The list here is the table of contents of the checks, in the order they run: what is quick and often wrong first.

use std::time::{Duration, Instant};

use crate::excerpt::Excerpt;
use crate::{adapter, bench, cross, docs, kqueue, package, sanitize, style, tests, toolchain, wine};

/// One check.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) name: &'static str,
    /// What holds when it has passed.
    pub(crate) about: &'static str,
    pub(crate) check: fn() -> Outcome,
}

/// A passed step has something short to say (often nothing).
pub(crate) type Outcome = Result<String, Stop>;

/// Why a step did not pass.
#[derive(Debug)]
pub(crate) enum Stop {
    /// The check found something, or could not be carried out.
    Failed(String),
    /// A command of it failed, and had something to say about that.
    Command { why: String, output: Excerpt },
    /// A tool that a machine of this kind can have is missing.
    Missing { tool: &'static str, why: String },
    /// Nothing to be checked on a machine of this kind.
    NotHere(String),
}

/// What came of a step, and how long it took.
pub(crate) struct Report {
    pub(crate) step: &'static Step,
    pub(crate) outcome: Outcome,
    pub(crate) took: Duration,
}

/// Every check there is.
#[rustfmt::skip] // a table: a row a step
pub(crate) const ALL: &[Step] = &[
    step("fmt", "rustfmt would change nothing", style::fmt),
    step("clippy", "no warning in any target, with all features and with none", style::clippy),
    step("doc", "no warning in the library's pages, private items too", docs::doc),
    step("test", "cargo test, nothing skipped", tests::default_features),
    step("test-all-features", "the tests of the workspace with all features, but for the contract suite (see asan)", tests::all_features),
    step("kqueue", "the contract on the kqueue backend, over libkqueue", kqueue::over_libkqueue),
    step("adapter", "smol and async-io run on the poller, on each backend", adapter::clients),
    step("bench", "every server that is measured echoes what it was sent", bench::servers),
    step("msrv", "builds with the `rust-version` of Cargo.toml", toolchain::msrv),
    step("package", "the library's package builds by itself", package::package),
    step("cross-windows", "clippy for Windows on x86-64, 32-bit x86 and arm64", cross::clippy_windows),
    step("wine-contract", "the contract suite on Windows' backend, under Wine", wine::contract),
    step("wine-readiness", "the readiness suite on Windows' backend, under Wine", wine::readiness),
    step("wine-clients", "smol and async-io run on Windows' poller, under Wine", wine::clients),
    step("wine-traces", "the oracle's traces under Wine are those from Linux", wine::traces),
    step("wine-program", "the program under Wine: info, tour, bench, and clients from outside of echo and serve", wine::program),
    step("wine-program-tests", "the program's own tests under Wine", wine::program_tests),
    step("cross-apple", "clippy for macOS on x86-64 and arm64, and for iOS", cross::clippy_apple),
    step("cross-bsd", "clippy for FreeBSD, NetBSD, OpenBSD and DragonFly", cross::clippy_bsd),
    step("link", "the program and all tests link for macOS, x86-64 and arm64, and for FreeBSD", cross::link),
    step("asan", "the library's tests under AddressSanitizer, with all features", sanitize::address),
    step("tsan", "the library's tests under ThreadSanitizer", sanitize::thread),
];

const fn step(name: &'static str, about: &'static str, check: fn() -> Outcome) -> Step {
    Step { name, about, check }
}

/// Runs one step and says so.
pub(crate) fn run(step: &'static Step) -> Report {
    println!("\n=== {}: {}", step.name, step.about);
    let start = Instant::now();
    let outcome = (step.check)();
    let report = Report { step, outcome, took: start.elapsed() };
    println!("=== {}: {} in {:.1} s", step.name, report.verdict(), report.took.as_secs_f64());
    report
}

impl Report {
    pub(crate) fn has_failed(&self) -> bool {
        matches!(self.outcome, Err(Stop::Failed(_) | Stop::Command { .. }))
    }

    /// The outcome in one line.
    pub(crate) fn verdict(&self) -> String {
        match &self.outcome {
            Ok(detail) if detail.is_empty() => "passed".to_owned(),
            Ok(detail) => format!("passed: {detail}"),
            Err(Stop::Failed(why)) => format!("failed: {why}"),
            Err(Stop::Command { why, output }) => match output.failed() {
                [] => format!("failed: {why}"),
                [test] => format!("failed: {test}: {why}"),
                [test, rest @ ..] => format!("failed: {test} and {} more: {why}", rest.len()),
            },
            Err(Stop::Missing { why, .. } | Stop::NotHere(why)) => format!("skipped: {why}"),
        }
    }
}
