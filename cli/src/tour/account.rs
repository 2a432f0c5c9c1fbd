//! What is known about the steps on one backend, once they have been played: plain data for the telling.

use std::time::Duration;

use anyport::Backend;

use super::steps::PerStep;

/// A system call that was really made.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Call {
    /// Its name, as in section 2 of the manual.
    pub(super) name: String,
    /// What went in, for people.
    pub(super) arguments: String,
    /// What came out.
    pub(super) result: String,
    /// What that means, in a few words; empty where there is nothing to say.
    pub(super) meaning: String,
    /// About how long it took, in microseconds.
    pub(super) micros: f64,
}

/// The calls of a step, in order.
pub(super) type Calls = Vec<Call>;

/// Everything about one backend.
#[derive(Clone, Debug)]
pub(super) struct Account {
    pub(super) backend: Backend,
    /// How long each step took, undisturbed: the medians of many rounds.
    pub(super) own: PerStep<Duration>,
    /// How long after the peer began to speak the wait returned, likewise.
    pub(super) woken: Duration,
    /// The system calls, or why they could not be seen.
    pub(super) calls: Result<PerStep<Calls>, String>,
}
