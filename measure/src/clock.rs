//! CPU time, user and system together, of a thread or a process - also of another than the caller's.
//!
//! The load reads the server's clock at both ends of the measured window, so that neither set-up nor tear-down is
//! counted, and the server needs no code for being measured.

use std::io;
use std::time::Duration;

use rustix::time::{ClockId, Timespec, clock_gettime};

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

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;
    use std::thread;

    #[test]
    fn a_thread_clock_counts_the_work_of_its_own_thread_only() {
        let (send_clock, clock) = mpsc::channel();
        let (stop, stopped) = mpsc::channel::<()>();
        let idle = thread::spawn(move || {
            send_clock.send(CpuClock::of_this_thread().unwrap()).unwrap();
            let _ = stopped.recv();
        });
        let (idle_clock, own) = (clock.recv().unwrap(), CpuClock::of_this_thread().unwrap());
        thread::sleep(Duration::from_millis(5)); // The other thread is blocked by now.
        let (idle_before, own_before) = (idle_clock.read().unwrap(), own.read().unwrap());
        while own.read().unwrap() - own_before < Duration::from_millis(20) {}
        assert!(idle_clock.read().unwrap() - idle_before < Duration::from_millis(10));
        drop(stop);
        idle.join().unwrap();
    }
}
