//! Strategic merge patch: like a merge patch, but lists of objects merge by a key
//! (`k8s.io/apimachinery/pkg/util/strategicpatch`).
//!
//! ```text
//!   maps      merge; null deletes; {"$patch": "replace"} replaces; "$retainKeys" keeps only those named
//!   lists     of objects with a merge key: merge by it; {"$patch": "delete", key: …} deletes an item
//!             of plain values marked so: union, "$deleteFromPrimitiveList/f" takes away
//!             others: replaced
//! ```

use serde_json::{Map, Value, json};

use crate::resource::GroupKind;
use crate::status::{ApiStatus, FieldError, StatusReason};

/// Nesting beyond which a patch is not followed.
const MAX_DEPTH: usize = 64;

const PATCH: &str = "$patch";
const RETAIN_KEYS: &str = "$retainKeys";
const SET_ORDER: &str = "$setElementOrder/";
const DELETE_FROM_LIST: &str = "$deleteFromPrimitiveList/";

/// How a list merges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ListMerge {
    /// Replaced as a whole.
    Replace,
    /// Plain values: union.
    Union,
    /// Objects: by this field.
    ByKey(&'static str),
}

/// The patch tags of the built-in types.
fn list_merge(kind: &str, parent: &str, field: &str) -> ListMerge {
    use ListMerge::{ByKey, Replace, Union};
    match field {
        "ownerReferences" => ByKey("uid"),
        "finalizers" if parent == "metadata" => Union,
        "containers"
        | "initContainers"
        | "ephemeralContainers"
        | "volumes"
        | "schedulingGates"
        | "resourceClaims"
        | "env" => ByKey("name"),
        "imagePullSecrets" if kind != "ServiceAccount" => ByKey("name"),
        "secrets" if kind == "ServiceAccount" => ByKey("name"),
        "ports" if kind == "Service" => ByKey("port"),
        "ports" => ByKey("containerPort"),
        "volumeMounts" => ByKey("mountPath"),
        "volumeDevices" => ByKey("devicePath"),
        "hostAliases" | "podIPs" | "hostIPs" => ByKey("ip"),
        "topologySpreadConstraints" => ByKey("topologyKey"),
        "conditions" if kind != "CustomResourceDefinition" => ByKey("type"),
        _ => Replace,
    }
}

/// Maps that are replaced as a whole.
fn replaces_map(kind: &str, field: &str) -> bool {
    kind == "PodDisruptionBudget" && field == "selector"
}

/// Applies a patch to an object of this kind.
pub(super) fn merge(object: Value, patch: &Value, kind: &str) -> Result<Value, ApiStatus> {
    let original = match object {
        Value::Object(original) => original,
        _ => Map::new(),
    };
    let patch = patch.as_object().cloned().unwrap_or_default();
    Merger { kind }.map(original, patch, "", 0).map(Value::Object)
}

struct Merger<'a> {
    kind: &'a str,
}

fn bad_format(why: &str) -> ApiStatus {
    ApiStatus::bad_request(why)
}

