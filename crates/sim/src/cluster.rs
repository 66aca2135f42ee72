//! One cluster of the simulated world: a real API server's store, without HTTP.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};

use certmesh_api::certificates::ObjectRef;
use certmesh_api::names::{CERTIFICATES_GROUP, labels, well_known};
use certmesh_apiserver::resource::GroupVersionResource;
use certmesh_apiserver::status::ApiStatus;
use certmesh_apiserver::store::{
    DeleteOptions, Deleted, FieldValidation, GetOptions, Limits, ListOptions, Preconditions, Store,
    StoreConfig, StoredObject, Subresource, Subscription, WriteOptions, seeded_random,
};
use certmesh_controllers::{ApiRequest, ApiVerb};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use serde::Serialize;
use serde_json::{Value, json};

use crate::clock::VirtualClock;
use crate::keys::metadata;

/// Namespace of issuer and agents.
pub(crate) const HOME: &str = well_known::NAMESPACE;
/// Namespace of the Secrets that istiod reads.
pub(crate) const ISTIO: &str = well_known::ISTIO_NAMESPACE;

/// The kinds that matter here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    IssuedCertificate,
    CertificateRequest,
    Secret,
    ConfigMap,
}

impl Kind {
    const ALL: [Self; 4] = [Self::IssuedCertificate, Self::CertificateRequest, Self::Secret, Self::ConfigMap];

    /// By the name in requests.
    pub(crate) fn named(name: &str) -> Self {
        let found = Self::ALL.into_iter().find(|kind| kind.name() == name);
        found.expect("controllers ask for the kinds they are made for")
    }

    /// The name in requests.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::IssuedCertificate => "IssuedCertificate",
            Self::CertificateRequest => "CertificateRequest",
            Self::Secret => "Secret",
            Self::ConfigMap => "ConfigMap",
        }
    }

    fn group_and_plural(self) -> (&'static str, &'static str) {
        match self {
            Self::IssuedCertificate => (CERTIFICATES_GROUP, "issuedcertificates"),
            Self::CertificateRequest => (CERTIFICATES_GROUP, "certificaterequests"),
            Self::Secret => ("", "secrets"),
            Self::ConfigMap => ("", "configmaps"),
        }
    }

    /// As the store names it.
    pub(crate) fn resource(self) -> GroupVersionResource {
        let (group, plural) = self.group_and_plural();
        GroupVersionResource::new(group, "v1", plural)
    }
}

/// A cluster.
pub(crate) struct Cluster {
    /// `management`, `cluster-1`, …
    pub(crate) name: String,
    store: Store,
    resources: [GroupVersionResource; 4],
    /// Revision of the last change of each kind.
    newest: Arc<[AtomicU64; 4]>,
    _subscription: Subscription,
}

/// What a request came to: the object before and after it.
pub(crate) struct Effect {
    pub(crate) before: Option<Arc<StoredObject>>,
    pub(crate) after: Option<Arc<StoredObject>>,
    pub(crate) answer: Result<Option<Arc<StoredObject>>, ApiStatus>,
}

impl Cluster {
    /// A cluster with the product's kinds and these namespaces (name, cluster that it is registered for).
    pub(crate) fn new(
        name: &str,
        seed: u64,
        clock: &VirtualClock,
        namespaces: &[(&str, Option<&str>)],
    ) -> Self {
        let store = with_definitions(config(seed, clock));
        let newest: Arc<[AtomicU64; 4]> = Arc::default();
        let latest = Arc::clone(&newest);
        let subscription = store.subscribe(Arc::new(move |resource, revision| {
            let kind = Kind::ALL
                .iter()
                .position(|kind| kind.group_and_plural() == (&resource.group, &resource.resource));
            if let Some(kind) = kind {
                latest[kind].fetch_max(revision, Ordering::Relaxed);
            }
        }));
        let cluster = Self {
            name: name.to_owned(),
            store,
            resources: Kind::ALL.map(Kind::resource),
            newest,
            _subscription: subscription,
        };
        cluster.install(namespaces);
        cluster
    }

    fn install(&self, namespaces: &[(&str, Option<&str>)]) {
        for (name, registered) in namespaces {
            let mut namespace = json!({"metadata": {"name": name}});
            if let Some(cluster) = registered {
                namespace["metadata"]["labels"] = json!({(labels::REGISTERED_CLUSTER): cluster});
            }
            install(&self.store, "", "namespaces", namespace);
        }
    }

    /// The store itself.
    pub(crate) fn store(&self) -> &Store {
        &self.store
    }

    /// The revision of the last change of this kind.
    pub(crate) fn newest(&self, kind: Kind) -> u64 {
        self.newest[kind as usize].load(Ordering::Relaxed)
    }

    /// As the store names a kind.
    pub(crate) fn resource(&self, kind: Kind) -> &GroupVersionResource {
        &self.resources[kind as usize]
    }

