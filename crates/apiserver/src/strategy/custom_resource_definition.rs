//! CustomResourceDefinitions: defaults and checks (apiextensions `pkg/apis/apiextensions/{v1/defaults,validation}`).
//! That they register resources is the store's business.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{
    Behaviour, Change, Strategy, api_approval, count_generation, decode_built_in, default_field, keep,
    object_at, text_at, value_at,
};
use crate::meta::format;
use crate::meta::object_meta::{self, Object};
use crate::meta::validate::IMMUTABLE;
use crate::resource::ResourceDefinition;
use crate::schema;
use crate::status::{ApiStatus, FieldError, FieldPath};
use crate::store::Subresource;

/// CustomResourceDefinitions.
pub(crate) struct CustomResourceDefinitions;

impl Strategy for CustomResourceDefinitions {
    fn behaviour(&self) -> Behaviour {
        Behaviour { unconditional_update: false, ..Behaviour::default() }
    }

    fn decode(&self, object: &mut Object, definition: &ResourceDefinition) -> Result<Vec<String>, ApiStatus> {
        decode_built_in(object, definition)
    }

    fn default(&self, object: &mut Object) {
        let spec = object_at(object, "spec");
        let names = object_at(spec, "names");
        if let Some(kind) = names.get("kind").and_then(Value::as_str).map(str::to_owned) {
            default_field(names, "singular", json!(kind.to_lowercase()));
            default_field(names, "listKind", json!(format!("{kind}List")));
        }
        default_field(object_at(spec, "conversion"), "strategy", json!("None"));
        spec.retain(|name, value| name != "preserveUnknownFields" || *value != Value::Bool(false));
    }

    fn prepare_create(&self, object: &mut Object) {
        let storage = storage_versions(object);
        let status = json!({
            "conditions": null,
            "acceptedNames": {"plural": "", "kind": ""},
            "storedVersions": storage,
        });
        object.insert("status".to_owned(), status);
        object_meta::set_generation(object, 1);
    }

    fn validate_create(&self, object: &Object, errors: &mut Vec<FieldError>) {
        check_name(object, errors);
        check_spec(object, errors);
        if storage_versions(object).is_empty() {
            let why = "must have at least one stored version";
            errors.push(FieldError::invalid("status.storedVersions", &Value::Null, why));
        }
        api_approval::check(object, None, errors);
    }

    fn prepare_update(&self, object: &mut Object, change: Change<'_>) {
        if change.subresource == Subresource::Status {
            keep(object, change.old, "spec");
            for field in ["labels", "annotations", "finalizers", "ownerReferences"] {
                object_meta::set_or_remove(object, field, object_meta::field(change.old, field).cloned());
            }
            return;
        }
        keep(object, change.old, "status");
        count_generation(object, change.old, "spec");
        // Objects may exist in every version that ever was the storage version.
        let added = storage_versions(object);
        let stored = object_at(object, "status").entry("storedVersions").or_insert_with(|| json!([]));
        if let Value::Array(stored) = stored {
            for version in added {
                if !stored.contains(&json!(version)) {
                    stored.push(json!(version));
                }
            }
        }
    }

    fn validate_update(&self, object: &Object, change: Change<'_>, errors: &mut Vec<FieldError>) {
        if change.subresource == Subresource::Status {
            return;
        }
        check_spec(object, errors);
        api_approval::check(object, Some(change.old), errors);
        let mut fields = Vec::new();
        if has_condition(change.old, "Established") {
            fields.extend([vec!["spec", "scope"], vec!["spec", "names", "kind"]]);
        }
        fields.extend([vec!["spec", "group"], vec!["spec", "names", "plural"]]);
        for field in fields {
            let (new, old) = (value_at(object, &field), value_at(change.old, &field));
            if new != old {
                errors.push(FieldError::invalid(field.join("."), new.unwrap_or(&Value::Null), IMMUTABLE));
            }
        }
        check_stored_versions(object, errors);
    }
}

/// Whether a condition is True.
pub(crate) fn has_condition(crd: &Object, condition: &str) -> bool {
    let conditions = value_at(crd, &["status", "conditions"]).and_then(Value::as_array);
    conditions
        .into_iter()
        .flatten()
        .any(|c| c.get("type") == Some(&json!(condition)) && c.get("status") == Some(&json!("True")))
}

