//! Verifying a chain without a clock.

use certmesh_x509::{Certificate, TrustBundle, VerificationError, VerifiedPath, verify_chain};
use jiff::Timestamp;

/// More than any honest set of files needs; a hostile one must not keep us busy.
const MAX_INSTANTS: usize = 8;

/// A path that holds at some time, if there is one; its validity window says when.
///
/// A window that is not empty holds at its beginning, and it begins when some certificate on the path does. So it is enough
/// to try the beginnings: the latest first, which is the certificate's own or its CA's in all but strange cases.
pub(super) fn verify_at_some_time(
    certificate: &Certificate,
    above: &[Certificate],
    roots: &TrustBundle,
) -> Result<VerifiedPath, VerificationError> {
    let mut first_error = None;
    for at in instants(std::iter::once(certificate).chain(above).chain(roots.certificates())) {
        match verify_chain(certificate, above, roots, at) {
            Ok(path) => return Ok(path),
            Err(error) => first_error = first_error.or(Some(error)),
        }
    }
    Err(first_error.expect("there is an instant for the certificate itself"))
}

/// The times at which validity may begin, the most promising first.
pub(super) fn instants<'a>(certificates: impl Iterator<Item = &'a Certificate>) -> Vec<Timestamp> {
    let mut instants: Vec<Timestamp> = certificates.map(Certificate::not_before).collect();
    instants.sort_unstable_by(|a, b| b.cmp(a));
    instants.dedup();
    instants.truncate(MAX_INSTANTS);
    instants
}
