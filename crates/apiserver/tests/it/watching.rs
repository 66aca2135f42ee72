//! Watches and the reflectors built on them: order, bookmarks, timeouts, 410, reconnects, many at once.

use std::{sync::Arc, time::Duration};

use crate::fixture::{admin, ask, serve};
use certmesh_apiserver::{
    Cluster,
    http::ResponseBody,
    store::{Limits, Store, StoreConfig, seeded_random},
};
use futures::StreamExt;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Api,
    api::{ListParams, PostParams},
    runtime::{WatchStreamExt, reflector, watcher},
};
use serde_json::{Value, json};
use tokio::time::timeout;

const CONFIG_MAPS: &str = "/api/v1/namespaces/default/configmaps";
const PATIENCE: Duration = Duration::from_secs(10);

fn config_map(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}})
}

async fn watch(cluster: &Cluster, parameters: &str) -> Response<ResponseBody> {
    let request =
        Request::get(format!("{CONFIG_MAPS}?watch=true&{parameters}")).body(Full::default()).unwrap();
    ask(cluster, Cluster::admin(), request).await
}

/// The lines of the next chunk, which must come soon.
async fn chunk(body: &mut ResponseBody) -> Option<Vec<Value>> {
    timeout(PATIENCE, lines(body)).await.expect("an event comes in time")
}

async fn lines(body: &mut ResponseBody) -> Option<Vec<Value>> {
    let frame = body.frame().await?.unwrap();
    let data = frame.into_data().unwrap();
    assert_eq!(data.last(), Some(&b'\n'), "a chunk holds whole lines");
    Some(
        data.split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
            .map(|line| serde_json::from_slice(line).unwrap())
            .collect(),
    )
}

/// All lines of a watch that ends within an hour, on whatever clock the test runs.
async fn all_lines(mut body: ResponseBody) -> Vec<Value> {
    let mut all = Vec::new();
    let read = async {
        while let Some(more) = lines(&mut body).await {
            all.extend(more);
        }
    };
    timeout(Duration::from_secs(3600), read).await.expect("the watch ends");
    all
}

fn summary(events: &[Value]) -> Vec<String> {
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    events
        .iter()
        .map(|event| format!("{} {}", text(&event["type"]), text(&event["object"]["metadata"]["name"])))
        .collect()
}

#[tokio::test]
async fn a_watch_shows_what_is_there_and_then_what_changes() {
    let cluster = Cluster::new("c").unwrap();
    admin(&cluster, "POST", CONFIG_MAPS, config_map("a")).await;
    let mut body = watch(&cluster, "").await.into_body();
    assert!(summary(&chunk(&mut body).await.unwrap()).contains(&"ADDED a".to_owned()));
    admin(&cluster, "POST", CONFIG_MAPS, config_map("b")).await;
    assert_eq!(summary(&chunk(&mut body).await.unwrap()), ["ADDED b"]);
    admin(&cluster, "PATCH", &format!("{CONFIG_MAPS}/a"), json!({"data": {"k": "v"}})).await;
    admin(&cluster, "DELETE", &format!("{CONFIG_MAPS}/b"), Value::Null).await;
    assert_eq!(summary(&chunk(&mut body).await.unwrap()), ["MODIFIED a", "DELETED b"]);
}

#[tokio::test(start_paused = true)]
async fn bookmarks_come_each_minute_and_at_the_timeout() {
    let cluster = Cluster::new("c").unwrap();
    let body =
        watch(&cluster, "allowWatchBookmarks=true&timeoutSeconds=150&resourceVersion=1").await.into_body();
    let lines = all_lines(body).await;
    let bookmarks = lines.iter().filter(|line| line["type"] == "BOOKMARK").count();
    assert_eq!(bookmarks, 3, "after 60 s, 120 s and at the end: {lines:?}");
    assert_eq!(lines[bookmarks - 1]["object"]["kind"], "ConfigMap");

    let body = watch(&cluster, "timeoutSeconds=150&resourceVersion=1").await.into_body();
    let lines = all_lines(body).await;
    assert!(lines.iter().all(|line| line["type"] != "BOOKMARK"), "nobody asked for them: {lines:?}");
}

