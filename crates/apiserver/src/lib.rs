//! An embedded Kubernetes API server: many virtual clusters in one process.
//!
//! For tests, demonstrations and simulations of Kubernetes clients and controllers, where a real API server (a Go build, etcd,
//! certificates, seconds to start) is too much and a mock is too little. A cluster here takes under a millisecond to make,
//! answers kube-rs and an unmodified kubectl, and fails the way the real server fails: same status codes, same messages.
//!
//! ```
//! use certmesh_apiserver::{Cluster, Server};
//! use k8s_openapi::api::core::v1::Namespace;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let cluster = Cluster::new("test")?;
//!
//! // In this process: an ordinary kube client, without sockets or TLS.
//! let client = cluster.client(Cluster::admin());
//! let namespaces: kube::Api<Namespace> = kube::Api::all(client);
//! assert!(namespaces.get_opt("default").await?.is_some());
//!
//! // For kubectl and other processes: HTTPS on loopback, and a kubeconfig that says where and as whom.
//! let server = Server::default();
//! server.serve(&cluster).await?;
//! let kubeconfig = cluster.kubeconfig(Cluster::admin())?;
//! assert!(kubeconfig.server().starts_with("https://127.0.0.1:"));
//! server.shutdown().await;
//! # Ok(())
//! # }
//! ```
//!
//! # The rooms
//!
//! ```text
//!                 kube::Client                 kubectl, other processes
//!                      │ in process                   │ HTTPS
//!                      ▼                              ▼
//!   cluster     one virtual cluster ◀──────────── server            kubeconfig
//!                      │
//!   http        requests: who asks, may they, in what form; discovery, OpenAPI, watches as streams
//!                      │
//!   store       objects, revisions, watch log, admission             synchronous, deterministic
//!     resource  what is served: built-ins and CustomResourceDefinitions
//!     schema    structural schemas: prune, default, validate, CEL
//!     patch     JSON, merge and strategic merge patches
//!     selector  label and field selectors
//!     rbac      who may do what
//!     table     what `kubectl get` prints
//!     status    errors as clients see them
//! ```
//!
//! [`store::Store`] can be used by itself: it knows neither HTTP nor an async runtime, takes its time and randomness from
//! the caller, and gives the same answers to the same calls.
//!
//! # For tests of controllers
//!
//! [`Cluster::client`] gives an ordinary [`kube::Client`] for any user, under RBAC: hand it to the code under test. What
//! kube-apiserver would refuse is refused, in its words. `examples/embedded.rs` runs a controller with a kind of its own;
//! [`Cluster::with_config`] takes a clock and randomness of the test's own. [`Server`] serves the same cluster to kubectl and
//! to other processes.
//!
//! What a cluster takes and holds is bounded: bodies, heads, objects, patches, rules, connections, event logs, and what waits
//! for slow readers. See [`Limits`], [`store::Limits`] and the README.
//!
//! # What it is not
//!
//! There is an API server here and nothing behind it: no scheduler, no kubelet, no controllers but those without which the API
//! itself would not work (namespace deletion, the default ServiceAccount). Server-side apply is refused with 415, and there
//! are no webhooks, no aggregated API servers, and none of the streaming subresources (`exec`, `log`, `portforward`).
//! `docs/apiserver.md` in the repository tells how it is held against a real server, and where the two differ.

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

/// The README's code is compiled and run as documentation is.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

pub use cluster::{Cluster, ClusterError};
pub use http::BearerToken;
pub use kubeconfig::Kubeconfig;
pub use server::{Limits, ServeError, Server};
pub use serving_tls::PkiError;
