//! Service accounts and what they may do.

use super::{Manifest, metadata, within};
use k8s_openapi::api::core::v1::ServiceAccount;
use k8s_openapi::api::rbac::v1::{
    ClusterRole, ClusterRoleBinding, PolicyRule, Role, RoleBinding, RoleRef, Subject,
};

const RBAC_GROUP: &str = "rbac.authorization.k8s.io";

/// A service account, for which roles of its name are made.
pub(super) struct Account<'a> {
    pub(super) name: &'a str,
    pub(super) namespace: &'a str,
    pub(super) component: &'a str,
}

impl Account<'_> {
    /// The account itself.
    pub(super) fn manifest(&self) -> Manifest {
        let account =
            ServiceAccount { metadata: metadata(self.name, self.component), ..ServiceAccount::default() };
        Manifest::of(&within(self.namespace, account))
    }

    /// Rights in one namespace: a Role there, bound to the account.
    pub(super) fn may_in(&self, namespace: &str, rules: Vec<PolicyRule>) -> [Manifest; 2] {
        let role = Role { metadata: metadata(self.name, self.component), rules: Some(rules) };
        let binding = RoleBinding {
            metadata: metadata(self.name, self.component),
            role_ref: self.role_ref("Role"),
            subjects: Some(vec![self.subject()]),
        };
        [Manifest::of(&within(namespace, role)), Manifest::of(&within(namespace, binding))]
    }

    /// Rights in all namespaces and on what has none: a ClusterRole, bound to the account.
    pub(super) fn may_everywhere(&self, rules: Vec<PolicyRule>) -> [Manifest; 2] {
        let role = ClusterRole {
            metadata: metadata(self.name, self.component),
            rules: Some(rules),
            aggregation_rule: None,
        };
        let binding = ClusterRoleBinding {
            metadata: metadata(self.name, self.component),
            role_ref: self.role_ref("ClusterRole"),
            subjects: Some(vec![self.subject()]),
        };
        [Manifest::of(&role), Manifest::of(&binding)]
    }

    fn role_ref(&self, kind: &str) -> RoleRef {
        RoleRef { api_group: Some(RBAC_GROUP.to_owned()), kind: kind.to_owned(), name: self.name.to_owned() }
    }

    fn subject(&self) -> Subject {
        Subject {
            kind: "ServiceAccount".to_owned(),
            name: self.name.to_owned(),
            namespace: Some(self.namespace.to_owned()),
            api_group: None,
        }
    }
}

/// `verbs` on one resource of a group; the core group is "".
pub(super) fn allow(verbs: &[&str], group: &str, resource: &str) -> PolicyRule {
    PolicyRule {
        verbs: owned(verbs),
        api_groups: Some(owned(&[group])),
        resources: Some(owned(&[resource])),
        ..PolicyRule::default()
    }
}

/// `verbs` on some objects only. There is no such right to create: a name is not known before an object is.
pub(super) fn allow_named(verbs: &[&str], group: &str, resource: &str, names: &[&str]) -> PolicyRule {
    PolicyRule { resource_names: Some(owned(names)), ..allow(verbs, group, resource) }
}

/// Events are written by everyone: created, and patched when one recurs.
pub(super) fn write_events() -> PolicyRule {
    allow(&["create", "patch"], "events.k8s.io", "events")
}

/// A Lease for the election of a leader.
pub(super) fn hold_lease(name: &str) -> [PolicyRule; 2] {
    [
        allow(&["create"], "coordination.k8s.io", "leases"),
        allow_named(&["get", "update"], "coordination.k8s.io", "leases", &[name]),
    ]
}

fn owned(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}
