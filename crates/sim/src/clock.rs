//! Virtual time: it stands still until the scheduler moves it, and every actor may have a clock that is off.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use jiff::{SignedDuration, Timestamp};

/// 2030-01-01T00:00:00Z.
pub(crate) const START: i64 = 1_893_456_000;

/// A clock in microseconds. Clones tell the same time.
#[derive(Clone, Debug)]
pub(crate) struct VirtualClock {
    true_time: Arc<AtomicI64>,
    ahead: Arc<AtomicI64>,
}

impl VirtualClock {
    /// A clock at the start.
    pub(crate) fn new() -> Self {
        Self { true_time: Arc::new(AtomicI64::new(START * 1_000_000)), ahead: Arc::default() }
    }

    /// Another one that goes with this one, but may be set on its own.
    pub(crate) fn local(&self) -> Self {
        Self { true_time: Arc::clone(&self.true_time), ahead: Arc::default() }
    }

    /// What it shows.
    pub(crate) fn now(&self) -> Timestamp {
        let micros = self.micros().saturating_add(self.ahead.load(Ordering::Relaxed));
        Timestamp::from_microsecond(micros).unwrap_or(Timestamp::MAX)
    }

    /// The true time, in microseconds since 1970.
    pub(crate) fn micros(&self) -> i64 {
        self.true_time.load(Ordering::Relaxed)
    }

    /// How far this one is ahead of the true time, in seconds.
    pub(crate) fn skew(&self) -> i64 {
        self.ahead.load(Ordering::Relaxed) / 1_000_000
    }

    /// Sets how far it is ahead, in seconds.
    pub(crate) fn set_skew(&self, seconds: i64) {
        self.ahead.store(seconds * 1_000_000, Ordering::Relaxed);
    }

    /// Time passes, for all.
    pub(crate) fn pass(&self, micros: i64) {
        self.true_time.fetch_add(micros.max(0), Ordering::Relaxed);
    }
}

/// Microseconds of a duration.
pub(crate) fn micros(duration: SignedDuration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}
