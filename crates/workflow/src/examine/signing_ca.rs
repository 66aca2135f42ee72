//! What a signing CA's Secret holds, and for which clusters it may sign.

use std::collections::BTreeSet;
use std::fmt;

use certmesh_api::ClusterName;
use certmesh_api::certificates::ObjectRef;
use certmesh_api::names::annotations;
use certmesh_api::secrets::{MissingKey, SigningCa, SigningCaLayout};
use certmesh_x509::{Certificate, CertificateAuthority, Fingerprint, MaterialError, SigningMaterial};
use k8s_openapi::api::core::v1::Secret;

use super::chain::instants;
use crate::object::{annotation, name_of};
use crate::trust;

/// What a signing CA's Secret holds. Its `Debug` shows no part of the key.
#[derive(Clone)]
pub struct SigningCaFacts {
    /// The Secret.
    pub name: ObjectRef,
    /// The clusters it may sign for.
    pub allowed: AllowedClusters,
    /// The CA, whole; or what is wrong with it. Whether it is valid *now* its path's window says.
    pub authority: Result<CertificateAuthority, SigningCaProblem>,
    /// Fingerprint of its signing chain and root set, if it is whole and no rotation is under way.
    pub trust: Option<Fingerprint>,
}

/// The clusters that a CA may sign for: the annotation `certmesh.dev/allow-clusters`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AllowedClusters {
    /// No annotation: none.
    Unset,
    /// `*`, set by a person.
    All,
    /// These.
    Named(BTreeSet<String>),
}

impl AllowedClusters {
    /// Whether this cluster is among them.
    pub fn allows(&self, cluster: &ClusterName) -> bool {
        match self {
            Self::Unset => false,
            Self::All => true,
            Self::Named(names) => names.contains(cluster.as_str()),
        }
    }
}

/// Why a signing CA's Secret cannot be used.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum SigningCaProblem {
    /// A file is missing.
    #[error(
        "{0}: fill it in; certmesh reads ca-cert.pem + ca-key.pem + cert-chain.pem + root-cert.pem, root-cert.pem + key.pem, or tls.crt + tls.key + ca.crt"
    )]
    MissingKey(#[from] MissingKey),
    /// The files are not readable or do not belong together.
    #[error("{0}")]
    Material(#[from] MaterialError),
}

/// Reads a signing CA's Secret.
pub fn signing_ca(secret: &Secret) -> SigningCaFacts {
    let authority = authority(secret);
    let trust = authority.as_ref().ok().map(|authority| {
        trust::fingerprint(
            authority.path().without_root(),
            authority.certificate().public_key(),
            authority.roots().fingerprints(),
        )
    });
    let allowed = annotation(secret, annotations::ALLOW_CLUSTERS).map_or(AllowedClusters::Unset, allowed);
    SigningCaFacts { name: name_of(secret), allowed, authority, trust }
}

fn allowed(text: &str) -> AllowedClusters {
    let names: BTreeSet<String> =
        text.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect();
    if names.contains("*") { AllowedClusters::All } else { AllowedClusters::Named(names) }
}

fn authority(secret: &Secret) -> Result<CertificateAuthority, SigningCaProblem> {
    let files = SigningCa::from_secret(secret)?;
    let material = material(&files)?;
    let above = files.chain.map(Certificate::parse_chain).and_then(Result::ok).unwrap_or_default();
    let certificates =
        std::iter::once(material.certificate()).chain(&above).chain(material.roots().certificates());
    let mut first_error = None;
    for at in instants(certificates) {
        match CertificateAuthority::from_material(material.clone(), at) {
            Ok(authority) => return Ok(authority),
            Err(error) => first_error = first_error.or(Some(error)),
        }
    }
    Err(first_error.expect("there is an instant for the certificate itself").into())
}

fn material(files: &SigningCa<'_>) -> Result<SigningMaterial, MaterialError> {
    let roots = files.roots.unwrap_or(files.certificate);
    match files.layout {
        SigningCaLayout::Istio => {
            SigningMaterial::from_istio_files(files.certificate, files.key, files.chain, roots)
        }
        SigningCaLayout::Tls => SigningMaterial::from_tls_files(files.certificate, files.key, roots),
        SigningCaLayout::OldRoot => SigningMaterial::from_root_files(files.certificate, files.key),
    }
}

impl fmt::Debug for SigningCaFacts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningCaFacts")
            .field("name", &self.name)
            .field("allowed", &self.allowed)
            .field("authority", &self.authority.as_ref().map(|authority| authority.path().clone()))
            .field("trust", &self.trust)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ca_signs_for_the_clusters_that_are_named() {
        let cluster: ClusterName = "cluster-1".parse().unwrap();
        for (text, allows) in [
            (None, false),
            (Some(""), false),
            (Some("cluster-1"), true),
            (Some("*"), true),
            (Some(" cluster-2 , cluster-1 "), true),
            (Some("cluster-2,*"), true),
            (Some("cluster-10"), false),
            (Some("cluster-*"), false),
            (Some("CLUSTER-1"), false),
        ] {
            let allowed = text.map_or(AllowedClusters::Unset, allowed);
            assert_eq!(allowed.allows(&cluster), allows, "{text:?}");
        }
    }
}
