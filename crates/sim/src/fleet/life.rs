//! The life of a fleet: it is installed, and from then on everybody does what there is to do, when it is due.

use certmesh_api::certificates::{IssuedCertificate, ObjectRef};
use certmesh_api::secrets::{CA_CERT, data};
use certmesh_apiserver::store::StoredObject;
use certmesh_controllers::{ApiRequest, ApiVerb, Metrics};
use certmesh_x509::Certificate;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use kube::core::Status;
use serde_json::Value;

use super::agenda::Agenda;
use super::desk::Desk;
use super::tally::{Delivery, Tally, Work};
use super::{Plan, audit};
use crate::actors::people::intent;
use crate::clock::VirtualClock;
use crate::cluster::{Cluster, Effect, HOME, ISTIO, Kind, to_value};
use crate::keys::{Authority, KeySource};
use crate::port::Call;
use crate::process::{Actor, Process, Progress, Wake};
use crate::staff::{self, Ledger};
use crate::watch::{Watch, parsed};

/// The CA Secret that signs everything.
const CA: &str = "ca-a";
/// Microseconds that a request takes.
const REQUEST_TIME: i64 = 2_000;
/// Passes for a certificate that is put in place, above which somebody is busy with nothing. Fewer than ten are needed.
const MOST_PASSES: u64 = 40;

/// A fleet.
pub(super) struct Fleet {
    pub(super) plan: Plan,
    pub(super) clock: VirtualClock,
    /// When it began, in microseconds.
    begun: i64,
    /// The management cluster, then the others.
    pub(super) clusters: Vec<Cluster>,
    desk: Desk,
    /// The issuer's driver of each cluster, then the agents.
    processes: Vec<Process>,
    agenda: Agenda,
    ledger: Ledger,
    pub(super) tally: Tally,
}

/// Lets a fleet live. What was counted, or what was not as it has to be.
pub(super) fn live(plan: &Plan) -> Result<Tally, String> {
    let mut fleet = Fleet::new(plan);
    fleet.work()?;
    for (at, name) in plan.installations() {
        fleet.live_until(at)?;
        fleet.create_intent(&name)?;
        fleet.work()?;
    }
    fleet.live_until(plan.duration)?;
    audit::everything_is_in_place(&fleet)?;
    audit::nothing_ever_expired(&fleet.tally)?;
    Ok(fleet.tally)
}

impl Plan {
    /// When each intent is created, in seconds, and its name.
    fn installations(&self) -> impl Iterator<Item = (i64, ObjectRef)> + use<> {
        let Self { clusters, certificates, installed_over, .. } = *self;
        let total = i64::try_from(clusters).unwrap_or(i64::MAX).max(1);
        let when = move |site: usize| installed_over * (i64::try_from(site).unwrap_or(0) - 1) / total;
        (1..=clusters).flat_map(move |site| {
            (0..certificates).map(move |number| {
                let name = if number == 0 { "istio".to_owned() } else { format!("gateway-{number}") };
                (when(site), ObjectRef::new(format!("cluster-{site}"), name))
            })
        })
    }
}

impl Fleet {
    fn new(plan: &Plan) -> Self {
        let (clock, ledger) = (VirtualClock::new(), Ledger::new(Metrics::default(), KeySource::Pool));
        let clusters = clusters(plan.clusters, &clock);
        let desk = Desk::new(&clock, &ledger);
        let remotes = || clusters.iter().enumerate().skip(1);
        let drivers = remotes().map(|(site, cluster)| desk.driver(site, cluster, &clock));
        let agents = remotes().map(|(site, _)| staff::agent(site, clock.clone(), &ledger));
        let processes: Vec<Process> = drivers.chain(agents).collect();
        let mut fleet = Self {
            plan: plan.clone(),
            begun: clock.micros(),
            agenda: Agenda::of(processes.len()),
            clock,
            clusters,
            desk,
            processes,
            ledger,
            tally: Tally::default(),
        };
        fleet.install_authority();
        fleet
    }

    fn install_authority(&mut self) {
        let name = ObjectRef::new(HOME, CA);
        let made = self.create(Kind::Secret, &name, to_value(&Authority::RootA.secret(&name)));
        made.expect("a new cluster takes a Secret");
    }

