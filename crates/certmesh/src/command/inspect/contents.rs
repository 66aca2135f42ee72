//! The bytes, parsed: what each file holds, and which part each certificate and key plays.

use certmesh_api::{
    names::{annotations, secret_types},
    secrets,
};
use certmesh_x509::{Certificate, PemError, PemFile, PemItem, PrivateKey};
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt as _;

use super::source::Source;

/// Where Istio looks for its CA.
const CACERTS: &str = "cacerts";

/// Everything that was read, and what it is for.
pub(super) struct Contents {
    pub(super) role: Role,
    pub(super) files: Vec<FileContents>,
    pub(super) secret: Option<SecretFacts>,
    pub(super) parts: Parts,
}

/// What the whole is for; it decides what is expected of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Role {
    /// An intermediate for a cluster, in Istio's layout.
    IssuedCertificate,
    /// A CA that the issuer signs with.
    SigningCa,
    /// A TLS Secret of a workload.
    TlsSecret,
    /// A key that waits for its certificate.
    PendingKey,
    /// A Secret of another purpose.
    OtherSecret,
    /// A file.
    PemFile,
}

/// What is worth knowing of the Secret itself.
pub(super) struct SecretFacts {
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) type_: String,
    pub(super) issued_for: Option<String>,
    pub(super) recorded_fingerprint: Option<String>,
    pub(super) unmanaged_since: Option<String>,
    pub(super) is_immutable: bool,
}

/// One file.
pub(super) struct FileContents {
    pub(super) name: String,
    pub(super) bytes: usize,
    pub(super) has_crlf: bool,
    pub(super) ends_with_newline: bool,
    pub(super) content: Content,
}

/// What is in a file.
pub(super) enum Content {
    Pem(PemFile),
    /// It looks like PEM, and is not.
    BadPem(PemError),
    /// Something else, which is not looked into.
    Opaque,
}

/// Who plays which part. Each is missing when its file is, or could not be read.
#[derive(Default)]
pub(super) struct Parts {
    /// The certificate that the rest is about, and its file.
    pub(super) certificate: Option<(String, Certificate)>,
    /// The private key, and its file.
    pub(super) key: Option<(String, PrivateKey)>,
    /// The chain, as it stands in its file.
    pub(super) chain: Vec<Certificate>,
    /// The file of the chain, when it is one of its own.
    pub(super) chain_file: Option<String>,
    /// The roots, as they stand in their file.
    pub(super) roots: Vec<Certificate>,
    /// The file of the roots.
    pub(super) roots_file: Option<String>,
}

impl Contents {
    pub(super) fn read(source: &Source) -> Self {
        let files: Vec<FileContents> =
            source.files().into_iter().map(|(name, bytes)| FileContents::read(name, bytes)).collect();
        let role = role(source.secret(), &files);
        let parts = Parts::find(role, &files);
        Self { role, secret: source.secret().map(SecretFacts::new), files, parts }
    }

    /// The file of this name.
    pub(super) fn file(&self, name: &str) -> Option<&FileContents> {
        self.files.iter().find(|file| file.name == name)
    }

    /// Every certificate once, with the file in which it comes first.
    pub(super) fn certificates(&self) -> Vec<(&str, &Certificate)> {
        let mut found: Vec<(&str, &Certificate)> = Vec::new();
        for file in &self.files {
            for certificate in file.certificates() {
                if !found.iter().any(|(_, earlier)| *earlier == certificate) {
                    found.push((&file.name, certificate));
                }
            }
        }
        found
    }
}

impl FileContents {
    fn read(name: &str, bytes: &[u8]) -> Self {
        let looks_like_pem = bytes.windows(10).any(|window| window == b"-----BEGIN");
        let content = match (looks_like_pem, PemFile::read(bytes)) {
            (true, Ok(file)) => Content::Pem(file),
            (true, Err(error)) => Content::BadPem(error),
            (false, _) => Content::Opaque,
        };
        Self {
            name: name.to_owned(),
            bytes: bytes.len(),
            has_crlf: bytes.windows(2).any(|pair| pair == b"\r\n"),
            ends_with_newline: bytes.last() == Some(&b'\n'),
            content,
        }
    }

    /// Its blocks.
    pub(super) fn items(&self) -> &[PemItem] {
        match &self.content {
            Content::Pem(file) => &file.items,
            Content::BadPem(_) | Content::Opaque => &[],
        }
    }

    /// The certificates in it that could be read.
    pub(super) fn certificates(&self) -> impl Iterator<Item = &Certificate> {
        self.items().iter().filter_map(|item| match item {
            PemItem::Certificate(Ok(certificate)) => Some(certificate),
            _ => None,
        })
    }

    fn key(&self) -> Option<&PrivateKey> {
        self.items().iter().find_map(|item| match item {
            PemItem::PrivateKey(Ok(key)) => Some(key),
            _ => None,
        })
    }
}

