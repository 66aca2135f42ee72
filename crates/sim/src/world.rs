//! The simulated world: a management cluster and some remote ones, two replicas of the issuer, an agent in each remote
//! cluster, and the scheduler that decides who gets to do what next.
//!
//! ```text
//!   step ─▶ something from outside?  ──▶ people, others, intruders, crashes, partitions, clocks
//!             │ no
//!           one of: carry out a request · tell a watch's next event · begin a pass
//!             │ none
//!           time passes, to when the next pass is due
//! ```

use std::collections::BTreeMap;
use std::sync::Arc;

use certmesh_api::certificates::ObjectRef;
use certmesh_controllers::{ApiRequest, ApiVerb, Metrics};
use fastrand::Rng;
use kube::core::Status;

use crate::clock::VirtualClock;
use crate::cluster::{Cluster, HOME, ISTIO, Kind};
use crate::faults::{Family, Faults, stream};
use crate::plan::Plan;
use crate::port::Outbox;
use crate::process::{Actor, Engine, Inbox, Process, Progress};
use crate::staff::{self, Ledger};
use crate::trace::Trace;
use crate::witness::{Object, Witness, Write};
use crate::words::{described, in_short, short};

/// Replicas of the issuer.
pub(crate) const REPLICAS: usize = 2;

/// Everything.
pub(crate) struct World {
    pub(crate) seed: u64,
    pub(crate) step: u64,
    pub(crate) clock: VirtualClock,
    /// The management cluster, then the remote ones.
    pub(crate) clusters: Vec<Cluster>,
    /// The issuer's replicas, then the agents.
    pub(crate) processes: Vec<Process>,
    /// Whether the issuers can reach a cluster.
    pub(crate) links: Vec<bool>,
    pub(crate) faults: Faults,
    pub(crate) witness: Witness,
    pub(crate) trace: Trace,
    /// What people, others and intruders remember.
    pub(crate) memory: crate::actors::Memory,
    /// Watches that tell nothing for now: process, cluster and kind. For stories that are told step by step.
    pub(crate) held: Vec<(usize, usize, Kind)>,
    pub(crate) ledger: Ledger,
    passes: u64,
    /// API requests that were carried out.
    pub(crate) requests: u64,
}

/// What the scheduler may do next.
enum Choice {
    Call { process: usize, running: usize, call: usize },
    Tell { process: usize, watch: usize },
    Begin { process: usize, key: ObjectRef },
}

impl World {
    /// A world in which nothing has happened yet.
    pub(crate) fn new(plan: &Plan) -> Self {
        let (clock, seed) = (VirtualClock::new(), plan.seed);
        let faults = if plan.faulty { Faults::of(seed, plan.only.clone()) } else { Faults::none(seed) };
        let names: Vec<String> = (1..=plan.clusters).map(|site| format!("cluster-{site}")).collect();
        let registered = names.iter().map(|name| (name.as_str(), Some(name.as_str())));
        let namespaces: Vec<_> = std::iter::once((HOME, None)).chain(registered).collect();
        let store_seed = |site: u64| seed.wrapping_mul(31).wrapping_add(site);
        let management = Cluster::new("management", store_seed(0), &clock, &namespaces);
        let at_home = [(HOME, None), (ISTIO, None)];
        let remote = |(name, site): (&String, u64)| Cluster::new(name, store_seed(site), &clock, &at_home);
        let remotes = names.iter().zip(1..).map(remote);
        let clusters: Vec<Cluster> = std::iter::once(management).chain(remotes).collect();
        let mut world = Self {
            seed,
            step: 0,
            links: vec![true; clusters.len()],
            clusters,
            processes: Vec::new(),
            faults,
            witness: Witness::default(),
            trace: Trace::new(plan.traced),
            memory: crate::actors::Memory::default(),
            held: Vec::new(),
            ledger: Ledger::new(metrics(), plan.keys),
            passes: 0,
            requests: 0,
            clock,
        };
        for replica in 0..REPLICAS {
            let mut issuer = world.issuer(replica, world.clock.local());
            issuer.leads = replica == 0;
            world.processes.push(issuer);
        }
        for site in 1..world.clusters.len() {
            let agent = world.agent(site, world.clock.local());
            world.processes.push(agent);
        }
        world
    }

