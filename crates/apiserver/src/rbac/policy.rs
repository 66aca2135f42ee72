//! Roles and bindings as they are evaluated.

use std::collections::HashMap;

use serde_json::Value;

use super::{Attributes, Decision, UserInfo};
use crate::meta::object_meta::{self, Object};
use crate::strategy::role_ref;

/// One rule of a role (`rbac/v1` PolicyRule).
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Rule {
    /// Verbs, or `*`.
    pub verbs: Vec<String>,
    /// API groups, or `*`.
    pub api_groups: Vec<String>,
    /// `pods`, `pods/status`, `*/status` or `*`.
    pub resources: Vec<String>,
    /// Names; none is all.
    pub resource_names: Vec<String>,
    /// `/healthz`, `/api/*` or `*`.
    pub non_resource_urls: Vec<String>,
}

/// All roles and bindings of a cluster.
#[derive(Debug, Default)]
pub struct Policy {
    cluster_roles: HashMap<String, Vec<Rule>>,
    /// By namespace and name.
    roles: HashMap<(String, String), Vec<Rule>>,
    cluster_bindings: Vec<Binding>,
    /// By namespace.
    bindings: HashMap<String, Vec<Binding>>,
}

#[derive(Debug)]
struct Binding {
    name: String,
    /// Empty for ClusterRoleBindings.
    namespace: String,
    role_kind: String,
    role_name: String,
    subjects: Vec<Subject>,
}

#[derive(Debug)]
enum Subject {
    User(String),
    Group(String),
    ServiceAccount { namespace: String, name: String },
}

impl Rule {
    fn read(rule: &Value) -> Self {
        let texts = |field: &str| -> Vec<String> {
            let list = rule.get(field).and_then(Value::as_array);
            list.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
        };
        Self {
            verbs: texts("verbs"),
            api_groups: texts("apiGroups"),
            resources: texts("resources"),
            resource_names: texts("resourceNames"),
            non_resource_urls: texts("nonResourceURLs"),
        }
    }

    /// Whether the rule allows this.
    pub fn allows(&self, attributes: &Attributes) -> bool {
        match attributes {
            Attributes::Resource { verb, group, resource, subresource, name, .. } => {
                has(&self.verbs, verb)
                    && has(&self.api_groups, group)
                    && self.resources.iter().any(|r| resource_matches(r, resource, subresource))
                    && (self.resource_names.is_empty() || self.resource_names.contains(name))
            }
            Attributes::NonResource { verb, path } => {
                has(&self.verbs, verb) && self.non_resource_urls.iter().any(|url| url_matches(url, path))
            }
        }
    }
}

fn has(list: &[String], wanted: &str) -> bool {
    list.iter().any(|entry| entry == "*" || entry == wanted)
}

fn resource_matches(rule: &str, resource: &str, subresource: &str) -> bool {
    if rule == "*" {
        return true;
    }
    if subresource.is_empty() {
        return rule == resource;
    }
    match rule.split_once('/') {
        Some((r, s)) => (r == resource || r == "*") && s == subresource,
        None => false,
    }
}

fn url_matches(rule: &str, path: &str) -> bool {
    rule == "*" || rule == path || rule.strip_suffix('*').is_some_and(|start| path.starts_with(start))
}

impl Subject {
    fn read(subject: &Value, namespace: &str) -> Option<Self> {
        let text = |field: &str| subject.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
        Some(match subject.get("kind")?.as_str()? {
            "User" => Self::User(text("name")),
            "Group" => Self::Group(text("name")),
            "ServiceAccount" => {
                let given = text("namespace");
                let namespace = if given.is_empty() { namespace.to_owned() } else { given };
                Self::ServiceAccount { namespace, name: text("name") }
            }
            _ => return None,
        })
    }

    fn is(&self, user: &UserInfo) -> bool {
        match self {
            Self::User(name) => *name == user.username,
            Self::Group(name) => user.groups.contains(name),
            Self::ServiceAccount { namespace, name } => user
                .username
                .strip_prefix("system:serviceaccount:")
                .is_some_and(|of| of.split_once(':') == Some((namespace, name))),
        }
    }

    fn describe(&self) -> String {
        match self {
            Self::User(name) => format!("User {name:?}"),
            Self::Group(name) => format!("Group {name:?}"),
            Self::ServiceAccount { namespace, name } => format!("ServiceAccount \"{name}/{namespace}\""),
        }
    }
}

