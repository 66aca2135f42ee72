//! What an issuer sees of one intent.

use certmesh_api::ClusterName;
use certmesh_api::certificates::{CertificateRequest, IssuedCertificate};
use jiff::Timestamp;

use crate::examine::{CopyFacts, IntentFacts, RequestFacts, SigningCaFacts};
use crate::object::Examined;

/// All that a pass of the issuer reads for one intent. Copy and request have the intent's name, in the agent's namespace.
#[derive(Clone, Copy, Debug)]
pub struct Observed<'a> {
    /// How this issuer was started.
    pub settings: &'a Settings,
    /// The cluster that the intent is for: its namespace, and the connection that copy and request were read over.
    pub cluster: &'a ClusterName,
    /// The intent.
    pub intent: Examined<'a, IssuedCertificate, IntentFacts>,
    /// What is known of the remote cluster.
    pub remote: Remote<'a>,
    /// The Secret of the CA that signs: [`Authorities::signer`](crate::examine::Authorities::signer).
    pub signer: Authority<'a>,
    /// The other Secret that [`Authorities::needed`](crate::examine::Authorities::needed) names; `Missing` when it names
    /// none.
    pub other: Authority<'a>,
    /// When the cluster's budget of answers is spent: until when.
    pub exhausted_until: Option<Timestamp>,
    /// When the cluster's budget of reports is spent: until when nothing it says is written to intents.
    pub reports_exhausted_until: Option<Timestamp>,
}

/// How an issuer was started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The namespace it runs in. Signing CAs must be there.
    pub namespace: String,
    /// Whether signing CAs may be in other namespaces too.
    pub allows_foreign_ca_namespaces: bool,
}

/// What is known of a remote cluster.
#[derive(Clone, Copy, Debug)]
pub enum Remote<'a> {
    /// Its watches work.
    Connected {
        /// The namespace of its agent, where copies are written.
        agent_namespace: &'a str,
        /// The copy.
        copy: Option<Examined<'a, IssuedCertificate, CopyFacts>>,
        /// The request.
        request: Option<Examined<'a, CertificateRequest, RequestFacts>>,
    },
    /// It is registered but cannot be read now.
    Unreachable {
        /// Why.
        error: &'a str,
    },
    /// Its registration is not in order: a person has to act.
    Refused {
        /// Why, and what to do.
        error: &'a str,
    },
    /// It is not registered (any more).
    Unregistered,
}

/// What is known of a signing CA's Secret.
#[derive(Clone, Copy, Debug)]
pub enum Authority<'a> {
    /// There is none.
    Missing,
    /// It could not be read.
    Unreadable {
        /// Why.
        error: &'a str,
    },
    /// It was read.
    Found(&'a SigningCaFacts),
}
