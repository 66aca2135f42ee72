//! What was found, as data. The JSON is stable: fields are only ever added.

use certmesh_x509::{Certificate, PemItem, TrustBundle, verify_chain};
use jiff::Timestamp;
use serde::Serialize;

use super::{
    contents::{Content, Contents, FileContents, Role, SecretFacts},
    lint::{Finding, Severity},
    source::Source,
};

/// Everything that `inspect` has to say.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Report {
    /// What was looked at.
    pub(super) source: String,
    /// What it is for.
    pub(super) role: Role,
    /// The Secret around the files.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) secret: Option<SecretReport>,
    pub(super) files: Vec<FileReport>,
    /// Whether the certificate verifies; absent when there is nothing to verify, or nothing to verify it by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) chain: Option<ChainReport>,
    /// The worst of the findings; absent when there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) severity: Option<Severity>,
    pub(super) findings: Vec<Finding>,
    #[serde(skip)]
    pub(super) now: Timestamp,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SecretReport {
    pub(super) namespace: String,
    pub(super) name: String,
    #[serde(rename = "type")]
    pub(super) type_: String,
    /// The intent it was issued for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) issued_for: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct FileReport {
    pub(super) name: String,
    pub(super) bytes: usize,
    pub(super) items: Vec<ItemReport>,
}

/// One thing in a file.
#[derive(Debug, Serialize)]
#[serde(tag = "kind", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub(super) enum ItemReport {
    Certificate(Box<CertificateReport>),
    Request {
        subject: String,
        names: Vec<String>,
        key_algorithm: String,
        public_key_fingerprint: String,
    },
    PrivateKey {
        algorithm: String,
        /// SHA-256 of the public half (SubjectPublicKeyInfo).
        public_key_fingerprint: String,
        /// Whether it is the key of the certificate that this is about, if there is one.
        #[serde(skip_serializing_if = "Option::is_none")]
        belongs_to_certificate: Option<bool>,
    },
    Other {
        label: String,
    },
    Unreadable {
        reason: String,
    },
    /// Not PEM, and not looked into.
    Opaque,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct CertificateReport {
    /// RFC 4514.
    pub(super) subject: String,
    pub(super) issuer: String,
    /// Lower-case hexadecimal.
    pub(super) serial_number: String,
    /// SHA-256 of the DER.
    pub(super) fingerprint: String,
    pub(super) not_before: Timestamp,
    pub(super) not_after: Timestamp,
    pub(super) key_algorithm: String,
    /// SHA-256 of the SubjectPublicKeyInfo.
    pub(super) public_key_fingerprint: String,
    pub(super) signature_algorithm: String,
    pub(super) is_ca: bool,
    pub(super) is_self_signed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) path_length: Option<u8>,
    pub(super) key_usages: Vec<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) extended_key_usages: Vec<String>,
    pub(super) names: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) subject_key_identifier: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) authority_key_identifier: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ChainReport {
    pub(super) verified: bool,
    /// Subjects from the certificate up to its root.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) path: Vec<String>,
    /// Until when all of it is valid.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) not_after: Option<Timestamp>,
    /// Why it does not verify.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) error: Option<String>,
}

impl Report {
    pub(super) fn new(source: &Source, contents: &Contents, findings: Vec<Finding>, now: Timestamp) -> Self {
        Self {
            source: source.name.clone(),
            role: contents.role,
            secret: contents.secret.as_ref().map(SecretReport::new),
            files: contents.files.iter().map(|file| FileReport::new(file, contents)).collect(),
            chain: ChainReport::new(contents, now),
            severity: findings.iter().map(|finding| finding.severity).max(),
            findings,
            now,
        }
    }

    /// The worst of the findings.
    pub(super) fn severity(&self) -> Option<Severity> {
        self.severity
    }
}

impl SecretReport {
    fn new(facts: &SecretFacts) -> Self {
        Self {
            namespace: facts.namespace.clone(),
            name: facts.name.clone(),
            type_: facts.type_.clone(),
            issued_for: facts.issued_for.clone(),
        }
    }
}

