//! The resources that are always served: names, scopes and abilities as `kubectl api-resources` shows them on a real
//! cluster.

use std::sync::{Arc, LazyLock};

use k8s_openapi::api::{apps, coordination, core, events, policy, rbac};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions;
use schemars::JsonSchema;
use serde_json::Value;

use super::{
    GroupResource, GroupVersionKind, GroupVersionResource, Internals, Origin, ResourceDefinition, Scope,
    SubresourceDefinition, Verb, type_meta,
};
use crate::strategy::{self, Strategy};
use crate::table::built_in_columns;

const ALL_VERBS: &[Verb] = &[
    Verb::Create,
    Verb::Delete,
    Verb::DeleteCollection,
    Verb::Get,
    Verb::List,
    Verb::Patch,
    Verb::Update,
    Verb::Watch,
];
/// Kinds of the real server's scheme that clients may send to the wrong place.
pub(crate) fn is_built_in_kind(kind: &str) -> bool {
    const UNSERVED: &[&str] = &[
        "DaemonSet",
        "Endpoints",
        "Eviction",
        "Ingress",
        "Job",
        "Node",
        "ReplicaSet",
        "Scale",
        "StatefulSet",
    ];
    UNSERVED.contains(&kind)
        || [core_group(), other_groups(), rbac_group()].iter().flatten().any(|b| b.kind == kind)
}

/// Namespaces are deleted one by one.
const NO_DELETE_COLLECTION: &[Verb] =
    &[Verb::Create, Verb::Delete, Verb::Get, Verb::List, Verb::Patch, Verb::Update, Verb::Watch];
pub(super) const STATUS_VERBS: &[Verb] = &[Verb::Get, Verb::Patch, Verb::Update];
const CREATE: &[Verb] = &[Verb::Create];
const UPDATE: &[Verb] = &[Verb::Update];

/// One line of the table of built-in resources.
struct BuiltIn {
    group: &'static str,
    version: &'static str,
    plural: &'static str,
    singular: &'static str,
    kind: &'static str,
    scope: Scope,
    short_names: &'static [&'static str],
    categories: &'static [&'static str],
    verbs: &'static [Verb],
    subresources: Vec<SubresourceDefinition>,
    selectable: &'static [&'static str],
    openapi: fn() -> Value,
    strategy: Arc<dyn Strategy>,
}

impl BuiltIn {
    fn new<T: JsonSchema>(
        (group, version): (&'static str, &'static str),
        (plural, singular, kind): (&'static str, &'static str, &'static str),
        scope: Scope,
        strategy: impl Strategy + 'static,
    ) -> Self {
        Self {
            group,
            version,
            plural,
            singular,
            kind,
            scope,
            short_names: &[],
            categories: &[],
            verbs: ALL_VERBS,
            subresources: Vec::new(),
            selectable: &[],
            openapi: || schemars::schema_for!(T).to_value(),
            strategy: Arc::new(strategy),
        }
    }

    fn short(mut self, names: &'static [&'static str]) -> Self {
        self.short_names = names;
        self
    }

    fn in_all(mut self) -> Self {
        self.categories = &["all"];
        self
    }

    fn selectable(mut self, fields: &'static [&'static str]) -> Self {
        self.selectable = fields;
        self
    }

    fn status(self) -> Self {
        let kind = GroupVersionKind::new(self.group, self.version, self.kind);
        self.subresource("status", kind, STATUS_VERBS)
    }

    fn subresource(mut self, name: &'static str, kind: GroupVersionKind, verbs: &'static [Verb]) -> Self {
        self.subresources.push(SubresourceDefinition { name, kind, verbs });
        self
    }

    fn define(self) -> ResourceDefinition {
        let id = GroupVersionResource::new(self.group, self.version, self.plural);
        let owned = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect();
        // Both groups' events are the same objects.
        let storage =
            if self.plural == "events" { GroupResource::new("", "events") } else { id.group_resource() };
        ResourceDefinition {
            kind: self.kind.into(),
            list_kind: format!("{}List", self.kind).into(),
            singular: self.singular.into(),
            short_names: owned(self.short_names),
            categories: owned(self.categories),
            scope: self.scope,
            verbs: self.verbs.to_vec(),
            subresources: self.subresources,
            printer_columns: built_in_columns(&id),
            deprecation_warning: None,
            openapi_schema: Arc::new(Value::Null),
            internals: Internals {
                strategy: self.strategy,
                storage,
                origin: Origin::BuiltIn { openapi: self.openapi, schema: Box::default() },
                selectable: self.selectable.iter().map(|f| (*f).into()).collect(),
                type_meta: type_meta(self.kind, &id.api_version()),
                epoch: 0,
            },
            id,
        }
    }
}

/// All of them; made once per process.
pub(super) fn all() -> &'static [Arc<ResourceDefinition>] {
    static ALL: LazyLock<Vec<Arc<ResourceDefinition>>> = LazyLock::new(|| {
        let rows = core_group().into_iter().chain(other_groups()).chain(rbac_group());
        rows.map(|row| Arc::new(row.define())).collect()
    });
    &ALL
}

const CORE: (&str, &str) = ("", "v1");
const RBAC: (&str, &str) = ("rbac.authorization.k8s.io", "v1");

