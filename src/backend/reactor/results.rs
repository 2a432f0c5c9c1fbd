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
    use crate::slot::{At, Slots};

    #[test]
    fn results_come_out_in_the_order_in_which_they_went_in() {
        let mut slots = Slots::new(0);
        let all: Vec<At> = std::iter::repeat_with(|| slots.allocate()).take(4).collect();
        let mut results = Results::default();
        for round in 0..3 {
            results.restart();
            all[..round].iter().for_each(|&slot| results.push(Event::last(slot, Outcome::done(0))));
            assert_eq!(results.take().map(|event| event.slot), (round > 0).then_some(all[0]));
            results.push(Event::last(all[3], Outcome::done(0)));
            assert_eq!(results.len(), round.max(1));
            let rest: Vec<At> = std::iter::from_fn(|| results.take()).map(|event| event.slot).collect();
            let expected: Vec<At> = all[..round].iter().skip(1).chain(&all[3..]).copied().collect();
            assert_eq!(rest, expected);
            assert!(results.is_empty());
        }
    }
}
