//! How evenly certificates are renewed over time.
//!
//! Certificates that are issued in one minute are due in one window: the renewals of a fleet that was installed at once come
//! in waves, each as wide as the product's jitter makes it. Within a wave it matters that no day has many more than another;
//! over a year, how many more the busiest day has than the mean. Both are told, and neither is the other.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::DAY;
use super::tally::Delivery;

/// Renewals over time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Spread {
    /// All of the time.
    pub(crate) year: Window,
    /// The first renewals of all certificates, then the second ones, and so on.
    pub(crate) waves: Vec<Window>,
}

/// Renewals in some time.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Window {
    /// Seconds since the beginning at which it opens.
    pub(crate) from: i64,
    /// Seconds since the beginning at which it is over.
    pub(crate) to: i64,
    /// How many there are.
    pub(crate) renewals: usize,
    /// How many there are in the fullest 24 hours.
    pub(crate) most_in_a_day: usize,
}

impl Spread {
    /// Of what was put in place in so many seconds.
    pub(crate) fn of(deliveries: &[Delivery], duration: i64) -> Self {
        let mut seen: BTreeMap<(usize, &str), usize> = BTreeMap::new();
        let mut waves: Vec<Vec<i64>> = Vec::new();
        let mut all = Vec::new();
        for delivery in deliveries {
            let before = seen.entry((delivery.site, &*delivery.secret)).or_default();
            if *before > 0 {
                if waves.len() < *before {
                    waves.push(Vec::new());
                }
                waves[*before - 1].push(delivery.at);
                all.push(delivery.at);
            }
            *before += 1;
        }
        let wave = |times: Vec<i64>| {
            let (from, to) = (times.iter().min().copied(), times.iter().max().copied());
            Window::of(times, from.unwrap_or(0), to.unwrap_or(0))
        };
        Self { year: Window::of(all, 0, duration), waves: waves.into_iter().map(wave).collect() }
    }
}

impl Window {
    fn of(mut times: Vec<i64>, from: i64, to: i64) -> Self {
        times.sort_unstable();
        let within_a_day = |first: usize| times[first..].partition_point(|time| *time < times[first] + DAY);
        let most_in_a_day = (0..times.len()).map(within_a_day).max().unwrap_or(0);
        Self { from, to, renewals: times.len(), most_in_a_day }
    }

    /// Days that it lasts; a part of a day counts as one, since less than all renewals cannot come in it.
    pub(crate) fn days(&self) -> f64 {
        seconds(self.to - self.from).max(seconds(DAY)) / seconds(DAY)
    }

    /// Renewals a day.
    pub(crate) fn mean(&self) -> f64 {
        count(self.renewals) / self.days()
    }

    /// How many times the mean the fullest day has.
    pub(crate) fn most_over_mean(&self) -> f64 {
        if self.renewals == 0 { 1.0 } else { count(self.most_in_a_day) / self.mean() }
    }
}

#[allow(clippy::cast_precision_loss, reason = "seconds of some years are exact in an f64")]
fn seconds(seconds: i64) -> f64 {
    seconds as f64
}

#[allow(clippy::cast_precision_loss, reason = "some millions are exact in an f64")]
fn count(count: usize) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delivery(site: usize, at: i64) -> Delivery {
        Delivery { at, site, secret: "cacerts".to_owned(), left: None }
    }

    #[test]
    fn the_first_certificate_is_no_renewal_and_waves_are_told_apart() {
        let deliveries =
            [delivery(1, 0), delivery(2, 5), delivery(1, DAY), delivery(2, 2 * DAY), delivery(1, 9 * DAY)];
        let spread = Spread::of(&deliveries, 10 * DAY);
        assert_eq!((spread.year.renewals, spread.year.most_in_a_day), (3, 1));
        let waves: Vec<_> = spread.waves.iter().map(|wave| (wave.renewals, wave.from, wave.to)).collect();
        assert_eq!(waves, [(2, DAY, 2 * DAY), (1, 9 * DAY, 9 * DAY)]);
    }

    #[test]
    fn an_even_wave_is_told_from_one_that_is_not() {
        let even: Vec<i64> = (0..40).map(|number| number * DAY / 10).collect();
        let even = Window::of(even, 0, 4 * DAY);
        assert_eq!((even.most_in_a_day, even.most_over_mean().to_string()), (10, "1".to_owned()));
        let uneven: Vec<i64> =
            (0..40).map(|number| if number < 20 { 0 } else { number * DAY / 10 }).collect();
        let uneven = Window::of(uneven, 0, 4 * DAY);
        assert_eq!((uneven.most_in_a_day, uneven.most_over_mean().to_string()), (20, "2".to_owned()));
    }
}
