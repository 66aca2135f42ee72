//! What every new object gets and what is refused of it.

use super::*;

#[test]
fn a_new_object_is_completed_by_the_server() {
    let cluster = cluster();
    let made = cluster.make(
        &secrets(),
        json!({
            "metadata": {
                "name": "x", "uid": "mine", "creationTimestamp": "2000-01-01T00:00:00Z", "selfLink": "/x",
                "deletionTimestamp": "2000-01-01T00:00:00Z", "managedFields": [{"manager": "m"}], "labels": {}
            },
            "stringData": {"k": "v"}
        }),
    );
    let value = made.value();
    assert_eq!(
        value,
        json!({
            "kind": "Secret", "apiVersion": "v1",
            "metadata": {
                "name": "x", "namespace": "default", "uid": made.uid(),
                "resourceVersion": made.resource_version().to_string(), "creationTimestamp": "2023-11-14T22:13:20Z"
            },
            "data": {"k": "dg=="}, "type": "Opaque"
        })
    );
    assert_eq!(made.uid().len(), 36);
    assert_ne!(made.uid(), "mine");
    let text = String::from_utf8(made.json().to_vec()).unwrap();
    assert!(text.starts_with("{\"kind\":\"Secret\",\"apiVersion\":\"v1\","), "{text}");
    assert_eq!(
        made.json_without_type_meta(),
        &text.as_bytes()["{\"kind\":\"Secret\",\"apiVersion\":\"v1\",".len()..]
    );
    assert_eq!(cluster.look(&secrets(), "x").unwrap(), made);
}

#[test]
fn refusals_of_new_objects() {
    let cluster = cluster();
    cluster.make(&secrets(), secret("taken"));
    let rows = [
        (json!({"metadata": {"name": "taken"}}), (409, "AlreadyExists", "secrets \"taken\" already exists")),
        (
            json!({"metadata": {"name": "x", "namespace": "nowhere"}}),
            (404, "NotFound", "namespaces \"nowhere\" not found"),
        ),
        (
            json!({"metadata": {"name": "x", "resourceVersion": "5"}}),
            (500, "", "resourceVersion should not be set on objects to be created"),
        ),
        (
            json!({"metadata": {}}),
            (
                422,
                "Invalid",
                "Secret \"\" is invalid: metadata.name: Required value: name or generateName is required",
            ),
        ),
        (
            json!({"metadata": {"name": "x"}, "apiVersion": "v2", "kind": "Secret"}),
            (
                400,
                "BadRequest",
                "Secret in version \"v2\" cannot be handled as a Secret: no kind \"Secret\" is registered for version \"v2\" in \
                 scheme \"pkg/runtime/scheme.go:111\"",
            ),
        ),
        (
            json!({"metadata": {"name": "x"}, "apiVersion": "v1", "kind": "Pod"}),
            (
                400,
                "BadRequest",
                "Pod in version \"v1\" cannot be handled as a Secret: converting (v1.Pod) to (core.Secret): unknown \
                 conversion",
            ),
        ),
        (
            json!({"metadata": {"name": "x"}, "data": {"a": "*"}}),
            (
                400,
                "BadRequest",
                "Secret in version \"v1\" cannot be handled as a Secret: illegal base64 data at input byte 0",
            ),
        ),
    ];
    for (object, (code, reason, message)) in rows {
        assert_eq!(refusal(cluster.try_make(&secrets(), object)), (code, reason, message.to_owned()));
    }
    let mismatch = cluster.create(
        &secrets(),
        Some("default"),
        json!({"metadata": {"name": "x", "namespace": "kube-system"}}).into(),
        &WriteOptions::default(),
    );
    assert_eq!(
        refusal(mismatch).2,
        "the namespace of the provided object does not match the namespace sent on the request"
    );
    let unserved = cluster.create(&things(), Some("default"), json!({}).into(), &WriteOptions::default());
    assert_eq!(refusal(unserved).0, 404);
}

#[test]
fn bad_names_are_invalid_with_a_cause() {
    let cluster = cluster();
    let status = cluster.try_make(&secrets(), json!({"metadata": {"name": "A_b"}})).unwrap_err();
    assert_eq!(status.code, 422);
    let value = status.to_value();
    assert_eq!(value["details"]["kind"], json!("Secret"));
    assert_eq!(value["details"]["causes"][0]["field"], json!("metadata.name"));
    assert_eq!(value["details"]["causes"][0]["reason"], json!("FieldValueInvalid"));
    let role = json!({"metadata": {"name": "system:odd Name"}, "rules": []});
    cluster.make(&gvr("rbac.authorization.k8s.io", "v1", "roles"), role);
}

