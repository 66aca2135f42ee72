//! The forms in which objects, lists and watch events leave the server: whole, metadata only, or as a table.

use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    negotiate::{Accepted, View},
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
            View::Full => full_list(list, metadata).into(),
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
        json!({
            "kind": "Table", "apiVersion": META_API_VERSION, "metadata": metadata,
            "columnDefinitions": columns,
            "rows": table::rows(&self.resource, objects, self.include, self.now),
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

/// The list as stored bytes joined together; nothing is serialized again.
fn full_list(list: &ObjectList, mut metadata: Value) -> Vec<u8> {
    if list.items_carry_type && list.continue_token.is_none() {
        // Whole lists of custom resources always have the field.
        metadata["continue"] = json!("");
    }
    let bytes: usize = list.items.iter().map(|object| object.json().len() + 1).sum();
    let mut out = Vec::with_capacity(bytes + 256);
    let head = json!({"kind": &*list.kind, "apiVersion": list.api_version, "metadata": metadata}).to_string();
    out.extend_from_slice(head.trim_end_matches('}').as_bytes());
    // `metadata` is the last value, so trimming took its brace too.
    out.extend_from_slice(b"},\"items\":[");
    for (index, object) in list.items.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        if list.items_carry_type {
            out.extend_from_slice(object.json());
        } else {
            out.push(b'{');
            out.extend_from_slice(object.json_without_type_meta());
        }
    }
    out.extend_from_slice(b"]}");
    out
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
            serde_json::from_slice(&full_list(list, list_metadata(list))).unwrap()
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
