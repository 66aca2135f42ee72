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

pub mod patch;
pub mod rbac;
pub mod resource;
pub mod selector;
pub mod status;
pub mod store;
pub mod table;
