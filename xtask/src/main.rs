//! The checks of the project, each a step with a name.
//!
//! `cargo xtask ci` runs them all, `cargo xtask NAME...` some of them, `cargo xtask list` says which there are.
//! A failed step does not stop the ones after it: the end of the log shows all that is wrong at once.

mod adapter;
mod bench;
mod command;
mod cross;
mod docs;
mod excerpt;
mod kqueue;
mod package;
mod report;
mod sanitize;
mod step;
mod style;
mod tests;
mod toolchain;
mod wine;

use std::process::ExitCode;

use step::Step;

const USAGE: &str = "\
usage: cargo xtask ci | list | NAME...

A name selects the step of that name and every step that starts with it and a hyphen: `cross` is all of `cross-...`.

  --may-lack TOOL   with CI=true a step that is skipped because a tool is missing counts as failed, unless the tool is
                    named here; for machines that cannot have it (nightly, zigbuild, msrv, libkqueue)";

fn main() -> ExitCode {
    let (names, may_lack) = match parse(std::env::args().skip(1)) {
        Ok(arguments) => arguments,
        Err(problem) => {
            eprintln!("{problem}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    if names == ["list"] {
        report::list(step::ALL);
        return ExitCode::SUCCESS;
    }
    let steps = match select(&names) {
        Ok(steps) => steps,
        Err(problem) => {
            eprintln!("{problem}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    let results: Vec<_> = steps.into_iter().map(step::run).collect();
    report::failures(&results);
    if report::table(&results, command::in_ci(), &may_lack) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The names of steps, and of the tools that this machine may lack.
fn parse(mut arguments: impl Iterator<Item = String>) -> Result<(Vec<String>, Vec<String>), String> {
    let (mut names, mut may_lack) = (Vec::new(), Vec::new());
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--may-lack" => may_lack.push(arguments.next().ok_or("--may-lack: which tool?")?),
            flag if flag.starts_with('-') => return Err(format!("{flag}: no such option")),
            _ => names.push(argument),
        }
    }
    if names.is_empty() {
        return Err("which check?".to_owned());
    }
    Ok((names, may_lack))
}

/// The steps that `names` select, in the order of the list, each once.
fn select(names: &[String]) -> Result<Vec<&'static Step>, String> {
    let selects = |name: &str, step: &Step| {
        name == "ci" || step.name.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
    };
    if let Some(unknown) = names.iter().find(|name| !step::ALL.iter().any(|step| selects(name, step))) {
        return Err(format!("{unknown}: no such check; `cargo xtask list` shows them"));
    }
    Ok(step::ALL.iter().filter(|step| names.iter().any(|name| selects(name, step))).collect())
}

#[cfg(test)]
mod selection {
    use super::{parse, select};

    fn selected(names: &[&str]) -> Vec<&'static str> {
        let names: Vec<_> = names.iter().map(|name| name.to_string()).collect();
        select(&names).unwrap().iter().map(|step| step.name).collect()
    }

    #[test]
    fn a_name_selects_its_step_and_its_family() {
        assert_eq!(selected(&["fmt"]), ["fmt"]);
        assert_eq!(selected(&["test"]), ["test", "test-all-features"]);
        assert!(selected(&["cross"]).iter().all(|name| name.starts_with("cross-")));
        assert!(selected(&["cross"]).len() > 1);
    }

    #[test]
    fn each_step_runs_once_and_in_order_however_often_it_is_named() {
        assert_eq!(selected(&["clippy", "fmt", "clippy"]), ["fmt", "clippy"]);
    }

    #[test]
    fn ci_is_everything() {
        assert_eq!(selected(&["ci"]).len(), super::step::ALL.len());
    }

    #[test]
    fn an_unknown_name_is_an_error_that_says_it() {
        assert!(select(&["tset".to_owned()]).unwrap_err().contains("tset"));
        assert!(parse(["--fast".to_owned()].into_iter()).unwrap_err().contains("--fast"));
        assert!(parse([].into_iter()).is_err());
    }
}
