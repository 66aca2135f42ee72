//! The core: what the agent and the issuer decide, as pure functions.
//!
//! ```text
//!   raw objects ──examine::*──▶ facts          depends on an object's content alone: memoize by (uid, resourceVersion)
//!                                 │
//!   now, &Observed { objects, facts }
//!                                 ▼
//!            agent::decide · issuer::decide    ordered chains of small named functions
//!                                 │
//!                                 ▼
//!   Decision { effects, events, status, wake_at }
//!       in this order: effects one by one, then the status (written last); events as they come
//! ```
//!
//! No client, clock, task or random number is in here: time is a [`jiff::Timestamp`] passed in, keys and serial numbers are
//! passed to the effect that needs them. There is no memory between passes either. What must be remembered is in an object,
//! so that two replicas, a restart and a simulator see the same.
//!
//! An [`Effect`](agent::Effect) is idempotent, names its object and the uid and resourceVersion it was decided on, and has a
//! method that builds the complete Kubernetes object, so that whoever applies it does transport and nothing else. When an
//! effect fails the pass ends there: nothing after it is applied, no status is written, and the next pass starts from what
//! is. A decision with nothing to do is empty; nothing is ever written to say the same again.
//!
//! | module | what it knows |
//! |---|---|
//! | [`need`] | what one certificate is issued for: the identity of a need, and why there is one |
//! | [`examine`] | reading objects: is this Secret whole, what does this request ask for, is this answer good |
//! | [`trust`] | chain and roots at each step of a root rotation, and their fingerprint |
//! | [`agent`] | the remote cluster's side: key, request, answer, issued Secret, report |
//! | [`issuer`] | the management cluster's side: copy, signature or refusal, mirrored status |
//! | [`lease`] | which of several replicas works |
//! | [`schedule`] | when to renew, to try again, to warn of a CA's end |

pub mod agent;
mod budget;
mod decision;
pub mod examine;
mod issuance;
pub mod issuer;
pub mod lease;
pub mod need;
mod object;
pub mod schedule;
mod text;
pub mod trust;

pub use budget::TokenBucket;
pub use decision::{Decision, Event, Severity};
pub use issuance::{IssuanceDecision, IssuanceRecord};
pub use object::{Examined, ObjectVersion, SealedSecret};
pub use text::bounded;
