//! The anyport program: one module per subcommand, and this file, which only chooses among them.

mod args;
#[cfg_attr(not(any(target_os = "linux", windows)), path = "bench/absent.rs")]
mod bench;
#[cfg_attr(not(unix), path = "descriptors_unlimited.rs")]
mod descriptors;
mod echo;
mod echo_loop;
mod failure;
mod http;
mod info;
mod listen;
mod output;
mod serve;
mod tour;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// One completion port for any system: a tour of event queues, a file server, an echo server and
/// benchmarks
#[derive(Parser, Debug)]
#[command(name = "anyport", version, after_help = AFTER_HELP)]
struct Program {
    #[command(subcommand)]
    command: Command,
}

const AFTER_HELP: &str = "Start with the tour. Where no --backend is named, the variable ANYPORT_BACKEND names one; without it \
    the best that works here is used.";

#[derive(Subcommand, Debug)]
enum Command {
    Tour(tour::Tour),
    Info(info::Info),
    Serve(serve::Serve),
    Echo(echo::Echo),
    Bench(bench::Bench),
}

fn main() -> ExitCode {
    let program = match Program::try_parse() {
        Ok(program) => program,
        Err(error) if error.use_stderr() => {
            return complain(&in_one_line(&error), ExitCode::from(2));
        }
        Err(help) => {
            // Nobody may be reading.
            let _ = help.print();
            return ExitCode::SUCCESS;
        }
    };
    let result = match program.command {
        Command::Tour(options) => tour::run(options),
        Command::Serve(options) => serve::run(options),
        Command::Bench(options) => bench::run(options),
        Command::Echo(options) => echo::run(options),
        Command::Info(options) => info::run(options),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => complain(failure.line(), failure.status()),
    }
}

fn complain(line: &str, status: ExitCode) -> ExitCode {
    // Nobody may be reading; the status still says it.
    let _ = writeln!(io::stderr(), "anyport: {line}");
    status
}

/// What clap says in several lines, without the usage that follows it.
fn in_one_line(error: &clap::Error) -> String {
    let text = error.render().to_string();
    let mut lines = text.lines().map(str::trim).skip_while(|line| line.is_empty());
    let message: Vec<&str> = lines.by_ref().take_while(|line| !line.is_empty()).collect();
    let message = message.join(" ");
    match message.strip_prefix("error: ") {
        Some(message) => format!("{message} (see anyport --help)"),
        None => "which command: tour, info, serve, echo or bench? See anyport --help".to_owned(),
    }
}