#[test]
fn names_are_generated_until_one_is_free() {
    let cluster = cluster();
    let stem = json!({"metadata": {"generateName": "web-"}});
    let (first, second) = (cluster.make(&secrets(), stem.clone()), cluster.make(&secrets(), stem.clone()));
    assert!(first.name().starts_with("web-") && first.name().len() == 9, "{}", first.name());
    assert_ne!(first.name(), second.name());

    // A source of randomness that always says the same runs out of names.
    let stuck = cluster_with(|config| config.random = Arc::new(|| 0));
    assert_eq!(stuck.make(&secrets(), stem.clone()).name(), "web-bbbbb");
    assert_eq!(
        refusal(stuck.try_make(&secrets(), stem)),
        (
            409,
            "AlreadyExists",
            "secrets \"web-bbbbb\" already exists, the server was not able to generate a unique name for the object"
                .to_owned()
        )
    );
}

#[test]
fn unknown_and_doubled_fields_by_validation_level() {
    let cluster = cluster();
    let body = |name: &str| ObjectBody {
        value: json!({"metadata": {"name": name}, "spec": {"x": 1}, "foo": 1}),
        duplicate_fields: vec!["data.a".to_owned()],
    };
    let create = |name: &str, field_validation| {
        let options = WriteOptions { field_validation, ..WriteOptions::default() };
        cluster.create(&secrets(), Some("default"), body(name), &options)
    };
    assert_eq!(
        refusal(create("a", FieldValidation::Strict)).2,
        "Secret in version \"v1\" cannot be handled as a Secret: strict decoding error: duplicate field \"data.a\", \
         unknown field \"spec\", unknown field \"foo\""
    );
    let warned = create("b", FieldValidation::Warn).unwrap();
    assert_eq!(
        warned.warnings,
        ["duplicate field \"data.a\"", "unknown field \"spec\"", "unknown field \"foo\""]
    );
    assert_eq!(warned.object.value().get("foo"), None);
    assert_eq!(create("c", FieldValidation::Ignore).unwrap().warnings, Vec::<String>::new());
}

#[test]
fn dry_runs_decide_and_write_nothing() {
    let cluster = cluster();
    let options = WriteOptions { dry_run: true, ..WriteOptions::default() };
    let before = cluster.revision();
    let made = cluster.create(&secrets(), Some("default"), secret("x").into(), &options).unwrap();
    assert_eq!(made.object.value()["metadata"].get("resourceVersion"), None);
    assert_eq!((cluster.revision(), cluster.look(&secrets(), "x").is_err()), (before, true));

    let stored = cluster.make(&secrets(), secret("x"));
    let change = json!({"metadata": {"name": "x"}, "data": {"b": "aGk="}});
    let changed =
        cluster.update(&secrets(), Some("default"), "x", Subresource::None, change.into(), &options).unwrap();
    assert_eq!(changed.object.value()["data"], json!({"b": "aGk="}));
    let delete = DeleteOptions { dry_run: true, ..DeleteOptions::default() };
    assert!(matches!(cluster.delete(&secrets(), Some("default"), "x", &delete), Ok(Deleted::Gone(_))));
    assert_eq!(cluster.look(&secrets(), "x").unwrap(), stored);
}

#[test]
fn sizes_are_bounded() {
    let cluster = cluster_with(|config| {
        config.limits.object_bytes = 2000;
        config.limits.total_bytes = 40_000;
    });
    let with =
        |name: &str, bytes: usize| json!({"metadata": {"name": name}, "data": {"a": "x".repeat(bytes)}});
    assert_eq!(
        refusal(cluster.try_make(&config_maps(), with("big", 2000))),
        (500, "", "etcdserver: request is too large".to_owned())
    );
    let full = (0..100).find_map(|i| cluster.try_make(&config_maps(), with(&format!("c{i}"), 1000)).err());
    assert_eq!(full.unwrap().message, "etcdserver: mvcc: database space exceeded");
    cluster.drop(&config_maps(), "c0").unwrap();
    cluster.make(&config_maps(), with("again", 900));
}

#[test]
fn the_same_calls_give_the_same_bytes() {
    let run = || {
        let cluster = cluster();
        for name in ["a", "b"] {
            cluster.make(&secrets(), secret(name));
        }
        cluster.make(&crds(), thing_crd(&thing_spec()));
        cluster.make(&things(), thing("t", &json!({"n": 1})));
        let mut bytes = Vec::new();
        for definition in cluster.resources() {
            for object in cluster.list(&definition.id, None, &ListOptions::default()).unwrap().items {
                bytes.push(object.json().clone());
            }
        }
        bytes
    };
    assert_eq!(run(), run());
}
