//! What the process may hold, how long it may take, and how it ends. For isolated trials.

use std::fs;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::descriptors;

/// Sets the soft limit of open descriptors.
fn set(limit: Rlimit, soft: Option<u64>) -> rustix::io::Result<()> {
    setrlimit(Resource::Nofile, Rlimit { current: soft, ..limit })
}

/// Raises the limit of open descriptors to `wanted` if that is allowed, and returns the limit that now holds.
pub(crate) fn allow_descriptors(wanted: u64) -> u64 {
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_some_and(|soft| soft < wanted) {
        let raised = Rlimit { current: Some(wanted), maximum: limit.maximum.map(|hard| hard.max(wanted)) };
        if setrlimit(Resource::Nofile, raised).is_err() {
            set(limit, limit.maximum.map(|hard| hard.min(wanted))).expect("raise the soft limit");
        }
    }
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// All descriptors that the process may have are in use, as long as this lives: `EMFILE`. The limit is lowered, and what
/// is free below it is filled.
pub(crate) struct UsedUp {
    filling: Vec<fs::File>,
    limit: Rlimit,
}

impl UsedUp {
    pub(crate) fn new() -> UsedUp {
        let limit = getrlimit(Resource::Nofile);
        let used = descriptors().keys().max().map_or(0, |&highest| highest as u64 + 1);
        set(limit, Some(used + 64)).expect("lower the limit");
        let mut used_up = UsedUp { filling: Vec::new(), limit };
        used_up.fill();
        used_up
    }

    /// Leaves some free, under the same limit.
    pub(crate) fn spare_some(&mut self) {
        self.fill();
        self.filling.truncate(self.filling.len() - 32);
    }

    /// Uses these up, too.
    pub(crate) fn fill(&mut self) {
        while let Ok(file) = fs::File::open("/dev/null") {
            self.filling.push(file);
        }
    }
}

impl Drop for UsedUp {
    fn drop(&mut self) {
        self.filling.clear();
        set(self.limit, self.limit.current).expect("restore the limit");
    }
}

/// No file may grow beyond `len` bytes.
#[cfg(target_os = "linux")]
pub(crate) fn limit_file_size(len: u64) {
    let limit = getrlimit(Resource::Fsize);
    setrlimit(Resource::Fsize, Rlimit { current: Some(len), ..limit }).expect("lower the limit");
}

/// Has the kernel's alarm clock end the process: a thread that does would disturb what isolated trials count.
pub(crate) fn end_process_after(time: std::time::Duration) {
    // SAFETY: a call without pointers.
    unsafe { libc::alarm((time.as_secs() as u32).max(1)) };
}

/// Ends an isolated trial that leaks on purpose: it has passed. A sanitizer that looks for leaks as a process ends does not
/// see this end.
pub(crate) fn pass_with_leaks() -> ! {
    use std::io::Write;
    let _ = std::io::stdout().flush();
    // SAFETY: ends the process at once; nothing is left to be done in it.
    unsafe { libc::_exit(0) }
}
