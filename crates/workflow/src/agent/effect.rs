//! What an agent does, and the objects that come of it.

use std::collections::BTreeMap;
use std::fmt;

use certmesh_api::certificates::{CertificateRequest, CertificateRequestSpec, IssuedCertificate, ObjectRef};
use certmesh_api::names::{annotations, labels, secret_types};
use certmesh_api::secrets::PRIVATE_KEY;
use certmesh_x509::{Hosts, KeyAlgorithm, PrivateKey, RequestError, SigningRequest, SubjectName};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::need::{Need, NeedReason};
use crate::object::{ObjectVersion, SealedSecret};

/// One write of the agent, all of them in its own cluster.
#[derive(Clone, Debug)]
pub enum Effect {
    /// Make a private key and store it, create-only.
    CreateKey(CreateKey),
    /// Ask for a signature, create-only.
    CreateRequest(CreateRequest),
    /// Put a certificate in place: one write of the whole Secret.
    StoreIssued(StoreIssued),
    /// Delete the request, if it still has this uid.
    DeleteRequest(ObjectVersion),
    /// Delete the pending key, if it still has this uid.
    DeleteKey(ObjectVersion),
    /// Say on the issued Secret that nothing renews it any more.
    MarkUnmanaged(UpdateIssued),
    /// Take that back.
    MarkManaged(UpdateIssued),
    /// Delete the issued Secret, if it still has this uid and resourceVersion.
    DeleteIssued(ObjectVersion),
    /// Let the copy go.
    ReleaseCopy(ReleaseCopy),
}

/// A private key to be made and stored.
#[derive(Clone, Debug)]
pub struct CreateKey {
    /// Namespace and name of the Secret.
    pub name: ObjectRef,
    /// The kind of key.
    pub algorithm: KeyAlgorithm,
    /// What it is for.
    pub need: Need,
    /// Why it is needed.
    pub reason: NeedReason,
    pub(super) agent_namespace: String,
}

impl CreateKey {
    /// The Secret to create for this new key.
    pub fn secret(&self, key: &PrivateKey) -> SealedSecret {
        let pem = key.to_pem().as_bytes().to_vec();
        SealedSecret::new(Secret {
            metadata: metadata(
                &self.name,
                &self.agent_namespace,
                [(annotations::NEED, self.need.to_string())],
            ),
            type_: Some(secret_types::GENERATED_PRIVATE_KEY.to_owned()),
            data: Some(BTreeMap::from([(PRIVATE_KEY.to_owned(), ByteString(pem))])),
            ..Secret::default()
        })
    }
}

/// A request to be created.
#[derive(Clone, Debug)]
pub struct CreateRequest {
    /// Namespace and name of the request.
    pub name: ObjectRef,
    /// The key it is about.
    pub key: RequestKey,
    /// What it is for.
    pub need: Need,
    /// Attempts at the same need that failed before this one.
    pub attempt: u32,
    /// Why it is needed.
    pub reason: NeedReason,
    pub(super) subject: SubjectName,
    pub(super) hosts: Hosts,
    pub(super) agent_namespace: String,
}

/// Where a request's key is.
#[derive(Clone)]
pub enum RequestKey {
    /// It was made by the [`CreateKey`] of the same pass.
    JustMade,
    /// It is stored already.
    Stored(PrivateKey),
}

impl fmt::Debug for RequestKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::JustMade => f.write_str("JustMade"),
            Self::Stored(key) => f.debug_tuple("Stored").field(key.public_key()).finish(),
        }
    }
}

impl CreateRequest {
    /// The request to create for this key. Subject and hosts are in it for people who look; the issuer reads the key only.
    pub fn request(&self, key: &PrivateKey) -> Result<CertificateRequest, RequestError> {
        let csr = SigningRequest::create(key, &self.subject, &self.hosts)?;
        let mut notes = vec![(annotations::NEED, self.need.to_string())];
        if self.attempt > 0 {
            notes.push((annotations::ATTEMPT, self.attempt.to_string()));
        }
        Ok(CertificateRequest {
            metadata: metadata(&self.name, &self.agent_namespace, notes),
            spec: CertificateRequestSpec { certificate_signing_request: Some(ByteString(csr.into_bytes())) },
            status: None,
        })
    }
}

/// A certificate to be put in place.
#[derive(Clone, Debug)]
pub struct StoreIssued {
    /// The whole Secret.
    pub secret: SealedSecret,
    /// How it is to be written.
    pub write: Write,
    /// Why it was needed.
    pub reason: NeedReason,
}

/// How a Secret is to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Write {
    /// It must not exist.
    Create,
    /// It must still have the uid and resourceVersion in its metadata.
    Update,
}

/// The issued Secret with another annotation. It must still have the uid and resourceVersion in its metadata.
#[derive(Clone, Debug)]
pub struct UpdateIssued {
    /// The whole Secret.
    pub secret: SealedSecret,
}

/// The copy without our finalizer. It must still have the uid and resourceVersion in its metadata.
#[derive(Clone, Debug)]
pub struct ReleaseCopy {
    /// The whole copy.
    pub copy: Box<IssuedCertificate>,
}

pub(super) fn metadata(
    name: &ObjectRef,
    agent_namespace: &str,
    notes: impl IntoIterator<Item = (&'static str, String)>,
) -> ObjectMeta {
    ObjectMeta {
        name: Some(name.name.clone()),
        namespace: Some(name.namespace.clone()),
        labels: Some(BTreeMap::from([(labels::AGENT.to_owned(), agent_namespace.to_owned())])),
        annotations: Some(notes.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()),
        ..ObjectMeta::default()
    }
}
