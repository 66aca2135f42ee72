//! Who may do what, and who is who: RBAC on every request, ServiceAccount tokens, and the review APIs.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use crate::fixture::{admin, ask};
use bytes::Bytes;
use certmesh_apiserver::{
    BearerToken, Cluster, Server,
    rbac::UserInfo,
    store::{Store, StoreConfig, seeded_random},
};
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt, Full};
use jiff::Timestamp;
use serde_json::{Value, json};

const TOKEN: &str = "/api/v1/namespaces/default/serviceaccounts/agent/token";
const SECRETS: &str = "/api/v1/namespaces/default/secrets";

async fn with_agent(cluster: &Cluster) {
    let objects = [
        (
            "/api/v1/namespaces/default/serviceaccounts",
            json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "agent"}}),
        ),
        (SECRETS, json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "x"}})),
        (SECRETS, json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "y"}})),
        (
            "/apis/rbac.authorization.k8s.io/v1/namespaces/default/roles",
            json!({
                "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "one-secret"},
                "rules": [{"apiGroups": [""], "resources": ["secrets"], "resourceNames": ["x"], "verbs": ["get", "list", "watch"]}],
            }),
        ),
        (
            "/apis/rbac.authorization.k8s.io/v1/namespaces/default/rolebindings",
            json!({
                "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": "one-secret"},
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "one-secret"},
                "subjects": [{"kind": "ServiceAccount", "name": "agent", "namespace": "default"}],
            }),
        ),
    ];
    for (path, object) in objects {
        let (status, answer) = admin(cluster, "POST", path, object).await;
        assert_eq!(status, StatusCode::CREATED, "{answer}");
    }
}

async fn as_user(
    cluster: &Cluster,
    user: UserInfo,
    method: &str,
    path: &str,
    body: Value,
) -> (StatusCode, Value) {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let request = Request::builder().method(method).uri(path).body(Full::new(Bytes::from(body))).unwrap();
    let response = ask(cluster, user, request).await;
    let status = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&body).unwrap())
}

fn agent() -> UserInfo {
    Cluster::service_account("default", "agent")
}

#[tokio::test]
async fn refusals_are_the_real_servers_to_the_byte() {
    let cluster = Cluster::new("c").unwrap();
    with_agent(&cluster).await;
    let (status, body) = as_user(&cluster, agent(), "GET", &format!("{SECRETS}/y"), Value::Null).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    assert_eq!(
        body,
        json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": "secrets \"y\" is forbidden: User \"system:serviceaccount:default:agent\" cannot get resource \
                        \"secrets\" in API group \"\" in the namespace \"default\"",
            "reason": "Forbidden", "details": {"name": "y", "kind": "secrets"}, "code": 403,
        })
    );
    let (_, body) = as_user(&cluster, agent(), "GET", "/api/v1/nodes?watch=true", Value::Null).await;
    assert_eq!(
        body["message"],
        "nodes is forbidden: User \"system:serviceaccount:default:agent\" cannot watch resource \"nodes\" in API group \
         \"\" at the cluster scope"
    );
}

#[tokio::test]
async fn a_named_rule_covers_lists_and_watches_of_that_name_only() {
    let cluster = Cluster::new("c").unwrap();
    with_agent(&cluster).await;
    for (path, expected) in [
        (format!("{SECRETS}/x"), StatusCode::OK),
        (format!("{SECRETS}?fieldSelector=metadata.name%3Dx"), StatusCode::OK),
        (SECRETS.to_owned(), StatusCode::FORBIDDEN),
        (format!("{SECRETS}?fieldSelector=metadata.name%3Dy"), StatusCode::FORBIDDEN),
        (format!("{SECRETS}?watch=1&fieldSelector=metadata.name%3Dy"), StatusCode::FORBIDDEN),
        ("/api/v1/namespaces/kube-system/secrets/x".to_owned(), StatusCode::FORBIDDEN),
    ] {
        assert_eq!(as_user(&cluster, agent(), "GET", &path, Value::Null).await.0, expected, "{path}");
    }
    let watch = Request::get(format!("{SECRETS}?watch=1&fieldSelector=metadata.name%3Dx"))
        .body(Full::default())
        .unwrap();
    assert_eq!(ask(&cluster, agent(), watch).await.status(), StatusCode::OK);
}