impl Merger<'_> {
    fn map(
        &self,
        mut original: Map<String, Value>,
        mut patch: Map<String, Value>,
        parent: &str,
        depth: usize,
    ) -> Result<Map<String, Value>, ApiStatus> {
        if depth > MAX_DEPTH {
            return Err(bad_format("the patch nests too deeply"));
        }
        match patch.shift_remove(PATCH).as_ref().map(|d| d.as_str().unwrap_or_default()) {
            Some("replace") => return Ok(without_directives(patch, depth)),
            Some("delete") => return Ok(Map::new()),
            None | Some("merge") => {}
            Some(other) => {
                let why = format!("unknown patch type: {other} in map: map[$patch:{other}]");
                return Err(ApiStatus::new(500, StatusReason::Unknown, why));
            }
        }
        if let Some(keys) = patch.shift_remove(RETAIN_KEYS) {
            retain_keys(&mut original, &patch, &keys)?;
        }
        let orders = take_prefixed(&mut patch, SET_ORDER);
        let before: Vec<(String, Vec<Value>)> = orders
            .iter()
            .map(|(field, _)| {
                let items = original.get(field).and_then(Value::as_array).cloned().unwrap_or_default();
                (field.clone(), items)
            })
            .collect();
        let before_of = |field: &str| {
            before.iter().find(|(name, _)| name == field).map(|(_, items)| items.clone()).unwrap_or_default()
        };
        let deletions = take_prefixed(&mut patch, DELETE_FROM_LIST);
        for (field, gone) in deletions {
            let gone =
                gone.as_array().ok_or_else(|| bad_format("invalid patch format of primitive list"))?.clone();
            if let Some(Value::Array(items)) = original.get_mut(&field) {
                items.retain(|item| !gone.contains(item));
            }
        }
        for (field, value) in patch {
            self.field(&mut original, &field, value, parent, depth)?;
        }
        for (field, order) in orders {
            let merge = list_merge(self.kind, parent, &field);
            if let (Some(Value::Array(items)), Value::Array(order)) = (original.get_mut(&field), order) {
                *items = ordered(std::mem::take(items), &order, &before_of(&field), merge);
            }
        }
        Ok(original)
    }

    fn field(
        &self,
        original: &mut Map<String, Value>,
        field: &str,
        value: Value,
        parent: &str,
        depth: usize,
    ) -> Result<(), ApiStatus> {
        if value.is_null() {
            original.shift_remove(field);
            return Ok(());
        }
        let merged = match (original.get_mut(field).map(Value::take), value) {
            (Some(Value::Object(old)), Value::Object(new)) if !replaces_map(self.kind, field) => {
                Value::Object(self.map(old, new, field, depth + 1)?)
            }
            (None, Value::Object(new)) => Value::Object(self.map(Map::new(), new, field, depth + 1)?),
            (Some(Value::Array(_)), Value::Object(new)) => return Err(not_a_list(&Value::Object(new))),
            (_, Value::Object(new)) => Value::Object(without_directives(new, depth)),
            (old, Value::Array(new)) => {
                let old = match old {
                    Some(Value::Array(old)) => old,
                    _ => Vec::new(),
                };
                Value::Array(self.list(old, new, list_merge(self.kind, parent, field), field, depth + 1)?)
            }
            (_, new) => new,
        };
        original.insert(field.to_owned(), merged);
        Ok(())
    }

    fn list(
        &self,
        mut original: Vec<Value>,
        patch: Vec<Value>,
        merge: ListMerge,
        field: &str,
        depth: usize,
    ) -> Result<Vec<Value>, ApiStatus> {
        let directive = |item: &Value| item.get(PATCH).and_then(Value::as_str).map(str::to_owned);
        match merge {
            ListMerge::Replace => Ok(plain(patch, depth)),
            ListMerge::Union => {
                let before = original.clone();
                for item in &patch {
                    if !original.contains(item) {
                        original.push(item.clone());
                    }
                }
                Ok(ordered(original, &patch, &before, merge))
            }
            ListMerge::ByKey(_) if patch.iter().any(|item| directive(item).as_deref() == Some("replace")) => {
                let kept = patch.into_iter().filter(|item| directive(item).is_none()).collect();
                Ok(plain(kept, depth))
            }
            ListMerge::ByKey(key) => {
                let (order, before) = (patch.clone(), original.clone());
                for item in patch {
                    let Some(of) = item.get(key).cloned() else { return Err(no_merge_key(&item, key)) };
                    let place = original.iter().position(|candidate| candidate.get(key) == Some(&of));
                    match (directive(&item).as_deref(), place, item) {
                        (Some("delete"), Some(_), _) => {
                            original.retain(|candidate| candidate.get(key) != Some(&of));
                        }
                        (Some("delete"), None, _) => {}
                        (_, Some(place), Value::Object(item)) => {
                            let old = match original[place].take() {
                                Value::Object(old) => old,
                                _ => Map::new(),
                            };
                            original[place] = Value::Object(self.map(old, item, field, depth + 1)?);
                        }
                        (_, None, Value::Object(item)) => {
                            original.push(Value::Object(self.map(Map::new(), item, field, depth + 1)?));
                        }
                        (_, _, item) => return Err(no_merge_key(&item, key)),
                    }
                }
                Ok(ordered(original, &order, &before, merge))
            }
        }
    }
}

