//! Order statistics of a handful of samples.
//!
//! Every number that the benchmarks print goes through here: a median, because one disturbed round must not move the
//! result, and the smallest and largest beside it, because a median alone hides how disturbed the run was.

use serde::Serialize;

/// The middle and the ends of a set of samples.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Spread {
    /// The middle sample; the mean of the two middle ones when there is no single one.
    pub median: f64,
    /// The smallest sample.
    pub min: f64,
    /// The largest sample.
    pub max: f64,
}

impl Spread {
    /// The spread of `samples`, in any order; `None` when there are none.
    pub fn of(samples: impl IntoIterator<Item = f64>) -> Option<Spread> {
        let mut sorted: Vec<f64> = samples.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        let (&min, &max) = (sorted.first()?, sorted.last()?);
        let middle = sorted.len() / 2;
        let median = if sorted.len() % 2 == 1 { sorted[middle] } else { (sorted[middle - 1] + sorted[middle]) / 2.0 };
        Some(Spread { median, min, max })
    }
}

/// How one contestant compares with another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// It costs less.
    Ahead,
    /// A difference that is smaller than its own spread over the rounds is none.
    NoDifference,
    /// It costs more.
    Behind,
}

impl Order {
    /// By what an operation costs the one, over what it costs the other, within each of so many rounds.
    pub fn of(cost: &Spread, rounds: usize) -> Order {
        let (difference, spread) = (cost.median - 1.0, cost.max - cost.min);
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
        assert_eq!((spread.median, spread.min, spread.max), (5.0, 1.0, 9.0));
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
        assert_eq!(disturbed.max, 9.99);
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
