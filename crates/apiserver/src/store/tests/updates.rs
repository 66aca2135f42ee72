//! PUT and PATCH.

use super::*;
use crate::patch::STRATEGIC_MERGE_PATCH;

fn versioned(object: &StoredObject, change: impl FnOnce(&mut Value)) -> Value {
    let mut value = object.value();
    change(&mut value);
    value
}

#[test]
fn a_stale_version_is_a_conflict() {
    let cluster = cluster();
    let first = cluster.make(&secrets(), secret("x"));
    let changed =
        cluster.put(&secrets(), versioned(&first, |o| o["data"]["b"] = json!("aGk="))).unwrap().object;
    assert!(changed.resource_version() > first.resource_version());
    assert_eq!(
        refusal(cluster.put(&secrets(), versioned(&first, |o| o["data"]["c"] = json!("aGk=")))),
        (
            409,
            "Conflict",
            "Operation cannot be fulfilled on secrets \"x\": the object has been modified; please apply your changes to \
             the latest version and try again"
                .to_owned()
        )
    );
}

#[test]
fn without_a_version_built_ins_are_overwritten_and_custom_resources_are_not() {
    let cluster = cluster();
    cluster.make(&secrets(), secret("x"));
    assert!(cluster.put(&secrets(), json!({"metadata": {"name": "x"}, "data": {}})).is_ok());
    cluster.make(&crds(), thing_crd(&thing_spec()));
    cluster.make(&things(), thing("t", &json!({})));
    assert_eq!(
        refusal(cluster.put(&things(), thing("t", &json!({"n": 1})))),
        (
            422,
            "Invalid",
            "things.example.com \"t\" is invalid: metadata.resourceVersion: Invalid value: 0: must be specified for an \
             update"
                .to_owned()
        )
    );
}

#[test]
fn an_update_that_changes_nothing_writes_nothing() {
    let cluster = cluster();
    cluster.make(&crds(), thing_crd(&thing_spec()));
    let first = cluster.make(&things(), thing("t", &json!({"n": 1})));
    let revision = cluster.revision();
    // The default is filled in again, keys come in another order.
    let same = json!({
        "spec": {"n": 1}, "kind": "Thing", "apiVersion": "example.com/v1",
        "metadata": {"resourceVersion": first.resource_version().to_string(), "name": "t"}
    });
    assert_eq!(cluster.put(&things(), same).unwrap().object, first);
    assert_eq!(cluster.merge(&things(), "t", &json!({"spec": {"n": 1}})).unwrap().object, first);
    assert_eq!(cluster.revision(), revision);
}

#[test]
fn the_path_and_the_object_must_agree() {
    let cluster = cluster();
    cluster.make(&secrets(), secret("x"));
    let put = |object: Value| {
        refusal(cluster.update(
            &secrets(),
            Some("default"),
            "x",
            Subresource::None,
            object.into(),
            &WriteOptions::default(),
        ))
    };
    assert_eq!(put(secret("y")).2, "the name of the object (y) does not match the name on the URL (x)");
    assert_eq!(
        put(json!({"metadata": {}})).2,
        "the name of the object (x based on URL) was undeterminable: name must be provided"
    );
    assert_eq!(
        put(json!({"metadata": {"name": "x", "namespace": "other"}})).2,
        "the namespace of the provided object does not match the namespace sent on the request"
    );
    let uid = put(json!({"metadata": {"name": "x", "uid": "other"}}));
    assert_eq!((uid.0, uid.1), (409, "Conflict"));
    assert!(
        uid.2.contains("Precondition failed: UID in precondition: other, UID in object meta: "),
        "{}",
        uid.2
    );
    assert_eq!(
        refusal(cluster.put(&secrets(), secret("none"))),
        (404, "NotFound", "secrets \"none\" not found".to_owned())
    );
}

#[test]
fn some_resources_are_created_by_put() {
    let cluster = cluster();
    let leases = gvr("coordination.k8s.io", "v1", "leases");
    let written =
        cluster.put(&leases, json!({"metadata": {"name": "l"}, "spec": {"holderIdentity": "me"}})).unwrap();
    assert!(written.created);
    let nowhere = json!({"metadata": {"name": "l", "namespace": "nowhere"}});
    assert_eq!(refusal(cluster.put(&leases, nowhere)).2, "namespaces \"nowhere\" not found");
}

#[test]
fn what_an_update_cannot_change() {
    let cluster = cluster();
    let first = cluster.make(&secrets(), secret("x"));
    let put = |patch: Value| cluster.merge(&secrets(), "x", &patch);
    let same =
        put(json!({"metadata": {"creationTimestamp": "2000-01-01T00:00:00Z", "generation": 9}})).unwrap();
    assert_eq!(same.object, first, "ignored");
    let status = put(json!({"metadata": {"uid": "z"}})).unwrap_err();
    assert_eq!(status.code, 422);
    assert!(status.message.contains("metadata.uid: Invalid value"), "{}", status.message);
    assert!(status.message.ends_with("field is immutable"), "{}", status.message);
    let renamed = put(json!({"metadata": {"name": "y"}})).unwrap_err();
    assert_eq!(renamed.message, "the name of the object (y) does not match the name on the URL (x)");
    assert_eq!(
        refusal(put(json!({"metadata": {"namespace": "y"}}))).2,
        "the namespace of the provided object does not match the namespace sent on the request"
    );
    assert_eq!(
        refusal(put(json!({"type": "other"}))).2,
        "Secret \"x\" is invalid: type: Invalid value: \"other\": field is immutable"
    );
}

