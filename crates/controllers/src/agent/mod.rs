//! The agent: in every remote cluster, where it makes the private keys and never lets them out.
//!
//! ```text
//!  where requests live            where Secrets live (in push mode the same cluster)
//!  ├─ IssuedCertificates ─┐       └─ the Secrets that copies name, each by a named watch ─┐
//!  └─ CertificateRequests ┴─▶ key = the copy's name ◀────────────────────────────────────┘
//!                                     │
//!                                 pass.rs
//! ```

mod pass;
pub(crate) mod stepwise;
mod targets;

use crate::cache::{Cache, Change, watch_config};
use crate::clock::Clock;
use crate::deadline::limited;
use crate::driver::Driver;
use crate::events::Events;
use crate::health::Readiness;
use crate::keys::KeyMaker;
use crate::memo::Memo;
use crate::metrics::Metrics;
use crate::requests::Requests;
use crate::tasks::{Spawner, Tasks};
use certmesh_api::certificates::{CertificateRequest, IssuedCertificate, ObjectRef};
use kube::{Api, Client, ResourceExt};
use pass::AgentReconciler;
use std::sync::Arc;
use targets::Targets;
use tokio_util::sync::CancellationToken;

/// Passes that run at once.
const PASSES: usize = 32;

/// What an agent needs.
pub struct AgentConfig {
    /// The agent's namespace: copies, requests and pending keys live there.
    pub namespace: String,
    /// Where IssuedCertificates and CertificateRequests live.
    pub requests: Client,
    /// Where Secrets, ConfigMaps and pods live: the agent's own cluster.
    pub local: Client,
    /// The time.
    pub clock: Clock,
    /// Makes the private keys.
    pub keys: KeyMaker,
    /// What is counted.
    pub metrics: Metrics,
    /// Told once the caches are filled.
    pub readiness: Readiness,
    /// Runs its tasks.
    pub spawner: Spawner,
}

/// Runs an agent until `stop`; passes that have begun are finished.
pub async fn run(config: AgentConfig, stop: CancellationToken) {
    let AgentConfig { namespace, requests, local, clock, keys, metrics, readiness, spawner } = config;
    let (requests, local) = (limited(requests), limited(local));
    let tasks = Tasks::of(spawner);
    let (driver, trigger) = Driver::<AgentReconciler>::prepare(clock.clone(), PASSES);

    let notify = trigger.clone();
    let on_copy = move |change: Change<'_, IssuedCertificate>| {
        if let Change::Object(copy) = change {
            notify.now(copy.name_any());
        }
    };
    let at_home = |client| Api::namespaced(client, &namespace);
    let (copies, task) = Cache::watch(&requests, at_home, watch_config(), stop.clone(), on_copy);
    tasks.spawn(task);

    let notify = trigger.clone();
    let on_request = move |change: Change<'_, CertificateRequest>| {
        if let Change::Object(request) = change {
            notify.now(request.name_any());
        }
    };
    let at_home = |client| Api::namespaced(client, &namespace);
    let (certificate_requests, task) =
        Cache::watch(&requests, at_home, watch_config(), stop.clone(), on_request);
    tasks.spawn(task);

    let all_copies = copies.clone();
    let on_target = move |target: &ObjectRef| {
        for copy in all_copies.all() {
            if copy.spec.issued_certificate_secret.as_ref() == Some(target) {
                trigger.now(copy.name_any());
            }
        }
    };
    let targets = Targets::new(local.clone(), tasks.clone(), stop.clone(), on_target);
    let reconciler = AgentReconciler {
        events: Events::new(requests.clone(), "certmesh-agent"),
        requests: Requests::new(requests, metrics.clone()),
        local: Requests::new(local, metrics.clone()),
        namespace,
        clock,
        keys,
        metrics,
        copies: copies.clone(),
        targets,
        copy_facts: Memo::default(),
        issued_facts: Memo::default(),
        answer_facts: Memo::default(),
    };
    tokio::select! {
        () = stop.cancelled() => {}
        ((), ()) = async { tokio::join!(copies.synced(), certificate_requests.synced()) } => {
            readiness.set_ready();
            driver.build(Arc::new(reconciler)).run(stop.clone()).await;
        }
    }
    tasks.ended().await;
}