impl SecretFacts {
    fn new(secret: &Secret) -> Self {
        let annotation = |name: &str| secret.annotations().get(name).cloned();
        Self {
            namespace: secret.namespace().unwrap_or_default(),
            name: secret.name_any(),
            type_: secret.type_.clone().unwrap_or_else(|| "Opaque".to_owned()),
            issued_for: annotation(annotations::ISSUED_FOR),
            recorded_fingerprint: annotation(annotations::FINGERPRINT),
            unmanaged_since: annotation(annotations::UNMANAGED_SINCE),
            is_immutable: secret.immutable == Some(true),
        }
    }
}

fn role(secret: Option<&Secret>, files: &[FileContents]) -> Role {
    let Some(secret) = secret else { return Role::PemFile };
    let has = |name: &str| files.iter().any(|file| file.name == name);
    let is_type = |type_: &str| secret.type_.as_deref() == Some(type_);
    if is_type(secret_types::GENERATED_PRIVATE_KEY) {
        Role::PendingKey
    } else if is_type(secret_types::ISSUED_CERTIFICATE)
        || secret.annotations().contains_key(annotations::ISSUED_FOR)
        || (secret.name_any() == CACERTS && has(secrets::CA_CERT))
    {
        Role::IssuedCertificate
    } else if has(secrets::CA_CERT) || has(secrets::CA_KEY) || has(secrets::OLD_CA_KEY) {
        Role::SigningCa
    } else if has(secrets::TLS_CERT) || has(secrets::TLS_KEY) {
        let first = files.iter().find(|file| file.name == secrets::TLS_CERT);
        let is_ca = first.and_then(|file| file.certificates().next()).is_some_and(Certificate::is_ca);
        if is_ca { Role::SigningCa } else { Role::TlsSecret }
    } else {
        Role::OtherSecret
    }
}

impl Parts {
    fn find(role: Role, files: &[FileContents]) -> Self {
        let has = |name: &str| files.iter().any(|file| file.name == name);
        match role {
            Role::IssuedCertificate => Self::of_files(files, &ISTIO),
            Role::SigningCa if has(secrets::CA_CERT) => Self::of_files(files, &ISTIO),
            Role::SigningCa if has(secrets::TLS_CERT) => Self::of_files(files, &TLS),
            Role::SigningCa => Self::of_files(files, &OLD_ROOT),
            Role::TlsSecret => Self::of_files(files, &TLS),
            Role::PemFile => files.first().map(Self::of_one_file).unwrap_or_default(),
            Role::PendingKey | Role::OtherSecret => Self::default(),
        }
    }

    fn of_files(files: &[FileContents], layout: &Layout) -> Self {
        let file = |name: &str| files.iter().find(|file| file.name == name);
        let certificates = |name: &str| -> Vec<Certificate> {
            file(name).into_iter().flat_map(FileContents::certificates).cloned().collect()
        };
        let mut own = certificates(layout.certificate);
        let certificate = (!own.is_empty()).then(|| (layout.certificate.to_owned(), own.remove(0)));
        Self {
            certificate,
            key: file(layout.key).and_then(|file| Some((file.name.clone(), file.key()?.clone()))),
            chain: layout.chain.map_or(own, certificates),
            chain_file: layout.chain.filter(|name| file(name).is_some()).map(str::to_owned),
            roots: certificates(layout.roots),
            roots_file: file(layout.roots).map(|file| file.name.clone()),
        }
    }

    /// The first certificate is what the file is about; the self-signed ones are its roots.
    fn of_one_file(file: &FileContents) -> Self {
        let all: Vec<Certificate> = file.certificates().cloned().collect();
        let roots: Vec<Certificate> =
            all.iter().filter(|certificate| certificate.is_self_signed()).cloned().collect();
        Self {
            certificate: all.first().map(|first| (file.name.clone(), first.clone())),
            key: file.key().map(|key| (file.name.clone(), key.clone())),
            chain: all.into_iter().skip(1).collect(),
            chain_file: None,
            roots_file: (!roots.is_empty()).then(|| file.name.clone()),
            roots,
        }
    }
}

struct Layout {
    certificate: &'static str,
    key: &'static str,
    chain: Option<&'static str>,
    roots: &'static str,
}

const ISTIO: Layout = Layout {
    certificate: secrets::CA_CERT,
    key: secrets::CA_KEY,
    chain: Some(secrets::CERT_CHAIN),
    roots: secrets::ROOT_CERT,
};
const OLD_ROOT: Layout = Layout {
    certificate: secrets::ROOT_CERT,
    key: secrets::OLD_CA_KEY,
    chain: None,
    roots: secrets::ROOT_CERT,
};
const TLS: Layout =
    Layout { certificate: secrets::TLS_CERT, key: secrets::TLS_KEY, chain: None, roots: secrets::TLS_CA };