impl Binding {
    fn read(binding: &Object) -> Self {
        let (role_kind, role_name) = role_ref(binding);
        let namespace = object_meta::namespace(binding);
        let subjects = binding.get("subjects").and_then(Value::as_array);
        Self {
            name: object_meta::name(binding).to_owned(),
            namespace: namespace.to_owned(),
            role_kind: role_kind.to_owned(),
            role_name: role_name.to_owned(),
            subjects: subjects.into_iter().flatten().filter_map(|s| Subject::read(s, namespace)).collect(),
        }
    }

    fn reason(&self, subject: &Subject) -> String {
        let binding = if self.namespace.is_empty() {
            format!("ClusterRoleBinding {:?}", self.name)
        } else {
            format!("RoleBinding \"{}/{}\"", self.name, self.namespace)
        };
        let (kind, name) = (&self.role_kind, &self.role_name);
        format!("RBAC: allowed by {binding} of {kind} {name:?} to {}", subject.describe())
    }
}

fn rules(role: &Object) -> Vec<Rule> {
    role.get("rules").and_then(Value::as_array).into_iter().flatten().map(Rule::read).collect()
}

impl Policy {
    /// From the stored objects.
    pub(crate) fn new(
        cluster_roles: &[Object],
        cluster_bindings: &[Object],
        roles: &[Object],
        bindings: &[Object],
    ) -> Self {
        let named = |o: &Object| (object_meta::namespace(o).to_owned(), object_meta::name(o).to_owned());
        let mut by_namespace: HashMap<String, Vec<Binding>> = HashMap::new();
        for binding in bindings.iter().map(Binding::read) {
            by_namespace.entry(binding.namespace.clone()).or_default().push(binding);
        }
        Self {
            cluster_roles: cluster_roles.iter().map(|r| (named(r).1, rules(r))).collect(),
            roles: roles.iter().map(|r| (named(r), rules(r))).collect(),
            cluster_bindings: cluster_bindings.iter().map(Binding::read).collect(),
            bindings: by_namespace,
        }
    }

    /// Whether the roles bound to the user allow this.
    pub fn authorize(&self, user: &UserInfo, attributes: &Attributes) -> Decision {
        if user.groups.iter().any(|group| group == "system:masters") {
            return Decision::Allowed { reason: String::new() };
        }
        let mut missing = Vec::new();
        for (binding, subject) in self.bound(user, namespace_of(attributes)) {
            match self.role(binding) {
                Some(rules) if rules.iter().any(|rule| rule.allows(attributes)) => {
                    return Decision::Allowed { reason: binding.reason(subject) };
                }
                Some(_) => {}
                None => missing.push(missing_role(binding)),
            }
        }
        let reason = match missing.as_slice() {
            [] => String::new(),
            [one] => format!("RBAC: {one}"),
            many => format!("RBAC: [{}]", many.join(", ")),
        };
        Decision::Denied { reason }
    }

    /// Every rule that applies to the user in a namespace (or in the cluster), for SelfSubjectRulesReview.
    pub fn rules_for(&self, user: &UserInfo, namespace: &str) -> Vec<Rule> {
        let bound = self.bound(user, namespace);
        bound.filter_map(|(binding, _)| self.role(binding)).flatten().cloned().collect()
    }

    /// The bindings that speak of this user, with the subject that is it.
    fn bound<'p>(
        &'p self,
        user: &'p UserInfo,
        namespace: &str,
    ) -> impl Iterator<Item = (&'p Binding, &'p Subject)> {
        let local = self.bindings.get(namespace).into_iter().flatten();
        self.cluster_bindings
            .iter()
            .chain(local)
            .filter_map(|binding| Some((binding, binding.subjects.iter().find(|s| s.is(user))?)))
    }

    fn role(&self, binding: &Binding) -> Option<&Vec<Rule>> {
        match binding.role_kind.as_str() {
            "Role" => self.roles.get(&(binding.namespace.clone(), binding.role_name.clone())),
            _ => self.cluster_roles.get(&binding.role_name),
        }
    }
}

fn namespace_of(attributes: &Attributes) -> &str {
    match attributes {
        Attributes::Resource { namespace, .. } => namespace,
        Attributes::NonResource { .. } => "",
    }
}

