//! Requests that nobody should send: mutated documents, patches, selectors, tokens and paths. Never a panic, always a `Status`
//! that says what was wrong, and a server that goes on.

use std::time::Duration;

use crate::fixture::{admin, ask, widgets_crd};
use bytes::Bytes;
use certmesh_apiserver::Cluster;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt, Full};
use proptest::{prelude::*, sample::Index};
use serde_json::{Value, json};
use tokio::time::timeout;

/// Names that mean something to the server somewhere.
const KEYS: [&str; 40] = [
    "kind",
    "apiVersion",
    "metadata",
    "name",
    "generateName",
    "namespace",
    "labels",
    "annotations",
    "finalizers",
    "ownerReferences",
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "managedFields",
    "spec",
    "status",
    "data",
    "stringData",
    "binaryData",
    "immutable",
    "type",
    "conditions",
    "size",
    "tags",
    "rules",
    "roleRef",
    "subjects",
    "containers",
    "selector",
    "template",
    "matchLabels",
    "replicas",
    "versions",
    "schema",
    "openAPIV3Schema",
    "x-kubernetes-validations",
    "$patch",
    "$setElementOrder/finalizers",
];

const RESOURCES: [&str; 16] = [
    "/api/v1/namespaces/default/configmaps",
    "/api/v1/namespaces/default/secrets",
    "/api/v1/namespaces/default/serviceaccounts",
    "/api/v1/namespaces/default/events",
    "/api/v1/namespaces/default/pods",
    "/api/v1/namespaces",
    "/apis/apps/v1/namespaces/default/deployments",
    "/apis/policy/v1/namespaces/default/poddisruptionbudgets",
    "/apis/rbac.authorization.k8s.io/v1/namespaces/default/roles",
    "/apis/rbac.authorization.k8s.io/v1/namespaces/default/rolebindings",
    "/apis/rbac.authorization.k8s.io/v1/clusterroles",
    "/apis/events.k8s.io/v1/namespaces/default/events",
    "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
    "/apis/example.com/v1/namespaces/default/widgets",
    "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
    "/apis/authentication.k8s.io/v1/tokenreviews",
];

const SUFFIXES: [&str; 9] = [
    "",
    "/victim",
    "/victim/status",
    "/x",
    "/default",
    "/default/finalize",
    "/victim/eviction",
    "/default/token",
    "/widgets.example.com",
];

const TYPES: [&str; 9] = [
    "application/json",
    "application/yaml",
    "application/vnd.kubernetes.protobuf",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
    "application/json-patch+json",
    "application/apply-patch+yaml",
    "text/plain",
    "application/json;as=Table;v=v1;g=meta.k8s.io",
];

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => prop::sample::select(KEYS.as_slice()).prop_map(str::to_owned),
        3 => prop::sample::select(vec![
            "victim", "default", "widgets.example.com", "delete", "replace", "merge", "v1", "Widget", "2026-01-01T00:00:00Z",
            "99999-99-99T99:99:99Z", "\u{0}", "..", "a/b", "-1", "example.com/f", "é\u{202e}", "e30", "Foreground", "",
        ]).prop_map(str::to_owned),
        1 => "\\PC{0,20}",
        1 => (1_usize..400).prop_map(|length| "x".repeat(length)),
    ]
}

