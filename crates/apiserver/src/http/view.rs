//! The forms in which objects, lists and watch events leave the server: whole, metadata only, or as a table.

use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    negotiate::{Accepted, Encoding, View},
    response::{self, ApiResponse},
};
use crate::{
    resource::ResourceDefinition,
    status::{ApiStatus, StatusReason},
    store::{Bookmark, ObjectList, StoredObject, WatchEvent},
    table::{self, IncludeObject},
};

const META_API_VERSION: &str = "meta.k8s.io/v1";

/// How a client wants objects of one resource.
#[derive(Clone)]
pub(super) struct ObjectView {
    pub(super) resource: Arc<ResourceDefinition>,
    pub(super) accepted: Accepted,
    pub(super) include: IncludeObject,
    pub(super) now: Timestamp,
}

impl ObjectView {
    /// The answer that holds one object.
    pub(super) fn object(
        &self,
        status: StatusCode,
        object: &Arc<StoredObject>,
    ) -> Result<ApiResponse, ApiStatus> {
        let json = match self.accepted.view {
            View::Full => object.json().clone(),
            View::Metadata => partial(object).to_string().into(),
            View::MetadataList => {
                return Err(self.wrong_metadata("PartialObjectMetadataList", "not a list", ""));
            }
            View::Table => {
                let metadata = json!({"resourceVersion": object.resource_version().to_string()});
                self.table(std::slice::from_ref(object), &metadata, true).to_string().into()
            }
        };
        response::encoded(status, self.accepted.encoding, json)
    }

    /// The answer that holds a list.
    pub(super) fn list(&self, list: &ObjectList) -> Result<ApiResponse, ApiStatus> {
        let metadata = list_metadata(list);
        let json: Bytes = match self.accepted.view {
            View::Full => {
                let parts = ListParts::new(list, metadata);
                if self.accepted.encoding == Encoding::Json && parts.bytes() > PART_BYTES {
                    return Ok(response::stream(futures::stream::iter(parts)));
                }
                parts.whole()
            }
            View::Metadata => return Err(self.wrong_metadata("PartialObjectMetadata", "a list", "List")),
            View::MetadataList => {
                let items: Vec<Value> = list.items.iter().map(|object| partial(object)).collect();
                json!({
                    "kind": "PartialObjectMetadataList", "apiVersion": META_API_VERSION,
                    "metadata": metadata, "items": items,
                })
                .to_string()
                .into()
            }
            View::Table => self.table(&list.items, &metadata, true).to_string().into(),
        };
        response::encoded(StatusCode::OK, self.accepted.encoding, json)
    }

    /// 406 for one of the metadata kinds where the other is meant; `suffix` is that of the Go type's name.
    fn wrong_metadata(&self, kind: &str, is: &str, suffix: &str) -> ApiStatus {
        let go_type = if self.resource.is_custom() {
            format!("unstructured.Unstructured{suffix}")
        } else {
            let package = self.resource.id.group.split('.').next().filter(|group| !group.is_empty());
            format!("{}.{}{suffix}", package.unwrap_or("core"), self.resource.kind)
        };
        let message = format!("you requested {kind}, but the requested object is {is} (*{go_type})");
        ApiStatus::new(406, StatusReason::NotAcceptable, message)
    }

    fn table(&self, objects: &[Arc<StoredObject>], metadata: &Value, with_columns: bool) -> Value {
        let columns =
            if with_columns { Value::Array(table::column_definitions(&self.resource)) } else { Value::Null };
        let rows = table::rows(&self.resource, objects, self.include, self.now);
        // The real server has no printer of roles; what prints everything else writes no list where it has no rows.
        let is_null = rows.is_empty() && matches!(&*self.resource.kind, "Role" | "ClusterRole");
        json!({
            "kind": "Table", "apiVersion": META_API_VERSION, "metadata": metadata,
            "columnDefinitions": columns,
            "rows": if is_null { Value::Null } else { Value::Array(rows) },
        })
    }
}

/// `metadata` of a list.
fn list_metadata(list: &ObjectList) -> Value {
    let mut metadata = json!({"resourceVersion": list.resource_version.to_string()});
    if let Some(token) = &list.continue_token {
        metadata["continue"] = json!(token);
    }
    if let Some(count) = list.remaining_item_count {
        metadata["remainingItemCount"] = json!(count);
    }
    metadata
}

/// Bytes of a part of a list that is sent on as such. Each costs two tasks a wake-up, so not too few.
const PART_BYTES: usize = 128 * 1024;

/// A list as stored bytes joined together; nothing is serialized again. A long one leaves in parts, each made when the client
/// has taken those before: who asks and does not read costs references, not copies.
struct ListParts {
    /// What comes before the next item; after the last one, nothing.
    before: Option<Vec<u8>>,
    items: std::vec::IntoIter<Arc<StoredObject>>,
    items_carry_type: bool,
}

