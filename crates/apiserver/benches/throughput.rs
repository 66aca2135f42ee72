//! How many requests a served cluster answers per second over TLS: creates, gets, status patches, long lists and watch fan-out,
//! over one or more kept-alive connections. `cargo bench -p certmesh-apiserver` prints table rows; nothing is asserted.

#![allow(clippy::unwrap_used, reason = "a benchmark that does not work should stop")]

#[allow(dead_code, reason = "tests use more of it")]
#[path = "../tests/it/fixture.rs"]
mod fixture;

use std::time::{Duration, Instant};

use bytes::Bytes;
use fixture::{Served, admin, serve, widgets_crd};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use serde_json::{Value, json};

const REQUESTS: usize = 4000;
const WIDGETS: &str = "/apis/example.com/v1/namespaces/default/widgets";
const SECRETS: &str = "/api/v1/namespaces/default/secrets";

/// One connection, of either HTTP version.
enum Connection {
    One(hyper::client::conn::http1::SendRequest<Full<Bytes>>),
    Two(hyper::client::conn::http2::SendRequest<Full<Bytes>>),
}

impl Connection {
    async fn send(&mut self, request: Request<Full<Bytes>>) -> Response<Incoming> {
        match self {
            Self::One(http1) => {
                http1.ready().await.unwrap();
                http1.send_request(request).await.unwrap()
            }
            Self::Two(http2) => http2.send_request(request).await.unwrap(),
        }
    }
}

/// Sends the requests over `connections`, each waiting for its answer before the next; the rate and sorted latencies.
async fn measure(
    connections: Vec<Connection>,
    request: impl Fn(usize) -> Request<Full<Bytes>>,
) -> (f64, Vec<Duration>) {
    let per_connection = REQUESTS / connections.len();
    let started = Instant::now();
    let running = connections.into_iter().enumerate().map(|(lane, mut connection)| {
        let requests: Vec<_> =
            (0..per_connection).map(|index| request(lane * per_connection + index)).collect();
        tokio::spawn(async move {
            let mut latencies = Vec::with_capacity(requests.len());
            for request in requests {
                let sent = Instant::now();
                let response = connection.send(request).await;
                let status = response.status();
                let body = response.into_body().collect().await.unwrap().to_bytes();
                assert!(matches!(status, StatusCode::OK | StatusCode::CREATED), "{status}: {body:?}");
                latencies.push(sent.elapsed());
            }
            latencies
        })
    });
    let mut latencies: Vec<Duration> =
        futures::future::join_all(running).await.into_iter().flat_map(Result::unwrap).collect();
    let rate = per_second(latencies.len(), started.elapsed());
    latencies.sort_unstable();
    (rate, latencies)
}

fn widget(name: &str) -> Value {
    json!({"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": name, "labels": {"a": "b"}}, "spec": {"size": 3}})
}

fn secret(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "data": {"tls.crt": "A".repeat(2000)}})
}

async fn connections(served: &Served, http2: bool, count: usize) -> Vec<Connection> {
    let mut connections = Vec::new();
    for _ in 0..count {
        connections.push(if http2 {
            Connection::Two(served.http2().await)
        } else {
            Connection::One(served.http1().await)
        });
    }
    connections
}

fn main() {
    // `cargo test --all-targets` starts benchmarks too, without this argument.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    // The server and its clients share these threads, as they share the machine.
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        for (version, http2) in [("HTTP/1.1", false), ("HTTP/2", true)] {
            for count in [1, 8] {
                run(version, http2, count).await;
            }
        }
    });
}

async fn run(version: &str, http2: bool, count: usize) {
    let served = serve("bench").await;
    let crds = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    admin(&served.cluster, "POST", crds, widgets_crd()).await;
    let agent = agent_token(&served).await;
    let report = async |what: &str, request: &dyn Fn(usize) -> Request<Full<Bytes>>| {
        let lanes = connections(&served, http2, count).await;
        let (rate, latencies) = measure(lanes, request).await;
        print_row(&format!("{version} x{count} {what}"), rate, &latencies);
    };
    report("version", &|_| served.request("GET", "/version", "")).await;
    report("create widget", &|index| {
        served.request("POST", WIDGETS, widget(&format!("w{index}")).to_string())
    })
    .await;
    report("create secret 2 KB", &|index| {
        served.request("POST", SECRETS, secret(&format!("s{index}")).to_string())
    })
    .await;
    report("get widget", &|index| served.request("GET", &format!("{WIDGETS}/w{index}"), "")).await;
    report("get secret 2 KB", &|index| served.request("GET", &format!("{SECRETS}/s{index}"), "")).await;
    report("get widget as ServiceAccount", &|index| {
        let mut request = served.request("GET", &format!("{WIDGETS}/w{index}"), "");
        request.headers_mut().insert("authorization", agent.parse().unwrap());
        request
    })
    .await;
    report("patch widget status", &|index| {
        let patch = r#"{"status":{"phase":"Done"}}"#;
        let mut request = served.request("PATCH", &format!("{WIDGETS}/w{index}/status"), patch);
        request.headers_mut().insert("content-type", "application/merge-patch+json".parse().unwrap());
        request
    })
    .await;
    if count == 1 {
        list(&served, version, http2).await;
        fan_out(&served, version, http2).await;
    }
    served.server.shutdown().await;
}

