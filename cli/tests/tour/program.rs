//! Runs the tour and takes what it says apart.

use std::process::{Command, Output, Stdio};

use anyport::Backend;

pub(crate) fn tour(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_anyport"));
    command.arg("tour").args(args).env_remove("ANYPORT_BACKEND").stdin(Stdio::null());
    command
}

pub(crate) fn text(output: &Output) -> String {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    assert_eq!(stderr, "");
    String::from_utf8(output.stdout.clone()).expect("text")
}

/// What the tour says about `backend`; `None`, which is reported, where the machine lacks it.
pub(crate) fn told(backend: Backend) -> Option<String> {
    if let Err(why) = backend.check() {
        println!("skipped: {backend}: {why}");
        return None;
    }
    Some(text(&tour(&["--backend", backend.name()]).output().expect("the program can be started")))
}

/// The beginnings of the steps' headings, in order.
pub(crate) const STEPS: [&str; 6] = ["1  ", "2  ", "3  ", "4  ", "5  ", "again: "];

/// The lines of each step, heading included.
pub(crate) fn steps(text: &str) -> Vec<Vec<&str>> {
    let (account, _) = text.split_once("Side by side").expect("a comparison after the steps");
    let mut steps: Vec<Vec<&str>> = Vec::new();
    for line in account.lines() {
        if STEPS.get(steps.len()).is_some_and(|heading| line.starts_with(heading)) {
            steps.push(Vec::new());
        }
        if let Some(step) = steps.last_mut() {
            step.push(line);
        }
    }
    assert_eq!(steps.len(), STEPS.len(), "{text}");
    steps
}