fn not_a_list(patch: &Value) -> ApiStatus {
    let error = FieldError::invalid("patch", &json!(patch.to_string()), "cannot restore slice from map");
    ApiStatus::invalid(&GroupKind::new("", ""), "", &[error])
}

fn no_merge_key(item: &Value, key: &str) -> ApiStatus {
    let why = format!("map: {item} does not contain declared merge key: {key}");
    ApiStatus::new(500, StatusReason::Unknown, why)
}

/// `$retainKeys` names all that may stay; what the patch sets must be among them.
fn retain_keys(
    original: &mut Map<String, Value>,
    patch: &Map<String, Value>,
    keys: &Value,
) -> Result<(), ApiStatus> {
    let keys = keys.as_array().ok_or_else(|| bad_format("invalid patch format of retainKeys"))?;
    let listed = |name: &String| keys.contains(&json!(name));
    if patch.iter().any(|(name, value)| !name.starts_with('$') && !value.is_null() && !listed(name)) {
        return Err(bad_format("invalid patch format of retainKeys"));
    }
    original.retain(|name, _| listed(name));
    Ok(())
}

/// Takes directives about fields out of a patch: `$setElementOrder/env` is about `env`.
fn take_prefixed(patch: &mut Map<String, Value>, prefix: &str) -> Vec<(String, Value)> {
    let names: Vec<String> = patch.keys().filter(|name| name.starts_with(prefix)).cloned().collect();
    let taken = names.into_iter().filter_map(|name| {
        let value = patch.shift_remove(&name)?;
        Some((name.strip_prefix(prefix)?.to_owned(), value))
    });
    taken.collect()
}

/// What a patch adds as new: without nulls and directives.
fn without_directives(patch: Map<String, Value>, depth: usize) -> Map<String, Value> {
    if depth > MAX_DEPTH {
        return patch;
    }
    let keep = patch.into_iter().filter(|(name, value)| !name.starts_with('$') && !value.is_null());
    keep.map(|(name, value)| (name, plain_value(value, depth + 1))).collect()
}

fn plain_value(value: Value, depth: usize) -> Value {
    match value {
        Value::Object(object) => Value::Object(without_directives(object, depth)),
        Value::Array(items) => Value::Array(plain(items, depth)),
        other => other,
    }
}

fn plain(items: Vec<Value>, depth: usize) -> Vec<Value> {
    items.into_iter().map(|item| plain_value(item, depth + 1)).collect()
}

