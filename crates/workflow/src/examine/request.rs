//! What a CertificateRequest asks for.

use certmesh_api::certificates::{CertificateRequest, CertificateRequestState};
use certmesh_api::names::{annotations, labels};
use certmesh_x509::{PublicKey, RequestError, SigningRequest};
use jiff::Timestamp;
use kube::ResourceExt;

use crate::need::Need;
use crate::object::annotation;

/// What a request asks for. It contributes one thing to a certificate: the key.
#[derive(Clone, Debug)]
pub struct RequestFacts {
    /// The namespace of the agent that made it, if an agent did.
    pub made_by: Option<String>,
    /// What it is for.
    pub need: Option<Need>,
    /// Attempts at the same need that failed before this one.
    pub attempt: u32,
    /// The key to sign, whose private half the requester has proven to hold; or why the request cannot be used.
    pub key: Result<PublicKey, RequestError>,
    /// When it was created.
    pub created: Timestamp,
    /// How its status says it was answered.
    pub state: CertificateRequestState,
    /// Whether the status is about the spec as it is now.
    pub status_is_current: bool,
}

/// Reads a request.
pub fn request(request: &CertificateRequest) -> RequestFacts {
    let csr = request.spec.certificate_signing_request.as_ref().map_or(&[][..], |bytes| &bytes.0);
    let status = request.status.as_ref();
    RequestFacts {
        made_by: request.labels().get(labels::AGENT).cloned(),
        need: annotation(request, annotations::NEED).and_then(|text| text.parse().ok()),
        attempt: annotation(request, annotations::ATTEMPT).and_then(|text| text.parse().ok()).unwrap_or(0),
        key: SigningRequest::from_pem(csr).map(|request| request.public_key().clone()),
        created: request.metadata.creation_timestamp.as_ref().map_or(Timestamp::MIN, |time| time.0),
        state: status.map_or(CertificateRequestState::Pending, |status| status.state),
        status_is_current: status.map(|status| status.observed_generation) == request.metadata.generation,
    }
}
