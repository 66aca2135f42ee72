//! The shell's one source of time. Decisions get a `Timestamp`; nobody else asks the system.

use jiff::{SignedDuration, Timestamp};
use std::sync::Arc;

/// Tells the time. Cheap to clone.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> Timestamp + Send + Sync>);

impl Clock {
    /// The system's clock.
    pub fn system() -> Self {
        Self(Arc::new(Timestamp::now))
    }

    /// A clock that starts at `start` and follows tokio's, so that a test with paused time moves both together.
    pub fn following_tokio(start: Timestamp) -> Self {
        let begin = tokio::time::Instant::now();
        Self(Arc::new(move || {
            let elapsed = SignedDuration::try_from(begin.elapsed()).unwrap_or(SignedDuration::MAX);
            start.saturating_add(elapsed).unwrap_or(Timestamp::MAX)
        }))
    }

    /// A clock that shows what this function says.
    pub fn from_fn(now: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    /// The time now.
    pub fn now(&self) -> Timestamp {
        (self.0)()
    }

    /// As a function, for what takes one.
    pub fn as_fn(&self) -> Arc<dyn Fn() -> Timestamp + Send + Sync> {
        Arc::clone(&self.0)
    }
}
