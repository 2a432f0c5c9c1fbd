//! The receives that wait for a buffer of the pool, in their order.
//!
//! A receive that finds the pool empty draws a number and waits. As buffers come back the lowest numbers try again; who
//! then finds the pool empty once more (others can be faster: a kernel hands buffers out as data comes, and a multishot
//! receive takes what it can get) keeps its number until it has had a buffer. Who asks meanwhile queues behind them.
//!
//! There is such a line for each pool. Used by the port alone, which keeps an operation's number in its slot's head.

use crate::op::raw::RawOp;
use crate::slot::OpId;
use std::collections::VecDeque;

/// The lines of a port.
#[derive(Default)]
pub(crate) struct Starved {
    pub(crate) plain: Line,
    /// For buffers with names.
    pub(crate) named: Line,
}

impl Starved {
    /// True when nobody waits, nor tries again.
    #[inline]
    pub(crate) fn is_idle(&self) -> bool {
        self.plain.claims() + self.named.claims() == 0
    }

    /// The line that an operation stands in.
    #[inline]
    pub(crate) fn of(&mut self, raw: &RawOp) -> &mut Line {
        if let RawOp::RecvFromPooledMulti = raw { &mut self.named } else { &mut self.plain }
    }
}

#[derive(Default)]
pub(crate) struct Line {
    /// By their numbers, which ascend. Some may have been given up meanwhile.
    waiting: VecDeque<(u64, OpId)>,
    last: u64,
    /// Those with a number that try again right now.
    trying: usize,
}

impl Line {
    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Those that wait or try again.
    #[inline]
    fn claims(&self) -> usize {
        self.waiting.len() + self.trying
    }

    /// True when a receive without a number has to wait, because those with one come first.
    pub(crate) fn has_claims_on(&self, available: usize) -> bool {
        !self.waiting.is_empty() || (self.trying > 0 && self.trying >= available)
    }

    /// An operation waits, perhaps with a number from before; returns its number.
    pub(crate) fn wait(&mut self, number: Option<u64>, id: OpId) -> u64 {
        let Some(number) = number else {
            self.last += 1;
            self.waiting.push_back((self.last, id));
            return self.last;
        };
        let place = self.waiting.partition_point(|&(other, _)| other < number);
        self.waiting.insert(place, (number, id));
        number
    }

    /// Whose turn it is.
    pub(crate) fn next(&mut self) -> Option<OpId> {
        self.waiting.pop_front().map(|(_, id)| id)
    }

    /// An operation with a number tries again ...
    pub(crate) fn tries(&mut self) {
        self.trying += 1;
    }

    /// ... and that has ended, one way or another.
    pub(crate) fn has_tried(&mut self) {
        self.trying -= 1;
    }
}