fn number() -> impl Strategy<Value = Value> {
    prop_oneof![
        prop::sample::select(vec![0_i64, 1, -1, i64::MAX, i64::MIN, 1 << 53]).prop_map(Value::from),
        Just(json!(u64::MAX)),
        prop::sample::select(vec![0.5, -0.0, 1e308, 5e-324, 1e21]).prop_map(Value::from),
    ]
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        number(),
        text().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::vec((text(), inner), 0..5)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

/// Documents that the server takes as they are.
fn documents() -> Vec<Value> {
    let metadata = json!({"name": "victim", "labels": {"a": "b"}, "annotations": {"k": "v"}, "finalizers": ["example.com/f"]});
    let pod = json!({"containers": [{"name": "c", "image": "i", "ports": [{"containerPort": 80}], "env": [{"name": "A", "value": "b"}]}]});
    vec![
        json!({"kind": "ConfigMap", "apiVersion": "v1", "metadata": metadata, "data": {"a": "b"}, "binaryData": {"c": "AAA="}}),
        json!({"kind": "Secret", "apiVersion": "v1", "metadata": metadata, "type": "Opaque", "stringData": {"a": "b"}, "data": {"c": "AAA="}}),
        json!({"kind": "Pod", "apiVersion": "v1", "metadata": metadata, "spec": pod}),
        json!({"kind": "Deployment", "apiVersion": "apps/v1", "metadata": metadata, "spec": {
            "replicas": 1, "selector": {"matchLabels": {"a": "b"}},
            "template": {"metadata": {"labels": {"a": "b"}}, "spec": pod},
        }}),
        json!({"kind": "Widget", "apiVersion": "example.com/v1", "metadata": metadata, "spec": {"size": 3, "tags": ["a"]},
               "status": {"phase": "p", "conditions": [{"type": "A", "status": "True"}]}}),
        json!({"kind": "Role", "apiVersion": "rbac.authorization.k8s.io/v1", "metadata": metadata,
               "rules": [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"], "resourceNames": ["x"]}]}),
        json!({"kind": "RoleBinding", "apiVersion": "rbac.authorization.k8s.io/v1", "metadata": metadata,
               "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "r"},
               "subjects": [{"kind": "ServiceAccount", "name": "s", "namespace": "default"}]}),
        json!({"kind": "SelfSubjectAccessReview", "apiVersion": "authorization.k8s.io/v1",
               "spec": {"resourceAttributes": {"verb": "get", "resource": "secrets"}}}),
        json!({"kind": "Eviction", "apiVersion": "policy/v1", "metadata": {"name": "victim"}, "deleteOptions": {"gracePeriodSeconds": 0}}),
        json!({"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Foreground", "preconditions": {"uid": "u"}}),
        widgets_crd(),
        json!([{"op": "add", "path": "/metadata/labels/x", "value": "y"}, {"op": "test", "path": "/kind", "value": "z"},
               {"op": "copy", "from": "/metadata", "path": "/spec"}, {"op": "move", "from": "/spec", "path": "/data"}]),
        json!({"metadata": {"finalizers": [], "$setElementOrder/ownerReferences": [{"uid": "a"}], "labels": {"$patch": "replace", "z": null}}}),
    ]
}

/// Puts `new` in place of one of the values inside.
fn replace_inside(value: &mut Value, place: Index, new: Value) {
    fn count(value: &Value) -> usize {
        1 + match value {
            Value::Array(items) => items.iter().map(count).sum(),
            Value::Object(fields) => fields.values().map(count).sum(),
            _ => 0,
        }
    }
    fn replace(value: &mut Value, left: &mut usize, new: &mut Option<Value>) {
        if *left == 0 {
            if let Some(new) = new.take() {
                *value = new;
            }
            return;
        }
        *left -= 1;
        match value {
            Value::Array(items) => items.iter_mut().for_each(|item| {
                if new.is_some() {
                    replace(item, left, new);
                }
            }),
            Value::Object(fields) => fields.values_mut().for_each(|field| {
                if new.is_some() {
                    replace(field, left, new);
                }
            }),
            _ => {}
        }
    }
    let mut left = place.index(count(value));
    replace(value, &mut left, &mut Some(new));
}

/// A document with some of its values replaced.
fn mutated() -> impl Strategy<Value = Value> {
    let changes = prop::collection::vec((any::<Index>(), value()), 0..4);
    (prop::sample::select(documents()), changes).prop_map(|(mut document, changes)| {
        for (place, new) in changes {
            replace_inside(&mut document, place, new);
        }
        document
    })
}

/// Text with bytes changed, doubled or cut out.
fn broken(text: impl Strategy<Value = String>) -> impl Strategy<Value = Vec<u8>> {
    (
        text,
        prop::collection::vec((any::<Index>(), 0..12_usize, prop::collection::vec(any::<u8>(), 0..4)), 1..5),
    )
        .prop_map(|(text, edits)| {
            let mut bytes = text.into_bytes();
            for (at, cut, new) in edits {
                let start = at.index(bytes.len() + 1);
                let end = (start + cut).min(bytes.len());
                bytes.splice(start..end, new);
            }
            bytes
        })
}

fn body() -> impl Strategy<Value = Vec<u8>> {
    let deep = (prop::sample::select(vec!["[", "{\"a\":", "- ", "? ", "a:\n ", "&a [*a,"]), 1..30_000_usize);
    prop_oneof![
        6 => mutated().prop_map(|value| value.to_string().into_bytes()),
        2 => value().prop_map(|value| value.to_string().into_bytes()),
        3 => broken(mutated().prop_map(|value| value.to_string())),
        2 => broken(mutated().prop_map(|value| serde_saphyr::to_string(&value).unwrap())),
        1 => deep.prop_map(|(unit, times)| unit.repeat(times).into_bytes()),
        1 => prop::collection::vec(any::<u8>(), 0..60).prop_map(|bytes| [b"k8s\0".as_slice(), &bytes].concat()),
        1 => (text(), text()).prop_map(|(one, two)| format!("{{{0}:{{{1}:1,{1}:2}},{0}:1e999}}", json!(one), json!(two)).into_bytes()),
    ]
}

fn query() -> impl Strategy<Value = String> {
    let name = prop::sample::select(vec![
        "labelSelector",
        "fieldSelector",
        "limit",
        "continue",
        "resourceVersion",
        "resourceVersionMatch",
        "timeoutSeconds",
        "watch",
        "allowWatchBookmarks",
        "sendInitialEvents",
        "dryRun",
        "fieldValidation",
        "fieldManager",
        "pretty",
        "propagationPolicy",
        "gracePeriodSeconds",
        "includeObject",
        "force",
    ]);
    let continued = prop_oneof![
        Just(json!({"v": "meta.k8s.io/v1", "rv": 3, "start": "a\u{0}"})),
        (text(), number(), text()).prop_map(|(v, rv, start)| json!({"v": v, "rv": rv, "start": start})),
    ];
    let value = prop_oneof![
        3 => prop::sample::select(vec![
            "1", "0", "-1", "true", "false", "All", "Strict", "Exact", "NotOlderThan", "metadata.name=victim", "a=b,c!=d",
            "a in (b,c),!d", "spec.nodeName=x", "9223372036854775807", "99999999999999999999", "1e3", "None", "Object",
        ]).prop_map(str::to_owned),
        1 => text(),
        1 => "[ -~]{0,30}",
        1 => "[a-z=!,() ]{0,200}",
        1 => continued.prop_map(|token| base64::Engine::encode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, token.to_string())),
        1 => broken(Just("a in (b,c),d notin (e),!f,g=h,i>1".to_owned())).prop_map(|bytes| String::from_utf8_lossy(&bytes).into_owned()),
    ];
    prop::collection::vec((name, value), 0..4)
        .prop_map(|pairs| form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish())
}

/// A request, and what to say of it when it goes wrong.
#[derive(Clone)]
struct Hostile {
    method: &'static str,
    path: String,
    content_type: &'static str,
    accept: &'static str,
    body: Vec<u8>,
}

impl std::fmt::Debug for Hostile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { method, path, content_type, accept, body } = self;
        write!(f, "{method} {path}, {content_type}, for {accept}: {:?}", String::from_utf8_lossy(body))
    }
}

fn hostile() -> impl Strategy<Value = Hostile> {
    let method = prop::sample::select(vec!["GET", "POST", "POST", "PUT", "PATCH", "PATCH", "DELETE"]);
    let types = prop::sample::select(TYPES.as_slice());
    let suffix = prop::sample::select(SUFFIXES.as_slice());
    (method, prop::sample::select(RESOURCES.as_slice()), suffix, query(), types.clone(), types, body())
        .prop_map(|(method, resource, suffix, query, content_type, accept, body)| {
            let path = format!("{resource}{suffix}?{query}");
            Hostile { method, path, content_type, accept, body }
        })
}

/// Answers of 500 and 504 that the real server gives to such requests too.
const REAL_FAILURES: [&str; 7] = [
    "unknown patch type: ",
    "does not contain declared merge key: ",
    "resourceVersion should not be set on objects to be created",
    "resourceVersion: Invalid value: ",
    "Too large resource version: ",
    "etcdserver: ",
    "rpc error: code = ResourceExhausted",
];

async fn send(cluster: &Cluster, hostile: &Hostile) -> Result<(), TestCaseError> {
    let request = Request::builder()
        .method(hostile.method)
        .uri(&hostile.path)
        .header(header::CONTENT_TYPE, hostile.content_type)
        .header(header::ACCEPT, format!("{}, application/json", hostile.accept))
        .body(Full::new(Bytes::from(hostile.body.clone())))
        .map_err(|error| TestCaseError::reject(error.to_string()))?;
    let answer = ask(cluster, Cluster::admin(), request).await;
    let status = answer.status();
    let text = if status.is_success() {
        // A watch has no end; what it begins with is there at once.
        let _ = timeout(Duration::from_millis(1), answer.into_body().frame()).await;
        return Ok(());
    } else {
        answer.into_body().collect().await.unwrap().to_bytes()
    };
    if text.as_ref() == b"404 page not found\n" {
        return Ok(());
    }
    let said: Value = match serde_json::from_slice(&text) {
        Ok(said) => said,
        Err(_) => {
            serde_saphyr::from_slice(&text).map_err(|_| TestCaseError::fail(format!("{status}: {text:?}")))?
        }
    };
    prop_assert_eq!((&said["kind"], &said["code"]), (&json!("Status"), &json!(status.as_u16())), "{}", said);
    let message = said["message"].as_str().unwrap_or_default();
    let known = REAL_FAILURES.iter().any(|known| message.contains(known));
    prop_assert!(status.is_client_error() || known, "{}", said);
    Ok(())
}

/// A cluster with an object of every kind that requests aim at.
async fn cluster_with_victims() -> Cluster {
    let cluster = Cluster::new("c").unwrap();
    admin(&cluster, "POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", widgets_crd()).await;
    for (path, document) in RESOURCES.iter().flat_map(|path| documents().into_iter().map(move |d| (path, d)))
    {
        // Most documents fit one path only.
        admin(&cluster, "POST", path, document).await;
    }
    let (status, _) = admin(&cluster, "GET", "/api/v1/namespaces/default/pods/victim", Value::Null).await;
    assert_eq!(status, StatusCode::OK);
    cluster
}

/// Sends all of them to one cluster, which is as alive afterwards as before.
fn survives(requests: &[Hostile]) -> Result<(), TestCaseError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let cluster = cluster_with_victims().await;
        for request in requests {
            send(&cluster, request).await?;
        }
        let path = "/apis/rbac.authorization.k8s.io/v1/clusterroles/view";
        let (status, role) = admin(&cluster, "GET", path, Value::Null).await;
        prop_assert!(status == StatusCode::OK || status == StatusCode::NOT_FOUND, "{}", role);
        let (status, _) =
            admin(&cluster, "POST", "/api/v1/namespaces", json!({"metadata": {"name": "after"}})).await;
        prop_assert_eq!(status, StatusCode::CREATED);
        Ok(())
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_request_ends_the_server(requests in prop::collection::vec(hostile(), 1..60)) {
        survives(&requests)?;
    }

    #[test]
    fn no_rule_ends_the_server(rules in prop::collection::vec((rule(), rule()), 1..30)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(rules_are_survived(rules))?;
    }
}

