//! Order statistics of a handful of samples.
//!
//! Every number that the benchmarks print goes through here: a median, because one disturbed round must not move the
//! result, and beside it where the median of endlessly many rounds would lie, because a median alone hides how disturbed
//! the run was.

use serde::Serialize;

/// The middle of a set of samples, and how well they tell it: whatever they are distributed like, the interval holds the
/// median of the distribution in [`CONFIDENCE`] of all cases at least.
///
/// So it is nearer to the middle the more samples there are; of five it reaches from the smallest to the largest. (Of fewer
/// it does so, too, and holds less: 75 % of three.)
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Spread {
    /// The middle sample; the mean of the two middle ones when there is no single one.
    pub median: f64,
    /// The lower end of the interval: a sample.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

/// How sure the interval of a [`Spread`] is: 15/16.
pub const CONFIDENCE: f64 = 0.9375;

impl Spread {
    /// The spread of `samples`, in any order; `None` when there are none.
    pub fn of(samples: impl IntoIterator<Item = f64>) -> Option<Spread> {
        let mut sorted: Vec<f64> = samples.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        let cut = outside(sorted.len());
        let (&low, &high) = (sorted.get(cut)?, sorted.get(sorted.len() - 1 - cut)?);
        let middle = sorted.len() / 2;
        let median = if sorted.len() % 2 == 1 { sorted[middle] } else { (sorted[middle - 1] + sorted[middle]) / 2.0 };
        Some(Spread { median, low, high })
    }
}

/// How many samples of so many lie outside of the interval on either side. A sample is below the median as a tossed coin
/// shows heads, so the interval misses the median when a binomially distributed number is at most this, on either side.
fn outside(samples: usize) -> usize {
    let mut probability = 0.5_f64.powi(samples as i32);
    let mut missed = 0.0;
    for heads in 0..samples / 2 {
        missed += 2.0 * probability;
        if missed > 1.0 - CONFIDENCE {
            return heads.saturating_sub(1);
        }
        probability *= (samples - heads) as f64 / (heads + 1) as f64;
    }
    (samples / 2).saturating_sub(1)
}

/// How one contestant compares with another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// It costs less.
    Ahead,
    /// A difference that is smaller than its own spread is none.
    NoDifference,
    /// It costs more.
    Behind,
}

impl Order {
    /// By what an operation costs the one, over what it costs the other, within each of so many rounds.
    pub fn of(cost: &Spread, rounds: usize) -> Order {
        let (difference, spread) = (cost.median - 1.0, cost.high - cost.low);
        match difference {
            // Nobody knows how far one round is from the next.
            _ if rounds < 2 || spread >= difference.abs() => Order::NoDifference,
            ..0.0 => Order::Ahead,
            _ => Order::Behind,
        }
    }
}

/// The `percent`-th percentile of `sorted` (ascending, not empty) by the nearest-rank rule: the smallest sample that
/// at least `percent` per cent of the samples do not exceed.
pub fn percentile(sorted: &[u64], percent: f64) -> u64 {
    let rank = (percent / 100.0 * sorted.len() as f64).ceil() as usize;
    sorted[rank.clamp(1, sorted.len()) - 1]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_odd_number_is_the_middle_sample() {
        let spread = Spread::of([9.0, 1.0, 5.0]).unwrap();
        assert_eq!((spread.median, spread.low, spread.high), (5.0, 1.0, 9.0));
    }

    #[test]
    fn the_median_of_an_even_number_is_between_the_two_middle_samples() {
        assert_eq!(Spread::of([4.0, 1.0, 2.0, 100.0]).unwrap().median, 3.0);
    }

    #[test]
    fn one_disturbed_round_does_not_move_the_median() {
        let calm = Spread::of([1.00, 1.01, 1.02, 1.01, 1.00]).unwrap();
        let disturbed = Spread::of([1.00, 1.01, 9.99, 1.01, 1.00]).unwrap();
        assert_eq!(calm.median, disturbed.median);
        assert_eq!(disturbed.high, 9.99);
    }

    #[test]
    fn the_interval_is_that_of_the_sign_test() {
        // Of so many, the samples that end it, counted from 1, as tables of the sign test have them for 6.25 %.
        for (samples, first, last) in [(1, 1, 1), (3, 1, 3), (5, 1, 5), (8, 1, 8), (9, 2, 8), (25, 8, 18)] {
            let spread = Spread::of((1..=samples).map(f64::from)).unwrap();
            assert_eq!((spread.low, spread.high), (f64::from(first), f64::from(last)), "of {samples}");
        }
    }

    #[test]
    fn many_rounds_show_a_difference_that_few_do_not() {
        // One round in five is disturbed.
        let rounds = |count: usize| (0..count).map(|round| if round % 5 == 0 { 0.8 } else { 1.05 });
        let order = |count| Order::of(&Spread::of(rounds(count)).unwrap(), count);
        assert_eq!((order(5), order(50)), (Order::NoDifference, Order::Behind));
    }

    #[test]
    fn no_samples_have_no_spread() {
        assert_eq!(Spread::of([]), None);
    }

    #[test]
    fn percentiles_follow_the_nearest_rank() {
        let hundred: Vec<u64> = (1..=100).collect();
        assert_eq!(percentile(&hundred, 50.0), 50);
        assert_eq!(percentile(&hundred, 99.0), 99);
        assert_eq!(percentile(&hundred, 99.9), 100);
        assert_eq!(percentile(&hundred, 0.0), 1);
        assert_eq!(percentile(&[7], 50.0), 7);
    }
}