/// A cluster whose clock the test turns.
fn on_a_clock() -> (Cluster, Arc<AtomicI64>) {
    let second = Arc::new(AtomicI64::new(1_800_000_000));
    let read = Arc::clone(&second);
    let clock = Arc::new(move || Timestamp::from_second(read.load(Ordering::SeqCst)).unwrap());
    let store = Store::new(StoreConfig::new(clock, seeded_random(1)));
    (Cluster::with_store("c", store).unwrap(), second)
}

async fn token_for(cluster: &Cluster, spec: Value) -> String {
    let body = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec});
    let (status, answer) = admin(cluster, "POST", TOKEN, body).await;
    assert_eq!(status, StatusCode::CREATED, "{answer}");
    answer["status"]["token"].as_str().unwrap().to_owned()
}

async fn review(cluster: &Cluster, token: &str) -> Value {
    let body =
        json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token}});
    let (status, answer) = admin(cluster, "POST", "/apis/authentication.k8s.io/v1/tokenreviews", body).await;
    assert_eq!(status, StatusCode::CREATED, "{answer}");
    answer["status"].clone()
}

#[tokio::test]
async fn a_token_lives_until_it_expires_on_the_clusters_clock() {
    let (cluster, second) = on_a_clock();
    with_agent(&cluster).await;
    let token = token_for(&cluster, json!({"expirationSeconds": 600})).await;
    let status = review(&cluster, &token).await;
    assert_eq!(status["authenticated"], true, "{status}");
    assert_eq!(status["user"]["username"], "system:serviceaccount:default:agent");
    assert_eq!(
        status["user"]["groups"],
        json!(["system:serviceaccounts", "system:serviceaccounts:default", "system:authenticated"])
    );
    assert_eq!(review(&cluster, "a.b.c").await, json!({"error": "invalid bearer token", "user": {}}));
    second.fetch_add(599, Ordering::SeqCst);
    assert_eq!(review(&cluster, &token).await["authenticated"], true);
    second.fetch_add(1, Ordering::SeqCst);
    let expired = review(&cluster, &token).await;
    assert_eq!(expired["authenticated"], Value::Null);
    assert_eq!(expired["error"], "[invalid bearer token, service account token has expired]");
}

#[tokio::test]
async fn a_token_dies_with_its_service_account_even_if_another_takes_the_name() {
    let (cluster, _) = on_a_clock();
    with_agent(&cluster).await;
    let token = token_for(&cluster, json!({})).await;
    assert_eq!(review(&cluster, &token).await["authenticated"], true);
    let path = "/api/v1/namespaces/default/serviceaccounts";
    admin(&cluster, "DELETE", &format!("{path}/agent"), Value::Null).await;
    assert_eq!(review(&cluster, &token).await["authenticated"], Value::Null);
    let again = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "agent"}});
    admin(&cluster, "POST", path, again).await;
    let status = review(&cluster, &token).await;
    assert_eq!(status["authenticated"], Value::Null);
    assert!(status["error"].as_str().unwrap().contains("does not match claim"), "{status}");
}

#[tokio::test]
async fn a_token_for_another_audience_is_no_credential_here() {
    let cluster = Cluster::new("c").unwrap();
    let server = Server::default();
    server.serve(&cluster).await.unwrap();
    with_agent(&cluster).await;
    let get = async |token: String| {
        let kubeconfig = cluster.kubeconfig_with_token("agent", BearerToken::new(token)).unwrap();
        let read = kube::config::Kubeconfig::from_yaml(&kubeconfig.to_yaml()).unwrap();
        let config = kube::Config::from_custom_kubeconfig(read, &kube::config::KubeConfigOptions::default())
            .await
            .unwrap();
        let client = kube::Client::try_from(config).unwrap();
        kube::Api::<k8s_openapi::api::core::v1::Secret>::namespaced(client, "default").get("x").await
    };
    assert!(get(token_for(&cluster, json!({})).await).await.is_ok());
    let error = get(token_for(&cluster, json!({"audiences": ["vault"]})).await).await.unwrap_err();
    assert!(matches!(&error, kube::Error::Api(status) if status.code == 401), "{error}");
    server.shutdown().await;
}

