//! How many signatures and refusals a cluster may ask for. Each is a line of the issuance log.

use jiff::{SignedDuration, Timestamp};

/// Answers in a row before the rate limit is felt.
const BURST: i64 = 500;
/// The time in which one answer is earned back: ten a second.
const EARNED_EVERY: SignedDuration = SignedDuration::from_millis(100);

/// One cluster's budget of answers: 500 at once, then 10 a second.
///
/// Kept as the one instant at which the bucket would be full again, so there is no count to drift.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TokenBucket {
    full_at: Option<Timestamp>,
}

impl TokenBucket {
    /// Nothing when an answer may be given now, else when the next one may.
    pub fn exhausted_until(&self, now: Timestamp) -> Option<Timestamp> {
        let full_at = self.full_at?;
        let available_at = full_at - EARNED_EVERY * i32::try_from(BURST - 1).unwrap_or(i32::MAX);
        (available_at > now).then_some(available_at)
    }

    /// Takes an answer out of the budget.
    pub fn take(&mut self, now: Timestamp) {
        let full_at = self.full_at.map_or(now, |full_at| full_at.max(now));
        self.full_at = Some(full_at + EARNED_EVERY);
    }
}
