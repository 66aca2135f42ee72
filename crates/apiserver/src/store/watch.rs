//! Watches: a cursor into the shared event log, and the events it yields.
//!
//! ```text
//!   start ──▶ initial events (what exists, if asked for) ──▶ bookmark ──▶ log entries after the cursor
//! ```
//!
//! With a selector, an object that comes into the selection is ADDED and one that leaves it is DELETED, whatever
//! happened to it.

use std::sync::Arc;

use serde_json::json;

use super::list::{known_fields, parse_resource_version_late, selects};
use super::log::Entry;
use super::state::{State, key_prefix};
use super::{ResourceVersionMatch, StoredObject};
use crate::resource::{GroupKind, ResourceDefinition};
use crate::selector::{FieldSelector, LabelSelector};
use crate::status::{ApiStatus, FieldError};

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

/// A watcher's place. Cheap: holds no events, but, until they are delivered, the objects that a watch starts with.
#[derive(Debug)]
pub struct WatchCursor {
    definition: Arc<ResourceDefinition>,
    prefix: String,
    labels: LabelSelector,
    fields: FieldSelector,
    revision: u64,
    initial: std::vec::IntoIter<Arc<StoredObject>>,
    /// Whether the bookmark that ends the initial events is still owed.
    end_of_initial: bool,
    allow_bookmarks: bool,
}

impl WatchCursor {
    /// The revision up to which events were delivered.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    fn selects(&self, object: &StoredObject) -> bool {
        selects(&self.labels, &self.fields, object)
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
            "metadata": {"resourceVersion": self.resource_version.to_string()},
        });
        if self.initial_events_end {
            object["metadata"]["annotations"] = serde_json::json!({"k8s.io/initial-events-end": "true"});
        }
        object
    }
}

/// What the versions that a watch may ask for mean, and which combinations are refused (`validateWatchOptions`).
fn check_options(options: &WatchOptions) -> Result<(), ApiStatus> {
    let mut errors = Vec::new();
    let version_match = options.resource_version_match;
    if options.send_initial_events.is_some() && version_match != Some(ResourceVersionMatch::NotOlderThan) {
        let why = "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan";
        errors.push(FieldError::forbidden("resourceVersionMatch", why));
    }
    if let Some(given) = version_match {
        if options.send_initial_events.is_none() {
            let why = "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided";
            errors.push(FieldError::forbidden("resourceVersionMatch", why));
        }
        if given == ResourceVersionMatch::Exact {
            errors.push(FieldError::not_supported(
                "resourceVersionMatch",
                &json!("Exact"),
                &["NotOlderThan"],
            ));
        }
    }
    if errors.is_empty() {
        Ok(())
    } else {
        Err(ApiStatus::invalid(&GroupKind::new("meta.k8s.io", "ListOptions"), "", &errors))
    }
}

pub(super) fn start(
    state: &State,
    definition: &Arc<ResourceDefinition>,
    namespace: Option<&str>,
    options: &WatchOptions,
) -> Result<WatchCursor, ApiStatus> {
    check_options(options)?;
    let fields = known_fields(&options.field_selector, definition)?;
    let version = parse_resource_version_late(options.resource_version.as_deref())?;
    let log = state.resource(&definition.internals.storage).map(|r| &r.log);
    let wants_initial = options.send_initial_events.unwrap_or(version.is_none());
    let revision = match version {
        Some(version) if !wants_initial => {
            if let Some(log) = log.filter(|log| !log.covers(version)) {
                return Err(ApiStatus::too_old_resource_version(version, log.floor()));
            }
            version
        }
        _ => state.revision,
    };
    let mut cursor = WatchCursor {
        definition: definition.clone(),
        prefix: key_prefix(namespace),
        labels: options.label_selector.clone(),
        fields,
        revision,
        initial: Vec::new().into_iter(),
        end_of_initial: options.send_initial_events == Some(true) && options.allow_bookmarks,
        allow_bookmarks: options.allow_bookmarks,
    };
    if wants_initial {
        let objects = state.objects(&definition.internals.storage, &cursor.prefix);
        let selected: Vec<_> = objects.map(|(_, o)| o.clone()).filter(|o| cursor.selects(o)).collect();
        cursor.initial = selected.into_iter();
    }
    Ok(cursor)
}