/// Text that is nearly a CEL rule.
fn rule() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        8 => prop::sample::select(vec![
            "self", "oldSelf", ".size", ".tags", ".all(x, ", ".exists(x, ", ".map(x, ", ".filter(x, ", "x", "has(self.size)",
            "size(self.tags)", "[0]", "[?0]", ".?size", ".orValue(1)", "(", ")", "[", "]", "{", "}", "!", "-", "+", "/", "%",
            " == ", " < ", " in ", " && ", " || ", " ? ", " : ", ",", "1", "0", "-9223372036854775808", "1e400", "0xff", "1u",
            "'a'", "\"b", "b'\\xff'", "r'\\'", "\"\"\"", "null", "true", "type(self)", "duration('1h')", "timestamp('x')",
            "quantity('1Ki')", ".matches('(')", ".find('a*')", ".split(',')", ".format([1])", "cel.bind(y, 1, y)", "//",
        ]).prop_map(str::to_owned),
        1 => "\\PC{0,4}",
    ];
    prop::collection::vec(part, 1..12).prop_map(|parts| parts.concat())
}

/// The definition of widgets with these rules, and a widget to which they apply.
async fn rules_are_survived(rules: Vec<(String, String)>) -> Result<(), TestCaseError> {
    let cluster = Cluster::new("c").unwrap();
    let crds = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    let widgets = "/apis/example.com/v1/namespaces/default/widgets";
    for (rule, message) in rules {
        let mut crd = widgets_crd();
        crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["x-kubernetes-validations"] =
            json!([{"rule": rule, "messageExpression": message}]);
        let (status, said) = admin(&cluster, "POST", crds, crd).await;
        prop_assert!(matches!(status.as_u16(), 201 | 422), "{}: {}", rule, said);
        if status == StatusCode::CREATED {
            for size in [1, 2] {
                let widget = json!({"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "w"},
                                    "spec": {"size": size, "tags": ["a", "b"]}});
                let (created, said) = admin(&cluster, "POST", widgets, widget.clone()).await;
                prop_assert!(matches!(created.as_u16(), 201 | 409 | 422), "{}: {}", rule, said);
                let (patched, said) = admin(&cluster, "PATCH", &format!("{widgets}/w"), widget).await;
                prop_assert!(matches!(patched.as_u16(), 200 | 404 | 422), "{}: {}", rule, said);
            }
            admin(&cluster, "DELETE", &format!("{crds}/widgets.example.com"), Value::Null).await;
        }
    }
    Ok(())
}