fn versions(crd: &Object) -> impl Iterator<Item = &Value> {
    value_at(crd, &["spec", "versions"]).and_then(Value::as_array).into_iter().flatten()
}

fn version_name(version: &Value) -> &str {
    version.get("name").and_then(Value::as_str).unwrap_or_default()
}

fn storage_versions(crd: &Object) -> Vec<String> {
    let storage = |v: &&Value| v.get("storage") == Some(&Value::Bool(true));
    versions(crd).filter(storage).map(|v| version_name(v).to_owned()).collect()
}

fn check_name(crd: &Object, errors: &mut Vec<FieldError>) {
    let name = object_meta::name(crd);
    let (plural, group) = (text_at(crd, &["spec", "names", "plural"]), text_at(crd, &["spec", "group"]));
    if name != format!("{plural}.{group}") {
        let why = "must be spec.names.plural+\".\"+spec.group";
        errors.push(FieldError::invalid("metadata.name", &json!(name), why));
    }
}

fn check_spec(crd: &Object, errors: &mut Vec<FieldError>) {
    check_group_and_scope(crd, errors);
    check_versions(crd, errors);
    check_names(crd, errors);
}

fn check_group_and_scope(crd: &Object, errors: &mut Vec<FieldError>) {
    let group = text_at(crd, &["spec", "group"]);
    if group.is_empty() {
        errors.push(FieldError::required("spec.group", ""));
    } else {
        let findings = format::dns1123_subdomain(group);
        if !findings.is_empty() {
            errors.push(FieldError::invalid("spec.group", &json!(group), findings.join(",")));
        } else if !group.contains('.') {
            let why = "should be a domain with at least one dot";
            errors.push(FieldError::invalid("spec.group", &json!(group), why));
        }
    }
    let scope = text_at(crd, &["spec", "scope"]);
    let scopes = ["Cluster", "Namespaced"];
    if scope.is_empty() {
        errors.push(FieldError::required("spec.scope", ""));
    } else if !scopes.contains(&scope) {
        errors.push(FieldError::not_supported("spec.scope", &json!(scope), &scopes));
    }
}

fn check_names(crd: &Object, errors: &mut Vec<FieldError>) {
    let text = |field: &str| text_at(crd, &["spec", "names", field]);
    let mut label = |field: &str, value: &str, lower: bool| {
        let path = format!("spec.names.{field}");
        let checked = if lower { value.to_owned() } else { value.to_lowercase() };
        let findings = format::dns1035_label(&checked);
        if !findings.is_empty() {
            let mixed = if lower { "" } else { "may have mixed case, but should otherwise match: " };
            errors.push(FieldError::invalid(path, &json!(value), format!("{mixed}{}", findings.join(","))));
        }
    };
    for (field, lower) in [("plural", true), ("singular", true), ("kind", false), ("listKind", false)] {
        let value = text(field);
        if value.is_empty() {
            continue;
        }
        label(field, value, lower);
    }
    for list in ["shortNames", "categories"] {
        let entries = value_at(crd, &["spec", "names", list]).and_then(Value::as_array);
        for (i, entry) in entries.into_iter().flatten().enumerate() {
            label(&format!("{list}[{i}]"), entry.as_str().unwrap_or_default(), true);
        }
    }
    for field in ["plural", "kind"] {
        if text(field).is_empty() {
            errors.push(FieldError::required(format!("spec.names.{field}"), ""));
        }
    }
    if !text("kind").is_empty() && text("kind") == text("listKind") {
        let why = "kind and listKind may not be the same";
        errors.push(FieldError::invalid("spec.names.listKind", &json!(text("listKind")), why));
    }
}

fn check_versions(crd: &Object, errors: &mut Vec<FieldError>) {
    let list = &go_versions(crd);
    let mut names = BTreeSet::new();
    for (i, version) in versions(crd).enumerate() {
        let path = format!("spec.versions[{i}]");
        let name = version_name(version);
        let findings = format::dns1035_label(name);
        if !findings.is_empty() {
            errors.push(FieldError::invalid(format!("{path}.name"), &json!(name), findings.join(",")));
            if i == 0 {
                // The first version's old name.
                errors.push(FieldError::invalid("spec.version", &json!(name), findings.join(",")));
            }
        }
        if !names.insert(name) {
            let why = "must contain unique version names";
            errors.push(FieldError::invalid("spec.versions", list, why));
        }
        check_schema(crd, version, i, errors);
        check_columns(crd, version, i, errors);
    }
    if storage_versions(crd).len() != 1 {
        let why = "must have exactly one version marked as storage version";
        errors.push(FieldError::invalid("spec.versions", list, why));
    }
}

