//! The API server: what a write makes of what is stored.

use serde_json::{Value, json};

use super::objects::{Kind, Object, UID, VERSION};
use super::time::Moment;

/// A new object. Only an intent's uid is its own.
pub(super) fn created(kind: Kind, body: &Value, uid: &str, now: Moment) -> Object {
    let mut body = body.clone();
    remove(&mut body, "status");
    let metadata = &mut body["metadata"];
    metadata["uid"] = json!(if kind == Kind::Intent { uid } else { UID });
    metadata["creationTimestamp"] = json!(now.timestamp().to_string());
    if has_generation(kind) {
        metadata["generation"] = json!(1);
    }
    stored(kind, body)
}

/// A PUT of the whole object: the status stays, a changed spec counts; an object that is being deleted goes with its last
/// finalizer.
pub(super) fn replaced(kind: Kind, old: Object, body: &Value) -> Option<Object> {
    let (mut body, old) = (body.clone(), old.value());
    set(&mut body, "status", old.get("status"));
    let is_changed = body.get("spec") != old.get("spec");
    for field in ["uid", "creationTimestamp", "deletionTimestamp", "generation"] {
        let value = old["metadata"].get(field);
        set(&mut body["metadata"], field, value);
    }
    if is_changed {
        count(&mut body);
    }
    let is_gone = body["metadata"].get("deletionTimestamp").is_some() && !has_finalizers(&body);
    (!is_gone).then(|| stored(kind, body))
}

/// A PUT of the status: nothing else changes.
pub(super) fn status_replaced(kind: Kind, old: Object, body: &Value) -> Object {
    let mut new = old.value().clone();
    set(&mut new, "status", body.get("status"));
    stored(kind, new)
}

/// A DELETE: what has finalizers stays until they are gone.
pub(super) fn deleted(kind: Kind, old: Object, now: Moment) -> Option<Object> {
    let mut body = old.value().clone();
    if !has_finalizers(&body) {
        return None;
    }
    if body["metadata"].get("deletionTimestamp").is_some() {
        return Some(old);
    }
    body["metadata"]["deletionTimestamp"] = json!(now.timestamp().to_string());
    if has_generation(kind) {
        count(&mut body);
    }
    Some(stored(kind, body))
}

/// With its fields in one order, so that one content has one text.
fn stored(kind: Kind, mut body: Value) -> Object {
    body["metadata"]["resourceVersion"] = json!(VERSION);
    for field in ["finalizers", "annotations", "labels"] {
        if body["metadata"].get(field).is_some_and(is_empty) {
            remove(&mut body["metadata"], field);
        }
    }
    body.sort_all_objects();
    Object::of(kind, body)
}

fn has_generation(kind: Kind) -> bool {
    matches!(kind, Kind::Intent | Kind::Copy | Kind::Request)
}

fn has_finalizers(body: &Value) -> bool {
    body["metadata"].get("finalizers").and_then(Value::as_array).is_some_and(|all| !all.is_empty())
}

/// What is empty is not stored.
fn is_empty(value: &Value) -> bool {
    value.as_array().is_some_and(Vec::is_empty) || value.as_object().is_some_and(serde_json::Map::is_empty)
}

fn count(body: &mut Value) {
    let generation = body["metadata"]["generation"].as_i64().unwrap_or_default();
    body["metadata"]["generation"] = json!(generation + 1);
}

fn set(body: &mut Value, field: &str, value: Option<&Value>) {
    match value {
        Some(value) => body[field] = value.clone(),
        None => remove(body, field),
    }
}

fn remove(body: &mut Value, field: &str) {
    if let Some(fields) = body.as_object_mut() {
        fields.shift_remove(field);
    }
}