#[tokio::test]
async fn a_streaming_list_ends_its_initial_events_with_a_bookmark() {
    let cluster = Cluster::new("c").unwrap();
    admin(&cluster, "POST", CONFIG_MAPS, config_map("a")).await;
    let parameters = "sendInitialEvents=true&allowWatchBookmarks=true&resourceVersionMatch=NotOlderThan";
    let mut body = watch(&cluster, parameters).await.into_body();
    let events = chunk(&mut body).await.unwrap();
    let last = events.last().unwrap();
    assert_eq!(last["object"]["metadata"]["annotations"]["k8s.io/initial-events-end"], "true", "{events:?}");
    assert!(summary(&events).contains(&"ADDED a".to_owned()));
}

fn small_log() -> Cluster {
    let mut config = StoreConfig::new(Arc::new(Timestamp::now), seeded_random(7));
    config.limits = Limits { log_events: 8, ..Limits::default() };
    Cluster::with_store("c", Store::new(config)).unwrap()
}

#[tokio::test]
async fn a_watch_from_before_the_log_is_told_410_as_its_first_event() {
    let cluster = small_log();
    for index in 0..40 {
        admin(&cluster, "POST", CONFIG_MAPS, config_map(&format!("m{index}"))).await;
    }
    let answer = watch(&cluster, "resourceVersion=1").await;
    assert_eq!(answer.status(), StatusCode::OK);
    let lines = all_lines(answer.into_body()).await;
    assert_eq!(lines.len(), 1);
    assert_eq!((&lines[0]["type"], &lines[0]["object"]["code"]), (&json!("ERROR"), &json!(410)));
    assert_eq!(lines[0]["object"]["reason"], "Expired");
}

#[tokio::test]
async fn a_watcher_that_falls_behind_is_told_410_and_costs_nothing_meanwhile() {
    let cluster = small_log();
    let mut body = watch(&cluster, "resourceVersion=").await.into_body();
    admin(&cluster, "POST", CONFIG_MAPS, config_map("seen")).await;
    chunk(&mut body).await.unwrap();
    for index in 0..40 {
        admin(&cluster, "POST", CONFIG_MAPS, config_map(&format!("m{index}"))).await;
    }
    let lines = all_lines(body).await;
    assert_eq!(lines.last().unwrap()["object"]["code"], 410, "{lines:?}");
}

#[tokio::test]
async fn tables_and_metadata_are_watched_too() {
    let cluster = Cluster::new("c").unwrap();
    admin(&cluster, "POST", CONFIG_MAPS, config_map("a")).await;
    let with_accept = async |accept: &str| {
        let request = Request::get(format!("{CONFIG_MAPS}?watch=true&fieldSelector=metadata.name%3Da"))
            .header("Accept", accept)
            .body(Full::default())
            .unwrap();
        ask(&cluster, Cluster::admin(), request).await.into_body()
    };
    let mut table = with_accept("application/json;as=Table;v=v1;g=meta.k8s.io").await;
    let first = chunk(&mut table).await.unwrap().remove(0);
    assert_eq!(
        (&first["object"]["kind"], &first["object"]["rows"][0]["cells"][0]),
        (&json!("Table"), &json!("a"))
    );
    assert!(first["object"]["columnDefinitions"].is_array());
    let mut metadata = with_accept("application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1").await;
    let first = chunk(&mut metadata).await.unwrap().remove(0);
    assert_eq!(
        (&first["object"]["kind"], &first["object"]["metadata"]["name"]),
        (&json!("PartialObjectMetadata"), &json!("a"))
    );

    admin(&cluster, "PATCH", &format!("{CONFIG_MAPS}/a"), json!({"data": {"k": "v"}})).await;
    let second = chunk(&mut table).await.unwrap().remove(0);
    assert_eq!((&second["type"], &second["object"]["columnDefinitions"]), (&json!("MODIFIED"), &Value::Null));
}

