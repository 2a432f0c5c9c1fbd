//! Exact system-call counts: `count(|| ...)` runs a closure and returns each call that its thread made meanwhile.
//!
//! The tracer must be another process, so this binary is started once more; it attaches with ptrace to the calling
//! thread alone (not to the peers and trials beside it) and stops it at each call. Two calls that no kernel knows mark
//! the beginning and the end, so nothing around the closure is counted. Calls are counted when they are entered. Best
//! in an isolated trial: a signal or an io_uring that is torn down interrupts a thread, and a call made again counts again.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::process::{Command, ExitCode, Stdio};
use std::{env, io};

use nix::errno::Errno;
use nix::sys::ptrace::{self, Options};
use nix::sys::signal::{SigSet, SigmaskHow, Signal};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, gettid};
use syscalls::Sysno;

use crate::support::calls::Calls;
use crate::support::skip::skip;

/// Set in the tracer: the thread to trace.
const TRACE: &str = "ANYPORT_TRACE_THREAD";
/// Numbers of calls that do not exist; the kernel answers `ENOSYS`.
const BEGIN: u64 = 0x00a1_1ce0;
const END: u64 = 0x00a1_1ce1;

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
    (calls.collect(), result)
}

/// What is counted: begins with a marker and ends with one, also when the closure panics (a thread that stays traced
/// could not be traced again).
struct Marked {
    /// The mask before. SIGCHLD, of whichever trial's child, is blocked meanwhile: it would interrupt a traced thread, and
    /// the call that is then made once more would be counted twice.
    mask: SigSet,
}

impl Marked {
    fn begin() -> Marked {
        let mut child = SigSet::empty();
        child.add(Signal::SIGCHLD);
        let mask = child.thread_swap_mask(SigmaskHow::SIG_BLOCK).expect("block SIGCHLD");
        mark(BEGIN);
        Marked { mask }
    }
}

impl Drop for Marked {
    fn drop(&mut self) {
        mark(END);
        self.mask.thread_set_mask().expect("restore the mask");
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
    let mut calls: Option<BTreeMap<u64, u64>> = None;
    loop {
        let signal = match stopped(thread)? {
            WaitStatus::PtraceSyscall(_) => {
                match entered(thread)? {
                    Some(BEGIN) => calls = Some(BTreeMap::new()),
                    Some(END) => {
                        ptrace::detach(thread, None)?;
                        return Ok(calls.unwrap_or_default());
                    }
                    Some(number) => {
                        if let Some(calls) = &mut calls {
                            *calls.entry(number).or_default() += 1;
                        }
                    }
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

/// The number of the system call that the stopped thread is about to make; `None` at the return from one.
fn entered(thread: Pid) -> io::Result<Option<u64>> {
    let info = ptrace::syscall_info(thread)?;
    // SAFETY: all variants are plain numbers, valid for any bits; `op` says whether the entry is the one that counts.
    Ok((info.op == libc::PTRACE_SYSCALL_INFO_ENTRY).then_some(unsafe { info.u.entry.nr }))
}

fn stopped(thread: Pid) -> io::Result<WaitStatus> {
    loop {
        match waitpid(thread, Some(WaitPidFlag::__WALL)) {
            Err(Errno::EINTR) => {}
            other => return Ok(other?),
        }
    }
}
