//! The patch languages: JSON patch (RFC 6902), JSON merge patch (RFC 7386), strategic merge patch (Kubernetes).

mod strategic;

use serde_json::Value;

use crate::status::{ApiStatus, StatusReason};

/// Media type of JSON patch.
pub const JSON_PATCH: &str = "application/json-patch+json";
/// Media type of JSON merge patch.
pub const MERGE_PATCH: &str = "application/merge-patch+json";
/// Media type of strategic merge patch.
pub const STRATEGIC_MERGE_PATCH: &str = "application/strategic-merge-patch+json";
const APPLY_PATCHES: [&str; 2] = ["application/apply-patch+yaml", "application/apply-patch+cbor"];

/// Nesting that any JSON reader follows. A body is bounded by ours; patches could build deeper objects.
pub(crate) const MAX_DEPTH: usize = 100;

/// Operations that one JSON patch may hold.
const MAX_OPERATIONS: usize = 10_000;
/// Bytes of JSON that the copies of one JSON patch may add (`--json-patch-max-copy-bytes`).
const MAX_COPIED_BYTES: usize = 3 << 20;

/// A patch, read but not yet applied.
#[derive(Clone, Debug, PartialEq)]
pub enum Patch {
    /// `application/json-patch+json`
    Json(json_patch::Patch),
    /// `application/merge-patch+json`
    Merge(Value),
    /// `application/strategic-merge-patch+json`; built-in resources only.
    StrategicMerge(Value),
}

impl Patch {
    /// Reads a patch of this media type (parameters after `;` are ignored). 415 for others, and for server-side
    /// apply, which is not served.
    pub fn parse(media_type: &str, body: &[u8]) -> Result<Self, ApiStatus> {
        match media_type.split(';').next().unwrap_or_default().trim() {
            JSON_PATCH => json_patch_from(body),
            MERGE_PATCH => Ok(Self::Merge(object_from(body)?)),
            STRATEGIC_MERGE_PATCH => Ok(Self::StrategicMerge(object_from(body)?)),
            apply if APPLY_PATCHES.contains(&apply) => Err(no_server_side_apply()),
            _ => Err(ApiStatus::unsupported_media_type(&[JSON_PATCH, MERGE_PATCH, APPLY_PATCHES[0]])),
        }
    }

    /// Applies the patch to an object of this kind.
    pub(crate) fn apply(&self, object: &mut Value, kind: &str) -> Result<(), ApiStatus> {
        match self {
            Self::Json(patch) => apply_json_patch(object, patch),
            Self::Merge(patch) => {
                json_patch::merge(object, patch);
                Ok(())
            }
            Self::StrategicMerge(patch) => {
                let patched = strategic::merge(object.take(), patch, kind)?;
                *object = patched;
                Ok(())
            }
        }
    }
}

fn decoding_error(error: impl std::fmt::Display) -> ApiStatus {
    ApiStatus::bad_request(format!("error decoding patch: {error}"))
}

fn json_patch_from(body: &[u8]) -> Result<Patch, ApiStatus> {
    let operations: Value = serde_json::from_slice(body).map_err(decoding_error)?;
    if operations.is_object() {
        let error = "json: cannot unmarshal object into Go value of type []handlers.jsonPatchOp";
        return Err(decoding_error(error));
    }
    // An operation that there is not fails like one that does not fit.
    let patch: json_patch::Patch = serde_json::from_value(operations).map_err(|_| does_not_apply())?;
    if patch.len() > MAX_OPERATIONS {
        return Err(ApiStatus::request_entity_too_large(format!(
            "The allowed maximum operations in a JSON patch is {MAX_OPERATIONS}, got {}",
            patch.len()
        )));
    }
    Ok(Patch::Json(patch))
}

