//! Every version of objects, as the API server tells a watcher: each is one write.

use super::server::Kind;
use futures::{StreamExt as _, TryStreamExt as _};
use kube::api::{ListParams, WatchEvent, WatchParams};
use kube::{Api, ResourceExt};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::task::JoinHandle;

/// What a watcher was told.
#[derive(Clone, Debug)]
pub(crate) enum Version<K> {
    /// Created or changed to this.
    Stored(K),
    /// Deleted; this was the last of it.
    Deleted(K),
}

impl<K> Version<K> {
    pub(crate) fn object(&self) -> &K {
        match self {
            Self::Stored(object) | Self::Deleted(object) => object,
        }
    }
}

/// Versions of the objects of one kind in one namespace.
pub(crate) struct Versions<K> {
    api: Api<K>,
    seen: Arc<Mutex<Seen<K>>>,
    task: JoinHandle<()>,
}

struct Seen<K> {
    versions: Vec<Version<K>>,
    /// Why some may be missing.
    lost: Option<String>,
}

impl<K: Kind> Versions<K> {
    /// Everything that happens from now on.
    pub(crate) async fn from_now(api: Api<K>) -> Self {
        let list = api.list_metadata(&ListParams::default().limit(1)).await.expect("it may be listed");
        let mut from = list.metadata.resource_version.expect("a list has a version");
        let seen = Arc::new(Mutex::new(Seen { versions: Vec::new(), lost: None }));
        let (watched, record) = (api.clone(), Arc::clone(&seen));
        let task = tokio::spawn(async move {
            while let Err(lost) = watch(&watched, &mut from, &record).await {
                record.lock().unwrap_or_else(PoisonError::into_inner).lost.get_or_insert(lost);
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        });
        Self { api, seen, task }
    }

    /// All versions of the objects of this name until now.
    pub(crate) async fn of(&self, name: &str) -> Vec<Version<K>> {
        self.catch_up(name).await;
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        assert_eq!(seen.lost, None, "the watch told everything");
        seen.versions.iter().filter(|version| version.object().name_any() == name).cloned().collect()
    }

    /// A watcher hears a moment later than a reader.
    async fn catch_up(&self, name: &str) {
        for _ in 0..100 {
            let now = self.api.get_metadata_opt(name).await.expect("it may be read");
            let now = now.and_then(|object| object.resource_version());
            let seen = {
                let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
                let last =
                    seen.versions.iter().rev().find(|version| version.object().name_any() == name).cloned();
                match last {
                    Some(Version::Stored(object)) => object.resource_version(),
                    Some(Version::Deleted(_)) | None => None,
                }
            };
            if seen == now {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("the watch did not tell of the last version of {name} within ten seconds");
    }
}

/// Records until the watch fails. One that ends goes on from where it was.
async fn watch<K: Kind>(api: &Api<K>, from: &mut String, record: &Mutex<Seen<K>>) -> Result<(), String> {
    loop {
        let stream = api.watch(&WatchParams::default(), from).await.map_err(|error| error.to_string())?;
        let mut stream = stream.boxed();
        while let Some(event) = stream.try_next().await.map_err(|error| error.to_string())? {
            let version = match event {
                WatchEvent::Added(object) | WatchEvent::Modified(object) => Version::Stored(object),
                WatchEvent::Deleted(object) => Version::Deleted(object),
                WatchEvent::Bookmark(_) => continue,
                WatchEvent::Error(status) => return Err(status.to_string()),
            };
            *from = version.object().resource_version().unwrap_or_default();
            record.lock().unwrap_or_else(PoisonError::into_inner).versions.push(version);
        }
    }
}

impl<K> Drop for Versions<K> {
    fn drop(&mut self) {
        self.task.abort();
    }
}
