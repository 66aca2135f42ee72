//! Properties under random operations.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::selector::LabelSelector;

#[derive(Clone, Debug)]
enum Operation {
    Create(u8, u8),
    Label(u8, u8),
    Data(u8, u8),
    Delete(u8),
    Finalizer(u8, bool),
}

fn operations() -> impl proptest::strategy::Strategy<Value = Vec<Operation>> {
    let operation = prop_oneof![
        3 => (0..6u8, 0..2u8).prop_map(|(n, l)| Operation::Create(n, l)),
        3 => (0..6u8, 0..2u8).prop_map(|(n, l)| Operation::Label(n, l)),
        2 => (0..6u8, 0..3u8).prop_map(|(n, d)| Operation::Data(n, d)),
        2 => (0..6u8).prop_map(Operation::Delete),
        1 => (0..6u8, any::<bool>()).prop_map(|(n, f)| Operation::Finalizer(n, f)),
    ];
    prop::collection::vec(operation, 1..40)
}

fn perform(cluster: &Cluster, operation: &Operation) {
    let name = |n: &u8| format!("c{n}");
    // Refusals (taken, gone) are part of the game.
    let _ = match operation {
        Operation::Create(n, l) => {
            cluster.try_make(&config_maps(), config_map(&name(n), &json!({"l": l.to_string()}))).map(|_| ())
        }
        Operation::Label(n, l) => {
            let patch = json!({"metadata": {"labels": {"l": l.to_string()}}});
            cluster.merge(&config_maps(), &name(n), &patch).map(|_| ())
        }
        Operation::Data(n, d) => {
            cluster.merge(&config_maps(), &name(n), &json!({"data": {"a": d.to_string()}})).map(|_| ())
        }
        Operation::Delete(n) => cluster.drop(&config_maps(), &name(n)).map(|_| ()),
        Operation::Finalizer(n, on) => {
            let finalizers = if *on { json!(["example.com/f"]) } else { Value::Null };
            let patch = json!({"metadata": {"finalizers": finalizers}});
            cluster.merge(&config_maps(), &name(n), &patch).map(|_| ())
        }
    };
}

fn perform_all(cluster: &Cluster, operations: &[Operation]) {
    for operation in operations {
        perform(cluster, operation);
    }
}

/// What a client holds that applies events to a list.
fn replayed(
    mut held: BTreeMap<String, Arc<StoredObject>>,
    events: Vec<WatchEvent>,
) -> Result<BTreeMap<String, Arc<StoredObject>>, TestCaseError> {
    let mut last = 0;
    for event in events {
        prop_assert!(event.resource_version() > last, "versions grow");
        last = event.resource_version();
        match event {
            WatchEvent::Added(object) => {
                prop_assert!(held.insert(object.name().to_owned(), object).is_none(), "added once");
            }
            WatchEvent::Modified(object) => {
                prop_assert!(
                    held.insert(object.name().to_owned(), object).is_some(),
                    "modified what is known"
                );
            }
            WatchEvent::Deleted(object) => {
                prop_assert!(held.remove(object.name()).is_some(), "deleted what is known");
            }
            WatchEvent::Bookmark(_) => {}
        }
    }
    Ok(held)
}

fn listed(list: ObjectList) -> BTreeMap<String, Arc<StoredObject>> {
    list.items.into_iter().map(|o| (o.name().to_owned(), o)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_list_and_the_events_after_it_give_the_next_list(before in operations(), after in operations(), selector in prop::sample::select(vec!["", "l=1"])) {
        let cluster = cluster();
        perform_all(&cluster, &before);
        let label_selector = LabelSelector::parse(selector).unwrap();
        let options = ListOptions { label_selector: label_selector.clone(), ..ListOptions::default() };
        let first = cluster.list(&config_maps(), None, &options).unwrap();
        let start = first.resource_version;
        let mut cursor = cluster.watch_start(&config_maps(), None, &WatchOptions {
            label_selector, resource_version: Some(start.to_string()), ..WatchOptions::default()
        }).unwrap();
        perform_all(&cluster, &after);
        let events = cluster.watch_next(&mut cursor, usize::MAX).unwrap();
        let held = replayed(listed(first), events)?;
        prop_assert_eq!(&held, &listed(cluster.list(&config_maps(), None, &options).unwrap()));
    }

    #[test]
    fn every_past_revision_can_be_listed_and_replayed_from(operations in operations()) {
        let cluster = cluster();
        let mut snapshots = Vec::new();
        for operation in &operations {
            perform(&cluster, operation);
            snapshots.push(cluster.list(&config_maps(), None, &ListOptions::default()).unwrap());
        }
        let newest = listed(snapshots.last().cloned().unwrap());
        for snapshot in snapshots {
            let options = ListOptions {
                resource_version: Some(snapshot.resource_version.to_string()),
                resource_version_match: Some(ResourceVersionMatch::Exact),
                ..ListOptions::default()
            };
            let again = cluster.list(&config_maps(), None, &options).unwrap();
            prop_assert_eq!(&again.items, &snapshot.items);
            let mut cursor = cluster.watch_start(&config_maps(), None, &WatchOptions {
                resource_version: Some(snapshot.resource_version.to_string()), ..WatchOptions::default()
            }).unwrap();
            let events = cluster.watch_next(&mut cursor, usize::MAX).unwrap();
            prop_assert_eq!(&replayed(listed(snapshot), events)?, &newest);
        }
    }

    #[test]
    fn pages_add_up_to_the_whole(operations in operations(), limit in 1..4usize) {
        let cluster = cluster();
        perform_all(&cluster, &operations);
        let whole = cluster.list(&config_maps(), Some("default"), &ListOptions::default()).unwrap();
        let mut items = Vec::new();
        let mut token = None;
        loop {
            let options = ListOptions { limit: Some(limit), continue_token: token, ..ListOptions::default() };
            let page = cluster.list(&config_maps(), Some("default"), &options).unwrap();
            prop_assert!(page.items.len() <= limit);
            items.extend(page.items);
            match page.continue_token {
                Some(next) => token = Some(next),
                None => break,
            }
            perform(&cluster, &operations[items.len() % operations.len()]);
        }
        prop_assert_eq!(items, whole.items);
    }
}