/// More in a run of hours.
fn cases() -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(24)
}

/// A JSON patch of a few kilobytes doubled the depth of an object with each copy, until walking through it overflowed the
/// stack and ended the process.
#[tokio::test]
async fn json_patches_cannot_nest_objects_without_end() {
    let cluster = cluster_with_victims().await;
    let path = "/apis/example.com/v1/namespaces/default/widgets/victim";
    let mut doubling = vec![json!({"op": "add", "path": "/spec", "value": {"size": 1, "a": {}}})];
    let mut place = "/spec/a".to_owned();
    for _ in 0..16 {
        doubling.push(json!({"op": "copy", "from": "/spec/a", "path": format!("{place}/a")}));
        place = format!("{place}{}", place.trim_start_matches("/spec"));
    }
    let growing: Vec<Value> = (1..1000)
        .map(|depth| json!({"op": "add", "path": format!("/spec{}", "/a".repeat(depth)), "value": {"a": {"a": {}}}}))
        .collect();
    for patch in [doubling, growing] {
        let request = Request::patch(path)
            .header(header::CONTENT_TYPE, "application/json-patch+json")
            .body(Full::new(Bytes::from(Value::from(patch).to_string())))
            .unwrap();
        let answer = ask(&cluster, Cluster::admin(), request).await;
        assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY);
    }
}

