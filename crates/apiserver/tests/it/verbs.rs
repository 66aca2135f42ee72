//! Every verb over HTTP, in the forms that clients ask for.

use crate::fixture::{admin, ask, widgets_crd};
use bytes::Bytes;
use certmesh_apiserver::Cluster;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};

const CONFIG_MAPS: &str = "/api/v1/namespaces/default/configmaps";
const WIDGETS: &str = "/apis/example.com/v1/namespaces/default/widgets";

fn config_map(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"a": "1"}})
}

fn widget(name: &str) -> Value {
    json!({"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": name}, "spec": {"size": 3}})
}

async fn cluster_with_widgets() -> Cluster {
    let cluster = Cluster::new("c").unwrap();
    let path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    let (status, answer) = admin(&cluster, "POST", path, widgets_crd()).await;
    assert_eq!(status, StatusCode::CREATED, "{answer}");
    cluster
}

#[tokio::test]
async fn the_life_of_an_object() {
    let cluster = Cluster::new("c").unwrap();
    let one = format!("{CONFIG_MAPS}/x");
    let (status, created) = admin(&cluster, "POST", CONFIG_MAPS, config_map("x")).await;
    assert_eq!(status, StatusCode::CREATED, "{created}");
    assert_eq!(created["kind"], "ConfigMap");
    let (status, conflict) = admin(&cluster, "POST", CONFIG_MAPS, config_map("x")).await;
    assert_eq!((status, conflict["reason"].as_str()), (StatusCode::CONFLICT, Some("AlreadyExists")));
    assert_eq!(admin(&cluster, "GET", &one, Value::Null).await, (StatusCode::OK, created.clone()));

    let (status, patched) = admin(&cluster, "PATCH", &one, json!({"data": {"b": "2"}})).await;
    assert_eq!((status, &patched["data"]), (StatusCode::OK, &json!({"a": "1", "b": "2"})));

    let (status, stale) = admin(&cluster, "PUT", &one, created).await;
    assert_eq!((status, stale["reason"].as_str()), (StatusCode::CONFLICT, Some("Conflict")));
    let mut current = patched;
    current["data"] = json!({"c": "3"});
    let (status, updated) = admin(&cluster, "PUT", &one, current).await;
    assert_eq!((status, &updated["data"]), (StatusCode::OK, &json!({"c": "3"})));

    let (status, list) = admin(&cluster, "GET", CONFIG_MAPS, Value::Null).await;
    assert_eq!((status, list["kind"].as_str()), (StatusCode::OK, Some("ConfigMapList")));
    let names: Vec<_> =
        list["items"].as_array().unwrap().iter().map(|item| &item["metadata"]["name"]).collect();
    assert!(names.contains(&&json!("x")), "{list}");
    assert!(list["items"][0].get("kind").is_none(), "items of built-in lists carry no kind");

    let (status, deleted) = admin(&cluster, "DELETE", &one, Value::Null).await;
    assert_eq!((status, deleted["status"].as_str()), (StatusCode::OK, Some("Success")));
    let (status, gone) = admin(&cluster, "GET", &one, Value::Null).await;
    assert_eq!(
        (status, gone["message"].as_str()),
        (StatusCode::NOT_FOUND, Some("configmaps \"x\" not found"))
    );
}

#[tokio::test]
async fn custom_resources_are_served_once_defined_and_no_longer_after() {
    let cluster = Cluster::new("c").unwrap();
    assert_eq!(admin(&cluster, "GET", WIDGETS, Value::Null).await.0, StatusCode::NOT_FOUND);
    let cluster = cluster_with_widgets().await;
    let (status, created) = admin(&cluster, "POST", WIDGETS, widget("w")).await;
    assert_eq!((status, &created["metadata"]["generation"]), (StatusCode::CREATED, &json!(1)), "{created}");
    let (_, list) = admin(&cluster, "GET", WIDGETS, Value::Null).await;
    assert_eq!((&list["kind"], &list["items"][0]["kind"]), (&json!("WidgetList"), &json!("Widget")));

    let status_path = format!("{WIDGETS}/w/status");
    let (_, patched) =
        admin(&cluster, "PATCH", &status_path, json!({"status": {"phase": "Done"}, "spec": {"size": 9}}))
            .await;
    assert_eq!(patched["status"]["phase"], "Done", "{patched}");
    assert_eq!(patched["spec"]["size"], 3, "a status patch leaves the spec alone");
    assert_eq!(patched["metadata"]["generation"], 1);

    let crd = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/widgets.example.com";
    assert_eq!(admin(&cluster, "DELETE", crd, Value::Null).await.0, StatusCode::OK);
    assert_eq!(admin(&cluster, "GET", WIDGETS, Value::Null).await.0, StatusCode::NOT_FOUND);
}

