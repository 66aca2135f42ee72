//! Random requests: mostly sensible, about few objects, so that they meet each other's consequences.

use super::resources::Resource;
use super::sequence::Request;
use super::{odd, scenes};
use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::Union;
use serde_json::{Value, json};

/// A request about a resource.
pub(super) fn about(resource: &'static Resource) -> BoxedStrategy<Request> {
    Union::new_weighted(resource.verbs.iter().map(|verb| (weight(verb), of_verb(resource, verb))).collect())
        .boxed()
}

fn weight(verb: &str) -> u32 {
    match verb {
        "create" => 14,
        "update" | "list" => 8,
        "get" | "json patch" | "merge patch" | "strategic patch" | "delete" | "patch status" => 4,
        "update status" => 5,
        // What its controller does on a real server takes a while.
        "own" => 1,
        _ => 2,
    }
}

fn of_verb(resource: &'static Resource, verb: &'static str) -> BoxedStrategy<Request> {
    let one = |step: BoxedStrategy<String>| step.prop_map(|step| vec![step]).boxed();
    let steps = match verb {
        "create" => one(create(resource).boxed()),
        "get" => one(get(resource).boxed()),
        "list" => one(list(resource).boxed()),
        "table" => one(table(resource).boxed()),
        "watch" => one(watch(resource).boxed()),
        "update" => one(put(resource, "").boxed()),
        "update status" => one(put(resource, "/status").boxed()),
        "json patch" => one(json_patch(resource, "").boxed()),
        "merge patch" => one(merge_patch(resource, "", "merge-patch").boxed()),
        "strategic patch" => one(merge_patch(resource, "", "strategic-merge-patch").boxed()),
        "patch status" => {
            one(prop_oneof![json_patch(resource, "/status"), merge_patch(resource, "/status", "merge-patch")]
                .boxed())
        }
        "delete" => one(delete(resource).boxed()),
        "deletecollection" => one(delete_collection(resource).boxed()),
        "odd" => one(odd::request(resource)),
        "denied" => one(denied(resource).boxed()),
        "evict" => one(scenes::eviction(resource).boxed()),
        "token" => one(scenes::token(resource).boxed()),
        "review" => one(scenes::review().boxed()),
        "own" => scenes::ownership(resource),
        "terminate" => scenes::termination(),
        other => unreachable!("no requests are known for {other:?}"),
    };
    steps.prop_map(move |steps| Request { verb, resource, steps }).boxed()
}

fn one(resource: &Resource) -> impl Strategy<Value = &'static str> + use<> {
    select(resource.names())
}

fn content(resource: &Resource) -> impl Strategy<Value = Value> + use<> {
    select((resource.content)())
}

fn query() -> impl Strategy<Value = &'static str> {
    prop_oneof![
        12 => Just(""),
        1 => Just("?dryRun=All"),
        1 => Just("?fieldValidation=Strict"),
        1 => Just("?fieldValidation=Ignore"),
    ]
}

fn create(resource: &'static Resource) -> impl Strategy<Value = String> {
    let name = prop_oneof![
        9 => one(resource).prop_map(|name| json!({"name": name})),
        1 => Just(json!({"generateName": "made$serial-"})),
        1 => Just(json!({"name": "Not A Name"})),
    ];
    (name, metadata(), content(resource), query()).prop_map(|(name, metadata, content, query)| {
        let body = object(resource, &[name, metadata], content);
        format!("POST {}{query}\n{body}", resource.path())
    })
}

fn put(resource: &'static Resource, part: &'static str) -> impl Strategy<Value = String> {
    let version = prop_oneof![
        5 => Just(json!({"resourceVersion": "$rv"})),
        2 => Just(json!({})),
        1 => Just(json!({"resourceVersion": "$old"})),
        1 => Just(json!({"resourceVersion": "$rv", "uid": "$uid"})),
        1 => Just(json!({"uid": "11111111-1111-1111-1111-111111111111"})),
    ];
    (one(resource), version, metadata(), content(resource), query()).prop_map(
        move |(name, version, metadata, content, query)| {
            let body = object(resource, &[json!({"name": name}), version, metadata], content);
            format!("PUT {}/{name}{part}{query}\n{body}", resource.path())
        },
    )
}

