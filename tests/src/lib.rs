//! What the end-to-end stories stand on: a fleet of embedded clusters with the real issuer and agents.
//!
//! ```text
//!  Fleet { management, remotes[] }  embedded API servers, CRDs and the product's own RBAC installed
//!  Faults                           a client that stops answering before or after its Nth write
//!  Witness                          sees every version of an issued Secret, and whether it was whole
//! ```

mod faults;
mod fleet;
mod witness;

pub use faults::{CrashPoint, Faults};
pub use fleet::{
    Fleet, HOME, Kind, ROOT_CA, Running, SharedLog, Transport, ensure_namespace, intent, is_clean, is_ready,
    reason, signing_secret,
};
pub use witness::Witness;