/// A request with the media types given; headers come back too.
async fn negotiated(
    cluster: &Cluster,
    method: &str,
    path: &str,
    (content_type, accept): (&str, &str),
    body: impl Into<Bytes>,
) -> (http::response::Parts, Bytes) {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::CONTENT_TYPE, content_type)
        .header(header::ACCEPT, accept)
        .body(Full::new(body.into()))
        .unwrap();
    let (parts, body) = ask(cluster, Cluster::admin(), request).await.into_parts();
    (parts, body.collect().await.unwrap().to_bytes())
}

#[tokio::test]
async fn each_patch_language_is_told_by_its_media_type() {
    let cluster = Cluster::new("c").unwrap();
    let one = format!("{CONFIG_MAPS}/x");
    admin(&cluster, "POST", CONFIG_MAPS, config_map("x")).await;
    for (media_type, patch, expected) in [
        ("application/merge-patch+json", r#"{"data":{"a":null,"m":"1"}}"#, json!({"m": "1"})),
        ("application/strategic-merge-patch+json", r#"{"data":{"s":"2"}}"#, json!({"m": "1", "s": "2"})),
        ("application/json-patch+json", r#"[{"op":"remove","path":"/data/m"}]"#, json!({"s": "2"})),
    ] {
        let (parts, body) = negotiated(&cluster, "PATCH", &one, (media_type, "*/*"), patch).await;
        let body: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!((parts.status, &body["data"]), (StatusCode::OK, &expected), "{media_type}: {body}");
    }
    for media_type in ["application/apply-patch+yaml", "application/json", "text/plain"] {
        let (parts, body) = negotiated(&cluster, "PATCH", &one, (media_type, "*/*"), "{}").await;
        let body: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(parts.status, StatusCode::UNSUPPORTED_MEDIA_TYPE, "{media_type}");
        assert_eq!(body["reason"], "UnsupportedMediaType");
    }
}

#[tokio::test]
async fn yaml_goes_in_and_comes_out() {
    let cluster = Cluster::new("c").unwrap();
    let yaml = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: from-yaml\ndata:\n  a: \"1\"\n";
    let types = ("application/yaml", "application/yaml");
    let (parts, body) = negotiated(&cluster, "POST", CONFIG_MAPS, types, yaml).await;
    assert_eq!(
        (parts.status, &parts.headers[header::CONTENT_TYPE]),
        (StatusCode::CREATED, &"application/yaml".parse().unwrap())
    );
    let read: Value = serde_saphyr::from_str(std::str::from_utf8(&body).unwrap()).unwrap();
    assert_eq!(read["data"], json!({"a": "1"}));
    let (parts, _) =
        negotiated(&cluster, "GET", CONFIG_MAPS, ("", "application/vnd.kubernetes.protobuf"), "").await;
    assert_eq!(
        (parts.status, &parts.headers[header::CONTENT_TYPE]),
        (StatusCode::OK, &"application/json".parse().unwrap())
    );
    let (parts, _) = negotiated(&cluster, "GET", CONFIG_MAPS, ("", "text/html"), "").await;
    assert_eq!(parts.status, StatusCode::NOT_ACCEPTABLE);
}

#[tokio::test]
async fn protobuf_is_read_for_built_in_kinds_only() {
    let cluster = cluster_with_widgets().await;
    let types =
        ("application/vnd.kubernetes.protobuf", "application/vnd.kubernetes.protobuf,application/json");
    // What `kubectl create namespace nsx` sends.
    let namespace = b"k8s\0\x0a\x0f\x0a\x02v1\x12\x09Namespace\x12\x1b\x0a\x13\x0a\x03nsx\x12\x00\x1a\x00\x22\x00\x2a\x00\x32\x00\
                      \x38\x00\x42\x00\x12\x00\x1a\x02\x0a\x00\x1a\x00\x22\x00";
    let (parts, body) = negotiated(&cluster, "POST", "/api/v1/namespaces", types, namespace.to_vec()).await;
    let body: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!((parts.status, &body["metadata"]["name"]), (StatusCode::CREATED, &json!("nsx")), "{body}");
    let (parts, _) =
        negotiated(&cluster, "POST", "/api/v1/namespaces", types, namespace[..30].to_vec()).await;
    assert_eq!(parts.status, StatusCode::BAD_REQUEST);
    let widget = b"k8s\0\x0a\x18\x0a\x0eexample.com/v1\x12\x06Widget\x12\x00".to_vec();
    let (parts, _) = negotiated(&cluster, "POST", WIDGETS, types, widget).await;
    assert_eq!(parts.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
}

#[tokio::test]
async fn tables_and_metadata_are_served_instead_of_objects_when_asked_for() {
    let cluster = cluster_with_widgets().await;
    admin(&cluster, "POST", WIDGETS, widget("w")).await;
    let table = ("", "application/json;as=Table;v=v1;g=meta.k8s.io,application/json");
    for path in [WIDGETS.to_owned(), format!("{WIDGETS}/w"), format!("{WIDGETS}?includeObject=None")] {
        let (_, body) = negotiated(&cluster, "GET", &path, table, "").await;
        let body: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(
            (&body["kind"], &body["apiVersion"]),
            (&json!("Table"), &json!("meta.k8s.io/v1")),
            "{path}"
        );
        assert_eq!(body["columnDefinitions"][0]["name"], "Name");
        assert_eq!(body["columnDefinitions"][1]["name"], "Size");
        assert_eq!((&body["rows"][0]["cells"][0], &body["rows"][0]["cells"][1]), (&json!("w"), &json!(3)));
        let included = &body["rows"][0]["object"]["kind"];
        let expected = if path.contains("None") { Value::Null } else { json!("PartialObjectMetadata") };
        assert_eq!(included, &expected, "{path}: {body}");
    }
    let metadata = ("", "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1");
    let (_, body) = negotiated(&cluster, "GET", WIDGETS, metadata, "").await;
    let body: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(body["kind"], "PartialObjectMetadataList");
    assert_eq!(
        (&body["items"][0]["kind"], &body["items"][0]["metadata"]["name"]),
        (&json!("PartialObjectMetadata"), &json!("w"))
    );
    assert!(body["items"][0].get("spec").is_none());
}

#[tokio::test]
async fn unknown_fields_are_warned_about_refused_or_ignored() {
    let cluster = cluster_with_widgets().await;
    let mut with_typo = widget("w");
    with_typo["spec"]["colour"] = json!("red");
    let json_types = ("application/json", "*/*");
    for (validation, status, warned) in [
        ("", StatusCode::CREATED, true),
        ("&fieldValidation=Warn", StatusCode::CREATED, true),
        ("&fieldValidation=Ignore", StatusCode::CREATED, false),
        ("&fieldValidation=Strict", StatusCode::BAD_REQUEST, false),
    ] {
        let path = format!("{WIDGETS}?dryRun=All{validation}");
        let (parts, body) = negotiated(&cluster, "POST", &path, json_types, with_typo.to_string()).await;
        assert_eq!(parts.status, status, "{validation}: {body:?}");
        let warning = parts.headers.get(header::WARNING).map(|value| value.to_str().unwrap());
        assert_eq!(warning, warned.then_some("299 - \"unknown field \\\"spec.colour\\\"\""), "{validation}");
        if status == StatusCode::BAD_REQUEST {
            let body: Value = serde_json::from_slice(&body).unwrap();
            assert!(body["message"].as_str().unwrap().contains("unknown field \"spec.colour\""), "{body}");
        }
    }
    let twice = r#"{"apiVersion":"example.com/v1","kind":"Widget","metadata":{"name":"d"},"spec":{"size":1,"size":2}}"#;
    let (parts, _) = negotiated(&cluster, "POST", &format!("{WIDGETS}?dryRun=All"), json_types, twice).await;
    assert_eq!(parts.headers[header::WARNING], "299 - \"duplicate field \\\"spec.size\\\"\"");
    let (status, list) = admin(&cluster, "GET", WIDGETS, Value::Null).await;
    assert_eq!(
        (status, list["items"].as_array().map(Vec::len)),
        (StatusCode::OK, Some(0)),
        "a dry run stores nothing"
    );
}

#[tokio::test]
async fn long_lists_come_in_pages_and_collections_go_at_once() {
    let cluster = cluster_with_widgets().await;
    for index in 0..7 {
        let mut object = widget(&format!("w{index}"));
        object["metadata"]["labels"] = json!({"parity": if index % 2 == 0 { "even" } else { "odd" }});
        admin(&cluster, "POST", WIDGETS, object).await;
    }
    let mut seen = Vec::new();
    let mut path = format!("{WIDGETS}?limit=3");
    loop {
        let (status, page) = admin(&cluster, "GET", &path, Value::Null).await;
        assert_eq!(status, StatusCode::OK, "{page}");
        seen.extend(page["items"].as_array().unwrap().iter().map(|item| item["metadata"]["name"].clone()));
        let Some(token) = page["metadata"]["continue"].as_str().filter(|token| !token.is_empty()) else {
            break;
        };
        assert_eq!(page["metadata"]["remainingItemCount"].as_u64(), Some(7 - seen.len() as u64));
        path = format!(
            "{WIDGETS}?limit=3&continue={}",
            percent_encoding::utf8_percent_encode(token, percent_encoding::NON_ALPHANUMERIC)
        );
    }
    assert_eq!(seen, (0..7).map(|index| format!("w{index}")).collect::<Vec<_>>());

    let (status, deleted) =
        admin(&cluster, "DELETE", &format!("{WIDGETS}?labelSelector=parity%3Dodd"), Value::Null).await;
    assert_eq!((status, deleted["kind"].as_str()), (StatusCode::OK, Some("WidgetList")), "{deleted}");
    let (_, left) = admin(&cluster, "GET", WIDGETS, Value::Null).await;
    assert_eq!(left["items"].as_array().map(Vec::len), Some(4));
}

#[tokio::test]
async fn an_eviction_is_a_deletion_that_a_budget_can_delay() {
    let cluster = Cluster::new("c").unwrap();
    let pods = "/api/v1/namespaces/default/pods";
    let pod = json!({
        "metadata": {"name": "p", "labels": {"app": "a"}},
        "spec": {"containers": [{"name": "c", "image": "i"}], "terminationGracePeriodSeconds": 0},
    });
    assert_eq!(admin(&cluster, "POST", pods, pod).await.0, StatusCode::CREATED);
    let ready = json!({"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}});
    assert_eq!(admin(&cluster, "PATCH", &format!("{pods}/p/status"), ready).await.0, StatusCode::OK);
    let budgets = "/apis/policy/v1/namespaces/default/poddisruptionbudgets";
    let budget = json!({
        "metadata": {"name": "b"},
        "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "a"}}},
    });
    assert_eq!(admin(&cluster, "POST", budgets, budget).await.0, StatusCode::CREATED);
    let eviction =
        json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "p"}}).to_string();
    let path = format!("{pods}/p/eviction");
    let types = ("application/json", "application/json");
    let (_, delayed) = negotiated(&cluster, "POST", &path, types, eviction.clone()).await;
    let delayed: Value = serde_json::from_slice(&delayed).unwrap();
    assert_eq!((&delayed["code"], &delayed["reason"]), (&json!(429), &json!("TooManyRequests")), "{delayed}");
    admin(&cluster, "DELETE", &format!("{budgets}/b"), Value::Null).await;
    let (parts, evicted) = negotiated(&cluster, "POST", &path, types, eviction).await;
    assert_eq!(parts.status, StatusCode::CREATED, "{evicted:?}");
    assert_eq!(admin(&cluster, "GET", &format!("{pods}/p"), Value::Null).await.0, StatusCode::NOT_FOUND);
}

/// Where the real server answers custom resources otherwise than built-in ones.
#[tokio::test]
async fn paths_of_custom_resources_have_their_own_refusals() {
    let cluster = cluster_with_widgets().await;
    for (method, path, status, message) in [
        ("GET", format!("{WIDGETS}/x/scale"), 404, "widgets.example.com \"x\" not found"),
        ("PUT", WIDGETS.to_owned(), 400, "name must be provided"),
        ("GET", "/apis/example.com/v2/widgets".to_owned(), 404, "404 page not found\n"),
        ("POST", "/apis/example.com/v1/widgets".to_owned(), 404, "404 page not found\n"),
        ("POST", format!("{WIDGETS}/ignored"), 201, ""),
    ] {
        let (answered, body) = admin(&cluster, method, &path, widget("w")).await;
        assert_eq!(answered.as_u16(), status, "{method} {path}: {body}");
        let said = body.as_str().or_else(|| body["message"].as_str()).unwrap_or_default();
        assert_eq!(said, message, "{method} {path}");
    }
}

#[tokio::test]
async fn bodies_that_are_not_objects_are_refused_and_change_nothing() {
    let cluster = cluster_with_widgets().await;
    let long = "x".repeat(2000);
    for body in ["", "{", "[]", "null", "{\"kind\":\"Widget\"", "\u{0}", long.as_str()] {
        let (parts, answer) =
            negotiated(&cluster, "POST", WIDGETS, ("application/json", "*/*"), body.to_owned()).await;
        assert_eq!(parts.status, StatusCode::BAD_REQUEST, "{body:?}: {answer:?}");
        let answer: Value = serde_json::from_slice(&answer).unwrap();
        assert_eq!(answer["reason"], "BadRequest");
    }
}
