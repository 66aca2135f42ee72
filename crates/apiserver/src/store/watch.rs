//! Watches: a cursor into the shared event log, and the events it yields.

use std::sync::Arc;

use super::{ResourceVersionMatch, StoredObject};
use crate::selector::{FieldSelector, LabelSelector};

/// Options of a watch.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct WatchOptions {
    /// `labelSelector`
    pub label_selector: LabelSelector,
    /// `fieldSelector`
    pub field_selector: FieldSelector,
    /// `resourceVersion`: events after it; absent or `0` starts with everything that exists.
    pub resource_version: Option<String>,
    /// `resourceVersionMatch`; only with `sendInitialEvents`.
    pub resource_version_match: Option<ResourceVersionMatch>,
    /// `allowWatchBookmarks`
    pub allow_bookmarks: bool,
    /// `sendInitialEvents`
    pub send_initial_events: Option<bool>,
}

/// A watcher's place. Cheap: holds no events.
#[derive(Debug)]
pub struct WatchCursor {
    revision: u64,
}

impl WatchCursor {
    /// The revision up to which events were delivered.
    pub fn revision(&self) -> u64 {
        self.revision
    }
}

/// A BOOKMARK: an object of the watched kind with nothing but a resourceVersion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bookmark {
    /// `v1` or `apps/v1`.
    pub api_version: String,
    /// Kind of the watched objects.
    pub kind: Arc<str>,
    /// Everything up to here was delivered.
    pub resource_version: u64,
    /// Ends the initial events of a streaming list (annotation `k8s.io/initial-events-end`).
    pub initial_events_end: bool,
}

/// What a watcher sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WatchEvent {
    /// The object is new, or has come into the selection.
    Added(Arc<StoredObject>),
    /// The object has changed.
    Modified(Arc<StoredObject>),
    /// The object is gone, or has left the selection; its last state, at the revision of the deletion.
    Deleted(Arc<StoredObject>),
    /// Progress.
    Bookmark(Bookmark),
}

impl WatchEvent {
    /// The `type` on the wire.
    pub fn event_type(&self) -> &'static str {
        match self {
            Self::Added(_) => "ADDED",
            Self::Modified(_) => "MODIFIED",
            Self::Deleted(_) => "DELETED",
            Self::Bookmark(_) => "BOOKMARK",
        }
    }

    /// The object, unless it is a bookmark.
    pub fn object(&self) -> Option<&Arc<StoredObject>> {
        match self {
            Self::Added(object) | Self::Modified(object) | Self::Deleted(object) => Some(object),
            Self::Bookmark(_) => None,
        }
    }

    /// The revision of the event.
    pub fn resource_version(&self) -> u64 {
        match self {
            Self::Added(object) | Self::Modified(object) | Self::Deleted(object) => object.resource_version(),
            Self::Bookmark(bookmark) => bookmark.resource_version,
        }
    }

    /// Appends `{"type":…,"object":…}` and a newline, as a watch response streams it.
    pub fn write_json(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"type\":\"");
        out.extend_from_slice(self.event_type().as_bytes());
        out.extend_from_slice(b"\",\"object\":");
        match self {
            Self::Added(object) | Self::Modified(object) | Self::Deleted(object) => {
                out.extend_from_slice(object.json());
            }
            Self::Bookmark(bookmark) => out.extend_from_slice(bookmark.to_value().to_string().as_bytes()),
        }
        out.extend_from_slice(b"}\n");
    }
}

impl Bookmark {
    /// The object of the event.
    pub fn to_value(&self) -> serde_json::Value {
        let mut object = serde_json::json!({
            "kind": &*self.kind,
            "apiVersion": self.api_version,
            "metadata": {"resourceVersion": self.resource_version.to_string(), "creationTimestamp": null},
        });
        if self.initial_events_end {
            object["metadata"]["annotations"] = serde_json::json!({"k8s.io/initial-events-end": "true"});
        }
        object
    }
}
