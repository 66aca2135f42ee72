//! Requests with consequences beyond their object: evictions, tokens, reviews, owners and namespaces that go.

use super::resources::Resource;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

/// A Pod is asked to go.
pub(super) fn eviction(resource: &'static Resource) -> impl Strategy<Value = String> {
    let options = select(vec![
        json!({}),
        json!({}),
        json!({"deleteOptions": {"gracePeriodSeconds": 0}}),
        json!({"deleteOptions": {"gracePeriodSeconds": 3}}),
        json!({"deleteOptions": {"dryRun": ["All"]}}),
        json!({"deleteOptions": {"preconditions": {"uid": "11111111-1111-1111-1111-111111111111"}}}),
        json!({"deleteOptions": {"propagationPolicy": "Background"}}),
        json!({"kind": "Pod", "apiVersion": "v1"}),
        json!({"metadata": {"name": "other"}}),
    ]);
    (select(resource.names()), options, select(vec!["", "", "?dryRun=All"])).prop_map(
        move |(name, options, query)| {
            let mut body = json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name}});
            for (field, value) in options.as_object().into_iter().flatten() {
                body[field] = value.clone();
            }
            format!("POST {}/{name}/eviction{query}\n{body}", resource.path())
        },
    )
}

/// A token for a ServiceAccount.
pub(super) fn token(resource: &'static Resource) -> impl Strategy<Value = String> {
    let specs = select(vec![
        json!({}),
        json!({"audiences": ["vault"]}),
        json!({"expirationSeconds": 600}),
        json!({"expirationSeconds": 7200, "audiences": ["a", "b"]}),
        json!({"expirationSeconds": 60}),
        json!({"expirationSeconds": 4_294_967_297_i64}),
        json!({"boundObjectRef": {"kind": "Secret", "apiVersion": "v1", "name": "not-there"}}),
        json!({"boundObjectRef": {"kind": "Planet", "apiVersion": "v1", "name": "x"}}),
    ]);
    let names = [resource.names(), vec!["default"]].concat();
    (select(names), specs).prop_map(|(name, spec)| {
        let body = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec});
        format!("POST {}/{name}/token\n{body}", resource.path())
    })
}

/// What somebody may do.
pub(super) fn review() -> impl Strategy<Value = String> {
    let about = |resource: Value| json!({"spec": {"resourceAttributes": resource}});
    let specs = select(vec![
        about(json!({"verb": "get", "resource": "secrets", "namespace": "$ns"})),
        about(json!({"verb": "delete", "resource": "pods", "group": "", "name": "a"})),
        about(
            json!({"verb": "create", "resource": "selfsubjectaccessreviews", "group": "authorization.k8s.io"}),
        ),
        about(json!({"verb": "create", "resource": "pods", "subresource": "eviction", "namespace": "$ns"})),
        json!({"spec": {"nonResourceAttributes": {"path": "/openapi/v3", "verb": "get"}}}),
        json!({"spec": {"nonResourceAttributes": {"path": "/metrics", "verb": "get"}}}),
        json!({"spec": {"nonResourceAttributes": {"path": "/", "verb": "get"},
                        "resourceAttributes": {"verb": "get", "resource": "pods"}}}),
        json!({"spec": {}}),
        json!({"spec": {"user": "stranger", "resourceAttributes": {"verb": "get", "resource": "pods"}}}),
    ]);
    let who = select(vec![
        "",
        "Impersonate-User: nobody\nImpersonate-Group: system:authenticated\n",
        "Impersonate-User: system:serviceaccount:$ns:default\n",
    ]);
    let kinds = select(vec!["SelfSubjectAccessReview", "SelfSubjectAccessReview", "SubjectAccessReview"]);
    (kinds, who, specs).prop_map(|(kind, who, mut body)| {
        body["apiVersion"] = json!("authorization.k8s.io/v1");
        body["kind"] = json!(kind);
        let plural = format!("{}s", kind.to_lowercase());
        format!("POST /apis/authorization.k8s.io/v1/{plural}\n{who}{body}")
    })
}

/// An owner goes, and what it owns with it, after it or not at all.
pub(super) fn ownership(resource: &'static Resource) -> BoxedStrategy<Vec<String>> {
    let path = resource.path();
    let (kind, version) = (resource.kind, resource.api_version());
    let reference = json!({"apiVersion": version, "kind": kind, "name": "owner$serial", "uid": "$uid",
                            "blockOwnerDeletion": true});
    let owner = "{\"metadata\": {\"name\": \"owner$serial\"}}";
    let dependent = json!({"metadata": {"name": "owned$serial", "ownerReferences": [reference]}});
    let policies = select(vec!["Background", "Foreground", "Orphan"]);
    policies
        .prop_map(move |policy| {
            let fate = match policy {
                "Orphan" => format!("GET {path}/owned$serial"),
                _ => format!("@until 404\nGET {path}/owned$serial"),
            };
            vec![
                format!("POST {path}\n{owner}"),
                format!("POST {path}\n{dependent}"),
                format!("DELETE {path}/owner$serial\n{{\"propagationPolicy\": \"{policy}\"}}"),
                format!("@until 404\nGET {path}/owner$serial"),
                fate,
            ]
        })
        .boxed()
}

/// A namespace goes: at once, or held by an object in it.
pub(super) fn termination() -> BoxedStrategy<Vec<String>> {
    const NAMESPACE: &str = "/api/v1/namespaces/$ns-$serial";
    let made = vec![
        "@only /status /spec\nPOST /api/v1/namespaces\n{\"metadata\": {\"name\": \"$ns-$serial\"}}"
            .to_owned(),
        format!("@until 200\n@only /metadata/name\nGET {NAMESPACE}/serviceaccounts/default"),
        format!("@until 200\n@only /metadata/name\nGET {NAMESPACE}/configmaps/kube-root-ca.crt"),
    ];
    let empty = vec![
        format!("@only /status/phase\nDELETE {NAMESPACE}"),
        format!("@until 404\nGET {NAMESPACE}"),
        format!("GET {NAMESPACE}/configmaps"),
        format!("POST {NAMESPACE}/secrets\n{{\"metadata\": {{\"name\": \"late\"}}}}"),
    ];
    let held = vec![
        format!(
            "@only /metadata/finalizers\nPOST {NAMESPACE}/secrets\n{{\"metadata\": {{\"name\": \"held\", \
             \"finalizers\": [\"example.com/f\"]}}}}"
        ),
        format!("@only /status/phase\nDELETE {NAMESPACE}"),
        format!("POST {NAMESPACE}/configmaps\n{{\"metadata\": {{\"name\": \"late\"}}}}"),
        format!("PUT {NAMESPACE}/configmaps/late\n{{\"metadata\": {{\"name\": \"late\"}}}}"),
        format!(
            "PUT /apis/coordination.k8s.io/v1/namespaces/$ns-$serial/leases/late\n{{\"metadata\": {{\"name\": \"late\"}}}}"
        ),
        // The status alone: whether its deletion has been asked for is a matter of time.
        format!("@for held\nGET {NAMESPACE}/secrets/$it"),
    ];
    let before = select(vec![
        Vec::new(),
        vec![format!("@only /status/phase\nDELETE {NAMESPACE}?dryRun=All")],
        vec![format!(
            "DELETE {NAMESPACE}\n{{\"preconditions\": {{\"uid\": \"11111111-1111-1111-1111-111111111111\"}}}}"
        )],
    ]);
    (before, select(vec![empty, held]))
        .prop_map(move |(before, after)| [made.clone(), before, after].concat())
        .boxed()
}
