//! Roles and bindings: their form (pkg/apis/rbac/validation). What they mean is in [`crate::rbac`].

use serde_json::{Value, json};

use super::{Behaviour, Change, Strategy, decode_built_in, default_field, object_at, text_at, value_at};
use crate::meta::format;
use crate::meta::object_meta::Object;
use crate::meta::validate::IMMUTABLE;
use crate::resource::{ResourceDefinition, Scope};
use crate::status::{ApiStatus, FieldError};

const RBAC_GROUP: &str = "rbac.authorization.k8s.io";

fn behaviour() -> Behaviour {
    Behaviour { name_rule: format::path_segment_name, create_on_update: true, ..Behaviour::default() }
}

/// Roles and ClusterRoles.
pub(crate) struct Roles {
    /// Which of the two.
    pub(crate) scope: Scope,
}

impl Strategy for Roles {
    fn behaviour(&self) -> Behaviour {
        behaviour()
    }

    fn decode(&self, object: &mut Object, definition: &ResourceDefinition) -> Result<Vec<String>, ApiStatus> {
        decode_built_in(object, definition)
    }

    fn default(&self, object: &mut Object) {
        default_field(object, "rules", Value::Null);
    }

    fn validate_create(&self, object: &Object, errors: &mut Vec<FieldError>) {
        let rules = object.get("rules").and_then(Value::as_array);
        // What every rule needs is checked after what only some do.
        let mut without_verbs = Vec::new();
        for (i, rule) in rules.into_iter().flatten().enumerate() {
            let empty = |name: &str| rule.get(name).and_then(Value::as_array).is_none_or(Vec::is_empty);
            let mut required =
                |name: &str, why: &str| errors.push(FieldError::required(format!("rules[{i}].{name}"), why));
            if empty("verbs") {
                without_verbs.push(FieldError::required(format!("rules[{i}].verbs"), ""));
            }
            if !empty("nonResourceURLs") {
                let field = format!("rules[{i}].nonResourceURLs");
                let value = rule.get("nonResourceURLs").unwrap_or(&Value::Null);
                if self.scope == Scope::Namespaced {
                    let why = "namespaced rules cannot apply to non-resource URLs";
                    errors.push(FieldError::invalid(&field, value, why));
                }
                if !(empty("apiGroups") && empty("resources") && empty("resourceNames")) {
                    let why = "rules cannot apply to both regular resources and non-resource URLs";
                    errors.push(FieldError::invalid(field, value, why));
                }
                continue;
            }
            if empty("apiGroups") {
                required("apiGroups", "resource rules must supply at least one api group");
            }
            if empty("resources") {
                required("resources", "resource rules must supply at least one resource");
            }
        }
        errors.extend(without_verbs);
    }

    fn prepare_update(&self, _object: &mut Object, _change: Change<'_>) {}

    fn validate_update(&self, object: &Object, _change: Change<'_>, errors: &mut Vec<FieldError>) {
        self.validate_create(object, errors);
    }
}

/// RoleBindings and ClusterRoleBindings.
pub(crate) struct RoleBindings {
    /// Which of the two.
    pub(crate) scope: Scope,
}

impl Strategy for RoleBindings {
    fn behaviour(&self) -> Behaviour {
        behaviour()
    }

    fn decode(&self, object: &mut Object, definition: &ResourceDefinition) -> Result<Vec<String>, ApiStatus> {
        decode_built_in(object, definition)
    }

    fn default(&self, object: &mut Object) {
        let role_ref = object_at(object, "roleRef");
        if role_ref.get("apiGroup").is_none_or(|group| group == "") {
            role_ref.insert("apiGroup".to_owned(), json!(RBAC_GROUP));
        }
        for subject in object.get_mut("subjects").and_then(Value::as_array_mut).into_iter().flatten() {
            let named = matches!(subject.get("kind").and_then(Value::as_str), Some("User" | "Group"));
            if let Some(subject) = subject.as_object_mut().filter(|_| named) {
                default_field(subject, "apiGroup", json!(RBAC_GROUP));
            }
        }
    }

    fn validate_create(&self, object: &Object, errors: &mut Vec<FieldError>) {
        let group = text_at(object, &["roleRef", "apiGroup"]);
        if group != RBAC_GROUP {
            errors.push(FieldError::not_supported("roleRef.apiGroup", &json!(group), &[RBAC_GROUP]));
        }
        let kind = text_at(object, &["roleRef", "kind"]);
        let kinds: &[&str] = match self.scope {
            Scope::Namespaced => &["Role", "ClusterRole"],
            Scope::Cluster => &["ClusterRole"],
        };
        if !kinds.contains(&kind) {
            errors.push(FieldError::not_supported("roleRef.kind", &json!(kind), kinds));
        }
        let subjects = object.get("subjects").and_then(Value::as_array);
        for (i, subject) in subjects.into_iter().flatten().enumerate() {
            check_subject(subject, self.scope, &format!("subjects[{i}]"), errors);
        }
        if text_at(object, &["roleRef", "name"]).is_empty() {
            errors.push(FieldError::required("roleRef.name", ""));
        }
    }

