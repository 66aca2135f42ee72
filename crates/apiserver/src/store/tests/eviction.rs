//! Evictions and budgets.

use super::*;

fn budgets() -> GroupVersionResource {
    gvr("policy", "v1", "poddisruptionbudgets")
}

/// Two ready pods under a budget.
fn two_pods(budget: &Value) -> Cluster {
    let cluster = cluster();
    for name in ["a", "b"] {
        let mut object = pod(name);
        object["metadata"]["labels"] = json!({"app": "x"});
        object["spec"]["nodeName"] = json!("n");
        let mut made = cluster.make(&pods(), object).value();
        made["status"] = json!({"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]});
        cluster.put_to(&pods(), made, Subresource::Status).unwrap();
    }
    let mut spec = budget.clone();
    spec["selector"] = json!({"matchLabels": {"app": "x"}});
    cluster.make(&budgets(), json!({"metadata": {"name": "budget"}, "spec": spec}));
    cluster
}

fn evict(cluster: &Cluster, name: &str, eviction: &Value) -> Result<Value, ApiStatus> {
    cluster.evict("default", name, eviction, &WriteOptions::default())
}

#[test]
fn within_the_budget_and_beyond_it() {
    let cluster = two_pods(&json!({"maxUnavailable": 1}));
    let answer = evict(&cluster, "a", &json!({"metadata": {"name": "a"}})).unwrap();
    assert_eq!((&answer["status"], &answer["code"]), (&json!("Success"), &json!(201)));
    assert!(cluster.look(&pods(), "a").unwrap().is_terminating());
    let status = evict(&cluster, "b", &json!({})).unwrap_err();
    assert_eq!((status.code, status.reason.as_str()), (429, "TooManyRequests"));
    assert_eq!(status.message, "Cannot evict pod as it would violate the pod's disruption budget.");
    assert_eq!(
        status.to_value()["details"]["causes"],
        json!([{"reason": "DisruptionBudget", "message": "The disruption budget budget needs 1 healthy pods and has 1 currently"}])
    );
    assert!(evict(&cluster, "a", &json!({})).is_ok(), "going anyway");
    assert_eq!(refusal(evict(&cluster, "none", &json!({}))).0, 404);
    assert_eq!(refusal(evict(&cluster, "b", &json!({"metadata": {"name": "c"}}))).0, 400);
}

#[test]
fn a_budget_that_never_allows() {
    let cluster = two_pods(&json!({"minAvailable": "100%"}));
    assert_eq!(refusal(evict(&cluster, "a", &json!({}))).0, 429);
    let unready = |name: &str| {
        let mut object = cluster.look(&pods(), name).unwrap().value();
        object["status"]["conditions"] = json!([]);
        cluster.put_to(&pods(), object, Subresource::Status).unwrap();
    };
    unready("a");
    assert_eq!(refusal(evict(&cluster, "a", &json!({}))).0, 429, "one healthy of two wanted");
    cluster
        .merge(&budgets(), "budget", &json!({"spec": {"unhealthyPodEvictionPolicy": "AlwaysAllow"}}))
        .unwrap();
    assert!(evict(&cluster, "a", &json!({})).is_ok());
}

#[test]
fn two_budgets_are_one_too_many() {
    let cluster = two_pods(&json!({"maxUnavailable": 1}));
    cluster.make(
        &budgets(),
        json!({"metadata": {"name": "second"}, "spec": {"selector": {"matchLabels": {"app": "x"}}}}),
    );
    let status = evict(&cluster, "a", &json!({})).unwrap_err();
    assert_eq!(status.code, 500);
    assert!(status.message.starts_with("This pod has more than one PodDisruptionBudget"));
}

#[test]
fn a_budget_with_a_controller_is_taken_at_its_word() {
    let cluster = two_pods(&json!({"maxUnavailable": 1}));
    let report = |observed: i64, allowed: i64| {
        let mut budget = cluster.look(&budgets(), "budget").unwrap().value();
        budget["status"] = json!({
            "observedGeneration": observed, "disruptionsAllowed": allowed, "currentHealthy": 2, "desiredHealthy": 2,
            "expectedPods": 2
        });
        cluster.put_to(&budgets(), budget, Subresource::Status).unwrap();
    };
    report(0, 1);
    let behind = evict(&cluster, "a", &json!({})).unwrap_err();
    assert_eq!(behind.to_value()["details"]["retryAfterSeconds"], json!(10));
    report(1, 1);
    assert!(evict(&cluster, "a", &json!({})).is_ok());
    let status = cluster.look(&budgets(), "budget").unwrap().value()["status"].clone();
    assert_eq!(status["disruptionsAllowed"], json!(0));
    assert!(status["disruptedPods"].get("a").is_some());
    assert_eq!(refusal(evict(&cluster, "b", &json!({}))).0, 429);
}

#[test]
fn preconditions_and_pods_without_a_budget() {
    let cluster = cluster();
    let made = cluster.make(&pods(), pod("p"));
    let with_uid = |uid: &str| json!({"deleteOptions": {"preconditions": {"uid": uid}}});
    assert_eq!(refusal(evict(&cluster, "p", &with_uid("other"))).0, 409);
    assert!(evict(&cluster, "p", &with_uid(made.uid())).is_ok());
    assert_eq!(refusal(cluster.look(&pods(), "p")).0, 404);
}
