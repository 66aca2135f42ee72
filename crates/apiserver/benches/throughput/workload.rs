//! What the servers are asked.

use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use serde_json::{Value, json};

use super::{
    client::Client,
    measurement::{Measured, Round},
    target::Target,
};

const CONFIG_MAPS: &str = "/api/v1/namespaces/default/configmaps";
const SECRETS: &str = "/api/v1/namespaces/default/secrets";
const WIDGETS: &str = "/apis/example.com/v1/namespaces/default/widgets";
const MANY: &str = "/api/v1/namespaces/many/configmaps";

/// Objects of each kind that are read and patched.
const OBJECTS: usize = 500;
/// Objects of the long list.
const LISTED: usize = 10_000;
/// How often each server has its turn.
const ROUNDS: usize = 5;
/// How long a turn takes.
const TURN: Duration = Duration::from_millis(800);
/// Requests made for a turn; more than a server answers in it.
const REQUESTS: usize = 20_000;
/// Requests under way at once.
const IN_FLIGHT: usize = 16;

/// Requests of one kind.
pub(crate) struct Workload {
    pub(crate) what: &'static str,
    pub(crate) writes: bool,
    in_flight: usize,
    requests: usize,
    /// The request of this number, which no other round uses.
    request: fn(&Client, usize) -> Request<Full<Bytes>>,
}

impl Workload {
    fn new(what: &'static str, writes: bool, request: fn(&Client, usize) -> Request<Full<Bytes>>) -> Self {
        Self { what, writes, in_flight: IN_FLIGHT, requests: REQUESTS, request }
    }

    /// The servers, each in its turn.
    pub(crate) async fn measure(&self, servers: &[Target; 2]) -> [Measured; 2] {
        let mut measured = [Measured::default(), Measured::default()];
        for round in 0..ROUNDS {
            for (server, measured) in servers.iter().zip(&mut measured) {
                let numbers = round * self.requests..(round + 1) * self.requests;
                let requests = numbers.map(|number| (self.request)(&server.client, number)).collect();
                let started = Round::start(server);
                let latencies = server.client.run(requests, self.in_flight, TURN).await;
                started.finish(measured, latencies, 1);
            }
        }
        measured
    }
}

/// All of them.
pub(crate) fn all() -> Vec<Workload> {
    let mut all = vec![
        Workload::new("GET /version", false, |client, _| client.request("GET", "/version", "")),
        Workload::new("create ConfigMap", true, |client, number| {
            client.request("POST", CONFIG_MAPS, config_map(&format!("n{number}")).to_string())
        }),
        Workload::new("create Secret of 2 KB", true, |client, number| {
            client.request("POST", SECRETS, secret(&format!("n{number}")).to_string())
        }),
        Workload::new("create custom resource", true, |client, number| {
            client.request("POST", WIDGETS, widget(&format!("n{number}")).to_string())
        }),
        Workload::new("get ConfigMap", false, |client, number| {
            client.request("GET", &format!("{CONFIG_MAPS}/m{}", number % OBJECTS), "")
        }),
        Workload::new("get custom resource", false, |client, number| {
            client.request("GET", &format!("{WIDGETS}/m{}", number % OBJECTS), "")
        }),
        Workload::new("patch ConfigMap", true, |client, number| {
            let patch = json!({"data": {"number": number.to_string()}}).to_string();
            client.request("PATCH", &format!("{CONFIG_MAPS}/m{}", number % OBJECTS), patch)
        }),
        Workload::new("patch custom resource's status", true, |client, number| {
            let patch = json!({"status": {"phase": number.to_string()}}).to_string();
            client.request("PATCH", &format!("{WIDGETS}/m{}/status", number % OBJECTS), patch)
        }),
    ];
    let list = Workload::new("list of 10,000 ConfigMaps", false, |client, _| client.request("GET", MANY, ""));
    all.push(Workload { in_flight: 1, requests: 100, ..list });
    all
}

/// Makes what is read, patched and listed.
pub(crate) async fn prepare(server: &Target) {
    let client = &server.client;
    let crds = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    client.ask("POST", crds, &widgets_crd()).await;
    let crd = format!("{crds}/widgets.example.com");
    while !is_established(&client.ask("GET", &crd, &Value::Null).await) {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // The real server serves them a little later than it says.
    tokio::time::sleep(Duration::from_secs(2)).await;
    client.ask("POST", "/api/v1/namespaces", &json!({"metadata": {"name": "many"}})).await;
    for (path, count, object) in [
        (CONFIG_MAPS, OBJECTS, config_map as fn(&str) -> Value),
        (WIDGETS, OBJECTS, widget),
        (MANY, LISTED, config_map),
    ] {
        let requests =
            (0..count).map(|index| client.request("POST", path, object(&format!("m{index}")).to_string()));
        let made = client.run(requests.collect(), IN_FLIGHT, Duration::from_secs(600)).await;
        assert_eq!(made.len(), count, "{path}");
    }
}

fn is_established(crd: &Value) -> bool {
    let conditions = crd["status"]["conditions"].as_array().map_or(&[][..], Vec::as_slice);
    conditions.iter().any(|condition| condition["type"] == "Established" && condition["status"] == "True")
}

fn config_map(name: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "labels": {"app": "bench"}},
        "data": {"colour": "green", "number": "0"},
    })
}

fn secret(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "data": {"tls.crt": "A".repeat(2000)}})
}

fn widget(name: &str) -> Value {
    json!({
        "apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": name, "labels": {"app": "bench"}},
        "spec": {"size": 3, "tags": ["a", "b"]},
    })
}

fn widgets_crd() -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "widgets.example.com"},
        "spec": {
            "group": "example.com",
            "scope": "Namespaced",
            "names": {"plural": "widgets", "singular": "widget", "kind": "Widget"},
            "versions": [{
                "name": "v1", "served": true, "storage": true,
                "subresources": {"status": {}},
                "schema": {"openAPIV3Schema": {"type": "object", "properties": {
                    "spec": {
                        "type": "object",
                        "required": ["size"],
                        "properties": {
                            "size": {"type": "integer", "minimum": 1},
                            "tags": {"type": "array", "items": {"type": "string"}, "maxItems": 10},
                        },
                        "x-kubernetes-validations": [{"rule": "self.size < 100", "message": "not so large"}],
                    },
                    "status": {"type": "object", "properties": {"phase": {"type": "string"}}},
                }}},
            }],
        },
    })
}
