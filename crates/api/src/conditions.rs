//! Conditions in kstatus form: `Ready`, `Reconciling`, `Stalled`.
//!
//! `kubectl wait --for=condition=Ready`, Flux and Argo CD understand these without a plug-in: exactly one of the
//! three is the headline. `Reconciling` and `Stalled` are present only while true.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

/// The certificate is in place and belongs to the current intent and trust.
pub const READY: &str = "Ready";
/// Work is under way, nobody needs to act.
pub const RECONCILING: &str = "Reconciling";
/// Nothing will happen until a person acts.
pub const STALLED: &str = "Stalled";

/// The API server's limit for a condition's message (`metav1.Condition`).
const MAX_MESSAGE: usize = 32_768;

/// The headline of an object: which of the three conditions holds, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Headline {
    /// In place; nothing left to do.
    Ready {
        /// CamelCase reason.
        reason: &'static str,
        /// For people.
        message: String,
    },
    /// Under way.
    Reconciling {
        /// CamelCase reason.
        reason: &'static str,
        /// For people; ends with the next action.
        message: String,
        /// Whether what is in place is still good while work goes on.
        still_ready: bool,
    },
    /// A person has to act.
    Stalled {
        /// CamelCase reason.
        reason: &'static str,
        /// For people; ends with the next action.
        message: String,
        /// Whether what is in place is still good meanwhile.
        still_ready: bool,
    },
}

impl Headline {
    /// The reason of the headline.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Ready { reason, .. } | Self::Reconciling { reason, .. } | Self::Stalled { reason, .. } => {
                reason
            }
        }
    }

    /// The conditions that say so. Keeps `lastTransitionTime` of those in `previous` whose status does not change;
    /// conditions of other types in `previous` are not carried over.
    pub fn conditions(&self, previous: &[Condition], generation: i64, now: Timestamp) -> Vec<Condition> {
        let make = |type_: &str, status: bool, reason: &str, message: &str| {
            condition(previous, type_, status, reason, message, generation, now)
        };
        match self {
            Self::Ready { reason, message } => vec![make(READY, true, reason, message)],
            Self::Reconciling { reason, message, still_ready } => {
                vec![make(READY, *still_ready, reason, message), make(RECONCILING, true, reason, message)]
            }
            Self::Stalled { reason, message, still_ready } => {
                vec![make(READY, *still_ready, reason, message), make(STALLED, true, reason, message)]
            }
        }
    }
}

/// One condition; `lastTransitionTime` is kept from `previous` when the status is the same.
pub fn condition(
    previous: &[Condition],
    type_: &str,
    status: bool,
    reason: &str,
    message: &str,
    generation: i64,
    now: Timestamp,
) -> Condition {
    let status = if status { "True" } else { "False" };
    let since = previous
        .iter()
        .find(|condition| condition.type_ == type_ && condition.status == status)
        .map_or(Time(now), |condition| condition.last_transition_time.clone());
    Condition {
        type_: type_.to_owned(),
        status: status.to_owned(),
        reason: reason.to_owned(),
        message: cut(message),
        observed_generation: (generation > 0).then_some(generation),
        last_transition_time: since,
    }
}

fn cut(message: &str) -> String {
    if message.len() <= MAX_MESSAGE {
        return message.to_owned();
    }
    let end = (0..=MAX_MESSAGE - 3).rev().find(|&at| message.is_char_boundary(at)).unwrap_or(0);
    format!("{}...", &message[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn the_transition_time_moves_only_with_the_status() {
        let ready = Headline::Ready { reason: "Issued", message: "in place".into() };
        let first = ready.conditions(&[], 1, at(10));
        let again = ready.conditions(&first, 2, at(20));
        assert_eq!(again[0].last_transition_time, Time(at(10)));
        assert_eq!(again[0].observed_generation, Some(2));
        let stalled = Headline::Stalled { reason: "Refused", message: "act".into(), still_ready: false };
        let changed = stalled.conditions(&again, 2, at(30));
        assert_eq!(changed[0].last_transition_time, Time(at(30)));
        assert_eq!((changed[0].status.as_str(), changed[1].type_.as_str()), ("False", STALLED));
    }

    #[test]
    fn a_long_message_is_cut_at_a_character() {
        let message = "ü".repeat(MAX_MESSAGE);
        let cut = cut(&message);
        assert!(cut.len() <= MAX_MESSAGE && cut.ends_with("..."));
    }
}
