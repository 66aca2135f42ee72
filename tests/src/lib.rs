//! What the end-to-end stories stand on: a fleet of embedded clusters with the real issuer and agents.
//!
//! ```text
//!  Fleet { management, remotes[] }  embedded API servers, CRDs and the product's own RBAC installed
//!  Faults                           a client that stops answering before or after its Nth write
//! ```

mod faults;

pub use faults::{CrashPoint, Faults};
