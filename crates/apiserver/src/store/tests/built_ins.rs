//! Built-in resources as a whole.

use super::*;
use crate::rbac::{Attributes, UserInfo};

#[test]
fn resources_as_on_a_real_cluster() {
    let cluster = cluster();
    let rows: Vec<String> = cluster
        .resources()
        .iter()
        .map(|d| {
            let subresources: Vec<&str> = d.subresources.iter().map(|s| s.name).collect();
            let namespaced = d.scope == crate::resource::Scope::Namespaced;
            format!(
                "{} {} {} {namespaced} {} [{}]",
                d.id.resource,
                d.api_version(),
                d.kind,
                d.short_names.join(","),
                subresources.join(",")
            )
        })
        .collect();
    assert_eq!(
        rows,
        [
            "configmaps v1 ConfigMap true cm []",
            "events v1 Event true ev []",
            "namespaces v1 Namespace false ns [finalize,status]",
            "pods v1 Pod true po [eviction,status]",
            "secrets v1 Secret true  []",
            "serviceaccounts v1 ServiceAccount true sa [token]",
            "services v1 Service true svc [status]",
            "customresourcedefinitions apiextensions.k8s.io/v1 CustomResourceDefinition false crd,crds [status]",
            "deployments apps/v1 Deployment true deploy [status]",
            "leases coordination.k8s.io/v1 Lease true  []",
            "events events.k8s.io/v1 Event true ev []",
            "poddisruptionbudgets policy/v1 PodDisruptionBudget true pdb [status]",
            "clusterrolebindings rbac.authorization.k8s.io/v1 ClusterRoleBinding false  []",
            "clusterroles rbac.authorization.k8s.io/v1 ClusterRole false  []",
            "rolebindings rbac.authorization.k8s.io/v1 RoleBinding true  []",
            "roles rbac.authorization.k8s.io/v1 Role true  []",
        ]
    );
}

