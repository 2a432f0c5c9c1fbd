//! Running a command for a step: shown before it runs, without standard input, and bounded in time where nobody watches.
//! Its output goes on line by line, each to the stream it came from, and an excerpt of it is kept for the report.

use std::ffi::{OsStr, OsString};
use std::io::{BufRead, BufReader, IsTerminal, Read};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::LazyLock;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use crate::excerpt::Excerpt;
use crate::step::{Outcome, Stop};

/// What one command may take, and all of them together. Only in CI: a hang there must end as the failure of a named
/// step while there is time left to report it.
const ONE: Duration = Duration::from_secs(15 * 60);
const ALL: Duration = Duration::from_secs(44 * 60);

static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Whether this run decides about a change, so that a check left out is a failure.
pub(crate) fn in_ci() -> bool {
    std::env::var_os("CI").is_some_and(|value| value == "true")
}

/// A command of a step.
pub(crate) struct Cmd {
    command: Command,
    line: String,
}

/// `cargo` with these arguments, of the toolchain that runs the checks.
pub(crate) fn cargo<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Cmd {
    Cmd::new("cargo").args(arguments)
}

impl Cmd {
    /// Runs from the root of the workspace, wherever the checks were called.
    pub(crate) fn new(program: &str) -> Cmd {
        let left = ALL.saturating_sub(START.elapsed()).min(ONE);
        let mut command = if in_ci() {
            let mut timeout = Command::new("timeout");
            timeout.arg("--kill-after=10").arg(left.as_secs().max(1).to_string()).arg(program);
            timeout
        } else {
            Command::new(program)
        };
        command.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/..")).stdin(Stdio::null());
        Cmd { command, line: program.to_owned() }
    }

    pub(crate) fn args<S: AsRef<OsStr>>(mut self, arguments: impl IntoIterator<Item = S>) -> Cmd {
        for argument in arguments {
            self.line = format!("{} {}", self.line, argument.as_ref().display());
            self.command.arg(argument);
        }
        self
    }

    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Cmd {
        self.line = format!("{name}='{}' {}", value.as_ref().display(), self.line);
        self.command.env(name, value);
        self
    }

    /// Lets the command find programs in `folder` before all others.
    pub(crate) fn path_first(mut self, folder: &Path) -> Cmd {
        let mut path = OsString::from(folder);
        if let Some(rest) = std::env::var_os("PATH") {
            path.push(":");
            path.push(rest);
        }
        self.line = format!("PATH='{}':\"$PATH\" {}", folder.display(), self.line);
        self.command.env("PATH", path);
        self
    }

    /// Passes when the command does.
    pub(crate) fn run(self) -> Outcome {
        self.watch(|_| ()).map(|()| String::new())
    }

    /// Passes when the command, a run of tests, does, and at least one test was among them: a filter that no longer
    /// matches anything must not look like success.
    pub(crate) fn run_tests(self) -> Outcome {
        let mut passed = 0;
        self.watch(|line| passed += tests_passed(line).unwrap_or(0))?;
        if passed == 0 {
            return Err(Stop::Failed("no test ran".to_owned()));
        }
        Ok(format!("{passed} tests"))
    }

    /// Runs the command, and shows `each` line of its standard output.
    fn watch(mut self, mut each: impl FnMut(&str)) -> Result<(), Stop> {
        println!("$ {}", self.line);
        // Cargo sees a pipe, and would leave out the colours that a terminal shows.
        if std::io::stderr().is_terminal() && std::env::var_os(COLOUR).is_none() {
            self.command.env(COLOUR, "always");
        }
        let child = self.command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let mut child = child.map_err(|error| self.unable(error))?;
        let mut excerpt = Excerpt::default();
        let status = follow(&mut child, |from, line| {
            match from {
                From::Stdout => {
                    println!("{line}");
                    each(line);
                }
                From::Stderr => eprintln!("{line}"),
            }
            excerpt.feed(line);
        });
        let status = status.map_err(|error| self.unable(error))?;
        self.judge(status, excerpt)
    }

    fn unable(&self, error: std::io::Error) -> Stop {
        Stop::Failed(format!("{}: {error}", self.line))
    }

