//! `cargo run --release`: measures everyone in turns and writes the page.

use std::error::Error;
use std::process::ExitCode;

use anyport_bench::run::{Options, run};
use anyport_bench::server::process::{Kind, serve};
use clap::{Parser, Subcommand};

/// Measure Anyport and what people would pick instead, in turns, and write a page about it
#[derive(Parser, Debug)]
#[command(name = "anyport-bench")]
struct Program {
    #[command(flatten)]
    options: Options,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Serve: what this program starts itself with
    #[command(hide = true)]
    Server { kind: Kind, name: String, work: String, core: usize },
}

fn main() -> ExitCode {
    let Program { options, command } = Program::parse();
    let result: Result<(), Box<dyn Error>> = match command {
        Some(Command::Server { kind, name, work, core }) => serde_json::from_str(&work)
            .map_err(Into::into)
            .and_then(|work| serve(kind, &name, &work, core).map_err(|error| format!("{name}: {error}").into())),
        None => run(&options).map_err(Into::into),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("anyport-bench: {error}");
            ExitCode::FAILURE
        }
    }
}
