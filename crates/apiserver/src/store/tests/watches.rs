//! Watches.

use super::*;
use crate::selector::LabelSelector;

fn watch(cluster: &Cluster, options: &WatchOptions) -> WatchCursor {
    cluster.watch_start(&config_maps(), Some("default"), options).unwrap()
}

/// Type and name of each event; a bookmark shows its version.
fn seen(cluster: &Cluster, cursor: &mut WatchCursor) -> Vec<(&'static str, String)> {
    let events = cluster.watch_next(cursor, 1000).unwrap();
    events
        .iter()
        .map(|event| {
            let what = match event.object() {
                Some(object) => object.name().to_owned(),
                None => event.resource_version().to_string(),
            };
            (event.event_type(), what)
        })
        .collect()
}

fn pairs(expected: &[(&'static str, &str)]) -> Vec<(&'static str, String)> {
    expected.iter().map(|(t, n)| (*t, (*n).to_owned())).collect()
}

fn since(version: u64) -> WatchOptions {
    WatchOptions { resource_version: Some(version.to_string()), ..WatchOptions::default() }
}

#[test]
fn everything_after_a_version_in_order() {
    let cluster = cluster();
    let first = cluster.make(&config_maps(), config_map("a", &json!({})));
    let mut cursor = watch(&cluster, &since(first.resource_version()));
    assert_eq!(seen(&cluster, &mut cursor), []);
    cluster.make(&config_maps(), config_map("b", &json!({})));
    cluster.merge(&config_maps(), "a", &json!({"data": {"n": "1"}})).unwrap();
    cluster.make(&secrets(), secret("other"));
    cluster.drop(&config_maps(), "b").unwrap();
    let mut elsewhere = config_map("c", &json!({}));
    elsewhere["metadata"]["namespace"] = json!("kube-system");
    cluster.make(&config_maps(), elsewhere);
    assert_eq!(seen(&cluster, &mut cursor), pairs(&[("ADDED", "b"), ("MODIFIED", "a"), ("DELETED", "b")]));
    assert_eq!(cursor.revision(), cluster.revision());
    assert_eq!(seen(&cluster, &mut cursor), []);
}

#[test]
fn a_deleted_object_is_shown_as_it_was_at_the_version_of_its_end() {
    let cluster = cluster();
    cluster.make(&config_maps(), config_map("a", &json!({})));
    let mut cursor = watch(&cluster, &since(cluster.revision()));
    cluster.drop(&config_maps(), "a").unwrap();
    let events = cluster.watch_next(&mut cursor, 10).unwrap();
    let WatchEvent::Deleted(object) = &events[0] else { panic!("{events:?}") };
    assert_eq!(object.resource_version(), cluster.revision());
    assert_eq!(object.value()["data"], json!({"a": "b"}));
    let mut line = Vec::new();
    events[0].write_json(&mut line);
    let line: Value = serde_json::from_slice(&line).unwrap();
    assert_eq!((&line["type"], &line["object"]["kind"]), (&json!("DELETED"), &json!("ConfigMap")));
}

#[test]
fn without_a_version_the_present_comes_first() {
    let cluster = cluster();
    cluster.make(&config_maps(), config_map("a", &json!({})));
    cluster.make(&config_maps(), config_map("b", &json!({})));
    for version in [None, Some("0".to_owned())] {
        let mut cursor =
            watch(&cluster, &WatchOptions { resource_version: version, ..WatchOptions::default() });
        assert_eq!(seen(&cluster, &mut cursor), pairs(&[("ADDED", "a"), ("ADDED", "b")]));
    }
    // Taken one by one, with a change in between.
    let mut cursor = watch(&cluster, &WatchOptions::default());
    let one = |cursor: &mut WatchCursor| cluster.watch_next(cursor, 1).unwrap()[0].event_type();
    assert_eq!(one(&mut cursor), "ADDED");
    cluster.drop(&config_maps(), "b").unwrap();
    assert_eq!((one(&mut cursor), one(&mut cursor)), ("ADDED", "DELETED"));
}

#[test]
fn selectors_turn_changes_into_comings_and_goings() {
    let cluster = cluster();
    cluster.make(&config_maps(), config_map("a", &json!({"app": "x"})));
    let label_selector = LabelSelector::parse("app=x").unwrap();
    let mut cursor = watch(&cluster, &WatchOptions { label_selector, ..since(cluster.revision()) });
    let label = |value: &str| {
        cluster.merge(&config_maps(), "a", &json!({"metadata": {"labels": {"app": value}}})).unwrap()
    };
    label("y");
    let events = cluster.watch_next(&mut cursor, 10).unwrap();
    let WatchEvent::Deleted(left) = &events[0] else { panic!("{events:?}") };
    assert_eq!((left.label("app"), left.resource_version()), (Some("x"), cluster.revision()));
    label("z");
    assert_eq!(seen(&cluster, &mut cursor), []);
    label("x");
    cluster.merge(&config_maps(), "a", &json!({"data": {"n": "1"}})).unwrap();
    cluster.drop(&config_maps(), "a").unwrap();
    assert_eq!(seen(&cluster, &mut cursor), pairs(&[("ADDED", "a"), ("MODIFIED", "a"), ("DELETED", "a")]));
}

#[test]
fn a_streamed_list_ends_with_a_bookmark() {
    let cluster = cluster();
    cluster.make(&config_maps(), config_map("a", &json!({})));
    let options = WatchOptions {
        send_initial_events: Some(true),
        resource_version_match: Some(ResourceVersionMatch::NotOlderThan),
        allow_bookmarks: true,
        ..WatchOptions::default()
    };
    let mut cursor = watch(&cluster, &options);
    let events = cluster.watch_next(&mut cursor, 10).unwrap();
    assert_eq!(events.len(), 2);
    let WatchEvent::Bookmark(bookmark) = &events[1] else { panic!("{events:?}") };
    assert_eq!(
        bookmark.to_value(),
        json!({
            "kind": "ConfigMap", "apiVersion": "v1",
            "metadata": {
                "resourceVersion": cluster.revision().to_string(),
                "annotations": {"k8s.io/initial-events-end": "true"}
            }
        })
    );
    let without = WatchOptions { send_initial_events: Some(false), ..options };
    let mut cursor = watch(&cluster, &without);
    assert_eq!(seen(&cluster, &mut cursor), []);
}

#[test]
fn bookmarks_when_nothing_waits() {
    let cluster = cluster();
    let mut cursor = watch(&cluster, &WatchOptions { allow_bookmarks: true, ..since(cluster.revision()) });
    let plain = watch(&cluster, &since(cluster.revision()));
    cluster.make(&config_maps(), config_map("a", &json!({})));
    assert_eq!(cluster.bookmark(&cursor), None, "an event waits");
    assert_eq!(seen(&cluster, &mut cursor).len(), 1);
    cluster.make(&secrets(), secret("x"));
    assert_eq!(seen(&cluster, &mut cursor), [], "the cursor moves past other resources' changes");
    assert_eq!(cluster.bookmark(&cursor).map(|b| b.resource_version()), Some(cluster.revision()));
    assert_eq!(cluster.bookmark(&plain), None, "not asked for");
}

#[test]
fn who_falls_behind_the_log_is_told_so() {
    let cluster = cluster_with(|config| config.limits.log_events = 3);
    cluster.make(&config_maps(), config_map("a", &json!({})));
    let start = cluster.revision();
    let mut slow = watch(&cluster, &since(start));
    for i in 0..5 {
        cluster.merge(&config_maps(), "a", &json!({"data": {"n": i.to_string()}})).unwrap();
    }
    let status = cluster.watch_next(&mut slow, 10).unwrap_err();
    assert_eq!((status.code, status.reason.as_str()), (410, "Expired"));
    assert_eq!(status.message, format!("too old resource version: {start} ({})", start + 2));
    assert_eq!(refusal(cluster.watch_start(&config_maps(), None, &since(start))).0, 410);
    let mut fresh = watch(&cluster, &since(start + 2));
    assert_eq!(seen(&cluster, &mut fresh).len(), 3);
}

#[test]
fn the_log_is_bounded_in_bytes_too() {
    let cluster = cluster_with(|config| config.limits.log_bytes = 20_000);
    let start = cluster.revision();
    for i in 0..50 {
        let data = json!({"metadata": {"name": format!("c{i}")}, "data": {"a": "x".repeat(1000)}});
        cluster.make(&config_maps(), data);
    }
    assert_eq!(refusal(cluster.watch_start(&config_maps(), None, &since(start))).0, 410);
}

#[test]
fn refused_combinations() {
    let cluster = cluster();
    let start = |options: WatchOptions| refusal(cluster.watch_start(&config_maps(), None, &options));
    let initial = start(WatchOptions { send_initial_events: Some(true), ..WatchOptions::default() });
    assert_eq!(
        initial.2,
        "ListOptions.meta.k8s.io \"\" is invalid: resourceVersionMatch: Forbidden: sendInitialEvents requires setting \
         resourceVersionMatch to NotOlderThan"
    );
    let version_match = Some(ResourceVersionMatch::NotOlderThan);
    let matched = start(WatchOptions { resource_version_match: version_match, ..WatchOptions::default() });
    assert!(
        matched
            .2
            .ends_with("resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided")
    );
}

#[test]
fn subscribers_hear_of_each_commit_until_they_leave() {
    let cluster = cluster();
    let heard = Arc::new(std::sync::Mutex::new(Vec::new()));
    let list = heard.clone();
    let subscription = cluster.subscribe(Arc::new(move |resource: &GroupResource, revision| {
        list.lock().unwrap().push((resource.to_string(), revision));
    }));
    let made = cluster.make(&config_maps(), config_map("a", &json!({})));
    cluster.drop(&config_maps(), "a").unwrap();
    assert_eq!(
        *heard.lock().unwrap(),
        [
            ("configmaps".to_owned(), made.resource_version()),
            ("configmaps".to_owned(), made.resource_version() + 1)
        ]
    );
    drop(subscription);
    cluster.make(&config_maps(), config_map("b", &json!({})));
    assert_eq!(heard.lock().unwrap().len(), 2);
}
