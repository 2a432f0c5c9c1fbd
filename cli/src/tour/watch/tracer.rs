//! The tracer: from one system call of the child to the next.

use std::io;
use std::time::Instant;

use nix::errno::Errno;
use nix::sys::ptrace::{self, Options};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use syscalls::Sysno;

use super::decode::Decoder;
use super::{MARK, Seen};
use crate::tour::account::Call;

pub(super) struct Tracer {
    child: Pid,
    decoder: Decoder,
    /// The call that the child has entered and not left.
    inside: Option<Inside>,
}

struct Inside {
    number: u64,
    arguments: [u64; 6],
    /// They are decoded before the call is made: some calls write over them.
    decoded: String,
    since: Instant,
}

impl Tracer {
    /// Begins to trace the main thread of `child`. An error says why that is not allowed.
    pub(super) fn seize(child: Pid) -> Result<Tracer, String> {
        let options = Options::PTRACE_O_TRACESYSGOOD | Options::PTRACE_O_EXITKILL;
        ptrace::seize(child, options).map_err(|errno| match errno {
            Errno::EPERM | Errno::EACCES | Errno::ENOSYS => format!(
                "ptrace(2) is not allowed here ({}): a container's seccomp profile, the sysctl kernel.yama.ptrace_scope or \
                 another tracer forbids it",
                errno.desc()
            ),
            _ => format!("ptrace(2) does not work here: {}", errno.desc()),
        })?;
        let broken = |errno: Errno| format!("the child could not be stopped: {}", errno.desc());
        ptrace::interrupt(child).map_err(broken)?;
        stopped(child).map_err(broken)?;
        ptrace::syscall(child, None).map_err(broken)?;
        Ok(Tracer { child, decoder: Decoder::new(child), inside: None })
    }

    /// The next call that has returned; `None` once the child has ended.
    pub(super) fn next(&mut self) -> io::Result<Option<Seen>> {
        loop {
            let status = stopped(self.child)?;
            let now = Instant::now();
            let mut seen = None;
            let signal = match status {
                WaitStatus::PtraceSyscall(_) => {
                    let info = ptrace::syscall_info(self.child)?;
                    // SAFETY: all variants are plain numbers, valid for any bits; `op` says which one counts.
                    match (info.op, unsafe { (info.u.entry, info.u.exit) }) {
                        (libc::PTRACE_SYSCALL_INFO_ENTRY, (entry, _)) => self.enters(entry.nr, entry.args),
                        (libc::PTRACE_SYSCALL_INFO_EXIT, (_, exit)) => seen = self.leaves(exit.sval, now),
                        _ => {}
                    }
                    None
                }
                WaitStatus::Stopped(_, signal) => Some(signal),
                WaitStatus::Exited(..) | WaitStatus::Signaled(..) => return Ok(None),
                _ => None,
            };
            if let Some(inside) = &mut self.inside {
                inside.since = Instant::now();
            }
            match ptrace::syscall(self.child, signal) {
                // It is gone, as the next wait will tell.
                Ok(()) | Err(Errno::ESRCH) => {}
                Err(errno) => return Err(errno.into()),
            }
            if seen.is_some() {
                return Ok(seen);
            }
        }
    }

    fn enters(&mut self, number: u64, arguments: [u64; 6]) {
        let decoded = self.decoder.arguments(&name(number), arguments);
        self.inside = Some(Inside { number, arguments, decoded, since: Instant::now() });
    }

    fn leaves(&mut self, result: i64, now: Instant) -> Option<Seen> {
        let Inside { number, arguments, decoded, since } = self.inside.take()?;
        let micros = now.duration_since(since).as_secs_f64() * 1e6;
        if number == MARK as u64 {
            return Some(Seen::Mark(arguments[0], micros));
        }
        let name = name(number);
        let (result, meaning) = self.decoder.result(&name, arguments, result);
        Some(Seen::Call(Call { name, arguments: decoded, result, meaning, micros }))
    }
}

fn name(number: u64) -> String {
    Sysno::new(number as usize).map_or_else(|| format!("call_{number}"), |call| call.to_string())
}

fn stopped(child: Pid) -> nix::Result<WaitStatus> {
    loop {
        match waitpid(child, Some(WaitPidFlag::__WALL)) {
            Err(Errno::EINTR) => {}
            other => return other,
        }
    }
}
