//! What an issuer does, and the objects that come of it.

use std::fmt;

use certmesh_api::certificates::{
    CertificateRequest, CertificateRequestState, CertificateRequestStatus, IssuedCertificate,
};
use certmesh_x509::{
    Certificate, CertificateAuthority, IntermediateParameters, KeyError, PublicKey, SerialNumber,
    SigningError, TrustBundle,
};
use jiff::Timestamp;
use k8s_openapi::ByteString;

use crate::examine::RequestFacts;
use crate::issuance::{IssuanceDecision, IssuanceRecord};
use crate::object::{Examined, ObjectVersion, name_of};
use crate::text;

/// One write of the issuer. Effects on the intent are for the management cluster, all others for the remote one.
#[derive(Clone, Debug)]
pub enum Effect {
    /// Update the intent: our finalizer is on it.
    AddFinalizer(Box<IssuedCertificate>),
    /// Update the intent: our finalizer is off it.
    ReleaseIntent(Box<IssuedCertificate>),
    /// Create the copy.
    CreateCopy(Box<IssuedCertificate>),
    /// Update the copy, if it still has the uid and resourceVersion in its metadata.
    UpdateCopy(Box<IssuedCertificate>),
    /// Delete the copy, if it still has this uid.
    DeleteCopy(ObjectVersion),
    /// Sign the request's key, log it, then write the answer.
    Sign(Box<Sign>),
    /// Log it, then write the answer: there will be no certificate.
    RefuseRequest(Box<AnswerRequest>),
    /// Write what the request waits for.
    DeferRequest(Box<AnswerRequest>),
    /// Delete a request that nobody is left to clean up, if it still has this uid.
    DeleteRequest(ObjectVersion),
}

/// A request with another status, to be written as its status with the uid and resourceVersion in its metadata.
#[derive(Clone, Debug)]
pub struct AnswerRequest {
    /// The whole request.
    pub request: CertificateRequest,
    /// The line of the issuance log to write before. None for a request that only waits.
    pub record: Option<IssuanceRecord>,
}

/// A signature to be made. Everything about the certificate but its key comes from the intent.
#[derive(Clone)]
pub struct Sign {
    pub(super) request: CertificateRequest,
    pub(super) parameters: IntermediateParameters,
    pub(super) key: PublicKey,
    pub(super) authority: CertificateAuthority,
    pub(super) roots: TrustBundle,
    pub(super) record: IssuanceRecord,
    pub(super) now: Timestamp,
}

impl Sign {
    /// Signs; takes about a millisecond with an RSA-4096 CA. What this CA cannot sign is answered with a refusal, what
    /// went wrong in the library is an error.
    pub fn sign(&self, serial_number: &SerialNumber) -> Result<AnswerRequest, KeyError> {
        match self.authority.sign_intermediate(&self.parameters, &self.key, serial_number, self.now) {
            Ok(certificate) => Ok(self.answered(&certificate)),
            Err(SigningError::Key(error)) => Err(error),
            Err(error) => Ok(self.refused(&error)),
        }
    }

    fn refused(&self, error: &SigningError) -> AnswerRequest {
        let record = IssuanceRecord {
            decision: IssuanceDecision::Refused,
            reason: Some("CannotSign"),
            issuer: Some(self.authority.certificate().subject().to_string()),
            ..self.record.clone()
        };
        let message = format!("the signing CA cannot sign this certificate: {error}");
        AnswerRequest {
            request: answered(&self.request, CertificateRequestState::Failed, &message),
            record: Some(record),
        }
    }

    fn answered(&self, certificate: &Certificate) -> AnswerRequest {
        let above = self.authority.issued_chain();
        let chain = Certificate::write_chain(std::iter::once(certificate).chain(&above));
        let record = IssuanceRecord {
            serial_number: Some(certificate.serial_number().to_string()),
            certificate_fingerprint: Some(certificate.fingerprint().to_string()),
            issuer: Some(certificate.issuer().to_string()),
            lifetime_seconds: Some(certificate.not_after().as_second() - self.now.as_second()),
            ..self.record.clone()
        };
        let mut request = answered(&self.request, CertificateRequestState::Finished, "");
        if let Some(status) = &mut request.status {
            status.signed_certificate = Some(ByteString(certificate.to_pem().into_bytes()));
            status.signing_root_ca = Some(ByteString(self.roots.as_pem().to_vec()));
            status.cert_chain = Some(ByteString(chain.into_bytes()));
        }
        AnswerRequest { request, record: Some(record) }
    }
}

/// The request with this state and error as its status.
pub(super) fn answered(
    request: &CertificateRequest,
    state: CertificateRequestState,
    error: &str,
) -> CertificateRequest {
    let mut request = request.clone();
    request.metadata.managed_fields = None;
    request.status = Some(CertificateRequestStatus {
        observed_generation: request.metadata.generation.unwrap_or_default(),
        error: text::bounded(error),
        state,
        ..CertificateRequestStatus::default()
    });
    request
}

/// Says what a request waits for, unless it says so already or is answered.
pub(super) fn deferred(
    request: Examined<'_, CertificateRequest, RequestFacts>,
    message: &str,
) -> Option<Effect> {
    let answer = answered(request.object, CertificateRequestState::Pending, message);
    let is_answered = request.facts.state != CertificateRequestState::Pending;
    (!is_answered && answer.status != request.object.status)
        .then(|| Effect::DeferRequest(Box::new(AnswerRequest { request: answer, record: None })))
}

impl fmt::Debug for Sign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sign")
            .field("request", &name_of(&self.request))
            .field("resource_version", &self.request.metadata.resource_version)
            .field("key", &self.key)
            .field("parameters", &self.parameters)
            .field("authority", &self.authority.certificate().fingerprint())
            .field("roots", &self.roots.fingerprints())
            .finish_non_exhaustive()
    }
}
