//! What a person does once: install, make a signing CA, register the clusters.

use std::collections::BTreeMap;

use certmesh_api::{
    certificates::ObjectRef,
    crds,
    manifests::{Agent, Issuer, Manifest, RemoteIssuer},
    multicluster::{KubernetesCluster, KubernetesClusterSpec},
    names::{annotations, labels, secret_types, well_known},
    secrets,
};
use certmesh_apiserver::Kubeconfig;
use certmesh_x509::{CertificateAuthority, KeyAlgorithm, PrivateKey, SerialNumber};
use jiff::Timestamp;
use k8s_openapi::{
    ByteString, NamespaceResourceScope,
    api::core::v1::{Namespace, Secret},
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use kube::Resource;

use super::{Fleet, Member, apply::apply};
use crate::failure::Failure;

/// The Secret of the signing CA, in the issuer's namespace.
pub const ROOT_CA: &str = "root-ca";
const HOME: &str = well_known::NAMESPACE;
/// Organization (O) of a root that is made for a fleet.
const ORGANIZATION: &str = "certmesh demo";

impl Fleet {
    /// Installs issuer and agents: definitions, accounts and rights, and the namespaces that these need. Agents may write
    /// certificates to the `targets`.
    pub async fn install(&self, targets: &[ObjectRef]) -> Result<(), Failure> {
        let issuer = Issuer::default().access();
        let definitions = crds::all();
        let manifests: Vec<Manifest> = definitions.iter().map(Manifest::of).chain(issuer).collect();
        apply(&self.management.admin().await?, &manifests).await?;
        for remote in &self.remotes {
            let agent = Agent { targets: targets.to_vec(), ..Agent::default() };
            let definitions = crds::remote();
            let namespaces = targets.iter().map(|target| Manifest::of(&namespace(&target.namespace)));
            let mut manifests: Vec<Manifest> = definitions.iter().map(Manifest::of).collect();
            manifests.extend(namespaces.chain(agent.access()).chain(RemoteIssuer::default().manifests()));
            apply(&remote.admin().await?, &manifests).await?;
        }
        Ok(())
    }

    /// Stores a root as a signing CA that may sign for the fleet's clusters.
    pub async fn store_root(&self, root: &CertificateAuthority) -> Result<(), Failure> {
        let names: Vec<&str> = self.remotes.iter().map(Member::name).collect();
        let secret = Manifest::of(&signing_secret(root, &names.join(",")));
        apply(&self.management.admin().await?, &[secret]).await
    }

    /// Registers every remote cluster: its namespace, a kubeconfig with a token of the account that the issuer has
    /// there, and the KubernetesCluster.
    pub async fn register(&self) -> Result<(), Failure> {
        let management = self.management.admin().await?;
        for remote in &self.remotes {
            let name = remote.registered_name()?;
            let kubeconfig = remote.account_kubeconfig(HOME, RemoteIssuer::NAME).await?;
            let mut home = namespace(name.as_str());
            let label = (labels::REGISTERED_CLUSTER.to_owned(), name.to_string());
            home.metadata.labels.get_or_insert_default().extend([label]);
            let mut cluster = KubernetesCluster::new(
                name.as_str(),
                KubernetesClusterSpec { secret_name: name.to_string(), cluster_domain: String::new() },
            );
            cluster.metadata.namespace = Some(HOME.to_owned());
            let manifests = [
                Manifest::of(&home),
                Manifest::of(&registration_secret(name.as_str(), &kubeconfig)),
                Manifest::of(&cluster),
            ];
            apply(&management, &manifests).await?;
        }
        Ok(())
    }
}

/// Makes a new root.
pub async fn new_root(algorithm: KeyAlgorithm) -> Result<CertificateAuthority, Failure> {
    let failed = |error: Box<dyn std::error::Error + Send + Sync>| {
        Failure::new(format!("making a root CA with an {algorithm} key")).because(error)
    };
    // RSA takes a second or so, which is no work for an async thread.
    let made = tokio::task::spawn_blocking(move || make_root(algorithm)).await;
    made.map_err(|error| failed(error.into()))?.map_err(failed)
}

fn make_root(
    algorithm: KeyAlgorithm,
) -> Result<CertificateAuthority, Box<dyn std::error::Error + Send + Sync>> {
    let key = PrivateKey::generate(algorithm)?;
    let serial = SerialNumber::random()?;
    let lifetime = CertificateAuthority::DEFAULT_ROOT_LIFETIME;
    Ok(CertificateAuthority::self_signed_root(key, ORGANIZATION, lifetime, &serial, Timestamp::now())?)
}

/// Istio's layout, in which a root stands for itself.
fn signing_secret(root: &CertificateAuthority, allowed: &str) -> Secret {
    let certificate = root.certificate().to_pem();
    let files = [
        (secrets::CA_CERT, certificate.as_str()),
        (secrets::CA_KEY, &root.key().to_pem()),
        (secrets::CERT_CHAIN, &certificate),
        (secrets::ROOT_CERT, &certificate),
    ];
    let mut secret = secret(ROOT_CA, "Opaque", files.map(|(name, text)| (name, text.as_bytes())));
    let annotation = (annotations::ALLOW_CLUSTERS.to_owned(), allowed.to_owned());
    secret.metadata.annotations.get_or_insert_default().extend([annotation]);
    secret
}

fn registration_secret(name: &str, kubeconfig: &Kubeconfig) -> Secret {
    secret(name, secret_types::KUBECONFIG, [(secrets::KUBECONFIG, kubeconfig.to_yaml().as_bytes())])
}

fn secret<const N: usize>(name: &str, type_: &str, files: [(&str, &[u8]); N]) -> Secret {
    let data: BTreeMap<String, ByteString> =
        files.into_iter().map(|(name, bytes)| (name.to_owned(), ByteString(bytes.to_vec()))).collect();
    let secret = Secret {
        metadata: ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() },
        type_: Some(type_.to_owned()),
        data: Some(data),
        ..Secret::default()
    };
    within(HOME, secret)
}

fn within<K: Resource<Scope = NamespaceResourceScope>>(namespace: &str, mut object: K) -> K {
    object.meta_mut().namespace = Some(namespace.to_owned());
    object
}

fn namespace(name: &str) -> Namespace {
    let metadata = ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() };
    Namespace { metadata, ..Namespace::default() }
}
