//! The resources that random requests are about, and what may stand in their objects.
//!
//! ```text
//!   plain       ConfigMaps, Secrets, ServiceAccounts, Events, Leases
//!   workloads   Pods, Services, Deployments, PodDisruptionBudgets
//!   access      roles and their bindings; reviews
//!   custom      a definition with all that schemas can do, and those that we ship
//!   lifecycle   namespaces
//! ```

mod access;
mod custom;
mod lifecycle;
mod plain;
mod workloads;

use serde_json::{Value, json};

pub(super) use custom::definitions;

/// One resource.
#[derive(Debug)]
pub(super) struct Resource {
    pub(super) group: &'static str,
    pub(super) version: &'static str,
    pub(super) plural: &'static str,
    pub(super) kind: &'static str,
    pub(super) scope: Scope,
    /// What requests do to it.
    pub(super) verbs: &'static [&'static str],
    /// Objects without type and metadata, or merge patches of them. Each holds at most one mistake: of several, the
    /// real server tells in the order of a hash table.
    pub(super) content: fn() -> Vec<Value>,
    /// What the last object holds, which must not be refused.
    pub(super) last: fn() -> Value,
    /// Paths that JSON patches are about, and what they set there.
    pub(super) patches: fn() -> Vec<(&'static str, Value)>,
}

/// Where objects are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    /// In the sequence's namespace.
    Namespaced,
    /// In the cluster, under names that begin with the sequence's.
    Cluster,
}

/// What is asked of everything that is stored in a namespace, and more.
macro_rules! stored {
    ($($more:literal),*) => {
        &[
            "create",
            "get",
            "list",
            "table",
            "watch",
            "update",
            "json patch",
            "merge patch",
            "strategic patch",
            "delete",
            "deletecollection",
            "odd",
            "denied",
            $($more),*
        ]
    };
}
use stored;

const STORED: &[&str] = stored!();
const WITH_STATUS: &[&str] = stored!("update status", "patch status");
const CUSTOM: &[&str] = &[
    "create",
    "get",
    "list",
    "table",
    "watch",
    "update",
    "json patch",
    "merge patch",
    "delete",
    "deletecollection",
    "odd",
    "denied",
    "update status",
    "patch status",
];
/// Lists of what is in the cluster would show other sequences' objects too.
const IN_CLUSTER: &[&str] =
    &["create", "get", "update", "json patch", "merge patch", "strategic patch", "delete", "odd", "denied"];

/// All of them.
pub(super) fn all() -> impl Iterator<Item = &'static Resource> {
    common().chain(rare())
}

/// Those of which a sequence is about a few.
pub(super) fn common() -> impl Iterator<Item = &'static Resource> {
    [plain::RESOURCES, workloads::RESOURCES, access::RESOURCES, custom::RESOURCES].into_iter().flatten()
}

/// Those that any sequence may now and then be about: what is asked of them takes time.
pub(super) fn rare() -> impl Iterator<Item = &'static Resource> {
    lifecycle::RESOURCES.iter()
}

impl Resource {
    pub(super) fn is_custom(&self) -> bool {
        self.group.contains(".example.com") || self.group.contains("solo.io")
    }

    pub(super) fn is(&self, other: &Self) -> bool {
        (self.group, self.plural) == (other.group, other.plural)
    }

    /// How often requests are about it, compared with others of its sequence.
    pub(super) fn weight(&self) -> u32 {
        match self.verbs {
            ["terminate"] => 1,
            ["review"] => 100,
            _ => 300,
        }
    }

    pub(super) fn is_watched(&self) -> bool {
        self.verbs.contains(&"watch")
    }

    /// `group/plural`, by which it is counted.
    pub(super) fn title(&self) -> String {
        let (group, plural) = (self.group, self.plural);
        if group.is_empty() { plural.to_owned() } else { format!("{plural}.{group}") }
    }

    pub(super) fn api_version(&self) -> String {
        let (group, version) = (self.group, self.version);
        if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") }
    }

    /// The collection.
    pub(super) fn path(&self) -> String {
        let prefix = if self.group.is_empty() { "/api" } else { "/apis" };
        let namespace = if self.scope == Scope::Namespaced { "/namespaces/$ns" } else { "" };
        format!("{prefix}/{}{namespace}/{}", self.api_version(), self.plural)
    }

    /// Names of objects.
    pub(super) fn names(&self) -> Vec<&'static str> {
        match self.scope {
            Scope::Namespaced => vec!["a", "b", "c"],
            Scope::Cluster => vec!["$ns-a", "$ns-b"],
        }
    }
}

fn empty() -> Value {
    json!({})
}

fn nothing() -> Vec<Value> {
    vec![json!({})]
}

fn no_patches() -> Vec<(&'static str, Value)> {
    Vec::new()
}
