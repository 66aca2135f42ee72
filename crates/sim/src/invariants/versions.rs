//! Never 7: a write decided on a state that has changed since. And never one that says what is there already.

use certmesh_controllers::ApiVerb;
use serde_json::Value;

use super::ensure;
use crate::witness::{History, Object, Write};

/// Updates carry uid and resourceVersion, deletions the uid, creations a fixed name.
pub(crate) fn write_names_the_version_it_was_decided_on(write: &Write, _: &History) -> Result<(), String> {
    if !write.is_ours() {
        return Ok(());
    }
    let has =
        |body: &Value, field: &str| body["metadata"][field].as_str().is_some_and(|text| !text.is_empty());
    let holds = match &write.verb {
        ApiVerb::Get => true,
        ApiVerb::Create(body) => has(body, "name") && !has(body, "generateName"),
        ApiVerb::Update(body) | ApiVerb::UpdateStatus(body) => {
            has(body, "uid") && has(body, "resourceVersion")
        }
        ApiVerb::Delete { uid, .. } => !uid.is_empty(),
    };
    ensure(holds, || format!("{} is written without a precondition", write.name))
}

/// A write changes something.
pub(crate) fn no_write_says_the_same_again(write: &Write, _: &History) -> Result<(), String> {
    if !write.is_ours() || !write.taken || write.body().is_none() {
        return Ok(());
    }
    let version = |object: &Option<Object>| object.as_ref().and_then(Object::version);
    let same = write.before.is_some() && version(&write.before) == version(&write.after);
    ensure(!same, || format!("a write to {} changes nothing", write.name))
}
