//! Roles, their bindings, and questions about access. Whom a role is bound to is nobody who asks: a real server learns of
//! bindings a moment later.

use super::{IN_CLUSTER, Resource, STORED, Scope, no_patches, nothing};
use serde_json::{Value, json};

const GROUP: &str = "rbac.authorization.k8s.io";

pub(super) const RESOURCES: &[Resource] = &[
    Resource {
        group: GROUP,
        version: "v1",
        plural: "roles",
        kind: "Role",
        scope: Scope::Namespaced,
        verbs: STORED,
        content: rules,
        last: || json!({"rules": []}),
        patches: rule_patches,
    },
    Resource {
        group: GROUP,
        version: "v1",
        plural: "rolebindings",
        kind: "RoleBinding",
        scope: Scope::Namespaced,
        verbs: STORED,
        content: bindings,
        last: || json!({"roleRef": role_ref("Role", "a")}),
        patches: binding_patches,
    },
    Resource {
        group: GROUP,
        version: "v1",
        plural: "clusterroles",
        kind: "ClusterRole",
        scope: Scope::Cluster,
        verbs: IN_CLUSTER,
        content: || {
            let mut all = rules();
            all.push(json!({"rules": [{"nonResourceURLs": ["/x"], "verbs": ["get"]}]}));
            all
        },
        last: || json!({"rules": []}),
        patches: rule_patches,
    },
    Resource {
        group: GROUP,
        version: "v1",
        plural: "clusterrolebindings",
        kind: "ClusterRoleBinding",
        scope: Scope::Cluster,
        verbs: IN_CLUSTER,
        content: bindings,
        last: || json!({"roleRef": role_ref("ClusterRole", "a")}),
        patches: binding_patches,
    },
    Resource {
        group: "authorization.k8s.io",
        version: "v1",
        plural: "selfsubjectaccessreviews",
        kind: "SelfSubjectAccessReview",
        scope: Scope::Cluster,
        verbs: &["review"],
        content: nothing,
        last: super::empty,
        patches: no_patches,
    },
];

fn rules() -> Vec<Value> {
    let rule =
        |resources: Value| json!({"apiGroups": [""], "resources": resources, "verbs": ["get", "list"]});
    vec![
        json!({}),
        json!({"rules": [rule(json!(["secrets"]))]}),
        json!({"rules": [rule(json!(["pods", "configmaps"])), rule(json!(["secrets"]))]}),
        json!({"rules": [{"apiGroups": [""], "resources": ["secrets"], "resourceNames": ["x"], "verbs": ["get"]}]}),
        json!({"rules": [{"apiGroups": [""], "resources": ["secrets"]}]}),
        json!({"rules": [{"verbs": ["get"]}]}),
    ]
}

fn rule_patches() -> Vec<(&'static str, Value)> {
    vec![
        ("/rules", json!([{"apiGroups": ["apps"], "resources": ["*"], "verbs": ["*"]}])),
        ("/rules/0/verbs", json!(["watch"])),
        ("/rules/-", json!({"apiGroups": [""], "resources": ["events"], "verbs": ["create"]})),
    ]
}

fn role_ref(kind: &str, name: &str) -> Value {
    json!({"apiGroup": GROUP, "kind": kind, "name": name})
}

fn bindings() -> Vec<Value> {
    let user = || json!({"kind": "User", "name": "somebody"});
    let account = || json!({"kind": "ServiceAccount", "name": "s", "namespace": "$ns"});
    vec![
        json!({"roleRef": role_ref("ClusterRole", "system:basic-user"), "subjects": [user()]}),
        json!({"roleRef": role_ref("ClusterRole", "system:basic-user"), "subjects": [user(), account()]}),
        json!({"roleRef": role_ref("ClusterRole", "system:basic-user")}),
        json!({"roleRef": role_ref("ClusterRole", "system:discovery"), "subjects": [account()]}),
        json!({"roleRef": role_ref("ClusterRole", "system:basic-user"), "subjects": [{"kind": "Robot", "name": "r"}]}),
        json!({"roleRef": {"kind": "ClusterRole", "name": "system:basic-user"}, "subjects": [{"kind": "Group", "name": "g"}]}),
        json!({"roleRef": role_ref("Plan", "view")}),
        json!({"subjects": [user()]}),
    ]
}

fn binding_patches() -> Vec<(&'static str, Value)> {
    vec![
        ("/subjects", json!([{"kind": "User", "name": "another"}])),
        ("/subjects/-", json!({"kind": "Group", "name": "g"})),
        ("/roleRef/name", json!("other")),
    ]
}
