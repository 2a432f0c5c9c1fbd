//! How much to measure, with what, and where.

use std::io;
use std::time::Duration;

use anyport::Backend;

use super::affinity::Cores;
use super::contest::{Against, Contestant, Goal, Sample};
use super::sys::{CPU_TICK, wine};

/// How long a turn measures at least.
const TURN: Duration = Duration::from_millis(100);

/// The same of one that needs no preparation.
const SHORT_TURN: Duration = Duration::from_millis(50);

/// What all benchmarks of a run have in common.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The short version.
    pub quick: bool,
    /// The rounds of a contest whose turns are whole.
    pub rounds: usize,
    /// Where what is measured and its load run.
    pub cores: Cores,
    /// The backends to measure.
    pub backends: Vec<Candidate>,
}

impl Plan {
    /// The rounds of a contest whose turns are cut: as many more as they are shorter. Then what is compared is near in time.
    pub fn many_rounds(&self) -> usize {
        self.rounds * self.cuts(TURN)
    }

    /// How long one turn measures, when it goes by time: many steps of the clock of CPU time.
    pub fn window(&self) -> Duration {
        self.whole_window() / self.cuts(TURN) as u32
    }

    /// The rounds of a contest whose turns need no preparation, and can be shorter still.
    pub fn most_rounds(&self) -> usize {
        self.rounds * self.cuts(SHORT_TURN)
    }

    /// How long such a turn measures.
    pub fn short_window(&self) -> Duration {
        self.whole_window() / self.cuts(SHORT_TURN) as u32
    }

    /// How many operations one turn measures, when it goes by their number: its part of `full`.
    pub fn scaled(&self, full: usize) -> usize {
        self.whole(full) / self.cuts(TURN)
    }

    /// How many operations a turn measures that is not to be cut: `full`, or a tenth of it. Under Wine, where every system
    /// call asks another process, a tenth of that.
    pub fn whole(&self, full: usize) -> usize {
        let full = if wine().is_some() { full / 10 } else { full };
        if self.quick { full / 10 } else { full }
    }

    fn whole_window(&self) -> Duration {
        let (least, steps) = if self.quick { (60, 16) } else { (400, 64) };
        Duration::from_millis(least).max(CPU_TICK * steps)
    }

    /// How many turns a whole one is cut into, none of them shorter than this.
    fn cuts(&self, least: Duration) -> usize {
        let least = least.max(CPU_TICK * 64);
        (self.whole_window().as_nanos() / least.as_nanos()).max(1) as usize
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
        mut turn: impl FnMut(Backend) -> io::Result<Sample> + 'a,
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