    fn create_intent(&mut self, name: &ObjectRef) -> Result<(), String> {
        let intent = intent(name, self.plan.lifetime, CA, KeySource::Pool.wanted(0));
        self.create(Kind::IssuedCertificate, name, to_value(&intent))
    }

    /// A person creates an object in the management cluster.
    fn create(&mut self, kind: Kind, name: &ObjectRef, object: Value) -> Result<(), String> {
        let (namespace, name) = (name.namespace.clone(), name.name.clone());
        let request = ApiRequest { verb: ApiVerb::Create(object), kind: kind.name(), namespace, name };
        let effect = self.clusters[0].carry_out(&request);
        effect.answer.map(drop).map_err(|status| format!("creating {}: {}", request.name, status.message))?;
        self.hear_at_the_desk();
        Ok(())
    }

    /// Seconds since the beginning.
    pub(super) fn seconds(&self) -> i64 {
        (self.clock.micros() - self.begun) / 1_000_000
    }

    /// Time passes until then, in seconds since the beginning.
    fn live_until(&mut self, seconds: i64) -> Result<(), String> {
        let end = self.begun + seconds * 1_000_000;
        while let Some(due) = self.agenda.next_due().filter(|due| *due < end) {
            self.clock.pass(due - self.clock.micros());
            self.agenda.call_due(self.clock.micros());
            self.work()?;
        }
        self.clock.pass(end - self.clock.micros());
        Ok(())
    }

    /// Everybody does what there is to do now.
    fn work(&mut self) -> Result<(), String> {
        while let Some(process) = self.agenda.next() {
            self.hear(process);
            while let Some(key) = self.processes[process].ready().pop() {
                self.pass(process, key)?;
                self.hear(process);
            }
            self.agenda.set(process, self.processes[process].next_due());
            self.is_not_busy_with_nothing()?;
        }
        Ok(())
    }

    /// Passes have a cause: whoever wakes itself again and again would be found here, and not only take long.
    fn is_not_busy_with_nothing(&self) -> Result<(), String> {
        let Tally { issuer, agents, deliveries, .. } = &self.tally;
        let places = self.plan.clusters * self.plan.certificates;
        let most = MOST_PASSES * (deliveries.len() + places) as u64;
        let passes = issuer.passes + agents.passes;
        if passes <= most {
            return Ok(());
        }
        let after = self.seconds();
        Err(format!(
            "{passes} passes for {} certificates after {after} s: somebody is busy",
            deliveries.len()
        ))
    }

    /// The watches of the management cluster tell all they have, and call the drivers that it is for.
    fn hear_at_the_desk(&mut self) {
        for watch in &mut self.desk.watches {
            self.tally.issuer.told += tell_all(watch, &self.clusters[0]);
        }
        for wake in self.desk.inbox.take() {
            let keys = match wake {
                Wake::Key(key) => vec![key],
                Wake::Secret(secret) => {
                    let intents = self.desk.issuer.intents_for(&secret);
                    intents.iter().map(|intent| name_of(intent)).collect()
                }
                Wake::Cluster(_) | Wake::Watch(_) => Vec::new(),
            };
            for key in keys {
                let Some(site) = site_of(&key) else { continue };
                self.processes[site - 1].wake(key);
                self.agenda.call(site - 1);
            }
        }
    }

    /// The watches of a process tell all they have; those that they ask for begin.
    fn hear(&mut self, process: usize) {
        let work = work_of(&mut self.tally, self.processes[process].actor);
        let state = &mut self.processes[process];
        loop {
            for watch in &mut state.watches {
                work.told += tell_all(watch, &self.clusters[watch.site]);
            }
            let (mut is_new, inbox) = (false, state.inbox.clone());
            for target in state.sort_inbox() {
                let Actor::Agent(site) = state.actor else { continue };
                if !state.watches.iter().any(|watch| watch.is_of(&target)) {
                    state.watches.push(staff::watch_of(site, &target, &inbox));
                    is_new = true;
                }
            }
            if !is_new {
                return;
            }
        }
    }