    fn prepare_update(&self, _object: &mut Object, _change: Change<'_>) {}

    fn validate_update(&self, object: &Object, change: Change<'_>, errors: &mut Vec<FieldError>) {
        self.validate_create(object, errors);
        if object.get("roleRef") != change.old.get("roleRef") {
            let text = |field: &str| text_at(object, &["roleRef", field]);
            let value = json!({"APIGroup": text("apiGroup"), "Kind": text("kind"), "Name": text("name")});
            errors.push(FieldError::invalid("roleRef", &value, IMMUTABLE));
        }
    }
}

fn check_subject(subject: &Value, scope: Scope, path: &str, errors: &mut Vec<FieldError>) {
    let text = |name: &str| subject.get(name).and_then(Value::as_str).unwrap_or_default();
    if text("name").is_empty() {
        errors.push(FieldError::required(format!("{path}.name"), ""));
    }
    let group = text("apiGroup");
    match text("kind") {
        "ServiceAccount" => {
            let name = text("name");
            if !name.is_empty() {
                let findings = format::name_is_dns_subdomain(name, false);
                errors.extend(
                    findings
                        .into_iter()
                        .map(|e| FieldError::invalid(format!("{path}.name"), &json!(name), e)),
                );
            }
            if !group.is_empty() {
                errors.push(FieldError::not_supported(format!("{path}.apiGroup"), &json!(group), &[""]));
            }
            // In a RoleBinding it is the binding's own by default.
            if text("namespace").is_empty() && scope == Scope::Cluster {
                errors.push(FieldError::required(format!("{path}.namespace"), ""));
            }
        }
        "User" | "Group" => {
            if group != RBAC_GROUP {
                let field = format!("{path}.apiGroup");
                errors.push(FieldError::not_supported(field, &json!(group), &[RBAC_GROUP]));
            }
        }
        other => {
            let kinds = ["ServiceAccount", "User", "Group"];
            errors.push(FieldError::not_supported(format!("{path}.kind"), &json!(other), &kinds));
        }
    }
}

/// What a binding points at, for authorization.
pub(crate) fn role_ref(binding: &Object) -> (&str, &str) {
    let text = |name: &str| value_at(binding, &["roleRef", name]).and_then(Value::as_str).unwrap_or_default();
    (text("kind"), text("name"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Subresource;

    fn created(strategy: &dyn Strategy, object: &Value) -> Vec<String> {
        let mut object = object.as_object().cloned().unwrap();
        strategy.default(&mut object);
        let mut errors = Vec::new();
        strategy.validate_create(&object, &mut errors);
        errors.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn rules_need_verbs_groups_and_resources() {
        let roles = Roles { scope: Scope::Namespaced };
        let fine = json!({"rules": [{"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}]});
        assert_eq!(created(&roles, &fine), Vec::<String>::new());
        assert_eq!(
            created(&roles, &json!({"rules": [{}]})),
            [
                "rules[0].apiGroups: Required value: resource rules must supply at least one api group",
                "rules[0].resources: Required value: resource rules must supply at least one resource",
                "rules[0].verbs: Required value"
            ]
        );
        let urls = json!({"rules": [{"verbs": ["get"], "nonResourceURLs": ["/x"]}]});
        assert_eq!(created(&roles, &urls).len(), 1);
        assert_eq!(created(&Roles { scope: Scope::Cluster }, &urls), Vec::<String>::new());
    }

    #[test]
    fn bindings() {
        let bindings = RoleBindings { scope: Scope::Cluster };
        let fine = json!({
            "roleRef": {"kind": "ClusterRole", "name": "x"},
            "subjects": [{"kind": "User", "name": "u"}, {"kind": "ServiceAccount", "name": "s", "namespace": "n"}]
        });
        assert_eq!(created(&bindings, &fine), Vec::<String>::new());
        let bad = json!({"roleRef": {"kind": "Role"}, "subjects": [{"kind": "ServiceAccount", "name": "s"}, {"kind": "X"}]});
        assert_eq!(
            created(&bindings, &bad),
            [
                "roleRef.kind: Unsupported value: \"Role\": supported values: \"ClusterRole\"",
                "subjects[0].namespace: Required value",
                "subjects[1].name: Required value",
                "subjects[1].kind: Unsupported value: \"X\": supported values: \"ServiceAccount\", \"User\", \"Group\"",
                "roleRef.name: Required value"
            ]
        );
        let mut old = fine.as_object().cloned().unwrap();
        bindings.default(&mut old);
        let mut new = old.clone();
        new["roleRef"]["name"] = json!("y");
        let mut errors = Vec::new();
        bindings.validate_update(&new, Change { old: &old, subresource: Subresource::None }, &mut errors);
        let details: Vec<&str> = errors.iter().map(|error| error.detail.as_str()).collect();
        assert_eq!(details, [IMMUTABLE]);
    }
}
