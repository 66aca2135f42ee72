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
        let available_at = self.full_at? - self.earned_every * (self.burst - 1);
        (available_at > now).then_some(available_at)
    }

    /// Takes one out of the budget.
    pub fn take(&mut self, now: Timestamp) {
        let full_at = self.full_at.map_or(now, |full_at| full_at.max(now));
        self.full_at = Some(full_at + self.earned_every);
    }
}