    fn issuer(&self, replica: usize, clock: VirtualClock) -> Process {
        let (inbox, outbox) = (Inbox::default(), Outbox::default());
        let (issuer, watches) = staff::issuer(&clock, &self.ledger, &inbox, &outbox);
        let mut watches = Vec::from(watches);
        let essential = watches.len();
        let mut remotes = BTreeMap::new();
        for (site, cluster) in self.clusters.iter().enumerate().skip(1) {
            let (remote, there) = staff::connect(&issuer, site, &cluster.name, &inbox, &outbox);
            watches.extend(there);
            remotes.insert(cluster.name.clone(), remote);
        }
        let engine = Engine::Issuer { issuer, remotes };
        Process::new(Actor::Issuer(replica), clock, engine, (watches, essential), (inbox, outbox))
    }

    fn agent(&self, site: usize, clock: VirtualClock) -> Process {
        staff::agent(site, clock, &self.ledger)
    }

    /// The random numbers of this step, for this purpose.
    pub(crate) fn random(&self, purpose: u64) -> Rng {
        stream(self.seed ^ purpose, self.step)
    }

    /// Adds a line to the trace.
    pub(crate) fn say(&mut self, line: impl FnOnce() -> String) {
        self.trace.line(self.step, self.clock.micros(), line);
    }

    /// One step. False if there was nothing to do but to wait.
    pub(crate) fn step(&mut self) -> bool {
        self.step += 1;
        if let Some(family) = self.faults.event(self.step) {
            self.something_happens(family);
            return true;
        }
        let choices = self.choices();
        if choices.is_empty() {
            return false;
        }
        let chosen = self.random(1).usize(..choices.len());
        self.clock.pass(self.random(2).i64(100..20_000));
        let choice = choices.into_iter().nth(chosen);
        match choice {
            Some(Choice::Call { process, running, call }) => self.carry_out(process, running, call),
            Some(Choice::Tell { process, watch }) => self.tell(process, watch),
            Some(Choice::Begin { process, key }) => self.begin(process, key),
            None => {}
        }
        true
    }

    fn choices(&mut self) -> Vec<Choice> {
        let mut choices = Vec::new();
        let lag = self.faults.has(Family::Lag) && !self.faults.are_over;
        // Which watches are slow is the same for a while, or nothing would come late.
        let slow = stream(self.seed ^ 3, self.step / 32).u64(..);
        for (process, state) in self.processes.iter_mut().enumerate() {
            if state.is_paused {
                continue;
            }
            for (running, pass) in state.running.iter().enumerate() {
                choices.extend((0..pass.calls.len()).map(|call| Choice::Call { process, running, call }));
            }
            for (watch, behind) in state.watches.iter().enumerate() {
                let is_reachable = state.actor == Actor::Agent(behind.site) || self.links[behind.site];
                let is_slow = lag && slow >> ((process * 7 + watch) % 64) & 1 == 1;
                let is_held = self.held.contains(&(process, behind.site, behind.kind));
                if is_reachable && !is_slow && !is_held && behind.is_behind(&self.clusters[behind.site]) {
                    choices.push(Choice::Tell { process, watch });
                }
            }
            choices.extend(state.ready().into_iter().map(|key| Choice::Begin { process, key }));
        }
        choices
    }

    fn begin(&mut self, process: usize, key: ObjectRef) {
        self.passes += 1;
        let (number, step) = (self.passes, self.step);
        let actor = self.processes[process].actor;
        self.say(|| format!("{actor}: pass {number} of {key} begins"));
        self.processes[process].begin(key, number, step);
        let last = self.processes[process].running.len();
        if last > 0 {
            self.poll(process, last - 1);
        }
    }