fn missing_role(binding: &Binding) -> String {
    let kind = binding.role_kind.to_lowercase();
    format!("{kind}.rbac.authorization.k8s.io {:?} not found", binding.role_name)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(value: &Value) -> Object {
        value.as_object().cloned().unwrap()
    }

    fn policy() -> Policy {
        let role = |name: &str, ns: Option<&str>, rules: Value| {
            object(&json!({"metadata": {"name": name, "namespace": ns}, "rules": rules}))
        };
        let binding = |ns: Option<&str>, kind: &str, role: &str, subjects: Value| {
            object(&json!({
                "metadata": {"name": "b", "namespace": ns}, "roleRef": {"kind": kind, "name": role}, "subjects": subjects
            }))
        };
        Policy::new(
            &[
                role(
                    "reader",
                    None,
                    json!([{"verbs": ["get", "list"], "apiGroups": [""], "resources": ["secrets", "pods/log"]}]),
                ),
                role(
                    "status",
                    None,
                    json!([{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*/status"]}]),
                ),
                role("urls", None, json!([{"verbs": ["get"], "nonResourceURLs": ["/healthz", "/api/*"]}])),
                role(
                    "one",
                    None,
                    json!([{"verbs": ["get"], "apiGroups": [""], "resources": ["secrets"], "resourceNames": ["x"]}]),
                ),
            ],
            &[
                binding(None, "ClusterRole", "status", json!([{"kind": "Group", "name": "ops"}])),
                binding(None, "ClusterRole", "urls", json!([{"kind": "User", "name": "u"}])),
                binding(None, "ClusterRole", "gone", json!([{"kind": "User", "name": "lost"}])),
            ],
            &[role(
                "local",
                Some("n"),
                json!([{"verbs": ["create"], "apiGroups": ["apps"], "resources": ["*"]}]),
            )],
            &[
                binding(
                    Some("n"),
                    "ClusterRole",
                    "reader",
                    json!([{"kind": "ServiceAccount", "name": "s", "namespace": "m"}]),
                ),
                binding(Some("n"), "Role", "local", json!([{"kind": "User", "name": "u"}])),
                binding(Some("n"), "ClusterRole", "one", json!([{"kind": "User", "name": "u"}])),
            ],
        )
    }

    fn ask(user: &str, groups: &[&str], what: &str) -> Decision {
        let user = UserInfo {
            username: user.to_owned(),
            groups: groups.iter().map(|g| (*g).to_owned()).collect(),
            uid: None,
        };
        let parts: Vec<&str> = what.split(' ').collect();
        let attributes = match parts.as_slice() {
            [verb, path] => Attributes::NonResource { verb: (*verb).to_owned(), path: (*path).to_owned() },
            [verb, group, resource, namespace, name] => {
                let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
                Attributes::Resource {
                    verb: (*verb).to_owned(),
                    group: group.trim_matches('-').to_owned(),
                    resource: resource.to_owned(),
                    subresource: subresource.to_owned(),
                    name: name.trim_matches('-').to_owned(),
                    namespace: namespace.trim_matches('-').to_owned(),
                }
            }
            other => panic!("{other:?}"),
        };
        policy().authorize(&user, &attributes)
    }

    #[test]
    fn rows() {
        let rows: [(&str, &[&str], &str, bool); 17] = [
            ("root", &["system:masters"], "delete - everything - -", true),
            ("system:serviceaccount:m:s", &[], "get - secrets n x", true),
            ("system:serviceaccount:m:s", &[], "get - secrets other x", false),
            ("system:serviceaccount:m:s", &[], "delete - secrets n x", false),
            ("system:serviceaccount:n:s", &[], "get - secrets n x", false),
            ("system:serviceaccount:m:s", &[], "get - pods/log n x", true),
            ("system:serviceaccount:m:s", &[], "get - pods n x", false),
            ("a", &["ops"], "update g things/status n x", true),
            ("a", &["ops"], "update g things n x", false),
            ("u", &[], "create apps deployments n -", true),
            ("u", &[], "create apps deployments m -", false),
            ("u", &[], "get - secrets n x", true),
            ("u", &[], "get - secrets n y", false),
            ("u", &[], "list - secrets n -", false),
            ("u", &[], "get /healthz", true),
            ("u", &[], "get /api/v1", true),
            ("u", &[], "get /metrics", false),
        ];
        for (user, groups, what, allowed) in rows {
            let decision = ask(user, groups, what);
            assert_eq!(matches!(decision, Decision::Allowed { .. }), allowed, "{user} {what}: {decision:?}");
        }
    }

    #[test]
    fn reasons() {
        assert_eq!(
            ask("u", &[], "create apps deployments n -"),
            Decision::Allowed {
                reason: "RBAC: allowed by RoleBinding \"b/n\" of Role \"local\" to User \"u\"".to_owned()
            }
        );
        assert_eq!(
            ask("lost", &[], "get - secrets n x"),
            Decision::Denied {
                reason: "RBAC: clusterrole.rbac.authorization.k8s.io \"gone\" not found".to_owned()
            }
        );
    }
}
