//! Clusters over TLS: both HTTP versions, credentials, bounds, and a shutdown that leaves nothing hanging.

use std::time::Duration;

use crate::fixture::{json, serve};
use bytes::Bytes;
use certmesh_apiserver::{Cluster, http::MAX_BODY_BYTES, rbac::UserInfo};
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt, Full};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::timeout,
};

#[tokio::test]
async fn both_http_versions_answer_on_the_same_port() {
    let served = serve("c").await;
    let version = || served.request("GET", "/version", "");
    let over_http1 = served.http1().await.send_request(version()).await.unwrap();
    assert_eq!(over_http1.version(), http::Version::HTTP_11);
    let over_http2 = served.http2().await.send_request(version()).await.unwrap();
    assert_eq!(over_http2.version(), http::Version::HTTP_2);
    let (_, one) = json(over_http1).await;
    let (_, two) = json(over_http2).await;
    assert_eq!(one["gitVersion"], "v1.37.2");
    assert_eq!(one, two);
}

#[tokio::test]
async fn resources_want_credentials_and_probes_do_not() {
    let served = serve("c").await;
    let mut http1 = served.http1().await;
    let unauthorized = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": "Unauthorized",
        "reason": "Unauthorized", "code": 401,
    });
    let paths = ["/api/v1/namespaces", "/api", "/openapi/v3"];
    let get = |path: &str, token: &str| {
        Request::get(path).header(header::AUTHORIZATION, token).body(Full::default()).unwrap()
    };
    for (token, path) in
        ["Bearer wrong", "Bearer a.b.c"].into_iter().flat_map(|token| paths.map(|path| (token, path)))
    {
        let answer = json(http1.send_request(get(path, token)).await.unwrap()).await;
        assert_eq!(answer, (StatusCode::UNAUTHORIZED, unauthorized.clone()), "{token:?} {path}");
    }
    // Without a token one is anonymous, who may do nothing.
    for (token, path) in
        ["", "Basic YWRtaW46YWRtaW4="].into_iter().flat_map(|token| paths.map(|path| (token, path)))
    {
        let (status, body) = json(http1.send_request(get(path, token)).await.unwrap()).await;
        assert_eq!(
            (status, &body["reason"]),
            (StatusCode::FORBIDDEN, &json!("Forbidden")),
            "{token:?} {path}"
        );
        assert!(body["message"].as_str().unwrap().contains("User \"system:anonymous\" cannot "), "{body}");
    }
    for (path, body) in [("/healthz", "ok"), ("/livez", "ok"), ("/readyz", "ok")] {
        let request = Request::get(path).body(Full::default()).unwrap();
        let answer = json(http1.send_request(request).await.unwrap()).await;
        assert_eq!(answer, (StatusCode::OK, json!(body)), "{path}");
    }
}

#[tokio::test]
async fn a_kubeconfig_is_all_that_a_client_needs() {
    let served = serve("c").await;
    let client = served.client(Cluster::admin()).await;
    assert_eq!(client.apiserver_version().await.unwrap().minor, "37");
    let stranger = UserInfo { username: "stranger".to_owned(), ..UserInfo::default() };
    let client = served.client(stranger).await;
    assert_eq!(client.list_core_api_versions().await.unwrap().versions, ["v1"], "discovery is for everybody");
    let namespaces: kube::Api<k8s_openapi::api::core::v1::Namespace> = kube::Api::all(client);
    let error = namespaces.get("default").await.unwrap_err();
    assert!(error.to_string().contains("User \"stranger\" cannot get resource \"namespaces\""), "{error}");
}

