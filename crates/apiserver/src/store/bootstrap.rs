//! What a new cluster contains: the namespaces and the roles that every cluster has
//! (`plugin/pkg/auth/authorizer/rbac/bootstrappolicy`).

use serde_json::{Value, json};

use super::{ObjectBody, Store, WriteOptions};
use crate::resource::GroupVersionResource;

const NAMESPACES: [&str; 4] = ["default", "kube-system", "kube-public", "kube-node-lease"];

impl Store {
    /// Fills a new store. Nothing here can fail but by a mistake in this file, which its test would show.
    pub(super) fn bootstrap(&self) {
        for name in NAMESPACES {
            self.seed("", "namespaces", json!({"metadata": {"name": name}}));
        }
        for (name, rules) in roles() {
            self.seed(RBAC, "clusterroles", json!({"metadata": metadata(name), "rules": rules}));
        }
        for (name, groups) in bindings() {
            let subjects: Vec<Value> =
                groups.iter().map(|g| json!({"kind": "Group", "apiGroup": RBAC, "name": g})).collect();
            self.seed(
                RBAC,
                "clusterrolebindings",
                json!({
                    "metadata": metadata(name),
                    "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": name},
                    "subjects": subjects
                }),
            );
        }
        self.settle();
    }

    fn seed(&self, group: &str, resource: &str, object: Value) {
        let id = GroupVersionResource::new(group, "v1", resource);
        if let Some(definition) = self.resource(&id) {
            let created =
                self.create_object(&definition, None, ObjectBody::from(object), &WriteOptions::default());
            debug_assert!(created.is_ok(), "seeding {resource}: {created:?}");
        }
    }
}

const RBAC: &str = "rbac.authorization.k8s.io";

fn metadata(name: &str) -> Value {
    json!({
        "name": name,
        "annotations": {"rbac.authorization.kubernetes.io/autoupdate": "true"},
        "labels": {"kubernetes.io/bootstrapping": "rbac-defaults"}
    })
}

fn roles() -> Vec<(&'static str, Value)> {
    let urls = |urls: &[&str]| json!([{"verbs": ["get"], "nonResourceURLs": urls}]);
    vec![
        (
            "cluster-admin",
            json!([
                {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]},
                {"verbs": ["*"], "nonResourceURLs": ["*"]}
            ]),
        ),
        (
            "system:basic-user",
            json!([
                {"verbs": ["create"], "apiGroups": ["authorization.k8s.io"],
                 "resources": ["selfsubjectaccessreviews", "selfsubjectrulesreviews"]},
                {"verbs": ["create"], "apiGroups": ["authentication.k8s.io"], "resources": ["selfsubjectreviews"]}
            ]),
        ),
        (
            "system:discovery",
            urls(&[
                "/api",
                "/api/*",
                "/apis",
                "/apis/*",
                "/healthz",
                "/livez",
                "/openapi",
                "/openapi/*",
                "/readyz",
                "/version",
                "/version/",
            ]),
        ),
        ("system:public-info-viewer", urls(&["/healthz", "/livez", "/readyz", "/version", "/version/"])),
    ]
}

fn bindings() -> [(&'static str, &'static [&'static str]); 4] {
    [
        ("cluster-admin", &["system:masters"]),
        ("system:basic-user", &["system:authenticated"]),
        ("system:discovery", &["system:authenticated"]),
        ("system:public-info-viewer", &["system:authenticated", "system:unauthenticated"]),
    ]
}
