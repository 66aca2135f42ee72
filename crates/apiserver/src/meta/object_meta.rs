//! Reading and preparing `metadata`: what the server fills in, keeps, and wipes.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::status::{ApiStatus, FieldError};

/// An object, as a JSON map.
pub(crate) type Object = Map<String, Value>;

/// Finalizer of `propagationPolicy=Orphan`.
pub(crate) const FINALIZER_ORPHAN: &str = "orphan";
/// Finalizer of `propagationPolicy=Foreground`.
pub(crate) const FINALIZER_FOREGROUND: &str = "foregroundDeletion";

/// Characters of a generated name's random end: no vowels, so no words.
const SUFFIX_CHARACTERS: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";
const SUFFIX_LEN: usize = 5;
/// A `generateName` longer than this is cut before the suffix is added.
const MAX_GENERATED_STEM: usize = 63 - SUFFIX_LEN;

fn metadata(object: &Object) -> Option<&Object> {
    object.get("metadata")?.as_object()
}

/// `metadata`, made if absent.
pub(crate) fn metadata_mut(object: &mut Object) -> &mut Object {
    let metadata = object.entry("metadata").or_insert_with(|| json!({}));
    if !metadata.is_object() {
        *metadata = json!({});
    }
    metadata.as_object_mut().expect("made an object just above")
}

/// A text field of `metadata`; empty when absent.
pub(crate) fn text<'a>(object: &'a Object, field: &str) -> &'a str {
    metadata(object).and_then(|m| m.get(field)).and_then(Value::as_str).unwrap_or_default()
}

/// `metadata.name`
pub(crate) fn name(object: &Object) -> &str {
    text(object, "name")
}

/// `metadata.namespace`
pub(crate) fn namespace(object: &Object) -> &str {
    text(object, "namespace")
}

/// `metadata.generation`, 0 when absent.
pub(crate) fn generation(object: &Object) -> i64 {
    metadata(object).and_then(|m| m.get("generation")).and_then(Value::as_i64).unwrap_or(0)
}

/// Sets `metadata.generation`; 0 removes it.
pub(crate) fn set_generation(object: &mut Object, generation: i64) {
    set_or_remove(object, "generation", (generation != 0).then(|| json!(generation)));
}

/// Sets or removes a field of `metadata`.
pub(crate) fn set_or_remove(object: &mut Object, field: &str, value: Option<Value>) {
    let metadata = metadata_mut(object);
    match value {
        Some(value) => {
            metadata.insert(field.to_owned(), value);
        }
        None => {
            metadata.shift_remove(field);
        }
    }
}

/// A field of `metadata`.
pub(crate) fn field<'a>(object: &'a Object, name: &str) -> Option<&'a Value> {
    metadata(object)?.get(name)
}

/// `metadata.finalizers`
pub(crate) fn finalizers(object: &Object) -> Vec<&str> {
    let list = field(object, "finalizers").and_then(Value::as_array);
    list.into_iter().flatten().filter_map(Value::as_str).collect()
}

/// Sets `metadata.finalizers`; an empty list removes the field.
pub(crate) fn set_finalizers(object: &mut Object, finalizers: &[String]) {
    set_or_remove(object, "finalizers", (!finalizers.is_empty()).then(|| json!(finalizers)));
}

/// Whether deletion was asked for.
pub(crate) fn is_terminating(object: &Object) -> bool {
    field(object, "deletionTimestamp").is_some()
}

/// `metadata.deletionGracePeriodSeconds`
pub(crate) fn grace_period(object: &Object) -> Option<i64> {
    field(object, "deletionGracePeriodSeconds").and_then(Value::as_i64)
}

