//! Events, which two API groups show under different names (core v1 and events.k8s.io/v1).

use serde_json::{Value, json};

use super::{Behaviour, Change, Strategy, decode_built_in, text_at, value_at};
use crate::meta::format;
use crate::meta::object_meta::{self, Object};
use crate::resource::ResourceDefinition;
use crate::status::{ApiStatus, FieldError};

/// Core name, events.k8s.io name.
const RENAMED: [(&str, &str); 7] = [
    ("involvedObject", "regarding"),
    ("message", "note"),
    ("reportingComponent", "reportingController"),
    ("source", "deprecatedSource"),
    ("firstTimestamp", "deprecatedFirstTimestamp"),
    ("lastTimestamp", "deprecatedLastTimestamp"),
    ("count", "deprecatedCount"),
];

/// Turns an event of one group into the other's form.
pub(crate) fn convert(object: &mut Object, to_core: bool) {
    let given = std::mem::take(object);
    for (name, value) in given {
        let renamed = RENAMED.iter().find_map(|(core, other)| {
            let (from, to) = if to_core { (other, core) } else { (core, other) };
            (*from == name).then_some(*to)
        });
        let left_out =
            !to_core && value == "" && matches!(&*name, "reportingComponent" | "reportingInstance");
        if !left_out {
            object.insert(renamed.map_or(name, str::to_owned), value);
        }
    }
}

/// Events, in the form of the core group, which is the stored one.
pub(crate) struct Events {
    /// Whether written by way of events.k8s.io, which asks for more.
    pub(crate) is_new: bool,
}

impl Events {
    /// What only events.k8s.io asks for.
    fn check_new(object: &Object, has_time: bool, errors: &mut Vec<FieldError>) {
        if !has_time {
            errors.push(FieldError::required("eventTime", ""));
        }
        let kind = text_at(object, &["type"]);
        if !matches!(kind, "Normal" | "Warning") {
            errors.push(FieldError::invalid("type", &json!(kind), format!("has invalid value: {kind}")));
        }
    }
}

impl Strategy for Events {
    fn behaviour(&self) -> Behaviour {
        Behaviour { create_on_update: true, name_rule: format::path_segment_name, ..Behaviour::default() }
    }

    fn decode(&self, object: &mut Object, definition: &ResourceDefinition) -> Result<Vec<String>, ApiStatus> {
        decode_built_in(object, definition)
    }

    fn default(&self, object: &mut Object) {
        for field in ["involvedObject", "source"] {
            super::default_field(object, field, json!({}));
        }
        for field in ["firstTimestamp", "lastTimestamp", "eventTime"] {
            super::default_field(object, field, Value::Null);
        }
        for field in ["reportingComponent", "reportingInstance"] {
            super::default_field(object, field, json!(""));
        }
    }

    fn validate_create(&self, object: &Object, errors: &mut Vec<FieldError>) {
        let involved = text_at(object, &["involvedObject", "namespace"]);
        let namespace = object_meta::namespace(object);
        let path = "involvedObject.namespace";
        if involved.is_empty() {
            // Events about objects of the cluster live in `default`.
            if namespace != "default" && namespace != "kube-system" {
                let why = "does not match event.namespace";
                errors.push(FieldError::invalid(path, &json!(involved), why));
            }
        } else if involved != namespace {
            let why = "does not match event.namespace";
            errors.push(FieldError::invalid(path, &json!(involved), why));
        }
        let has_time = value_at(object, &["eventTime"]).is_some_and(Value::is_string);
        if self.is_new {
            Self::check_new(object, has_time, errors);
        }
        if has_time {
            for field in ["reportingController", "reportingInstance", "action", "reason"] {
                let stored = if field == "reportingController" { "reportingComponent" } else { field };
                if text_at(object, &[stored]).is_empty() {
                    errors.push(FieldError::required(field, ""));
                }
            }
        }
    }

    fn prepare_update(&self, _object: &mut Object, _change: Change<'_>) {}

    fn validate_update(&self, object: &Object, _change: Change<'_>, errors: &mut Vec<FieldError>) {
        self.validate_create(object, errors);
    }

    fn selectable(&self, object: &Object, field: &str) -> String {
        let path: Vec<&str> = field.split('.').collect();
        match path.as_slice() {
            ["source"] => {
                let source = text_at(object, &["source", "component"]);
                let source =
                    if source.is_empty() { text_at(object, &["reportingComponent"]) } else { source };
                source.to_owned()
            }
            path => text_at(object, path).to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conversion_is_reversible() {
        let core = json!({"involvedObject": {"name": "x"}, "message": "m", "reason": "r", "count": 1});
        let other = json!({"regarding": {"name": "x"}, "note": "m", "reason": "r", "deprecatedCount": 1});
        let mut object = core.as_object().cloned().unwrap();
        convert(&mut object, false);
        assert_eq!(Value::Object(object.clone()), other);
        convert(&mut object, true);
        assert_eq!(Value::Object(object), core);
    }
}