fn object_from(body: &[u8]) -> Result<Value, ApiStatus> {
    match serde_json::from_slice(body).map_err(|_| ApiStatus::bad_request("invalid JSON patch"))? {
        object @ Value::Object(_) => Ok(object),
        other => {
            let found = match other {
                Value::Array(_) => "array",
                Value::String(_) => "string",
                Value::Bool(_) => "bool",
                Value::Number(_) => "number",
                Value::Null | Value::Object(_) => "null",
            };
            let error =
                format!("json: cannot unmarshal {found} into Go value of type map[string]interface {{}}");
            Err(decoding_error(error))
        }
    }
}

/// Operation by operation, so that copies of copies do not fill the memory.
fn apply_json_patch(object: &mut Value, patch: &json_patch::Patch) -> Result<(), ApiStatus> {
    let mut copied = 0;
    for operation in patch.iter() {
        if !stays_shallow(object, operation) {
            return Err(does_not_apply());
        }
        if let json_patch::PatchOperation::Copy(copy) = operation {
            copied += copy.from.resolve(object).map_or(0, |source| source.to_string().len());
            if copied > MAX_COPIED_BYTES {
                return Err(does_not_apply());
            }
        }
        let operation = match operation {
            json_patch::PatchOperation::Replace(replace) if is_absent_member(object, &replace.path) => {
                json_patch::PatchOperation::Add(json_patch::AddOperation {
                    path: replace.path.clone(),
                    value: replace.value.clone(),
                })
            }
            other => other.clone(),
        };
        json_patch::patch(object, &[operation]).map_err(|_| does_not_apply())?;
    }
    Ok(())
}

/// Whether the object nests no deeper than [`MAX_DEPTH`] can explain: copies of copies double the depth each time, and walking
/// through a value takes stack for each level.
fn stays_shallow(object: &Value, operation: &json_patch::PatchOperation) -> bool {
    let from = match operation {
        json_patch::PatchOperation::Copy(copy) => Some(&copy.from),
        json_patch::PatchOperation::Move(from) => Some(&from.from),
        _ => None,
    };
    let moved = from.and_then(|from| object.pointer(from.as_str()));
    operation.path().count() <= MAX_DEPTH && moved.is_none_or(|moved| !nests_deeper(moved, MAX_DEPTH))
}

/// Whether a value has more levels than these.
pub(crate) fn nests_deeper(value: &Value, levels: usize) -> bool {
    let within = |child: &Value| levels == 0 || nests_deeper(child, levels - 1);
    match value {
        Value::Array(items) => items.iter().any(within),
        Value::Object(fields) => fields.values().any(within),
        _ => false,
    }
}

/// The real server's library adds a member that is to be replaced and is not there.
fn is_absent_member(object: &Value, path: &json_patch::jsonptr::Pointer) -> bool {
    let parent = path.parent().and_then(|parent| object.pointer(parent.as_str()));
    parent.is_some_and(Value::is_object) && object.pointer(path.as_str()).is_none()
}

/// 422 for a JSON patch whose test fails or whose path leads nowhere. The real server does not say which.
fn does_not_apply() -> ApiStatus {
    ApiStatus::unprocessable("the server rejected our request due to an error in our request")
}

