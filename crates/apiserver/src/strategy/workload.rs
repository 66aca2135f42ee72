//! Deployments, Services and PodDisruptionBudgets: stored with the real defaults, and nothing acts on them.

use serde_json::{Value, json};

use super::pod::{default_pod_spec, validate_containers};
use super::{
    Behaviour, Change, Strategy, count_generation, decode_built_in, default_field, keep_other_part,
    object_at, text_at, value_at,
};
use crate::meta::format;
use crate::meta::object_meta::{self, Object};
use crate::meta::validate::IMMUTABLE;
use crate::resource::ResourceDefinition;
use crate::selector::LabelSelector;
use crate::status::{ApiStatus, FieldError};
use crate::store::Subresource;

const UNFIT_LABELS: &str = "`selector` does not match template `labels`";

/// apps Deployments.
pub(crate) struct Deployments;

impl Strategy for Deployments {
    fn decode(&self, object: &mut Object, definition: &ResourceDefinition) -> Result<Vec<String>, ApiStatus> {
        decode_built_in(object, definition)
    }

    fn default(&self, object: &mut Object) {
        let spec = object_at(object, "spec");
        default_field(spec, "replicas", json!(1));
        let template = object_at(spec, "template");
        object_at(template, "metadata");
        default_pod_spec(object_at(template, "spec"));
        let strategy = object_at(spec, "strategy");
        default_field(strategy, "type", json!("RollingUpdate"));
        if strategy["type"] == "RollingUpdate" {
            let rolling = object_at(strategy, "rollingUpdate");
            default_field(rolling, "maxUnavailable", json!("25%"));
            default_field(rolling, "maxSurge", json!("25%"));
        }
        default_field(spec, "revisionHistoryLimit", json!(10));
        default_field(spec, "progressDeadlineSeconds", json!(600));
        object_at(object, "status");
    }

    fn prepare_create(&self, object: &mut Object) {
        object.insert("status".to_owned(), json!({}));
        object_meta::set_generation(object, 1);
    }

    fn validate_create(&self, object: &Object, errors: &mut Vec<FieldError>) {
        if let Some(replicas) = value_at(object, &["spec", "replicas"]).filter(|r| r.as_i64() < Some(0)) {
            errors.push(FieldError::invalid("spec.replicas", replicas, "must be greater than or equal to 0"));
        }
        let is_rolled = value_at(object, &["spec", "strategy", "rollingUpdate"]).is_some();
        if is_rolled && text_at(object, &["spec", "strategy", "type"]) == "Recreate" {
            let why = "may not be specified when strategy `type` is 'Recreate'";
            errors.push(FieldError::forbidden("spec.strategy.rollingUpdate", why));
        }
        let selector = value_at(object, &["spec", "selector"]);
        let labels = value_at(object, &["spec", "template", "metadata", "labels"]);
        match selector.map(|s| (s, LabelSelector::from_object(s))) {
            None => {
                errors.push(FieldError::required("spec.selector", ""));
                let value = labels.unwrap_or(&Value::Null);
                errors.push(FieldError::invalid("spec.template.metadata.labels", value, UNFIT_LABELS));
            }
            Some((selector, Some(parsed))) if parsed.is_empty() => {
                let why = "empty selector is invalid for deployment";
                errors.push(FieldError::invalid("spec.selector", selector, why));
            }
            Some((_, Some(parsed))) => {
                let get = |key: &str| labels.and_then(|l| l.get(key)).and_then(Value::as_str);
                if !parsed.matches(get) {
                    let value = labels.unwrap_or(&Value::Null);
                    errors.push(FieldError::invalid("spec.template.metadata.labels", value, UNFIT_LABELS));
                }
            }
            Some((selector, None)) => {
                errors.push(FieldError::invalid("spec.selector", selector, "invalid label selector"));
            }
        }
        validate_containers(object, &["spec", "template", "spec"], errors);
    }

