//! Columns and cells of the built-in kinds (pkg/printers/internalversion/printers.go).

use jiff::Timestamp;
use serde_json::{Value, json};

use super::age::human_duration;
use crate::resource::{GroupVersionResource, PrinterColumn};

/// Name, type, format, priority.
type Column = (&'static str, &'static str, &'static str, i32);

const NAME: Column = ("Name", "string", "name", 0);
const AGE: Column = ("Age", "string", "", 0);

const NAMESPACES: &[Column] = &[NAME, ("Status", "string", "", 0), AGE];
const SECRETS: &[Column] = &[NAME, ("Type", "string", "", 0), ("Data", "string", "", 0), AGE];
const CONFIG_MAPS: &[Column] = &[NAME, ("Data", "string", "", 0), AGE];
const SERVICE_ACCOUNTS: &[Column] = &[NAME, AGE];
const LEASES: &[Column] = &[NAME, ("Holder", "string", "", 0), AGE];
const ROLES: &[Column] = &[NAME, ("Created At", "date", "", 0)];
const DEFINITIONS: &[Column] = &[
    NAME,
    ("Scope", "string", "", 0),
    ("Versions", "string", "", 0),
    ("Created At", "date", "", 0),
    ("Group", "string", "", 1),
    ("Kind", "string", "", 1),
    ("ShortNames", "string", "", 1),
    ("Established", "boolean", "", 1),
];
const ROLE_BINDINGS: &[Column] = &[
    NAME,
    ("Role", "string", "", 0),
    AGE,
    ("Users", "string", "", 1),
    ("Groups", "string", "", 1),
    ("ServiceAccounts", "string", "", 1),
];
const PODS: &[Column] = &[
    NAME,
    ("Ready", "string", "", 0),
    ("Status", "string", "", 0),
    ("Restarts", "string", "", 0),
    AGE,
    ("IP", "string", "", 1),
    ("Node", "string", "", 1),
    ("Nominated Node", "string", "", 1),
    ("Readiness Gates", "string", "", 1),
];
const SERVICES: &[Column] = &[
    NAME,
    ("Type", "string", "", 0),
    ("Cluster-IP", "string", "", 0),
    ("External-IP", "string", "", 0),
    ("Port(s)", "string", "", 0),
    AGE,
    ("Selector", "string", "", 1),
];
const DEPLOYMENTS: &[Column] = &[
    NAME,
    ("Ready", "string", "", 0),
    ("Up-to-date", "string", "", 0),
    ("Available", "string", "", 0),
    AGE,
    ("Containers", "string", "", 1),
    ("Images", "string", "", 1),
    ("Selector", "string", "", 1),
];
const BUDGETS: &[Column] = &[
    NAME,
    ("Min Available", "string", "", 0),
    ("Max Unavailable", "string", "", 0),
    ("Allowed Disruptions", "integer", "", 0),
    AGE,
];
const EVENTS: &[Column] = &[
    ("Last Seen", "string", "", 0),
    ("Type", "string", "", 0),
    ("Reason", "string", "", 0),
    ("Object", "string", "", 0),
    ("Subobject", "string", "", 1),
    ("Source", "string", "", 1),
    ("Message", "string", "", 0),
    ("First Seen", "string", "", 1),
    ("Count", "string", "", 1),
    ("Name", "string", "name", 1),
];

/// The columns of a built-in resource.
pub(crate) fn columns(id: &GroupVersionResource) -> Vec<PrinterColumn> {
    let columns = match &*id.resource {
        "namespaces" => NAMESPACES,
        "secrets" => SECRETS,
        "configmaps" => CONFIG_MAPS,
        "serviceaccounts" => SERVICE_ACCOUNTS,
        "leases" => LEASES,
        "roles" | "clusterroles" => ROLES,
        "customresourcedefinitions" => DEFINITIONS,
        "rolebindings" | "clusterrolebindings" => ROLE_BINDINGS,
        "pods" => PODS,
        "services" => SERVICES,
        "deployments" => DEPLOYMENTS,
        "poddisruptionbudgets" => BUDGETS,
        "events" => EVENTS,
        _ => &[NAME, AGE],
    };
    columns
        .iter()
        .map(|(name, column_type, format, priority)| PrinterColumn {
            name: (*name).to_owned(),
            column_type: (*column_type).to_owned(),
            format: (*format).to_owned(),
            description: String::new(),
            priority: *priority,
            json_path: None,
        })
        .collect()
}

/// The cells of an object, one per column of its kind.
pub(super) fn cells(kind: &str, object: &Value, now: Timestamp) -> Vec<Value> {
    let view = View { object, now };
    let name = view.text("/metadata/name");
    let age = view.age("/metadata/creationTimestamp");
    match kind {
        "Namespace" => vec![name, view.text("/status/phase"), age],
        "Secret" => vec![name, view.text("/type"), json!(view.len("/data")), age],
        "ConfigMap" => {
            let entries = view.len("/data") + view.len("/binaryData");
            vec![name, json!(entries), age]
        }
        "Lease" => vec![name, view.text("/spec/holderIdentity"), age],
        "Role" | "ClusterRole" => vec![name, view.text("/metadata/creationTimestamp")],
        "CustomResourceDefinition" => view.definition(name),
        "RoleBinding" | "ClusterRoleBinding" => view.role_binding(name, age),
        "Pod" => view.pod(name, age),
        "Service" => view.service(name, age),
        "Deployment" => view.deployment(name, age),
        "PodDisruptionBudget" => vec![
            name,
            view.or_not_available("/spec/minAvailable"),
            view.or_not_available("/spec/maxUnavailable"),
            json!(view.number("/status/disruptionsAllowed")),
            age,
        ],
        "Event" => view.event(),
        _ => vec![name, age],
    }
}

struct View<'a> {
    object: &'a Value,
    now: Timestamp,
}

