//! The resources that random requests are about, and what may stand in their objects.

use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

/// One resource.
#[derive(Debug)]
pub(super) struct Resource {
    pub(super) group: &'static str,
    pub(super) version: &'static str,
    pub(super) plural: &'static str,
    pub(super) kind: &'static str,
    pub(super) has_status: bool,
    /// An object without type and metadata, or a merge patch of it.
    pub(super) content: fn() -> BoxedStrategy<Value>,
    /// What the last object holds.
    pub(super) last: fn() -> Value,
    /// Paths that JSON patches are about.
    pub(super) paths: &'static [&'static str],
    /// What a JSON patch sets there.
    pub(super) value: fn(&str) -> Value,
}

/// The group of the custom resources.
pub(super) const GROUP: &str = "generated.example.com";

impl Resource {
    pub(super) fn is_custom(&self) -> bool {
        self.group == GROUP
    }

    pub(super) fn is(&self, other: &Self) -> bool {
        (self.group, self.plural) == (other.group, other.plural)
    }

    pub(super) fn api_version(&self) -> String {
        let (group, version) = (self.group, self.version);
        if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") }
    }

    /// The collection in the case's namespace.
    pub(super) fn path(&self) -> String {
        let (group, version) = (self.group, self.version);
        let prefix =
            if group.is_empty() { format!("/api/{version}") } else { format!("/apis/{group}/{version}") };
        format!("{prefix}/namespaces/$ns/{}", self.plural)
    }
}

/// All of them.
pub(super) const RESOURCES: &[Resource] = &[
    Resource {
        group: "",
        version: "v1",
        plural: "configmaps",
        kind: "ConfigMap",
        has_status: false,
        content: || {
            select(vec![
                json!({}),
                json!({"data": {"k": "1"}}),
                json!({"data": {"k": "2", "m": ""}}),
                json!({"data": {"k": null, "m": "3"}}),
                json!({"data": null}),
                json!({"data": {"k": "1"}, "binaryData": {"b": "AAEC"}}),
                json!({"data": {"bad key": "1"}}),
                json!({"data": {"k": 1}}),
                json!({"dta": {"k": "1"}}),
                json!({"data": {"k": "1"}, "immutable": true}),
            ])
            .boxed()
        },
        last: || json!({}),
        paths: &["/data", "/data/k", "/data/m", "/binaryData", "/immutable"],
        value: |path| match path {
            "/data" => json!({"k": "1"}),
            "/binaryData" => json!({"b": "AAEC"}),
            "/immutable" => json!(false),
            _ => json!("1"),
        },
    },
    Resource {
        group: "",
        version: "v1",
        plural: "secrets",
        kind: "Secret",
        has_status: false,
        content: || {
            select(vec![
                json!({}),
                json!({"data": {"k": "djE="}}),
                json!({"stringData": {"k": "v2"}}),
                json!({"data": {"k": "djE="}, "stringData": {"m": ""}}),
                json!({"data": {"k": "not base64"}}),
                json!({"type": "example.com/x"}),
                json!({"type": "kubernetes.io/tls", "data": {"tls.crt": ""}}),
                json!({"type": ""}),
            ])
            .boxed()
        },
        last: || json!({}),
        paths: &["/data", "/data/k", "/stringData", "/type"],
        value: |path| match path {
            "/data" => json!({"k": "djI="}),
            "/stringData" => json!({"n": "v"}),
            "/type" => json!("Opaque"),
            _ => json!("djM="),
        },
    },
    Resource {
        group: "coordination.k8s.io",
        version: "v1",
        plural: "leases",
        kind: "Lease",
        has_status: false,
        content: || {
            select(vec![
                json!({"spec": {}}),
                json!({"spec": {"holderIdentity": "me", "leaseDurationSeconds": 15}}),
                json!({"spec": {"holderIdentity": "you", "renewTime": "2030-01-01T00:00:00.000000Z"}}),
                json!({"spec": {"leaseDurationSeconds": 0}}),
                json!({"spec": {"leaseTransitions": -1}}),
                json!({"spec": {"holderIdentity": null, "leaseTransitions": 3}}),
            ])
            .boxed()
        },
        last: || json!({}),
        paths: &["/spec/holderIdentity", "/spec/leaseDurationSeconds"],
        value: |path| if path.ends_with("Seconds") { json!(20) } else { json!("patched") },
    },
    Resource {
        group: "",
        version: "v1",
        plural: "serviceaccounts",
        kind: "ServiceAccount",
        has_status: false,
        content: || {
            select(vec![
                json!({}),
                json!({"automountServiceAccountToken": false}),
                json!({"imagePullSecrets": [{"name": "x"}]}),
                json!({"imagePullSecrets": [{"name": "y"}], "secrets": [{"name": "z"}]}),
                json!({"imagePullSecrets": []}),
            ])
            .boxed()
        },
        last: || json!({}),
        paths: &["/imagePullSecrets", "/automountServiceAccountToken"],
        value: |path| if path == "/imagePullSecrets" { json!([{"name": "p"}]) } else { json!(true) },
    },
    Resource {
        group: GROUP,
        version: "v1",
        plural: "gadgets",
        kind: "Gadget",
        has_status: true,
        content: || {
            select(vec![
                json!({"spec": {}}),
                json!({"spec": {"size": 3}}),
                json!({"spec": {"size": 11}}),
                json!({"spec": {"size": "big"}}),
                json!({"spec": {"size": 4, "color": "red", "tags": ["a", "b"]}}),
                json!({"spec": {"color": "mauve"}}),
                json!({"spec": {"tags": ["a", "a"]}}),
                json!({"spec": {"fixed": "x"}}),
                json!({"spec": {"fixed": "y"}}),
                json!({"spec": {"unknown": 1}}),
                json!({"spec": {"size": null, "parts": [{"name": "p", "weight": 1}]}}),
                json!({"spec": {"parts": [{"name": "p"}, {"name": "q", "weight": 2}]}}),
                json!({"spec": {"size": 2}, "status": {"phase": "On"}}),
                json!({"status": {"phase": "Off"}}),
                json!({"status": {"phase": 5}}),
            ])
            .boxed()
        },
        last: || json!({}),
        paths: &["/spec/size", "/spec/color", "/spec/tags/-", "/spec/fixed", "/status/phase", "/status"],
        value: |path| match path {
            "/spec/size" => json!(7),
            "/spec/color" => json!("blue"),
            "/status" => json!({"phase": "On"}),
            _ => json!("z"),
        },
    },
];

