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
    #![proptest_config(ProptestConfig::with_cases(48))]

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

/// JSON of the kind that a careless or hostile client sends: known words in wrong places.
fn any_object() -> impl proptest::strategy::Strategy<Value = Value> {
    let word = prop::sample::select(vec![
        "metadata",
        "name",
        "namespace",
        "labels",
        "annotations",
        "finalizers",
        "ownerReferences",
        "spec",
        "status",
        "data",
        "stringData",
        "type",
        "rules",
        "subjects",
        "roleRef",
        "containers",
        "template",
        "selector",
        "matchLabels",
        "ports",
        "versions",
        "schema",
        "openAPIV3Schema",
        "properties",
        "items",
        "default",
        "group",
        "names",
        "plural",
        "kind",
        "scope",
        "served",
        "storage",
        "additionalPrinterColumns",
        "jsonPath",
        "x-kubernetes-validations",
        "rule",
        "involvedObject",
        "eventTime",
        "resourceVersion",
        "uid",
        "deletionTimestamp",
        "generation",
        "apiVersion",
    ]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(|f| json!(f)),
        "\\PC{0,6}".prop_map(Value::from),
        prop::sample::select(vec![
            "x",
            "v1",
            "object",
            "string",
            "Namespaced",
            "things.example.com",
            "example.com"
        ])
        .prop_map(Value::from),
    ];
    let any_json = leaf.prop_recursive(5, 60, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((word.clone(), inner), 0..6).prop_map(|entries| {
                Value::Object(entries.into_iter().map(|(k, v)| (k.to_owned(), v)).collect())
            }),
        ]
    });
    any_json.prop_filter("objects", Value::is_object)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn no_body_breaks_the_store(object in any_object(), patch in any_object(), named in any::<bool>()) {
        let cluster = cluster();
        let options = WriteOptions::default();
        for definition in cluster.resources() {
            let (id, namespace) = (&definition.id, cluster.scope_of(&definition.id));
            let mut object = object.clone();
            object.as_object_mut().unwrap().retain(|k, _| k != "apiVersion" && k != "kind");
            if named && object["metadata"].is_object() {
                object["metadata"]["name"] = json!("x");
            }
            if let Ok(made) = cluster.create(id, namespace, object.into(), &options) {
                let name = made.object.name().to_owned();
                for media_type in [MERGE_PATCH, crate::patch::STRATEGIC_MERGE_PATCH] {
                    let patch = Patch::parse(media_type, patch.to_string().as_bytes()).unwrap();
                    for part in [Subresource::None, Subresource::Status] {
                        let _ = cluster.patch(id, namespace, &name, part, &patch, &options);
                    }
                }
                let items = cluster.list(id, None, &ListOptions::default()).unwrap().items;
                crate::table::rows(&definition, &items, crate::table::IncludeObject::Object, cluster.now());
                let _ = cluster.delete(id, namespace, &name, &DeleteOptions::default());
            }
        }
    }

    #[test]
    fn no_schema_breaks_its_objects(schema in any_object(), object in any_object(), patch in any_object()) {
        let cluster = cluster();
        let mut crd = thing_crd(&json!({}));
        crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"] = schema;
        if cluster.try_make(&crds(), crd).is_ok() {
            let _ = cluster.try_make(&things(), thing("t", &object));
            let _ = cluster.merge(&things(), "t", &json!({"spec": patch}));
        }
    }
}