pub(super) fn next(
    state: &State,
    cursor: &mut WatchCursor,
    max: usize,
) -> Result<Vec<WatchEvent>, ApiStatus> {
    // A changed CRD shows its objects in another form from now on; a deleted one has nothing more to say.
    let served = state.registry.get(&cursor.definition.id);
    if let Some(definition) = served {
        cursor.definition = definition.clone();
    }
    let mut events = Vec::new();
    while events.len() < max {
        match cursor.initial.next() {
            Some(object) => events.push(WatchEvent::Added(object.shown_as(&cursor.definition))),
            None => break,
        }
    }
    if events.len() < max && cursor.end_of_initial && cursor.initial.len() == 0 {
        cursor.end_of_initial = false;
        events.push(cursor.bookmark(true));
    }
    if events.len() < max {
        from_log(state, cursor, max, &mut events)?;
    }
    if events.is_empty() && served.is_none() {
        return Err(ApiStatus::resource_not_found());
    }
    Ok(events)
}

fn from_log(
    state: &State,
    cursor: &mut WatchCursor,
    max: usize,
    events: &mut Vec<WatchEvent>,
) -> Result<(), ApiStatus> {
    let Some(resource) = state.resource(&cursor.definition.internals.storage) else {
        cursor.revision = cursor.revision.max(state.revision);
        return Ok(());
    };
    if !resource.log.covers(cursor.revision) {
        if events.is_empty() {
            return Err(ApiStatus::too_old_resource_version(cursor.revision, resource.log.floor()));
        }
        // What was gathered is delivered first; the next call reports the gap.
        return Ok(());
    }
    for entry in resource.log.after(cursor.revision) {
        if events.len() >= max {
            return Ok(());
        }
        cursor.revision = entry.revision;
        events.extend(cursor.event(entry));
    }
    cursor.revision = cursor.revision.max(state.revision);
    Ok(())
}

impl WatchCursor {
    /// What this watcher sees of a change, if anything.
    fn event(&self, entry: &Entry) -> Option<WatchEvent> {
        if !entry.key.starts_with(&self.prefix) {
            return None;
        }
        let shown = |object: &Arc<StoredObject>| object.shown_as(&self.definition);
        let before = entry.previous.as_ref().is_some_and(|p| self.selects(p));
        let after = !entry.deleted && self.selects(&entry.object);
        match (before, after) {
            (false, false) => None,
            (false, true) => Some(WatchEvent::Added(shown(&entry.object))),
            (true, true) => Some(WatchEvent::Modified(shown(&entry.object))),
            (true, false) if entry.deleted => Some(WatchEvent::Deleted(shown(&entry.object))),
            (true, false) => {
                // The watcher sees the object as it last was in the selection, at the revision at which it left.
                let last = entry.previous.as_ref()?;
                let last = StoredObject::new(shown(last).object(), &self.definition, entry.revision);
                Some(WatchEvent::Deleted(Arc::new(last)))
            }
        }
    }

    fn bookmark(&self, initial_events_end: bool) -> WatchEvent {
        WatchEvent::Bookmark(Bookmark {
            api_version: self.definition.api_version(),
            kind: self.definition.kind.clone(),
            resource_version: self.revision,
            initial_events_end,
        })
    }
}

pub(super) fn bookmark(state: &State, cursor: &WatchCursor) -> Option<WatchEvent> {
    let busy = cursor.initial.len() > 0 || cursor.end_of_initial;
    if !cursor.allow_bookmarks || busy {
        return None;
    }
    let log = state.resource(&cursor.definition.internals.storage).map(|r| &r.log);
    let behind = log.is_some_and(|log| log.after(cursor.revision).next().is_some());
    (!behind).then(|| cursor.bookmark(false))
}