    fn tell(&mut self, process: usize, watch: usize) {
        let state = &mut self.processes[process];
        let watched = &mut state.watches[watch];
        let (site, actor) = (watched.site, state.actor);
        let told = watched.deliver(&self.clusters[site]);
        // News of what is over already: what others did before may look to an agent as if they did it now.
        if watched.kind == Kind::IssuedCertificate && watched.is_behind(&self.clusters[site]) {
            self.witness.history.told_late.insert(site, self.step);
        }
        self.sort_inbox(process);
        if let Some(told) = told {
            let from = self.clusters[site].name.clone();
            self.say(|| format!("{actor}: is told by {from}: {told}"));
        }
    }

    /// Sees to what watches have asked for.
    pub(crate) fn sort_inbox(&mut self, process: usize) {
        let state = &mut self.processes[process];
        for target in state.sort_inbox() {
            let (inbox, Actor::Agent(site)) = (state.inbox.clone(), state.actor) else { continue };
            if state.watches.iter().any(|watch| watch.is_of(&target)) {
                continue;
            }
            state.watches.push(staff::watch_of(site, &target, &inbox));
        }
    }

    fn carry_out(&mut self, process: usize, running: usize, call: usize) {
        let state = &mut self.processes[process];
        let (actor, since) = (state.actor, state.running[running].since);
        let number = state.running[running].number;
        let call = state.running[running].calls.remove(call);
        let request = call.request.clone();
        let site = call.site;
        let what = format!("{} in {}", described(&call.request), self.clusters[site].name);
        if !self.links[site] && actor != Actor::Agent(site) {
            self.say(|| format!("{actor}: pass {number}: {what}: cannot be reached"));
            self.lose(actor, &request);
            call.answer(Err(connection_lost("no route to host")));
            return self.poll(process, running);
        }
        let fault = self.faults.of_call(self.step);
        let mut rng = self.random(4);
        match fault {
            Some(Family::Crash) if rng.bool() => {
                self.faults.note(self.step, format!("{actor} dies before: {what}"));
                self.lose(actor, &request);
                return self.crash(process);
            }
            Some(Family::Refusal) => {
                let (code, reason) = refusals()[rng.usize(..4)];
                self.faults.note(self.step, format!("{actor}: {code} to: {what}"));
                self.say(|| format!("{actor}: pass {number}: {what}: {code} {reason}"));
                self.lose(actor, &request);
                call.answer(Err(refused(code, reason, "injected")));
                return self.poll(process, running);
            }
            _ => {}
        }
        let answer = self.apply(actor, since, site, &request);
        self.say(|| {
            let came_to = answer.as_ref().map_or_else(in_short, |_| "done".to_owned());
            format!("{actor}: pass {number}: {what}: {came_to}")
        });
        match fault {
            Some(Family::Crash) => {
                self.faults.note(self.step, format!("{actor} dies after: {what}"));
                self.crash(process);
            }
            Some(Family::ReplyLost) => {
                self.faults.note(self.step, format!("{actor}: reply lost: {what}"));
                self.say(|| format!("{actor}: pass {number}: the reply is lost"));
                call.answer(Err(connection_lost("connection reset")));
                self.poll(process, running);
            }
            _ => {
                call.answer(answer);
                self.poll(process, running);
            }
        }
    }

    /// An answer to a request that nobody will see.
    fn lose(&mut self, actor: Actor, request: &ApiRequest) {
        let is_answer = request.kind == Kind::CertificateRequest.name()
            && matches!(request.verb, ApiVerb::UpdateStatus(_));
        if matches!(actor, Actor::Issuer(_)) && is_answer {
            self.witness.history.lost_answers += 1;
        }
    }

