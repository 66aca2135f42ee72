//! What is verified, by looking at the Secrets themselves and not at what anybody says about them.

use certmesh_api::{
    certificates::ObjectRef,
    secrets::{self, CaCerts},
};
use certmesh_x509::{CertificateAuthority, Fingerprint, Hosts, IssuedMaterial, KeyAlgorithm};
use jiff::Timestamp;
use k8s_openapi::{ByteString, api::core::v1::Secret};
use kube::{Api, ResourceExt as _, api::ListParams};

use crate::{
    failure::Failure,
    fleet::{Fleet, Member},
};

/// What an issued Secret should hold.
pub(super) struct Expected<'a> {
    pub(super) hosts: &'a Hosts,
    pub(super) key: KeyAlgorithm,
    pub(super) root: &'a CertificateAuthority,
}

/// Reads a Secret from its cluster.
pub(super) async fn read(member: &Member, target: &ObjectRef) -> Result<Secret, Failure> {
    let api: Api<Secret> = Api::namespaced(member.admin().await?, &target.namespace);
    api.get(&target.name)
        .await
        .map_err(|error| Failure::new(format!("reading Secret {target} of {}", member.name())).because(error))
}

/// Checks that a Secret is complete and holds what was asked for. Returns the certificate's fingerprint.
pub(super) fn check_issued(
    cluster: &str,
    secret: &Secret,
    expected: &Expected<'_>,
    now: Timestamp,
) -> Result<Fingerprint, Failure> {
    let failed = |why: Box<dyn std::error::Error + Send + Sync>| {
        Failure::new(format!("verifying Secret {} of {cluster}", secret.name_any())).because(why)
    };
    let files = CaCerts::from_secret(secret).map_err(|error| failed(error.into()))?;
    let material = IssuedMaterial::from_files(files.certificate, files.key, files.chain, files.roots)
        .map_err(|error| failed(error.into()))?;
    let path = material.verify(now).map_err(|error| failed(error.into()))?;
    let certificate = material.certificate();
    let root = expected.root.certificate();
    let checks = [
        (path.root() == root, "its chain leads to another root"),
        (material.roots().is_same_set(expected.root.roots()), "its roots are not those of the signing CA"),
        (certificate.path_length() == Some(0), "its certificate may sign further CAs"),
        (certificate.identifies_exactly(expected.hosts), "its names are not those of the intent"),
        (material.key().algorithm() == expected.key, "its key is of another kind than asked for"),
        (certificate.not_after() <= root.not_after(), "its certificate outlives the CA"),
        (secrets::data(secret, secrets::TLS_CERT).is_none(), "it has a tls.crt, which istiod would prefer"),
    ];
    match checks.into_iter().find(|(holds, _)| !holds) {
        Some((_, why)) => Err(failed(why.into())),
        None => Ok(certificate.fingerprint()),
    }
}

/// Checks that no Secret of any other cluster holds this one's private key, nor any other Secret of its own cluster.
pub(super) async fn check_key_stays(
    fleet: &Fleet,
    home: &Member,
    target: &ObjectRef,
    secret: &Secret,
) -> Result<(), Failure> {
    let key = secrets::data(secret, secrets::CA_KEY).unwrap_or_default();
    for member in fleet.members() {
        let failed =
            || Failure::new(format!("looking for the private key of {} in {}", home.name(), member.name()));
        let api: Api<Secret> = Api::all(member.admin().await?);
        let all = api.list(&ListParams::default()).await.map_err(|error| failed().because(error))?;
        for other in all {
            let name = ObjectRef::new(other.namespace().unwrap_or_default(), other.name_any());
            let is_own = member.name() == home.name() && name == *target;
            if !is_own && holds(&other, key) {
                return Err(failed().because(format!("Secret {name} holds it")));
            }
        }
    }
    Ok(())
}

fn holds(secret: &Secret, key: &[u8]) -> bool {
    let contains = |ByteString(bytes): &ByteString| bytes.windows(key.len().max(1)).any(|part| part == key);
    secret.data.iter().flat_map(|data| data.values()).any(contains)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mesh::tests::{cacerts, root};

    const HOST: &str = "spiffe://cluster.local/ns/istio-system/sa/istiod";

    fn reason(secret: &Secret, root: &CertificateAuthority, host: &str, key: KeyAlgorithm) -> Option<String> {
        let hosts = Hosts::parse(&[host]).unwrap();
        let expected = Expected { hosts: &hosts, key, root };
        let failure = check_issued("cluster-1", secret, &expected, Timestamp::now()).err()?;
        std::error::Error::source(&failure).map(ToString::to_string)
    }

    #[test]
    fn only_what_was_asked_for_is_accepted() {
        let (ours, other) = (root("Ours"), root("Other"));
        let good = cacerts(&ours, "cluster-1", &[&ours]);
        let p256 = KeyAlgorithm::EcdsaP256;
        assert_eq!(reason(&good, &ours, HOST, p256), None);
        let mut with_tls = good.clone();
        with_tls.data.as_mut().unwrap().insert(secrets::TLS_CERT.to_owned(), ByteString(b"x".to_vec()));
        let mut without_chain = good.clone();
        without_chain.data.as_mut().unwrap().remove(secrets::CERT_CHAIN);
        let two_roots = cacerts(&ours, "cluster-1", &[&ours, &other]);
        for (secret, root, host, key, expected) in [
            (&good, &other, HOST, p256, "another root"),
            (&two_roots, &ours, HOST, p256, "its roots are not"),
            (&good, &ours, "spiffe://cluster.local/ns/a/sa/b", p256, "its names are not"),
            (&good, &ours, HOST, KeyAlgorithm::Rsa4096, "its key is of another kind"),
            (&with_tls, &ours, HOST, p256, "tls.crt"),
            (&without_chain, &ours, HOST, p256, "cert-chain.pem"),
        ] {
            let reason = reason(secret, root, host, key);
            assert!(
                reason.as_ref().is_some_and(|reason| reason.contains(expected)),
                "{expected}: {reason:?}"
            );
        }
    }

    #[test]
    fn a_private_key_is_found_wherever_it_hides() {
        let root = root("Ours");
        let secret = cacerts(&root, "cluster-1", &[&root]);
        let key = secrets::data(&secret, secrets::CA_KEY).unwrap();
        assert!(holds(&secret, key));
        let mut hidden = Secret::default();
        let text = [b"a note\n", key, b"\n"].concat();
        hidden.data.get_or_insert_default().insert("notes".to_owned(), ByteString(text));
        assert!(holds(&hidden, key));
        assert!(!holds(&cacerts(&root, "cluster-2", &[&root]), key));
    }
}
