//! What the end-to-end stories stand on: a fleet of embedded clusters with the real issuer and agents.
//!
//! ```text
//!  Fleet { management, remotes[] }  embedded API servers, CRDs and the product's own RBAC installed
//!  Faults                           a client that dies before or after its Nth write, or is overtaken at it
//!  Overtaker                        changes objects between a decision and its write
//!  Storm                            all of these and more, drawn from a seed
//!  Link                             the way from the issuer to a remote cluster, and how it fails
//!  Witness                          sees every version of an issued Secret, and whether it was whole
//!  SecretHistory                    the same where others write to that Secret too
//!  Inventory                        everything in a cluster, to see what changed
//!  Forger                           certificates and requests that an attacker makes
//!  edits, forgeries, wrong_*        what they come to, and what is told about it: tables for stories of all kinds
//!  CapturedLogs                     what controllers logged, at every level
//! ```

pub mod edits;
mod faults;
mod fleet;
pub mod forger;
pub mod forgeries;
mod inventory;
mod link;
mod logs;
mod machine;
mod objects;
mod overtaker;
mod reading;
mod secret_history;
mod storm;
mod templates;
mod witness;
pub mod wrong_input;
pub mod wrong_kubeconfigs;

pub use faults::{CrashPoint, Faults, Sent};
pub use fleet::{Fleet, HOME, Kind, ROOT_CA, Running, Transport, ensure_namespace, is_clean, stop};
pub use inventory::Inventory;
pub use link::{Link, LinkState};
pub use logs::{CapturedLogs, SharedLog};
pub use machine::{LocalClock, Signals};
pub use objects::{intent, is_ready, reason, signing_secret};
pub use overtaker::Overtaker;
pub use reading::{certificate_in, condition};
pub use secret_history::{SecretHistory, Version};
pub use storm::{Dice, Storm};
pub use witness::{Witness, whole};

/// A minute of the fleet's time.
pub const MINUTE: std::time::Duration = std::time::Duration::from_secs(60);
/// An hour of the fleet's time.
pub const HOUR: std::time::Duration = std::time::Duration::from_secs(60 * 60);
