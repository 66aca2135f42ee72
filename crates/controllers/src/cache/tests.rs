//! What a watch may tell, and how it may break.

use super::*;
use axum::body::Body as Answer;
use futures::stream;
use http::Response;
use k8s_openapi::api::core::v1::ConfigMap;
use std::convert::Infallible;
use std::sync::Mutex;
use std::sync::atomic::AtomicU32;

fn config_map(name: &str, version: u64) -> ConfigMap {
    let mut object = ConfigMap::default();
    object.metadata.namespace = Some("ns".to_owned());
    object.metadata.name = Some(name.to_owned());
    object.metadata.uid = Some(format!("uid of {name}"));
    object.metadata.resource_version = Some(version.to_string());
    object
}

/// A cache that has seen these events, and the names that its callback was called with.
async fn after(events: Vec<Event<ConfigMap>>) -> (Cache<ConfigMap>, Vec<String>) {
    let told = Arc::<Mutex<Vec<String>>>::default();
    let names = Arc::clone(&told);
    let on_change = move |change: Change<'_, ConfigMap>| {
        if let Change::Object(object) = change {
            names.lock().unwrap().push(object.name_any());
        }
    };
    let events = stream::iter(events.into_iter().map(Ok)).chain(stream::pending());
    let stop = CancellationToken::new();
    let (cache, task) = Cache::over(events, Arc::default(), stop.clone(), on_change);
    // The stream has nothing more to say after its events: the task has seen them all when it first sleeps.
    assert!(futures::poll!(pin!(task)).is_pending());
    let told = told.lock().unwrap().clone();
    (cache, told)
}

fn shows(cache: &Cache<ConfigMap>, name: &str, version: u64) -> bool {
    cache.shows_version(Some("ns"), name, &version.to_string())
}

/// The issuer answers a request; the agent uses the answer and deletes the request before the issuer's next pass.
/// Waiting for the request to appear as it was written cost every tenth certificate of a burst five seconds.
#[tokio::test]
async fn a_write_is_shown_when_its_object_is_gone_by_then() {
    let (cache, _) = after(vec![
        Event::Init,
        Event::InitApply(config_map("a", 3)),
        Event::InitDone,
        Event::Apply(config_map("a", 5)),
        Event::Delete(config_map("a", 7)),
    ])
    .await;
    assert!(cache.get(Some("ns"), "a").is_none());
    assert!(shows(&cache, "a", 5));
    assert!(!shows(&cache, "a", 8), "what comes later is not shown yet");
}

#[tokio::test]
async fn a_write_is_not_shown_before_its_event() {
    let (cache, _) = after(vec![Event::Init, Event::InitApply(config_map("a", 3)), Event::InitDone]).await;
    assert!(shows(&cache, "a", 3) && !shows(&cache, "a", 4));
    assert!(!cache.shows_deletion(Some("ns"), "a", "uid of a"));
    assert!(cache.shows_deletion(Some("ns"), "a", "uid of the one before"));
}

#[tokio::test]
async fn what_vanishes_in_a_relist_is_told() {
    let (cache, told) = after(vec![
        Event::Init,
        Event::InitApply(config_map("a", 3)),
        Event::InitDone,
        Event::Init,
        Event::InitApply(config_map("b", 9)),
        Event::InitDone,
    ])
    .await;
    assert_eq!(
        told.iter().filter(|name| *name == "a").count(),
        2,
        "when it came and when it was gone: {told:?}"
    );
    assert!(cache.get(Some("ns"), "a").is_none() && cache.get(Some("ns"), "b").is_some());
}

/// Answers lists with nothing, and watches with what `watch` says: a status and a body.
fn server(watch: impl Fn(u32) -> (u16, Answer) + Send + Sync + 'static) -> (Client, Arc<AtomicU32>) {
    let watches = Arc::new(AtomicU32::new(0));
    let (count, watch) = (Arc::clone(&watches), Arc::new(watch));
    let service = tower::service_fn(move |request: Request<Body>| {
        let list =
            r#"{"kind":"ConfigMapList","apiVersion":"v1","metadata":{"resourceVersion":"1"},"items":[]}"#;
        let (status, body) = if is_watch(&request) {
            watch(count.fetch_add(1, Ordering::SeqCst))
        } else {
            (200, Answer::from(list.as_bytes().to_vec()))
        };
        let response = Response::builder().status(status).body(body).expect("a response");
        async { Ok::<_, Infallible>(response) }
    });
    (Client::new(service, "default"), watches)
}

fn cache(client: &Client, stop: &CancellationToken) -> Cache<ConfigMap> {
    let (cache, task) = Cache::watch(client, Api::default_namespaced, watch_config(), stop.clone(), |_| {});
    tokio::spawn(task);
    cache
}

/// A body that says nothing and does not end.
fn silence() -> Answer {
    Answer::from_stream(futures::stream::pending::<Result<Vec<u8>, Infallible>>())
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_works_again_is_noticed_though_nothing_changes() {
    let (client, _) = server(|number| if number == 0 { (403, Answer::empty()) } else { (200, silence()) });
    let stop = CancellationToken::new();
    let cache = cache(&client, &stop);
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(cache.is_synced() && cache.problem().is_some());
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(cache.problem(), None);
    stop.cancel();
}

#[tokio::test(start_paused = true)]
async fn a_server_that_ends_every_watch_is_asked_once_a_second() {
    let (client, watches) = server(|_| (200, Answer::empty()));
    let stop = CancellationToken::new();
    let _cache = cache(&client, &stop);
    tokio::time::sleep(Duration::from_secs(60)).await;
    let asked = watches.load(Ordering::SeqCst);
    assert!((30..=61).contains(&asked), "{asked} times in a minute");
    stop.cancel();
}