    /// Carries out a request, of whoever it is, before the witness's eyes.
    pub(crate) fn apply(
        &mut self,
        actor: Actor,
        since: u64,
        site: usize,
        request: &ApiRequest,
    ) -> kube::Result<Vec<u8>> {
        self.requests += 1;
        let kind = Kind::named(request.kind);
        let effect = self.clusters[site].carry_out(request);
        if !matches!(request.verb, ApiVerb::Get) {
            let read = |object: &Option<Arc<certmesh_apiserver::store::StoredObject>>| {
                object.as_deref().map(|object| Object::read(kind, object))
            };
            let clock = self.processes.iter().find(|process| process.actor == actor);
            let write = Write {
                step: self.step,
                clock: clock.map_or_else(|| self.clock.now(), |process| process.clock.now()),
                actor,
                since,
                site,
                kind,
                name: ObjectRef::new(&request.namespace, &request.name),
                verb: request.verb.clone(),
                before: read(&effect.before),
                after: read(&effect.after),
                taken: effect.answer.is_ok(),
            };
            self.witness.see(&write);
        }
        match effect.answer {
            Ok(object) => Ok(object.map(|object| object.json().to_vec()).unwrap_or_default()),
            Err(status) => Err(refused(status.code, status.reason.as_str(), &status.message)),
        }
    }

    fn poll(&mut self, process: usize, running: usize) {
        let state = &mut self.processes[process];
        let (actor, number) = (state.actor, state.running[running].number);
        let progress = state.poll(running);
        let events = state.outbox.take_events();
        self.read_log();
        for event in &events {
            self.witness
                .ask("private_key_stays_in_its_cluster", crate::invariants::keys::text_holds_no_key(event));
        }
        if let Progress::Done(outcome) = progress {
            self.say(|| match outcome {
                Ok(Some(at)) => format!("{actor}: pass {number} ends, next at {at}"),
                Ok(None) => format!("{actor}: pass {number} ends"),
                Err(error) => format!("{actor}: pass {number} fails: {error}"),
            });
        }
        self.sort_inbox(process);
    }

    fn read_log(&mut self) {
        let written = self.ledger.take_log();
        for line in String::from_utf8_lossy(&written).lines() {
            self.say(|| format!("issuance log: {}", short(line)));
            self.witness.see_log(line);
        }
    }

    /// A process dies and is started again.
    pub(crate) fn crash(&mut self, process: usize) {
        let old = &mut self.processes[process];
        let (actor, clock, leads) = (old.actor, old.clock.clone(), old.leads);
        let unsent: Vec<ApiRequest> =
            old.running.iter().flat_map(|pass| &pass.calls).map(|call| call.request.clone()).collect();
        for request in &unsent {
            self.lose(actor, request);
        }
        self.say(|| format!("{actor}: dies and is started again"));
        let mut new = match actor {
            Actor::Issuer(replica) => self.issuer(replica, clock),
            Actor::Agent(site) => self.agent(site, clock),
            Actor::User | Actor::Other | Actor::Intruder(_) => return,
        };
        new.leads = leads;
        self.processes[process] = new;
    }

    /// When anything is due next.
    pub(crate) fn next_due(&self) -> Option<i64> {
        self.processes.iter().filter_map(Process::next_due).min()
    }

    /// Lets time pass until something is due. False if nothing ever is.
    pub(crate) fn wait(&mut self) -> bool {
        self.wait_at_most(i64::MAX / 1_000_000)
    }

    /// The same, for at most so many seconds.
    pub(crate) fn wait_at_most(&mut self, seconds: i64) -> bool {
        let Some(due) = self.next_due() else { return false };
        let micros = (due - self.clock.micros()).clamp(1000, seconds * 1_000_000);
        self.clock.pass(micros);
        self.say(|| format!("time passes: {} s", micros / 1_000_000));
        true
    }
}

/// Registering metrics takes longer than a run's first certificate.
fn metrics() -> Metrics {
    thread_local! {
        static SHARED: Metrics = Metrics::default();
    }
    SHARED.with(Clone::clone)
}

fn refusals() -> [(u16, &'static str); 4] {
    [(409, "Conflict"), (429, "TooManyRequests"), (500, "InternalError"), (503, "ServiceUnavailable")]
}

fn refused(code: u16, reason: &str, message: &str) -> kube::Error {
    kube::Error::Api(Status::failure(message, reason).with_code(code).boxed())
}

fn connection_lost(why: &str) -> kube::Error {
    kube::Error::Service(why.to_owned().into())
}
