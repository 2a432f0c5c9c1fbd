//! A whole run: what is measured, in which order, and where the results go.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyport::Backend;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use measure::affinity::Cores;
use measure::contest::{Contest, Number};
use measure::machine::Machine;
use measure::plan::{Candidate, Plan};
use measure::report::{Cell, Outcome};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::calls::Way;
use crate::cells::{Setting, average_shares, tasks};
use crate::page::{Page, Shown};
use crate::verdict::Verdict;
use crate::{http, loops, versions};

/// What to measure.
#[derive(Args, Debug, Default)]
pub struct Options {
    /// Less than three minutes instead of less than thirty: a first impression
    #[arg(long)]
    pub quick: bool,
    /// Only the cells whose title contains this: "echo", "64 connections", "timer", "http"
    #[arg(long, value_name = "TEXT")]
    pub only: Option<String>,
    /// Only the servers whose name contains this: "by hand", "anyport", "tokio"
    #[arg(long, value_name = "TEXT")]
    pub who: Option<String>,
    /// Where index.html, results.json and BENCHMARKS.md go [default: results/ in bench/]
    #[arg(long, value_name = "FOLDER")]
    pub out: Option<PathBuf>,
}

/// Descriptors of a process with ten thousand connections, and some.
const DESCRIPTORS: u64 = 16_384;

const BENCH: &str = env!("CARGO_MANIFEST_DIR");

/// Measures and writes.
pub fn run(options: &Options) -> io::Result<()> {
    allow_descriptors()?;
    let cores = Cores::choose()?;
    let rounds = if options.quick { 2 } else { 5 };
    let setting = Setting {
        program: std::env::current_exe()?,
        cores,
        rounds,
        window: Duration::from_millis(if options.quick { 60 } else { 250 }),
        short_window: Duration::from_millis(if options.quick { 60 } else { 50 }),
        who: options.who.clone(),
    };
    let plan = Plan {
        quick: options.quick,
        rounds,
        cores,
        backends: Backend::ALL.iter().copied().map(Candidate::check).collect(),
    };
    let way = Way::find();

    let wanted = |contest: &Contest<'_>| {
        let title = format!("{} - {}", contest.benchmark, contest.work);
        options.only.as_ref().is_none_or(|only| title.contains(only.as_str()))
    };
    let tasks = tasks(options.quick);
    let chosen: Vec<_> = tasks.iter().filter(|task| wanted(&task.contest(&setting))).collect();
    let mut others = loops::contests(&plan)?;
    others.extend(http::contests(&plan)?);
    others.retain(|(contest, _)| wanted(contest));
    if others.iter().any(|(contest, _)| contest.benchmark == "http") {
        http::build_program()?;
    }
    let start = Instant::now();
    if chosen.is_empty() && others.is_empty() {
        return Err(io::Error::other("nothing has such a title; run with --quick once to see them all"));
    }

    let counted = |contest: &Contest<'_>| contest.turns() + contest.contestants.len() as u64;
    let total = chosen.iter().map(|task| counted(&task.contest(&setting))).sum::<u64>()
        + others.iter().map(|(contest, _)| contest.turns()).sum::<u64>();
    let progress = ProgressBar::new(total);
    let style = ProgressStyle::with_template("{wide_bar} {pos}/{len} {msg:44} {elapsed} (left: {eta})");
    progress.set_style(style.map_err(io::Error::other)?);
    progress.enable_steady_tick(Duration::from_secs(1));

    let mut cells = Vec::new();
    for task in chosen {
        let mut cell = task.run(&setting, &progress)?;
        average_shares(&mut cell);
        if !matches!(way, Way::Absent(_)) {
            progress.set_message(format!("{}: system calls", cell.benchmark));
            task.count_calls(&setting, &way, &mut cell);
        }
        progress.inc(cell.rows.len() as u64);
        cells.push(shown(cell, Number::Cpu));
    }
    for (contest, by) in others {
        cells.push(shown(contest.run(&progress), by));
    }
    progress.finish_and_clear();

    let page = Page {
        machine: Machine::describe(cores),
        versions: versions::all(),
        calls: way.describe(),
        quick: options.quick,
        whole: options.only.is_none() && options.who.is_none(),
        took: start.elapsed().as_secs(),
        cells,
    };
    write(&page, options)?;
    let failed = page.cells.iter().flat_map(|shown| &shown.cell.rows).filter_map(|row| match &row.outcome {
        Outcome::Failed(why) => Some(format!("{}: {why}", row.name)),
        _ => None,
    });
    let failed: Vec<String> = failed.collect();
    if failed.is_empty() { Ok(()) } else { Err(io::Error::other(failed.join("; "))) }
}

fn shown(cell: Cell, by: Number) -> Shown {
    Shown { verdict: Verdict::of(&cell, by), by, cell }
}

fn write(page: &Page, options: &Options) -> io::Result<()> {
    let folder = options.out.clone().unwrap_or_else(|| Path::new(BENCH).join("results"));
    fs::create_dir_all(&folder)?;
    let markdown = page.markdown();
    let mut files = vec![
        (folder.join("index.html"), page.html()),
        (folder.join("results.json"), format!("{:#}\n", serde_json::to_value(page)?)),
        (folder.join("BENCHMARKS.md"), markdown.clone()),
    ];
    // Only a whole run says something about the project.
    if page.whole && !page.quick && options.out.is_none() {
        files.push((Path::new(BENCH).join("../docs/BENCHMARKS.md"), markdown));
    }
    for (file, text) in files {
        fs::write(&file, text)?;
        println!("{}", file.display());
    }
    Ok(())
}

/// Raises the limit of open descriptors, for this process and those that it starts.
fn allow_descriptors() -> io::Result<()> {
    let limit = getrlimit(Resource::Nofile);
    let enough = |limit: Option<u64>| limit.is_none_or(|limit| limit >= DESCRIPTORS);
    if enough(limit.current) {
        return Ok(());
    }
    if !enough(limit.maximum) {
        let most = limit.maximum.unwrap_or(0);
        return Err(io::Error::other(format!(
            "ten thousand connections need {DESCRIPTORS} descriptors, and this process may have {most}; raise the hard limit \
             (ulimit -Hn {DESCRIPTORS})"
        )));
    }
    Ok(setrlimit(Resource::Nofile, Rlimit { current: Some(DESCRIPTORS), maximum: limit.maximum })?)
}
