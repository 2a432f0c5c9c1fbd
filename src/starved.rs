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
        self.plain.claims + self.named.claims == 0
    }

    /// The line that an operation stands in.
    #[inline]
    pub(crate) fn of(&mut self, raw: &RawOp) -> &mut Line {
        if let RawOp::RecvFromPooledMulti = raw { &mut self.named } else { &mut self.plain }
    }
}

#[derive(Default)]
pub(crate) struct Line {
    /// By their numbers, which ascend (after the highest comes 0). Some may have been given up meanwhile.
    waiting: VecDeque<(u32, OpId)>,
    last: u32,
    /// Those that wait, and those with a number that try again right now.
    claims: usize,
}

impl Line {
    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// True when a receive without a number has to wait, because those with one come first.
    pub(crate) fn has_claims_on(&self, available: usize) -> bool {
        !self.waiting.is_empty() || (self.claims > 0 && self.claims >= available)
    }

    /// An operation waits, perhaps with a number from before; returns its number.
    pub(crate) fn wait(&mut self, number: Option<u32>, id: OpId) -> u32 {
        self.claims += 1;
        let Some(number) = number else {
            self.last = self.last.wrapping_add(1);
            self.waiting.push_back((self.last, id));
            return self.last;
        };
        let place = self.waiting.partition_point(|&(other, _)| is_before(other, number));
        self.waiting.insert(place, (number, id));
        number
    }

    /// Whose turn it is.
    pub(crate) fn next(&mut self) -> Option<OpId> {
        let (_, id) = self.waiting.pop_front()?;
        self.claims -= 1;
        Some(id)
    }

    /// An operation with a number tries again ...
    pub(crate) fn tries(&mut self) {
        self.claims += 1;
    }

    /// ... and that has ended, one way or another.
    pub(crate) fn has_tried(&mut self) {
        self.claims -= 1;
    }
}

/// Whether a number was drawn before another. Those in use lie closer together than half of all.
fn is_before(one: u32, other: u32) -> bool {
    (one.wrapping_sub(other) as i32) < 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::slot::Slots;

    #[test]
    fn who_waits_again_comes_first_also_where_numbers_begin_anew() {
        let mut slots = Slots::new(0);
        let ids = [(); 4].map(|()| {
            let slot = slots.allocate();
            slots.id(slot)
        });
        let mut line = Line { last: u32::MAX - 2, ..Line::default() };
        let numbers: Vec<u32> = ids[..3].iter().map(|&id| line.wait(None, id)).collect();
        assert_eq!(numbers, [u32::MAX - 1, u32::MAX, 0]);
        assert_eq!((line.next(), line.next()), (Some(ids[0]), Some(ids[1])));
        assert_eq!(line.wait(None, ids[3]), 1);
        line.wait(Some(numbers[1]), ids[1]);
        line.wait(Some(numbers[0]), ids[0]);
        let order: Vec<OpId> = std::iter::from_fn(|| line.next()).collect();
        assert_eq!(order, ids);
    }
}
