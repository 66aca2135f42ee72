//! Pods: the defaults and checks that clients notice, and graceful deletion (pkg/registry/core/pod,
//! pkg/apis/core/v1/defaults.go). Nothing runs them.

use serde_json::{Value, json};

use super::{
    Behaviour, Change, Strategy, decode_built_in, default_field, keep, object_at, text_at, value_at,
};
use crate::meta::format;
use crate::meta::object_meta::{self, Object};
use crate::resource::ResourceDefinition;
use crate::status::{ApiStatus, FieldError};
use crate::store::Subresource;

/// Pods.
pub(crate) struct Pods;

impl Strategy for Pods {
    fn behaviour(&self) -> Behaviour {
        Behaviour { returns_deleted_object: true, ..Behaviour::default() }
    }

    fn decode(&self, object: &mut Object, definition: &ResourceDefinition) -> Result<Vec<String>, ApiStatus> {
        decode_built_in(object, definition)
    }

    fn default(&self, object: &mut Object) {
        default_pod_spec(object_at(object, "spec"));
        let status = object_at(object, "status");
        let conditions = status.get_mut("conditions").and_then(Value::as_array_mut);
        for condition in conditions.into_iter().flatten().filter_map(Value::as_object_mut) {
            default_field(condition, "lastProbeTime", Value::Null);
            default_field(condition, "lastTransitionTime", Value::Null);
        }
    }

    fn prepare_create(&self, object: &mut Object) {
        object_meta::set_generation(object, 1);
        admit(object_at(object, "spec"));
        let qos = qos_class(object);
        object.insert("status".to_owned(), json!({"phase": "Pending", "qosClass": qos}));
    }

    fn validate_create(&self, object: &Object, errors: &mut Vec<FieldError>) {
        validate_containers(object, &["spec"], errors);
    }

    fn prepare_update(&self, object: &mut Object, change: Change<'_>) {
        match change.subresource {
            Subresource::Status => {
                keep(object, change.old, "spec");
                let owners = object_meta::field(change.old, "ownerReferences").cloned();
                object_meta::set_or_remove(object, "ownerReferences", owners);
                if !text_at(change.old, &["status", "qosClass"]).is_empty() {
                    let qos = value_at(change.old, &["status", "qosClass"]).cloned();
                    object_at(object, "status").entry("qosClass").or_insert_with(|| json!(qos));
                }
            }
            Subresource::None | Subresource::Finalize => {
                keep(object, change.old, "status");
                admit(object_at(object, "spec"));
                super::count_generation(object, change.old, "spec");
            }
        }
    }

    fn validate_update(&self, object: &Object, change: Change<'_>, errors: &mut Vec<FieldError>) {
        if change.subresource == Subresource::Status {
            return;
        }
        self.validate_create(object, errors);
        for field in ["containers", "initContainers"] {
            let count = |object: &Object| {
                value_at(object, &["spec", field]).and_then(Value::as_array).map_or(0, Vec::len)
            };
            if count(object) != count(change.old) {
                let why = "pod updates may not add or remove containers";
                errors.push(FieldError::forbidden(format!("spec.{field}"), why));
                return;
            }
        }
        if frozen_spec(object) != frozen_spec(change.old) {
            errors.push(FieldError::forbidden(
                "spec",
                "pod updates may not change fields other than \
                 `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,\
                 `spec.tolerations` (only additions to existing \
                 tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously \
                 negative)",
            ));
        }
    }

    fn grace_period(&self, object: &Object, requested: Option<i64>) -> Option<i64> {
        let own = value_at(object, &["spec", "terminationGracePeriodSeconds"]).and_then(Value::as_i64);
        let period = requested.or(own).unwrap_or(0);
        let scheduled = !text_at(object, &["spec", "nodeName"]).is_empty();
        let finished = matches!(text_at(object, &["status", "phase"]), "Succeeded" | "Failed");
        Some(if scheduled && !finished { if period < 0 { 1 } else { period } } else { 0 })
    }
}

/// The spec without what an update may change.
fn frozen_spec(object: &Object) -> Value {
    let mut spec = object.get("spec").cloned().unwrap_or_default();
    for containers in ["containers", "initContainers"] {
        for container in spec.get_mut(containers).and_then(Value::as_array_mut).into_iter().flatten() {
            container.as_object_mut().map(|c| c.shift_remove("image"));
        }
    }
    if let Some(spec) = spec.as_object_mut() {
        for field in ["activeDeadlineSeconds", "tolerations"] {
            spec.shift_remove(field);
        }
        // What was negative counts as 1, and may be written so.
        let grace = spec.get("terminationGracePeriodSeconds").and_then(Value::as_i64);
        if grace.is_some_and(|seconds| seconds < 0) {
            spec.insert("terminationGracePeriodSeconds".to_owned(), json!(1));
        }
    }
    spec
}