#[test]
fn a_version_in_a_patch_is_a_precondition() {
    let cluster = cluster();
    let first = cluster.make(&secrets(), secret("x"));
    let version = |v: u64| json!({"metadata": {"resourceVersion": v.to_string()}, "data": {"n": "aGk="}});
    assert_eq!(refusal(cluster.merge(&secrets(), "x", &version(1))).0, 409);
    assert!(cluster.merge(&secrets(), "x", &version(first.resource_version())).is_ok());
    assert_eq!(refusal(cluster.merge(&secrets(), "none", &json!({}))).2, "secrets \"none\" not found");
}

#[test]
fn the_patch_languages_and_their_refusals() {
    let cluster = cluster();
    cluster.make(&crds(), thing_crd(&thing_spec()));
    cluster.make(&things(), thing("t", &json!({"n": 1})));
    let json_patch = |patch: Value| cluster.patched(&things(), "t", JSON_PATCH, &patch, Subresource::None);
    let replaced = json_patch(json!([{"op": "replace", "path": "/spec/n", "value": 5}])).unwrap();
    assert_eq!(replaced.object.value()["spec"]["n"], json!(5));
    assert_eq!(refusal(json_patch(json!([{"op": "test", "path": "/spec/n", "value": 6}]))).0, 422);
    let strategic = cluster.patched(&things(), "t", STRATEGIC_MERGE_PATCH, &json!({}), Subresource::None);
    assert_eq!(refusal(strategic).0, 415);
    let invalid = refusal(cluster.merge(&things(), "t", &json!({"spec": {"n": -1}})));
    assert_eq!(
        invalid,
        (
            422,
            "Invalid",
            "Thing.example.com \"t\" is invalid: spec.n: Invalid value: -1: spec.n in body should be greater than or \
             equal to 0"
                .to_owned()
        )
    );
    cluster.make(&pods(), pod("p"));
    let image = json!({"spec": {"containers": [{"name": "a", "image": "new"}]}});
    let patched = cluster.patched(&pods(), "p", STRATEGIC_MERGE_PATCH, &image, Subresource::None).unwrap();
    assert_eq!(patched.object.value()["spec"]["containers"][0]["image"], json!("new"));
    assert_eq!(patched.object.value()["metadata"]["generation"], json!(2));
}

#[test]
fn strict_patches_refuse_unknown_fields() {
    let cluster = cluster();
    cluster.make(&crds(), thing_crd(&thing_spec()));
    cluster.make(&things(), thing("t", &json!({})));
    let patch = Patch::parse(MERGE_PATCH, br#"{"spec":{"odd":1}}"#).unwrap();
    let options = WriteOptions { field_validation: FieldValidation::Strict, ..WriteOptions::default() };
    let status =
        cluster.patch(&things(), Some("default"), "t", Subresource::None, &patch, &options).unwrap_err();
    assert_eq!(status.code, 422);
    assert!(status.message.starts_with(" \"\" is invalid: patch: Invalid value: "), "{}", status.message);
    assert!(
        status.message.ends_with("strict decoding error: unknown field \"spec.odd\""),
        "{}",
        status.message
    );
    let warned = cluster.merge(&things(), "t", &json!({"spec": {"odd": 1}})).unwrap();
    assert_eq!(warned.warnings, ["unknown field \"spec.odd\""]);
}

#[test]
fn status_and_the_rest_are_written_apart() {
    let cluster = cluster();
    cluster.make(&crds(), thing_crd(&thing_spec()));
    let mut both = thing("t", &json!({"n": 1}));
    both["status"] = json!({"state": "A"});
    let made = cluster.make(&things(), both);
    assert_eq!(made.value().get("status"), None, "a create cannot set the status");
    assert_eq!(made.value()["metadata"]["generation"], json!(1));

    let change = |subresource| {
        let current = cluster.look(&things(), "t").unwrap();
        let value = versioned(&current, |o| {
            o["spec"]["n"] = json!(2);
            o["status"] = json!({"state": "B"});
            o["metadata"]["labels"] = json!({"a": "b"});
        });
        cluster.put_to(&things(), value, subresource).unwrap().object.value()
    };
    let status = change(Subresource::Status);
    assert_eq!(status["status"], json!({"state": "B"}));
    assert_eq!((&status["spec"]["n"], &status["metadata"]["generation"]), (&json!(1), &json!(1)));
    assert_eq!(status["metadata"].get("labels"), None);

    let main = change(Subresource::None);
    assert_eq!((&main["spec"]["n"], &main["metadata"]["generation"]), (&json!(2), &json!(2)));
    assert_eq!((&main["status"], &main["metadata"]["labels"]), (&json!({"state": "B"}), &json!({"a": "b"})));

    let labels = cluster.merge(&things(), "t", &json!({"metadata": {"labels": {"a": "c"}}})).unwrap();
    assert_eq!(labels.object.value()["metadata"]["generation"], json!(2), "metadata is not content");
}

#[test]
fn two_writers_at_once_do_not_lose_a_write() {
    let cluster = cluster();
    cluster.make(&config_maps(), json!({"metadata": {"name": "c"}}));
    std::thread::scope(|scope| {
        for writer in 0..4 {
            let cluster = &cluster;
            scope.spawn(move || {
                for i in 0..50 {
                    let key = format!("k{writer}-{i}");
                    cluster.merge(&config_maps(), "c", &json!({"data": {key: "v"}})).unwrap();
                }
            });
        }
    });
    let data =
        cluster.look(&config_maps(), "c").unwrap().value()["data"].as_object().map(serde_json::Map::len);
    assert_eq!(data, Some(200));
}
