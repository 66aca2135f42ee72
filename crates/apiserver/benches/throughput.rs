//! How many requests a served cluster answers per second over TLS: creates, gets, lists and status patches, over one or
//! more kept-alive connections. `cargo bench -p certmesh-apiserver` prints a table; nothing is asserted.

#![allow(clippy::unwrap_used, reason = "a benchmark that does not work should stop")]

#[path = "../tests/fixture/mod.rs"]
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
    let rate = f64::from(u32::try_from(latencies.len()).unwrap()) / started.elapsed().as_secs_f64();
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
    // The server and its clients share these threads, as they share the machine.
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        println!("{:<34}{:>12}{:>12}{:>12}", "", "requests/s", "p50 µs", "p99 µs");
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
    let report = async |what: &str, request: &dyn Fn(usize) -> Request<Full<Bytes>>| {
        let lanes = connections(&served, http2, count).await;
        let (rate, latencies) = measure(lanes, request).await;
        let at = |percent: usize| latencies[(latencies.len() - 1) * percent / 100].as_micros();
        println!("{:<34}{rate:>12.0}{:>12}{:>12}", format!("{version} x{count} {what}"), at(50), at(99));
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
    report("patch widget status", &|index| {
        let mut request =
            served.request("PATCH", &format!("{WIDGETS}/w{index}/status"), r#"{"status":{"phase":"Done"}}"#);
        request.headers_mut().insert("content-type", "application/merge-patch+json".parse().unwrap());
        request
    })
    .await;
    served.server.shutdown().await;
}
