//! What is to be completed: events that were settled, in their order.
//!
//! Usually it is one, of an operation that was over as soon as it was submitted, and is taken at once: it has a place of its
//! own in front of the queue, which costs less than the queue's.

use crate::core::Event;
use std::collections::VecDeque;

#[derive(Default)]
pub(crate) struct Ready {
    first: Option<Event>,
    /// Those behind it; none if there is no first.
    others: VecDeque<Event>,
}

impl Ready {
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    #[inline]
    pub(crate) fn push(&mut self, event: Event) {
        if self.first.is_none() {
            self.first = Some(event);
        } else {
            self.others.push_back(event);
        }
    }

    #[inline]
    pub(crate) fn pop(&mut self) -> Option<Event> {
        let first = self.first?;
        self.first = None;
        if !self.others.is_empty() {
            self.first = self.others.pop_front();
        }
        Some(first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::Outcome;

    #[test]
    fn events_come_out_in_the_order_in_which_they_went_in() {
        let mut ready = Ready::default();
        let event = |slot| Event::last(slot, Outcome::done(0));
        let mut popped = Vec::new();
        for round in 0..3 {
            (0..round).for_each(|slot| ready.push(event(slot)));
            popped.extend(ready.pop().map(Event::slot));
            ready.push(event(10 + round));
        }
        assert!(!ready.is_empty());
        popped.extend(std::iter::from_fn(|| ready.pop()).map(Event::slot));
        assert_eq!(popped, [10, 0, 11, 0, 1, 12]);
        assert!(ready.is_empty());
    }
}