impl ListParts {
    fn new(list: &ObjectList, mut metadata: Value) -> Self {
        if list.items_carry_type && list.continue_token.is_none() {
            // Whole lists of custom resources always have the field.
            metadata["continue"] = json!("");
        }
        let head =
            json!({"kind": &*list.kind, "apiVersion": list.api_version, "metadata": metadata}).to_string();
        // `metadata` is the last value, so trimming takes its brace too.
        let mut before = head.trim_end_matches('}').as_bytes().to_vec();
        before.extend_from_slice(b"},\"items\":[");
        Self {
            before: Some(before),
            items: list.items.clone().into_iter(),
            items_carry_type: list.items_carry_type,
        }
    }

    /// How long all of it is, or a little more.
    fn bytes(&self) -> usize {
        let items: usize = self.items.as_slice().iter().map(|object| object.json().len() + 1).sum();
        items + self.before.as_ref().map_or(0, Vec::len) + 2
    }

    fn whole(mut self) -> Bytes {
        let bytes = self.bytes();
        self.part(bytes).unwrap_or_default()
    }

    /// At least this many bytes, or the rest.
    fn part(&mut self, bytes: usize) -> Option<Bytes> {
        let mut out = self.before.take()?;
        // The object that completes a part is seldom longer than this.
        out.reserve(bytes + 4096);
        while out.len() < bytes {
            let Some(object) = self.items.next() else {
                out.extend_from_slice(b"]}");
                return Some(out.into());
            };
            if self.items_carry_type {
                out.extend_from_slice(object.json());
            } else {
                out.push(b'{');
                out.extend_from_slice(object.json_without_type_meta());
            }
            if self.items.len() > 0 {
                out.push(b',');
            }
        }
        self.before = Some(Vec::new());
        Some(out.into())
    }
}

impl Iterator for ListParts {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        self.part(PART_BYTES)
    }
}

/// `metadata` of an object without the rest of it.
fn metadata_of(object: &StoredObject) -> Value {
    #[derive(Deserialize)]
    struct OnlyMetadata {
        metadata: Value,
    }
    object.parse::<OnlyMetadata>().map_or(Value::Null, |object| object.metadata)
}

fn partial(object: &StoredObject) -> Value {
    json!({"kind": "PartialObjectMetadata", "apiVersion": META_API_VERSION, "metadata": metadata_of(object)})
}

/// Writes the events of one watch.
pub(super) struct EventView {
    view: ObjectView,
    /// Column definitions go out with the first table only.
    columns_sent: bool,
    clock: crate::store::Clock,
}

impl EventView {
    pub(super) fn new(view: ObjectView, clock: crate::store::Clock) -> Self {
        Self { view, columns_sent: false, clock }
    }

    /// Appends the event as a line of JSON.
    pub(super) fn write(&mut self, event: &WatchEvent, out: &mut Vec<u8>) {
        let object = match self.view.accepted.view {
            View::Full => return event.write_json(out),
            View::Metadata | View::MetadataList => metadata_event(event),
            View::Table => self.table_event(event),
        };
        let line = json!({"type": event.event_type(), "object": object}).to_string();
        out.extend_from_slice(line.as_bytes());
        out.push(b'\n');
    }

    fn table_event(&mut self, event: &WatchEvent) -> Value {
        self.view.now = (self.clock)();
        let metadata = json!({"resourceVersion": event.resource_version().to_string()});
        let objects: &[_] = event.object().map_or(&[], std::slice::from_ref);
        let mut table = self.view.table(objects, &metadata, !self.columns_sent);
        if let WatchEvent::Bookmark(bookmark) = event {
            // Its annotations are what a streaming list waits for, so they must not be lost.
            let cells = table::column_definitions(&self.view.resource).len();
            table["rows"] =
                json!([{"cells": vec![Value::Null; cells], "object": partial_bookmark(bookmark)}]);
        }
        self.columns_sent = true;
        table
    }
}

fn partial_bookmark(bookmark: &Bookmark) -> Value {
    let mut object = bookmark.to_value();
    object["kind"] = json!("PartialObjectMetadata");
    object["apiVersion"] = json!(META_API_VERSION);
    object
}

fn metadata_event(event: &WatchEvent) -> Value {
    match event {
        WatchEvent::Added(object) | WatchEvent::Modified(object) | WatchEvent::Deleted(object) => {
            partial(object)
        }
        WatchEvent::Bookmark(bookmark) => partial_bookmark(bookmark),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_list_is_whole_json() {
        let mut list = ObjectList {
            api_version: "v1".to_owned(),
            kind: "SecretList".into(),
            resource_version: 7,
            items: Vec::new(),
            continue_token: None,
            remaining_item_count: None,
            items_carry_type: false,
        };
        let read = |list: &ObjectList| -> Value {
            serde_json::from_slice(&ListParts::new(list, list_metadata(list)).whole()).unwrap()
        };
        assert_eq!(
            read(&list),
            json!({"kind": "SecretList", "apiVersion": "v1", "metadata": {"resourceVersion": "7"}, "items": []})
        );
        list.continue_token = Some("}".to_owned());
        list.remaining_item_count = Some(3);
        assert_eq!(
            read(&list)["metadata"],
            json!({"resourceVersion": "7", "continue": "}", "remainingItemCount": 3})
        );
    }
}
