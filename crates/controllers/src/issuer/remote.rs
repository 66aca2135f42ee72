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
use std::sync::{Arc, Mutex, PoisonError};
use tokio_util::sync::CancellationToken;

/// What passes see of a remote cluster.
pub(super) struct Remote {
    pub(super) requests: Requests,
    pub(super) copies: Cache<IssuedCertificate>,
    pub(super) certificate_requests: Cache<CertificateRequest>,
    /// Signatures this cluster may still ask for.
    budget: Mutex<TokenBucket>,
}

impl Remote {
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
        let remote = Remote {
            requests: Requests::new(client, shared.metrics.clone()),
            copies: copies.clone(),
            certificate_requests: certificate_requests.clone(),
            budget: Mutex::default(),
        };
        let reconciler = IntentReconciler::connected(Arc::clone(shared), remote);
        shared.tasks.spawn(copies_task);
        shared.tasks.spawn(requests_task);
        shared.tasks.spawn(driver.build(Arc::new(reconciler)).run(stop));
        trigger
    }

    /// Nothing while a signature may be made, else when the next one may.
    pub(super) fn exhausted_until(&self, now: Timestamp) -> Option<Timestamp> {
        self.budget.lock().unwrap_or_else(PoisonError::into_inner).exhausted_until(now)
    }

    /// Takes a signature out of the budget.
    pub(super) fn spend(&self, now: Timestamp) {
        self.budget.lock().unwrap_or_else(PoisonError::into_inner).take(now);
    }
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
        Change::Object(object) => trigger.now(ObjectRef::new(&cluster, object.name_any())),
        Change::Health => {
            if let Some(shared) = shared.upgrade() {
                shared.trigger_namespace(&cluster);
            }
        }
    }
}
