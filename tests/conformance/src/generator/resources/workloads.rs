//! Pods, Services, Deployments and PodDisruptionBudgets: stored with defaults, and nothing runs.

use super::{Resource, Scope, WITH_STATUS, stored};
use serde_json::{Value, json};

const NAMESPACED: Scope = Scope::Namespaced;

pub(super) const RESOURCES: &[Resource] = &[
    Resource {
        group: "",
        version: "v1",
        plural: "pods",
        kind: "Pod",
        scope: NAMESPACED,
        verbs: stored!("update status", "patch status", "evict"),
        content: pods,
        last: || json!({"spec": {"containers": [{"name": "c", "image": "i"}]}}),
        patches: || {
            vec![
                ("/spec/containers/0/image", json!("patched")),
                ("/spec/activeDeadlineSeconds", json!(60)),
                ("/status/phase", json!("Running")),
                ("/spec/nodeName", json!("m")),
            ]
        },
    },
    Resource {
        group: "",
        version: "v1",
        plural: "services",
        kind: "Service",
        scope: NAMESPACED,
        // Without "update status" and "odd": where there is no Service, the real server makes one of a status, and
        // addresses may be given out for what is refused after all.
        verbs: &[
            "create",
            "get",
            "list",
            "table",
            "watch",
            "update",
            "json patch",
            "merge patch",
            "strategic patch",
            "delete",
            "deletecollection",
            "denied",
            "patch status",
        ],
        content: services,
        last: || json!({"spec": {"clusterIP": "None", "ports": [{"port": 80}], "selector": {"app": "a"}}}),
        patches: || {
            vec![
                ("/spec/selector", json!({"app": "p"})),
                ("/spec/ports/0/port", json!(81)),
                ("/spec/ports/0/targetPort", json!("http")),
            ]
        },
    },
    Resource {
        group: "apps",
        version: "v1",
        plural: "deployments",
        kind: "Deployment",
        scope: NAMESPACED,
        verbs: WITH_STATUS,
        content: deployments,
        last: || deployment(&json!({"containers": [{"name": "c", "image": "i"}]})),
        patches: || {
            vec![
                ("/spec/replicas", json!(4)),
                ("/spec/template/spec/containers/0/image", json!("patched")),
                ("/spec/paused", json!(true)),
                ("/status/replicas", json!(1)),
            ]
        },
    },
];

fn pods() -> Vec<Value> {
    let container = || json!({"name": "c", "image": "i"});
    vec![
        json!({"spec": {"containers": [container()]}}),
        json!({"spec": {"containers": [container()]}}),
        json!({"spec": {"containers": [container()], "nodeName": "n"}}),
        json!({"spec": {"containers": [container()], "nodeName": "n", "terminationGracePeriodSeconds": 5}}),
        json!({"spec": {"containers": [{"name": "c", "image": "i:v2",
            "env": [{"name": "A", "value": "1"}], "ports": [{"containerPort": 80}],
            "resources": {"requests": {"cpu": "100m"}}}], "serviceAccountName": "s"}}),
        json!({"spec": {"containers": [container(), {"name": "d", "image": "j"}], "restartPolicy": "Never"}}),
        json!({"spec": {"containers": [container()], "volumes": [{"name": "v", "emptyDir": {}}]}}),
        json!({"spec": {"containers": []}}),
        json!({"spec": {"containers": [{"name": "c"}]}}),
        json!({"spec": {"containers": [container()], "restartPolicy": "Sometimes"}}),
        json!({"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}}),
        json!({"status": {"phase": "Succeeded"}}),
    ]
}

/// Without addresses of their own: the real server has a controller that repairs those now and then, and tells so in
/// events of the namespace.
fn services() -> Vec<Value> {
    let headless =
        |ports: Value| json!({"spec": {"clusterIP": "None", "ports": ports, "selector": {"app": "a"}}});
    vec![
        headless(json!([{"port": 80}])),
        headless(json!([{"port": 80, "targetPort": 8080}])),
        headless(json!([{"port": 80, "name": "http"}, {"port": 443, "name": "https"}])),
        headless(json!([{"port": 0}])),
        headless(json!([{"port": 80}, {"port": 443}])),
        headless(json!([])),
        json!({"spec": {"clusterIP": "None", "ports": [{"port": 80}], "selector": {"app": "b"}}}),
    ]
}

fn deployment(pod: &Value) -> Value {
    json!({"spec": {"selector": {"matchLabels": {"app": "a"}},
                    "template": {"metadata": {"labels": {"app": "a"}}, "spec": pod}}})
}

fn deployments() -> Vec<Value> {
    let container = || json!({"name": "c", "image": "i"});
    let mut scaled = deployment(&json!({"containers": [container()]}));
    scaled["spec"]["replicas"] = json!(3);
    let mut recreated = deployment(&json!({"containers": [container()]}));
    recreated["spec"]["strategy"] = json!({"type": "Recreate"});
    let mut unfit = deployment(&json!({"containers": [container()]}));
    unfit["spec"]["selector"]["matchLabels"] = json!({"app": "b"});
    vec![
        deployment(&json!({"containers": [container()]})),
        deployment(&json!({"containers": [container()], "serviceAccountName": "s"})),
        deployment(&json!({"containers": [{"name": "c", "image": "i:v2", "imagePullPolicy": "Always"}]})),
        deployment(&json!({"containers": []})),
        scaled,
        recreated,
        unfit,
        json!({"spec": {"replicas": 2}}),
        json!({"spec": {"replicas": -1}}),
        json!({"status": {"replicas": 1, "readyReplicas": 1}}),
    ]
}
