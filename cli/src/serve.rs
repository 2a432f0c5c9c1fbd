//! `anyport serve`: checks the command line, starts the file server of `http` and stops it on
//! Ctrl-C.

#![forbid(unsafe_code)]

use std::io::{self, ErrorKind, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process;
use std::time::Duration;

use anyport::Backend;
use clap::Args;
use jiff::SignedDuration;

use crate::failure::Failure;
use crate::http::acceptor::Acceptor;
use crate::http::site::Site;
use crate::http::{Limits, access_log, looks};
use crate::listen::listen;
use crate::{args, descriptors};

/// Serve a folder over HTTP/1.1, with one log line a request
#[derive(Args, Debug)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Serve {
    /// The folder to serve [default: the current one]
    #[arg(default_value = ".", hide_default_value = true)]
    dir: PathBuf,

    /// Where to listen; port 0 takes a free one
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:8080")]
    addr: String,

    /// The event queue to use (anyport info lists them) [default: the best that works here]
    #[arg(long, value_name = "NAME", value_parser = args::backend)]
    backend: Option<Backend>,

    /// How many threads serve, each with its own port [default: one per core]
    #[arg(long, value_name = "N", value_parser = workers, allow_negative_numbers = true)]
    workers: Option<usize>,

    /// How many connections each worker holds at most, as far as there are descriptors for them; others wait
    #[arg(long, value_name = "N", default_value = "4096", value_parser = connections, allow_negative_numbers = true)]
    max_connections: usize,

    /// How long a connection may wait for its next request
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = duration)]
    idle_timeout: Duration,

    /// How long a request head may take from its first byte to its last
    #[arg(long, value_name = "TIME", default_value = "15s", value_parser = duration)]
    header_timeout: Duration,

    /// How long a client may take for each 64 KiB of an answer
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = duration)]
    send_timeout: Duration,

    /// How long answers may take to finish after Ctrl-C; a second Ctrl-C does not wait
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = duration)]
    stop_timeout: Duration,
}

const AFTER_HELP: &str = "It answers GET and HEAD, ranges and conditional requests, makes index pages of folders, and gives \
    nothing that is not in DIR. Ctrl-C stops it; answers under way may finish.";

fn workers(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(n @ 1..=1024) => Ok(n),
        _ => Err("give a number of workers from 1 to 1024".to_owned()),
    }
}

fn connections(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(n @ 1..=1_000_000) => Ok(n),
        _ => Err("give a number of connections from 1 to 1000000".to_owned()),
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    text.parse::<SignedDuration>()
        .ok()
        .and_then(|time| Duration::try_from(time).ok())
        .filter(|time| (Duration::from_millis(1)..=Duration::from_hours(24)).contains(time))
        .ok_or_else(|| "give a time such as 30s, 500ms or 2m, up to 24h".to_owned())
}

/// Serves until it is told to stop.
pub(crate) fn run(options: Serve) -> Result<(), Failure> {
    let site = Site::open(&options.dir).map_err(|error| unusable_folder(&options.dir, &error))?;
    let listener = listen(&options.addr, "with --addr")?;
    // An answer's last piece goes out at once. Connections inherit it, which saves a call for each.
    socket2::SockRef::from(&listener).set_tcp_nodelay(true)?;
    let address = listener.local_addr()?;

    let workers = options.workers.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
    let affordable = match descriptors::raise_limit() {
        Some(limit) => affordable(limit, workers)?,
        None => usize::MAX,
    };
    let limits = Limits {
        idle: options.idle_timeout,
        head: options.header_timeout,
        send: options.send_timeout,
        stop: options.stop_timeout,
        connections: options.max_connections.min(affordable),
    };
    let (log, log_thread) = access_log::start(io::stdout())?;
    let acceptor = Acceptor::start(listener, site, options.backend, workers, limits, &log)
        .map_err(|error| Failure::input(format_args!("the server could not start: {error}")))?;
    drop(log);
    ctrlc::set_handler(acceptor.stopper()).map_err(io::Error::other)?;

    announce(&options.dir, address, acceptor.backend(), workers);
    let clean = acceptor.run()?;
    if !clean {
        // Some worker still holds a client or waits for a disk; the time that was given to them is
        // over.
        process::exit(0);
    }
    // The last of the log. Whatever kept it from being written has been dealt with on its thread.
    let _ = log_thread.join();
    Ok(())
}

fn unusable_folder(dir: &Path, error: &io::Error) -> Failure {
    let dir = dir.display();
    Failure::input(match error.kind() {
        ErrorKind::NotFound => {
            format!("there is no folder '{dir}'; give one that exists, or none for the current folder")
        }
        ErrorKind::NotADirectory => {
            format!("'{dir}' is not a folder; give the folder that it is in")
        }
        _ => format!("the folder '{dir}' cannot be read: {error}"),
    })
}

fn announce(dir: &Path, address: SocketAddr, backend: Backend, workers: usize) {
    let dir = dir.canonicalize().unwrap_or_else(|_| dir.to_owned());
    let workers = match workers {
        1 => "1 worker".to_owned(),
        n => format!("{n} workers"),
    };
    // Nobody may be reading; that is no reason not to serve.
    let mut out = io::stdout();
    let _ = writeln!(out, "serving {} at http://{address}/ ({backend}, {workers})", dir.display());
    let _ = out.flush();
}

/// How many connections each of `workers` can hold with so many descriptors: one takes a descriptor, and another one
/// while a file is sent.
fn affordable(descriptors: u64, workers: usize) -> Result<usize, Failure> {
    // Standard input and output, the folder, the listener, the acceptor's port.
    const OTHERS: u64 = 16;
    // Its port, what its blocking pool opens on the way to a file, the files that a round of requests shares.
    const OF_A_WORKER: u64 = 20 + looks::MOST as u64;
    let workers = workers as u64;
    match descriptors.saturating_sub(OTHERS + OF_A_WORKER * workers) / (2 * workers) {
        0 => Err(Failure::input(format_args!(
            "{descriptors} descriptors are too few for {workers} workers; raise the limit (ulimit -n) or give fewer --workers"
        ))),
        connections => Ok(usize::try_from(connections).unwrap_or(usize::MAX)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_with_their_unit() {
        assert_eq!(duration("30s"), Ok(Duration::from_secs(30)));
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("2m"), Ok(Duration::from_secs(120)));
        for malformed in ["", "30", "0s", "-1s", "soon", "25h"] {
            assert!(duration(malformed).is_err(), "{malformed}");
        }
    }

    #[test]
    fn connections_fit_into_the_limit_of_descriptors() {
        for (limit, workers) in [(64, 1), (1024, 2), (1 << 20, 16)] {
            let connections = affordable(limit, workers).unwrap();
            assert!(connections >= 1 && (connections * workers * 2) as u64 + 20 * workers as u64 <= limit);
        }
        assert!(affordable(32, 1).is_err());
        assert!(affordable(64, 8).is_err());
    }

    #[test]
    fn there_is_at_least_one_worker() {
        assert_eq!(workers("1"), Ok(1));
        for malformed in ["0", "-1", "", "many", "100000"] {
            assert!(workers(malformed).is_err(), "{malformed}");
        }
    }
}
