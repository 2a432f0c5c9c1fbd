//! What the process holds, and what can be told about it here.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Duration;

use super::super::skip::skip_elsewhere;

/// Ends the process when its trial hangs.
pub(crate) fn end_process_after(time: Duration) {
    std::thread::spawn(move || {
        std::thread::sleep(time);
        eprintln!("the trial hangs");
        std::process::exit(101);
    });
}

/// There is no tracer here.
pub(crate) fn run_if_tracer() -> Option<ExitCode> {
    None
}

/// The open handles: Windows tells a process' own only through undocumented calls.
pub(crate) fn descriptors() -> BTreeMap<usize, String> {
    skip_elsewhere("a process cannot list its handles here")
}

/// The names of the running threads.
pub(crate) fn threads() -> Vec<String> {
    skip_elsewhere("the names of a process' threads are not told here")
}

/// There is no limit of open handles to raise.
pub(crate) fn allow_descriptors(wanted: u64) -> u64 {
    wanted
}

/// Runs `body` in a forked child.
pub(crate) fn in_a_child(_: impl FnOnce()) -> bool {
    skip_elsewhere("Windows has no fork")
}

pub(crate) const IO_URING_ENTER: i32 = -1;

/// Has a system call fail: not here.
pub(crate) fn forbid(_: i32, _: i32) {
    skip_elsewhere("system calls can be forbidden on Linux alone");
}

/// Ends an isolated trial that leaks on purpose: it has passed.
pub(crate) fn pass_with_leaks() -> ! {
    std::process::exit(0)
}
