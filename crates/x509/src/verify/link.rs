//! One step of a path: may this certificate be the issuer of the path below it?

use super::{VerificationError, name_constraints};
use crate::certificate::Certificate;

/// Every check of a step but the signature, cheap ones first. The path goes from the certificate to verify up to the one
/// that names this issuer.
pub(super) fn check(issuer: &Certificate, path: &[Certificate]) -> Result<(), VerificationError> {
    let head = path.last().expect("a path starts with the certificate to verify");
    check_authority_key(issuer, head)?;
    check_is_ca(issuer)?;
    check_may_issue(issuer)?;
    check_path_length(issuer, path)?;
    name_constraints::check(issuer, path)
}

fn check_authority_key(issuer: &Certificate, head: &Certificate) -> Result<(), VerificationError> {
    if head.may_be_issued_by(issuer) {
        return Ok(());
    }
    Err(VerificationError::AuthorityKeyMismatch {
        subject: head.subject().to_string(),
        issuer: issuer.subject().to_string(),
    })
}

fn check_is_ca(issuer: &Certificate) -> Result<(), VerificationError> {
    if issuer.is_ca() {
        return Ok(());
    }
    Err(VerificationError::IssuerNotCa { issuer: issuer.subject().to_string() })
}

/// What a CA must allow wherever it stands on a path, at the start too.
pub(super) fn check_may_issue(ca: &Certificate) -> Result<(), VerificationError> {
    if ca.may_sign_certificates() {
        return Ok(());
    }
    Err(VerificationError::MayNotSign { issuer: ca.subject().to_string() })
}

/// RFC 5280 would not count the last certificate nor self-issued ones; Go and webpki do count the latter, and a CA that is
/// last here is one above leaves later.
fn check_path_length(issuer: &Certificate, path: &[Certificate]) -> Result<(), VerificationError> {
    let below = path.iter().filter(|certificate| certificate.is_ca()).count();
    match issuer.path_length() {
        Some(limit) if below > usize::from(limit) => {
            Err(VerificationError::PathLengthExceeded { issuer: issuer.subject().to_string(), limit, below })
        }
        Some(_) | None => Ok(()),
    }
}