/// The versions as Go prints them, in their internal form: what all have in common is kept elsewhere.
fn go_versions(crd: &Object) -> Value {
    let own = |version: &Value, field: &str| match version.get(field) {
        Some(value) if !is_shared(crd, version, field) => value.clone(),
        _ => Value::Null,
    };
    let version = |version: &Value| {
        let flag = |field: &str| version.get(field) == Some(&Value::Bool(true));
        json!({
            "Name": version_name(version), "Served": flag("served"), "Storage": flag("storage"),
            "Deprecated": flag("deprecated"), "DeprecationWarning": version.get("deprecationWarning"),
            "Schema": own(version, "schema"), "Subresources": own(version, "subresources"),
            "AdditionalPrinterColumns": own(version, "additionalPrinterColumns"),
            "SelectableFields": own(version, "selectableFields"),
        })
    };
    versions(crd).map(version).collect()
}

/// Whether all versions have the same of this, which the real server then keeps in one place, under its old name.
fn is_shared(crd: &Object, version: &Value, field: &str) -> bool {
    version.get(field).is_some() && versions(crd).all(|other| other.get(field) == version.get(field))
}

fn check_schema(crd: &Object, version: &Value, index: usize, errors: &mut Vec<FieldError>) {
    let shared = is_shared(crd, version, "schema");
    if shared && index > 0 {
        return;
    }
    let spec = FieldPath::ROOT.field("spec");
    let versions = spec.field("versions");
    let version_path = versions.index(index);
    let schema_path = if shared { spec.field("validation") } else { version_path.field("schema") };
    let path = schema_path.field("openAPIV3Schema");
    match version.pointer("/schema/openAPIV3Schema") {
        None => errors.push(FieldError::required(&path, "")),
        Some(schema) => {
            if let Err(findings) = schema::compile(schema, &path) {
                errors.extend(findings);
            }
        }
    }
}

fn check_columns(crd: &Object, version: &Value, index: usize, errors: &mut Vec<FieldError>) {
    let shared = is_shared(crd, version, "additionalPrinterColumns");
    if shared && index > 0 {
        return;
    }
    let path = if shared { "spec".to_owned() } else { format!("spec.versions[{index}]") };
    let columns = version.get("additionalPrinterColumns").and_then(Value::as_array);
    for (i, column) in columns.into_iter().flatten().enumerate() {
        let place = format!("{path}.additionalPrinterColumns[{i}]");
        let text = |name: &str| column.get(name).and_then(Value::as_str).unwrap_or_default();
        if text("name").is_empty() {
            errors.push(FieldError::required(format!("{place}.name"), ""));
        }
        let types = ["integer", "number", "string", "boolean", "date"];
        if !types.contains(&text("type")) {
            let why = format!("must be one of {}", types.join(","));
            errors.push(FieldError::invalid(format!("{place}.type"), &json!(text("type")), why));
        }
        let json_path = text("jsonPath");
        if json_path.is_empty() {
            errors.push(FieldError::required(format!("{place}.jsonPath"), ""));
        } else if let Err(error) = crate::table::JsonPath::parse(json_path) {
            errors.push(FieldError::invalid(format!("{place}.jsonPath"), &json!(json_path), error));
        }
    }
}

