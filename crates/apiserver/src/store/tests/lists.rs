//! Lists: order, selection, paging, versions.

use super::*;

fn filled() -> Cluster {
    let cluster = cluster();
    cluster.make(&namespaces(), json!({"metadata": {"name": "default-2"}}));
    for (namespace, name, app) in
        [("default", "b", "x"), ("default", "a", "y"), ("default-2", "c", "x"), ("kube-system", "d", "y")]
    {
        let mut object = config_map(name, &json!({"app": app}));
        object["metadata"]["namespace"] = json!(namespace);
        cluster.make(&config_maps(), object);
    }
    cluster
}

#[test]
fn order_and_selection() {
    let cluster = filled();
    // By key, as etcd sorts: '-' comes before '/'.
    assert_eq!(cluster.names(&config_maps(), &ListOptions::default()), ["c", "a", "b", "d"]);
    assert_eq!(cluster.names(&config_maps(), &labels("app in (x),app")), ["c", "b"]);
    assert_eq!(cluster.names(&config_maps(), &labels("app!=x")), ["a", "d"]);
    assert_eq!(cluster.names(&config_maps(), &fields("metadata.name=a")), ["a"]);
    assert_eq!(cluster.names(&config_maps(), &fields("metadata.namespace!=default")), ["c", "d"]);
    let list = cluster.list(&config_maps(), Some("default"), &ListOptions::default()).unwrap();
    assert_eq!((list.items.len(), &*list.kind, list.api_version.as_str()), (2, "ConfigMapList", "v1"));
    assert_eq!((list.resource_version, list.items_carry_type), (cluster.revision(), false));
    assert_eq!(
        refusal(cluster.list(&config_maps(), None, &fields("data.a=b"))).2,
        "\"data.a\" is not a known field selector: only \"metadata.name\", \"metadata.namespace\""
    );
    assert_eq!(
        refusal(cluster.list(&secrets(), None, &fields("data=b"))).2,
        "field label not supported: data"
    );
}

#[test]
fn fields_of_built_ins() {
    let cluster = cluster();
    cluster.make(&secrets(), json!({"metadata": {"name": "o"}}));
    cluster.make(&secrets(), json!({"metadata": {"name": "k"}, "type": "solo.io/kubeconfig"}));
    assert_eq!(cluster.names(&secrets(), &fields("type=solo.io/kubeconfig")), ["k"]);
    let mut scheduled = pod("s");
    scheduled["spec"]["nodeName"] = json!("n");
    cluster.make(&pods(), scheduled);
    cluster.make(&pods(), pod("u"));
    assert_eq!(cluster.names(&pods(), &fields("spec.nodeName=n")), ["s"]);
    assert_eq!(cluster.names(&pods(), &fields("spec.nodeName=,status.phase=Pending")), ["u"]);
    let events = gvr("", "v1", "events");
    cluster.make(&events, json!({
        "metadata": {"name": "e"}, "involvedObject": {"kind": "Pod", "name": "s", "namespace": "default"}, "reason": "R"
    }));
    assert_eq!(cluster.names(&events, &fields("involvedObject.name=s,reason=R")), ["e"]);
    let new_events = gvr("events.k8s.io", "v1", "events");
    assert_eq!(cluster.names(&new_events, &fields("regarding.name=s")), ["e"]);
    assert_eq!(cluster.names(&new_events, &fields("regarding.name=t")), Vec::<String>::new());
}

fn page(cluster: &Cluster, token: Option<String>, limit: usize) -> ObjectList {
    let options = ListOptions { limit: Some(limit), continue_token: token, ..ListOptions::default() };
    cluster.list(&config_maps(), Some("default"), &options).unwrap()
}

