//! Driving a port from a test: one on the wanted backend, and "until so many operations have completed", with a
//! time-out so generous that only a lost completion reaches it.

use std::time::{Duration, Instant};

use anyport::{Backend, Builder, Completion, Port};

/// No completion of the suite takes this long unless it was lost.
const PATIENCE: Duration = Duration::from_secs(30);

/// A port on `backend`, which the harness has found to work here.
#[track_caller]
pub(crate) fn port(backend: Backend) -> Port {
    Port::builder().backend(backend).build().expect("a port on a backend that works here")
}

/// Every operation and feature of a ring that is carried otherwise where a kernel lacks it.
pub(crate) const EMULATED: &[&str] = &[
    "taskrun flag",
    "multishot poll",
    "multishot recvmsg",
    "buffer ring",
    "write without signal",
    "accept",
    "connect",
    "recv",
    "recvmsg",
    "send",
    "sendmsg",
    "read",
    "readv",
    "write",
    "writev",
    "shutdown",
    "close",
    "open",
    "statx",
    "fsync",
];

/// Options of ports on `backend`, named: as it is; and io_uring also as kernels have it that lack a part of it, for what
/// is carried quite otherwise there.
pub(crate) fn flavours(backend: Backend) -> Vec<(&'static str, Builder)> {
    let mut flavours = vec![("as it is", Port::builder().backend(backend))];
    if backend == Backend::Uring {
        let without: [(&str, &[&str]); 4] = [
            ("task work by interrupt", &["defer taskrun", "single issuer", "taskrun flag"]),
            ("no multishot", &["multishot poll", "multishot accept", "multishot recv", "multishot recvmsg"]),
            ("no buffer ring", &["buffer ring", "no sq array", "submit all"]),
            ("all emulated", EMULATED),
        ];
        flavours.extend(without.map(|(name, features)| {
            let builder = Port::builder().backend(backend);
            (name, features.iter().fold(builder, |builder, feature| builder.without(feature)))
        }));
    }
    flavours
}

/// Waits for the next completion. Makes no heap allocation itself, so it may be used where they are counted.
#[track_caller]
pub(crate) fn one(port: &mut Port) -> Completion {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(completion) = port.next() {
            return completion;
        }
        let left = deadline.saturating_duration_since(Instant::now());
        assert!(!left.is_zero(), "no completion within {PATIENCE:?}; {} in flight", port.in_flight());
        port.wait(Some(left)).expect("wait");
    }
}

/// Waits for exactly `n` completions and returns them in the order in which they came.
#[track_caller]
pub(crate) fn drive(port: &mut Port, n: usize) -> Vec<Completion> {
    (0..n).map(|_| one(port)).collect()
}

/// Lets the port run for `time` and returns what completed: for promises that something does not happen.
pub(crate) fn drive_for(port: &mut Port, time: Duration) -> Vec<Completion> {
    let mut done = Vec::new();
    let deadline = Instant::now() + time;
    loop {
        while let Some(completion) = port.next() {
            done.push(completion);
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return done;
        }
        port.wait(Some(left)).expect("wait");
    }
}

/// Waits until `reached` holds, for things that happen outside of the port.
#[track_caller]
pub(crate) fn eventually(what: &str, mut reached: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !reached() {
        assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}