    fn prepare_update(&self, object: &mut Object, change: Change<'_>) {
        keep_other_part(object, change);
        if change.subresource == Subresource::Status {
            let labels = object_meta::field(change.old, "labels").cloned();
            object_meta::set_or_remove(object, "labels", labels);
            return;
        }
        count_generation(object, change.old, "spec");
        if object_meta::field(object, "annotations") != object_meta::field(change.old, "annotations") {
            object_meta::set_generation(object, object_meta::generation(change.old) + 1);
        }
    }

    fn validate_update(&self, object: &Object, change: Change<'_>, errors: &mut Vec<FieldError>) {
        if change.subresource == Subresource::Status {
            return;
        }
        self.validate_create(object, errors);
        let selector = value_at(object, &["spec", "selector"]);
        if selector != value_at(change.old, &["spec", "selector"]) {
            let value = selector.unwrap_or(&Value::Null);
            errors.push(FieldError::invalid("spec.selector", value, IMMUTABLE));
        }
    }
}

/// Services. A cluster IP is made up from the uid: nothing listens there.
pub(crate) struct Services;

impl Strategy for Services {
    fn behaviour(&self) -> Behaviour {
        Behaviour {
            name_rule: format::name_is_dns_label,
            create_on_update: true,
            returns_deleted_object: true,
            ..Behaviour::default()
        }
    }

    fn decode(&self, object: &mut Object, definition: &ResourceDefinition) -> Result<Vec<String>, ApiStatus> {
        decode_built_in(object, definition)
    }

    fn default(&self, object: &mut Object) {
        let spec = object_at(object, "spec");
        default_field(spec, "sessionAffinity", json!("None"));
        default_field(spec, "type", json!("ClusterIP"));
        for port in spec.get_mut("ports").and_then(Value::as_array_mut).into_iter().flatten() {
            if let Some(port) = port.as_object_mut() {
                default_field(port, "protocol", json!("TCP"));
                if let Some(number) = port.get("port").cloned() {
                    default_field(port, "targetPort", number);
                }
            }
        }
        if spec["type"] != "ExternalName" {
            default_field(spec, "internalTrafficPolicy", json!("Cluster"));
        }
        default_field(object, "status", json!({"loadBalancer": {}}));
    }

    fn prepare_create(&self, object: &mut Object) {
        object.insert("status".to_owned(), json!({"loadBalancer": {}}));
        let address = made_up_address(object_meta::text(object, "uid"));
        let spec = object_at(object, "spec");
        if spec["type"] == "ExternalName" {
            return;
        }
        default_field(spec, "clusterIP", json!(address));
        let address = spec["clusterIP"].clone();
        default_field(spec, "clusterIPs", json!([address]));
        // Without a selector, whoever lists the addresses may list any.
        let is_open = address == "None" && !spec.contains_key("selector");
        let (families, policy) = if is_open {
            (json!(["IPv4", "IPv6"]), "RequireDualStack")
        } else {
            (json!(["IPv4"]), "SingleStack")
        };
        default_field(spec, "ipFamilies", families);
        default_field(spec, "ipFamilyPolicy", json!(policy));
    }

