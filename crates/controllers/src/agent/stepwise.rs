//! An agent whose passes a simulator runs: see [`crate::stepwise`].

use super::pass::AgentReconciler;
use super::targets::Targets;
use crate::cache::{Cache, Change, Feed};
use crate::clock::Clock;
use crate::driver::{Pass, Reconciler, Written};
use crate::error::PassError;
use crate::events::Events;
use crate::keys::KeyMaker;
use crate::memo::Memo;
use crate::metrics::Metrics;
use crate::requests::Requests;
use crate::transport::Transport;
use certmesh_api::certificates::{CertificateRequest, IssuedCertificate, ObjectRef};
use futures::FutureExt;
use futures::future::BoxFuture;
use std::sync::Arc;

/// What a stepped agent needs.
pub struct SteppedAgentConfig {
    /// The agent's namespace.
    pub namespace: String,
    /// The agent's cluster.
    pub transport: Arc<dyn Transport>,
    /// The time.
    pub clock: Clock,
    /// Makes the private keys.
    pub keys: KeyMaker,
    /// What is counted.
    pub metrics: Metrics,
}

/// An agent that does nothing by itself.
#[derive(Clone)]
pub struct SteppedAgent(Arc<AgentReconciler>);

impl SteppedAgent {
    /// An agent that has just started, and the feeds of its copies and its requests.
    pub fn new(
        config: SteppedAgentConfig,
        on_copy: impl Fn(Change<'_, IssuedCertificate>) + Send + 'static,
        on_request: impl Fn(Change<'_, CertificateRequest>) + Send + 'static,
        on_target: impl Fn(&ObjectRef) + Send + Sync + 'static,
    ) -> (Self, Feed<IssuedCertificate>, Feed<CertificateRequest>) {
        let SteppedAgentConfig { namespace, transport, clock, keys, metrics } = config;
        let (copies, copies_feed) = Cache::fed(on_copy);
        let (_, requests_feed) = Cache::fed(on_request);
        let requests = Requests::direct(Arc::clone(&transport), metrics.clone());
        let reconciler = AgentReconciler {
            namespace,
            requests: requests.clone(),
            local: requests,
            events: Events::direct(transport),
            clock,
            keys,
            metrics,
            copies,
            targets: Targets::Told(Box::new(on_target)),
            copy_facts: Memo::default(),
            issued_facts: Memo::default(),
            answer_facts: Memo::default(),
        };
        (Self(Arc::new(reconciler)), copies_feed, requests_feed)
    }

    /// A pass for the copy of this name. Nothing happens before it is polled.
    pub fn pass(&self, name: &str) -> BoxFuture<'static, Result<Pass, PassError>> {
        let (reconciler, name) = (Arc::clone(&self.0), name.to_owned());
        async move { reconciler.pass(&name).await }.boxed()
    }

    /// Whether the caches show what a pass of this copy has written.
    pub fn shows(&self, name: &str, written: &Written) -> bool {
        self.0.shows(&name.to_owned(), written)
    }

    /// The copies in the cache that name this Secret as their target.
    pub fn copies_for(&self, target: &ObjectRef) -> Vec<Arc<IssuedCertificate>> {
        let mut copies = self.0.copies.all();
        copies.retain(|copy| copy.spec.issued_certificate_secret.as_ref() == Some(target));
        copies
    }
}
