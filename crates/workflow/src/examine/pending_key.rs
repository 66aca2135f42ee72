//! The private key that waits for its certificate.

use std::fmt;

use certmesh_api::names::{annotations, labels, secret_types};
use certmesh_api::secrets::{self, PRIVATE_KEY};
use certmesh_x509::{KeyError, PrivateKey};
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;

use crate::need::Need;
use crate::object::annotation;

/// What a Secret of a pending key's name holds. Its `Debug` shows no part of the key.
#[derive(Clone)]
pub struct PendingKeyFacts {
    /// The namespace of the agent that made it, if an agent made it as a pending key.
    pub made_by: Option<String>,
    /// What it is for.
    pub need: Option<Need>,
    /// The key.
    pub key: Result<PrivateKey, KeyError>,
}

/// Reads a Secret of a pending key's name.
pub fn pending_key(secret: &Secret) -> PendingKeyFacts {
    let is_pending_key = secret.type_.as_deref() == Some(secret_types::GENERATED_PRIVATE_KEY);
    PendingKeyFacts {
        made_by: secret.labels().get(labels::AGENT).filter(|_| is_pending_key).cloned(),
        need: annotation(secret, annotations::NEED).and_then(|text| text.parse().ok()),
        key: PrivateKey::from_pem(secrets::data(secret, PRIVATE_KEY).unwrap_or_default()),
    }
}

impl fmt::Debug for PendingKeyFacts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PendingKeyFacts")
            .field("made_by", &self.made_by)
            .field("need", &self.need)
            .field("key", &self.key.as_ref().map(|key| key.public_key().clone()))
            .finish()
    }
}