/// A row of the table that `cargo xtask bench` gathers: what, measured, goal.
fn print_row(what: &str, rate: f64, latencies: &[Duration]) {
    let at = |percent: usize| latencies[(latencies.len() - 1) * percent / 100].as_micros();
    let goal =
        if what.contains("create") || what.contains("patch") { "5x a real server's 1,220/s" } else { "" };
    println!("| API server: {what} | {rate:.0}/s, p50 {} µs, p99 {} µs | {goal} |", at(50), at(99));
}

fn per_second(count: usize, elapsed: Duration) -> f64 {
    f64::from(u32::try_from(count).unwrap()) / elapsed.as_secs_f64()
}

/// A ServiceAccount that may read widgets: its requests cost a token check and an RBAC evaluation.
async fn agent_token(served: &Served) -> String {
    let rbac = "/apis/rbac.authorization.k8s.io/v1/namespaces/default";
    let accounts = "/api/v1/namespaces/default/serviceaccounts";
    let rules = json!([{"apiGroups": ["example.com"], "resources": ["widgets"], "verbs": ["get"]}]);
    let subjects = json!([{"kind": "ServiceAccount", "name": "agent", "namespace": "default"}]);
    let role_ref = json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "reader"});
    for (path, object) in [
        (accounts.to_owned(), json!({"metadata": {"name": "agent"}})),
        (format!("{rbac}/roles"), json!({"metadata": {"name": "reader"}, "rules": rules})),
        (
            format!("{rbac}/rolebindings"),
            json!({"metadata": {"name": "reader"}, "roleRef": role_ref, "subjects": subjects}),
        ),
    ] {
        let (status, answer) = admin(&served.cluster, "POST", &path, object).await;
        assert_eq!(status, StatusCode::CREATED, "{answer}");
    }
    let (_, answer) =
        admin(&served.cluster, "POST", &format!("{accounts}/agent/token"), json!({"spec": {}})).await;
    format!("Bearer {}", answer["status"]["token"].as_str().unwrap())
}

/// Lists of 10,000 small objects.
async fn list(served: &Served, version: &str, http2: bool) {
    for index in REQUESTS..10_000 {
        admin(&served.cluster, "POST", WIDGETS, widget(&format!("w{index}"))).await;
    }
    let mut connection = connections(served, http2, 1).await.remove(0);
    let mut latencies = Vec::new();
    let started = Instant::now();
    for _ in 0..20 {
        let sent = Instant::now();
        let response = connection.send(served.request("GET", WIDGETS, "")).await;
        response.into_body().collect().await.unwrap();
        latencies.push(sent.elapsed());
    }
    let rate = per_second(latencies.len(), started.elapsed());
    latencies.sort_unstable();
    print_row(&format!("{version} list of 10,000 widgets"), rate, &latencies);
}

/// One writer, a hundred watchers: events delivered per second, and the time from a write to its last delivery.
async fn fan_out(served: &Served, version: &str, http2: bool) {
    const WATCHERS: usize = 100;
    const WRITES: usize = 200;
    let path = "/api/v1/namespaces/default/configmaps";
    let (seen, mut all_seen) = tokio::sync::mpsc::channel(WATCHERS);
    for mut connection in connections(served, http2, WATCHERS).await {
        let request = served.request("GET", &format!("{path}?watch=true&labelSelector=fan%3Dout"), "");
        let mut body = connection.send(request).await.into_body();
        let seen = seen.clone();
        tokio::spawn(async move {
            while let Some(Ok(frame)) = body.frame().await {
                let events = frame.into_data().unwrap().split(|byte| *byte == b'\n').count() - 1;
                if seen.send(events).await.is_err() {
                    break;
                }
            }
            drop(connection);
        });
    }
    let mut latencies = Vec::new();
    let started = Instant::now();
    for index in 0..WRITES {
        let object = json!({"metadata": {"name": format!("f{index}"), "labels": {"fan": "out"}}});
        let written = Instant::now();
        admin(&served.cluster, "POST", path, object).await;
        let mut delivered = 0;
        while delivered < WATCHERS {
            delivered += all_seen.recv().await.unwrap();
        }
        latencies.push(written.elapsed());
    }
    let rate = per_second(WRITES * WATCHERS, started.elapsed());
    latencies.sort_unstable();
    print_row(&format!("{version} watch events to {WATCHERS} watchers"), rate, &latencies);
}
