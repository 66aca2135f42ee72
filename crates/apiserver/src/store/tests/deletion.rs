//! DELETE, finalizers, grace periods, owners.

use super::*;

#[test]
fn gone_at_once_or_answered_as_the_object() {
    let cluster = cluster();
    let made = cluster.make(&secrets(), secret("x"));
    let deleted = cluster.drop(&secrets(), "x").unwrap();
    assert_eq!(
        deleted,
        Deleted::Gone(json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success",
            "details": {"name": "x", "kind": "secrets", "uid": made.uid()}
        }))
    );
    assert_eq!(
        refusal(cluster.drop(&secrets(), "x")),
        (404, "NotFound", "secrets \"x\" not found".to_owned())
    );
    cluster.make(&pods(), pod("p"));
    assert!(matches!(cluster.drop(&pods(), "p"), Ok(Deleted::Object(p)) if p.is_terminating()));
    assert_eq!(refusal(cluster.look(&pods(), "p")).0, 404);
}

#[test]
fn preconditions() {
    let cluster = cluster();
    let made = cluster.make(&secrets(), secret("x"));
    let delete = |uid: Option<&str>, version: Option<&str>| {
        let preconditions =
            Preconditions { uid: uid.map(str::to_owned), resource_version: version.map(str::to_owned) };
        cluster.delete(
            &secrets(),
            Some("default"),
            "x",
            &DeleteOptions { preconditions, ..DeleteOptions::default() },
        )
    };
    assert_eq!(
        refusal(delete(Some("other"), None)),
        (
            409,
            "Conflict",
            format!(
                "Operation cannot be fulfilled on Secret \"x\": the UID in the precondition (other) does not match the \
                 UID in record ({}). The object might have been deleted and then recreated",
                made.uid()
            )
        )
    );
    assert!(
        refusal(delete(None, Some("1")))
            .2
            .contains("the ResourceVersion in the precondition (1) does not match")
    );
    assert!(delete(Some(made.uid()), Some(&made.resource_version().to_string())).is_ok());
}

#[test]
fn finalizers_hold_an_object() {
    let cluster = cluster();
    cluster.make(&crds(), thing_crd(&thing_spec()));
    let mut object = thing("t", &json!({"n": 1}));
    object["metadata"]["finalizers"] = json!(["example.com/a", "example.com/b"]);
    cluster.make(&things(), object);
    let Ok(Deleted::Object(marked)) = cluster.drop(&things(), "t") else { panic!("it should wait") };
    let metadata = &marked.value()["metadata"];
    assert_eq!(metadata["deletionTimestamp"], json!("2023-11-14T22:13:20Z"));
    assert_eq!((&metadata["deletionGracePeriodSeconds"], &metadata["generation"]), (&json!(0), &json!(2)));

    cluster.pass(10);
    let Ok(Deleted::Object(again)) = cluster.drop(&things(), "t") else { panic!("it should still wait") };
    assert_eq!(again, marked, "the second deletion changes nothing");

    let add = json!({"metadata": {"finalizers": ["example.com/a", "example.com/b", "example.com/c"]}});
    assert!(refusal(cluster.merge(&things(), "t", &add)).2.contains("no new finalizers can be added"));
    let exists = cluster.try_make(&things(), thing("t", &json!({})));
    assert_eq!(refusal(exists).2, "object is being deleted: things.example.com \"t\" already exists");

    cluster.merge(&things(), "t", &json!({"metadata": {"finalizers": ["example.com/b"]}})).unwrap();
    let last = cluster.merge(&things(), "t", &json!({"metadata": {"finalizers": null}})).unwrap();
    assert!(last.object.is_terminating());
    assert_eq!(refusal(cluster.look(&things(), "t")).0, 404);
}

#[test]
fn scheduled_pods_get_their_grace_period() {
    let cluster = cluster();
    let mut scheduled = pod("p");
    scheduled["spec"]["nodeName"] = json!("node");
    cluster.make(&pods(), scheduled);
    let delete = |grace: Option<i64>| {
        let options = DeleteOptions { grace_period_seconds: grace, ..DeleteOptions::default() };
        cluster.delete(&pods(), Some("default"), "p", &options).unwrap()
    };
    let grace = |deleted: &Deleted| match deleted {
        Deleted::Object(pod) => {
            let metadata = &pod.value()["metadata"];
            (metadata["deletionTimestamp"].clone(), metadata["deletionGracePeriodSeconds"].clone())
        }
        Deleted::Gone(_) => panic!("it should wait"),
    };
    assert_eq!(grace(&delete(None)), (json!("2023-11-14T22:13:50Z"), json!(30)));
    assert_eq!(grace(&delete(Some(60))), (json!("2023-11-14T22:13:50Z"), json!(30)), "never longer");
    assert_eq!(grace(&delete(Some(10))), (json!("2023-11-14T22:13:30Z"), json!(10)), "but shorter");
    delete(Some(0));
    assert_eq!(refusal(cluster.look(&pods(), "p")).0, 404);
}