impl FileReport {
    fn new(file: &FileContents, contents: &Contents) -> Self {
        let items = match &file.content {
            Content::Pem(pem) => pem.items.iter().map(|item| ItemReport::new(item, contents)).collect(),
            Content::BadPem(error) => vec![ItemReport::Unreadable { reason: error.to_string() }],
            Content::Opaque => vec![ItemReport::Opaque],
        };
        Self { name: file.name.clone(), bytes: file.bytes, items }
    }
}

impl ItemReport {
    fn new(item: &PemItem, contents: &Contents) -> Self {
        let unreadable = |error: &dyn std::error::Error| Self::Unreadable { reason: error.to_string() };
        match item {
            PemItem::Certificate(Ok(certificate)) => {
                Self::Certificate(Box::new(CertificateReport::new(certificate)))
            }
            PemItem::Certificate(Err(error)) => unreadable(error),
            PemItem::Request(Ok(description)) => Self::Request {
                subject: description.claimed_subject.to_string(),
                names: description.claimed_names.iter().map(ToString::to_string).collect(),
                key_algorithm: description.request.public_key().algorithm_name(),
                public_key_fingerprint: description.request.public_key().fingerprint().to_string(),
            },
            PemItem::Request(Err(error)) => unreadable(error),
            PemItem::PrivateKey(Ok(key)) => Self::PrivateKey {
                algorithm: key.algorithm().to_string(),
                public_key_fingerprint: key.public_key().fingerprint().to_string(),
                belongs_to_certificate: contents
                    .parts
                    .certificate
                    .as_ref()
                    .map(|(_, certificate)| certificate.public_key() == key.public_key()),
            },
            PemItem::PrivateKey(Err(error)) => unreadable(error),
            PemItem::Other(label) => Self::Other { label: label.clone() },
        }
    }
}

impl CertificateReport {
    fn new(certificate: &Certificate) -> Self {
        Self {
            subject: certificate.subject().to_string(),
            issuer: certificate.issuer().to_string(),
            serial_number: certificate.serial_number().to_string(),
            fingerprint: certificate.fingerprint().to_string(),
            not_before: certificate.not_before(),
            not_after: certificate.not_after(),
            key_algorithm: certificate.public_key().algorithm_name(),
            public_key_fingerprint: certificate.public_key().fingerprint().to_string(),
            signature_algorithm: certificate.signature_algorithm_name(),
            is_ca: certificate.is_ca(),
            is_self_signed: certificate.is_self_signed(),
            path_length: certificate.path_length(),
            key_usages: key_usages(certificate),
            extended_key_usages: certificate.extended_key_usages().unwrap_or_default(),
            names: certificate.subject_alt_names().iter().map(ToString::to_string).collect(),
            subject_key_identifier: certificate.subject_key_identifier().map(ToString::to_string),
            authority_key_identifier: certificate.authority_key_identifier().map(ToString::to_string),
        }
    }
}

fn key_usages(certificate: &Certificate) -> Vec<&'static str> {
    let Some(usage) = certificate.key_usage() else { return Vec::new() };
    [
        (usage.digital_signature(), "digitalSignature"),
        (usage.non_repudiation(), "nonRepudiation"),
        (usage.key_encipherment(), "keyEncipherment"),
        (usage.data_encipherment(), "dataEncipherment"),
        (usage.key_agreement(), "keyAgreement"),
        (usage.key_cert_sign(), "keyCertSign"),
        (usage.crl_sign(), "cRLSign"),
    ]
    .into_iter()
    .filter_map(|(is_set, name)| is_set.then_some(name))
    .collect()
}

impl ChainReport {
    fn new(contents: &Contents, now: Timestamp) -> Option<Self> {
        let (_, certificate) = contents.parts.certificate.as_ref()?;
        let roots = TrustBundle::from_certificates(contents.parts.roots.clone()).ok()?;
        Some(match verify_chain(certificate, &contents.parts.chain, &roots, now) {
            Ok(path) => Self {
                verified: true,
                path: path.certificates().iter().map(|step| step.subject().to_string()).collect(),
                not_after: Some(path.not_after()),
                error: None,
            },
            Err(error) => {
                Self { verified: false, path: Vec::new(), not_after: None, error: Some(error.to_string()) }
            }
        })
    }
}