/// The definitions of the custom resources, and where those are served.
pub(super) fn definitions() -> Vec<(Value, String)> {
    vec![(gadgets(), format!("/apis/{GROUP}/v1/gadgets"))]
}

fn gadgets() -> Value {
    json!({
        "metadata": {"name": format!("gadgets.{GROUP}")},
        "spec": {
            "group": GROUP, "scope": "Namespaced", "names": {"plural": "gadgets", "kind": "Gadget"},
            "versions": [{
                "name": "v1", "served": true, "storage": true, "subresources": {"status": {}},
                "schema": {"openAPIV3Schema": {"type": "object", "properties": {
                    "spec": {
                        "type": "object",
                        "properties": {
                            "size": {"type": "integer", "minimum": 1, "maximum": 10, "default": 1},
                            "color": {"type": "string", "enum": ["red", "blue"]},
                            "tags": {"type": "array", "x-kubernetes-list-type": "set", "maxItems": 8,
                                     "items": {"type": "string", "maxLength": 8}},
                            "fixed": {"type": "string", "x-kubernetes-validations":
                                      [{"rule": "self == oldSelf", "message": "fixed is immutable"}]},
                            "parts": {"type": "array", "maxItems": 4, "items": {"type": "object", "properties": {
                                "name": {"type": "string"}, "weight": {"type": "integer", "default": 5}}}},
                        },
                        "x-kubernetes-validations":
                            [{"rule": "!has(self.color) || self.size > 1", "message": "what has a color is not small"}],
                    },
                    "status": {"type": "object", "properties": {"phase": {"type": "string"}}},
                }}},
            }],
        },
    })
}