fn merge_patch(
    resource: &'static Resource,
    part: &'static str,
    kind: &'static str,
) -> impl Strategy<Value = String> {
    (one(resource), merged_metadata(), content(resource), query()).prop_map(
        move |(name, metadata, mut content, query)| {
            content["metadata"] = metadata;
            let path = resource.path();
            format!("PATCH {path}/{name}{part}{query}\nContent-Type: application/{kind}+json\n{content}")
        },
    )
}

fn json_patch(resource: &'static Resource, part: &'static str) -> impl Strategy<Value = String> {
    let operations = prop::collection::vec(operation(resource), 1..4);
    (one(resource), operations, query()).prop_map(move |(name, operations, query)| {
        let (path, operations) = (resource.path(), Value::from(operations));
        format!("PATCH {path}/{name}{part}{query}\nContent-Type: application/json-patch+json\n{operations}")
    })
}

/// What a merge patch does to metadata.
fn merged_metadata() -> impl Strategy<Value = Value> {
    select(vec![
        json!({}),
        json!({"labels": {"l": "x"}}),
        json!({"labels": {"l": null}}),
        json!({"labels": null, "annotations": {"n": "1"}}),
        json!({"finalizers": ["example.com/f"]}),
        json!({"finalizers": null}),
        json!({"finalizers": null}),
        json!({"resourceVersion": "$rv"}),
        json!({"resourceVersion": "$old"}),
        json!({"uid": "$uid"}),
    ])
}

fn operation(resource: &'static Resource) -> impl Strategy<Value = Value> {
    let mut patches = vec![
        ("/metadata/labels", json!({"l": "x"})),
        ("/metadata/labels/l", json!("y")),
        ("/metadata/annotations", json!({"n": "2"})),
        ("/metadata/finalizers", json!(["example.com/f"])),
    ];
    patches.extend((resource.patches)());
    (select(patches), select(vec!["add", "add", "replace", "remove", "test"])).prop_map(
        |((path, value), op)| match op {
            "remove" => json!({"op": op, "path": path}),
            _ => json!({"op": op, "path": path, "value": value}),
        },
    )
}

fn get(resource: &'static Resource) -> impl Strategy<Value = String> {
    let query = select(vec!["", "", "", "", "?resourceVersion=x"]);
    (one(resource), query).prop_map(|(name, query)| format!("GET {}/{name}{query}", resource.path()))
}

fn selection() -> impl Strategy<Value = &'static str> {
    select(vec![
        "labelSelector=l",
        "labelSelector=l%3Dx",
        "labelSelector=l+in+(x,z)",
        "labelSelector=l+notin+(y),l",
        "fieldSelector=metadata.namespace%3D$ns",
    ])
}

fn list(resource: &'static Resource) -> impl Strategy<Value = String> {
    // Nothing with a version that a cache may answer: whether that has seen the last write is a matter of luck.
    let other = select(vec![
        "",
        "",
        "labelSelector=!l",
        "labelSelector=l!%3Dx",
        "labelSelector=l+in+(",
        "fieldSelector=metadata.name%3Da",
        "fieldSelector=metadata.name!%3Da",
        "fieldSelector=spec.nope%3D1",
        "limit=1",
        "limit=2&labelSelector=l",
        "limit=1&continue=$more",
        "limit=2&continue=$more",
        "continue=$more",
        "resourceVersion=$rv&resourceVersionMatch=Exact",
        "resourceVersion=$old&resourceVersionMatch=Exact",
        "resourceVersionMatch=Exact",
        "resourceVersion=$rv&resourceVersionMatch=Sometimes",
    ]);
    prop_oneof![1 => selection(), 4 => other].prop_map(|query| format!("GET {}?{query}", resource.path()))
}