    /// An object, if it exists.
    pub(crate) fn get(&self, kind: Kind, namespace: &str, name: &str) -> Option<Arc<StoredObject>> {
        self.store.get(self.resource(kind), Some(namespace), name, &GetOptions::default()).ok()
    }

    /// All objects of a kind.
    pub(crate) fn all(&self, kind: Kind) -> Vec<Arc<StoredObject>> {
        self.store
            .list(self.resource(kind), None, &ListOptions::default())
            .map(|list| list.items)
            .unwrap_or_default()
    }

    /// Carries out a request of a controller.
    pub(crate) fn carry_out(&self, request: &ApiRequest) -> Effect {
        let ApiRequest { verb, kind, namespace, name } = request;
        let kind = Kind::named(kind);
        let resource = self.resource(kind);
        let before = self.get(kind, namespace, name);
        let options = WriteOptions::default();
        let update = |body: &Value, part| {
            let written = self.store.update(
                resource,
                Some(namespace),
                name,
                part,
                with_type(body, kind).into(),
                &options,
            );
            written.map(|written| Some(written.object))
        };
        let answer = match verb {
            ApiVerb::Get => before.clone().map(Some).ok_or_else(|| {
                ApiStatus::not_found(&certmesh_apiserver::resource::GroupResource::new("", kind.name()), name)
            }),
            ApiVerb::Create(body) => {
                let body = with_type(body, kind).into();
                self.store
                    .create(resource, Some(namespace), body, &options)
                    .map(|written| Some(written.object))
            }
            ApiVerb::Update(body) => update(body, Subresource::None),
            ApiVerb::UpdateStatus(body) => update(body, Subresource::Status),
            ApiVerb::Delete { uid, resource_version } => {
                let preconditions =
                    Preconditions { uid: Some(uid.clone()), resource_version: resource_version.clone() };
                let options = DeleteOptions { preconditions, ..DeleteOptions::default() };
                self.delete(kind, namespace, name, &options)
            }
        };
        let after =
            if matches!(verb, ApiVerb::Get) { before.clone() } else { self.get(kind, namespace, name) };
        Effect { before, after, answer }
    }

    fn delete(
        &self,
        kind: Kind,
        namespace: &str,
        name: &str,
        options: &DeleteOptions,
    ) -> Result<Option<Arc<StoredObject>>, ApiStatus> {
        self.store.delete(self.resource(kind), Some(namespace), name, options).map(|deleted| match deleted {
            Deleted::Gone(_) => None,
            Deleted::Object(object) => Some(object),
        })
    }
}

/// Kinds and versions, which typed objects of k8s-openapi carry and others may lack.
fn with_type(body: &Value, kind: Kind) -> Value {
    let mut body = body.clone();
    let (group, _) = kind.group_and_plural();
    if let Value::Object(fields) = &mut body
        && !fields.contains_key("kind")
    {
        let version = if group.is_empty() { "v1".to_owned() } else { format!("{group}/v1") };
        fields.insert("apiVersion".to_owned(), json!(version));
        fields.insert("kind".to_owned(), json!(kind.name()));
    }
    body
}

fn config(seed: u64, clock: &VirtualClock) -> StoreConfig {
    let time = clock.clone();
    let mut config = StoreConfig::new(Arc::new(move || time.now()), seeded_random(seed));
    config.default_service_accounts = false;
    config.limits = Limits { log_events: 1000, ..Limits::default() };
    config
}

/// A cluster that has nothing but the product's definitions. All are forks of one: reading and establishing these takes as
/// long as the half of a run.
fn with_definitions(config: StoreConfig) -> Store {
    static FIRST: LazyLock<Store> = LazyLock::new(|| {
        let first = Store::new(self::config(0, &VirtualClock::new()));
        for definition in definitions() {
            install(&first, "apiextensions.k8s.io", "customresourcedefinitions", definition);
        }
        first
    });
    FIRST.fork(config)
}

fn install(store: &Store, group: &str, plural: &str, object: Value) {
    let options = WriteOptions { field_validation: FieldValidation::Ignore, ..WriteOptions::default() };
    let resource = GroupVersionResource::new(group, "v1", plural);
    let made = store.create(&resource, None, object.into(), &options);
    made.expect("a new cluster takes its definitions");
}

/// The product's CustomResourceDefinitions.
fn definitions() -> Vec<Value> {
    let wanted = |crd: &&CustomResourceDefinition| {
        ["IssuedCertificate", "CertificateRequest"].contains(&crd.spec.names.kind.as_str())
    };
    certmesh_api::crds::remote().iter().filter(wanted).map(to_value).collect()
}

/// An object as JSON.
pub(crate) fn to_value(object: &impl Serialize) -> Value {
    serde_json::to_value(object).expect("Kubernetes objects are JSON")
}

/// An empty object of this name, to be filled.
pub(crate) fn named(name: &ObjectRef) -> Value {
    json!({"metadata": to_value(&metadata(name))})
}
