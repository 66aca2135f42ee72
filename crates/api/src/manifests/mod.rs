//! What is installed: custom resource definitions, accounts, rights and Deployments, as objects.
//!
//! `certmesh install --print`, the demo, the tests and `deploy/*.yaml` all use these, so what was tested is what runs.
//!
//! ```text
//!  management cluster              remote cluster
//!  Issuer                          Agent            makes keys and keeps them; may touch the target Secrets by name
//!    reads signing CAs in its      RemoteIssuer     the issuer's account there: copies and requests, never a Secret
//!    own namespace, intents in all
//! ```
//!
//! Rights are the least that the code needs. A right that is missing shows at once, in the demo and in every story, since
//! these run under these very objects; one that is too many would show to nobody but an attacker.

mod access;
mod agent;
mod deployment;
mod issuer;
mod remote_issuer;

pub use agent::Agent;
pub use issuer::Issuer;
pub use remote_issuer::RemoteIssuer;

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use kube::core::{ApiResource, DynamicObject};
use serde::Serialize;
use std::collections::BTreeMap;

/// The released image of this version.
pub const IMAGE: &str = concat!("ghcr.io/certmesh/certmesh:", env!("CARGO_PKG_VERSION"));

/// An object to apply, with what a client has to know to apply it. Serializes as the object.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Manifest {
    /// Group, version, kind and plural of the object.
    #[serde(skip)]
    pub resource: ApiResource,
    /// The object.
    #[serde(flatten)]
    pub object: DynamicObject,
}

impl Manifest {
    /// A typed object as a manifest.
    pub fn of<K: Resource<DynamicType = ()> + Serialize>(object: &K) -> Self {
        let object = serde_json::to_value(object)
            .and_then(serde_json::from_value)
            .expect("every Kubernetes object is a JSON object with string keys");
        Self { resource: ApiResource::erase::<K>(&()), object }
    }
}

/// Kubernetes' recommended labels for a part of certmesh.
fn labels(component: &str) -> BTreeMap<String, String> {
    let labels = [
        ("app.kubernetes.io/name", "certmesh"),
        ("app.kubernetes.io/component", component),
        ("app.kubernetes.io/part-of", "certmesh"),
    ];
    labels.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
}

fn metadata(name: &str, component: &str) -> ObjectMeta {
    ObjectMeta { name: Some(name.to_owned()), labels: Some(labels(component)), ..ObjectMeta::default() }
}

/// `object` in `namespace`.
fn within<K: Resource<Scope = NamespaceResourceScope>>(namespace: &str, mut object: K) -> K {
    object.meta_mut().namespace = Some(namespace.to_owned());
    object
}

/// The namespace of issuer or agent. Their pods meet the strictest Pod Security Standard, so others have to as well.
fn namespace(name: &str) -> Namespace {
    let mut namespace = Namespace { metadata: metadata(name, "namespace"), ..Namespace::default() };
    let labels = namespace.metadata.labels.get_or_insert_default();
    labels.insert("pod-security.kubernetes.io/enforce".to_owned(), "restricted".to_owned());
    namespace
}
