//! Exact system-call counts: `count(|| ...)` runs a closure and returns each call that its thread made meanwhile.
//!
//! The tracer must be another process, so this binary is started once more; it attaches with ptrace to the calling
//! thread alone (not to the peers and trials beside it) and stops it at each call. Two calls that no kernel knows mark
//! the beginning and the end, so nothing around the closure is counted. A call is counted when it returns: one that is
//! interrupted (by a signal that a child's end sends, or by an io_uring that is torn down) and made again is one call.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::process::{Command, ExitCode, Stdio};
use std::{env, io};

use nix::errno::Errno;
use nix::sys::ptrace::{self, Options};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, gettid};
use syscalls::Sysno;

use super::calls::{MEMORY, NOTIFIES};
use crate::support::calls::Calls;
use crate::support::skip::skip;

/// Set in the tracer: the thread to trace.
const TRACE: &str = "ANYPORT_TRACE_THREAD";
/// Numbers of calls that do not exist; the kernel answers `ENOSYS`.
const BEGIN: u64 = 0x00a1_1ce0;
const END: u64 = 0x00a1_1ce1;
/// What a call returns that was interrupted: `EINTR`, and what a tracer alone sees, before the kernel makes the call
/// again (its include/linux/errno.h: `ERESTARTSYS`, `ERESTARTNOINTR`, `ERESTARTNOHAND`, `ERESTART_RESTARTBLOCK`).
const INTERRUPTED: [i64; 5] = [-libc::EINTR as i64, -512, -513, -514, -516];
/// How the kernel makes a call again that has to remember how long it waited: restart_syscall(2).
const RESTART: u64 = libc::SYS_restart_syscall as u64;

/// Runs `body` under the tracer and returns the system calls that this thread made in it. Skips the test where the
/// machine allows no ptrace.
pub(crate) fn count<T>(body: impl FnOnce() -> T) -> (Calls, T) {
    // With the Yama module, only an ancestor may trace unless one agrees.
    let _ = rustix::process::set_ptracer(rustix::process::PTracer::Any);
    let mut tracer = Command::new(env::current_exe().expect("the path of the test binary"))
        .env(TRACE, gettid().to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("start the tracer");
    let mut report = tracer.stdout.take().expect("its standard output is a pipe");
    let mut answer = [0];
    report.read_exact(&mut answer).expect("the tracer says whether it may trace");
    if answer == *b"-" {
        tracer.wait().expect("wait for the tracer");
        skip("ptrace is not allowed here, so system calls cannot be counted");
    }
    let marked = Marked::begin();
    let result = body();
    drop(marked);
    let mut text = String::new();
    report.read_to_string(&mut text).expect("the tracer's report");
    assert!(tracer.wait().expect("wait for the tracer").success(), "the tracer failed");
    let calls = text.lines().filter_map(|line| line.split_once(' '));
    let calls = calls.map(|(name, times)| (name.to_owned(), times.parse().expect("a number of calls")));
    let calls: Calls = calls.collect();
    // A sanitizer's runtime has locks of its own, which other threads may hold, and maps memory.
    let has_runtime = env::var_os("ANYPORT_SANITIZER").is_some();
    (if has_runtime { calls.except(NOTIFIES).except(MEMORY) } else { calls }, result)
}

/// What is counted: begins with a marker and ends with one, also when the closure panics (a thread that stays traced
/// could not be traced again).
struct Marked;

impl Marked {
    fn begin() -> Marked {
        mark(BEGIN);
        Marked
    }
}

impl Drop for Marked {
    fn drop(&mut self) {
        mark(END);
    }
}

fn mark(number: u64) {
    // SAFETY: the kernel knows no call of this number and answers ENOSYS without doing anything.
    unsafe { libc::syscall(number as libc::c_long) };
}

/// The tracer's side: when this process was started to trace, does that and returns how it ended.
pub(crate) fn run_if_instrument() -> Option<ExitCode> {
    let thread = env::var(TRACE).ok()?.parse().expect("a thread number");
    Some(match trace(Pid::from_raw(thread)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("the tracer: {error}");
            ExitCode::FAILURE
        }
    })
}

fn trace(thread: Pid) -> io::Result<()> {
    let mut report = io::stdout();
    if let Err(Errno::EPERM) = ptrace::seize(thread, Options::PTRACE_O_TRACESYSGOOD) {
        return report.write_all(b"-");
    }
    ptrace::interrupt(thread)?;
    stopped(thread)?;
    ptrace::syscall(thread, None)?;
    report.write_all(b"+")?;
    report.flush()?;
    for (number, times) in count_until_end(thread)? {
        let name = Sysno::new(number as usize).map_or_else(|| format!("call_{number}"), |name| name.to_string());
        writeln!(report, "{name} {times}")?;
    }
    report.flush()
}

fn count_until_end(thread: Pid) -> io::Result<BTreeMap<u64, u64>> {
    let mut calls = BTreeMap::new();
    // The call that the thread is in.
    let mut call = None;
    loop {
        let signal = match stopped(thread)? {
            WaitStatus::PtraceSyscall(_) => {
                match at_call(thread)? {
                    Some(At::Entry(END)) => {
                        ptrace::detach(thread, None)?;
                        return Ok(calls);
                    }
                    Some(At::Entry(RESTART)) => {}
                    Some(At::Entry(number)) => call = Some(number),
                    Some(At::Return(result)) if INTERRUPTED.contains(&result) => {}
                    Some(At::Return(_)) => match call {
                        Some(BEGIN) => calls.clear(),
                        Some(number) => *calls.entry(number).or_default() += 1,
                        None => {}
                    },
                    None => {}
                }
                None
            }
            WaitStatus::Stopped(_, signal) => Some(signal),
            WaitStatus::Exited(..) | WaitStatus::Signaled(..) => {
                return Err(io::Error::other("the traced thread ended before the end marker"));
            }
            _ => None,
        };
        ptrace::syscall(thread, signal)?;
    }
}

enum At {
    /// About to make the system call of this number.
    Entry(u64),
    /// It has returned this.
    Return(i64),
}

fn at_call(thread: Pid) -> io::Result<Option<At>> {
    let info = ptrace::syscall_info(thread)?;
    Ok(match info.op {
        // SAFETY: `op` says that this is the variant.
        libc::PTRACE_SYSCALL_INFO_ENTRY => Some(At::Entry(unsafe { info.u.entry.nr })),
        // SAFETY: as above.
        libc::PTRACE_SYSCALL_INFO_EXIT => Some(At::Return(unsafe { info.u.exit.sval })),
        _ => None,
    })
}

fn stopped(thread: Pid) -> io::Result<WaitStatus> {
    loop {
        match waitpid(thread, Some(WaitPidFlag::__WALL)) {
            Err(Errno::EINTR) => {}
            other => return Ok(other?),
        }
    }
}
