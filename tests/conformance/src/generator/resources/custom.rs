//! Custom resources: one with all that schemas can do, and those that we ship.

use super::{CUSTOM, Resource, Scope, empty};
use crate::manifests;
use serde_json::{Value, json};

/// The group of the one made for this.
const GROUP: &str = "generated.example.com";
/// The folder of the definitions that we ship, from the checkout's top.
const SHIPPED: &str = "deploy/crds";

pub(super) const RESOURCES: &[Resource] = &[
    Resource {
        group: GROUP,
        version: "v1",
        plural: "gadgets",
        kind: "Gadget",
        scope: Scope::Namespaced,
        verbs: CUSTOM,
        content: gadgets,
        last: empty,
        patches: || {
            vec![
                ("/spec/size", json!(7)),
                ("/spec/color", json!("blue")),
                ("/spec/tags/-", json!("z")),
                ("/spec/fixed", json!("z")),
                ("/status/phase", json!("Off")),
                ("/status", json!({"phase": "On"})),
                ("/spec/limits", json!({"cpu": 2})),
                ("/spec/parts/0/weight", json!(8)),
            ]
        },
    },
    Resource {
        group: "certificates.mesh.gloo.solo.io",
        version: "v1",
        plural: "issuedcertificates",
        kind: "IssuedCertificate",
        scope: Scope::Namespaced,
        verbs: CUSTOM,
        content: issued_certificates,
        last: || json!({"spec": {}}),
        patches: || {
            vec![
                ("/spec/hosts/-", json!("spiffe://d/ns/a/sa/b")),
                ("/spec/org", json!("Istio")),
                ("/spec/certOptions/ttlDays", json!(30)),
                ("/status/state", json!("ISSUED")),
            ]
        },
    },
    Resource {
        group: "certificates.mesh.gloo.solo.io",
        version: "v1",
        plural: "certificaterequests",
        kind: "CertificateRequest",
        scope: Scope::Namespaced,
        verbs: CUSTOM,
        content: || {
            vec![
                json!({"spec": {}}),
                json!({"spec": {"certificateSigningRequest": "bm90aGluZw=="}}),
                json!({"spec": {"certificateSigningRequest": "no base64"}}),
                json!({"spec": {"certificateSigningRequest": 5}}),
                json!({"status": {"state": "PENDING", "observedGeneration": 1}}),
                json!({"status": {"state": "DONE"}}),
                json!({}),
            ]
        },
        last: || json!({"spec": {}}),
        patches: || {
            vec![("/spec/certificateSigningRequest", json!("b3RoZXI=")), ("/status/state", json!("FAILED"))]
        },
    },
    Resource {
        group: "multicluster.solo.io",
        version: "v1alpha1",
        plural: "kubernetesclusters",
        kind: "KubernetesCluster",
        scope: Scope::Namespaced,
        verbs: CUSTOM,
        content: || {
            vec![
                json!({"spec": {"secretName": "s"}}),
                json!({"spec": {"secretName": "s", "clusterDomain": "cluster.local"}}),
                json!({"spec": {"secretName": 3}}),
                json!({"spec": {"secret": "s"}}),
            ]
        },
        last: || json!({"spec": {"secretName": "s"}}),
        patches: || vec![("/spec/secretName", json!("t")), ("/spec/clusterDomain", json!("other"))],
    },
];

fn gadgets() -> Vec<Value> {
    vec![
        json!({"spec": {}}),
        json!({"spec": {"size": 3}}),
        json!({"spec": {"size": 11}}),
        json!({"spec": {"size": "big"}}),
        json!({"spec": {"size": 4, "color": "red", "tags": ["a", "b"]}}),
        json!({"spec": {"color": "mauve"}}),
        json!({"spec": {"tags": ["a", "a"]}}),
        json!({"spec": {"tags": ["a", 5]}}),
        json!({"spec": {"fixed": "x"}}),
        json!({"spec": {"fixed": "y"}}),
        json!({"spec": {"unknown": 1}}),
        json!({"spec": {"size": null, "parts": [{"name": "p", "weight": 1}]}}),
        json!({"spec": {"parts": [{"name": "p"}, {"name": "q", "weight": 2}]}}),
        json!({"spec": {"parts": [{"name": "p"}, {"name": "p"}]}}),
        json!({"spec": {"parts": [{"weight": 3}]}}),
        json!({"spec": {"limits": {"cpu": "100m", "memory": 5}}}),
        json!({"spec": {"limits": {"cpu": true}}}),
        json!({"spec": {"free": {"any": ["thing", {"at": 1.5}]}, "pattern": "ab1"}}),
        json!({"spec": {"pattern": "AB"}}),
        json!({"spec": {"since": "2030-01-01T00:00:00Z"}}),
        json!({"spec": {"since": "yesterday"}}),
        json!({"spec": {"from": 5, "to": 3}}),
        json!({"spec": {"from": 3, "to": 5}}),
        json!({"spec": {"size": 2}, "status": {"phase": "On"}}),
        json!({"status": {"phase": "Off"}}),
        json!({"status": {"phase": 5}}),
        json!({"status": {"ready": 2, "phase": "On"}}),
        json!({"status": {"ready": -1}}),
        json!({"status": "fine"}),
    ]
}

