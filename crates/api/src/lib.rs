//! The Kubernetes kinds that certmesh speaks, and the names, labels and Secret layouts around them.
//!
//! Data only: nothing here decides anything. Kinds read and write exactly the JSON of Gloo Mesh 1.1–1.3; what
//! certmesh adds is optional, and each addition says so in its documentation.
//!
//! ```text
//!  certificates::IssuedCertificate    what is wanted (management cluster: the intent; remote cluster: its copy)
//!  certificates::CertificateRequest   the agent's signing request, and the issuer's answer in its status
//!  certificates::PodBounceDirective   pods to restart once a certificate is in place
//!  multicluster::KubernetesCluster    a registered remote cluster
//!  secrets                            what the Secrets hold: pending key, issued certificate, signing CA, kubeconfig
//!  names                              labels, annotations, Secret types, finalizers
//!  conditions                         `Ready`, `Reconciling`, `Stalled` in kstatus form
//!  crds                               the CustomResourceDefinitions, generated from the types above
//!  manifests                          what is installed: definitions, accounts, rights, Deployments
//! ```

// The derive of `KubeSchema` repeats each struct inside a function, where its `pub` reaches nothing.
#![allow(unreachable_pub)]
// Printer columns repeat `type_ = "string"`, which clippy takes for one attribute given twice.
#![allow(clippy::duplicated_attributes)]

pub mod certificates;
mod cluster_name;
pub mod conditions;
pub mod crds;
pub mod manifests;
pub mod multicluster;
pub mod names;
pub mod secrets;

pub use cluster_name::{ClusterName, ClusterNameError};
