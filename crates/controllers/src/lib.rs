//! The shell around [`certmesh_workflow`]: watch → observe → decide → apply → status last.
//!
//! ```text
//!            ┌────────── driver ───────────┐
//!  cache ──▶ │ one pass at a time per key  │ ──▶ agent::pass  / issuer::pass
//!  (watch)   │ caches must show own writes │       observe ▸ workflow::…::decide ▸ apply ▸ status
//!            └─────────────────────────────┘
//! ```
//!
//! Thin on purpose: what is not in `workflow` is not simulated, so nothing is decided here.

pub mod agent;
mod alarms;
mod cache;
mod clock;
mod connect;
mod deadline;
mod driver;
mod election;
mod error;
mod events;
mod health;
mod issuance_log;
pub mod issuer;
mod keys;
mod kubeconfig;
mod memo;
mod metrics;
mod requests;
pub mod stepwise;
mod tasks;
mod transport;

pub use cache::{Cache, Change, Feed, watch_config};
pub use clock::Clock;
pub use connect::{ConnectError, connect};
pub use driver::{Driver, DriverBuilder, Pass, Reconciler, Trigger, Written};
pub use election::{ElectionConfig, Term, while_elected};
pub use error::{PassError, status_code};
pub use health::{Readiness, serve as serve_health};
pub use issuance_log::IssuanceLog;
pub use keys::KeyMaker;
pub use kubeconfig::{KubeconfigRefusal, client_from_secret, parse as parse_kubeconfig};
pub use metrics::Metrics;
pub use tasks::Spawner;
pub use transport::{ApiRequest, ApiVerb, Transport};

pub use certmesh_workflow::lease::Timing;
