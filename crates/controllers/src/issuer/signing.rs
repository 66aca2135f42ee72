//! The signing CAs: their Secrets, examined once for each version; and where signatures are made.

use super::Shared;
use crate::error::PassError;
use crate::memo::Memo;
use certmesh_api::certificates::ObjectRef;
use certmesh_workflow::examine::{self, SigningCaFacts};
use certmesh_workflow::issuer::{AnswerRequest, Authority, Sign};
use certmesh_x509::SerialNumber;
use k8s_openapi::api::core::v1::Secret;
use std::sync::Arc;

/// Where signatures are made, and where their serial numbers come from.
pub(crate) enum Signatures {
    /// Random numbers, off the async threads: a signature with an RSA-4096 CA takes milliseconds.
    OffThread,
    /// Numbers given by a simulator, at once.
    Here(Box<dyn Fn() -> SerialNumber + Send + Sync>),
}

impl Signatures {
    /// Makes a signature. What cannot be signed is refused.
    pub(super) async fn sign(&self, sign: Box<Sign>) -> Result<Box<AnswerRequest>, PassError> {
        let failed = |source| PassError::Crypto { attempted: "signing a certificate".to_owned(), source };
        let work = match self {
            Self::Here(serial) => {
                return sign.sign(&serial()).map(Box::new).map_err(|error| failed(error.into()));
            }
            Self::OffThread => move || -> Result<AnswerRequest, Box<dyn std::error::Error + Send + Sync>> {
                let serial = SerialNumber::random()?;
                Ok(sign.sign(&serial)?)
            },
        };
        tokio::task::spawn_blocking(work)
            .await
            .map_err(|error| failed(error.into()))?
            .map(Box::new)
            .map_err(failed)
    }
}

/// What was found in signing CA Secrets.
#[derive(Default)]
pub(super) struct SigningCas {
    facts: Memo<SigningCaFacts>,
}

/// What a pass knows of a signing CA.
pub(super) enum SigningCa {
    Missing,
    Unreadable(String),
    Found(Arc<SigningCaFacts>),
}

impl SigningCa {
    /// As the decision takes it.
    pub(super) fn as_authority(&self) -> Authority<'_> {
        match self {
            Self::Missing => Authority::Missing,
            Self::Unreadable(error) => Authority::Unreadable { error },
            Self::Found(facts) => Authority::Found(facts),
        }
    }
}

impl Shared {
    /// The CA in this Secret. One outside the issuer's namespace is read only where that is allowed, and live then.
    pub(super) async fn signing_ca(&self, secret: &ObjectRef) -> SigningCa {
        let facts =
            |found: &Secret| SigningCa::Found(self.signing_cas.facts.facts(found, examine::signing_ca));
        if secret.namespace == self.settings.namespace {
            let found = self.secrets.get(Some(&secret.namespace), &secret.name);
            return found.map_or(SigningCa::Missing, |found| facts(&found));
        }
        if !self.settings.allows_foreign_ca_namespaces {
            return SigningCa::Missing;
        }
        match self.requests.get::<Secret>(&secret.namespace, &secret.name).await {
            Ok(Some(found)) => facts(&found),
            Ok(None) => SigningCa::Missing,
            Err(error) => SigningCa::Unreadable(error.to_string()),
        }
    }
}
