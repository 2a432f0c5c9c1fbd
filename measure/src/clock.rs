//! CPU time, user and system together, of a thread or a process - also of another than the caller's.
//!
//! The load reads the server's clock at both ends of the measured window, so that neither set-up nor tear-down is
//! counted, and the server needs no code for being measured.

pub use super::sys::{CpuClock, process_cpu};

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;
    use std::thread;
    use std::time::Duration;

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
