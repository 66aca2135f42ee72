//! Real Kubernetes API servers on loopback, without containers: what the embedded one is held against.
//!
//! ```text
//!   rig/go.mod ──(cargo xtask rig build)──▶ Binaries { etcd, kube-apiserver, kube-controller-manager }
//!                                              │
//!   Rig::start(binaries, directory, names) ────┤   one etcd, without fsync
//!                                              ├── a cluster per name: its own keys in etcd, RBAC on,
//!                                              │   garbage collector, namespaces, service accounts, disruption budgets
//!                                              └── NAME/kubeconfig
//!   Rig::stop, or dropping it                  every process ended, and reaped
//! ```
//!
//! Nothing is scheduled and no kubelet runs: Pods exist as objects. The processes end with the rig; on Linux with
//! util-linux's `setpriv` they end even when the program that started them is killed.

mod binaries;
mod error;
mod ports;
mod process;
mod ready;
mod rig;

pub use binaries::Binaries;
pub use error::RigError;
pub use rig::{RealCluster, Rig};
