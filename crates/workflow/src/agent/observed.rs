//! What an agent sees of one certificate.

use certmesh_api::certificates::{CertificateRequest, IssuedCertificate, ObjectRef};
use k8s_openapi::api::core::v1::Secret;

use crate::examine::{AnswerFacts, CopyFacts, IssuedFacts, LiveRoots, PendingKeyFacts, TrustAnchors};
use crate::object::{Examined, name_of};

/// All that a pass of the agent reads. Names are fixed: request and pending key have the copy's, the issued Secret has the
/// name in its spec.
#[derive(Clone, Copy, Debug)]
pub struct Observed<'a> {
    /// The namespace that the agent runs in; what it writes is labelled with it.
    pub agent_namespace: &'a str,
    /// The copy of the intent.
    pub copy: Examined<'a, IssuedCertificate, CopyFacts>,
    /// Another copy that has the better claim to the same issued Secret, if there is one: see [`rival`](super::rival).
    pub rival: Option<&'a ObjectRef>,
    /// The Secret that the spec names.
    pub issued: Option<Examined<'a, Secret, IssuedFacts>>,
    /// Why that Secret could not be read, when the API server would not let the agent.
    pub unreadable: Option<&'a str>,
    /// The Secret of the pending key's name.
    pub key: Option<Examined<'a, Secret, PendingKeyFacts>>,
    /// The request of the copy's name.
    pub request: Option<Examined<'a, CertificateRequest, AnswerFacts>>,
    /// What proxies trust now: the `istio-ca-root-cert` ConfigMaps that the agent may read, at least the one in the issued
    /// Secret's namespace.
    pub live_roots: &'a [LiveRoots],
    /// The pin in the agent's namespace, if there is one.
    pub trust_anchors: Option<&'a TrustAnchors>,
}

impl Observed<'_> {
    /// Namespace and name of copy, request and pending key.
    pub(super) fn name(&self) -> ObjectRef {
        name_of(self.copy.object)
    }
}
