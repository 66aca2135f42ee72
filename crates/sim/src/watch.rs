//! Watches: a place in a store's history, and who is told of what happens after it.
//!
//! The store's events are real, the caches they go into are the product's. When each event arrives is the scheduler's.

use std::sync::Arc;

use certmesh_api::certificates::ObjectRef;
use certmesh_apiserver::selector::FieldSelector;
use certmesh_apiserver::store::{ListOptions, StoredObject, WatchCursor, WatchEvent, WatchOptions};
use certmesh_controllers::Feed;
use kube::runtime::watcher::Event;
use kube::{Resource, ResourceExt};
use serde::de::DeserializeOwned;

use crate::cluster::{Cluster, Kind};

/// Whoever is told.
pub(crate) trait Listener {
    /// This is all there is.
    fn listed(&mut self, objects: &[Arc<StoredObject>]);
    /// Something changed.
    fn changed(&mut self, event: &WatchEvent);
    /// The watch broke.
    fn broke(&mut self, why: &str);
    /// The watch works again.
    fn begun(&mut self);
}

impl<K> Listener for Feed<K>
where
    K: Resource<DynamicType = ()> + ResourceExt + Clone + DeserializeOwned + 'static,
{
    fn listed(&mut self, objects: &[Arc<StoredObject>]) {
        self.take(&Event::Init);
        for object in objects {
            self.take(&Event::InitApply(parsed(object)));
        }
        self.take(&Event::InitDone);
    }

    fn changed(&mut self, event: &WatchEvent) {
        match event {
            WatchEvent::Added(object) | WatchEvent::Modified(object) => {
                self.take(&Event::Apply(parsed(object)));
            }
            WatchEvent::Deleted(object) => self.take(&Event::Delete(parsed(object))),
            WatchEvent::Bookmark(_) => {}
        }
    }

    fn broke(&mut self, why: &str) {
        Feed::broke(self, why);
    }

    fn begun(&mut self) {
        Feed::begun(self);
    }
}

/// An object as its type.
pub(crate) fn parsed<K: DeserializeOwned>(object: &StoredObject) -> K {
    object.parse().expect("the store holds what the schema allows")
}

/// Is told whenever there is anything new, be it that there is nothing; for watches of one object.
pub(crate) struct AnyNews<F>(pub(crate) F);

impl<F: Fn()> Listener for AnyNews<F> {
    fn listed(&mut self, _: &[Arc<StoredObject>]) {
        (self.0)();
    }

    fn changed(&mut self, _: &WatchEvent) {
        (self.0)();
    }

    fn broke(&mut self, _: &str) {
        (self.0)();
    }

    fn begun(&mut self) {
        (self.0)();
    }
}

/// One watch.
pub(crate) struct Watch {
    /// The cluster it looks at.
    pub(crate) site: usize,
    /// What it looks for.
    pub(crate) kind: Kind,
    namespace: Option<String>,
    name: Option<String>,
    cursor: Option<WatchCursor>,
    listener: Box<dyn Listener>,
}

impl Watch {
    pub(crate) fn new(
        site: usize,
        kind: Kind,
        namespace: Option<&str>,
        name: Option<&str>,
        listener: impl Listener + 'static,
    ) -> Self {
        let (namespace, name) = (namespace.map(str::to_owned), name.map(str::to_owned));
        Self { site, kind, namespace, name, cursor: None, listener: Box::new(listener) }
    }

    /// Whether it is the watch of this one object.
    pub(crate) fn is_of(&self, object: &ObjectRef) -> bool {
        self.namespace.as_deref() == Some(&object.namespace) && self.name.as_deref() == Some(&object.name)
    }

    /// Whether it has a list already.
    pub(crate) fn has_begun(&self) -> bool {
        self.cursor.is_some()
    }

    /// Whether there may be something to tell.
    pub(crate) fn is_behind(&self, cluster: &Cluster) -> bool {
        self.cursor.as_ref().is_none_or(|cursor| cursor.revision() < cluster.newest(self.kind))
    }

    /// Tells the next event; the list, if there was none yet. What was told, for the trace; nothing if it was about objects
    /// that this watch does not select.
    pub(crate) fn deliver(&mut self, cluster: &Cluster) -> Option<String> {
        let Some(cursor) = &mut self.cursor else { return Some(self.list(cluster)) };
        match cluster.store().watch_next(cursor, 1) {
            Ok(events) => {
                let event = events.first()?;
                self.listener.changed(event);
                let object = event.object()?;
                Some(format!("{} {} {}", event.event_type(), self.kind.name(), object.name()))
            }
            Err(status) => {
                self.expire(&status.message);
                Some(format!("{}: watch ended: {}", self.kind.name(), status.message))
            }
        }
    }

    fn list(&mut self, cluster: &Cluster) -> String {
        let selector = self.selector();
        let options = ListOptions { field_selector: selector.clone(), ..ListOptions::default() };
        let list = cluster.store().list(cluster.resource(self.kind), self.namespace.as_deref(), &options);
        let list = list.expect("the kind is served");
        self.listener.listed(&list.items);
        let options = WatchOptions {
            field_selector: selector,
            resource_version: Some(list.resource_version.to_string()),
            ..WatchOptions::default()
        };
        let cursor =
            cluster.store().watch_start(cluster.resource(self.kind), self.namespace.as_deref(), &options);
        self.cursor = Some(cursor.expect("the history has not gone on since"));
        format!("list of {} {}", list.items.len(), self.kind.name())
    }

    fn selector(&self) -> FieldSelector {
        match &self.name {
            Some(name) => {
                FieldSelector::parse(&format!("metadata.name={name}")).expect("a field that has a selector")
            }
            None => FieldSelector::default(),
        }
    }

    /// It tells nothing until it works again; then it goes on where it was.
    pub(crate) fn broke(&mut self, why: &str) {
        self.listener.broke(why);
    }

    /// It works again.
    pub(crate) fn begun(&mut self) {
        self.listener.begun();
    }

    /// The history that it was following is gone (410): it has to begin with a list.
    pub(crate) fn expire(&mut self, why: &str) {
        self.cursor = None;
        self.listener.broke(why);
    }
}
