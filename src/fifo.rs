//! A queue for what comes and goes in bursts.

use std::hint::cold_path;

/// A list that is taken from its front. Usually all is taken before it is filled again, so that nothing has to wrap around as
/// it does in a ring: putting in and taking out is some instructions each.
pub(crate) struct Fifo<T> {
    list: Vec<T>,
    /// So many at its front are taken already.
    taken: usize,
}

/// Items for which there is room from the first one on: one that is put in and taken at once, again and again, has to make room
/// no more often than that.
const LEAST: usize = 64;

impl<T: Copy> Fifo<T> {
    pub(crate) fn new() -> Fifo<T> {
        Fifo { list: Vec::new(), taken: 0 }
    }

    #[inline(always)]
    pub(crate) fn len(&self) -> usize {
        self.list.len() - self.taken
    }

    #[inline(always)]
    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    #[inline(always)]
    pub(crate) fn push(&mut self, item: T) {
        if self.list.len() == self.list.capacity() {
            self.make_room();
        }
        self.list.push(item);
    }

    /// Takes the first one out.
    #[inline(always)]
    pub(crate) fn take(&mut self) -> Option<T> {
        let Some(&item) = self.list.get(self.taken) else {
            cold_path();
            self.list.clear();
            self.taken = 0;
            return None;
        };
        self.taken += 1;
        Some(item)
    }

    /// The next ones that will be taken, at most so many.
    #[cfg_attr(all(windows, not(test)), expect(dead_code, reason = "a reactor's"))]
    pub(crate) fn first_mut(&mut self, most: usize) -> &mut [T] {
        let end = self.list.len().min(self.taken + most);
        &mut self.list[self.taken..end]
    }

    /// Puts the one back that was taken last.
    #[cfg_attr(all(windows, not(test)), expect(dead_code, reason = "a reactor's"))]
    pub(crate) fn put_back(&mut self, item: T) {
        self.taken -= 1;
        self.list[self.taken] = item;
    }

    /// Makes use of the room of what is taken, if that is half of all: then no more is moved than was taken, and all that was
    /// ever moved is no more than all that was ever put in. Else the list grows.
    #[cold]
    fn make_room(&mut self) {
        if self.taken > self.list.len() / 2 {
            self.list.drain(..self.taken);
            self.taken = 0;
        } else {
            self.list.reserve(LEAST);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::VecDeque;

    #[test]
    fn what_is_put_in_comes_out_once_and_in_order() {
        let mut random = fastrand::Rng::with_seed(7);
        for longest in [1, 5, 300] {
            let (mut fifo, mut expected) = (Fifo::new(), VecDeque::new());
            for number in 0..20_000 {
                match random.u8(..) % 8 {
                    0..4 if expected.len() < longest => {
                        fifo.push(number);
                        expected.push_back(number);
                    }
                    4 => assert!(fifo.first_mut(3).iter().eq(expected.iter().take(3))),
                    5 => {
                        if let Some(first) = fifo.take() {
                            fifo.put_back(first);
                        }
                    }
                    _ => assert_eq!(fifo.take(), expected.pop_front()),
                }
                assert_eq!((fifo.len(), fifo.is_empty()), (expected.len(), expected.is_empty()));
            }
        }
    }

    #[test]
    fn its_memory_is_no_more_than_some_times_what_was_in_it() {
        let mut fifo = Fifo::new();
        for number in 0..100_000 {
            fifo.push(number);
            // Ten stay, so that it is never empty.
            if number >= 10 {
                assert_eq!(fifo.take(), Some(number - 10));
            }
        }
        assert!(fifo.list.capacity() <= 64, "{}", fifo.list.capacity());
    }
}
