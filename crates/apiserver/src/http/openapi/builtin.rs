//! Schemas of the built-in kinds, from the types of `k8s-openapi`.

use k8s_openapi::{
    Resource,
    api::{
        apps::v1::Deployment,
        authentication::v1::{SelfSubjectReview, TokenReview},
        authorization::v1::{
            LocalSubjectAccessReview, SelfSubjectAccessReview, SelfSubjectRulesReview, SubjectAccessReview,
        },
        coordination::v1::Lease,
        core::v1::{ConfigMap, Event, Namespace, Pod, Secret, Service, ServiceAccount},
        events::v1::Event as NewEvent,
        policy::v1::PodDisruptionBudget,
        rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding},
    },
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
    apimachinery::pkg::apis::meta::v1::{DeleteOptions, ListMeta, ObjectMeta, Status},
};
use schemars::{JsonSchema, Schema, SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value};

type AddSchema = fn(&mut SchemaGenerator) -> Schema;

/// A built-in kind and how its schema is made.
struct BuiltinKind {
    group: &'static str,
    version: &'static str,
    kind: &'static str,
    name: fn() -> String,
    add: AddSchema,
}

const fn of<T: Resource + JsonSchema>() -> BuiltinKind {
    BuiltinKind {
        group: T::GROUP,
        version: T::VERSION,
        kind: T::KIND,
        name: || T::schema_name().into_owned(),
        add: SchemaGenerator::subschema_for::<T>,
    }
}

static KINDS: &[BuiltinKind] = &[
    of::<ClusterRole>(),
    of::<ClusterRoleBinding>(),
    of::<ConfigMap>(),
    of::<CustomResourceDefinition>(),
    of::<Deployment>(),
    of::<Event>(),
    of::<Lease>(),
    of::<LocalSubjectAccessReview>(),
    of::<Namespace>(),
    of::<NewEvent>(),
    of::<Pod>(),
    of::<PodDisruptionBudget>(),
    of::<Role>(),
    of::<RoleBinding>(),
    of::<Secret>(),
    of::<SelfSubjectAccessReview>(),
    of::<SelfSubjectReview>(),
    of::<SelfSubjectRulesReview>(),
    of::<Service>(),
    of::<ServiceAccount>(),
    of::<SubjectAccessReview>(),
    of::<TokenReview>(),
];

fn find(group: &str, version: &str, kind: &str) -> Option<&'static BuiltinKind> {
    KINDS.iter().find(|builtin| builtin.kind == kind && builtin.group == group && builtin.version == version)
}

/// Name of the schema of a built-in kind, such as `io.k8s.api.core.v1.Secret`.
pub(super) fn schema_name(group: &str, version: &str, kind: &str) -> Option<String> {
    find(group, version, kind).map(|builtin| (builtin.name)())
}

/// Collects the schemas of built-in kinds and of all they refer to.
pub(super) struct Schemas {
    generator: SchemaGenerator,
}

impl Schemas {
    /// Begins with the schemas that every document refers to.
    pub(super) fn with_meta() -> Self {
        let mut generator = SchemaSettings::openapi3().into_generator();
        generator.subschema_for::<ObjectMeta>();
        generator.subschema_for::<ListMeta>();
        generator.subschema_for::<DeleteOptions>();
        generator.subschema_for::<Status>();
        Self { generator }
    }

    /// Adds a kind, if it is built in.
    pub(super) fn add(&mut self, group: &str, version: &str, kind: &str) {
        if let Some(builtin) = find(group, version, kind) {
            (builtin.add)(&mut self.generator);
        }
    }

    /// The schemas by name, in OpenAPI 3.0's dialect.
    pub(super) fn into_definitions(mut self) -> Map<String, Value> {
        self.generator.take_definitions(true)
    }
}
