//! Eviction: a deletion that respects PodDisruptionBudgets (`pkg/registry/core/pod/storage/eviction.go`).
//!
//! A budget whose status a controller maintains (`observedGeneration` is set) is taken at its word. No controller of
//! ours does, so that of any other is computed from the pods that exist, as an up-to-date controller would have it.

use std::sync::Arc;

use serde_json::{Value, json};

use super::delete::check_preconditions;
use super::{DeleteOptions, Preconditions, PropagationPolicy, Store, StoredObject, WriteOptions};
use crate::meta::object_meta::{self, Object};
use crate::resource::{GroupResource, GroupVersionResource, ResourceDefinition};
use crate::selector::LabelSelector;
use crate::status::{ApiStatus, StatusCause, StatusDetails, StatusReason};
use crate::strategy::{object_at, text_at, value_at};

/// What a budget says to one more eviction.
struct Verdict {
    allowed: i64,
    desired: i64,
    healthy: i64,
}

impl Store {
    pub(super) fn evict_pod(
        &self,
        namespace: &str,
        name: &str,
        eviction: &Value,
        options: &WriteOptions,
    ) -> Result<Value, ApiStatus> {
        check_name(eviction, name)?;
        let pods = GroupResource::new("", "pods");
        let pod = self
            .stored(&pods, &format!("{namespace}/{name}"))
            .ok_or_else(|| ApiStatus::not_found(&pods, name))?;
        let delete = delete_options(eviction, options);
        if needs_budget(&pod) {
            self.spend_budget(namespace, &pod, options.dry_run)?;
        }
        let id = GroupVersionResource::new("", "v1", "pods");
        let definition = self.resource(&id).ok_or_else(ApiStatus::resource_not_found)?;
        check_preconditions(&definition, &pod, &delete)?;
        if !delete.dry_run {
            self.mark_as_disrupted(&definition, &pod);
        }
        self.delete_object(&definition, Some(namespace), name, &delete)?;
        Ok(json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}))
    }

    /// Notes in the pod why it goes, for whoever sees it go.
    fn mark_as_disrupted(&self, definition: &Arc<ResourceDefinition>, pod: &Arc<StoredObject>) {
        const KIND: &str = "DisruptionTarget";
        let mut object = pod.object();
        // Whoever runs pods says what generation they run; conditions follow that, once it is said.
        let is_run = value_at(&object, &["status", "observedGeneration"]).is_some();
        let generation = is_run.then(|| object_meta::generation(&object));
        let status = object_at(&mut object, "status");
        let conditions = status.entry("conditions").or_insert_with(|| json!([]));
        let Some(conditions) = conditions.as_array_mut() else { return };
        if conditions.iter().any(|condition| condition.get("type") == Some(&json!(KIND))) {
            return;
        }
        let mut condition = json!({
            "type": KIND, "status": "True", "lastProbeTime": null,
            "lastTransitionTime": object_meta::format_time(self.now()),
            "reason": "EvictionByEvictionAPI", "message": "Eviction API: evicting",
        });
        if let Some(generation) = generation {
            condition["observedGeneration"] = json!(generation);
        }
        conditions.push(condition);
        let key = super::state::object_key(pod.namespace(), pod.name());
        // If somebody else has written, the pod is deleted unmarked.
        let _ = self.replace(definition, &key, pod, object);
    }

    /// 429 if the pod's budget has nothing left, 500 if it has several budgets.
    fn spend_budget(&self, namespace: &str, pod: &StoredObject, dry_run: bool) -> Result<(), ApiStatus> {
        let budgets = self.budgets_of(namespace, pod);
        let budget = match budgets.as_slice() {
            [] => return Ok(()),
            [budget] => budget,
            _ => {
                return Err(ApiStatus::new(
                    500,
                    StatusReason::Unknown,
                    "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.",
                ));
            }
        };
        let object = budget.object();
        let maintained = value_at(&object, &["status", "observedGeneration"]).and_then(Value::as_i64);
        if maintained.is_some_and(|observed| observed < object_meta::generation(&object)) {
            let why =
                format!("The disruption budget {} is still being processed by the server.", budget.name());
            return Err(refused(why, 10));
        }
        let verdict = match maintained {
            Some(_) => reported(&object),
            None => self.computed(namespace, &object),
        };
        if spares_unhealthy(&object, &verdict) && !is_ready(&pod.object()) {
            return Ok(());
        }
        if verdict.allowed <= 0 {
            let why = format!(
                "The disruption budget {} needs {} healthy pods and has {} currently",
                budget.name(),
                verdict.desired,
                verdict.healthy
            );
            return Err(refused(why, 0));
        }
        if maintained.is_some() && !dry_run {
            self.record_disruption(budget, object, pod.name());
        }
        Ok(())
    }

    fn budgets_of(&self, namespace: &str, pod: &StoredObject) -> Vec<Arc<StoredObject>> {
        let resource = GroupResource::new("policy", "poddisruptionbudgets");
        let prefix = format!("{namespace}/");
        let state = self.read();
        let budgets = state.objects(&resource, &prefix).map(|(_, budget)| budget.clone());
        budgets.filter(|budget| selector(&budget.object()).matches(|key| pod.label(key))).collect()
    }

    /// What the disruption controller would report: healthy pods against those wanted.
    fn computed(&self, namespace: &str, budget: &Object) -> Verdict {
        let selector = selector(budget);
        let prefix = format!("{namespace}/");
        let state = self.read();
        let pods: Vec<Object> = state
            .objects(&GroupResource::new("", "pods"), &prefix)
            .filter(|(_, pod)| selector.matches(|key| pod.label(key)))
            .map(|(_, pod)| pod.object())
            .filter(|pod| !matches!(text_at(pod, &["status", "phase"]), "Succeeded" | "Failed"))
            .collect();
        let expected = i64::try_from(pods.len()).unwrap_or(i64::MAX);
        let healthy = pods.iter().filter(|pod| is_ready(pod) && !object_meta::is_terminating(pod)).count();
        let healthy = i64::try_from(healthy).unwrap_or(i64::MAX);
        let desired = match (
            value_at(budget, &["spec", "minAvailable"]),
            value_at(budget, &["spec", "maxUnavailable"]),
        ) {
            (Some(least), _) => scaled(least, expected),
            (None, Some(most)) => (expected - scaled(most, expected)).max(0),
            (None, None) => 0,
        };
        Verdict { allowed: (healthy - desired).max(0), desired, healthy }
    }

    /// One disruption less, and the pod noted, as the real server does before it deletes.
    fn record_disruption(&self, budget: &Arc<StoredObject>, mut object: Object, pod: &str) {
        let id = GroupVersionResource::new("policy", "v1", "poddisruptionbudgets");
        let Some(definition) = self.resource(&id) else { return };
        let now = object_meta::format_time(self.now());
        let status = object_at(&mut object, "status");
        let allowed = status.get("disruptionsAllowed").and_then(Value::as_i64).unwrap_or(0);
        status.insert("disruptionsAllowed".to_owned(), json!(allowed - 1));
        object_at(status, "disruptedPods").insert(pod.to_owned(), json!(now));
        let key = super::state::object_key(budget.namespace(), budget.name());
        // Should somebody else have written the budget, its controller recounts anyway.
        let _ = self.replace(&definition, &key, budget, object);
    }
}