    fn prepare_update(&self, object: &mut Object, change: Change<'_>) {
        keep_other_part(object, change);
        if change.subresource == Subresource::None && text_at(object, &["spec", "type"]) != "ExternalName" {
            // Allocated fields that an update leaves out keep their values.
            for field in ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"] {
                if let Some(old) = value_at(change.old, &["spec", field]) {
                    default_field(object_at(object, "spec"), field, old.clone());
                }
            }
        }
    }

    fn validate_create(&self, object: &Object, errors: &mut Vec<FieldError>) {
        let ports = value_at(object, &["spec", "ports"]).and_then(Value::as_array);
        let headless = text_at(object, &["spec", "clusterIP"]) == "None";
        let kind = text_at(object, &["spec", "type"]);
        if ports.is_none_or(Vec::is_empty) && !headless && kind != "ExternalName" {
            errors.push(FieldError::required("spec.ports", ""));
        }
        for (i, port) in ports.into_iter().flatten().enumerate() {
            if ports.is_some_and(|p| p.len() > 1) && port.get("name").is_none() {
                errors.push(FieldError::required(format!("spec.ports[{i}].name"), ""));
            }
            for field in ["port", "targetPort"] {
                // What is left out is 0 in Go.
                let number = port.get(field).map_or(Some(0), Value::as_i64);
                if let Some(number) = number.filter(|number| !(1..=65535).contains(number)) {
                    let why = "must be between 1 and 65535, inclusive";
                    errors.push(FieldError::invalid(format!("spec.ports[{i}].{field}"), &json!(number), why));
                }
            }
        }
        let is_open = headless && value_at(object, &["spec", "selector"]).is_none();
        let policy = text_at(object, &["spec", "ipFamilyPolicy"]);
        if policy == "RequireDualStack" && !is_open {
            let why = "this cluster is not configured for dual-stack services";
            errors.push(FieldError::invalid("spec.ipFamilyPolicy", &json!(policy), why));
        }
        let types = ["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"];
        if !types.contains(&kind) {
            errors.push(FieldError::not_supported("spec.type", &json!(kind), &types));
        }
    }

    fn validate_update(&self, object: &Object, change: Change<'_>, errors: &mut Vec<FieldError>) {
        if change.subresource == Subresource::Status {
            return;
        }
        let (new, old) =
            (text_at(object, &["spec", "clusterIP"]), text_at(change.old, &["spec", "clusterIP"]));
        if !old.is_empty() && new != old && text_at(object, &["spec", "type"]) != "ExternalName" {
            let why = "may not change once set";
            errors.push(FieldError::invalid("spec.clusterIPs[0]", &json!([new]), why));
        }
        self.validate_create(object, errors);
    }
}

fn made_up_address(uid: &str) -> String {
    let bits = u32::from_str_radix(uid.get(..8).unwrap_or("0"), 16).unwrap_or(0);
    format!("10.{}.{}.{}", 96 + (bits >> 16) % 16, (bits >> 8) % 256, 1 + bits % 254)
}

/// policy PodDisruptionBudgets.
pub(crate) struct PodDisruptionBudgets;

impl Strategy for PodDisruptionBudgets {
    fn behaviour(&self) -> Behaviour {
        Behaviour { unconditional_update: false, ..Behaviour::default() }
    }

    fn decode(&self, object: &mut Object, definition: &ResourceDefinition) -> Result<Vec<String>, ApiStatus> {
        decode_built_in(object, definition)
    }

    fn default(&self, object: &mut Object) {
        object_at(object, "spec");
        let status = object_at(object, "status");
        for field in ["disruptionsAllowed", "currentHealthy", "desiredHealthy", "expectedPods"] {
            default_field(status, field, json!(0));
        }
    }

    fn prepare_create(&self, object: &mut Object) {
        object.insert("status".to_owned(), json!({}));
        self.default(object);
        object_meta::set_generation(object, 1);
    }

    fn prepare_update(&self, object: &mut Object, change: Change<'_>) {
        keep_other_part(object, change);
        count_generation(object, change.old, "spec");
    }