    /// A pass, from its beginning to its end.
    fn pass(&mut self, process: usize, key: ObjectRef) -> Result<(), String> {
        let actor = self.processes[process].actor;
        work_of(&mut self.tally, actor).passes += 1;
        let what = key.to_string();
        self.processes[process].begin(key, 0, 0);
        loop {
            let progress = self.processes[process].poll(0);
            let events = self.processes[process].outbox.take_events().len();
            work_of(&mut self.tally, actor).events += events as u64;
            if let Progress::Done(outcome) = progress {
                self.read_log();
                return outcome.map(drop).map_err(|error| format!("{actor}: pass of {what}: {error}"));
            }
            let calls = std::mem::take(&mut self.processes[process].running[0].calls);
            for call in calls {
                self.carry_out(actor, call);
            }
        }
    }

    fn carry_out(&mut self, actor: Actor, call: Call) {
        self.clock.pass(REQUEST_TIME);
        work_of(&mut self.tally, actor).request(&call.request.verb);
        let effect = self.clusters[call.site].carry_out(&call.request);
        if !matches!(call.request.verb, ApiVerb::Get) {
            self.note_delivery(call.site, &call.request, &effect);
            self.call_watchers(call.site);
        }
        let answer = match effect.answer {
            Ok(object) => Ok(object.map(|object| object.json().to_vec()).unwrap_or_default()),
            Err(status) => {
                let (code, reason) = (status.code, status.reason.as_str());
                Err(kube::Error::Api(Status::failure(&status.message, reason).with_code(code).boxed()))
            }
        };
        call.answer(answer);
    }

    /// Something was written in this cluster.
    fn call_watchers(&mut self, site: usize) {
        if site == 0 {
            return self.hear_at_the_desk();
        }
        self.agenda.call(site - 1);
        self.agenda.call(self.plan.clusters + site - 1);
    }

    /// Takes note of a certificate that was put in place.
    fn note_delivery(&mut self, site: usize, request: &ApiRequest, effect: &Effect) {
        if Kind::named(request.kind) != Kind::Secret || effect.answer.is_err() {
            return;
        }
        let [before, after] = [&effect.before, &effect.after].map(|object| certificate_in(object.as_deref()));
        if after.is_none() || before == after {
            return;
        }
        let now = self.clock.now().as_second();
        self.tally.deliveries.push(Delivery {
            at: self.seconds(),
            site,
            secret: request.name.clone(),
            left: before.map(|before| before.not_after().as_second() - now),
        });
    }

    fn read_log(&mut self) {
        let signed = |line: &&[u8]| {
            let record: Value = serde_json::from_slice(line).unwrap_or_default();
            record["decision"] == "signed"
        };
        let lines = self.ledger.take_log();
        let signed = lines.split(|byte| *byte == b'\n').filter(signed).count();
        self.tally.signed += signed as u64;
    }
}

/// A management cluster with the namespaces of so many others, and those.
fn clusters(remotes: usize, clock: &VirtualClock) -> Vec<Cluster> {
    let names: Vec<String> = (1..=remotes).map(|site| format!("cluster-{site}")).collect();
    let registered = names.iter().map(|name| (name.as_str(), Some(name.as_str())));
    let namespaces: Vec<_> = std::iter::once((HOME, None)).chain(registered).collect();
    let management = Cluster::new("management", 0, clock, &namespaces);
    let at_home = [(HOME, None), (ISTIO, None)];
    let remote = |(name, site): (&String, u64)| Cluster::new(name, site, clock, &at_home);
    std::iter::once(management).chain(names.iter().zip(1..).map(remote)).collect()
}

fn name_of(intent: &IssuedCertificate) -> ObjectRef {
    ObjectRef::new(intent.namespace().unwrap_or_default(), intent.name_any())
}

fn site_of(intent: &ObjectRef) -> Option<usize> {
    intent.namespace.strip_prefix("cluster-")?.parse().ok()
}

fn work_of(tally: &mut Tally, actor: Actor) -> &mut Work {
    if matches!(actor, Actor::Issuer(_)) { &mut tally.issuer } else { &mut tally.agents }
}

/// Lets a watch tell all that it has. How many objects it told of.
fn tell_all(watch: &mut Watch, cluster: &Cluster) -> u64 {
    let mut told = 0;
    while watch.is_behind(cluster) {
        told += u64::from(watch.deliver(cluster).is_some());
    }
    told
}

fn certificate_in(object: Option<&StoredObject>) -> Option<Certificate> {
    let secret: Secret = parsed(object?);
    Certificate::from_pem(data(&secret, CA_CERT)?).ok()
}
