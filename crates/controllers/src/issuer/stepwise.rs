//! An issuer whose passes a simulator runs: see [`crate::stepwise`].

use super::intent::IntentReconciler;
use super::registry::Connected;
use super::remote::Remote;
use super::signing::{Signatures, SigningCas};
use super::{Connector, PASSES_PER_CLUSTER, Shared};
use crate::cache::{Cache, Change, Feed};
use crate::clock::Clock;
use crate::driver::{Driver, Pass, Reconciler, Written};
use crate::error::PassError;
use crate::events::Events;
use crate::issuance_log::IssuanceLog;
use crate::metrics::Metrics;
use crate::requests::Requests;
use crate::tasks::Tasks;
use crate::transport::Transport;
use certmesh_api::certificates::{CertificateRequest, IssuedCertificate, ObjectRef};
use certmesh_workflow::issuer::Settings;
use certmesh_x509::SerialNumber;
use futures::FutureExt;
use futures::future::BoxFuture;
use k8s_openapi::api::core::v1::Secret;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// What a stepped issuer needs.
pub struct SteppedIssuerConfig {
    /// The issuer's namespace.
    pub namespace: String,
    /// The namespace in which agents live in their clusters.
    pub agent_namespace: String,
    /// The management cluster.
    pub transport: Arc<dyn Transport>,
    /// The time.
    pub clock: Clock,
    /// What is counted.
    pub metrics: Metrics,
    /// Where each decision to sign or refuse is recorded.
    pub issuance_log: IssuanceLog,
    /// The serial numbers of what is signed.
    pub serials: Box<dyn Fn() -> SerialNumber + Send + Sync>,
}

/// An issuer that does nothing by itself.
#[derive(Clone)]
pub struct SteppedIssuer(Arc<Shared>);

impl SteppedIssuer {
    /// An issuer that has just started, and the feeds of its intents and of the Secrets in its namespace.
    pub fn new(
        config: SteppedIssuerConfig,
        on_intent: impl Fn(Change<'_, IssuedCertificate>) + Send + 'static,
        on_secret: impl Fn(Change<'_, Secret>) + Send + 'static,
    ) -> (Self, Feed<IssuedCertificate>, Feed<Secret>) {
        let SteppedIssuerConfig {
            namespace,
            agent_namespace,
            transport,
            clock,
            metrics,
            issuance_log,
            serials,
        } = config;
        let (intents, intent_feed) = Cache::fed(on_intent);
        let (secrets, secret_feed) = Cache::fed(on_secret);
        let (clusters, _) = Cache::fed(|_| {});
        let (_, unconnected) = Driver::<IntentReconciler>::prepare(clock.clone(), PASSES_PER_CLUSTER);
        let shared = Shared {
            requests: Requests::direct(Arc::clone(&transport), metrics.clone()),
            events: Events::direct(transport),
            signing_cas: SigningCas::default(),
            signatures: Signatures::Here(serials),
            settings: Settings { namespace, allows_foreign_ca_namespaces: false },
            agent_namespace,
            clock,
            metrics,
            connect: Connector::default(),
            issuance_log,
            intents,
            secrets,
            clusters,
            connected: Arc::new(Connected::default()),
            unconnected,
            tasks: Tasks::default(),
            stop: CancellationToken::new(),
        };
        (Self(Arc::new(shared)), intent_feed, secret_feed)
    }

    /// A cluster that it is connected to, and the feeds of its copies and requests.
    pub fn connect(
        &self,
        transport: Arc<dyn Transport>,
        on_copy: impl Fn(Change<'_, IssuedCertificate>) + Send + 'static,
        on_request: impl Fn(Change<'_, CertificateRequest>) + Send + 'static,
    ) -> (SteppedRemote, Feed<IssuedCertificate>, Feed<CertificateRequest>) {
        let requests = Requests::direct(transport, self.0.metrics.clone());
        let (copies, copy_feed) = Cache::fed(on_copy);
        let (certificate_requests, request_feed) = Cache::fed(on_request);
        let remote = Remote::new(requests, copies, certificate_requests);
        let reconciler = IntentReconciler::connected(Arc::clone(&self.0), remote);
        (SteppedRemote(Arc::new(reconciler)), copy_feed, request_feed)
    }

    /// The intents in the cache that name this Secret as a CA.
    pub fn intents_for(&self, secret: &ObjectRef) -> Vec<Arc<IssuedCertificate>> {
        let mut intents = self.0.intents.all();
        intents.retain(|intent| super::names_ca(&intent.spec, secret));
        intents
    }

    /// All intents in the cache.
    pub fn intents(&self) -> Vec<Arc<IssuedCertificate>> {
        self.0.intents.all()
    }
}

/// The issuer's passes for one connected cluster.
#[derive(Clone)]
pub struct SteppedRemote(Arc<IntentReconciler>);

impl SteppedRemote {
    /// A pass for this intent. Nothing happens before it is polled.
    pub fn pass(&self, intent: &ObjectRef) -> BoxFuture<'static, Result<Pass, PassError>> {
        let (reconciler, intent) = (Arc::clone(&self.0), intent.clone());
        async move { reconciler.pass(&intent).await }.boxed()
    }

    /// Whether the caches show what a pass of this intent has written.
    pub fn shows(&self, intent: &ObjectRef, written: &Written) -> bool {
        self.0.shows(intent, written)
    }
}
