//! Who works in a fleet: the issuer, with a driver for each cluster as in production, and the clusters' agents.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use certmesh_api::certificates::ObjectRef;
use certmesh_apiserver::store::StoredObject;
use certmesh_controllers::stepwise::{SteppedAgent, SteppedAgentConfig, SteppedIssuer, SteppedIssuerConfig};
use certmesh_controllers::{Change, Clock, IssuanceLog, KeyMaker, Metrics};
use certmesh_x509::SerialNumber;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;

use crate::clock::VirtualClock;
use crate::cluster::{Cluster, HOME, Kind};
use crate::keys;
use crate::port::Outbox;
use crate::process::{Actor, Engine, Inbox, Process, Wake};
use crate::watch::{AnyNews, Names, Watch};

/// The issuer's view of the management cluster, which the drivers of all clusters share.
pub(super) struct Desk {
    pub(super) issuer: SteppedIssuer,
    pub(super) watches: [Watch; 2],
    pub(super) inbox: Inbox,
    outbox: Outbox,
}

/// The issuance log, until it is read.
#[derive(Clone, Default)]
pub(super) struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    /// The lines since the last time.
    pub(super) fn take(&self) -> Vec<u8> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

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

impl Desk {
    /// The issuer of a fleet, which has just started.
    pub(super) fn new(clock: &VirtualClock, metrics: &Metrics, log: &Log) -> Self {
        let (inbox, outbox, serials) = (Inbox::default(), Outbox::default(), AtomicU64::new(1));
        let config = SteppedIssuerConfig {
            namespace: HOME.to_owned(),
            agent_namespace: HOME.to_owned(),
            transport: outbox.port(0),
            clock: wall(clock),
            metrics: metrics.clone(),
            issuance_log: IssuanceLog::new(log.clone()),
            serials: Box::new(move || {
                let number = u128::from(serials.fetch_add(1, Ordering::Relaxed));
                SerialNumber::from_bytes(number.to_be_bytes())
            }),
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
        Self { issuer, watches, inbox, outbox }
    }

    /// The driver of a cluster. Its passes write through the desk's outbox too: one pass runs at a time.
    pub(super) fn driver(&self, site: usize, cluster: &Cluster, clock: &VirtualClock) -> Process {
        let (inbox, outbox) = (Inbox::default(), self.outbox.clone());
        let name = cluster.name.as_str();
        let (remote, copies, requests) =
            self.issuer.connect(outbox.port(site), inbox.on_change(Some(name)), inbox.on_change(Some(name)));
        let watches = vec![
            Watch::new(site, Kind::IssuedCertificate, Some(HOME), None, copies),
            Watch::new(site, Kind::CertificateRequest, Some(HOME), None, requests),
        ];
        let remotes = BTreeMap::from([(name.to_owned(), remote)]);
        let engine = Engine::Issuer { issuer: self.issuer.clone(), remotes };
        Process::new(Actor::Issuer(0), clock.clone(), engine, (watches, 0), (inbox, outbox))
    }
}

/// The agent of a cluster.
pub(super) fn agent(
    site: usize,
    clock: &VirtualClock,
    metrics: &Metrics,
    made_keys: &Arc<AtomicU64>,
) -> Process {
    let (inbox, outbox) = (Inbox::default(), Outbox::default());
    let made = Arc::clone(made_keys);
    let config = SteppedAgentConfig {
        namespace: HOME.to_owned(),
        transport: outbox.port(site),
        clock: wall(clock),
        keys: KeyMaker::given(move |_| Ok(keys::key(made.fetch_add(1, Ordering::Relaxed)))),
        metrics: metrics.clone(),
    };
    let targets = inbox.clone();
    let (agent, copies) = SteppedAgent::new(config, inbox.on_change(Some(HOME)), move |target| {
        targets.ask(Wake::Watch(target.clone()));
    });
    let requests = inbox.clone();
    let tell = move |object: &StoredObject| requests.ask(Wake::Key(ObjectRef::new(HOME, object.name())));
    let watches = vec![
        Watch::new(site, Kind::IssuedCertificate, Some(HOME), None, copies),
        Watch::new(site, Kind::CertificateRequest, Some(HOME), None, Names(tell)),
    ];
    Process::new(Actor::Agent(site), clock.clone(), Engine::Agent(agent), (watches, 2), (inbox, outbox))
}

/// A watch of one Secret, for an agent that asked for it.
pub(super) fn watch_of(site: usize, target: &ObjectRef, inbox: &Inbox) -> Watch {
    let (inbox, secret) = (inbox.clone(), target.clone());
    let tell = move || inbox.ask(Wake::Secret(secret.clone()));
    Watch::new(site, Kind::Secret, Some(&target.namespace), Some(&target.name), AnyNews(tell))
}
