//! What a client learns about the server before it asks for anything.

use crate::fixture::{admin, ask, widgets_crd};
use certmesh_apiserver::Cluster;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};

const AGGREGATED: &str =
    "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json";

async fn cluster() -> Cluster {
    let cluster = Cluster::new("c").unwrap();
    let path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    assert_eq!(admin(&cluster, "POST", path, widgets_crd()).await.0, StatusCode::CREATED);
    cluster
}

async fn get(
    cluster: &Cluster,
    path: &str,
    name: header::HeaderName,
    value: &str,
) -> (http::response::Parts, Value) {
    let request = Request::get(path).header(name, value).body(Full::default()).unwrap();
    let (parts, body) = ask(cluster, Cluster::admin(), request).await.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    (parts, serde_json::from_slice(&body).unwrap_or_default())
}

#[tokio::test]
async fn kube_finds_built_in_and_custom_resources_both_ways() {
    let cluster = cluster().await;
    for aggregated in [false, true] {
        let discovery = kube::Discovery::new(cluster.client(Cluster::admin()));
        let discovery =
            if aggregated { discovery.run_aggregated().await } else { discovery.run().await }.unwrap();
        let group = discovery.get("example.com").expect("the custom group is found");
        let (resource, capabilities) = group.recommended_kind("Widget").unwrap();
        assert_eq!((resource.plural.as_str(), resource.api_version.as_str()), ("widgets", "example.com/v1"));
        assert_eq!(capabilities.scope, kube::discovery::Scope::Namespaced);
        assert!(
            capabilities.subresources.iter().any(|(resource, _)| resource.plural == "status"),
            "{capabilities:?}"
        );
        let core = discovery.get("").expect("the core group is found");
        assert!(core.recommended_kind("Secret").is_some());
        let (_, namespaces) = core.recommended_kind("Namespace").unwrap();
        assert_eq!(namespaces.scope, kube::discovery::Scope::Cluster);
    }
}

#[tokio::test]
async fn the_old_lists_say_what_kubectl_prints() {
    let cluster = cluster().await;
    let (_, list) = admin(&cluster, "GET", "/apis/example.com/v1", Value::Null).await;
    let widgets = &list["resources"][0];
    assert_eq!(
        (&widgets["name"], &widgets["singularName"], &widgets["shortNames"], &widgets["categories"]),
        (&json!("widgets"), &json!("widget"), &json!(["wd"]), &json!(["toys"]))
    );
    assert_eq!(
        widgets["verbs"],
        json!(["delete", "deletecollection", "get", "list", "patch", "create", "update", "watch"])
    );
    assert_eq!(list["resources"][1]["name"], "widgets/status");
    let (_, group) = admin(&cluster, "GET", "/apis/example.com", Value::Null).await;
    assert_eq!(
        (&group["kind"], &group["preferredVersion"]["groupVersion"]),
        (&json!("APIGroup"), &json!("example.com/v1"))
    );
    let (_, reviews) = admin(&cluster, "GET", "/apis/authorization.k8s.io/v1", Value::Null).await;
    let names: Vec<_> = reviews["resources"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["name"].as_str().unwrap())
        .collect();
    assert!(names.contains(&"selfsubjectaccessreviews"), "{names:?}");
}

#[tokio::test]
async fn the_aggregated_document_is_fetched_once() {
    let cluster = cluster().await;
    let (parts, body) = get(&cluster, "/apis", header::ACCEPT, AGGREGATED).await;
    assert_eq!(body["kind"], "APIGroupDiscoveryList");
    assert!(parts.headers[header::CONTENT_TYPE].to_str().unwrap().contains("as=APIGroupDiscoveryList"));
    let etag = parts.headers[header::ETAG].clone();
    let request = |etag: &http::HeaderValue| {
        Request::get("/apis")
            .header(header::ACCEPT, AGGREGATED)
            .header(header::IF_NONE_MATCH, etag)
            .body(Full::default())
            .unwrap()
    };
    assert_eq!(ask(&cluster, Cluster::admin(), request(&etag)).await.status(), StatusCode::NOT_MODIFIED);
    let crd = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/widgets.example.com";
    admin(&cluster, "DELETE", crd, Value::Null).await;
    assert_eq!(ask(&cluster, Cluster::admin(), request(&etag)).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn openapi_describes_custom_resources_and_their_operations() {
    let cluster = cluster().await;
    let (_, index) = admin(&cluster, "GET", "/openapi/v3", Value::Null).await;
    let url = index["paths"]["apis/example.com/v1"]["serverRelativeURL"].as_str().unwrap().to_owned();
    let (parts, document) = get(&cluster, &url, header::ACCEPT, "application/json").await;
    assert!(parts.headers[header::CACHE_CONTROL].to_str().unwrap().contains("immutable"));
    let schema = &document["components"]["schemas"]["com.example.v1.Widget"];
    assert_eq!(
        schema["x-kubernetes-group-version-kind"],
        json!([{"group": "example.com", "version": "v1", "kind": "Widget"}])
    );
    assert_eq!(schema["properties"]["spec"]["properties"]["size"]["description"], "Size in inches.");
    let patch = &document["paths"]["/apis/example.com/v1/namespaces/{namespace}/widgets/{name}"]["patch"];
    assert_eq!(patch["x-kubernetes-group-version-kind"]["kind"], "Widget");
    let parameters = patch["parameters"].as_array().unwrap();
    assert!(parameters.iter().any(|parameter| parameter["name"] == "fieldValidation"));

    let (parts, _) = get(&cluster, "/openapi/v3/apis/example.com/v1?hash=0", header::ACCEPT, "*/*").await;
    assert_eq!(
        (parts.status, &parts.headers[header::LOCATION]),
        (StatusCode::MOVED_PERMANENTLY, &url.parse().unwrap())
    );
}

#[tokio::test]
async fn no_reference_in_any_document_leads_nowhere() {
    let cluster = cluster().await;
    let (_, index) = admin(&cluster, "GET", "/openapi/v3", Value::Null).await;
    for (path, _) in index["paths"].as_object().unwrap() {
        let (status, document) = admin(&cluster, "GET", &format!("/openapi/v3/{path}"), Value::Null).await;
        assert_eq!(status, StatusCode::OK, "{path}");
        let schemas = document["components"]["schemas"].as_object().unwrap();
        let mut references = Vec::new();
        collect_references(&document, &mut references);
        assert!(!references.is_empty(), "{path}");
        for reference in references {
            let name = reference
                .strip_prefix("#/components/schemas/")
                .unwrap_or_else(|| panic!("{path}: {reference}"));
            assert!(schemas.contains_key(name), "{path}: {reference}");
        }
    }
}

fn collect_references(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(object) => {
            found.extend(object.get("$ref").and_then(Value::as_str).map(str::to_owned));
            object.values().for_each(|value| collect_references(value, found));
        }
        Value::Array(items) => items.iter().for_each(|value| collect_references(value, found)),
        _ => {}
    }
}

#[tokio::test]
async fn the_token_issuer_publishes_its_key() {
    let cluster = cluster().await;
    let (_, keys) = admin(&cluster, "GET", "/openid/v1/jwks", Value::Null).await;
    assert_eq!((&keys["keys"][0]["kty"], &keys["keys"][0]["alg"]), (&json!("EC"), &json!("ES256")));
    let (_, configuration) = admin(&cluster, "GET", "/.well-known/openid-configuration", Value::Null).await;
    assert_eq!(configuration["issuer"], "https://kubernetes.default.svc.cluster.local");
}
