//! A running issuer or agent: the product's passes over the product's caches, driven by the simulator.
//!
//! What the product's driver and watches do on tokio is played here: one pass at a time for a key, none before the caches
//! show the last one's writes, wake-ups, back-off. The constants are the driver's.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use certmesh_api::certificates::ObjectRef;
use certmesh_controllers::stepwise::{SteppedAgent, SteppedIssuer, SteppedRemote};
use certmesh_controllers::{Change, Pass, PassError, Written};
use futures::future::BoxFuture;
use futures::task::noop_waker_ref;
use kube::{Resource, ResourceExt};

use crate::clock::{VirtualClock, micros};
use crate::cluster::HOME;
use crate::port::{Call, Outbox};
use crate::watch::Watch;

const SECOND: i64 = 1_000_000;
const FRESHNESS_LIMIT: i64 = 5 * SECOND;
const CLOCK_CHECK: i64 = 600 * SECOND;
const FIRST_CONFLICT_DELAY: i64 = SECOND / 50;
const FIRST_ERROR_DELAY: i64 = SECOND / 2;
const LONGEST_ERROR_DELAY: i64 = 60 * SECOND;

/// Who acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Actor {
    /// A replica of the issuer.
    Issuer(usize),
    /// The agent of a cluster (1, 2, …).
    Agent(usize),
    /// Somebody who may edit intents and CAs.
    User,
    /// Somebody else who writes in a remote cluster without knowing better.
    Other,
    /// A remote cluster that was taken over.
    Intruder(usize),
}

impl std::fmt::Display for Actor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Issuer(number) => write!(f, "issuer {}", number + 1),
            Self::Agent(site) => write!(f, "agent of cluster-{site}"),
            Self::User => f.write_str("user"),
            Self::Other => f.write_str("somebody"),
            Self::Intruder(site) => write!(f, "intruder in cluster-{site}"),
        }
    }
}

/// What a watch asks for.
pub(crate) enum Wake {
    /// A pass of this key.
    Key(ObjectRef),
    /// Passes of all that depend on this Secret.
    Secret(ObjectRef),
    /// Passes of all intents of this cluster.
    Cluster(String),
    /// A watch of this Secret.
    Watch(ObjectRef),
}

/// What watches ask for, until somebody sees to it.
#[derive(Clone, Default)]
pub(crate) struct Inbox(Arc<Mutex<Vec<Wake>>>);

impl Inbox {
    pub(crate) fn ask(&self, wake: Wake) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(wake);
    }

    pub(crate) fn take(&self) -> Vec<Wake> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// For a cache's changes: a key in this namespace for each, of this cluster for its health.
    pub(crate) fn on_change<K: Resource<DynamicType = ()>>(
        &self,
        namespace: Option<&str>,
    ) -> impl Fn(Change<'_, K>) + Send + Sync + use<K> {
        let (inbox, namespace) = (self.clone(), namespace.map(str::to_owned));
        move |change| match (change, &namespace) {
            (Change::Object(object), Some(namespace)) => {
                inbox.ask(Wake::Key(ObjectRef::new(namespace, object.name_any())));
            }
            (Change::Object(object), None) => {
                inbox.ask(Wake::Key(ObjectRef::new(
                    object.namespace().unwrap_or_default(),
                    object.name_any(),
                )));
            }
            (Change::Health, Some(cluster)) => inbox.ask(Wake::Cluster(cluster.clone())),
            (Change::Health, None) => {}
        }
    }
}

/// The product's half of a process.
pub(crate) enum Engine {
    Issuer { issuer: SteppedIssuer, remotes: BTreeMap<String, SteppedRemote> },
    Agent(SteppedAgent),
}

impl Engine {
    fn pass(&self, key: &ObjectRef) -> Option<BoxFuture<'static, Result<Pass, PassError>>> {
        match self {
            Self::Issuer { remotes, .. } => Some(remotes.get(&key.namespace)?.pass(key)),
            Self::Agent(agent) => Some(agent.pass(&key.name)),
        }
    }

    fn shows(&self, key: &ObjectRef, written: &Written) -> bool {
        match self {
            Self::Issuer { remotes, .. } => {
                remotes.get(&key.namespace).is_none_or(|remote| remote.shows(key, written))
            }
            Self::Agent(agent) => agent.shows(&key.name, written),
        }
    }
}

