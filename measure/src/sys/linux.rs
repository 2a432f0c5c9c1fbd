//! Linux: sched_setaffinity(2), clock_gettime(2), uname(2), `/proc/cpuinfo`.

use std::fs;
use std::io;
use std::time::Duration;

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use rustix::time::{ClockId, Timespec, clock_gettime};

/// In what steps CPU time is counted.
pub(crate) const CPU_TICK: Duration = Duration::from_nanos(1);

/// The cores that this thread may use, in order.
pub(crate) fn allowed_cores() -> io::Result<Vec<usize>> {
    let allowed = sched_getaffinity(None)?;
    Ok((0..CpuSet::MAX_CPU).filter(|&core| allowed.is_set(core)).collect())
}

/// Pins the calling thread, and what it will spawn, to `core`.
pub fn pin(core: usize) -> io::Result<()> {
    let mut only = CpuSet::new();
    only.set(core);
    Ok(sched_setaffinity(None, &only)?)
}

/// The CPU clock of one thread or process. Reading it after that has ended is an error.
#[derive(Clone, Copy, Debug)]
pub struct CpuClock(libc::clockid_t);

impl CpuClock {
    /// The calling thread's clock, for others to read.
    pub fn of_this_thread() -> io::Result<CpuClock> {
        let mut id = 0;
        // SAFETY: the calling thread is alive, and `id` is a valid place for the answer.
        let error = unsafe { libc::pthread_getcpuclockid(libc::pthread_self(), &mut id) };
        match error {
            0 => Ok(CpuClock(id)),
            error => Err(io::Error::from_raw_os_error(error)),
        }
    }

    /// The clock of the process `id`: all its threads, and those that the kernel runs for it.
    pub fn of_process(id: u32) -> io::Result<CpuClock> {
        let mut clock = 0;
        // SAFETY: `clock` is a valid place for the answer.
        let error = unsafe { libc::clock_getcpuclockid(id as libc::pid_t, &mut clock) };
        match error {
            0 => Ok(CpuClock(clock)),
            error => Err(io::Error::from_raw_os_error(error)),
        }
    }

    /// The CPU time that has been used since the start.
    pub fn read(self) -> io::Result<Duration> {
        let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: `time` is a valid place for the answer; an unknown clock is reported, not dereferenced.
        if unsafe { libc::clock_gettime(self.0, &mut time) } != 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(Duration::new(time.tv_sec as u64, time.tv_nsec as u32))
    }
}

/// The CPU time of the whole process: of the calling thread to the nanosecond, of others to the last tick.
pub fn process_cpu() -> Duration {
    let Timespec { tv_sec, tv_nsec } = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(tv_sec as u64, tv_nsec as u32)
}

/// The processor's name for itself.
pub(crate) fn processor() -> String {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let machine = || rustix::system::uname().machine().to_string_lossy().into_owned();
    model.map_or_else(machine, |(_, name)| name.to_owned())
}

/// System and release of its kernel.
pub(crate) fn system() -> String {
    let uname = rustix::system::uname();
    format!("{} {}", uname.sysname().to_string_lossy(), uname.release().to_string_lossy())
}

/// The version of Wine that plays the system; there is none here.
pub(crate) fn wine() -> Option<String> {
    None
}
