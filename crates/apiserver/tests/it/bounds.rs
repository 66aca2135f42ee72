//! Too much, too long, too slow: what a server of strangers must survive, and what it says to them.

use std::time::Duration;

use crate::fixture::{Served, admin, json, serve, serve_within, widgets_crd};
use bytes::Bytes;
use certmesh_apiserver::{
    Cluster, Limits, http::MAX_BODY_BYTES, resource::GroupVersionResource, store::WriteOptions,
};
use http::{StatusCode, header};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

const CONFIG_MAPS: &str = "/api/v1/namespaces/default/configmaps";
const WIDGETS: &str = "/apis/example.com/v1/namespaces/default/widgets";
const PATIENCE: Duration = Duration::from_secs(10);

/// Deadlines that a test can wait for.
fn impatient() -> Limits {
    Limits {
        handshake_timeout: Duration::from_millis(200),
        header_timeout: Duration::from_millis(300),
        ..Limits::default()
    }
}

/// A connection that the server has closed, one way or another, yields nothing more.
async fn ends(what: &str, mut stream: impl AsyncRead + Unpin) {
    let mut rest = Vec::new();
    let ended = timeout(PATIENCE, stream.read_to_end(&mut rest)).await;
    assert!(ended.is_ok(), "{what}: the server still waits");
}

async fn half_said(served: &Served, protocol: &[u8], text: &[u8]) -> impl AsyncRead + AsyncWrite + Unpin {
    let mut stream = served.tls(protocol).await;
    stream.write_all(text).await.unwrap();
    stream
}

