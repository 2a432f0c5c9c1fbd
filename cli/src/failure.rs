//! How the program fails: one line on stderr that says what to do, and an exit status.
//!
//! Every subcommand returns `Result<(), Failure>`; `main` prints. Status 2 means that the command
//! line or the place it was run in has to change; status 1 means that the program itself met an
//! error on the way.

use std::fmt::Display;
use std::io;
use std::process::ExitCode;

/// Why a subcommand ended early.
#[derive(Debug)]
pub(crate) enum Failure {
    /// What the user asked for cannot be done, and what to ask for instead.
    Input(String),
    /// An error on the way.
    Runtime(String),
}

impl Failure {
    /// A failure that the user can put right. `what` says how.
    pub(crate) fn input(what: impl Display) -> Self {
        Failure::Input(what.to_string())
    }

    /// The line for stderr, without its end.
    pub(crate) fn line(&self) -> &str {
        match self {
            Failure::Input(what) | Failure::Runtime(what) => what,
        }
    }

    /// The status of the process.
    pub(crate) fn status(&self) -> ExitCode {
        ExitCode::from(match self {
            Failure::Input(_) => 2,
            Failure::Runtime(_) => 1,
        })
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Failure::Runtime(error.to_string())
    }
}
