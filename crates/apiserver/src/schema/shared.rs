//! Compiled schemas, shared by the clusters of a process: the same CRDs are installed in all of them, and compiling
//! CEL is dear.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;

use super::{Schema, parse_at};
use crate::status::{FieldError, FieldPath};

/// Schemas kept for the next cluster. More CRDs than that are compiled again.
const KEPT: usize = 128;

struct Entry {
    hash: u64,
    source: Box<str>,
    schema: Arc<Schema>,
}

static RECENT: Mutex<VecDeque<Entry>> = Mutex::new(VecDeque::new());

/// Compiles a schema, or finds one compiled before from the same text.
pub(crate) fn compile(schema: &Value, path: &FieldPath<'_>) -> Result<Arc<Schema>, Vec<FieldError>> {
    let source = schema.to_string();
    let mut hasher = DefaultHasher::new();
    source.hash(&mut hasher);
    let hash = hasher.finish();
    let lock = || RECENT.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(entry) = lock().iter().find(|e| e.hash == hash && *e.source == *source) {
        return Ok(entry.schema.clone());
    }
    let compiled = Arc::new(parse_at(schema, path)?);
    let mut recent = lock();
    if recent.len() >= KEPT {
        recent.pop_front();
    }
    recent.push_back(Entry { hash, source: source.into(), schema: compiled.clone() });
    Ok(compiled)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_same_text_is_compiled_once() {
        let schema = json!({"type": "object", "properties": {"only-here": {"type": "string"}}});
        let first = compile(&schema, &FieldPath::ROOT).unwrap();
        let second = compile(&schema.clone(), &FieldPath::ROOT).unwrap();
        assert!(Arc::ptr_eq(&first, &second));
        assert!(compile(&json!({}), &FieldPath::ROOT).is_err());
    }
}