/// A connection over which TLS was set up but no version of HTTP spoken was waited on for ever.
#[tokio::test]
async fn connections_that_do_not_get_to_a_request_are_ended() {
    let served = serve_within(impatient()).await;
    ends("no handshake", TcpStream::connect(served.address).await.unwrap()).await;
    let mut stream = TcpStream::connect(served.address).await.unwrap();
    // The first bytes of a ClientHello that announces more.
    stream.write_all(&[0x16, 3, 1, 2, 0, 1, 0]).await.unwrap();
    ends("half a handshake", stream).await;
    for protocol in [b"http/1.1".as_slice(), b"h2"] {
        ends("silence", half_said(&served, protocol, b"").await).await;
    }
    ends("half a head", half_said(&served, b"http/1.1", b"GET /version HTTP/1.1\r\nHost: c\r\nX-").await)
        .await;
    ends("a line", half_said(&served, b"http/1.1", b"GE").await).await;
    ends("half a preface", half_said(&served, b"h2", b"PRI * HTTP/2.0\r\n").await).await;
    ends("a preface", half_said(&served, b"h2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await).await;
    let mut http2 = served.http2().await;
    let answer = http2.send_request(served.request("GET", "/version", "")).await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK, "others are served meanwhile");
}

#[tokio::test]
async fn what_is_not_tls_or_not_http_ends_its_connection_and_nothing_else() {
    let served = serve_within(impatient()).await;
    let mut stream = TcpStream::connect(served.address).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: c\r\n\r\n").await.unwrap();
    ends("no TLS", stream).await;
    ends("no HTTP", half_said(&served, b"http/1.1", &[0xff; 4096]).await).await;
    ends("no HTTP/2", half_said(&served, b"h2", &[0; 4096]).await).await;
    let (status, _) =
        json(served.http1().await.send_request(served.request("GET", "/version", "")).await.unwrap()).await;
    assert_eq!(status, StatusCode::OK);
}

/// More connections than the server takes wait; those that do nothing lose their place to them.
#[tokio::test]
async fn a_flood_of_idle_connections_does_not_keep_others_out() {
    let served = serve_within(Limits { max_connections: 8, ..impatient() }).await;
    let mut idle = Vec::new();
    for _ in 0..40 {
        idle.push(TcpStream::connect(served.address).await.unwrap());
    }
    let ask = async {
        json(served.http1().await.send_request(served.request("GET", "/version", "")).await.unwrap()).await
    };
    let (status, _) = timeout(PATIENCE, ask).await.expect("idle connections give way");
    assert_eq!(status, StatusCode::OK);
}

/// HTTP/2 requests with more than 16 KB of head were refused with 431, though kubectl sends long selectors.
#[tokio::test]
async fn long_selectors_and_many_headers_are_read_and_endless_ones_refused() {
    let served = serve("c").await;
    let (mut http1, mut http2) = (served.http1().await, served.http2().await);
    let selector = |values: usize| {
        let values: Vec<String> = (0..values).map(|value| format!("v{value}")).collect();
        format!("{CONFIG_MAPS}?labelSelector=a%20in%20({})", values.join(","))
    };
    let long = || served.request("GET", &selector(8000), "");
    assert_eq!(json(http1.send_request(long()).await.unwrap()).await.0, StatusCode::OK);
    assert_eq!(json(http2.send_request(long()).await.unwrap()).await.0, StatusCode::OK);

    let with_headers = |count: usize, value: &str| {
        let mut request = served.request("GET", CONFIG_MAPS, "");
        for index in 0..count {
            let name: header::HeaderName = format!("x-{index}").parse().unwrap();
            request.headers_mut().insert(name, value.parse().unwrap());
        }
        request
    };
    assert_eq!(json(http1.send_request(with_headers(400, "x")).await.unwrap()).await.0, StatusCode::OK);
    assert_eq!(json(http2.send_request(with_headers(400, "x")).await.unwrap()).await.0, StatusCode::OK);

    let endless = with_headers(250, &"x".repeat(20_000));
    let refused = http1.send_request(endless).await.unwrap();
    assert_eq!(refused.status(), StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
    // More than this client would send.
    let endless = format!("GET {} HTTP/1.1\r\nHost: c\r\n\r\n", selector(20_000));
    let mut stream = half_said(&served, b"http/1.1", endless.as_bytes()).await;
    let mut status = [0; 12];
    stream.read_exact(&mut status).await.unwrap();
    assert_eq!(&status, b"HTTP/1.1 414");
}

/// Clients that send all before they listen saw their connection closed instead of the 413 that was sent at once.
#[tokio::test]
async fn a_client_that_sends_all_before_it_listens_hears_that_it_was_too_much() {
    let served = serve("c").await;
    let body = vec![b' '; MAX_BODY_BYTES + 100_000];
    for method in ["POST", "PATCH", "DELETE"] {
        let head = format!(
            "{method} {CONFIG_MAPS}/x HTTP/1.1\r\nHost: c\r\nAuthorization: Bearer {}\r\nContent-Length: {}\r\n\r\n",
            served.admin_token,
            body.len()
        );
        let mut stream = half_said(&served, b"http/1.1", head.as_bytes()).await;
        stream.write_all(&body).await.unwrap();
        let mut status = [0; 12];
        stream.read_exact(&mut status).await.unwrap();
        assert_eq!(&status, b"HTTP/1.1 413", "{method}");
    }
    // Who asks first is told before the body.
    let head = format!(
        "POST {CONFIG_MAPS} HTTP/1.1\r\nHost: c\r\nAuthorization: Bearer {}\r\nContent-Length: {}\r\n\
         Expect: 100-continue\r\n\r\n",
        served.admin_token,
        body.len()
    );
    let mut stream = half_said(&served, b"http/1.1", head.as_bytes()).await;
    let mut status = [0; 12];
    timeout(PATIENCE, stream.read_exact(&mut status)).await.expect("it is told at once").unwrap();
    assert_eq!(&status, b"HTTP/1.1 413");
}

/// Limits that the real server has from etcd and from its client of it, in their words.
#[tokio::test]
async fn objects_that_etcd_would_not_hold_are_refused_as_by_etcd() {
    let cluster = Cluster::new("c").unwrap();
    admin(&cluster, "POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", widgets_crd()).await;
    let widget = |name: &str, bytes: usize| {
        json!({"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": name},
               "spec": {"tags": ["x".repeat(bytes)]}})
    };
    let refused = |message: &str| json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": message, "code": 500});
    let (status, _) = admin(&cluster, "POST", WIDGETS, widget("fits", 1_570_000)).await;
    assert_eq!(status, StatusCode::CREATED);
    let (status, answer) = admin(&cluster, "POST", WIDGETS, widget("large", 1_800_000)).await;
    assert_eq!((status.as_u16(), answer), (500, refused("etcdserver: request is too large")));
    let (status, answer) = admin(&cluster, "POST", WIDGETS, widget("larger", 2_500_000)).await;
    assert_eq!(status.as_u16(), 500);
    let message = answer["message"].as_str().unwrap();
    let said = "rpc error: code = ResourceExhausted desc = trying to send message larger than max (2500";
    assert!(message.starts_with(said) && message.ends_with(" vs. 2097152)"), "{message}");
    let patch = json!({"spec": {"tags": ["x", "y".repeat(1_600_000)]}});
    let (status, answer) = admin(&cluster, "PATCH", &format!("{WIDGETS}/fits"), patch).await;
    assert_eq!((status.as_u16(), answer), (500, refused("etcdserver: request is too large")));

    let data = json!({"metadata": {"name": "big"}, "data": {"a": "x".repeat((1 << 20) + 1)}});
    let (status, answer) = admin(&cluster, "POST", CONFIG_MAPS, data).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(
        answer["message"],
        "ConfigMap \"big\" is invalid: []: Too long: may not be more than 1048576 bytes"
    );
}

/// A timeout that no clock can hold ended the request's task in a panic, and with it the connection.
#[tokio::test]
async fn a_watch_may_ask_for_any_time() {
    let served = serve("c").await;
    let mut http2 = served.http2().await;
    for (seconds, ends) in
        [("9223372036854775807", false), ("99999999999", false), ("0", false), ("-5", true)]
    {
        let path = format!("{CONFIG_MAPS}?watch=true&resourceVersion=1&timeoutSeconds={seconds}");
        let answer = http2.send_request(served.request("GET", &path, "")).await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK, "{seconds}");
        let body = http_body_util::BodyExt::collect(answer.into_body());
        let ended = timeout(Duration::from_millis(if ends { 5000 } else { 50 }), body).await;
        assert_eq!(ended.is_ok(), ends, "{seconds}");
    }
    let path = format!("{CONFIG_MAPS}?limit=99999999999999999999");
    let (status, answer) = json(http2.send_request(served.request("GET", &path, "")).await.unwrap()).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert_eq!(answer["message"], "strconv.ParseInt: parsing \"99999999999999999999\": value out of range");
}

