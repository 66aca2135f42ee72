//! Workloads of several clusters that talk to each other over mutual TLS: the proof that issued certificates do what
//! they are for.
//!
//! ```text
//!   cluster-1                                          cluster-2
//!   cacerts ─▶ Workload: leaf + cert-chain.pem  ◀─mTLS─▶  Workload ◀─ cacerts
//!              trusts its own root-cert.pem only          trusts its own root-cert.pem only
//! ```
//!
//! A [`Workload`] is issued from a cluster's Secret as istiod would do it. What a peer presents is judged by rustls and
//! webpki, as ztunnel and linkerd do, never by the code that issued it; its SPIFFE ID is read only then. No session is
//! ever resumed: each [`connection`](probe::connect) is a whole handshake over TCP.

mod probe;
mod traffic;
mod verifier;
mod workload;

#[cfg(test)]
pub(crate) mod tests;

pub use probe::{Endpoint, ProbeError, connect};
pub use traffic::{Tally, Traffic};
pub use workload::{Workload, WorkloadError};