/// Defaults of a pod's spec, in a pod or a template.
pub(super) fn default_pod_spec(spec: &mut Object) {
    default_field(spec, "restartPolicy", json!("Always"));
    default_field(spec, "terminationGracePeriodSeconds", json!(30));
    default_field(spec, "dnsPolicy", json!("ClusterFirst"));
    if let Some(account) = spec.get("serviceAccountName").cloned() {
        default_field(spec, "serviceAccount", account);
    } else if let Some(account) = spec.get("serviceAccount").cloned() {
        default_field(spec, "serviceAccountName", account);
    }
    object_at(spec, "securityContext");
    default_field(spec, "schedulerName", json!("default-scheduler"));
    for containers in ["containers", "initContainers"] {
        for container in spec.get_mut(containers).and_then(Value::as_array_mut).into_iter().flatten() {
            if let Some(container) = container.as_object_mut() {
                default_container(container);
            }
        }
    }
    for volume in spec.get_mut("volumes").and_then(Value::as_array_mut).into_iter().flatten() {
        for source in ["secret", "configMap", "projected", "downwardAPI"] {
            if let Some(source) = volume.get_mut(source).and_then(Value::as_object_mut) {
                default_field(source, "defaultMode", json!(420));
            }
        }
    }
}

fn default_container(container: &mut Object) {
    let image = container.get("image").and_then(Value::as_str).unwrap_or_default();
    let tag = image.rsplit('/').next().and_then(|name| name.split_once(':')).map(|(_, tag)| tag);
    let pull = match tag {
        None | Some("latest") if !image.is_empty() && !image.contains('@') => "Always",
        _ => "IfNotPresent",
    };
    for port in container.get_mut("ports").and_then(Value::as_array_mut).into_iter().flatten() {
        if let Some(port) = port.as_object_mut() {
            default_field(port, "protocol", json!("TCP"));
        }
    }
    let resources = object_at(container, "resources");
    if let Some(Value::Object(limits)) = resources.get("limits").cloned() {
        let requests = object_at(resources, "requests");
        for (resource, limit) in limits {
            requests.entry(resource).or_insert(limit);
        }
    }
    default_field(container, "terminationMessagePath", json!("/dev/termination-log"));
    default_field(container, "terminationMessagePolicy", json!("File"));
    default_field(container, "imagePullPolicy", json!(pull));
    for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
        if let Some(probe) = container.get_mut(probe).and_then(Value::as_object_mut) {
            for (field, value) in [
                ("timeoutSeconds", 1),
                ("periodSeconds", 10),
                ("successThreshold", 1),
                ("failureThreshold", 3),
            ] {
                default_field(probe, field, json!(value));
            }
            if let Some(get) = probe.get_mut("httpGet").and_then(Value::as_object_mut) {
                default_field(get, "path", json!("/"));
                default_field(get, "scheme", json!("HTTP"));
            }
        }
    }
    for env in container.get_mut("env").and_then(Value::as_array_mut).into_iter().flatten() {
        if let Some(field) = env.pointer_mut("/valueFrom/fieldRef").and_then(Value::as_object_mut) {
            default_field(field, "apiVersion", json!("v1"));
        }
    }
}

/// What the default admission plugins add: priority and tolerations.
fn admit(spec: &mut Object) {
    default_field(spec, "priority", json!(0));
    default_field(spec, "preemptionPolicy", json!("PreemptLowerPriority"));
    default_field(spec, "enableServiceLinks", json!(true));
    let tolerations = spec.entry("tolerations").or_insert_with(|| json!([]));
    if let Value::Array(tolerations) = tolerations {
        for key in ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"] {
            let tolerates = |t: &Value| {
                let given = t.get("key").and_then(Value::as_str).unwrap_or_default();
                let effect = t.get("effect").and_then(Value::as_str).unwrap_or_default();
                (given == key || given.is_empty()) && (effect == "NoExecute" || effect.is_empty())
            };
            if !tolerations.iter().any(tolerates) {
                tolerations.push(json!({
                    "key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300
                }));
            }
        }
    }
}

fn qos_class(object: &Object) -> &'static str {
    let containers = value_at(object, &["spec", "containers"]).and_then(Value::as_array);
    let (mut any, mut guaranteed) = (false, true);
    for container in containers.into_iter().flatten() {
        let resource = |kind: &str, name: &str| container.pointer(&format!("/resources/{kind}/{name}"));
        for name in ["cpu", "memory"] {
            let (limit, request) = (resource("limits", name), resource("requests", name));
            any |= limit.is_some() || request.is_some();
            guaranteed &= limit.is_some() && (request.is_none() || request == limit);
        }
    }
    match (any, guaranteed) {
        (false, _) => "BestEffort",
        (true, true) => "Guaranteed",
        (true, false) => "Burstable",
    }
}

