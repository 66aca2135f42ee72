//! One connected remote cluster: its watches, its queue, its passes.

use super::Shared;
use super::intent::IntentReconciler;
use crate::cache::{Cache, Change, watch_config};
use crate::driver::{Driver, Trigger};
use crate::requests::Requests;
use certmesh_api::certificates::{CertificateRequest, IssuedCertificate, ObjectRef};
use certmesh_workflow::TokenBucket;
use jiff::Timestamp;
use kube::{Api, Client, Resource, ResourceExt};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio_util::sync::CancellationToken;

/// What passes see of a remote cluster.
pub(super) struct Remote {
    pub(super) requests: Requests,
    pub(super) copies: Cache<IssuedCertificate>,
    pub(super) certificate_requests: Cache<CertificateRequest>,
    /// Signatures and refusals this cluster may still ask for.
    answers: Mutex<TokenBucket>,
    /// Changes of intents that it may still bring about.
    reports: Mutex<TokenBucket>,
}

impl Remote {
    /// A cluster with its whole budgets.
    pub(super) fn new(
        requests: Requests,
        copies: Cache<IssuedCertificate>,
        certificate_requests: Cache<CertificateRequest>,
    ) -> Self {
        Self {
            requests,
            copies,
            certificate_requests,
            answers: Mutex::new(TokenBucket::of_answers()),
            reports: Mutex::new(TokenBucket::of_reports()),
        }
    }

    /// Starts the watches and the driver of a cluster; they run until `stop`. The driver's trigger.
    pub(super) fn start(
        shared: &Arc<Shared>,
        cluster: &str,
        client: Client,
        stop: CancellationToken,
    ) -> Trigger<ObjectRef> {
        let (driver, trigger) = Driver::prepare(shared.clock.clone(), super::PASSES_PER_CLUSTER);
        let api = |client| Api::namespaced(client, &shared.agent_namespace);
        let (copies, copies_task) =
            Cache::watch(&client, api, watch_config(), stop.clone(), notify(shared, cluster, &trigger));
        let api = |client| Api::namespaced(client, &shared.agent_namespace);
        let (certificate_requests, requests_task) =
            Cache::watch(&client, api, watch_config(), stop.clone(), notify(shared, cluster, &trigger));
        let requests = Requests::new(client, shared.metrics.clone());
        let remote = Remote::new(requests, copies, certificate_requests);
        let reconciler = IntentReconciler::connected(Arc::clone(shared), remote);
        shared.tasks.spawn(copies_task);
        shared.tasks.spawn(requests_task);
        shared.tasks.spawn(driver.build(Arc::new(reconciler)).run(stop));
        trigger
    }

    /// Nothing while an answer may be given, else when the next one may.
    pub(super) fn answers_exhausted_until(&self, now: Timestamp) -> Option<Timestamp> {
        locked(&self.answers).exhausted_until(now)
    }

    /// Nothing while a report may be repeated, else when the next one may.
    pub(super) fn reports_exhausted_until(&self, now: Timestamp) -> Option<Timestamp> {
        locked(&self.reports).exhausted_until(now)
    }

    /// Takes an answer out of the budget.
    pub(super) fn spend_answer(&self, now: Timestamp) {
        locked(&self.answers).take(now);
    }

    /// Takes a report out of the budget.
    pub(super) fn spend_report(&self, now: Timestamp) {
        locked(&self.reports).take(now);
    }
}

fn locked(bucket: &Mutex<TokenBucket>) -> MutexGuard<'_, TokenBucket> {
    bucket.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An object of a remote cluster belongs to the intent of its name in the cluster's namespace.
fn notify<K>(
    shared: &Arc<Shared>,
    cluster: &str,
    trigger: &Trigger<ObjectRef>,
) -> impl Fn(Change<'_, K>) + Send + use<K>
where
    K: Resource<DynamicType = ()>,
{
    let (shared, cluster, trigger) = (Arc::downgrade(shared), cluster.to_owned(), trigger.clone());
    move |change| match change {
        // An API server that is not honest may send names that are none; they would end up in paths and logs.
        Change::Object(object) if !is_object_name(&object.name_any()) => {}
        Change::Object(object) => trigger.now(ObjectRef::new(&cluster, object.name_any())),
        Change::Health => {
            if let Some(shared) = shared.upgrade() {
                shared.trigger_namespace(&cluster);
            }
        }
    }
}

/// Whether a name can be that of a custom resource: a DNS subdomain (RFC 1123).
fn is_object_name(name: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(&byte);
    let ends_well = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = name.as_bytes();
    bytes.len() <= 253
        && bytes.iter().copied().all(is_allowed)
        && ends_well(bytes.first())
        && ends_well(bytes.last())
        && !name.contains("..")
}

#[cfg(test)]
mod tests {
    use super::is_object_name;

    #[test]
    fn only_what_can_be_a_name_becomes_a_key() {
        for name in ["a", "istiod", "a-1.b", &"x".repeat(253)] {
            assert!(is_object_name(name), "{name}");
        }
        let hostile =
            ["", "..", "../a", "a/b", "a/../b", "a..b", ".a", "a-", "A", "a b", "a\u{1b}", "a?b", "a%2fb"];
        for name in hostile {
            assert!(!is_object_name(name), "{name}");
        }
        assert!(!is_object_name(&"x".repeat(254)));
    }
}
