//! The life of namespaces.

use super::*;

#[test]
fn a_new_cluster_has_its_namespaces_and_roles() {
    let cluster = cluster();
    assert_eq!(
        cluster.names(&namespaces(), &ListOptions::default()),
        ["default", "kube-node-lease", "kube-public", "kube-system"]
    );
    let default = cluster.look(&namespaces(), "default").unwrap().value();
    assert_eq!(default["metadata"]["labels"], json!({"kubernetes.io/metadata.name": "default"}));
    assert_eq!(
        (&default["spec"], &default["status"]),
        (&json!({"finalizers": ["kubernetes"]}), &json!({"phase": "Active"}))
    );
    let roles = gvr("rbac.authorization.k8s.io", "v1", "clusterroles");
    assert_eq!(
        cluster.names(&roles, &ListOptions::default()),
        ["cluster-admin", "system:basic-user", "system:discovery", "system:public-info-viewer"]
    );
}

#[test]
fn every_namespace_is_furnished() {
    let cluster = cluster_with(|config| {
        config.default_service_accounts = true;
        config.root_ca = Some("PEM".to_owned());
    });
    cluster.make(&namespaces(), json!({"metadata": {"name": "n"}}));
    let accounts = cluster.list(&gvr("", "v1", "serviceaccounts"), None, &ListOptions::default()).unwrap();
    assert_eq!(accounts.items.len(), 5);
    let map = cluster.get(&config_maps(), Some("n"), "kube-root-ca.crt", &GetOptions::default()).unwrap();
    assert_eq!(map.value()["data"], json!({"ca.crt": "PEM"}));
}

#[test]
fn deletion_empties_a_namespace_and_then_removes_it() {
    let cluster = cluster();
    cluster.make(&namespaces(), json!({"metadata": {"name": "n"}}));
    let inside = |name: &str| json!({"metadata": {"name": name, "namespace": "n"}});
    cluster.make(&secrets(), inside("s"));
    let mut held = inside("held");
    held["metadata"]["finalizers"] = json!(["example.com/hold"]);
    cluster.make(&config_maps(), held);

    let mut cursor = cluster
        .watch_start(
            &namespaces(),
            None,
            &WatchOptions {
                resource_version: Some(cluster.revision().to_string()),
                ..WatchOptions::default()
            },
        )
        .unwrap();
    let Ok(Deleted::Object(marked)) = cluster.drop(&namespaces(), "n") else {
        panic!("answered as the object")
    };
    assert_eq!(marked.value()["status"]["phase"], json!("Terminating"));
    let get = |resource: &GroupVersionResource, name: &str| {
        cluster.get(resource, Some("n"), name, &GetOptions::default())
    };
    assert_eq!(refusal(get(&secrets(), "s")).0, 404);
    assert!(get(&config_maps(), "held").unwrap().is_terminating());
    assert!(cluster.look(&namespaces(), "n").is_ok(), "held by its content");

    let status = cluster.try_make(&secrets(), inside("late")).unwrap_err();
    assert_eq!((status.code, status.reason.as_str()), (403, "Forbidden"));
    assert_eq!(
        status.message,
        "secrets \"late\" is forbidden: unable to create new content in namespace n because it is being terminated"
    );
    assert_eq!(
        status.to_value()["details"]["causes"],
        json!([{"reason": "NamespaceTerminating", "message": "namespace n is being terminated", "field": "metadata.namespace"}])
    );

    let patch = Patch::parse(MERGE_PATCH, br#"{"metadata":{"finalizers":null}}"#).unwrap();
    cluster
        .patch(&config_maps(), Some("n"), "held", Subresource::None, &patch, &WriteOptions::default())
        .unwrap();
    assert_eq!(refusal(cluster.look(&namespaces(), "n")).0, 404);
    let events = cluster.watch_next(&mut cursor, 10).unwrap();
    assert_eq!(events.iter().map(WatchEvent::event_type).collect::<Vec<_>>(), ["MODIFIED", "DELETED"]);
}

#[test]
fn namespaces_that_stay() {
    let cluster = cluster();
    for name in ["default", "kube-system", "kube-public"] {
        assert_eq!(
            refusal(cluster.drop(&namespaces(), name)),
            (
                403,
                "Forbidden",
                format!("namespaces \"{name}\" is forbidden: this namespace may not be deleted")
            )
        );
    }
    cluster.make(&namespaces(), json!({"metadata": {"name": "n"}}));
    let preconditions = Preconditions { uid: Some("other".to_owned()), ..Preconditions::default() };
    let options = DeleteOptions { preconditions, ..DeleteOptions::default() };
    let status = cluster.delete(&namespaces(), None, "n", &options).unwrap_err();
    assert!(status.message.contains("Precondition failed: UID in precondition: other"), "{}", status.message);
}

#[test]
fn a_foreign_finalizer_is_taken_by_the_finalize_endpoint() {
    let cluster = cluster();
    cluster
        .make(&namespaces(), json!({"metadata": {"name": "n"}, "spec": {"finalizers": ["example.com/own"]}}));
    cluster.drop(&namespaces(), "n").unwrap();
    let mut left = cluster.look(&namespaces(), "n").unwrap().value();
    assert_eq!(left["spec"]["finalizers"], json!(["example.com/own"]));
    left["spec"]["finalizers"] = json!([]);
    cluster.put_to(&namespaces(), left, Subresource::Finalize).unwrap();
    assert_eq!(refusal(cluster.look(&namespaces(), "n")).0, 404);
}