fn core_group() -> Vec<BuiltIn> {
    use Scope::{Cluster, Namespaced};
    let kind = |group: &str, version: &str, kind: &str| GroupVersionKind::new(group, version, kind);
    let mut namespaces = BuiltIn::new::<core::v1::Namespace>(
        CORE,
        ("namespaces", "namespace", "Namespace"),
        Cluster,
        strategy::Namespaces,
    )
    .short(&["ns"])
    .selectable(&["status.phase"])
    .subresource("finalize", kind("", "v1", "Namespace"), UPDATE)
    .status();
    namespaces.verbs = NO_DELETE_COLLECTION;
    vec![
        namespaces,
        BuiltIn::new::<core::v1::Secret>(
            CORE,
            ("secrets", "secret", "Secret"),
            Namespaced,
            strategy::Secrets,
        )
        .selectable(&["type"]),
        BuiltIn::new::<core::v1::ConfigMap>(
            CORE,
            ("configmaps", "configmap", "ConfigMap"),
            Namespaced,
            strategy::ConfigMaps,
        )
        .short(&["cm"]),
        BuiltIn::new::<core::v1::ServiceAccount>(
            CORE,
            ("serviceaccounts", "serviceaccount", "ServiceAccount"),
            Namespaced,
            strategy::ServiceAccounts,
        )
        .short(&["sa"])
        .subresource("token", kind("authentication.k8s.io", "v1", "TokenRequest"), CREATE),
        BuiltIn::new::<core::v1::Pod>(CORE, ("pods", "pod", "Pod"), Namespaced, strategy::Pods)
            .short(&["po"])
            .in_all()
            .selectable(&[
                "spec.nodeName",
                "spec.restartPolicy",
                "spec.schedulerName",
                "spec.serviceAccountName",
                "spec.hostNetwork",
                "status.phase",
                "status.podIP",
                "status.nominatedNodeName",
            ])
            .subresource("eviction", kind("policy", "v1", "Eviction"), CREATE)
            .status(),
        BuiltIn::new::<core::v1::Service>(
            CORE,
            ("services", "service", "Service"),
            Namespaced,
            strategy::Services,
        )
        .short(&["svc"])
        .in_all()
        .selectable(&["spec.clusterIP", "spec.type"])
        .status(),
        BuiltIn::new::<core::v1::Event>(
            CORE,
            ("events", "event", "Event"),
            Namespaced,
            strategy::Events { is_new: false },
        )
        .short(&["ev"])
        .selectable(EVENT_FIELDS),
    ]
}

/// By which Events can be selected, in both of their groups.
const EVENT_FIELDS: &[&str] = &[
    "involvedObject.kind",
    "involvedObject.namespace",
    "involvedObject.name",
    "involvedObject.uid",
    "involvedObject.apiVersion",
    "involvedObject.resourceVersion",
    "involvedObject.fieldPath",
    "reason",
    "reportingComponent",
    "source",
    "type",
];

fn other_groups() -> Vec<BuiltIn> {
    use Scope::{Cluster, Namespaced};
    vec![
        BuiltIn::new::<events::v1::Event>(
            ("events.k8s.io", "v1"),
            ("events", "event", "Event"),
            Namespaced,
            strategy::Events { is_new: true },
        )
        .short(&["ev"])
        .selectable(EVENT_FIELDS),
        BuiltIn::new::<apps::v1::Deployment>(
            ("apps", "v1"),
            ("deployments", "deployment", "Deployment"),
            Namespaced,
            strategy::Deployments,
        )
        .short(&["deploy"])
        .in_all()
        .status(),
        BuiltIn::new::<coordination::v1::Lease>(
            ("coordination.k8s.io", "v1"),
            ("leases", "lease", "Lease"),
            Namespaced,
            strategy::Leases,
        ),
        BuiltIn::new::<policy::v1::PodDisruptionBudget>(
            ("policy", "v1"),
            ("poddisruptionbudgets", "poddisruptionbudget", "PodDisruptionBudget"),
            Namespaced,
            strategy::PodDisruptionBudgets,
        )
        .short(&["pdb"])
        .status(),
        BuiltIn::new::<apiextensions::v1::CustomResourceDefinition>(
            ("apiextensions.k8s.io", "v1"),
            ("customresourcedefinitions", "customresourcedefinition", "CustomResourceDefinition"),
            Cluster,
            strategy::CustomResourceDefinitions,
        )
        .short(&["crd", "crds"])
        .status(),
    ]
    .into_iter()
    .map(|mut row| {
        if row.plural == "customresourcedefinitions" {
            row.categories = &["api-extensions"];
        }
        row
    })
    .collect()
}

fn rbac_group() -> Vec<BuiltIn> {
    use Scope::{Cluster, Namespaced};
    vec![
        BuiltIn::new::<rbac::v1::Role>(
            RBAC,
            ("roles", "role", "Role"),
            Namespaced,
            strategy::Roles { scope: Namespaced },
        ),
        BuiltIn::new::<rbac::v1::RoleBinding>(
            RBAC,
            ("rolebindings", "rolebinding", "RoleBinding"),
            Namespaced,
            strategy::RoleBindings { scope: Namespaced },
        ),
        BuiltIn::new::<rbac::v1::ClusterRole>(
            RBAC,
            ("clusterroles", "clusterrole", "ClusterRole"),
            Cluster,
            strategy::Roles { scope: Cluster },
        ),
        BuiltIn::new::<rbac::v1::ClusterRoleBinding>(
            RBAC,
            ("clusterrolebindings", "clusterrolebinding", "ClusterRoleBinding"),
            Cluster,
            strategy::RoleBindings { scope: Cluster },
        ),
    ]
}