fn issued_certificates() -> Vec<Value> {
    let host = "spiffe://cluster.local/ns/istio-system/sa/istiod";
    vec![
        json!({"spec": {"hosts": [host], "org": "o"}}),
        json!({"spec": {"hosts": [host], "issuedCertificateSecret": {"name": "cacerts", "namespace": "x"},
                        "certOptions": {"ttlDays": 30, "secretRotationGracePeriodRatio": 0.25}}}),
        json!({"spec": {"glooMeshCa": {"signingCertificateSecret": {"name": "r", "namespace": "x"}}}}),
        json!({"spec": {"glooMeshCa": {}, "agentCa": {}}}),
        json!({"spec": {"hosts": [""]}}),
        json!({"spec": {"certOptions": {"ttlSeconds": 5}}}),
        json!({"spec": {"certOptions": {"secretRotationGracePeriodRatio": 0.95}}}),
        json!({"spec": {"rotationState": "ADDING_NEW_ROOT"}}),
        json!({"spec": {"rotationState": "HALF_WAY"}}),
        json!({"status": {"state": "ISSUED", "observedGeneration": 2}}),
        json!({"status": {"state": "HAPPY"}}),
        json!({"status": {"conditions": [{"type": "Ready", "status": "True", "reason": "Issued", "message": "",
               "lastTransitionTime": "2030-01-01T00:00:00Z"}]}}),
    ]
}

/// The definitions of the custom resources.
pub(in crate::generator) fn definitions() -> Result<Vec<Value>, String> {
    let mut all = vec![gadget_definition()];
    all.extend(manifests::folder(SHIPPED)?);
    Ok(all)
}

fn gadget_definition() -> Value {
    json!({
        "metadata": {"name": format!("gadgets.{GROUP}")},
        "spec": {
            "group": GROUP, "scope": "Namespaced",
            "names": {"plural": "gadgets", "kind": "Gadget", "shortNames": ["gd"]},
            "versions": [{
                "name": "v1", "served": true, "storage": true, "subresources": {"status": {}},
                "selectableFields": [{"jsonPath": ".spec.color"}],
                "additionalPrinterColumns": [
                    {"name": "Size", "type": "integer", "jsonPath": ".spec.size"},
                    {"name": "Phase", "type": "string", "jsonPath": ".status.phase"},
                    {"name": "First", "type": "string", "jsonPath": ".spec.parts[0].name"},
                ],
                "schema": {"openAPIV3Schema": {"type": "object", "properties": {
                    "spec": gadget_spec(),
                    "status": {"type": "object", "properties": {
                        "phase": {"type": "string", "default": "New"},
                        "ready": {"type": "integer", "minimum": 0}},
                        "x-kubernetes-validations": [{"rule": "!has(self.ready) || self.ready == 0 || self.phase == 'On'",
                                                      "message": "only what is on is ready"}]},
                }}},
            }],
        },
    })
}

fn gadget_spec() -> Value {
    json!({
        "type": "object",
        "properties": {
            "size": {"type": "integer", "minimum": 1, "maximum": 10, "default": 1},
            "color": {"type": "string", "enum": ["red", "blue"]},
            "tags": {"type": "array", "x-kubernetes-list-type": "set", "maxItems": 8,
                     "items": {"type": "string", "maxLength": 8}},
            "fixed": {"type": "string", "x-kubernetes-validations":
                      [{"rule": "self == oldSelf", "message": "fixed is immutable"}]},
            "parts": {"type": "array", "maxItems": 4, "x-kubernetes-list-type": "map",
                      "x-kubernetes-list-map-keys": ["name"],
                      "items": {"type": "object", "required": ["name"], "properties": {
                          "name": {"type": "string"}, "weight": {"type": "integer", "default": 5}}}},
            "limits": {"type": "object", "maxProperties": 3, "additionalProperties":
                       {"x-kubernetes-int-or-string": true}},
            "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
            "pattern": {"type": "string", "pattern": "^[a-z0-9]*$"},
            "since": {"type": "string", "format": "date-time"},
            "from": {"type": "integer"},
            "to": {"type": "integer"},
        },
        "x-kubernetes-validations": [
            {"rule": "!has(self.color) || self.size > 1", "message": "what has a color is not small"},
            {"rule": "!has(self.from) || !has(self.to) || self.from <= self.to",
             "messageExpression": "self.to > 2 ? 'from is after to' : 'from is far after to'",
             "fieldPath": ".from", "reason": "FieldValueForbidden"},
        ],
    })
}
