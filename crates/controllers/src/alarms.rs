//! Wake-ups at a time of the system's clock, which may be set while tokio's time goes on evenly.
//!
//! ```text
//!   tokio's time   ├────10 min────┼────10 min────┼──▶ looks at the clock: no alarm is due, and nobody is woken
//!   the clock      ├──────────────┼──────╱ set ╱─┼──▶ it shows something else than the time that passed: all look again
//! ```
//!
//! A sleep until a time that is a month off would not see that the clock is set meanwhile, so it is cut into pieces. Cutting
//! it for the keys instead, a pass every ten minutes, costs a large fleet millions of passes and requests for nothing.

use crate::clock::Clock;
use jiff::{SignedDuration, Timestamp};
use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::time::Duration;
use tokio::time::Instant;

/// How long it may take until it is noticed that the clock was set.
const CLOCK_CHECK: Duration = Duration::from_secs(600);
/// A clock that shows this much more or less than the time that passed was set: slewing and leap seconds are less.
const SET: SignedDuration = SignedDuration::from_secs(2);

/// Keys and the times at which they want to be woken, one each.
pub(crate) struct Alarms<K> {
    clock: Clock,
    /// By time, then in the order in which they were set.
    by_time: BTreeMap<(Timestamp, u64), K>,
    by_key: HashMap<K, (Timestamp, u64)>,
    set: u64,
    /// When the clock was looked at, and what it showed.
    looked: (Instant, Timestamp),
}

/// Why somebody is woken.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Rung<K> {
    /// It is time for these, if any.
    Due(Vec<K>),
    /// The clock was set: whatever was decided by the time it showed may be wrong.
    ClockWasSet,
}

impl<K: Clone + Eq + Hash> Alarms<K> {
    pub(crate) fn new(clock: Clock) -> Self {
        let looked = (Instant::now(), clock.now());
        Self { clock, by_time: BTreeMap::new(), by_key: HashMap::new(), set: 0, looked }
    }

    /// Wakes this key at this time, and not at the one that it wanted before.
    pub(crate) fn set(&mut self, key: K, at: Timestamp) {
        self.clear(&key);
        self.set += 1;
        self.by_time.insert((at, self.set), key.clone());
        self.by_key.insert(key, (at, self.set));
    }

    /// Does not wake this key.
    pub(crate) fn clear(&mut self, key: &K) {
        if let Some(place) = self.by_key.remove(key) {
            self.by_time.remove(&place);
        }
    }

    /// Waits until somebody is to be woken, or the clock has to be looked at. Loses nothing when it is dropped before.
    pub(crate) async fn ring(&mut self) -> Rung<K> {
        let check = self.looked.0 + CLOCK_CHECK;
        let now = self.clock.now();
        let first = self.by_time.first_key_value().map(|((at, _), _)| at.duration_since(now));
        let due = first
            .map(|left| Instant::now() + Duration::try_from(left).unwrap_or(Duration::ZERO).min(CLOCK_CHECK));
        tokio::time::sleep_until(due.map_or(check, |due| due.min(check))).await;
        self.look()
    }

    fn look(&mut self) -> Rung<K> {
        let (instant, now) = (Instant::now(), self.clock.now());
        let (before, shown) = std::mem::replace(&mut self.looked, (instant, now));
        let passed = SignedDuration::try_from(instant - before).unwrap_or(SignedDuration::MAX);
        let unexplained = now.duration_since(shown).saturating_sub(passed);
        if unexplained.abs() > SET {
            return Rung::ClockWasSet;
        }
        let mut due = Vec::new();
        while let Some(first) = self.by_time.first_entry().filter(|first| first.key().0 <= now) {
            let key = first.remove();
            self.by_key.remove(&key);
            due.push(key);
        }
        Rung::Due(due)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicI64, Ordering};

    /// A clock that follows tokio's and may be set besides, and alarms that go by it.
    fn alarms() -> (Arc<AtomicI64>, Alarms<&'static str>) {
        let (ahead, even) = (Arc::new(AtomicI64::new(0)), Clock::following_tokio(Timestamp::UNIX_EPOCH));
        let set = Arc::clone(&ahead);
        let clock =
            Clock::from_fn(move || even.now() + SignedDuration::from_secs(set.load(Ordering::Relaxed)));
        (ahead, Alarms::new(clock))
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    /// Looks at the clock until there is something.
    async fn next(alarms: &mut Alarms<&'static str>) -> (Rung<&'static str>, u64) {
        let begin = Instant::now();
        loop {
            let rung = alarms.ring().await;
            if rung != Rung::Due(Vec::new()) {
                return (rung, begin.elapsed().as_secs());
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn each_is_woken_when_it_wanted_last_however_far_off_that_is() {
        let (_, mut alarms) = alarms();
        let month = 30 * 24 * 3600;
        alarms.set("a", at(5));
        alarms.set("b", at(20));
        alarms.set("c", at(30));
        alarms.set("a", at(month));
        alarms.clear(&"c");
        assert_eq!(next(&mut alarms).await, (Rung::Due(vec!["b"]), 20));
        assert_eq!(next(&mut alarms).await, (Rung::Due(vec!["a"]), month.unsigned_abs() - 20));
    }

    #[tokio::test(start_paused = true)]
    async fn a_time_that_is_over_is_now() {
        let (_, mut alarms) = alarms();
        tokio::time::advance(Duration::from_secs(60)).await;
        alarms.set("a", at(5));
        assert_eq!(next(&mut alarms).await, (Rung::Due(vec!["a"]), 0));
    }

    #[tokio::test(start_paused = true)]
    async fn that_the_clock_was_set_is_noticed_within_ten_minutes_in_either_direction() {
        for seconds in [3 * 24 * 3600, -3 * 24 * 3600, 3, -3] {
            let (ahead, mut alarms) = alarms();
            alarms.set("a", at(30 * 24 * 3600));
            ahead.store(seconds, Ordering::Relaxed);
            let (rung, after) = next(&mut alarms).await;
            assert_eq!(rung, Rung::ClockWasSet, "{seconds}");
            assert!(after <= CLOCK_CHECK.as_secs(), "{seconds}: {after}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_clock_that_is_slewed_was_not_set() {
        let (ahead, mut alarms) = alarms();
        alarms.set("a", at(24 * 3600));
        for second in 1..=100 {
            ahead.store(second, Ordering::Relaxed);
            assert_eq!(alarms.ring().await, Rung::Due(Vec::new()));
        }
        let (rung, after) = next(&mut alarms).await;
        assert_eq!((rung, after), (Rung::Due(vec!["a"]), 24 * 3600 - 100 - 100 * 600));
    }
}