/// A time as `metav1.Time` prints it: UTC, whole seconds.
pub(crate) fn format_time(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// A uid (version 4) of 128 random bits.
pub(crate) fn format_uid(high: u64, low: u64) -> String {
    let high = (high & !0xF000) | 0x4000;
    let low = (low & !(0b11 << 62)) | (0b10 << 62);
    format!(
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        high >> 32,
        (high >> 16) & 0xFFFF,
        high & 0xFFFF,
        low >> 48,
        low & 0xFFFF_FFFF_FFFF
    )
}

/// `generateName` and five random characters.
pub(crate) fn generate_name(stem: &str, mut random: u64) -> String {
    let mut end = stem.len().min(MAX_GENERATED_STEM);
    while !stem.is_char_boundary(end) {
        end -= 1;
    }
    let mut name = stem[..end].to_owned();
    for _ in 0..SUFFIX_LEN {
        let pick = usize::try_from(random % 27).unwrap_or_default();
        name.push(char::from(SUFFIX_CHARACTERS[pick]));
        random /= 27;
    }
    name
}

/// Takes away what a client may not set on a new object (`rest.WipeObjectMetaSystemFields`).
pub(crate) fn wipe_system_fields(object: &mut Object) {
    let metadata = metadata_mut(object);
    for field in [
        "selfLink",
        "uid",
        "creationTimestamp",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "managedFields",
    ] {
        metadata.shift_remove(field);
    }
}

/// Puts `metadata` into the order in which the real server prints it.
pub(crate) fn order_fields(object: &mut Object) {
    const ORDER: [&str; 14] = [
        "name",
        "generateName",
        "namespace",
        "selfLink",
        "uid",
        "resourceVersion",
        "generation",
        "creationTimestamp",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "labels",
        "annotations",
        "ownerReferences",
        "finalizers",
    ];
    let metadata = metadata_mut(object);
    let mut given = std::mem::take(metadata);
    for field in ORDER {
        if let Some(value) = given.shift_remove(field) {
            metadata.insert(field.to_owned(), value);
        }
    }
    metadata.append(&mut given);
}

/// The namespace of the object is the request's, or absent (`EnsureObjectNamespaceMatchesRequestNamespace`).
pub(crate) fn match_request_namespace(object: &mut Object, requested: Option<&str>) -> Result<(), ApiStatus> {
    match (namespace(object), requested) {
        (given, Some(requested)) if given == requested => Ok(()),
        ("", Some(requested)) => {
            set_or_remove(object, "namespace", Some(json!(requested)));
            Ok(())
        }
        (_, None) => {
            set_or_remove(object, "namespace", None);
            Ok(())
        }
        _ => Err(ApiStatus::bad_request(
            "the namespace of the provided object does not match the namespace sent on the request",
        )),
    }
}

/// After PrepareForUpdate: what an update never changes (`rest.BeforeUpdate`).
pub(crate) fn keep_system_fields(object: &mut Object, old: &Object) {
    metadata_mut(object).shift_remove("managedFields");
    metadata_mut(object).shift_remove("selfLink");
    if text(object, "uid").is_empty() {
        set_or_remove(object, "uid", field(old, "uid").cloned());
    }
    for kept in ["creationTimestamp", "deletionTimestamp"] {
        if let Some(value) = field(old, kept) {
            set_or_remove(object, kept, Some(value.clone()));
        }
    }
    if field(object, "deletionGracePeriodSeconds").is_none() {
        set_or_remove(
            object,
            "deletionGracePeriodSeconds",
            field(old, "deletionGracePeriodSeconds").cloned(),
        );
    }
}

/// Marks for deletion an object that waits for finalizers; says whether anything changed (`markAsDeleting`).
pub(crate) fn mark_as_deleting(object: &mut Object, now: Timestamp) {
    if !is_terminating(object) {
        let generation = generation(object);
        if generation > 0 {
            set_generation(object, generation + 1);
        }
        set_or_remove(object, "deletionTimestamp", Some(json!(format_time(now))));
    }
    set_or_remove(object, "deletionGracePeriodSeconds", Some(json!(0)));
}

/// Labels as pairs, in the object's order.
pub(crate) fn labels(object: &Object) -> impl Iterator<Item = (&str, &str)> {
    let labels = field(object, "labels").and_then(Value::as_object);
    labels.into_iter().flatten().filter_map(|(k, v)| Some((k.as_str(), v.as_str()?)))
}

/// Fields that may be null or empty on the way in, and are absent on the way out.
pub(crate) fn drop_empty(object: &mut Object) {
    let metadata = metadata_mut(object);
    metadata.retain(|_, value| match value {
        Value::Null => false,
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(map) => !map.is_empty(),
        Value::Bool(_) | Value::Number(_) => true,
    });
    if metadata.get("generation").and_then(Value::as_i64) == Some(0) {
        metadata.shift_remove("generation");
    }
}

/// 422 for a version that an update needs and does not have.
pub(crate) fn resource_version_required() -> FieldError {
    FieldError::invalid("metadata.resourceVersion", &json!(0), "must be specified for an update")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uids_are_version_4() {
        assert_eq!(format_uid(u64::MAX, u64::MAX), "ffffffff-ffff-4fff-bfff-ffffffffffff");
        assert_eq!(format_uid(0, 0), "00000000-0000-4000-8000-000000000000");
    }

    #[test]
    fn generated_names_are_cut_to_63() {
        let name = generate_name(&"a".repeat(80), 12345);
        assert_eq!(name.len(), 63);
        assert!(name.starts_with(&"a".repeat(58)));
        assert_eq!(generate_name("web-", 0), "web-bbbbb");
        assert_eq!(generate_name(&"\u{e9}".repeat(40), 0).chars().count(), 29 + 5);
    }

    #[test]
    fn request_namespace() {
        let object = |ns: &str| json!({"metadata": {"namespace": ns}}).as_object().cloned().unwrap();
        let rows = [
            ("a", Some("a"), Some("a")),
            ("", Some("a"), Some("a")),
            ("a", None, Some("")),
            ("b", Some("a"), None),
        ];
        for (given, requested, expected) in rows {
            let mut object = object(given);
            let result = match_request_namespace(&mut object, requested);
            assert_eq!(result.is_ok().then(|| namespace(&object)), expected, "{given} {requested:?}");
        }
    }

    #[test]
    fn order_is_the_printed_one() {
        let mut object = json!({"metadata": {"zz": 1, "uid": "u", "name": "n", "labels": {}}})
            .as_object()
            .cloned()
            .unwrap();
        order_fields(&mut object);
        let keys: Vec<&String> = object["metadata"].as_object().unwrap().keys().collect();
        assert_eq!(keys, ["name", "uid", "labels", "zz"]);
    }

    #[test]
    fn marking_bumps_the_generation_once() {
        let mut object = json!({"metadata": {"generation": 3}}).as_object().cloned().unwrap();
        let now = "2024-01-02T03:04:05.6Z".parse().unwrap();
        mark_as_deleting(&mut object, now);
        mark_as_deleting(&mut object, now);
        assert_eq!(
            object["metadata"],
            json!({
                "generation": 4,
                "deletionTimestamp": "2024-01-02T03:04:05Z",
                "deletionGracePeriodSeconds": 0
            })
        );
    }
}
