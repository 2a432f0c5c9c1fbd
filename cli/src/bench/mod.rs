//! `anyport bench`: each backend of the library next to hand-written loops on the same system calls.
//!
//! This file is the command line; what it runs is in the crate `measure`.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use anyport::Backend;
use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};

use measure::affinity::Cores;
use measure::contest::Contest;
use measure::machine::Machine;
use measure::plan::{Candidate, Plan};
use measure::plot;
use measure::report::Report;
use measure::{echo, file, nop, post, ready, timer};

use crate::failure::Failure;
use crate::{args, descriptors, output};

/// Measure each backend next to loops written by hand on the same system calls
///
/// What is measured and its load run on different cores; CPU time is counted beside operations per second.
/// Contestants take turns, so that a change of the machine's speed hits all of them. Numbers mean something on an idle
/// machine and in a release build only.
#[derive(Debug, Args)]
pub(crate) struct Bench {
    /// What to measure [default: all]
    #[arg(value_enum)]
    what: Vec<Benchmark>,
    /// Print the results as JSON instead of tables
    #[arg(long)]
    json: bool,
    /// Take half a minute instead of three: a first impression
    #[arg(long)]
    quick: bool,
    /// Measure so many rounds (as many more as turns are shorter) [default: 9, or 3 with --quick]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    rounds: Option<u16>,
    /// Also draw what `ready` finds about idle sockets, into this SVG file
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,
    /// Only this backend, which may be repeated (anyport info lists them) [default: all]
    #[arg(long = "backend", value_name = "NAME", value_parser = args::backend)]
    backends: Vec<Backend>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Benchmark {
    /// A TCP echo server: CPU time per request
    Echo,
    /// Operations that do nothing: what the port itself costs
    Nop,
    /// Timers armed and cancelled, and a million that fire
    Timer,
    /// Values posted from another thread
    Post,
    /// Random reads of a cached file
    File,
    /// Readiness: registrations, events, and idle sockets beside active ones (with the feature `peers`: against the
    /// crates polling and mio)
    Ready,
}

impl Benchmark {
    fn contests(self, plan: &Plan) -> io::Result<Vec<Contest<'_>>> {
        match self {
            Benchmark::Echo => Ok(echo::contests(plan)),
            Benchmark::Nop => Ok(nop::contests(plan)),
            Benchmark::Timer => Ok(timer::contests(plan).into()),
            Benchmark::Post => Ok(post::contests(plan)),
            Benchmark::File => file::contests(plan),
            Benchmark::Ready => Ok(ready::contests(plan)),
        }
    }
}

/// Measures what `options` ask for and prints it.
pub(crate) fn run(options: Bench) -> Result<(), Failure> {
    let ready = options.what.is_empty() || options.what.contains(&Benchmark::Ready);
    if options.plot.is_some() && !ready {
        return Err(Failure::input(
            "--plot draws what `ready` measures: add it to the benchmarks, anyport bench ready --plot ...",
        ));
    }
    let cores = Cores::choose()?;
    // The echo benchmark holds both ends of a thousand connections, the readiness benchmark ten thousand idle sockets.
    // What the limit is not enough for fails with the system's own message.
    descriptors::raise_limit();
    let backends = if options.backends.is_empty() { Backend::ALL.to_vec() } else { options.backends };
    let rounds = options.rounds.map_or(if options.quick { 3 } else { 9 }, usize::from);
    let plan =
        Plan { quick: options.quick, rounds, cores, backends: backends.into_iter().map(Candidate::check).collect() };
    let all = Benchmark::value_variants();
    let wanted = |benchmark: &&Benchmark| options.what.is_empty() || options.what.contains(benchmark);
    let mut contests = Vec::new();
    for benchmark in all.iter().filter(wanted) {
        contests.extend(benchmark.contests(&plan)?);
    }

    // Indicatif draws on standard error, and only on a terminal.
    let progress = ProgressBar::new(contests.iter().map(Contest::turns).sum());
    let style = ProgressStyle::with_template("{wide_bar} {pos}/{len} {msg:40} {elapsed} (left: {eta})");
    progress.set_style(style.map_err(io::Error::other)?);
    progress.enable_steady_tick(Duration::from_secs(1));
    let cells = contests.into_iter().map(|contest| contest.run(&progress));
    let report = Report { machine: Machine::describe(cores), quick: plan.quick, cells: cells.collect() };
    progress.finish_and_clear();

    if let Some(file) = &options.plot {
        let plot =
            plot::idle(&report).ok_or_else(|| Failure::Runtime("the idle sockets could not be measured".to_owned()))?;
        std::fs::write(file, plot).map_err(|error| Failure::Runtime(format!("{}: {error}", file.display())))?;
    }
    if options.json {
        output::print(&format!("{:#}\n", serde_json::to_value(&report).map_err(io::Error::from)?))?;
    } else {
        output::print(&report.to_string())?;
    }
    if report.failed() {
        return Err(Failure::Runtime("a benchmark went wrong; the report says which".to_owned()));
    }
    Ok(())
}
