//! The issuer's decision.
mod effect;
mod observed;

use jiff::Timestamp;

pub use effect::{AnswerRequest, Effect, Sign};
pub use observed::{Authority, Observed, Remote, Settings};

/// What a pass of the issuer decides.
pub type Decision = crate::Decision<Effect>;

/// Decides what to do about one intent.
pub fn decide(now: Timestamp, observed: &Observed<'_>) -> Decision {
    let _ = (now, observed);
    Decision::default()
}