fn check_stored_versions(crd: &Object, errors: &mut Vec<FieldError>) {
    let names: Vec<&str> = versions(crd).map(version_name).collect();
    let stored = value_at(crd, &["status", "storedVersions"]).and_then(Value::as_array);
    for (i, version) in stored.into_iter().flatten().filter_map(Value::as_str).enumerate() {
        if !names.contains(&version) {
            let why = format!(
                "missing from spec.versions; {version} was previously a storage version, and must remain in \
                               spec.versions until a storage migration ensures no data remains persisted in {version} and \
                               removes {version} from status.storedVersions"
            );
            errors.push(FieldError::invalid(format!("status.storedVersions[{i}]"), &json!(version), why));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(crate) fn crd() -> Object {
        json!({
            "metadata": {"name": "things.example.com"},
            "spec": {
                "group": "example.com", "scope": "Namespaced", "names": {"plural": "things", "kind": "Thing"},
                "versions": [{"name": "v1", "served": true, "storage": true,
                              "schema": {"openAPIV3Schema": {"type": "object"}}}]
            }
        })
        .as_object()
        .cloned()
        .unwrap()
    }

    fn refusals(change: impl FnOnce(&mut Object)) -> Vec<String> {
        let mut crd = crd();
        change(&mut crd);
        CustomResourceDefinitions.default(&mut crd);
        CustomResourceDefinitions.prepare_create(&mut crd);
        let mut errors = Vec::new();
        CustomResourceDefinitions.validate_create(&crd, &mut errors);
        errors.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn defaults() {
        let mut crd = crd();
        CustomResourceDefinitions.default(&mut crd);
        assert_eq!(crd["spec"]["names"]["singular"], json!("thing"));
        assert_eq!(crd["spec"]["names"]["listKind"], json!("ThingList"));
        assert_eq!(crd["spec"]["conversion"], json!({"strategy": "None"}));
    }

    #[test]
    fn rows() {
        type Row = (fn(&mut Object), &'static str);
        assert_eq!(refusals(|_| {}), Vec::<String>::new());
        let rows: Vec<Row> = vec![
            (
                |c| c["metadata"]["name"] = json!("x"),
                "metadata.name: Invalid value: \"x\": must be spec.names.plural+\".\"+spec.group",
            ),
            (
                |c| c["spec"]["scope"] = json!("Odd"),
                "spec.scope: Unsupported value: \"Odd\": supported values",
            ),
            (
                |c| c["spec"]["versions"][0]["schema"] = json!({}),
                "spec.validation.openAPIV3Schema: Required value",
            ),
            (
                |c| {
                    c["spec"]["versions"][0]["schema"]["openAPIV3Schema"] =
                        json!({"type": "object", "properties": {"a": {}}});
                },
                "spec.validation.openAPIV3Schema.properties[a].type: Required value: must not be empty for \
                 specified object fields",
            ),
            (
                |c| {
                    c["spec"]["versions"][0]["additionalPrinterColumns"] =
                        json!([{"name": "A", "type": "x", "jsonPath": ".a"}]);
                },
                "spec.additionalPrinterColumns[0].type: Invalid value: \"x\": must be one of",
            ),
        ];
        let unstored = refusals(|c| c["spec"]["versions"][0]["storage"] = json!(false));
        assert!(unstored[0].starts_with("spec.versions: Invalid value: [{"), "{unstored:?}");
        assert_eq!(
            unstored[1],
            "status.storedVersions: Invalid value: null: must have at least one stored version"
        );
        for (change, start) in rows {
            let errors = refusals(change);
            assert_eq!(errors.len(), 1, "{errors:?}");
            assert!(errors[0].starts_with(start), "{errors:?}");
        }
    }

    #[test]
    fn versions_that_were_stored_are_remembered() {
        let mut old = crd();
        CustomResourceDefinitions.prepare_create(&mut old);
        let mut new = old.clone();
        new["spec"]["versions"] = json!([
            {"name": "v1", "served": true, "storage": false, "schema": {"openAPIV3Schema": {"type": "object"}}},
            {"name": "v2", "served": true, "storage": true, "schema": {"openAPIV3Schema": {"type": "object"}}}
        ]);
        let change = Change { old: &old, subresource: Subresource::None };
        CustomResourceDefinitions.prepare_update(&mut new, change);
        assert_eq!(new["status"]["storedVersions"], json!(["v1", "v2"]));
        assert_eq!(object_meta::generation(&new), 2);
        let versions = new["spec"]["versions"].as_array_mut().unwrap();
        versions.remove(0);
        let mut errors = Vec::new();
        CustomResourceDefinitions.validate_update(&new, change, &mut errors);
        assert!(
            errors[0]
                .to_string()
                .starts_with("status.storedVersions[0]: Invalid value: \"v1\": missing from")
        );
    }
}
