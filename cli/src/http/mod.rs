//! A static file server over HTTP/1.1, written directly on the port.
//!
//! `serve`, the subcommand, starts it: an [`acceptor`](acceptor::Acceptor) with a port that
//! accepts, and workers, each with a port of its own that carries everything else its connections
//! need: receives, lookups and reads of files, sends and deadlines.
//!
//! The protocol is in modules that know no port: `request` and `target` read what the client says,
//! `site` looks it up, `conditional` and `answer` decide what is sent. `connection` is the state
//! machine between them and the port.

#![forbid(unsafe_code)]

use std::fmt::Arguments;
use std::io::{self, Write};
use std::time::Duration;

pub(crate) mod acceptor;
pub(crate) mod access_log;
mod answer;
#[cfg_attr(not(target_os = "linux"), path = "at_once_absent.rs")]
mod at_once;
mod conditional;
mod connection;
mod content_type;
mod listing;
pub(crate) mod looks;
mod request;
pub(crate) mod site;
mod target;
mod worker;

/// What a client may take of time and places.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Between two requests.
    pub(crate) idle: Duration,
    /// From the first byte of a request head to its last.
    pub(crate) head: Duration,
    /// For each [`CHUNK`](connection::CHUNK) of an answer.
    pub(crate) send: Duration,
    /// For the answers in flight when the server stops.
    pub(crate) stop: Duration,
    /// Connections per worker.
    pub(crate) connections: usize,
}

/// Writes a line about the server's own trouble to stderr; one that cannot be written is nobody's
/// loss.
fn report(what: Arguments<'_>) {
    let _ = writeln!(io::stderr(), "anyport serve: {what}");
}