    fn validate_create(&self, object: &Object, errors: &mut Vec<FieldError>) {
        let field = |name: &str| value_at(object, &["spec", name]);
        if field("minAvailable").is_some() && field("maxUnavailable").is_some() {
            let why = "minAvailable and maxUnavailable cannot be both set";
            let value = json!({
                "MinAvailable": field("minAvailable"),
                "Selector": field("selector"),
                "MaxUnavailable": field("maxUnavailable"),
                "UnhealthyPodEvictionPolicy": field("unhealthyPodEvictionPolicy"),
            });
            errors.push(FieldError::invalid("spec", &value, why));
        }
        for name in ["minAvailable", "maxUnavailable"] {
            match field(name) {
                Some(Value::String(text)) if !is_percent(text) => {
                    let why = format::regex_error(
                        "a valid percent string must be a numeric string followed by an ending '%'",
                        "[0-9]+%",
                        &["1%", "93%"],
                    );
                    errors.push(FieldError::invalid(format!("spec.{name}"), &json!(text), why));
                }
                Some(Value::String(text)) if percent(text) > Some(100) => {
                    let why = "must not be greater than 100%";
                    errors.push(FieldError::invalid(format!("spec.{name}"), &json!(text), why));
                }
                Some(Value::Number(number)) if number.as_i64() < Some(0) => {
                    let why = "must be greater than or equal to 0";
                    errors.push(FieldError::invalid(format!("spec.{name}"), &json!(number), why));
                }
                _ => {}
            }
        }
    }

    fn validate_update(&self, object: &Object, _change: Change<'_>, errors: &mut Vec<FieldError>) {
        self.validate_create(object, errors);
    }
}

fn percent(text: &str) -> Option<u64> {
    text.strip_suffix('%')?.parse().ok()
}

fn is_percent(text: &str) -> bool {
    text.strip_suffix('%').is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn created(strategy: &dyn Strategy, object: &Value) -> (Object, Vec<String>) {
        let mut object = object.as_object().cloned().unwrap();
        strategy.default(&mut object);
        strategy.prepare_create(&mut object);
        let mut errors = Vec::new();
        strategy.validate_create(&object, &mut errors);
        (object, errors.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn deployments() {
        let deployment = |labels: Value| {
            json!({"metadata": {}, "spec": {"selector": {"matchLabels": {"app": "x"}}, "template": {
                "metadata": {"labels": labels}, "spec": {"containers": [{"name": "a", "image": "i"}]}}}})
        };
        let (object, errors) = created(&Deployments, &deployment(json!({"app": "x"})));
        assert_eq!(errors, Vec::<String>::new());
        assert_eq!(
            object["spec"]["strategy"]["rollingUpdate"],
            json!({"maxUnavailable": "25%", "maxSurge": "25%"})
        );
        assert_eq!(object["metadata"], json!({"generation": 1}));
        let (_, errors) = created(&Deployments, &deployment(json!({"app": "y"})));
        assert_eq!(
            errors,
            [
                "spec.template.metadata.labels: Invalid value: {\"app\":\"y\"}: `selector` does not match template \
                 `labels`"
            ]
        );
        assert_eq!(
            created(&Deployments, &json!({})).1,
            [
                "spec.selector: Required value",
                "spec.template.metadata.labels: Invalid value: null: `selector` does not match template `labels`",
                "spec.template.spec.containers: Required value"
            ]
        );
    }

    #[test]
    fn services() {
        let (object, errors) =
            created(&Services, &json!({"metadata": {"uid": "00ff0a0b-"}, "spec": {"ports": [{"port": 80}]}}));
        assert_eq!(errors, Vec::<String>::new());
        assert_eq!(object["spec"]["ports"][0], json!({"port": 80, "protocol": "TCP", "targetPort": 80}));
        assert_eq!(object["spec"]["clusterIP"], json!("10.111.10.36"));
        assert_eq!(created(&Services, &json!({})).1, ["spec.ports: Required value"]);
    }

    #[test]
    fn budgets() {
        let (object, errors) = created(&PodDisruptionBudgets, &json!({"spec": {"minAvailable": "50%"}}));
        assert_eq!(errors, Vec::<String>::new());
        assert_eq!(object["status"]["disruptionsAllowed"], json!(0));
        let (_, errors) =
            created(&PodDisruptionBudgets, &json!({"spec": {"minAvailable": 1, "maxUnavailable": "x"}}));
        assert_eq!(errors.len(), 2);
    }
}