#[tokio::test]
async fn ten_thousand_objects_are_listed_whole_and_in_pages() {
    let served = serve("c").await;
    let store = served.cluster.store();
    let config_maps = GroupVersionResource::new("", "v1", "configmaps");
    for index in 0..10_000 {
        let object = json!({"metadata": {"name": format!("m{index:05}"), "labels": {"of": "many"}}});
        store.create(&config_maps, Some("default"), object.into(), &WriteOptions::default()).unwrap();
    }
    let mut http2 = served.http2().await;
    let mut names = Vec::new();
    let mut token = String::new();
    loop {
        let path = format!("{CONFIG_MAPS}?labelSelector=of%3Dmany&limit=3000&continue={token}");
        let (status, page) = json(http2.send_request(served.request("GET", &path, "")).await.unwrap()).await;
        assert_eq!(status, StatusCode::OK);
        names.extend(page["items"].as_array().unwrap().iter().map(|item| item["metadata"]["name"].clone()));
        token = page["metadata"]["continue"].as_str().unwrap_or_default().to_owned();
        if token.is_empty() {
            break;
        }
    }
    let expected: Vec<Value> = (0..10_000).map(|index| json!(format!("m{index:05}"))).collect();
    assert_eq!(names, expected);
    let path = format!("{CONFIG_MAPS}?labelSelector=of%3Dmany");
    let (_, whole) =
        json(http2.send_request(served.request("GET", &path, Bytes::new())).await.unwrap()).await;
    let whole: Vec<Value> =
        whole["items"].as_array().unwrap().iter().map(|item| item["metadata"]["name"].clone()).collect();
    assert_eq!(whole, expected);
}
