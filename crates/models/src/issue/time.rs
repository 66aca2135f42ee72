//! Time: seconds since the beginning, of which a state only knows a few.

use jiff::{SignedDuration, Timestamp};

/// When everything begins.
pub(super) const START: Timestamp = Timestamp::constant(1_893_456_000, 0);

/// Seconds since the beginning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Moment(pub(super) u32);

impl Moment {
    /// This many seconds later.
    pub(super) fn later(self, seconds: u32) -> Self {
        Self(self.0 + seconds)
    }

    /// The moment of a wake-up: the first second in which it is over.
    pub(super) fn of(at: Timestamp) -> Self {
        let seconds = at.as_second() - START.as_second() + i64::from(at.subsec_nanosecond() > 0);
        Self(u32::try_from(seconds.max(0)).unwrap_or(u32::MAX))
    }

    /// As the product knows it.
    pub(super) fn timestamp(self) -> Timestamp {
        START + SignedDuration::from_secs(i64::from(self.0))
    }
}