/// Whether a pod that is not ready may go whatever is left of the budget (`unhealthyPodEvictionPolicy`).
fn spares_unhealthy(budget: &Object, verdict: &Verdict) -> bool {
    match text_at(budget, &["spec", "unhealthyPodEvictionPolicy"]) {
        "AlwaysAllow" => true,
        _ => verdict.healthy >= verdict.desired && verdict.desired > 0,
    }
}

fn refused(why: String, retry_after_seconds: u32) -> ApiStatus {
    let text = "Cannot evict pod as it would violate the pod's disruption budget.";
    ApiStatus::too_many_requests(text, 0).with_details(StatusDetails {
        retry_after_seconds,
        causes: vec![StatusCause {
            reason: "DisruptionBudget".to_owned(),
            message: why,
            ..StatusCause::default()
        }],
        ..StatusDetails::default()
    })
}

fn selector(budget: &Object) -> LabelSelector {
    // A budget without a selector, or with one that cannot be read, covers nothing.
    let nothing = || LabelSelector::parse("a,!a").unwrap_or_default();
    match value_at(budget, &["spec", "selector"]) {
        None => nothing(),
        Some(selector) => LabelSelector::from_object(selector).unwrap_or_else(nothing),
    }
}

fn check_name(eviction: &Value, name: &str) -> Result<(), ApiStatus> {
    let given = eviction.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
    if given.is_empty() || given == name {
        return Ok(());
    }
    Err(ApiStatus::bad_request("name in URL does not match name in Eviction object"))
}

fn delete_options(eviction: &Value, options: &WriteOptions) -> DeleteOptions {
    let given = eviction.get("deleteOptions").cloned().unwrap_or_default();
    let text = |path: &str| given.pointer(path).and_then(Value::as_str).map(str::to_owned);
    DeleteOptions {
        grace_period_seconds: given.get("gracePeriodSeconds").and_then(Value::as_i64),
        preconditions: Preconditions {
            uid: text("/preconditions/uid"),
            resource_version: text("/preconditions/resourceVersion"),
        },
        propagation_policy: text("/propagationPolicy").and_then(|policy| match policy.as_str() {
            "Orphan" => Some(PropagationPolicy::Orphan),
            "Background" => Some(PropagationPolicy::Background),
            "Foreground" => Some(PropagationPolicy::Foreground),
            _ => None,
        }),
        dry_run: options.dry_run
            || given.get("dryRun").and_then(Value::as_array).is_some_and(|d| !d.is_empty()),
    }
}

/// Pods that are done, not started, or going anyway cost nothing.
fn needs_budget(pod: &StoredObject) -> bool {
    let object = pod.object();
    let phase = text_at(&object, &["status", "phase"]);
    !pod.is_terminating() && !matches!(phase, "Succeeded" | "Failed" | "Pending")
}

fn is_ready(pod: &Object) -> bool {
    let conditions = value_at(pod, &["status", "conditions"]).and_then(Value::as_array);
    let ready = |c: &Value| c.get("type") == Some(&json!("Ready")) && c.get("status") == Some(&json!("True"));
    conditions.into_iter().flatten().any(ready)
}

fn reported(budget: &Object) -> Verdict {
    let number = |field: &str| value_at(budget, &["status", field]).and_then(Value::as_i64).unwrap_or(0);
    Verdict {
        allowed: number("disruptionsAllowed"),
        desired: number("desiredHealthy"),
        healthy: number("currentHealthy"),
    }
}

/// A count, or a percentage of `of`, rounded up.
fn scaled(value: &Value, of: i64) -> i64 {
    match value {
        Value::Number(number) => number.as_i64().unwrap_or(0),
        Value::String(text) => {
            let percent: i64 = text.trim_end_matches('%').parse().unwrap_or(0);
            (of.saturating_mul(percent) + 99) / 100
        }
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentages_round_up() {
        for (value, of, expected) in
            [(json!(2), 5, 2), (json!("50%"), 5, 3), (json!("0%"), 5, 0), (json!("100%"), 5, 5)]
        {
            assert_eq!(scaled(&value, of), expected);
        }
    }
}
