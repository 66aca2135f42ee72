//! An embedded Kubernetes API server: many virtual clusters in one process.
//!
//! ```text
//!   store     one virtual cluster: objects, revisions, watch log, admission      synchronous, deterministic
//!   resource  what is served: built-ins and CustomResourceDefinitions
//!   schema    structural schemas: prune, default, validate, CEL
//!   patch     JSON, merge and strategic merge patches
//!   selector  label and field selectors
//!   rbac      who may do what
//!   table     what `kubectl get` prints
//!   status    errors as clients see them
//! ```

pub mod cluster;
pub mod http;
pub mod kubeconfig;
pub mod meta;
pub mod patch;
pub mod rbac;
pub mod resource;
mod schema;
pub mod selector;
pub mod server;
mod serving_tls;
pub mod status;
pub mod store;
mod strategy;
pub mod table;

pub use cluster::{Cluster, ClusterError};
pub use kubeconfig::Kubeconfig;
pub use server::{Limits, ServeError, Server};
pub use serving_tls::PkiError;