/// What the driver remembers of a key: never what a decision is based on.
#[derive(Default)]
struct KeyState {
    due: Option<i64>,
    running: bool,
    failures: u32,
    unseen: Vec<Written>,
    unseen_since: i64,
}

/// A pass that has begun.
pub(crate) struct Running {
    pub(crate) key: ObjectRef,
    /// Ordinal of this pass among all of the run.
    pub(crate) number: u64,
    /// Step at which it began.
    pub(crate) since: u64,
    future: BoxFuture<'static, Result<Pass, PassError>>,
    /// What it waits for.
    pub(crate) calls: Vec<Call>,
}

/// How a pass went on.
pub(crate) enum Progress {
    /// It waits for answers.
    Waits,
    /// It is over.
    Done(Result<Option<jiff::Timestamp>, String>),
}

/// A running process.
pub(crate) struct Process {
    pub(crate) actor: Actor,
    pub(crate) clock: VirtualClock,
    pub(crate) engine: Engine,
    pub(crate) watches: Vec<Watch>,
    /// Watches without which no pass begins.
    pub(crate) essential: usize,
    pub(crate) inbox: Inbox,
    pub(crate) outbox: Outbox,
    keys: BTreeMap<ObjectRef, KeyState>,
    pub(crate) running: Vec<Running>,
    /// It does not get to run.
    pub(crate) is_paused: bool,
    /// It may begin passes.
    pub(crate) leads: bool,
}

impl Process {
    pub(crate) fn new(
        actor: Actor,
        clock: VirtualClock,
        engine: Engine,
        (watches, essential): (Vec<Watch>, usize),
        (inbox, outbox): (Inbox, Outbox),
    ) -> Self {
        let (keys, running) = (BTreeMap::new(), Vec::new());
        Self {
            actor,
            clock,
            engine,
            watches,
            essential,
            inbox,
            outbox,
            keys,
            running,
            is_paused: false,
            leads: true,
        }
    }

    /// Asks for a pass now.
    pub(crate) fn wake(&mut self, key: ObjectRef) {
        let now = self.clock.micros();
        self.wake_at(key, now);
    }

    fn wake_at(&mut self, key: ObjectRef, at: i64) {
        let state = self.keys.entry(key).or_default();
        state.due = Some(state.due.map_or(at, |due| due.min(at)));
    }

    /// Its clock was set. The driver notices within a while, and then nothing that was decided by the old time stays.
    pub(crate) fn clock_was_set(&mut self) {
        let noticed = self.clock.micros() + CLOCK_CHECK;
        for state in self.keys.values_mut().filter(|state| state.running || state.due.is_some()) {
            state.due = Some(state.due.map_or(noticed, |due| due.min(noticed)));
        }
    }

    /// Keys whose pass may begin now.
    pub(crate) fn ready(&mut self) -> Vec<ObjectRef> {
        if self.is_paused || !self.leads || !self.watches.iter().take(self.essential).all(Watch::has_begun) {
            return Vec::new();
        }
        let now = self.clock.micros();
        let engine = &self.engine;
        let is_ready = |(key, state): (&ObjectRef, &mut KeyState)| {
            let is_due = !state.running && state.due.is_some_and(|due| due <= now);
            (is_due && !state.is_stale(now, |written| engine.shows(key, written))).then(|| key.clone())
        };
        self.keys.iter_mut().filter_map(is_ready).collect()
    }

    /// When the next pass is due, or no longer waits for the caches.
    pub(crate) fn next_due(&self) -> Option<i64> {
        if self.is_paused || !self.leads {
            return None;
        }
        let due = |state: &KeyState| {
            let fresh = if state.unseen.is_empty() { 0 } else { state.unseen_since + FRESHNESS_LIMIT + 1 };
            Some(state.due.filter(|_| !state.running)?.max(fresh))
        };
        self.keys.values().filter_map(due).min()
    }

