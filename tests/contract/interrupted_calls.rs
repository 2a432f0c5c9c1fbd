//! The counter of system calls, where the kernel makes one again: it is still one.

use std::io::{Read, Write};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::{fs, thread};

use nix::unistd::{Pid, gettid};

use crate::support::*;

pub(crate) fn tests() -> Vec<Case> {
    cases! { once_isolated: [an_interrupted_call_is_counted_once] }
}

fn an_interrupted_call_is_counted_once() {
    // Where nothing can be counted this skips, before anybody waits.
    count(|| ());
    let (mut near, mut far) = unix_pair();
    let reads = AtomicBool::new(false);
    let reader = gettid();
    // SAFETY: a call without arguments.
    let handle = unsafe { libc::pthread_self() };
    let (calls, ()) = thread::scope(|scope| {
        scope.spawn(|| {
            while !reads.load(SeqCst) {
                thread::yield_now();
            }
            for _ in 0..5 {
                until_asleep(reader);
                // Ignored, but a traced thread is woken to tell its tracer of it.
                // SAFETY: the thread outlives this scope.
                assert_eq!(unsafe { libc::pthread_kill(handle, libc::SIGWINCH) }, 0);
            }
            until_asleep(reader);
            far.write_all(b"x").expect("write");
        });
        count(|| {
            reads.store(true, SeqCst);
            near.read_exact(&mut [0]).expect("read");
        })
    });
    assert_eq!((calls.of_any(RECVS), calls.total()), (1, 1), "{calls}");
}

/// Waits until that thread sleeps in a call (not for its tracer: that is another state).
fn until_asleep(thread: Pid) {
    let path = format!("/proc/self/task/{thread}/stat");
    let state = || fs::read_to_string(&path).expect("the state of a thread").rsplit_once(") ").map(|(_, it)| it.as_bytes()[0]);
    while state() != Some(b'S') {
        thread::yield_now();
    }
}
