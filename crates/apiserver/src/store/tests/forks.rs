//! Clusters that begin as another one.

use super::*;

fn cluster_like(first: &Cluster) -> Cluster {
    let mut other = cluster();
    other.store = first.fork(other.store.config.clone());
    other
}

#[test]
fn a_fork_begins_with_what_is_there_and_goes_its_own_way() {
    let first = cluster();
    first.make(&config_maps(), config_map("a", &json!({"from": "first"})));
    let other = cluster_like(&first);
    assert_eq!(other.revision(), first.revision());

    other.merge(&config_maps(), "a", &json!({"metadata": {"labels": {"from": "other"}}})).unwrap();
    other.make(&config_maps(), config_map("b", &json!({})));
    assert_eq!(other.look(&config_maps(), "a").unwrap().value()["metadata"]["labels"]["from"], "other");
    assert_eq!(first.look(&config_maps(), "a").unwrap().value()["metadata"]["labels"]["from"], "first");
    assert_eq!(first.names(&config_maps(), &ListOptions::default()), ["a"]);

    first.drop(&config_maps(), "a").unwrap();
    assert_eq!(other.names(&config_maps(), &ListOptions::default()), ["a", "b"]);
}

#[test]
fn a_fork_has_the_history_and_its_own_subscribers() {
    let first = cluster();
    let made = first.make(&config_maps(), config_map("a", &json!({})));
    let commits = Arc::new(AtomicI64::new(0));
    let counted = commits.clone();
    let _subscription = first.subscribe(Arc::new(move |_, _| {
        counted.fetch_add(1, Ordering::Relaxed);
    }));
    let other = cluster_like(&first);
    let since = WatchOptions {
        resource_version: Some((made.resource_version() - 1).to_string()),
        ..WatchOptions::default()
    };
    let mut cursor = other.watch_start(&config_maps(), Some("default"), &since).unwrap();
    other.make(&config_maps(), config_map("b", &json!({})));
    let names: Vec<_> = other.watch_next(&mut cursor, 10).unwrap();
    let names: Vec<_> = names.iter().filter_map(|event| Some(event.object()?.name().to_owned())).collect();
    assert_eq!(names, ["a", "b"]);
    assert_eq!(commits.load(Ordering::Relaxed), 0, "the first cluster's subscribers hear of the fork");
}

#[test]
fn a_fork_serves_what_was_defined_and_may_redefine_it() {
    let first = cluster();
    first.make(&crds(), thing_crd(&thing_spec()));
    let other = cluster_like(&first);
    assert!(other.resource(&things()).is_some());
    other.drop(&crds(), "things.example.com").unwrap();
    assert!(other.resource(&things()).is_none());
    assert!(first.resource(&things()).is_some());
}