fn no_server_side_apply() -> ApiStatus {
    ApiStatus::new(
        415,
        StatusReason::UnsupportedMediaType,
        format!(
            "server-side apply is not supported by this server: apply on the client side (`kubectl apply` without \
             `--server-side`), or send one of the accepted media types: {JSON_PATCH}, {MERGE_PATCH}, \
             {STRATEGIC_MERGE_PATCH}"
        ),
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn applied(media_type: &str, patch: &Value, mut object: Value) -> Result<Value, ApiStatus> {
        let patch = Patch::parse(media_type, patch.to_string().as_bytes())?;
        patch.apply(&mut object, "Secret").map(|()| object)
    }

    #[test]
    fn json_patches() {
        let object = json!({"a": {"b": 1}, "l": [1]});
        let rows = [
            (
                json!([{"op": "add", "path": "/a/c", "value": 2}]),
                Some(json!({"a": {"b": 1, "c": 2}, "l": [1]})),
            ),
            (json!([{"op": "remove", "path": "/a"}]), Some(json!({"l": [1]}))),
            (json!([{"op": "add", "path": "/l/-", "value": 2}]), Some(json!({"a": {"b": 1}, "l": [1, 2]}))),
            (json!([{"op": "test", "path": "/a/b", "value": 2}]), None),
            (
                json!([{"op": "replace", "path": "/x", "value": 2}]),
                Some(json!({"a": {"b": 1}, "l": [1], "x": 2})),
            ),
            (json!([{"op": "replace", "path": "/x/y", "value": 2}]), None),
            (json!([{"op": "remove", "path": "/x"}]), None),
        ];
        for (patch, expected) in rows {
            let result = applied(JSON_PATCH, &patch, object.clone());
            let refused = |status: ApiStatus| (status.code, status.reason);
            assert_eq!(result.map_err(refused), expected.ok_or((422, StatusReason::Invalid)), "{patch}");
        }
    }

    #[test]
    fn copies_of_copies_are_bounded() {
        let doubling: Vec<Value> =
            (0..64).map(|step| json!({"op": "copy", "from": "", "path": format!("/a{step}")})).collect();
        let applied = applied(JSON_PATCH, &json!(doubling), json!({"x": "y".repeat(100)}));
        assert_eq!(applied.map(|_| "applied").map_err(|status| status.code), Err(422));
    }

    #[test]
    fn merge_patches() {
        let object = json!({"a": {"b": 1, "c": [1, 2]}, "d": 1});
        assert_eq!(
            applied(MERGE_PATCH, &json!({"a": {"b": null, "c": [3]}, "e": {"f": null, "g": 1}}), object),
            Ok(json!({"a": {"c": [3]}, "d": 1, "e": {"g": 1}}))
        );
    }

    #[test]
    fn refusals() {
        let rows = [
            ("text/plain", "{}", 415),
            ("application/apply-patch+yaml", "a: b", 415),
            (MERGE_PATCH, "[]", 400),
            (MERGE_PATCH, "{", 400),
            (JSON_PATCH, "{}", 400),
            (JSON_PATCH, "[{\"op\":\"odd\",\"path\":\"/a\"}]", 422),
            (STRATEGIC_MERGE_PATCH, "1", 400),
        ];
        for (media_type, body, code) in rows {
            assert_eq!(
                Patch::parse(media_type, body.as_bytes()).unwrap_err().code,
                code,
                "{media_type} {body}"
            );
        }
        let many = vec![json!({"op": "remove", "path": "/a"}); MAX_OPERATIONS + 1];
        assert_eq!(Patch::parse(JSON_PATCH, json!(many).to_string().as_bytes()).unwrap_err().code, 413);
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<i32>().prop_map(Value::from),
            "[a-z/~$]{0,5}".prop_map(Value::from)
        ];
        let key = prop::sample::select(vec![
            "op",
            "path",
            "value",
            "from",
            "$patch",
            "$retainKeys",
            "$setElementOrder/env",
            "env",
            "name",
            "containers",
            "finalizers",
            "$deleteFromPrimitiveList/finalizers",
            "metadata",
            "spec",
            "a",
        ]);
        leaf.prop_recursive(4, 32, 4, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::vec((key.clone(), inner), 0..4).prop_map(|entries| {
                    Value::Object(entries.into_iter().map(|(k, v)| (k.to_owned(), v)).collect())
                }),
            ]
        })
    }

    proptest! {
        #[test]
        fn any_patch_applies_or_is_refused(patch in any_json(), object in any_json()) {
            for media_type in [JSON_PATCH, MERGE_PATCH, STRATEGIC_MERGE_PATCH] {
                let _ = applied(media_type, &patch, object.clone());
            }
        }

        #[test]
        fn any_bytes_are_read_or_refused(body in prop::collection::vec(any::<u8>(), 0..60)) {
            for media_type in [JSON_PATCH, MERGE_PATCH, STRATEGIC_MERGE_PATCH] {
                let _ = Patch::parse(media_type, &body);
            }
        }
    }
}
