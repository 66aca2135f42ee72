//! One writer and a hundred watchers.

use std::time::{Duration, Instant};

use http_body_util::BodyExt;
use serde_json::{Value, json};
use tokio::{sync::mpsc, task::JoinHandle};

use super::{
    client::Client,
    measurement::{Measured, Round},
    target::Target,
};

/// How many watch.
pub(crate) const WATCHERS: usize = 100;

const CONFIG_MAPS: &str = "/api/v1/namespaces/default/configmaps";
const ROUNDS: usize = 5;
const TURN: Duration = Duration::from_millis(800);

/// Events delivered a second, and the time from sending a write to the last delivery of its event.
pub(crate) async fn measure(servers: &[Target; 2]) -> [Measured; 2] {
    let mut measured = [Measured::default(), Measured::default()];
    for round in 0..ROUNDS {
        for (server, measured) in servers.iter().zip(&mut measured) {
            // Anew in each turn, so that the other server's watches rest.
            let watching = Client::connect(&server.access).await;
            let now = watching.ask("GET", &format!("{CONFIG_MAPS}?limit=1"), &Value::Null).await;
            let now = now["metadata"]["resourceVersion"].as_str().unwrap();
            let (seen, mut deliveries) = mpsc::channel(WATCHERS);
            let watches = (0..WATCHERS).map(|lane| watch(&watching, lane, now, seen.clone()));
            let watches = futures::future::join_all(watches).await;
            let started = Round::start(server);
            let latencies = write(server, round, &mut deliveries).await;
            started.finish(measured, latencies, WATCHERS);
            watches.iter().for_each(JoinHandle::abort);
        }
    }
    measured
}

async fn watch(client: &Client, lane: usize, since: &str, seen: mpsc::Sender<usize>) -> JoinHandle<()> {
    let path = format!("{CONFIG_MAPS}?watch=true&labelSelector=fan%3Dout&resourceVersion={since}");
    let mut body = client.send(lane, client.request("GET", &path, "")).await.into_body();
    tokio::spawn(async move {
        while let Some(Ok(frame)) = body.frame().await {
            let lines = frame.into_data().unwrap().split(|byte| *byte == b'\n').count() - 1;
            if seen.send(lines).await.is_err() {
                break;
            }
        }
    })
}

async fn write(server: &Target, round: usize, deliveries: &mut mpsc::Receiver<usize>) -> Vec<Duration> {
    let client = &server.client;
    let mut latencies = Vec::new();
    let started = Instant::now();
    while started.elapsed() < TURN {
        let name = format!("f{round}-{}", latencies.len());
        let object = json!({"metadata": {"name": name, "labels": {"fan": "out"}}});
        let request = client.request("POST", CONFIG_MAPS, object.to_string());
        let written = Instant::now();
        client.send(0, request).await;
        let mut delivered = 0;
        while delivered < WATCHERS {
            delivered += deliveries.recv().await.unwrap();
        }
        latencies.push(written.elapsed());
    }
    latencies
}
