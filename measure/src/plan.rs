//! How much to measure, with what, and where.

use std::io;
use std::time::Duration;

use anyport::Backend;

use super::affinity::Cores;
use super::contest::{Against, Contestant, Goal, Sample};

/// What all benchmarks of a run have in common.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The short version.
    pub quick: bool,
    /// The rounds of a contest.
    pub rounds: usize,
    /// Where what is measured and its load run.
    pub cores: Cores,
    /// The backends to measure.
    pub backends: Vec<Candidate>,
}

impl Plan {
    /// The rounds of a contest.
    pub fn rounds(&self) -> usize {
        self.rounds
    }

    /// How long one turn measures, when it goes by time.
    pub fn window(&self) -> Duration {
        Duration::from_millis(if self.quick { 60 } else { 400 })
    }

    /// How many operations one turn measures, when it goes by their number: `full`, or a tenth of it.
    pub fn scaled(&self, full: usize) -> usize {
        if self.quick { full / 10 } else { full }
    }
}

/// A backend to measure, or the reason why this machine refuses it.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// Which.
    pub backend: Backend,
    /// What [`Backend::check`] says.
    pub here: Result<(), String>,
}

impl Candidate {
    /// Finds out whether `backend` runs here.
    pub fn check(backend: Backend) -> Candidate {
        Candidate { backend, here: backend.check() }
    }

    /// The contestant whose `turn` measures this backend.
    pub fn contestant<'a>(
        &self,
        against: Option<Against>,
        goal: Option<Goal>,
        turn: impl Fn(Backend) -> io::Result<Sample> + 'a,
    ) -> Contestant<'a> {
        let backend = self.backend;
        Contestant {
            name: format!("anyport, {backend}"),
            backend: Some(backend),
            against,
            goal,
            turn: match &self.here {
                Ok(()) => Ok(Box::new(move || turn(backend))),
                Err(why) => Err(why.clone()),
            },
        }
    }
}