#[test]
fn pages_show_one_revision_whatever_happens_between() {
    let cluster = cluster();
    for i in 0..7 {
        cluster.make(&config_maps(), config_map(&format!("c{i}"), &json!({})));
    }
    let whole = cluster.list(&config_maps(), Some("default"), &ListOptions::default()).unwrap();
    let first = page(&cluster, None, 3);
    assert_eq!((first.items.len(), first.remaining_item_count), (3, Some(4)));

    cluster.drop(&config_maps(), "c4").unwrap();
    cluster.make(&config_maps(), config_map("c55", &json!({})));
    cluster.merge(&config_maps(), "c6", &json!({"data": {"changed": "yes"}})).unwrap();
    cluster.merge(&config_maps(), "c6", &json!({"data": {"changed": "again"}})).unwrap();

    let second = page(&cluster, first.continue_token, 3);
    let third = page(&cluster, second.continue_token, 3);
    assert_eq!((third.items.len(), &third.continue_token, third.remaining_item_count), (1, &None, None));
    assert_eq!(third.resource_version, whole.resource_version);
    let paged: Vec<_> = [first.items, second.items, third.items].concat();
    assert_eq!(paged, whole.items);
}

#[test]
fn a_token_that_is_too_old_is_gone_and_says_how_to_go_on() {
    let cluster = cluster_with(|config| config.limits.log_events = 5);
    for i in 0..4 {
        cluster.make(&config_maps(), config_map(&format!("c{i}"), &json!({})));
    }
    let first = page(&cluster, None, 2);
    for i in 0..6 {
        cluster.merge(&config_maps(), "c3", &json!({"data": {"n": i.to_string()}})).unwrap();
    }
    let options =
        ListOptions { limit: Some(2), continue_token: first.continue_token, ..ListOptions::default() };
    let status = cluster.list(&config_maps(), Some("default"), &options).unwrap_err();
    assert_eq!((status.code, status.reason.as_str()), (410, "Expired"));
    assert!(status.message.starts_with("The provided continue parameter is too old"));
    let go_on = status.to_value()["metadata"]["continue"].as_str().map(str::to_owned);
    let names: Vec<_> = page(&cluster, go_on, 2).items.iter().map(|o| o.name().to_owned()).collect();
    assert_eq!(names, ["c2", "c3"]);
}

#[test]
fn versions() {
    let cluster = cluster();
    let old = cluster.make(&config_maps(), config_map("a", &json!({})));
    cluster.make(&config_maps(), config_map("b", &json!({})));
    let at = |version: &str, version_match| ListOptions {
        resource_version: Some(version.to_owned()),
        resource_version_match: version_match,
        ..ListOptions::default()
    };
    let exact = Some(ResourceVersionMatch::Exact);
    let version = old.resource_version().to_string();
    assert_eq!(cluster.names(&config_maps(), &at(&version, exact)), ["a"]);
    assert_eq!(cluster.names(&config_maps(), &at(&version, None)), ["a", "b"]);
    assert_eq!(cluster.names(&config_maps(), &at("0", None)), ["a", "b"]);
    let future = cluster.list(&config_maps(), None, &at("999999", None)).unwrap_err();
    assert_eq!((future.code, future.reason.as_str()), (504, "Timeout"));
    assert_eq!(
        future.message,
        format!("Timeout: Too large resource version: 999999, current: {}", cluster.revision())
    );
    assert_eq!(future.to_value()["details"]["causes"][0]["reason"], json!("ResourceVersionTooLarge"));
    assert_eq!(refusal(cluster.list(&config_maps(), None, &at("x", None))).0, 400);
    let both = ListOptions { continue_token: page(&cluster, None, 1).continue_token, ..at(&version, None) };
    assert_eq!(refusal(cluster.list(&config_maps(), Some("default"), &both)).0, 400);
    let get = |v: &str| {
        let options = GetOptions { resource_version: Some(v.to_owned()) };
        cluster.get(&config_maps(), Some("default"), "a", &options)
    };
    assert!(get(&version).is_ok() && get("0").is_ok());
    assert_eq!(refusal(get("999999")).0, 504);
}
