//! What clients that ask and do not read cost, in a server process of its own: it holds what they asked for once, not once for
//! each of them.

use std::{
    fs,
    io::{BufRead as _, BufReader, Lines, Read as _},
    process::{Child, ChildStdout, Command, Stdio},
    time::Duration,
};

use crate::fixture::{Endpoint, serve};
use bytes::Bytes;
use certmesh_apiserver::{resource::GroupVersionResource, store::WriteOptions};
use http::StatusCode;
use http_body_util::{BodyExt as _, Full};
use hyper::{body::Incoming, client::conn::http2::SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use tokio::time::timeout;

/// Set in the process that serves.
const SERVE: &str = "CERTMESH_TEST_SERVES";
const CONFIG_MAPS: &str = "/api/v1/namespaces/default/configmaps";
const PATIENCE: Duration = Duration::from_secs(60);
const MIB: u64 = 1 << 20;

/// A process that serves a cluster with 10 MiB of ConfigMaps, and ends with its standard input.
struct Server {
    process: Child,
    /// Kept open: what it says last needs somewhere to go.
    _output: Lines<BufReader<ChildStdout>>,
    endpoint: Endpoint,
}

impl Server {
    /// This test program again, as `test`, which is to call [`serve_until_told`] in there.
    fn start(test: &str) -> Self {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", test, "--nocapture"])
            .env(SERVE, "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(process.stdout.take().unwrap()).lines();
        // The test harness has something to say first.
        let line = output.by_ref().map(Result::unwrap).find(|line| line.starts_with('{')).unwrap();
        let said: Value = serde_json::from_str(&line).unwrap();
        let part = |name: &str| said[name].as_str().unwrap().to_owned();
        let address = part("address").parse().unwrap();
        Self {
            process,
            _output: output,
            endpoint: Endpoint { address, ca_pem: part("ca"), admin_token: part("token") },
        }
    }

    /// Memory that the kernel has given it.
    fn resident(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.split_whitespace().next().unwrap().parse::<u64>().unwrap() * 1024
    }

    /// A connection whose client takes as little as HTTP/2 allows without being asked to.
    async fn connect(&self) -> SendRequest<Full<Bytes>> {
        let stream = TokioIo::new(self.endpoint.tls(b"h2").await);
        let mut builder = hyper::client::conn::http2::Builder::new(TokioExecutor::new());
        builder.initial_stream_window_size(65_535).initial_connection_window_size(1 << 20);
        let (sender, connection) = builder.handshake(stream).await.unwrap();
        tokio::spawn(connection);
        sender
    }

    /// Starts requests and reads none of their answers.
    async fn ask(&self, path: &str, count: usize) -> Vec<Incoming> {
        let mut answers = Vec::new();
        let mut connection = self.connect().await;
        for index in 0..count {
            if index % 500 == 499 {
                connection = self.connect().await;
            }
            let answer = connection.send_request(self.endpoint.request("GET", path, "")).await.unwrap();
            assert_eq!(answer.status(), StatusCode::OK);
            answers.push(answer.into_body());
        }
        answers
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        // It has nothing left to lose, and this nobody to tell.
        let _ = self.process.wait();
    }
}

fn object(name: &str, bytes: usize) -> Value {
    json!({"metadata": {"name": name}, "data": {"a": "x".repeat(bytes)}})
}

async fn serve_until_told() {
    let served = serve("c").await;
    let config_maps = GroupVersionResource::new("", "v1", "configmaps");
    for index in 0..10_000 {
        let object = object(&format!("m{index}"), 700);
        let written = served.cluster.store().create(
            &config_maps,
            Some("default"),
            object.into(),
            &WriteOptions::default(),
        );
        written.unwrap();
    }
    println!("\n{}", json!({"address": served.address, "ca": served.ca_pem, "token": served.admin_token}));
    tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new())).await.unwrap().unwrap();
}

#[tokio::test]
async fn watches_lists_and_events_that_nobody_reads_cost_references() {
    if std::env::var_os(SERVE).is_some() {
        return serve_until_told().await;
    }
    let server = Server::start("memory::watches_lists_and_events_that_nobody_reads_cost_references");
    let one_list = 10 * MIB;
    let start = server.resident();

    // A thousand watches that wait for something to happen.
    let waiting = server.ask(&format!("{CONFIG_MAPS}?watch=true&resourceVersion=10000"), 1000).await;
    let watches = server.resident().saturating_sub(start);
    println!("a watch: {} KiB", watches / 1000 / 1024);
    assert!(watches < 1000 * 48 * 1024, "a thousand watches: {watches} B");

    // Lists that would be a gigabyte together.
    let before = server.resident();
    let lists = server.ask(CONFIG_MAPS, 100).await;
    let unread = server.resident().saturating_sub(before);
    println!("an unread list: {} KiB", unread / 100 / 1024);
    assert!(unread < 4 * one_list, "a hundred lists of 10 MiB that nobody reads: {unread} B");

    // Events of 20 MB for each of the watches, and of 20 GB for all: more than the log holds.
    let before = server.resident();
    let writer = server.connect().await;
    for index in 0..2000 {
        let body = object(&format!("event-{index}"), 10_000).to_string();
        let request = server.endpoint.request("POST", CONFIG_MAPS, body);
        let answer = timeout(PATIENCE, writer.clone().send_request(request)).await;
        let answer = answer.expect("a writer does not wait for watchers").unwrap();
        assert_eq!(answer.status(), StatusCode::CREATED);
    }
    let unread = server.resident().saturating_sub(before);
    println!("unread events: {} MiB", unread / MIB);
    assert!(unread < 250 * MIB, "events that nobody reads: {unread} B");

    // Who reads after all gets everything, unless others of its connection take all that this may have under way.
    let only = lists.into_iter().next().unwrap();
    let whole = timeout(PATIENCE, only.collect()).await.unwrap().unwrap().to_bytes();
    let whole: Value = serde_json::from_slice(&whole).unwrap();
    assert!(whole["items"].as_array().unwrap().len() >= 10_000);
    let slow = waiting.into_iter().next().unwrap();
    let events = timeout(PATIENCE, slow.collect()).await.unwrap().unwrap().to_bytes();
    let last = events.split(|byte| *byte == b'\n').rfind(|line| !line.is_empty()).unwrap();
    let last: Value = serde_json::from_slice(last).unwrap();
    assert_eq!((&last["type"], &last["object"]["code"]), (&json!("ERROR"), &json!(410)), "{last}");
}
