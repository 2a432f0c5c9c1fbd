//! The traps of Linux' rings, each with its test. (The others are in `traps.rs`.)

use std::sync::mpsc;
use std::thread;

use anyport::{Backend, Port, Token, op};

use crate::support::*;
use crate::traps::{Trap, assert_tested};

pub(crate) fn tests() -> Vec<Case> {
    cases! {
        once: [
            every_trap_of_a_ring_has_its_test,
            an_idle_ring_is_no_io_wait,
        ],
    }
}

const TRAPS: &[Trap] = &[
    (
        "io_uring is blocked by seccomp, a sysctl, a limit, or half supported",
        &[
            "refusal::a_seccomp_filter_is_named_and_epoll_takes_over",
            "refusal::the_sysctl_is_named_and_epoll_takes_over",
            "refusal::the_memlock_limit_is_named_and_epoll_takes_over",
            "refusal::a_ring_that_cannot_be_mapped_falls_back",
            "refusal::each_part_of_io_uring_can_be_left_out",
        ],
    ),
    ("an idle ring shows up as I/O wait", &["traps::an_idle_ring_is_no_io_wait"]),
];

fn every_trap_of_a_ring_has_its_test() {
    assert_tested(TRAPS);
}

/// The flags of the `io_uring_enter` in which a port sleeps, as the kernel has them.
fn flags_of_a_sleeping_ring(without: Option<&'static str>) -> u64 {
    let (say, told) = mpsc::channel();
    let sleeper = thread::spawn(move || {
        let builder = Port::builder().backend(Backend::Uring);
        let builder = without.iter().fold(builder, |builder, part| builder.without(part));
        let mut port = builder.build().expect("a port");
        say.send((thread_number(), port.poster())).expect("the test waits for it");
        one(&mut port).unpack::<op::Post<()>>();
    });
    let (thread, poster) = told.recv().expect("a sleeping port");
    let mut flags = None;
    eventually("the port sleeps in io_uring_enter", || {
        let call = std::fs::read_to_string(format!("/proc/self/task/{thread}/syscall"));
        let call = call.unwrap_or_else(|error| skip_elsewhere(format!("/proc does not tell a thread's call: {error}")));
        // Its number, then its arguments: the ring, entries to submit, completions to wait for, flags.
        let numbers: Vec<_> = call.split_whitespace().collect();
        let argument = |at: usize| u64::from_str_radix(numbers[at].trim_start_matches("0x"), 16).expect("hexadecimal");
        let asleep = numbers[0] == IO_URING_ENTER.to_string() && argument(3) > 0;
        flags = asleep.then(|| argument(4));
        asleep
    });
    assert!(poster.post(Token(0), ()).is_ok());
    sleeper.join().expect("no panic");
    flags.expect("it was asleep")
}

fn an_idle_ring_is_no_io_wait() {
    /// `IORING_ENTER_NO_IOWAIT`.
    const NO_IOWAIT: u64 = 1 << 7;
    if let Err(why) = Backend::Uring.check() {
        skip(why);
    }
    let features = port(Backend::Uring).explain().features;
    if !features.iter().any(|feature| feature.name == "no iowait" && feature.used) {
        skip_elsewhere("this kernel counts every wait in a ring as I/O wait (before Linux 6.15)");
    }
    assert_ne!(flags_of_a_sleeping_ring(None) & NO_IOWAIT, 0, "the wait counts as I/O wait");
    // Left out, it is left out: what is looked at is the flag.
    assert_eq!(flags_of_a_sleeping_ring(Some("no iowait")) & NO_IOWAIT, 0);
}