/// Checks the containers of a pod's spec at this path.
pub(super) fn validate_containers(object: &Object, path: &[&str], errors: &mut Vec<FieldError>) {
    let at = path.join(".");
    let containers = |field: &str| {
        let mut full = path.to_vec();
        full.push(field);
        value_at(object, &full).and_then(Value::as_array)
    };
    if containers("containers").is_none_or(Vec::is_empty) {
        errors.push(FieldError::required(format!("{at}.containers"), ""));
    }
    let volumes: Vec<&str> = containers("volumes")
        .into_iter()
        .flatten()
        .filter_map(|volume| volume.get("name")?.as_str())
        .collect();
    let mut seen: Vec<&str> = Vec::new();
    for field in ["initContainers", "containers"] {
        for (i, container) in containers(field).into_iter().flatten().enumerate() {
            let place = format!("{at}.{field}[{i}]");
            let text = |name: &str| container.get(name).and_then(Value::as_str).unwrap_or_default();
            let name = text("name");
            if name.is_empty() {
                errors.push(FieldError::required(format!("{place}.name"), ""));
            } else if seen.contains(&name) {
                errors.push(FieldError::duplicate(format!("{place}.name"), &json!(name)));
            } else {
                let findings = format::dns1123_label(name);
                errors.extend(
                    findings
                        .into_iter()
                        .map(|e| FieldError::invalid(format!("{place}.name"), &json!(name), e)),
                );
                seen.push(name);
            }
            if text("image").is_empty() {
                errors.push(FieldError::required(format!("{place}.image"), ""));
            }
            check_mounts(container, &volumes, &place, errors);
        }
    }
    let mut full = path.to_vec();
    full.push("restartPolicy");
    let policy = text_at(object, &full);
    let policies = ["Always", "OnFailure", "Never"];
    if !policy.is_empty() && !policies.contains(&policy) {
        errors.push(FieldError::not_supported(full.join("."), &json!(policy), &policies));
    }
}

/// What is mounted is among the volumes.
fn check_mounts(container: &Value, volumes: &[&str], place: &str, errors: &mut Vec<FieldError>) {
    let mounts = container.get("volumeMounts").and_then(Value::as_array);
    for (i, mount) in mounts.into_iter().flatten().enumerate() {
        let name = mount.get("name").and_then(Value::as_str).unwrap_or_default();
        if !volumes.contains(&name) {
            errors.push(FieldError::not_found(format!("{place}.volumeMounts[{i}].name"), &json!(name)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(spec: &Value) -> Object {
        let mut pod = json!({"metadata": {"name": "x"}, "spec": spec}).as_object().cloned().unwrap();
        Pods.default(&mut pod);
        Pods.prepare_create(&mut pod);
        pod
    }

    #[test]
    fn defaults() {
        let pod =
            pod(&json!({"containers": [{"name": "a", "image": "r/x:1", "ports": [{"containerPort": 1}]}]}));
        assert_eq!(
            pod["spec"]["containers"][0],
            json!({
                "name": "a", "image": "r/x:1", "ports": [{"containerPort": 1, "protocol": "TCP"}], "resources": {},
                "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File",
                "imagePullPolicy": "IfNotPresent"
            })
        );
        assert_eq!(pod["spec"]["restartPolicy"], json!("Always"));
        assert_eq!(pod["spec"]["tolerations"].as_array().map(Vec::len), Some(2));
        assert_eq!(pod["status"], json!({"phase": "Pending", "qosClass": "BestEffort"}));
    }

    #[test]
    fn grace_periods() {
        let mut object = pod(&json!({"containers": []}));
        assert_eq!(Pods.grace_period(&object, Some(5)), Some(0), "unscheduled");
        object_at(&mut object, "spec").insert("nodeName".to_owned(), json!("n"));
        assert_eq!(Pods.grace_period(&object, None), Some(30));
        assert_eq!(Pods.grace_period(&object, Some(5)), Some(5));
        object_at(&mut object, "status").insert("phase".to_owned(), json!("Failed"));
        assert_eq!(Pods.grace_period(&object, None), Some(0), "finished");
    }

    #[test]
    fn refusals() {
        let rows = [
            (json!({}), vec!["spec.containers: Required value"]),
            (
                json!({"containers": [{"name": "A"}, {"name": "b", "image": "x"}, {"name": "b", "image": "x"}]}),
                vec![
                    "spec.containers[0].name: Invalid",
                    "spec.containers[0].image: Required",
                    "spec.containers[2].name: Dup",
                ],
            ),
        ];
        for (spec, starts) in rows {
            let mut errors = Vec::new();
            Pods.validate_create(&pod(&spec), &mut errors);
            assert_eq!(errors.len(), starts.len());
            for (error, start) in errors.iter().zip(starts) {
                assert!(error.to_string().starts_with(start), "{error}");
            }
        }
    }

    #[test]
    fn only_images_and_a_few_fields_change() {
        let old = pod(&json!({"containers": [{"name": "a", "image": "x"}]}));
        let change = Change { old: &old, subresource: Subresource::None };
        let mut image = old.clone();
        image["spec"]["containers"][0]["image"] = json!("y");
        let mut errors = Vec::new();
        Pods.validate_update(&image, change, &mut errors);
        assert_eq!(errors, []);
        let mut name = old.clone();
        name["spec"]["containers"][0]["command"] = json!(["x"]);
        Pods.validate_update(&name, change, &mut errors);
        assert!(
            errors[0]
                .to_string()
                .starts_with("spec: Forbidden: pod updates may not change fields other than")
        );
    }
}
