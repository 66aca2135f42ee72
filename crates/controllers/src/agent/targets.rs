//! Watches each Secret that a copy names as its target, by name: the agent sees changes of those and of no others,
//! and holds none of their content.

use crate::cache::{Cache, watch_config};
use crate::tasks::Tasks;
use certmesh_api::certificates::ObjectRef;
use k8s_openapi::api::core::v1::Secret;
use kube::core::PartialObjectMeta;
use kube::{Api, Client};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio_util::sync::CancellationToken;

/// Sees to it that the agent is told of changes of targets.
pub(super) enum Targets {
    /// By a watch of its own for each.
    Watched(Watches),
    /// Somebody else sees to it, and is told what to watch.
    Told(Box<dyn Fn(&ObjectRef) + Send + Sync>),
}

/// The watched targets, each with what ends its watch.
pub(super) struct Watches {
    client: Client,
    tasks: Tasks,
    stop: CancellationToken,
    on_change: Arc<dyn Fn(&ObjectRef) + Send + Sync>,
    watched: Mutex<HashMap<ObjectRef, CancellationToken>>,
}

impl Targets {
    pub(super) fn new(
        client: Client,
        tasks: Tasks,
        stop: CancellationToken,
        on_change: impl Fn(&ObjectRef) + Send + Sync + 'static,
    ) -> Self {
        let (on_change, watched) = (Arc::new(on_change), Mutex::default());
        Self::Watched(Watches { client, tasks, stop, on_change, watched })
    }

    /// Begins to watch a target unless it is watched already.
    pub(super) fn watch(&self, target: &ObjectRef) {
        match self {
            Self::Watched(watches) => watches.watch(target),
            Self::Told(tell) => tell(target),
        }
    }

    /// Ends the watches of targets that no copy names any more.
    pub(super) fn keep(&self, wanted: impl Fn(&ObjectRef) -> bool) {
        if let Self::Watched(watches) = self {
            watches.keep(wanted);
        }
    }
}

impl Watches {
    fn watch(&self, target: &ObjectRef) {
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        if watched.contains_key(target) {
            return;
        }
        let stop = self.stop.child_token();
        let api = |client| Api::<PartialObjectMeta<Secret>>::namespaced(client, &target.namespace);
        let config = watch_config().fields(&format!("metadata.name={}", target.name));
        let (on_change, reference) = (Arc::clone(&self.on_change), target.clone());
        // A list without the Secret is news as well: a pass may have read it before, and it was deleted in between.
        let (_, task) = Cache::watch(&self.client, api, config, stop.clone(), move |_| on_change(&reference));
        self.tasks.spawn(task);
        watched.insert(target.clone(), stop);
    }

    fn keep(&self, wanted: impl Fn(&ObjectRef) -> bool) {
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        watched.retain(|target, stop| {
            let keep = wanted(target);
            if !keep {
                stop.cancel();
            }
            keep
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deadline::is_watch;
    use http::{Request, Response};
    use kube::client::Body;
    use std::convert::Infallible;
    use std::time::Duration;
    use tokio::sync::Notify;

    /// An API server without a single Secret, on which nothing happens.
    fn empty_server() -> Client {
        let service = tower::service_fn(|request: Request<Body>| async move {
            if is_watch(&request) {
                std::future::pending::<()>().await;
            }
            let list = r#"{"kind":"PartialObjectMetadataList","apiVersion":"meta.k8s.io/v1","metadata":{"resourceVersion":"1"},"items":[]}"#;
            Ok::<_, Infallible>(Response::new(Body::from(list.as_bytes().to_vec())))
        });
        Client::new(service, "default")
    }

    /// Somebody's Secret stood where ours was to be. It was deleted after a pass had read it and before the first list of its
    /// watch: an empty list woke nobody, and the certificate stayed stalled for ever.
    #[tokio::test(start_paused = true)]
    async fn a_list_without_the_secret_is_news() {
        let (told, stop) = (Arc::new(Notify::new()), CancellationToken::new());
        let tell = Arc::clone(&told);
        let targets =
            Targets::new(empty_server(), Tasks::default(), stop.clone(), move |_| tell.notify_one());
        targets.watch(&ObjectRef::new("istio-system", "cacerts"));
        let in_time = tokio::time::timeout(Duration::from_secs(30), told.notified()).await;
        stop.cancel();
        assert!(in_time.is_ok(), "nobody was told");
    }
}
