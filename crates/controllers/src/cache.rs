//! A watched set of objects: what is there now, and a call for each change.
//!
//! Built on kube's reflector. What it adds: a callback that also fires for objects that vanish in a relist, and the
//! watch's health, so that an unreachable cluster can be reported where people look.
//!
//! A watch that broke is taken up where it was, and while nothing changes its stream says nothing. That it works again is
//! therefore read off the answer to the request for it, or a quiet cluster would stay unreachable for ever.

use crate::deadline::is_watch;
use certmesh_workflow::bounded;
use futures::future::BoxFuture;
use futures::{FutureExt, Stream, StreamExt};
use http::Request;
use kube::client::Body;
use kube::runtime::reflector::store::Writer;
use kube::runtime::reflector::{ObjectRef, Store, store};
use kube::runtime::watcher::{self, Event};
use kube::runtime::{WatchStreamExt, watcher as watch};
use kube::{Api, Client, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use std::collections::HashMap;
use std::fmt::Debug;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use tokio::sync::{Mutex, Notify};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// A half-open connection is noticed after this many seconds rather than after the client's five minutes.
const WATCH_SECONDS: u32 = 50;
/// Between the beginnings of two watches.
const WATCH_PAUSE: Duration = Duration::from_secs(1);

/// What a watch is like: reconnects before a dead connection could go unnoticed.
pub fn watch_config() -> watcher::Config {
    watcher::Config::default().timeout(WATCH_SECONDS)
}

/// What a watch tells.
pub enum Change<'a, K> {
    /// The object appeared, changed or vanished; this is its last known form.
    Object(&'a K),
    /// A list is complete, the watch broke, or it works again. Everything that depends on it may look different.
    Health,
}

/// A watched set of objects. Cheap to clone.
pub struct Cache<K: Resource<DynamicType = ()> + Clone + 'static> {
    store: Store<K>,
    health: Arc<RwLock<Option<String>>>,
    /// The highest resourceVersion that any event told of, whatever became of its object.
    newest: Arc<AtomicU64>,
}

impl<K: Resource<DynamicType = ()> + Clone + 'static> Clone for Cache<K> {
    fn clone(&self) -> Self {
        Self { store: self.store.clone(), health: Arc::clone(&self.health), newest: Arc::clone(&self.newest) }
    }
}

