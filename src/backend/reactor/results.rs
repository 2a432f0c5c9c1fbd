//! What came of calls, until the port takes it up.

use crate::core::Event;

/// Results in their order. They are all taken before new ones are filled in, so that this is a plain list.
#[derive(Default)]
pub(super) struct Results {
    events: Vec<Event>,
    taken: usize,
}

impl Results {
    /// Those that were not taken yet.
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.events.len() - self.taken
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    #[inline]
    pub(super) fn push(&mut self, event: Event) {
        self.events.push(event);
    }

    #[inline]
    pub(super) fn take(&mut self) -> Option<Event> {
        let event = *self.events.get(self.taken)?;
        self.taken += 1;
        Some(event)
    }

    /// Makes room, when all are taken.
    pub(super) fn restart(&mut self) {
        debug_assert!(self.is_empty());
        self.events.clear();
        self.taken = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::Outcome;

    #[test]
    fn results_come_out_in_the_order_in_which_they_went_in() {
        let mut results = Results::default();
        for round in 0..3 {
            results.restart();
            (0..round).for_each(|slot| results.push(Event::last(slot, Outcome::done(0))));
            assert_eq!(results.take().map(Event::slot), (round > 0).then_some(0));
            results.push(Event::last(10, Outcome::done(0)));
            assert_eq!(results.len(), (round.max(1)) as usize);
            let rest: Vec<u32> = std::iter::from_fn(|| results.take()).map(Event::slot).collect();
            assert_eq!(rest, (1..round).chain([10]).collect::<Vec<_>>());
            assert!(results.is_empty());
        }
    }
}
