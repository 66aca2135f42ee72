//! ConfigMaps, Secrets, ServiceAccounts, Events and Leases.

use super::{Resource, STORED, Scope, empty, stored};
use serde_json::{Value, json};

const NAMESPACED: Scope = Scope::Namespaced;

pub(super) const RESOURCES: &[Resource] = &[
    Resource {
        group: "",
        version: "v1",
        plural: "configmaps",
        kind: "ConfigMap",
        scope: NAMESPACED,
        verbs: stored!("own"),
        content: config_maps,
        last: empty,
        patches: || {
            vec![
                ("/data", json!({"k": "1"})),
                ("/data/k", json!("1")),
                ("/data/m", json!("1")),
                ("/binaryData", json!({"b": "AAEC"})),
                ("/immutable", json!(false)),
            ]
        },
    },
    Resource {
        group: "",
        version: "v1",
        plural: "secrets",
        kind: "Secret",
        scope: NAMESPACED,
        verbs: STORED,
        content: secrets,
        last: empty,
        patches: || {
            vec![
                ("/data", json!({"k": "djI="})),
                ("/data/k", json!("djM=")),
                ("/stringData", json!({"n": "v"})),
                ("/type", json!("Opaque")),
            ]
        },
    },
    Resource {
        group: "",
        version: "v1",
        plural: "serviceaccounts",
        kind: "ServiceAccount",
        scope: NAMESPACED,
        verbs: stored!("token"),
        content: || {
            vec![
                json!({}),
                json!({"automountServiceAccountToken": false}),
                json!({"imagePullSecrets": [{"name": "x"}]}),
                json!({"imagePullSecrets": [{"name": "y"}], "secrets": [{"name": "z"}]}),
                json!({"imagePullSecrets": []}),
                json!({"secrets": [{"name": "z"}, {"name": "w", "kind": "Secret"}]}),
                json!({"automountServiceAccountToken": "no"}),
            ]
        },
        last: empty,
        patches: || {
            vec![
                ("/imagePullSecrets", json!([{"name": "p"}])),
                ("/imagePullSecrets/-", json!({"name": "q"})),
                ("/automountServiceAccountToken", json!(true)),
            ]
        },
    },
    Resource {
        group: "",
        version: "v1",
        plural: "events",
        kind: "Event",
        scope: NAMESPACED,
        verbs: STORED,
        content: events,
        last: || json!({"involvedObject": {"kind": "Secret", "namespace": "$ns", "name": "x"}}),
        patches: || vec![("/message", json!("patched")), ("/count", json!(9)), ("/type", json!("Warning"))],
    },
    Resource {
        group: "coordination.k8s.io",
        version: "v1",
        plural: "leases",
        kind: "Lease",
        scope: NAMESPACED,
        verbs: STORED,
        content: || {
            vec![
                json!({"spec": {}}),
                json!({"spec": {"holderIdentity": "me", "leaseDurationSeconds": 15}}),
                json!({"spec": {"holderIdentity": "you", "renewTime": "2030-01-01T00:00:00.000000Z"}}),
                json!({"spec": {"leaseDurationSeconds": 0}}),
                json!({"spec": {"leaseTransitions": -1}}),
                json!({"spec": {"holderIdentity": null, "leaseTransitions": 3}}),
            ]
        },
        last: empty,
        patches: || {
            vec![("/spec/holderIdentity", json!("patched")), ("/spec/leaseDurationSeconds", json!(20))]
        },
    },
];

fn config_maps() -> Vec<Value> {
    vec![
        json!({}),
        json!({"data": {"k": "1"}}),
        json!({"data": {"k": "2", "m": ""}}),
        json!({"data": {"k": null, "m": "3"}}),
        json!({"data": null}),
        json!({"data": {"k": "1"}, "binaryData": {"b": "AAEC"}}),
        json!({"data": {"bad key": "1"}}),
        json!({"data": {"k": 1}}),
        json!({"dta": {"k": "1"}}),
        json!({"data": {"k": "1"}, "binaryData": {"k": "AAEC"}}),
        json!({"data": {"k": "1"}, "immutable": true}),
    ]
}

fn secrets() -> Vec<Value> {
    vec![
        json!({}),
        json!({"data": {"k": "djE="}}),
        json!({"stringData": {"k": "v2"}}),
        json!({"data": {"k": "djE="}, "stringData": {"m": ""}}),
        json!({"data": {"k": "not base64"}}),
        json!({"type": "example.com/x"}),
        json!({"type": "kubernetes.io/tls", "data": {"tls.crt": ""}}),
        json!({"type": "kubernetes.io/tls", "data": {"tls.crt": "eA==", "tls.key": "eA=="}}),
        json!({"type": "kubernetes.io/basic-auth", "stringData": {"username": "u"}}),
        json!({"data": {"k": "djE="}, "immutable": true}),
        json!({"type": ""}),
    ]
}

fn events() -> Vec<Value> {
    let about = |namespace: &str| json!({"kind": "Secret", "namespace": namespace, "name": "x"});
    vec![
        json!({"involvedObject": about("$ns")}),
        json!({"involvedObject": about("$ns"), "reason": "Made", "message": "it was", "type": "Normal"}),
        json!({"involvedObject": about("$ns"), "type": "Warning", "count": 3,
               "firstTimestamp": "2030-01-01T00:00:00Z", "source": {"component": "test"}}),
        json!({"involvedObject": about("default")}),
        json!({"involvedObject": about("$ns"), "count": "many"}),
    ]
}
