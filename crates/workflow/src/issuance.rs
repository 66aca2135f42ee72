//! The issuance log: one record for each decision to sign or to refuse.

use jiff::Timestamp;
use serde::Serialize;

/// What was decided on a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum IssuanceDecision {
    /// A certificate was signed.
    Signed,
    /// Nothing was.
    Refused,
}

/// One line of the issuance log, to be written before the answer is. What a remote cluster wrote is escaped and cut.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct IssuanceRecord {
    /// When it was decided.
    pub time: Timestamp,
    /// The cluster that asked, known from the connection.
    pub cluster: String,
    /// `<namespace>/<name>` of the request in that cluster.
    pub object: String,
    /// The request's uid there.
    pub uid: String,
    /// The need it was for; empty when it named none.
    pub need: String,
    /// What was decided.
    pub decision: IssuanceDecision,
    /// Why it was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'static str>,
    /// SHA-256 of the public key's SubjectPublicKeyInfo.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_fingerprint: Option<String>,
    /// Serial number of the certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub serial_number: Option<String>,
    /// SHA-256 of the certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate_fingerprint: Option<String>,
    /// Name of the CA that signed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// Seconds from now to the certificate's end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lifetime_seconds: Option<i64>,
}