/// As `kubectl get` asks.
fn table(resource: &'static Resource) -> impl Strategy<Value = String> {
    let objects = resource.names().into_iter().map(|name| format!("/{name}"));
    let what = objects.chain(["?labelSelector=l", "?limit=1", "?includeObject=None"].map(str::to_owned));
    select(what.collect::<Vec<_>>()).prop_map(|what| {
        let path = resource.path();
        format!(
            "@only /kind /rows/*/cells /rows/*/object/metadata/name /columnDefinitions/*/name\nGET {path}{what}\n\
             Accept: application/json;as=Table;v=v1;g=meta.k8s.io"
        )
    })
}

/// What somebody without any rights asks.
fn denied(resource: &'static Resource) -> impl Strategy<Value = String> {
    let body = json!({"metadata": {"name": "a"}});
    let what = vec![
        ("GET", "", String::new()),
        ("GET", "/a", String::new()),
        ("GET", "?watch=true", String::new()),
        ("POST", "", body.to_string()),
        ("PUT", "/a", body.to_string()),
        ("PATCH", "/a", "{}".to_owned()),
        ("DELETE", "/a", String::new()),
        ("DELETE", "", String::new()),
    ];
    let groups = select(vec!["", "Impersonate-Group: nobodies\n"]);
    (select(what), groups).prop_map(|((method, rest, body), groups)| {
        let path = resource.path();
        let kind = if method == "PATCH" { "Content-Type: application/merge-patch+json\n" } else { "" };
        format!("{method} {path}{rest}\nImpersonate-User: nobody\n{groups}{kind}{body}")
    })
}

/// A watch from a version on, which is read at the end.
fn watch(resource: &'static Resource) -> impl Strategy<Value = String> {
    let version = select(vec!["$rv", "$rv", "$old"]);
    (prop_oneof![Just(""), selection()], version).prop_map(|(selection, version)| {
        format!("@open $stream\nGET {}?watch=true&resourceVersion={version}&{selection}", resource.path())
    })
}

fn delete(resource: &'static Resource) -> impl Strategy<Value = String> {
    let options = prop_oneof![
        6 => Just(String::new()),
        1 => Just(json!({"preconditions": {"uid": "$uid"}}).to_string()),
        1 => Just(json!({"preconditions": {"resourceVersion": "$rv"}}).to_string()),
        1 => Just(json!({"preconditions": {"resourceVersion": "$old"}}).to_string()),
        1 => Just(json!({"dryRun": ["All"]}).to_string()),
        1 => Just(json!({"propagationPolicy": "Background", "gracePeriodSeconds": 0}).to_string()),
    ];
    (one(resource), options)
        .prop_map(|(name, options)| format!("DELETE {}/{name}\n{options}", resource.path()))
}

fn delete_collection(resource: &'static Resource) -> impl Strategy<Value = String> {
    // The default ServiceAccount of a namespace comes back at a time of its controller's choice, so never all.
    select(vec!["?labelSelector=l%3Dx", "?labelSelector=l", "?labelSelector=l&dryRun=All"])
        .prop_map(|selection| format!("DELETE {}{selection}", resource.path()))
}

fn metadata() -> impl Strategy<Value = Value> {
    select(vec![
        json!({}),
        json!({}),
        json!({"labels": {"l": "x"}}),
        json!({"labels": {"l": "y"}, "annotations": {"n": "1"}}),
        json!({"labels": {}, "annotations": {}}),
        json!({"finalizers": ["example.com/f"]}),
        json!({"labels": {"l": "x"}, "finalizers": ["example.com/f", "example.com/g"]}),
        json!({"generation": 7, "creationTimestamp": null}),
        json!({"nope": 1}),
    ])
}

fn object(resource: &Resource, metadata: &[Value], mut content: Value) -> Value {
    let mut all = serde_json::Map::new();
    for part in metadata {
        all.extend(part.as_object().cloned().unwrap_or_default());
    }
    content["metadata"] = Value::Object(all);
    if resource.is_custom() {
        content["apiVersion"] = json!(format!("{}/{}", resource.group, resource.version));
        content["kind"] = json!(resource.kind);
    }
    content
}
