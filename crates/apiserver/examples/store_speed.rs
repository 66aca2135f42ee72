//! How fast and how small the store is, in this process, on this machine:
//! `cargo run --release -p certmesh-apiserver --example store_speed`.

use std::sync::Arc;
use std::time::Instant;

use certmesh_apiserver::patch::{MERGE_PATCH, Patch};
use certmesh_apiserver::resource::GroupVersionResource;
use certmesh_apiserver::store::{
    DeleteOptions, GetOptions, ListOptions, Store, StoreConfig, Subresource, WatchOptions, WriteOptions,
    seeded_random,
};
use jiff::Timestamp;
use serde_json::{Value, json};

type Failure = Box<dyn std::error::Error>;

const OBJECTS: u32 = 50_000;
const CLUSTERS: u32 = 200;

fn store() -> Store {
    Store::new(StoreConfig::new(Arc::new(Timestamp::now), seeded_random(1)))
}

/// Kilobytes of memory in use, from the kernel.
fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|l| l.starts_with("VmRSS:"));
    line.and_then(|l| l.split_whitespace().nth(1)).and_then(|n| n.parse().ok()).unwrap_or(0)
}

/// Time this thread has spent on a processor: unlike the clock's, it says the same on a busy machine.
fn processor_seconds() -> f64 {
    let line = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    line.split_whitespace().next().and_then(|n| n.parse().ok()).map_or(f64::NAN, |ns: f64| ns / 1e9)
}

fn report(what: &str, count: u32, mut act: impl FnMut(u32) -> Result<(), Failure>) -> Result<(), Failure> {
    let (start, processor) = (Instant::now(), processor_seconds());
    for i in 0..count {
        act(i)?;
    }
    let (seconds, processor) = (start.elapsed().as_secs_f64(), processor_seconds() - processor);
    let count = f64::from(count);
    println!(
        "{what:<44} {:>9.0}/s  {:>9.0}/s of processor time, {:>5.1} us each",
        count / seconds,
        count / processor,
        processor * 1e6 / count
    );
    Ok(())
}

fn secret(i: u32) -> Value {
    json!({
        "metadata": {"name": format!("secret-{i}"), "labels": {"app": "demo", "shard": (i % 10).to_string()}},
        "data": {"token": "c2VjcmV0LXZhbHVlLW9mLXRoaXMtb2JqZWN0"}
    })
}

fn crd() -> Value {
    json!({
        "metadata": {"name": "things.example.com"},
        "spec": {
            "group": "example.com", "scope": "Namespaced", "names": {"plural": "things", "kind": "Thing"},
            "versions": [{
                "name": "v1", "served": true, "storage": true, "subresources": {"status": {}},
                "schema": {"openAPIV3Schema": {"type": "object", "properties": {
                    "spec": {
                        "type": "object", "required": ["hosts"],
                        "properties": {
                            "hosts": {"type": "array", "items": {"type": "string", "maxLength": 253}, "maxItems": 10},
                            "ttl": {"type": "integer", "minimum": 60, "default": 3600},
                            "a": {"type": "object", "properties": {}}, "b": {"type": "object", "properties": {}}
                        },
                        "oneOf": [{"required": ["a"]}, {"required": ["b"]}],
                        "x-kubernetes-validations": [
                            {"rule": "self.hosts.size() > 0", "message": "at least one host"},
                            {"rule": "self.ttl <= 31536000", "message": "at most a year"}
                        ]
                    },
                    "status": {"type": "object", "properties": {"state": {"type": "string"}}}
                }}}
            }]
        }
    })
}

fn main() -> Result<(), Failure> {
    let secrets = GroupVersionResource::new("", "v1", "secrets");
    let things = GroupVersionResource::new("example.com", "v1", "things");
    let ns = Some("default");
    let write = WriteOptions::default();

    let before = resident_kib();
    let first = Instant::now();
    let one = store();
    println!("first cluster in {:.1} ms", first.elapsed().as_secs_f64() * 1e3);
    let clusters: Vec<Store> = (0..CLUSTERS).map(|_| store()).collect();
    println!("{CLUSTERS} clusters: {} KiB each", resident_kib().saturating_sub(before) / u64::from(CLUSTERS));
    drop(clusters);

    let before = resident_kib();
    let mut json_bytes = 0;
    report("create Secret", OBJECTS, |i| {
        json_bytes += one.create(&secrets, ns, secret(i).into(), &write)?.object.json().len();
        Ok(())
    })?;
    let each = (resident_kib().saturating_sub(before)) * 1024 / u64::from(OBJECTS);
    let json = json_bytes as u64 / u64::from(OBJECTS);
    println!("  memory per Secret {each} B for {json} B of JSON (event log included)");

    report("get Secret", OBJECTS, |i| {
        one.get(&secrets, ns, &format!("secret-{i}"), &GetOptions::default())?;
        Ok(())
    })?;
    report("put Secret (changed)", OBJECTS, |i| {
        let mut body = secret(i);
        body["data"]["token"] = json!("Y2hhbmdlZA==");
        let name = format!("secret-{i}");
        one.update(&secrets, ns, &name, Subresource::None, body.into(), &write)?;
        Ok(())
    })?;
    let patch = Patch::parse(MERGE_PATCH, br#"{"metadata":{"annotations":{"a":"b"}}}"#)?;
    report("merge patch Secret", OBJECTS, |i| {
        one.patch(&secrets, ns, &format!("secret-{i}"), Subresource::None, &patch, &write)?;
        Ok(())
    })?;
    let start = Instant::now();
    let listed = one.list(&secrets, None, &ListOptions::default())?.items.len();
    println!("list {listed} Secrets: {:.1} ms", start.elapsed().as_secs_f64() * 1e3);

    let from = WatchOptions { resource_version: Some(one.revision().to_string()), ..WatchOptions::default() };
    let mut cursors =
        (0..100).map(|_| one.watch_start(&secrets, ns, &from)).collect::<Result<Vec<_>, _>>()?;
    report("merge patch, seen by 100 watchers", 2_000, |i| {
        let patch = Patch::parse(MERGE_PATCH, format!("{{\"data\":{{\"i\":\"{i:08}\"}}}}").as_bytes())?;
        one.patch(&secrets, ns, "secret-0", Subresource::None, &patch, &write)?;
        for cursor in &mut cursors {
            assert_eq!(one.watch_next(cursor, 10)?.len(), 1);
        }
        Ok(())
    })?;
    report("delete Secret", OBJECTS, |i| {
        one.delete(&secrets, ns, &format!("secret-{i}"), &DeleteOptions::default())?;
        Ok(())
    })?;

    let crds = GroupVersionResource::new("apiextensions.k8s.io", "v1", "customresourcedefinitions");
    one.create(&crds, None, crd().into(), &write)?;
    let thing = |i: u32| {
        json!({
            "apiVersion": "example.com/v1", "kind": "Thing", "metadata": {"name": format!("thing-{i}")},
            "spec": {"hosts": ["spiffe://cluster.local/ns/a/sa/b"], "a": {}}
        })
    };
    report("create custom resource (oneOf, 2 CEL rules)", 20_000, |i| {
        one.create(&things, ns, thing(i).into(), &write)?;
        Ok(())
    })?;
    report("put its status", 20_000, |i| {
        let name = format!("thing-{i}");
        let mut object = one.get(&things, ns, &name, &GetOptions::default())?.value();
        object["status"] = json!({"state": "READY"});
        one.update(&things, ns, &name, Subresource::Status, object.into(), &write)?;
        Ok(())
    })?;
    Ok(())
}
