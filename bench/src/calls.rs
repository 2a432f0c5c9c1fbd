//! System calls of a server, counted in a run of its own that nobody times: by the kernel's tracepoint where this process may
//! use it, else by strace(1).

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use perf_event::events::Tracepoint;
use perf_event::{Builder, Counter};
use rustix::process::{Pid, Signal, kill_process};

/// How the calls are counted here.
#[derive(Clone, Debug)]
pub enum Way {
    /// By the tracepoint `raw_syscalls:sys_enter`, which hardly slows the server.
    Tracepoint,
    /// By `strace -c`, which slows the server much, so that its batches are as large as they get.
    Strace,
    /// Not at all, and why.
    Absent(String),
}

impl Way {
    /// Finds out what works here.
    pub fn find() -> Way {
        if tracepoint(std::process::id()).is_ok() {
            return Way::Tracepoint;
        }
        match Command::new("strace").arg("-V").stdout(Stdio::null()).stderr(Stdio::null()).status() {
            Ok(status) if status.success() => Way::Strace,
            _ => {
                Way::Absent("neither the tracepoint (root, and tracefs mounted) nor strace (package strace)".to_owned())
            }
        }
    }

    /// In words, for the report.
    pub fn describe(&self) -> String {
        match self {
            Way::Tracepoint => "counted by the kernel's tracepoint raw_syscalls:sys_enter".to_owned(),
            Way::Strace => "counted by strace -c, which slows the server, so that batches are large".to_owned(),
            Way::Absent(why) => format!("not counted: {why}"),
        }
    }

    /// Begins to count the calls of a process and the threads that it has yet to start.
    pub fn count(&self, process: u32) -> io::Result<Count> {
        match self {
            Way::Tracepoint => tracepoint(process).map(Count::Tracepoint),
            Way::Strace => Strace::attach(process).map(Count::Strace),
            Way::Absent(why) => Err(io::Error::other(why.clone())),
        }
    }
}

fn tracepoint(process: u32) -> io::Result<Counter> {
    // Where tracefs is mounted by itself, and where within debugfs.
    let folders = ["/sys/kernel/tracing", "/sys/kernel/debug/tracing"];
    let ids = folders.map(|folder| fs::read_to_string(format!("{folder}/events/raw_syscalls/sys_enter/id")));
    let id = ids.into_iter().find_map(Result::ok).and_then(|id| id.trim().parse().ok());
    let event =
        Tracepoint::with_id(id.ok_or_else(|| io::Error::other("tracefs is not mounted, or not for this user"))?);
    let mut counter =
        Builder::new(event).observe_pid(process as i32).inherit(true).include_kernel().enabled(false).build()?;
    counter.enable()?;
    Ok(counter)
}

/// A count under way.
pub enum Count {
    Tracepoint(Counter),
    Strace(Strace),
}

impl Count {
    /// The calls so far, if that can be told before the end.
    pub fn so_far(&mut self) -> io::Result<Option<u64>> {
        match self {
            Count::Tracepoint(counter) => counter.read().map(Some),
            Count::Strace(_) => Ok(None),
        }
    }

    /// All calls. It ends the count.
    pub fn finish(self) -> io::Result<u64> {
        match self {
            Count::Tracepoint(mut counter) => counter.read(),
            Count::Strace(strace) => strace.finish(),
        }
    }
}

/// An strace that has attached to a process.
pub struct Strace {
    child: Child,
    summary: tempfile::NamedTempFile,
}

impl Strace {
    fn attach(process: u32) -> io::Result<Strace> {
        let summary = tempfile::NamedTempFile::new()?;
        let child = Command::new("strace")
            .args(["-f", "-c", "-q", "-p", &process.to_string(), "-o"])
            .arg(summary.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        // There is no other sign that it has attached than the process's own.
        let status = format!("/proc/{process}/status");
        for _ in 0..500 {
            if traced(Path::new(&status))? {
                return Ok(Strace { child, summary });
            }
            thread::sleep(Duration::from_millis(10));
        }
        Err(io::Error::other("strace did not attach"))
    }

    fn finish(mut self) -> io::Result<u64> {
        if let Some(process) = Pid::from_raw(self.child.id() as i32) {
            kill_process(process, Signal::INT)?;
        }
        self.child.wait()?;
        let mut text = String::new();
        File::open(self.summary.path())?.read_to_string(&mut text)?;
        total(&text).ok_or_else(|| io::Error::other(format!("strace printed no total: {text}")))
    }
}

fn traced(status: &Path) -> io::Result<bool> {
    let text = std::fs::read_to_string(status)?;
    let tracer = text.lines().find_map(|line| line.strip_prefix("TracerPid:"));
    Ok(tracer.is_some_and(|tracer| tracer.trim() != "0"))
}

/// The calls in the last line of the summary: `100.00    0.01    7    24    3 total`.
fn total(summary: &str) -> Option<u64> {
    let line = summary.lines().rev().find(|line| line.trim_end().ends_with("total"))?;
    line.split_whitespace().nth(3)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_total_is_the_fourth_column_of_the_last_line() {
        let summary = "% time     seconds  usecs/call     calls    errors syscall\n\
            ------ ----------- ----------- --------- --------- ----------------\n\
             60.00    0.000030           3        10         2 read\n\
             40.00    0.000020           2        14           write\n\
            ------ ----------- ----------- --------- --------- ----------------\n\
            100.00    0.000050           2        24         2 total\n";
        assert_eq!(total(summary), Some(24));
        assert_eq!(total(""), None);
    }

    #[test]
    fn the_calls_of_another_process_are_counted() {
        let way = Way::find();
        if let Way::Absent(why) = &way {
            println!("skipped: {why}");
            return;
        }
        // A shell that waits for a line and then makes system calls.
        let mut shell = Command::new("sh");
        shell.args(["-c", "read line; cd /; cd /; cd /; read line"]);
        let mut shell = shell.stdin(Stdio::piped()).spawn().unwrap();
        let count = way.count(shell.id()).unwrap();
        let mut input = shell.stdin.take().unwrap();
        std::io::Write::write_all(&mut input, b"go\n").unwrap();
        drop(input);
        shell.wait().unwrap();
        let calls = count.finish().unwrap();
        assert!(calls >= 3, "{calls} by {way:?}");
    }
}