impl View<'_> {
    fn at(&self, path: &str) -> Option<&Value> {
        self.object.pointer(path).filter(|v| !v.is_null())
    }

    fn str(&self, path: &str) -> &str {
        self.at(path).and_then(Value::as_str).unwrap_or_default()
    }

    fn text(&self, path: &str) -> Value {
        json!(self.str(path))
    }

    fn number(&self, path: &str) -> i64 {
        self.at(path).and_then(Value::as_i64).unwrap_or(0)
    }

    fn list(&self, path: &str) -> impl Iterator<Item = &Value> {
        self.at(path).and_then(Value::as_array).into_iter().flatten()
    }

    fn len(&self, path: &str) -> usize {
        match self.at(path) {
            Some(Value::Object(map)) => map.len(),
            Some(Value::Array(items)) => items.len(),
            _ => 0,
        }
    }

    fn age(&self, path: &str) -> Value {
        match self.str(path).parse::<Timestamp>() {
            Ok(time) => json!(human_duration(time, self.now)),
            Err(_) => json!("<unknown>"),
        }
    }

    fn or_not_available(&self, path: &str) -> Value {
        match self.at(path) {
            Some(Value::String(text)) => json!(text),
            Some(other) => json!(other.to_string()),
            None => json!("N/A"),
        }
    }

    fn or_none(&self, path: &str) -> Value {
        let text = self.str(path);
        json!(if text.is_empty() { "<none>" } else { text })
    }

    fn labels(&self, path: &str) -> String {
        let pairs = self.at(path).and_then(Value::as_object).into_iter().flatten();
        let mut pairs: Vec<String> =
            pairs.map(|(k, v)| format!("{k}={}", v.as_str().unwrap_or_default())).collect();
        pairs.sort_unstable();
        if pairs.is_empty() { "<none>".to_owned() } else { pairs.join(",") }
    }

    fn names(&self, path: &str, field: &str) -> String {
        let names: Vec<&str> = self.list(path).filter_map(|c| c.get(field)?.as_str()).collect();
        names.join(",")
    }

    fn definition(&self, name: Value) -> Vec<Value> {
        let versions: Vec<String> = self
            .list("/spec/versions")
            .map(|version| {
                let stored = version.get("storage") == Some(&Value::Bool(true));
                let name = version.get("name").and_then(Value::as_str).unwrap_or_default();
                format!("{name}{}", if stored { "(storage)" } else { "" })
            })
            .collect();
        let short_names: Vec<&str> = self.list("/spec/names/shortNames").filter_map(Value::as_str).collect();
        let established = self.list("/status/conditions").any(|condition| {
            condition.get("type") == Some(&json!("Established"))
                && condition.get("status") == Some(&json!("True"))
        });
        vec![
            name,
            self.text("/spec/scope"),
            json!(versions.join(",")),
            self.text("/metadata/creationTimestamp"),
            self.text("/spec/group"),
            self.text("/spec/names/kind"),
            json!(short_names.join(",")),
            json!(established),
        ]
    }

    fn role_binding(&self, name: Value, age: Value) -> Vec<Value> {
        let subjects = |kind: &str| {
            let of_kind = self.list("/subjects").filter(|s| s.get("kind") == Some(&json!(kind)));
            let names: Vec<String> = of_kind
                .map(|s| {
                    let text = |field: &str| s.get(field).and_then(Value::as_str).unwrap_or_default();
                    match kind {
                        "ServiceAccount" => format!("{}/{}", text("namespace"), text("name")),
                        _ => text("name").to_owned(),
                    }
                })
                .collect();
            json!(names.join(", "))
        };
        let role = format!("{}/{}", self.str("/roleRef/kind"), self.str("/roleRef/name"));
        vec![name, json!(role), age, subjects("User"), subjects("Group"), subjects("ServiceAccount")]
    }

    fn pod(&self, name: Value, age: Value) -> Vec<Value> {
        let total = self.len("/spec/containers");
        let is_ready =
            |s: &&Value| s.get("ready") == Some(&Value::Bool(true)) && s.pointer("/state/running").is_some();
        let ready = self.list("/status/containerStatuses").filter(is_ready).count();
        let restarts: i64 =
            self.list("/status/containerStatuses").filter_map(|s| s.get("restartCount")?.as_i64()).sum();
        let gates = if self.len("/spec/readinessGates") == 0 {
            "<none>".to_owned()
        } else {
            format!("0/{}", self.len("/spec/readinessGates"))
        };
        vec![
            name,
            json!(format!("{ready}/{total}")),
            json!(self.pod_status()),
            json!(restarts.to_string()),
            age,
            self.or_none("/status/podIP"),
            self.or_none("/spec/nodeName"),
            self.or_none("/status/nominatedNodeName"),
            json!(gates),
        ]
    }

    fn pod_status(&self) -> String {
        let mut status = match self.str("/status/reason") {
            "" => self.str("/status/phase").to_owned(),
            reason => reason.to_owned(),
        };
        for container in self.list("/status/containerStatuses") {
            let reason =
                |state: &str| container.pointer(&format!("/state/{state}/reason")).and_then(Value::as_str);
            if let Some(reason) = reason("waiting").or_else(|| reason("terminated")) {
                reason.clone_into(&mut status);
            }
        }
        if self.at("/metadata/deletionTimestamp").is_some() {
            "Terminating".clone_into(&mut status);
        }
        status
    }

    fn service(&self, name: Value, age: Value) -> Vec<Value> {
        let ports: Vec<String> = self
            .list("/spec/ports")
            .map(|entry| {
                let at = |field: &str| entry.get(field).and_then(Value::as_i64);
                let protocol = entry.get("protocol").and_then(Value::as_str).unwrap_or("TCP");
                let port = at("port").unwrap_or(0);
                match at("nodePort") {
                    Some(node) => format!("{port}:{node}/{protocol}"),
                    None => format!("{port}/{protocol}"),
                }
            })
            .collect();
        let external = match self.str("/spec/type") {
            "LoadBalancer" => "<pending>",
            "ExternalName" => self.str("/spec/externalName"),
            _ => "<none>",
        };
        let ports = if ports.is_empty() { "<none>".to_owned() } else { ports.join(",") };
        vec![
            name,
            self.text("/spec/type"),
            self.or_none("/spec/clusterIP"),
            json!(external),
            json!(ports),
            age,
            json!(self.labels("/spec/selector")),
        ]
    }

    fn deployment(&self, name: Value, age: Value) -> Vec<Value> {
        let status = |field: &str| self.number(&format!("/status/{field}"));
        vec![
            name,
            json!(format!("{}/{}", status("readyReplicas"), self.number("/spec/replicas"))),
            json!(status("updatedReplicas")),
            json!(status("availableReplicas")),
            age,
            json!(self.names("/spec/template/spec/containers", "name")),
            json!(self.names("/spec/template/spec/containers", "image")),
            json!(self.labels("/spec/selector/matchLabels")),
        ]
    }

    /// An event in either group's form.
    fn event(&self) -> Vec<Value> {
        let either = |core: &str, other: &str| match self.str(core) {
            "" => self.str(other),
            text => text,
        };
        let since = |core: &str, other: &str| {
            [core, other, "/eventTime"]
                .iter()
                .find_map(|path| self.str(path).parse::<Timestamp>().ok())
                .map_or_else(|| json!("<unknown>"), |time| json!(human_duration(time, self.now)))
        };
        let first = since("/firstTimestamp", "/deprecatedFirstTimestamp");
        let object = if self.at("/involvedObject").is_some() { "/involvedObject" } else { "/regarding" };
        let kind = self.str(&format!("{object}/kind")).to_lowercase();
        let name = self.str(&format!("{object}/name"));
        let source = either("/source/component", "/deprecatedSource/component");
        let source =
            if source.is_empty() { either("/reportingComponent", "/reportingController") } else { source };
        let count = self.number("/count").max(self.number("/deprecatedCount")).max(1);
        vec![
            match since("/lastTimestamp", "/deprecatedLastTimestamp") {
                Value::String(unknown) if unknown == "<unknown>" => first.clone(),
                last => last,
            },
            self.text("/type"),
            self.text("/reason"),
            json!(if kind.is_empty() { name.to_owned() } else { format!("{kind}/{name}") }),
            self.text(&format!("{object}/fieldPath")),
            json!(source),
            json!(either("/message", "/note").trim()),
            first,
            json!(count),
            self.text("/metadata/name"),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_cell_for_each_column() {
        let now: Timestamp = "2024-01-01T00:05:00Z".parse().unwrap();
        let object = json!({"metadata": {"name": "x", "creationTimestamp": "2024-01-01T00:00:00Z"}});
        for (resource, kind) in [
            ("namespaces", "Namespace"),
            ("secrets", "Secret"),
            ("configmaps", "ConfigMap"),
            ("serviceaccounts", "ServiceAccount"),
            ("leases", "Lease"),
            ("roles", "Role"),
            ("clusterrolebindings", "ClusterRoleBinding"),
            ("pods", "Pod"),
            ("services", "Service"),
            ("deployments", "Deployment"),
            ("poddisruptionbudgets", "PodDisruptionBudget"),
            ("events", "Event"),
            ("customresourcedefinitions", "CustomResourceDefinition"),
        ] {
            let id = GroupVersionResource::new("", "v1", resource);
            assert_eq!(columns(&id).len(), cells(kind, &object, now).len(), "{kind}");
        }
    }

    #[test]
    fn rows() {
        let now: Timestamp = "2024-01-01T00:05:00Z".parse().unwrap();
        let metadata = json!({"name": "x", "creationTimestamp": "2024-01-01T00:00:00Z"});
        let secret = json!({"metadata": metadata, "type": "Opaque", "data": {"a": "", "b": ""}});
        assert_eq!(cells("Secret", &secret, now), [json!("x"), json!("Opaque"), json!(2), json!("5m")]);
        let pod = json!({
            "metadata": metadata, "spec": {"containers": [{}, {}], "nodeName": "n"},
            "status": {"phase": "Running", "containerStatuses": [
                {"ready": true, "state": {"running": {}}, "restartCount": 1},
                {"ready": false, "state": {"waiting": {"reason": "CrashLoopBackOff"}}, "restartCount": 2}
            ]}
        });
        assert_eq!(
            cells("Pod", &pod, now)[..5],
            [json!("x"), json!("1/2"), json!("CrashLoopBackOff"), json!("3"), json!("5m")]
        );
        let event = json!({
            "metadata": metadata, "type": "Normal", "reason": "R", "message": "m ", "count": 3,
            "involvedObject": {"kind": "Pod", "name": "p"}, "lastTimestamp": "2024-01-01T00:04:00Z"
        });
        let row = cells("Event", &event, now);
        assert_eq!(row[..4], [json!("60s"), json!("Normal"), json!("R"), json!("pod/p")]);
        assert_eq!((&row[6], &row[8]), (&json!("m"), &json!(3)));
    }
}
