//! What the process holds: descriptors, threads, memory. For isolated trials, where nobody else opens or starts
//! anything meanwhile.

use std::collections::BTreeMap;
use std::fs;
use std::os::fd::RawFd;
use std::path::PathBuf;

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use super::libkqueue::settle_libkqueue;
use crate::support::skip::skip_elsewhere;

/// The open descriptors and what each refers to (`socket:[123]`, `anon_inode:[eventpoll]`, a path), without the one
/// that this reading itself opens.
pub(crate) fn descriptors() -> BTreeMap<RawFd, String> {
    settle_libkqueue();
    let folder = fs::read_dir("/proc/self/fd").expect("/proc/self/fd");
    let paths: Vec<_> = folder.flatten().map(|entry| entry.path()).collect();
    // The folder's own descriptor is closed by now, so its link no longer resolves.
    let resolve = |path: PathBuf| {
        let number = path.file_name()?.to_str()?.parse().ok()?;
        let target = fs::read_link(path).ok()?;
        Some((number, target.to_string_lossy().into_owned()))
    };
    paths.into_iter().filter_map(resolve).collect()
}

/// The names of the running threads, sorted. A kernel worker of io_uring (`iou-wrk-...`) is listed too.
pub(crate) fn threads() -> Vec<String> {
    let tasks = fs::read_dir("/proc/self/task").expect("/proc/self/task").flatten();
    let name = |task: fs::DirEntry| fs::read_to_string(task.path().join("comm")).ok();
    let mut names: Vec<_> = tasks.filter_map(name).map(|name| name.trim().to_owned()).collect();
    names.sort();
    names
}

/// Whether `descriptor` is close-on-exec, as the kernel says in `/proc/self/fdinfo`.
pub(crate) fn close_on_exec(descriptor: RawFd) -> bool {
    let info = fs::read_to_string(format!("/proc/self/fdinfo/{descriptor}")).expect("fdinfo of an open descriptor");
    let flags = info.lines().find_map(|line| line.strip_prefix("flags:")).expect("fdinfo has flags");
    let flags = i32::from_str_radix(flags.trim(), 8).expect("flags are octal");
    flags & libc::O_CLOEXEC != 0
}

/// Bytes of writable anonymous mappings that the C allocator has not made: what somebody mapped for himself. The size,
/// not what is resident, so that memory which is merely not touched yet counts as well.
#[cfg(target_env = "gnu")]
pub(crate) fn mapped_beside_the_heap() -> i64 {
    if std::env::var_os("ANYPORT_SANITIZER").is_some() {
        skip_elsewhere("a sanitizer maps memory of its own");
    }
    let maps = fs::read_to_string("/proc/self/maps").expect("/proc/self/maps");
    let mapped: i64 = maps.lines().filter_map(anonymous_size).sum();
    // SAFETY: it only reads the allocator's own statistics and returns them by value.
    let heap = unsafe { libc::mallinfo2() };
    mapped - heap.arena as i64 - heap.hblkhd as i64
}

/// The size of a line of `/proc/self/maps`, if it is writable anonymous memory other than a stack, or shared memory of
/// a ring.
#[cfg(target_env = "gnu")]
fn anonymous_size(line: &str) -> Option<i64> {
    let mut fields = line.split_whitespace();
    let (range, access) = (fields.next()?, fields.next()?);
    let path = fields.nth(3).unwrap_or("");
    let anonymous = path.is_empty() || path == "[heap]" || path.starts_with("[anon") || path.starts_with("anon_inode:");
    if !access.starts_with("rw") || !anonymous {
        return None;
    }
    let (start, end) = range.split_once('-')?;
    Some(i64::from_str_radix(end, 16).ok()? - i64::from_str_radix(start, 16).ok()?)
}

/// Raises the limit of open descriptors to `wanted` if that is allowed, and returns the limit that now holds.
pub(crate) fn allow_descriptors(wanted: u64) -> u64 {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("the limit of open descriptors");
    if soft < wanted && setrlimit(Resource::RLIMIT_NOFILE, wanted, hard.max(wanted)).is_err() {
        setrlimit(Resource::RLIMIT_NOFILE, hard.min(wanted), hard).expect("raise the soft limit");
    }
    getrlimit(Resource::RLIMIT_NOFILE).expect("the limit of open descriptors").0
}

/// All descriptors that the process may have are in use, as long as this lives: `EMFILE`. The limit is lowered, and what
/// is free below it is filled.
pub(crate) struct UsedUp {
    filling: Vec<fs::File>,
    limit: (u64, u64),
}

impl UsedUp {
    pub(crate) fn new() -> UsedUp {
        let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("the limit of open descriptors");
        let used = descriptors().keys().max().map_or(0, |&highest| highest as u64 + 1);
        setrlimit(Resource::RLIMIT_NOFILE, used + 64, hard).expect("lower the limit");
        let mut used_up = UsedUp { filling: Vec::new(), limit: (soft, hard) };
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
        setrlimit(Resource::RLIMIT_NOFILE, self.limit.0, self.limit.1).expect("restore the limit");
    }
}

/// Has the kernel's alarm clock end the process: a thread that does would disturb what isolated trials count.
pub(crate) fn end_process_after(time: std::time::Duration) {
    nix::unistd::alarm::set((time.as_secs() as u32).max(1));
}

/// Ends an isolated trial that leaks on purpose: it has passed. A sanitizer that looks for leaks as a process ends does not
/// see this end.
pub(crate) fn pass_with_leaks() -> ! {
    use std::io::Write;
    let _ = std::io::stdout().flush();
    // SAFETY: ends the process at once; nothing is left to be done in it.
    unsafe { libc::_exit(0) }
}
