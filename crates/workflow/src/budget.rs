//! How much a cluster may ask of the issuer: a hostile one costs the others nothing.

use jiff::{SignedDuration, Timestamp};

/// One cluster's budget of something: so many at once, then so many a second.
///
/// Kept as the one instant at which the bucket would be full again, so there is no count to drift.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenBucket {
    burst: i32,
    earned_every: SignedDuration,
    full_at: Option<Timestamp>,
}

impl TokenBucket {
    /// Of signatures and refusals, each of which is a line of the issuance log: 500 at once, then 10 a second.
    pub const fn of_answers() -> Self {
        Self { burst: 500, earned_every: SignedDuration::from_millis(100), full_at: None }
    }

    /// Of what the cluster's agent says and the issuer repeats on intents, each a write to the management cluster: 1000 at
    /// once, then 40 a second. An answer is worth two or three.
    pub const fn of_reports() -> Self {
        Self { burst: 1000, earned_every: SignedDuration::from_millis(25), full_at: None }
    }

    /// Nothing when one may be taken now, else when the next one may.
    pub fn exhausted_until(&self, now: Timestamp) -> Option<Timestamp> {
        let available_at = self.plausible(now)? - self.earned_every * (self.burst - 1);
        (available_at > now).then_some(available_at)
    }

    /// Takes one out of the budget.
    pub fn take(&mut self, now: Timestamp) {
        let full_at = self.plausible(now).map_or(now, |full_at| full_at.max(now));
        self.full_at = Some(full_at.saturating_add(self.earned_every).unwrap_or(Timestamp::MAX));
    }

    /// When it would be full again. Nothing when that is further off than spending could bring it: then the clock was set
    /// back, and what was spent before has long been earned again.
    fn plausible(&self, now: Timestamp) -> Option<Timestamp> {
        let furthest = now.saturating_add(self.earned_every * self.burst * 2).unwrap_or(Timestamp::MAX);
        self.full_at.filter(|full_at| *full_at <= furthest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_900_000_000 + second).unwrap()
    }

    fn spent(bucket: &mut TokenBucket, now: Timestamp) -> usize {
        (0..10_000)
            .take_while(|_| bucket.exhausted_until(now).is_none().then(|| bucket.take(now)).is_some())
            .count()
    }

    #[test]
    fn what_is_spent_is_earned_again() {
        for (bucket, burst, a_second) in
            [(TokenBucket::of_answers(), 500, 10), (TokenBucket::of_reports(), 1000, 40)]
        {
            let mut bucket = bucket;
            assert_eq!(spent(&mut bucket, at(0)), burst);
            assert!(bucket.exhausted_until(at(0)).is_some_and(|until| until <= at(1)));
            assert_eq!(spent(&mut bucket, at(1)), a_second);
        }
    }

    /// The clock of an issuer was three days ahead when it repeated a report; then it was set right. Nothing its clusters
    /// said was repeated, and nothing they asked for was signed, for three days.
    #[test]
    fn a_clock_that_is_set_back_does_not_close_the_budget() {
        let ahead = 3 * 86_400;
        let mut bucket = TokenBucket::of_reports();
        bucket.take(at(ahead));
        assert_eq!(bucket.exhausted_until(at(0)), None);
        assert_eq!(spent(&mut bucket, at(0)), 1000, "it is whole, and no more than whole");
        assert!(bucket.exhausted_until(at(0)).is_some());
    }
}