impl<K> Cache<K>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
{
    /// Watches the objects of an `Api` (for metadata alone: `Api<PartialObjectMeta<…>>`) that is made of the client, and a
    /// task to run that does it until `stop`.
    pub fn watch(
        client: &Client,
        api: impl FnOnce(Client) -> Api<K>,
        config: watcher::Config,
        stop: CancellationToken,
        on_change: impl Fn(Change<'_, K>) + Send + 'static,
    ) -> (Self, BoxFuture<'static, ()>) {
        let begun = Arc::new(Notify::new());
        let api = api(telling(client.clone(), Arc::clone(&begun)));
        let (cache, task) = Self::over(watch(api, config), begun, stop, on_change);
        (cache, task.boxed())
    }

    fn over(
        stream: impl Stream<Item = watcher::Result<Event<K>>> + Send,
        begun: Arc<Notify>,
        stop: CancellationToken,
        on_change: impl Fn(Change<'_, K>) + Send + 'static,
    ) -> (Self, impl Future<Output = ()> + Send) {
        let (cache, mut feed) = Self::fed(on_change);
        let task = async move {
            let mut events = pin!(stream.default_backoff());
            loop {
                let item = tokio::select! {
                    () = stop.cancelled() => return,
                    () = begun.notified() => {
                        feed.begun();
                        continue;
                    }
                    item = events.next() => item,
                };
                match item {
                    None => return,
                    Some(Err(error)) => feed.broke(&error.to_string()),
                    Some(Ok(event)) => feed.take(&event),
                }
            }
        };
        (cache, task)
    }

    /// A cache, and what it is to be fed with.
    pub(crate) fn fed(on_change: impl Fn(Change<'_, K>) + Send + 'static) -> (Self, Feed<K>) {
        let (reader, writer) = store::<K>();
        let cache = Self { store: reader.clone(), health: Arc::default(), newest: Arc::default() };
        let feed = Feed {
            reader,
            writer,
            health: Arc::clone(&cache.health),
            newest: Arc::clone(&cache.newest),
            before_relist: HashMap::new(),
            on_change: Box::new(on_change),
        };
        (cache, feed)
    }

    /// The object, if there is one.
    pub fn get(&self, namespace: Option<&str>, name: &str) -> Option<Arc<K>> {
        let key = ObjectRef::<K>::new(name);
        self.store.get(&match namespace {
            Some(namespace) => key.within(namespace),
            None => key,
        })
    }

    /// All objects.
    pub fn all(&self) -> Vec<Arc<K>> {
        self.store.state()
    }

    /// Waits for the first list to be complete.
    pub async fn synced(&self) {
        // The writer is dropped only with its task, at shutdown; nobody needs a synced cache then.
        let _ = self.store.wait_until_ready().await;
    }

    /// Whether the first list is complete.
    pub fn is_synced(&self) -> bool {
        self.store.wait_until_ready().now_or_never().is_some()
    }

    /// Why the watch does not work at the moment, if it does not.
    pub fn problem(&self) -> Option<String> {
        self.health.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether the cache shows an object as it was at this resourceVersion, or anything that came after: another
    /// version of it, or that it is gone. Versions of one kind are ordered (KEP-5504), and a watch tells in order.
    pub fn shows_version(&self, namespace: Option<&str>, name: &str, resource_version: &str) -> bool {
        let wanted = numeric(Some(resource_version));
        if wanted > 0 {
            return self.newest.load(Ordering::Acquire) >= wanted;
        }
        let seen = self.get(namespace, name).and_then(|object| object.resource_version());
        seen.as_deref() == Some(resource_version)
    }

    /// Whether the cache no longer holds the object with this uid.
    pub fn shows_deletion(&self, namespace: Option<&str>, name: &str, uid: &str) -> bool {
        self.get(namespace, name).is_none_or(|object| {
            object.meta().uid.as_deref() != Some(uid) || object.meta().deletion_timestamp.is_some()
        })
    }
}

type OnChange<K> = dyn Fn(Change<'_, K>) + Send;

/// The writing end of a cache: takes what a watch tells, one event after the other.
pub struct Feed<K: Resource<DynamicType = ()> + Clone + 'static> {
    reader: Store<K>,
    writer: Writer<K>,
    health: Arc<RwLock<Option<String>>>,
    newest: Arc<AtomicU64>,
    before_relist: HashMap<ObjectRef<K>, Arc<K>>,
    on_change: Box<OnChange<K>>,
}

impl<K: Resource<DynamicType = ()> + Clone + 'static> Feed<K> {
    /// The watch was begun again.
    pub fn begun(&mut self) {
        if set(&self.health, None) {
            tracing::info!(kind = %K::kind(&()), "watch works again");
            (self.on_change)(Change::Health);
        }
    }

    /// The watch broke.
    pub fn broke(&mut self, error: &str) {
        let error = bounded(error);
        if set(&self.health, Some(error.clone())) {
            tracing::warn!(kind = %K::kind(&()), %error, "watch broke, reconnecting");
            (self.on_change)(Change::Health);
        }
    }

    /// The watch tells this.
    pub fn take(&mut self, event: &Event<K>) {
        if matches!(event, Event::Init) {
            self.before_relist = by_key(&self.reader);
        }
        self.writer.apply_watcher_event(event);
        if let Event::Apply(object) | Event::Delete(object) | Event::InitApply(object) = event {
            self.newest.fetch_max(numeric(object.resource_version().as_deref()), Ordering::AcqRel);
        }
        if !matches!(event, Event::Init) && set(&self.health, None) {
            (self.on_change)(Change::Health);
        }
        match event {
            Event::Apply(object) | Event::Delete(object) => (self.on_change)(Change::Object(object)),
            Event::InitDone => {
                relisted(&self.reader, &std::mem::take(&mut self.before_relist), &self.on_change);
                (self.on_change)(Change::Health);
            }
            Event::Init | Event::InitApply(_) => {}
        }
    }
}

/// A resourceVersion as a number; 0 for one that is none.
fn numeric(resource_version: Option<&str>) -> u64 {
    resource_version.and_then(|version| version.parse().ok()).unwrap_or(0)
}

/// A client that tells when a watch has begun, and asks for one at most once a second: kube asks again at once when a
/// stream ends, so that a server that ends each at its beginning would keep us busy.
fn telling(client: Client, begun: Arc<Notify>) -> Client {
    let earliest = Arc::new(Mutex::new(Instant::now()));
    let service = tower::service_fn(move |request: Request<Body>| {
        let (client, begun, earliest) = (client.clone(), Arc::clone(&begun), Arc::clone(&earliest));
        async move {
            if !is_watch(&request) {
                return client.send(request).await;
            }
            let mut earliest = earliest.lock().await;
            tokio::time::sleep_until(*earliest).await;
            *earliest = Instant::now() + WATCH_PAUSE;
            drop(earliest);
            let response = client.send(request).await?;
            if response.status().is_success() {
                begun.notify_one();
            }
            Ok::<_, kube::Error>(response)
        }
    });
    Client::new(service, "default")
}

/// Sets the health; true when it changed between good and bad.
fn set(health: &RwLock<Option<String>>, value: Option<String>) -> bool {
    let mut health = health.write().unwrap_or_else(PoisonError::into_inner);
    let changed = health.is_some() != value.is_some();
    if changed || value.is_some() {
        *health = value;
    }
    changed
}

fn by_key<K: Resource<DynamicType = ()> + Clone + 'static>(
    store: &Store<K>,
) -> HashMap<ObjectRef<K>, Arc<K>> {
    store.state().into_iter().map(|object| (ObjectRef::from_obj(&*object), object)).collect()
}

/// After a relist every object may have changed, and those that are gone send no event of their own.
fn relisted<K: Resource<DynamicType = ()> + Clone + 'static>(
    store: &Store<K>,
    before: &HashMap<ObjectRef<K>, Arc<K>>,
    on_change: &impl Fn(Change<'_, K>),
) {
    let now = by_key(store);
    for object in now.values() {
        on_change(Change::Object(object));
    }
    for (key, object) in before {
        if !now.contains_key(key) {
            on_change(Change::Object(object));
        }
    }
}

#[cfg(test)]
mod tests;