#[tokio::test]
async fn access_reviews_say_what_a_request_would_meet() {
    let cluster = Cluster::new("c").unwrap();
    with_agent(&cluster).await;
    let asks =
        |name: &str| json!({"namespace": "default", "verb": "get", "resource": "secrets", "name": name});
    let own = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
    for (name, allowed) in [("x", true), ("y", false)] {
        let body = json!({"spec": {"resourceAttributes": asks(name)}});
        let (status, answer) = as_user(&cluster, agent(), "POST", own, body).await;
        assert_eq!(
            (status, &answer["status"]["allowed"]),
            (StatusCode::CREATED, &json!(allowed)),
            "{answer}"
        );
    }
    let others = "/apis/authorization.k8s.io/v1/subjectaccessreviews";
    let spec = json!({"user": "system:serviceaccount:default:agent", "resourceAttributes": asks("x")});
    let (_, answer) = admin(&cluster, "POST", others, json!({"spec": spec})).await;
    assert_eq!(answer["status"]["allowed"], true, "{answer}");
    let (status, _) = as_user(&cluster, agent(), "POST", others, json!({"spec": spec})).await;
    assert_eq!(status, StatusCode::FORBIDDEN, "asking about others is a right of its own");
    let (status, answer) = admin(&cluster, "POST", others, json!({"spec": {"user": "a"}})).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{answer}");
}

#[tokio::test]
async fn a_caller_may_ask_who_it_is_and_what_it_may_do() {
    let cluster = Cluster::new("c").unwrap();
    with_agent(&cluster).await;
    let who = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
    let (status, answer) = as_user(&cluster, agent(), "POST", who, json!({})).await;
    assert_eq!(status, StatusCode::CREATED, "{answer}");
    assert_eq!(answer["status"]["userInfo"]["username"], "system:serviceaccount:default:agent");
    let what = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews";
    let (status, answer) =
        as_user(&cluster, agent(), "POST", what, json!({"spec": {"namespace": "default"}})).await;
    assert_eq!(status, StatusCode::CREATED, "{answer}");
    let rules = answer["status"]["resourceRules"].as_array().unwrap();
    let named = json!({"apiGroups": [""], "resources": ["secrets"], "resourceNames": ["x"], "verbs": ["get", "list", "watch"]});
    assert!(
        rules.iter().any(|rule| named.as_object().unwrap().iter().all(|(key, value)| &rule[key] == value)),
        "{answer}"
    );
}

#[tokio::test]
async fn impersonation_needs_the_right_to_it() {
    let cluster = Cluster::new("c").unwrap();
    with_agent(&cluster).await;
    let request = |user: &str| {
        Request::get(format!("{SECRETS}/x"))
            .header("Impersonate-User", user)
            .header(header::ACCEPT, "application/json")
            .body(Full::default())
            .unwrap()
    };
    let as_agent = ask(&cluster, Cluster::admin(), request("system:serviceaccount:default:agent")).await;
    assert_eq!(as_agent.status(), StatusCode::OK);
    let as_nobody = ask(&cluster, Cluster::admin(), request("nobody")).await;
    assert_eq!(as_nobody.status(), StatusCode::FORBIDDEN);
    let refused = ask(&cluster, agent(), request("kubernetes-admin")).await;
    let body = refused.into_body().collect().await.unwrap().to_bytes();
    let body: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(
        body["message"],
        "users.authentication.k8s.io \"kubernetes-admin\" is forbidden: User \"system:serviceaccount:default:agent\" cannot \
         impersonate:user-info resource \"users\" in API group \"authentication.k8s.io\" at the cluster scope"
    );
}