/// Puts merged items into order: those that the patch names as it names them, the others among them as they were
/// (`mergeSortedSlice`).
fn ordered(items: Vec<Value>, patch: &[Value], before: &[Value], merge: ListMerge) -> Vec<Value> {
    let same = |a: &Value, b: &Value| match merge {
        ListMerge::ByKey(key) => a.get(key).is_some() && a.get(key) == b.get(key),
        _ => a == b,
    };
    let place = |list: &[Value], item: &Value| list.iter().position(|other| same(other, item));
    let (mut named, others): (Vec<_>, Vec<_>) =
        items.into_iter().partition(|item| place(patch, item).is_some());
    named.sort_by_key(|item| place(patch, item));
    let mut result = Vec::with_capacity(named.len() + others.len());
    let (mut named, mut others) = (named.into_iter().peekable(), others.into_iter().peekable());
    while let (Some(mine), Some(theirs)) = (named.peek(), others.peek()) {
        let known = (place(before, theirs), place(before, mine));
        let other_first = matches!(known, (Some(theirs), Some(mine)) if theirs < mine);
        result.extend(if other_first { others.next() } else { named.next() });
    }
    result.extend(named);
    result.extend(others);
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows() {
        let pod = |containers: Value| json!({"spec": {"containers": containers}});
        let rows = [
            (
                "Secret",
                json!({"data": {"a": "1", "b": "2"}}),
                json!({"data": {"a": null, "c": "3"}}),
                json!({"data": {"b": "2", "c": "3"}}),
            ),
            (
                "Pod",
                pod(
                    json!([{"name": "a", "image": "x", "env": [{"name": "E", "value": "1"}]}, {"name": "b"}]),
                ),
                pod(json!([{"name": "a", "env": [{"name": "F", "value": "2"}]}, {"name": "c"}])),
                pod(json!([
                    {"name": "a", "image": "x", "env": [{"name": "F", "value": "2"}, {"name": "E", "value": "1"}]},
                    {"name": "c"}, {"name": "b"}
                ])),
            ),
            (
                "Pod",
                pod(json!([{"name": "a"}, {"name": "b"}])),
                pod(json!([{"name": "a", "$patch": "delete"}])),
                pod(json!([{"name": "b"}])),
            ),
            (
                "Pod",
                pod(json!([{"name": "a"}, {"name": "b"}])),
                pod(json!([{"$patch": "replace"}, {"name": "c"}])),
                pod(json!([{"name": "c"}])),
            ),
            (
                "Pod",
                pod(json!([{"name": "a"}, {"name": "x"}, {"name": "b"}])),
                json!({"spec": {"containers": [{"name": "c"}], "$setElementOrder/containers": [{"name": "c"}, {"name": "b"}, {"name": "a"}]}}),
                pod(json!([{"name": "c"}, {"name": "x"}, {"name": "b"}, {"name": "a"}])),
            ),
            (
                "Pod",
                json!({"metadata": {"finalizers": ["a", "b"]}}),
                json!({"metadata": {"finalizers": ["c"], "$deleteFromPrimitiveList/finalizers": ["a"]}}),
                json!({"metadata": {"finalizers": ["c", "b"]}}),
            ),
            (
                "Deployment",
                json!({"spec": {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}}}),
                json!({"spec": {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}}),
                json!({"spec": {"strategy": {"type": "Recreate"}}}),
            ),
            (
                "Deployment",
                json!({"spec": {"selector": {"a": 1, "b": 2}}}),
                json!({"spec": {"selector": {"$patch": "replace", "c": 3}}}),
                json!({"spec": {"selector": {"c": 3}}}),
            ),
            (
                "ClusterRole",
                json!({"rules": [{"verbs": ["get"]}]}),
                json!({"rules": [{"verbs": ["list"]}]}),
                json!({"rules": [{"verbs": ["list"]}]}),
            ),
            (
                "Service",
                json!({"spec": {"ports": [{"port": 80, "name": "a"}]}}),
                json!({"spec": {"ports": [{"port": 80, "targetPort": 8080}, {"port": 81}]}}),
                json!({"spec": {"ports": [{"port": 80, "name": "a", "targetPort": 8080}, {"port": 81}]}}),
            ),
        ];
        for (kind, object, patch, expected) in rows {
            assert_eq!(merge(object, &patch, kind).unwrap(), expected, "{patch}");
        }
    }

    #[test]
    fn refusals() {
        let object = json!({"spec": {"containers": [{"name": "a"}]}});
        let no_key =
            merge(object.clone(), &json!({"spec": {"containers": [{"image": "x"}]}}), "Pod").unwrap_err();
        assert_eq!(no_key.message, "map: {\"image\":\"x\"} does not contain declared merge key: name");
        let odd = merge(object, &json!({"spec": {"$patch": "odd"}}), "Pod").unwrap_err();
        assert_eq!(
            (odd.code, odd.message.as_str()),
            (500, "unknown patch type: odd in map: map[$patch:odd]")
        );
    }
}
