//! CRDs and the resources they define.

use super::*;

#[test]
fn a_crd_is_established_and_serves() {
    let cluster = cluster();
    let generation = cluster.resources_generation();
    assert!(cluster.resource(&things()).is_none());
    let made = cluster.make(&crds(), thing_crd(&thing_spec())).value();
    assert_eq!(
        made["status"],
        json!({"conditions": null, "acceptedNames": {"plural": "", "kind": ""}, "storedVersions": ["v1"]}),
        "the answer is what was written first"
    );
    let crd = cluster.look(&crds(), "things.example.com").unwrap().value();
    let conditions: Vec<_> = crd["status"]["conditions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|c| (c["type"].as_str().unwrap(), c["status"].as_str().unwrap(), c["reason"].as_str().unwrap()))
        .collect();
    assert_eq!(
        conditions,
        [("NamesAccepted", "True", "NoConflicts"), ("Established", "True", "InitialNamesAccepted")]
    );
    assert_eq!(crd["status"]["acceptedNames"]["listKind"], json!("ThingList"));

    assert_ne!(cluster.resources_generation(), generation);
    let definition = cluster.resource(&things()).unwrap();
    assert_eq!(
        (&*definition.kind, &*definition.list_kind, &*definition.singular),
        ("Thing", "ThingList", "thing")
    );
    assert_eq!(
        (definition.is_custom(), definition.short_names.as_slice()),
        (true, ["th".to_owned()].as_slice())
    );
    assert!(definition.subresource("status").is_some());
    let list = cluster.list(&things(), None, &ListOptions::default()).unwrap();
    assert_eq!((&*list.kind, list.items_carry_type), ("ThingList", true));
}

#[test]
fn objects_are_pruned_defaulted_and_checked() {
    let cluster = cluster();
    cluster.make(&crds(), thing_crd(&thing_spec()));
    let made = cluster.make(&things(), thing("t", &json!({"n": 1, "odd": 1}))).value();
    assert_eq!(made["spec"], json!({"n": 1, "s": "x"}));
    let rows = [
        (
            thing("u", &json!({"n": "1"})),
            (
                422,
                "Invalid",
                "Thing.example.com \"u\" is invalid: spec.n: Invalid value: \"string\": spec.n in body must be of type \
                 integer: \"string\"",
            ),
        ),
        (
            json!({"apiVersion": "example.com/v1", "kind": "Other", "metadata": {"name": "u"}}),
            (
                422,
                "Invalid",
                "Other.example.com \"u\" is invalid: kind: Invalid value: \"Other\": must be Thing",
            ),
        ),
        (
            json!({"apiVersion": "example.com/v2", "kind": "Thing", "metadata": {"name": "u"}}),
            (
                400,
                "BadRequest",
                "the API version in the data (example.com/v2) does not match the expected API version (example.com/v1)",
            ),
        ),
        (
            json!({"apiVersion": "example.com/v1", "kind": "Thing", "metadata": {"name": "u", "labels": {"a": 1}}}),
            (
                400,
                "BadRequest",
                "Thing in version \"v1\" cannot be handled as a Thing: json: cannot unmarshal number into Go struct field \
                 ObjectMeta.labels of type string",
            ),
        ),
    ];
    for (object, (code, reason, message)) in rows {
        assert_eq!(refusal(cluster.try_make(&things(), object)), (code, reason, message.to_owned()));
    }
    let missing = refusal(cluster.try_make(&things(), json!({"metadata": {"name": "u"}})));
    assert!(missing.2.contains("Object 'Kind' is missing in"), "{}", missing.2);
}

#[test]
fn rules_hold_across_updates() {
    let cluster = cluster();
    let spec = json!({"type": "object", "properties": {"n": {"type": "integer"}, "m": {"type": "integer"}},
        "x-kubernetes-validations": [{"rule": "self.n == oldSelf.n", "message": "n is immutable"}]});
    cluster.make(&crds(), thing_crd(&spec));
    cluster.make(&things(), thing("t", &json!({"n": 1, "m": 1})));
    assert!(cluster.merge(&things(), "t", &json!({"spec": {"m": 2}})).is_ok());
    assert_eq!(
        refusal(cluster.merge(&things(), "t", &json!({"spec": {"n": 2}}))),
        (
            422,
            "Invalid",
            "Thing.example.com \"t\" is invalid: spec: Invalid value: n is immutable".to_owned()
        )
    );
}

#[test]
fn warnings_for_finalizers_without_a_path() {
    let cluster = cluster();
    cluster.make(&crds(), thing_crd(&thing_spec()));
    let mut object = thing("t", &json!({}));
    object["metadata"]["finalizers"] = json!(["example.com"]);
    let written =
        cluster.create(&things(), Some("default"), object.into(), &WriteOptions::default()).unwrap();
    assert_eq!(written.warnings.len(), 1);
    assert!(
        written.warnings[0].contains("prefer a domain-qualified finalizer name"),
        "{:?}",
        written.warnings
    );
}

#[test]
fn a_bad_crd_is_refused_with_the_field() {
    let cluster = cluster();
    let status = cluster
        .try_make(&crds(), thing_crd(&json!({"type": "object", "properties": {"a": {}}})))
        .unwrap_err();
    assert_eq!(
        status.message,
        "CustomResourceDefinition.apiextensions.k8s.io \"things.example.com\" is invalid: \
         spec.validation.openAPIV3Schema.properties[spec].properties[a].type: Required value: must not be empty \
         for specified object fields"
    );
    assert!(cluster.resource(&things()).is_none());
}

#[test]
fn names_are_taken_once() {
    let cluster = cluster();
    cluster.make(&crds(), thing_crd(&thing_spec()));
    let mut other = thing_crd(&thing_spec());
    other["metadata"]["name"] = json!("others.example.com");
    other["spec"]["names"] = json!({"plural": "others", "kind": "Thing", "singular": "other"});
    cluster.make(&crds(), other);
    let crd = cluster.look(&crds(), "others.example.com").unwrap().value();
    let conditions = &crd["status"]["conditions"];
    assert_eq!(
        (&conditions[0]["status"], &conditions[0]["reason"], &conditions[0]["message"]),
        (&json!("False"), &json!("ListKindConflict"), &json!("\"ThingList\" is already in use"))
    );
    assert_eq!(conditions[1]["reason"], json!("NotAccepted"));
    assert!(cluster.resource(&gvr("example.com", "v1", "others")).is_none());
}

#[test]
fn a_changed_schema_shows_old_objects_anew() {
    let cluster = cluster();
    cluster.make(&crds(), thing_crd(&thing_spec()));
    let old = cluster.make(&things(), thing("t", &json!({"n": 1})));
    let mut cursor = cluster
        .watch_start(
            &things(),
            None,
            &WatchOptions {
                resource_version: Some(old.resource_version().to_string()),
                ..WatchOptions::default()
            },
        )
        .unwrap();
    let mut crd = cluster.look(&crds(), "things.example.com").unwrap().value();
    crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"] = json!({"type": "object", "properties": {"s": {"type": "string"}, "new": {"type": "integer", "default": 7}}});
    cluster.put(&crds(), crd).unwrap();
    let shown = cluster.look(&things(), "t").unwrap();
    assert_eq!(shown.value()["spec"], json!({"s": "x", "new": 7}));
    assert_eq!(shown.resource_version(), old.resource_version());
    cluster.merge(&things(), "t", &json!({"spec": {"s": "y"}})).unwrap();
    let events = cluster.watch_next(&mut cursor, 10).unwrap();
    assert_eq!(events[0].object().unwrap().value()["spec"], json!({"s": "y", "new": 7}));
}

#[test]
fn a_crd_change_that_does_not_concern_serving_keeps_the_definitions() {
    let cluster = cluster();
    cluster.make(&crds(), thing_crd(&thing_spec()));
    let generation = cluster.resources_generation();
    cluster.merge(&crds(), "things.example.com", &json!({"metadata": {"labels": {"a": "b"}}})).unwrap();
    assert_eq!(cluster.resources_generation(), generation);
}

#[test]
fn several_versions_share_their_objects() {
    let cluster = cluster();
    let mut crd = thing_crd(&thing_spec());
    let mut second = crd["spec"]["versions"][0].clone();
    second["name"] = json!("v2");
    second["storage"] = json!(false);
    second["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]["only2"] =
        json!({"type": "string", "default": "here"});
    crd["spec"]["versions"].as_array_mut().unwrap().push(second);
    cluster.make(&crds(), crd);
    let made = cluster.make(&things(), thing("t", &json!({"n": 1})));
    let v2 = gvr("example.com", "v2", "things");
    let shown = cluster.look(&v2, "t").unwrap().value();
    assert_eq!((&shown["apiVersion"], &shown["spec"]["only2"]), (&json!("example.com/v2"), &json!("here")));
    assert_eq!(shown["metadata"]["uid"], json!(made.uid()));
    cluster.merge(&v2, "t", &json!({"spec": {"n": 2}})).unwrap();
    let back = cluster.look(&things(), "t").unwrap().value();
    assert_eq!((&back["apiVersion"], &back["spec"]), (&json!("example.com/v1"), &json!({"n": 2, "s": "x"})));
}

#[test]
fn deleting_a_crd_deletes_its_objects_first() {
    let cluster = cluster();
    cluster.make(&crds(), thing_crd(&thing_spec()));
    cluster.make(&things(), thing("free", &json!({})));
    let mut held = thing("held", &json!({}));
    held["metadata"]["finalizers"] = json!(["example.com/hold"]);
    cluster.make(&things(), held);
    let mut cursor = cluster
        .watch_start(
            &things(),
            None,
            &WatchOptions {
                resource_version: Some(cluster.revision().to_string()),
                ..WatchOptions::default()
            },
        )
        .unwrap();
    let Ok(Deleted::Object(marked)) = cluster.drop(&crds(), "things.example.com") else {
        panic!("answered as object")
    };
    let marked = marked.value();
    assert_eq!(marked["metadata"]["finalizers"], json!(["customresourcecleanup.apiextensions.k8s.io"]));
    assert_eq!(marked["status"]["conditions"][2]["reason"], json!("InstanceDeletionPending"));
    assert_eq!(cluster.names(&things(), &ListOptions::default()), ["held"]);
    assert_eq!(
        refusal(cluster.try_make(&things(), thing("late", &json!({})))),
        (
            403,
            "Forbidden",
            "things.example.com \"late\" is forbidden: create not allowed while custom resource definition is terminating"
                .to_owned()
        )
    );
    cluster.merge(&things(), "held", &json!({"metadata": {"finalizers": null}})).unwrap();
    assert_eq!(refusal(cluster.look(&crds(), "things.example.com")).0, 404);
    assert!(cluster.resource(&things()).is_none());
    assert_eq!(refusal(cluster.look(&things(), "held")).0, 404);
    let events = cluster.watch_next(&mut cursor, 10).unwrap();
    assert_eq!(
        events.iter().map(WatchEvent::event_type).collect::<Vec<_>>(),
        ["DELETED", "MODIFIED", "DELETED"]
    );
    assert_eq!(refusal(cluster.watch_next(&mut cursor, 10)).0, 404, "nothing more will come");

    cluster.make(&crds(), thing_crd(&thing_spec()));
    assert_eq!(cluster.names(&things(), &ListOptions::default()), Vec::<String>::new());
}

#[test]
fn selectable_fields_and_tables() {
    let cluster = cluster();
    let mut crd = thing_crd(&thing_spec());
    crd["spec"]["versions"][0]["selectableFields"] = json!([{"jsonPath": ".spec.s"}]);
    crd["spec"]["versions"][0]["additionalPrinterColumns"] =
        json!([{"name": "N", "type": "integer", "jsonPath": ".spec.n"}]);
    cluster.make(&crds(), crd);
    cluster.make(&things(), thing("a", &json!({"s": "q", "n": 3})));
    cluster.make(&things(), thing("b", &json!({})));
    assert_eq!(cluster.names(&things(), &fields("spec.s=q")), ["a"]);
    let definition = cluster.resource(&things()).unwrap();
    let columns = crate::table::column_definitions(&definition);
    assert_eq!((&columns[0]["name"], &columns[1]["name"]), (&json!("Name"), &json!("N")));
    let items = cluster.list(&things(), None, &ListOptions::default()).unwrap().items;
    let rows = crate::table::rows(&definition, &items, crate::table::IncludeObject::None, cluster.now());
    assert_eq!(rows[0], json!({"cells": ["a", 3], "object": null}));
    assert_eq!(rows[1], json!({"cells": ["b", null], "object": null}));
}

#[test]
fn cluster_scoped_custom_resources() {
    let cluster = cluster();
    let mut crd = thing_crd(&thing_spec());
    crd["metadata"]["name"] = json!("worlds.example.com");
    crd["spec"]["scope"] = json!("Cluster");
    crd["spec"]["names"] = json!({"plural": "worlds", "kind": "World"});
    cluster.make(&crds(), crd);
    let worlds = gvr("example.com", "v1", "worlds");
    let world =
        json!({"apiVersion": "example.com/v1", "kind": "World", "metadata": {"name": "w", "namespace": "x"}});
    let made = cluster.make(&worlds, world);
    assert_eq!(made.namespace(), None);
    assert!(cluster.get(&worlds, None, "w", &GetOptions::default()).is_ok());
}

#[test]
fn groups_of_the_community_show_their_approval() {
    let cluster = cluster();
    let mut crd = thing_crd(&thing_spec());
    crd["metadata"]["name"] = json!("things.example.k8s.io");
    crd["spec"]["group"] = json!("example.k8s.io");
    let status = cluster.create(&crds(), None, crd.clone().into(), &WriteOptions::default()).unwrap_err();
    assert_eq!(status.code, 422);
    assert!(
        status
            .message
            .contains("metadata.annotations[api-approved.kubernetes.io]: Required value: protected groups"),
        "{}",
        status.message
    );
    crd["metadata"]["annotations"] = json!({"api-approved.kubernetes.io": "unapproved, a test"});
    cluster.make(&crds(), crd);
    let crd = cluster.look(&crds(), "things.example.k8s.io").unwrap().value();
    let conditions = crd["status"]["conditions"].as_array().unwrap();
    let shown = conditions.iter().find(|c| c["type"] == "KubernetesAPIApprovalPolicyConformant").unwrap();
    assert_eq!(
        (&shown["status"], &shown["reason"], &shown["message"]),
        (&json!("False"), &json!("UnapprovedAnnotation"), &json!("not approved: \"unapproved, a test\""))
    );
}