#[tokio::test]
async fn a_reflector_follows_in_process_and_over_tls() {
    let served = serve("c").await;
    for client in [served.cluster.client(Cluster::admin()), served.client(Cluster::admin()).await] {
        let api: Api<ConfigMap> = Api::namespaced(client, "default");
        let (store, writer) = reflector::store();
        let stream = watcher(api.clone(), watcher::Config::default())
            .default_backoff()
            .reflect(writer)
            .applied_objects();
        let following = tokio::spawn(stream.for_each(|_| async {}));
        timeout(PATIENCE, store.wait_until_ready()).await.unwrap().unwrap();
        let name = format!("followed-{}", store.len());
        let object: ConfigMap = serde_json::from_value(config_map(&name)).unwrap();
        api.create(&PostParams::default(), &object).await.unwrap();
        let key = reflector::ObjectRef::new(&name).within("default");
        timeout(PATIENCE, async {
            while store.get(&key).is_none() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await
        .unwrap();
        following.abort();
    }
    served.server.shutdown().await;
}

#[tokio::test]
async fn a_watcher_recovers_from_the_end_of_its_watch_and_from_410() {
    let cluster = small_log();
    let api: Api<ConfigMap> = Api::namespaced(cluster.client(Cluster::admin()), "default");
    // One second is the shortest timeout there is.
    let config = watcher::Config::default().timeout(1);
    let mut events = Box::pin(watcher(api, config).default_backoff().applied_objects());
    for round in 0..3 {
        let name = format!("round-{round}");
        admin(&cluster, "POST", CONFIG_MAPS, config_map(&name)).await;
        let seen = timeout(PATIENCE, async {
            loop {
                // Errors, such as the 410 provoked below, come through; the watcher goes on by itself.
                let event = events.next().await.expect("a watcher does not end");
                if event.is_ok_and(|object| object.metadata.name.as_deref() == Some(name.as_str())) {
                    break;
                }
            }
        });
        seen.await.unwrap_or_else(|_| panic!("{name} was not seen"));
        // The log moves past the place where the ended watch would resume.
        for index in 0..20 {
            admin(&cluster, "POST", CONFIG_MAPS, config_map(&format!("filler-{round}-{index}"))).await;
        }
        tokio::time::sleep(Duration::from_millis(1100)).await;
    }
}

#[tokio::test]
async fn a_thousand_watches_all_see_a_change() {
    let served = serve("c").await;
    let mut http2 = Vec::new();
    for _ in 0..2 {
        http2.push(served.http2().await);
    }
    let mut bodies = Vec::new();
    for index in 0..1000 {
        let request =
            served.request("GET", &format!("{CONFIG_MAPS}?watch=true&fieldSelector=metadata.name%3Dx"), "");
        let answer = http2[index % 2].send_request(request).await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        bodies.push(answer.into_body());
    }
    admin(&served.cluster, "POST", CONFIG_MAPS, config_map("x")).await;
    let seen = futures::stream::iter(bodies).map(|mut body| async move {
        let frame = body.frame().await.unwrap().unwrap().into_data().unwrap();
        let event: Value = serde_json::from_slice(&frame).unwrap();
        assert_eq!((&event["type"], &event["object"]["metadata"]["name"]), (&json!("ADDED"), &json!("x")));
        body
    });
    let bodies: Vec<_> = timeout(PATIENCE, seen.buffer_unordered(1000).collect()).await.unwrap();
    assert_eq!(bodies.len(), 1000);
    timeout(Duration::from_secs(5), served.server.shutdown())
        .await
        .expect("watches end when the server stops");
    for body in bodies {
        let rest = timeout(PATIENCE, body.collect()).await.unwrap();
        assert!(rest.is_ok_and(|rest| rest.to_bytes().is_empty()), "a watch ends cleanly");
    }
}

#[tokio::test]
async fn a_watch_of_a_resource_that_is_taken_away_ends() {
    let cluster = Cluster::new("c").unwrap();
    let crds = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    admin(&cluster, "POST", crds, crate::fixture::widgets_crd()).await;
    let request = Request::get("/apis/example.com/v1/widgets?watch=1").body(Full::default()).unwrap();
    let body = ask(&cluster, Cluster::admin(), request).await.into_body();
    let watching = tokio::spawn(all_lines(body));
    admin(&cluster, "DELETE", &format!("{crds}/widgets.example.com"), Value::Null).await;
    timeout(PATIENCE, watching).await.expect("the watch ends").unwrap();
}

#[tokio::test]
async fn lists_through_kube_page_and_count() {
    let cluster = Cluster::new("c").unwrap();
    let api: Api<ConfigMap> = Api::namespaced(cluster.client(Cluster::admin()), "default");
    for index in 0..5 {
        admin(&cluster, "POST", CONFIG_MAPS, config_map(&format!("p{index}"))).await;
    }
    let first = api.list(&ListParams::default().limit(2)).await.unwrap();
    assert_eq!(first.items.len(), 2);
    let token = first.metadata.continue_.unwrap();
    let second = api.list(&ListParams::default().limit(2).continue_token(&token)).await.unwrap();
    assert!(second.items[0].metadata.name > first.items[1].metadata.name);
}
