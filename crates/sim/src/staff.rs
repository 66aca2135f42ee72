//! Who works in a simulated world: issuers and agents as the product has them, wired to ports and watches of the simulator.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use certmesh_api::certificates::ObjectRef;
use certmesh_controllers::stepwise::{
    SteppedAgent, SteppedAgentConfig, SteppedIssuer, SteppedIssuerConfig, SteppedRemote,
};
use certmesh_controllers::{Change, Clock, IssuanceLog, Metrics};
use certmesh_x509::SerialNumber;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;

use crate::clock::VirtualClock;
use crate::cluster::{HOME, Kind};
use crate::keys::KeySource;
use crate::port::Outbox;
use crate::process::{Actor, Engine, Inbox, Process, Wake};
use crate::watch::{AnyNews, Watch};

/// What all of a world share: its records, and the numbers that are given once only.
#[derive(Clone)]
pub(crate) struct Ledger {
    pub(crate) metrics: Metrics,
    /// The issuance log, until it is read.
    log: Arc<Mutex<Vec<u8>>>,
    serials: Arc<AtomicU64>,
    /// Where agents have their keys from.
    pub(crate) keys: KeySource,
    taken_keys: Arc<AtomicU64>,
}

impl Ledger {
    /// Nothing has been written yet.
    pub(crate) fn new(metrics: Metrics, keys: KeySource) -> Self {
        let (serials, taken_keys) = (Arc::default(), Arc::default());
        Self { metrics, log: Arc::default(), serials, keys, taken_keys }
    }

    /// What was added to the issuance log since the last time.
    pub(crate) fn take_log(&self) -> Vec<u8> {
        std::mem::take(&mut *self.log.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn serials(&self) -> Box<dyn Fn() -> SerialNumber + Send + Sync> {
        let serials = Arc::clone(&self.serials);
        Box::new(move || {
            let number = u128::from(serials.fetch_add(1, Ordering::Relaxed)) + 1;
            SerialNumber::from_bytes(number.to_be_bytes())
        })
    }
}

/// What the issuance log is written to.
struct Log(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn wall(clock: &VirtualClock) -> Clock {
    let clock = clock.clone();
    Clock::from_fn(move || clock.now())
}

/// An issuer that has just started, and its watches of the management cluster.
pub(crate) fn issuer(
    clock: &VirtualClock,
    ledger: &Ledger,
    inbox: &Inbox,
    outbox: &Outbox,
) -> (SteppedIssuer, [Watch; 2]) {
    let config = SteppedIssuerConfig {
        namespace: HOME.to_owned(),
        agent_namespace: HOME.to_owned(),
        transport: outbox.port(0),
        clock: wall(clock),
        metrics: ledger.metrics.clone(),
        issuance_log: IssuanceLog::new(Log(Arc::clone(&ledger.log))),
        serials: ledger.serials(),
    };
    let secrets = inbox.clone();
    let on_secret = move |change: Change<'_, Secret>| {
        if let Change::Object(secret) = change {
            let name = ObjectRef::new(secret.namespace().unwrap_or_default(), secret.name_any());
            secrets.ask(Wake::Secret(name));
        }
    };
    let (issuer, intents, secrets) = SteppedIssuer::new(config, inbox.on_change(None), on_secret);
    let watches = [
        Watch::new(0, Kind::IssuedCertificate, None, None, intents),
        Watch::new(0, Kind::Secret, Some(HOME), None, secrets),
    ];
    (issuer, watches)
}

/// An issuer's way to a cluster, and its watches there.
pub(crate) fn connect(
    issuer: &SteppedIssuer,
    site: usize,
    cluster: &str,
    inbox: &Inbox,
    outbox: &Outbox,
) -> (SteppedRemote, [Watch; 2]) {
    let (on_copy, on_request) = (inbox.on_change(Some(cluster)), inbox.on_change(Some(cluster)));
    let (remote, copies, requests) = issuer.connect(outbox.port(site), on_copy, on_request);
    let watches = [
        Watch::new(site, Kind::IssuedCertificate, Some(HOME), None, copies),
        Watch::new(site, Kind::CertificateRequest, Some(HOME), None, requests),
    ];
    (remote, watches)
}

/// The agent of a cluster, which has just started.
pub(crate) fn agent(site: usize, clock: VirtualClock, ledger: &Ledger) -> Process {
    let (inbox, outbox) = (Inbox::default(), Outbox::default());
    let config = SteppedAgentConfig {
        namespace: HOME.to_owned(),
        transport: outbox.port(site),
        clock: wall(&clock),
        keys: ledger.keys.maker(Arc::clone(&ledger.taken_keys)),
        metrics: ledger.metrics.clone(),
    };
    let targets = inbox.clone();
    let on_target = move |target: &ObjectRef| targets.ask(Wake::Watch(target.clone()));
    let (on_copy, on_request) = (inbox.on_change(Some(HOME)), inbox.on_change(Some(HOME)));
    let (agent, copies, requests) = SteppedAgent::new(config, on_copy, on_request, on_target);
    let watches = vec![
        Watch::new(site, Kind::IssuedCertificate, Some(HOME), None, copies),
        Watch::new(site, Kind::CertificateRequest, Some(HOME), None, requests),
    ];
    Process::new(Actor::Agent(site), clock, Engine::Agent(agent), (watches, 2), (inbox, outbox))
}

/// A watch of one Secret, for the agent that asked for it.
pub(crate) fn watch_of(site: usize, target: &ObjectRef, inbox: &Inbox) -> Watch {
    let (inbox, secret) = (inbox.clone(), target.clone());
    let tell = move || inbox.ask(Wake::Secret(secret.clone()));
    Watch::new(site, Kind::Secret, Some(&target.namespace), Some(&target.name), AnyNews(tell))
}
