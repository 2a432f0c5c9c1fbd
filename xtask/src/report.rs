//! What is printed about the steps: the list of them; and at the end of a run, where a long log is read first, what the
//! failed ones had to say, and the table of all, which decides the exit status.

use std::time::Duration;

use crate::step::{Report, Step, Stop};

/// The steps and what each is for.
pub(crate) fn list(steps: &[Step]) {
    for step in steps {
        println!("{:18} {}", step.name, step.about);
    }
}

/// Lines that all failed steps together may fill above the table, so that the end of a log holds both; and what each may
/// fill at least.
const ROOM: usize = 80;
const LEAST: usize = 12;

/// Prints for each step of which a command failed what that said, and which tests failed.
pub(crate) fn failures(reports: &[Report]) {
    let commands = reports.iter().filter_map(|report| match &report.outcome {
        Err(Stop::Command { why, output }) => Some((report.step, why, output)),
        _ => None,
    });
    let share = (ROOM / commands.clone().count().max(1)).max(LEAST);
    for (step, why, output) in commands {
        println!("\n--- {} failed: {why}", step.name);
        let failed = output.failed();
        let (named, rest) = failed.split_at(failed.len().min(share / 4));
        output.lines(share - named.len()).iter().for_each(|line| println!("  | {line}"));
        named.iter().for_each(|test| println!("  failed test: {test}"));
        if !rest.is_empty() {
            println!("  and {} failed tests more", rest.len());
        }
    }
}

/// Prints a line a step and their sum; true when nothing is wrong.
///
/// `strict`: a tool that is missing is wrong too, unless it is one of `may_lack`.
pub(crate) fn table(reports: &[Report], strict: bool, may_lack: &[String]) -> bool {
    println!();
    let mut wrong = 0;
    for report in reports {
        let excused = match &report.outcome {
            Ok(_) | Err(Stop::NotHere(_)) => true,
            Err(Stop::Failed(_) | Stop::Command { .. }) => false,
            Err(Stop::Missing { tool, .. }) => !strict || may_lack.iter().any(|lacking| lacking == tool),
        };
        wrong += usize::from(!excused);
        println!(
            "{} {:18} {:>8.1} s  {}",
            if excused { ' ' } else { '!' },
            report.step.name,
            report.took.as_secs_f64(),
            report.verdict(),
        );
    }
    let count = |wanted: fn(&Report) -> bool| reports.iter().filter(|report| wanted(report)).count();
    let took: Duration = reports.iter().map(|report| report.took).sum();
    println!(
        "\n{} passed, {} failed, {} skipped in {:.0} s{}",
        count(|report| report.outcome.is_ok()),
        count(Report::has_failed),
        count(|report| matches!(report.outcome, Err(Stop::Missing { .. } | Stop::NotHere(_)))),
        took.as_secs_f64(),
        if wrong == 0 { String::new() } else { format!("; {wrong} to be mended (marked !)") },
    );
    wrong == 0
}

#[cfg(test)]
mod verdict {
    use super::{Report, Stop, table};
    use crate::step::{ALL, Outcome};

    fn passes(outcome: Outcome, strict: bool, may_lack: &[&str]) -> bool {
        let may_lack: Vec<_> = may_lack.iter().map(|tool| tool.to_string()).collect();
        table(&[Report { step: &ALL[0], outcome, took: Default::default() }], strict, &may_lack)
    }

    fn lacking_zig() -> Outcome {
        Err(Stop::Missing { tool: "zigbuild", why: "not there".to_owned() })
    }

    #[test]
    fn a_missing_tool_fails_a_strict_run_only() {
        assert!(passes(lacking_zig(), false, &[]));
        assert!(!passes(lacking_zig(), true, &[]));
        assert!(!passes(lacking_zig(), true, &["nightly"]));
        assert!(passes(lacking_zig(), true, &["nightly", "zigbuild"]));
    }

    #[test]
    fn a_failure_fails_and_another_kind_of_machine_does_not() {
        assert!(!passes(Err(Stop::Failed("wrong".to_owned())), false, &[]));
        assert!(passes(Err(Stop::NotHere("not Linux".to_owned())), true, &[]));
        assert!(passes(Ok(String::new()), true, &[]));
    }
}