#[test]
fn collections_are_deleted_by_selection() {
    let cluster = cluster();
    for (name, app) in [("a", "x"), ("b", "y"), ("c", "x")] {
        cluster.make(&config_maps(), config_map(name, &json!({"app": app})));
    }
    let deleted = cluster.delete_collection(
        &config_maps(),
        Some("default"),
        &labels("app=x"),
        &DeleteOptions::default(),
    );
    let deleted: Vec<String> = deleted.unwrap().items.iter().map(|o| o.name().to_owned()).collect();
    assert_eq!(deleted, ["a", "c"]);
    assert_eq!(cluster.names(&config_maps(), &ListOptions::default()), ["b"]);
    let namespaces =
        cluster.delete_collection(&namespaces(), None, &ListOptions::default(), &DeleteOptions::default());
    assert_eq!(refusal(namespaces).0, 405);
}

fn owned(name: &str, owners: &[&StoredObject]) -> Value {
    let owners: Vec<Value> = owners
        .iter()
        .map(|o| json!({"apiVersion": "v1", "kind": "ConfigMap", "name": o.name(), "uid": o.uid(), "blockOwnerDeletion": true}))
        .collect();
    json!({"metadata": {"name": name, "ownerReferences": owners}})
}

#[test]
fn dependents_follow_their_last_owner() {
    let cluster = cluster();
    let a = cluster.make(&config_maps(), config_map("a", &json!({})));
    let b = cluster.make(&config_maps(), config_map("b", &json!({})));
    let both = cluster.make(&config_maps(), owned("both", &[&a, &b]));
    cluster.make(&config_maps(), owned("grandchild", &[&both]));
    cluster.make(&config_maps(), owned("only-a", &[&a]));
    cluster.drop(&config_maps(), "a").unwrap();
    assert_eq!(cluster.names(&config_maps(), &ListOptions::default()), ["b", "both", "grandchild"]);
    let left = cluster.look(&config_maps(), "both").unwrap().value();
    assert_eq!(left["metadata"]["ownerReferences"].as_array().map(Vec::len), Some(1));
    cluster.drop(&config_maps(), "b").unwrap();
    assert_eq!(cluster.names(&config_maps(), &ListOptions::default()), Vec::<String>::new());
}

#[test]
fn orphans_stay_and_the_foreground_waits() {
    let cluster = cluster();
    let policy = |policy| DeleteOptions { propagation_policy: Some(policy), ..DeleteOptions::default() };
    let owner = cluster.make(&config_maps(), config_map("a", &json!({})));
    cluster.make(&config_maps(), owned("child", &[&owner]));
    cluster.delete(&config_maps(), Some("default"), "a", &policy(PropagationPolicy::Orphan)).unwrap();
    assert_eq!(cluster.names(&config_maps(), &ListOptions::default()), ["child"]);
    assert_eq!(
        cluster.look(&config_maps(), "child").unwrap().value()["metadata"].get("ownerReferences"),
        None
    );

    let owner = cluster.make(&config_maps(), config_map("b", &json!({})));
    let mut held = owned("held", &[&owner]);
    held["metadata"]["finalizers"] = json!(["example.com/hold"]);
    cluster.make(&config_maps(), held);
    let deleted =
        cluster.delete(&config_maps(), Some("default"), "b", &policy(PropagationPolicy::Foreground));
    assert!(matches!(deleted, Ok(Deleted::Object(o)) if o.is_terminating()));
    assert!(cluster.look(&config_maps(), "b").is_ok(), "the owner waits for its dependent");
    cluster.merge(&config_maps(), "held", &json!({"metadata": {"finalizers": null}})).unwrap();
    assert_eq!(cluster.names(&config_maps(), &ListOptions::default()), ["child"]);
}

#[test]
fn a_long_chain_of_owners_is_no_deep_recursion() {
    let cluster = cluster();
    let mut owner = cluster.make(&config_maps(), config_map("c0", &json!({})));
    for i in 1..2000 {
        owner = cluster.make(&config_maps(), owned(&format!("c{i}"), &[&owner]));
    }
    cluster.drop(&config_maps(), "c0").unwrap();
    assert_eq!(cluster.names(&config_maps(), &ListOptions::default()), Vec::<String>::new());
}
