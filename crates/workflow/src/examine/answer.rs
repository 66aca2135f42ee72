//! What a CertificateRequest was answered with.

use certmesh_api::certificates::{CertificateRequest, CertificateRequestState, CertificateRequestStatus};
use certmesh_x509::{Certificate, Fingerprint, TrustBundle, VerifiedPath};

use super::chain::verify_at_some_time;
use super::request::{RequestFacts, request};
use crate::trust;

/// A request and its answer, as its agent sees them.
#[derive(Clone, Debug)]
pub struct AnswerFacts {
    /// The request.
    pub request: RequestFacts,
    /// Its answer.
    pub answer: Answer,
}

/// The issuer's answer.
#[derive(Clone, Debug)]
pub enum Answer {
    /// None yet.
    Awaited {
        /// What the issuer waits for; empty when it has not said anything.
        error: String,
    },
    /// It is about an earlier version of the request.
    Outdated,
    /// There will be no certificate.
    Refused {
        /// Why, and what to do.
        error: String,
    },
    /// A certificate that cannot be used.
    Unusable {
        /// What is wrong with it.
        error: String,
    },
    /// A CA certificate whose chain verifies to the roots given.
    Signed(SignedAnswer),
}

/// A CA certificate with chain and roots that belong together.
#[derive(Clone, Debug)]
pub struct SignedAnswer {
    /// From the certificate to a root, with the time in which all of it is valid.
    pub path: VerifiedPath,
    /// What stands above the certificate, up to but not including the root.
    pub chain: Vec<Certificate>,
    /// The roots to trust.
    pub roots: TrustBundle,
    /// Fingerprint of chain and roots, to be held against the copy's.
    pub trust: Fingerprint,
}

impl SignedAnswer {
    /// The certificate.
    pub fn certificate(&self) -> &Certificate {
        self.path.certificate()
    }
}

/// Reads a request with its answer.
pub fn answer(object: &CertificateRequest) -> AnswerFacts {
    let request = request(object);
    let answer = match &object.status {
        None => Answer::Awaited { error: String::new() },
        Some(status) => read(status, &request),
    };
    AnswerFacts { request, answer }
}

fn read(status: &CertificateRequestStatus, request: &RequestFacts) -> Answer {
    match status.state {
        CertificateRequestState::Pending => Answer::Awaited { error: status.error.clone() },
        _ if !request.status_is_current => Answer::Outdated,
        CertificateRequestState::Failed => Answer::Refused { error: status.error.clone() },
        CertificateRequestState::Finished => match signed(status) {
            Ok(signed) => Answer::Signed(signed),
            Err(error) => Answer::Unusable { error },
        },
    }
}

fn signed(status: &CertificateRequestStatus) -> Result<SignedAnswer, String> {
    let bytes = |field: &Option<k8s_openapi::ByteString>| field.clone().unwrap_or_default().0;
    let certificate = Certificate::from_pem(&bytes(&status.signed_certificate))
        .map_err(|error| format!("status.signedCertificate: {error}"))?;
    let mut chain = Certificate::parse_chain(&bytes(&status.cert_chain))
        .map_err(|error| format!("status.certChain: {error}"))?;
    let roots = TrustBundle::from_pem(&bytes(&status.signing_root_ca))
        .map_err(|error| format!("status.signingRootCa: {error}"))?;
    if chain.first() != Some(&certificate) {
        return Err("status.certChain does not start with status.signedCertificate".to_owned());
    }
    chain.remove(0);
    check_flags(&certificate)?;
    let path = verify_at_some_time(&certificate, &chain, &roots)
        .map_err(|error| format!("the chain does not verify: {error}"))?;
    let trust = trust::of_path(&path, &chain, &roots);
    Ok(SignedAnswer { path, chain, roots, trust })
}

/// CA:TRUE, pathLen:0, keyCertSign: what istiod needs to sign workload certificates, and no more.
fn check_flags(certificate: &Certificate) -> Result<(), String> {
    if !certificate.is_ca() {
        return Err("the certificate is not a CA's (basicConstraints CA:TRUE is missing)".to_owned());
    }
    if certificate.path_length() != Some(0) {
        return Err("the certificate may sign further CAs (pathLen is not 0)".to_owned());
    }
    if !certificate.may_sign_certificates() {
        return Err("the certificate may not sign certificates (keyUsage lacks keyCertSign)".to_owned());
    }
    Ok(())
}
