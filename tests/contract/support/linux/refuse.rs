//! Refusing io_uring for real, the ways a machine does: a seccomp filter (containers), a resource limit, the sysctl.
//! For isolated trials: filters and limits cannot be taken back.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::panic::resume_unwind;
use std::thread;

use nix::sys::resource::{Resource, setrlimit};
use rustix::thread::CapabilitySet;
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};

use crate::support::skip::skip_elsewhere;

/// From now on the system call `number` (`libc::SYS_io_uring_setup`) fails with `errno` in this thread and in those
/// it starts. This is what Docker's default profile does (with `EPERM`) and what an old kernel does (`ENOSYS`).
pub(crate) fn forbid(number: libc::c_long, errno: i32) {
    let rules = BTreeMap::from([(number, Vec::new())]);
    let architecture = std::env::consts::ARCH.try_into().expect("an architecture that seccompiler knows");
    let refuse = SeccompAction::Errno(errno as u32);
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, refuse, architecture).expect("a valid filter");
    let program: BpfProgram = filter.try_into().expect("a filter that compiles");
    seccompiler::apply_filter(&program).expect("install the seccomp filter");
}

/// Sets both limits of `resource`, for this process, for good.
pub(crate) fn limit(resource: Resource, bytes: u64) {
    setrlimit(resource, bytes, bytes).expect("lower a resource limit");
}

/// Runs `body` in a new thread that lacks `capabilities`, so that a limit or sysctl which they are exempt from applies
/// to it. The process itself keeps them.
pub(crate) fn without_capabilities<T: Send>(capabilities: CapabilitySet, body: impl FnOnce() -> T + Send) -> T {
    let unprivileged = || {
        let mut sets = rustix::thread::capabilities(None).expect("the capabilities of a thread");
        sets.effective.remove(capabilities);
        sets.permitted.remove(capabilities);
        sets.inheritable.remove(capabilities);
        rustix::thread::set_capabilities(None, sets).expect("give capabilities up");
        body()
    };
    match thread::scope(|scope| scope.spawn(unprivileged).join()) {
        Ok(result) => result,
        Err(panic) => resume_unwind(panic),
    }
}

const IO_URING_DISABLED: &str = "/proc/sys/kernel/io_uring_disabled";

/// The sysctl `kernel.io_uring_disabled` belongs to the whole machine. As long as this lives, no other test changes it
/// (a lock on a file, because those run in other processes).
pub(crate) struct Sysctl {
    _lock: File,
    /// What to restore.
    before: Option<String>,
}

impl Sysctl {
    /// Keeps it as it is.
    pub(crate) fn keep() -> Sysctl {
        Sysctl { _lock: lock(), before: None }
    }

    /// Sets it to `value`; skips the test where that is not possible. Use 1 (those without CAP_SYS_ADMIN are refused)
    /// rather than 2 (all are), which would disturb every other trial.
    pub(crate) fn set(value: &str) -> Sysctl {
        let lock = lock();
        let before = match fs::read_to_string(IO_URING_DISABLED) {
            Ok(before) => before,
            Err(error) => skip_elsewhere(format!("this kernel has no {IO_URING_DISABLED} (Linux 6.6): {error}")),
        };
        if let Err(error) = fs::write(IO_URING_DISABLED, value) {
            skip_elsewhere(format!("{IO_URING_DISABLED} cannot be written: {error}"));
        }
        Sysctl { _lock: lock, before: Some(before) }
    }
}

fn lock() -> File {
    let path = std::env::temp_dir().join("anyport-io_uring_disabled.lock");
    let file = File::options().create(true).append(true).open(&path).expect("a file to lock");
    file.lock().expect("lock a file");
    file
}

impl Drop for Sysctl {
    fn drop(&mut self) {
        let restored = self.before.as_ref().map_or(Ok(()), |before| fs::write(IO_URING_DISABLED, before));
        if let Err(error) = restored {
            eprintln!("cannot restore {IO_URING_DISABLED}: {error}");
        }
    }
}