#[test]
fn every_built_in_can_be_written_and_is_typed() {
    let cluster = cluster();
    let template =
        json!({"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "a", "image": "i"}]}});
    let role_ref = json!({"kind": "ClusterRole", "name": "cluster-admin"});
    let rows = [
        (gvr("", "v1", "services"), json!({"spec": {"ports": [{"port": 80}]}})),
        (gvr("", "v1", "serviceaccounts"), json!({})),
        (gvr("", "v1", "events"), json!({"involvedObject": {"namespace": "default"}})),
        (
            gvr("apps", "v1", "deployments"),
            json!({"spec": {"selector": {"matchLabels": {"a": "b"}}, "template": template}}),
        ),
        (gvr("coordination.k8s.io", "v1", "leases"), json!({})),
        (
            gvr("events.k8s.io", "v1", "events"),
            json!({"regarding": {"namespace": "default"}, "note": "n", "reportingController": "me", "reportingInstance": "me-1",
                "action": "Testing", "reason": "Tested", "eventTime": "2030-01-01T00:00:00.000000Z", "type": "Normal"}),
        ),
        (gvr("policy", "v1", "poddisruptionbudgets"), json!({"spec": {"maxUnavailable": 1}})),
        (gvr("rbac.authorization.k8s.io", "v1", "clusterrolebindings"), json!({"roleRef": role_ref})),
        (gvr("rbac.authorization.k8s.io", "v1", "rolebindings"), json!({"roleRef": role_ref})),
        (gvr("rbac.authorization.k8s.io", "v1", "clusterroles"), json!({})),
    ];
    for (i, (resource, mut object)) in rows.into_iter().enumerate() {
        object["metadata"] = json!({"name": format!("x{i}")});
        let made = cluster.make(&resource, object);
        let name = made.name().to_owned();
        let again = cluster.look(&resource, &name).unwrap();
        assert_eq!(again, made, "{resource}");
        let same = cluster.put(&resource, made.value()).unwrap();
        assert_eq!(same.object, made, "{resource}: what was read can be written, and changes nothing");
        let label = json!({"metadata": {"labels": {"k": "v"}}});
        let labelled = cluster.merge(&resource, &name, &label).unwrap().object;
        assert_eq!(labelled.label("k"), Some("v"));
    }
    let pod: k8s_openapi::api::core::v1::Pod = cluster.make(&pods(), pod("p")).parse().unwrap();
    assert_eq!(pod.status.and_then(|s| s.phase).as_deref(), Some("Pending"));
}

#[test]
fn both_groups_show_the_same_events() {
    let cluster = cluster();
    let (core, new) = (gvr("", "v1", "events"), gvr("events.k8s.io", "v1", "events"));
    let made = cluster.make(&new, json!({
        "metadata": {"name": "e"}, "regarding": {"kind": "Pod", "name": "p", "namespace": "default"}, "note": "hello",
        "reportingController": "me", "reportingInstance": "me-1", "action": "Testing", "reason": "Tested",
        "eventTime": "2030-01-01T00:00:00.000000Z", "type": "Normal"
    }));
    assert_eq!(made.value()["apiVersion"], json!("events.k8s.io/v1"));
    let shown = cluster.look(&core, "e").unwrap().value();
    assert_eq!((&shown["apiVersion"], &shown["message"]), (&json!("v1"), &json!("hello")));
    assert_eq!((&shown["involvedObject"]["name"], &shown["reportingComponent"]), (&json!("p"), &json!("me")));
    cluster.merge(&core, "e", &json!({"count": 2})).unwrap();
    assert_eq!(cluster.look(&new, "e").unwrap().value()["deprecatedCount"], json!(2));
    cluster.merge(&new, "e", &json!({"note": "changed"})).unwrap();
    assert_eq!(cluster.look(&core, "e").unwrap().value()["message"], json!("changed"));
    let mut cursor = cluster.watch_start(&new, None, &WatchOptions::default()).unwrap();
    cluster.drop(&core, "e").unwrap();
    let events = cluster.watch_next(&mut cursor, 10).unwrap();
    assert_eq!(events.last().and_then(WatchEvent::object).unwrap().value()["note"], json!("changed"));
}

#[test]
fn labels_of_built_ins_can_be_written_with_their_status() {
    let cluster = cluster();
    let mut object = cluster.make(&pods(), pod("p")).value();
    object["status"] = json!({"phase": "Running"});
    object["metadata"]["labels"] = json!({"a": "b"});
    object["spec"]["nodeName"] = json!("ignored");
    let written = cluster.put_to(&pods(), object, Subresource::Status).unwrap().object.value();
    assert_eq!(written["status"], json!({"phase": "Running", "qosClass": "BestEffort"}));
    assert_eq!((&written["metadata"]["labels"], written["spec"].get("nodeName")), (&json!({"a": "b"}), None));
    assert_eq!(written["metadata"]["generation"], json!(1));
}

#[test]
fn authorization_follows_the_stored_objects() {
    let cluster = cluster();
    let user = |name: &str, group: &str| UserInfo {
        username: name.to_owned(),
        groups: vec![group.to_owned()],
        uid: None,
    };
    let get = Attributes::Resource {
        verb: "get".to_owned(),
        group: String::new(),
        resource: "secrets".to_owned(),
        subresource: String::new(),
        name: "x".to_owned(),
        namespace: "default".to_owned(),
    };
    let discovery = Attributes::NonResource { verb: "get".to_owned(), path: "/apis/apps/v1".to_owned() };
    let allowed = |user: &UserInfo, what: &Attributes| {
        matches!(cluster.authorize(user, what), Decision::Allowed { .. })
    };
    let alice = user("alice", "system:authenticated");
    assert!(allowed(&user("root", "system:masters"), &get));
    assert!(allowed(&alice, &discovery) && !allowed(&alice, &get));
    let bindings = gvr("rbac.authorization.k8s.io", "v1", "rolebindings");
    cluster.make(
        &bindings,
        json!({
            "metadata": {"name": "b"}, "roleRef": {"kind": "ClusterRole", "name": "cluster-admin"},
            "subjects": [{"kind": "User", "name": "alice"}]
        }),
    );
    assert!(allowed(&alice, &get));
    cluster.drop(&bindings, "b").unwrap();
    assert!(!allowed(&alice, &get));
}