    /// Begins a pass.
    pub(crate) fn begin(&mut self, key: ObjectRef, number: u64, since: u64) {
        let state = self.keys.entry(key.clone()).or_default();
        state.due = None;
        let Some(future) = self.engine.pass(&key) else { return };
        state.running = true;
        self.running.push(Running { key, number, since, future, calls: Vec::new() });
    }

    /// Lets a pass run until it waits again.
    pub(crate) fn poll(&mut self, index: usize) -> Progress {
        let running = &mut self.running[index];
        let polled = running.future.as_mut().poll(&mut Context::from_waker(noop_waker_ref()));
        running.calls.extend(self.outbox.take_calls());
        match polled {
            Poll::Pending => Progress::Waits,
            Poll::Ready(outcome) => {
                let running = self.running.remove(index);
                Progress::Done(self.finish(running.key, outcome))
            }
        }
    }

    fn finish(
        &mut self,
        key: ObjectRef,
        outcome: Result<Pass, PassError>,
    ) -> Result<Option<jiff::Timestamp>, String> {
        let (now, wall) = (self.clock.micros(), self.clock.now());
        let state = self.keys.entry(key.clone()).or_default();
        state.running = false;
        match outcome {
            Ok(pass) => {
                state.failures = 0;
                if !pass.written.is_empty() {
                    state.unseen = pass.written;
                    state.unseen_since = now;
                }
                if let Some(at) = pass.wake_at {
                    let sleep = micros(at.duration_since(wall)).max(0);
                    self.wake_at(key, now + sleep);
                }
                Ok(pass.wake_at)
            }
            Err(error) => {
                state.failures = state.failures.saturating_add(1);
                let first = if error.is_conflict() { FIRST_CONFLICT_DELAY } else { FIRST_ERROR_DELAY };
                let delay = (first << state.failures.saturating_sub(1).min(16)).min(LONGEST_ERROR_DELAY);
                self.wake_at(key, now + delay);
                Err(error.to_string())
            }
        }
    }

    /// Sees to what the watches have asked for. The Secrets that are to be watched from now on.
    pub(crate) fn sort_inbox(&mut self) -> Vec<ObjectRef> {
        let mut to_watch = Vec::new();
        for wake in self.inbox.take() {
            match (wake, &self.engine) {
                (Wake::Key(key), _) => self.wake(key),
                (Wake::Watch(secret), _) => to_watch.push(secret),
                (Wake::Secret(secret), Engine::Agent(agent)) => {
                    for copy in sorted(&agent.copies_for(&secret)) {
                        self.wake(ObjectRef::new(HOME, copy.name));
                    }
                }
                (Wake::Secret(secret), Engine::Issuer { issuer, .. }) => {
                    for key in sorted(&issuer.intents_for(&secret)) {
                        self.wake(key);
                    }
                }
                (Wake::Cluster(cluster), Engine::Issuer { issuer, .. }) => {
                    let mut keys = sorted(&issuer.intents());
                    keys.retain(|key| key.namespace == cluster);
                    for key in keys {
                        self.wake(key);
                    }
                }
                (Wake::Cluster(_), Engine::Agent(_)) => {}
            }
        }
        to_watch
    }
}

/// The names of these objects, in order: caches have none.
fn sorted<K: ResourceExt>(objects: &[Arc<K>]) -> Vec<ObjectRef> {
    let name = |object: &Arc<K>| ObjectRef::new(object.namespace().unwrap_or_default(), object.name_any());
    let mut names: Vec<ObjectRef> = objects.iter().map(name).collect();
    names.sort();
    names
}

impl KeyState {
    /// Whether the caches still lack a write of the last pass. Forgets the writes once shown, or after a while.
    fn is_stale(&mut self, now: i64, shows: impl Fn(&Written) -> bool) -> bool {
        self.unseen.retain(|written| !shows(written));
        if now - self.unseen_since > FRESHNESS_LIMIT {
            self.unseen.clear();
        }
        !self.unseen.is_empty()
    }
}