    fn judge(&self, status: ExitStatus, output: Excerpt) -> Result<(), Stop> {
        if status.success() {
            return Ok(());
        }
        // What timeout(1) exits with when it had to end the command, and when the command did not go by itself then.
        let why = if in_ci() && matches!(status.code(), Some(124 | 137)) {
            format!("out of time: {}", self.line)
        } else {
            format!("{status}: {}", self.line)
        };
        Err(Stop::Command { why, output })
    }
}

/// Says to cargo whether to colour what it says.
const COLOUR: &str = "CARGO_TERM_COLOR";

/// What a process that outlives the command, and holds its output, may still have to say.
const AFTERWARDS: Duration = Duration::from_secs(2);

#[derive(Clone, Copy)]
enum From {
    Stdout,
    Stderr,
}

/// Hands on the lines of both outputs as they come, each a whole one, until the command has ended.
fn follow(child: &mut Child, mut line: impl FnMut(From, &str)) -> std::io::Result<ExitStatus> {
    let (said, lines) = mpsc::channel();
    let read = |from: From, output: Box<dyn Read + Send>| {
        let said = said.clone();
        thread::spawn(move || {
            let lines = BufReader::new(output).split(b'\n').map_while(Result::ok);
            lines
                .take_while(|line| said.send((from, String::from_utf8_lossy(line).into_owned())).is_ok())
                .for_each(drop);
        });
    };
    read(From::Stdout, Box::new(child.stdout.take().expect("stdout is piped")));
    read(From::Stderr, Box::new(child.stderr.take().expect("stderr is piped")));
    drop(said);
    let mut ended = false;
    loop {
        match lines.recv_timeout(AFTERWARDS) {
            Ok((from, said)) => line(from, &said),
            Err(RecvTimeoutError::Timeout) if !ended => ended = child.try_wait()?.is_some(),
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return child.wait(),
        }
    }
}

/// The number in `test result: ok. 12 passed; 0 failed; ...`.
fn tests_passed(line: &str) -> Option<u64> {
    let counts = line.trim_start().strip_prefix("test result: ok. ")?;
    counts.split_once(" passed")?.0.parse().ok()
}

#[cfg(test)]
mod running {
    use super::{Cmd, Stop, tests_passed};

    #[test]
    fn a_command_that_fails_fails_its_step() {
        assert!(Cmd::new("sh").args(["-c", "exit 0"]).run().is_ok());
        let Err(Stop::Command { why, .. }) = Cmd::new("sh").args(["-c", "exit 3"]).run() else { panic!() };
        assert!(why.contains('3'), "{why}");
        assert!(Cmd::new("no-such-program-anywhere").run().is_err());
    }

    #[test]
    fn a_failed_command_hands_on_what_it_said_on_both_outputs() {
        let says = Cmd::new("sh").args(["-c", "echo one; echo two >&2; printf three; exit 1"]);
        let Err(Stop::Command { output, .. }) = says.run() else { panic!() };
        let mut said = output.lines(10);
        said.sort_unstable();
        assert_eq!(said, ["one", "three", "two"]);
    }

    #[test]
    fn a_process_that_is_left_behind_holds_nobody_up() {
        let leaves = Cmd::new("sh").args(["-c", "sleep 60 & echo $!; exit 1"]);
        let Err(Stop::Command { output, .. }) = leaves.run() else { panic!() };
        let left = std::process::Command::new("kill").arg(output.lines(1)[0]).status();
        assert!(left.is_ok_and(|status| status.success()), "it had ended before");
    }

    #[test]
    fn a_run_of_no_tests_is_a_failure() {
        let echo = |line: &str| Cmd::new("echo").args([line]).run_tests();
        assert_eq!(echo("test result: ok. 12 passed; 0 failed; 0 ignored").unwrap(), "12 tests");
        assert!(echo("test result: ok. 0 passed; 0 failed; 0 ignored; 9 filtered out").is_err());
        assert!(echo("").is_err());
    }

    #[test]
    fn only_a_result_line_counts_as_tests() {
        assert_eq!(tests_passed("test result: ok. 3 passed; 0 failed"), Some(3));
        assert_eq!(tests_passed("test port::3 passed ... ok"), None);
        assert_eq!(tests_passed("test result: FAILED. 3 passed; 1 failed"), None);
    }
}