/// A rule with sixteen parentheses inside each other overflowed the stack of the parser, `self.a.a.a…` that of the evaluation,
/// and the process was gone.
#[tokio::test]
async fn rules_nest_as_far_as_they_can_be_followed() {
    let cluster = Cluster::new("c").unwrap();
    let crds = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    let with_rule = |rule: &str| {
        let mut crd = widgets_crd();
        crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["x-kubernetes-validations"] =
            json!([{"rule": rule, "message": "not so"}]);
        crd
    };
    let chain = |link: &str| format!("self.size{} > 0", link.repeat(4_000));
    for rule in [
        format!("{}self.size{} > 0", "(".repeat(20_000), ")".repeat(20_000)),
        format!("{}self.size > 0", "!".repeat(20_000)),
        format!("{}self.size > 0", "-".repeat(20_000)),
        format!("{}1{} == self.size", "[".repeat(20_000), "]".repeat(20_000)),
        chain(".a"),
        chain("[0]"),
        chain(" + 1"),
        chain(" > 0 || self.size"),
        chain(" > 0 ? true : self.size"),
        format!("{}self.size > 0", "self.tags.all(x, ".repeat(5_000)),
        "(".repeat(50_000),
    ] {
        let (status, answer) = admin(&cluster, "POST", crds, with_rule(&rule)).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{} …: {answer}", &rule[..20]);
    }
    for (rule, holds) in [
        (format!("{}self.size{} > 0", "(".repeat(40), ")".repeat(40)), true),
        (format!("self.size{} > 100", " + 1".repeat(30)), false),
        (format!("{}self.size > 0{}", "self.tags.all(x, ".repeat(12), ")".repeat(12)), true),
    ] {
        let (status, answer) = admin(&cluster, "POST", crds, with_rule(&rule)).await;
        assert_eq!(status, StatusCode::CREATED, "{answer}");
        let widget = json!({"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "w"},
                            "spec": {"size": 1, "tags": ["a"]}});
        let (status, answer) =
            admin(&cluster, "POST", "/apis/example.com/v1/namespaces/default/widgets", widget).await;
        assert_eq!(status == StatusCode::CREATED, holds, "{rule}: {answer}");
        admin(&cluster, "DELETE", &format!("{crds}/widgets.example.com"), Value::Null).await;
    }
}