#[tokio::test]
async fn two_clusters_do_not_know_each_others_tokens() {
    let (one, two) = (serve("one").await, serve("two").await);
    let mut request = one.request("GET", "/api", "");
    let token = format!("Bearer {}", two.admin_token);
    request.headers_mut().insert(header::AUTHORIZATION, token.parse().unwrap());
    assert_eq!(one.http1().await.send_request(request).await.unwrap().status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_body_beyond_the_limit_is_refused_whether_announced_or_not() {
    let served = serve("c").await;
    let body = Bytes::from(vec![b' '; MAX_BODY_BYTES + 1]);
    let path = "/api/v1/namespaces/default/configmaps";
    let expected = "Request entity too large: limit is 3145728";
    let (status, announced) =
        json(served.http1().await.send_request(served.request("POST", path, body.clone())).await.unwrap())
            .await;
    assert_eq!((status, announced["message"].as_str()), (StatusCode::PAYLOAD_TOO_LARGE, Some(expected)));
    assert_eq!(announced["reason"], "RequestEntityTooLarge");

    // In chunks, without a length.
    let mut stream = served.tls(b"http/1.1").await;
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: c\r\nAuthorization: Bearer {}\r\nTransfer-Encoding: chunked\r\n\r\n",
        served.admin_token
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let chunk = [b"100000\r\n".as_slice(), &body[..0x10_0000], b"\r\n"].concat();
    for _ in 0..4 {
        // The server may answer, and stop reading, before all is sent.
        if stream.write_all(&chunk).await.is_err() {
            break;
        }
    }
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 413");
}

#[tokio::test]
async fn methods_and_paths_that_mean_nothing_are_told_so() {
    let served = serve("c").await;
    let mut http2 = served.http2().await;
    for (method, path, status) in [
        ("OPTIONS", "/api/v1/namespaces", StatusCode::METHOD_NOT_ALLOWED),
        ("POST", "/version", StatusCode::METHOD_NOT_ALLOWED),
        ("POST", "/apis", StatusCode::METHOD_NOT_ALLOWED),
        ("GET", "/api/v1/sausages", StatusCode::NOT_FOUND),
        ("GET", "/api/v1/namespaces/default/namespaces", StatusCode::NOT_FOUND),
        ("GET", "/api/v1/namespaces/default/configmaps/x/scale", StatusCode::NOT_FOUND),
        ("GET", "/api//v1/namespaces", StatusCode::NOT_FOUND),
        ("GET", "/api/v1/namespaces/%2e%2e", StatusCode::BAD_REQUEST),
        ("POST", "/api/v1/configmaps", StatusCode::METHOD_NOT_ALLOWED),
        ("DELETE", "/api/v1/configmaps", StatusCode::METHOD_NOT_ALLOWED),
        ("PUT", "/api/v1/namespaces/default/configmaps", StatusCode::METHOD_NOT_ALLOWED),
        ("GET", "/apis/authentication.k8s.io/v1/tokenreviews", StatusCode::METHOD_NOT_ALLOWED),
        ("GET", "/apis/authentication.k8s.io/v1/tokenreviews/x", StatusCode::NOT_FOUND),
        ("GET", "/apis/no.such/v1/things", StatusCode::NOT_FOUND),
        ("GET", "/apis/no.such", StatusCode::NOT_FOUND),
        ("GET", "/nowhere", StatusCode::NOT_FOUND),
        ("GET", "/api/v1/namespaces/%ff", StatusCode::BAD_REQUEST),
    ] {
        let answer = http2.send_request(served.request(method, path, "")).await.unwrap();
        assert_eq!(answer.status(), status, "{method} {path}");
    }
}

#[tokio::test]
async fn shutdown_closes_idle_connections_and_takes_the_port_back() {
    let served = serve("c").await;
    let address = served.address;
    let (mut http1, mut http2) = (served.http1().await, served.http2().await);
    let request = || Request::get("https://c/version").body(Full::default()).unwrap();
    http1.send_request(request()).await.unwrap().into_body().collect().await.unwrap();
    http2.send_request(request()).await.unwrap().into_body().collect().await.unwrap();
    timeout(Duration::from_secs(5), served.server.shutdown()).await.unwrap();
    assert!(http1.send_request(request()).await.is_err());
    assert!(http2.send_request(request()).await.is_err());
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn a_client_that_never_finishes_its_handshake_does_not_hold_up_shutdown() {
    let served = serve("c").await;
    let half_open = tokio::net::TcpStream::connect(served.address).await.unwrap();
    timeout(Duration::from_secs(5), served.server.shutdown()).await.unwrap();
    drop(half_open);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_arrive_is_not_waited_for() {
    let cluster = Cluster::new("c").unwrap();
    let never = futures::stream::pending::<Result<hyper::body::Frame<Bytes>, std::io::Error>>();
    let never = http_body_util::StreamBody::new(never);
    let request = Request::post("/api/v1/namespaces/default/configmaps").body(never).unwrap();
    let answer = tower::ServiceExt::oneshot(cluster.service(Cluster::admin()), request).await.unwrap();
    assert_eq!(answer.status(), StatusCode::REQUEST_TIMEOUT);
}
