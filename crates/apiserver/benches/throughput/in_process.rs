//! The store by itself, and the whole server without sockets: writes a second of one thread, and bytes of memory.

use std::{
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use certmesh_apiserver::{
    Cluster,
    patch::{MERGE_PATCH, Patch},
    resource::GroupVersionResource,
    store::{
        GetOptions, ListOptions, Store, StoreConfig, Subresource, WatchOptions, WriteOptions, seeded_random,
    },
};
use futures::FutureExt as _;
use http::Request;
use http_body_util::Full;
use jiff::Timestamp;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use super::measurement::{own_processor_time, resident_kib};

/// The argument that makes this program measure its memory, in a process that has done nothing else.
pub(crate) const MEASURE_MEMORY: &str = "--memory";

/// Small writes a second of one thread.
const WRITES_GOAL: f64 = 50_000.0;
/// Bytes of memory for an object, beyond its JSON.
const BYTES_GOAL: u64 = 4096;
const OBJECTS: u32 = 50_000;
const WATCHES: u32 = 1000;
const CLUSTERS: u32 = 200;

/// Prints the rows of everything here.
pub(crate) fn report() {
    let cluster = Cluster::new("bench").unwrap();
    let store = cluster.store();
    let (config_maps, write) = (config_maps(), WriteOptions::default());
    let namespace = Some("default");
    let name = |index: u32| format!("m{index}");
    rate("the store itself: create ConfigMap", Some(WRITES_GOAL), OBJECTS, |index| {
        store.create(&config_maps, namespace, config_map(index).into(), &write).unwrap();
    });
    rate("the store itself: patch ConfigMap", Some(WRITES_GOAL), OBJECTS, |index| {
        let patch = format!("{{\"data\":{{\"number\":\"{index}\"}}}}");
        let patch = Patch::parse(MERGE_PATCH, patch.as_bytes()).unwrap();
        store.patch(&config_maps, namespace, &name(index), Subresource::None, &patch, &write).unwrap();
    });
    rate("the store itself: get ConfigMap", None, OBJECTS, |index| {
        store.get(&config_maps, namespace, &name(index), &GetOptions::default()).unwrap();
    });
    let since =
        WatchOptions { resource_version: Some(store.revision().to_string()), ..WatchOptions::default() };
    let mut watches: Vec<_> =
        (0..100).map(|_| store.watch_start(&config_maps, namespace, &since).unwrap()).collect();
    rate("the store itself: patch, seen by 100 watches", None, 2_000, |index| {
        let patch = format!("{{\"data\":{{\"number\":\"w{index}\"}}}}");
        let patch = Patch::parse(MERGE_PATCH, patch.as_bytes()).unwrap();
        store.patch(&config_maps, namespace, &name(0), Subresource::None, &patch, &write).unwrap();
        for watch in &mut watches {
            assert_eq!(store.watch_next(watch, 10).unwrap().len(), 1);
        }
    });
    let started = own_processor_time();
    let listed = store.list(&config_maps, None, &ListOptions::default()).unwrap().items.len();
    println!("list of {listed} in the store: {:?}", own_processor_time().saturating_sub(started));
    whole_server();
    memory_rows();
}

/// From the bytes of a request to the bytes of its answer, without a socket.
fn whole_server() {
    let cluster = Cluster::new("bench").unwrap();
    let service = cluster.service(Cluster::admin());
    // For the deadline of a body.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let _on_it = runtime.enter();
    rate("in process, HTTP without sockets: create ConfigMap", None, OBJECTS, |index| {
        let request = Request::post("/api/v1/namespaces/default/configmaps")
            .header("content-type", "application/json")
            .body(Full::new(Bytes::from(config_map(index).to_string())))
            .unwrap();
        // Its body is there, so the answer is too.
        let answer = service.clone().oneshot(request).now_or_never().unwrap().unwrap();
        assert_eq!(answer.status(), 201);
    });
}

fn rate(what: &str, goal: Option<f64>, count: u32, mut act: impl FnMut(u32)) {
    let (started, processor) = (Instant::now(), own_processor_time());
    for index in 0..count {
        act(index);
    }
    let processor = own_processor_time().saturating_sub(processor).as_secs_f64();
    let each = Duration::from_secs_f64(processor / f64::from(count));
    let rate = f64::from(count) / processor;
    let goal = goal
        .map_or(String::new(), |goal| format!("{}≥ {goal:.0}/s", if rate < goal { "MISSED: " } else { "" }));
    let wall = f64::from(count) / started.elapsed().as_secs_f64();
    println!("| {what} | {rate:.0} in a second of one processor, {each:.1?} each | {goal} |");
    println!("{what}: {wall:.0}/s by the clock");
}

fn memory_rows() {
    let measured = Command::new(std::env::current_exe().unwrap()).arg(MEASURE_MEMORY).output().unwrap();
    assert!(measured.status.success(), "{}", String::from_utf8_lossy(&measured.stderr));
    print!("{}", String::from_utf8_lossy(&measured.stdout));
}

/// What objects, watches and clusters weigh; for a process that has done nothing else.
pub(crate) fn print_memory() {
    let before = resident_kib();
    let clusters: Vec<Store> = (0..CLUSTERS).map(|_| store()).collect();
    let each = (resident_kib() - before) / u64::from(CLUSTERS);
    println!("an empty cluster: {each} KiB");
    drop(clusters);

    let (config_maps, write) = (config_maps(), WriteOptions::default());
    let store = store();
    let before = resident_kib();
    let mut json_bytes = 0;
    for index in 0..OBJECTS {
        let written = store.create(&config_maps, Some("default"), config_map(index).into(), &write).unwrap();
        json_bytes += written.object.json().len() as u64;
    }
    let json = json_bytes / u64::from(OBJECTS);
    let each = (resident_kib() - before) * 1024 / u64::from(OBJECTS);
    let over = each.saturating_sub(json);
    let missed = if over >= BYTES_GOAL { "MISSED: " } else { "" };
    println!(
        "| memory of an object beyond its JSON, event log included | {over} B, for {json} B of JSON | {missed}< 4 KiB |"
    );

    let since =
        WatchOptions { resource_version: Some(store.revision().to_string()), ..WatchOptions::default() };
    let before = resident_kib();
    let watches: Vec<_> =
        (0..WATCHES).map(|_| store.watch_start(&config_maps, Some("default"), &since).unwrap()).collect();
    let each = (resident_kib() - before) * 1024 / u64::from(WATCHES);
    println!("a watch in the store, {} of them: {each} B", watches.len());
}

fn store() -> Store {
    Store::new(StoreConfig::new(Arc::new(Timestamp::now), seeded_random(1)))
}

fn config_maps() -> GroupVersionResource {
    GroupVersionResource::new("", "v1", "configmaps")
}

fn config_map(index: u32) -> Value {
    json!({
        "metadata": {"name": format!("m{index}"), "labels": {"app": "bench"}},
        "data": {"colour": "green", "number": "0"},
    })
}
