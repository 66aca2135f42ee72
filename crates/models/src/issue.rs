//! The workflow of issuing: passes of issuer and agents that may end anywhere, on caches that lag.
//!
//! ```text
//!   Begin    a pass reads (its caches, and live what the product reads live) and asks workflow::{issuer,agent}::decide
//!   Step     it carries out the next step of what was decided; one that the server refuses is its last
//!   Die      it ends: the process died, or the reply was lost, or the server answered with an error
//!   Hear     a cache hears of what is stored now
//!   Edit     a person writes, changes or deletes the intent
//!   Intrude  somebody in a remote cluster does what the cluster's API server lets him do
//!   Wait     time passes: to where something is due, or patience ends
//! ```
//!
//! A pass that ends leaves nothing but what it wrote, since there is no memory between passes. So a pass may end before and
//! after each of its writes, any number of times. A write that comes late, after its process was given up and another took
//! over, is a pass of a second replica that was paused.
//!
//! States are small: which content is stored under each name (`objects.rs`), and for whatever was read whether that is still
//! there (`world.rs`). A decision is asked for once for each thing that can be seen (`product.rs`).

mod defect;
mod objects;
mod people;
mod pki;
mod product;
mod rest;
mod rules;
mod server;
mod shell;
mod time;
mod world;

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use stateright::{Model, Property};

pub use defect::Defect;
pub use objects::Kind;
pub use people::{Edit, Intrusion, Rotation};
pub use shell::At;
pub use world::{Role, State};

use rules::{Broken, Rule};
use shell::Memo;
use time::Moment;
use world::{Process, Site};

/// What is searched, and with which defect.
#[derive(Clone, Debug)]
pub struct Bounds {
    /// How many clusters there are, each with an intent and an agent.
    pub clusters: usize,
    /// Replicas of the issuer that work at once.
    pub issuers: usize,
    /// Replicas of an agent that work at once.
    pub agents: usize,
    /// Caches that may be behind, and for how long they like. All others show what is stored.
    pub lagging: Vec<(Role, Kind)>,
    /// Whether a certificate is in place at the beginning, and how many seconds ago it was issued.
    pub issued: Option<u32>,
    /// What people do, in this order.
    pub people: Vec<Edit>,
    /// After how many seconds something may happen, in this order.
    pub waits: Vec<u32>,
    /// What an intruder may do in a remote cluster.
    pub intruder: Vec<Intrusion>,
    /// How many times.
    pub intrusions: u8,
    /// Built in to see whether the search finds it.
    pub defect: Option<Defect>,
}

impl Bounds {
    /// One issuer, an agent in each cluster, and passes that may end anywhere. Nobody does anything else.
    pub fn of(clusters: usize) -> Self {
        Self {
            clusters,
            issuers: 1,
            agents: 1,
            lagging: Vec::new(),
            issued: None,
            people: Vec::new(),
            waits: Vec::new(),
            intruder: Vec::new(),
            intrusions: 0,
            defect: None,
        }
    }
}

/// The model.
#[derive(Clone)]
pub struct IssueModel {
    bounds: Bounds,
    memo: Arc<Memo>,
}

/// What may happen next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the picture above")]
pub enum Action {
    Begin(Role, At),
    Step(Role, At),
    Die(Role, At),
    Hear(Role, At, Kind),
    Edit(usize),
    Intrude(usize, Intrusion),
    Wait,
}

impl IssueModel {
    /// The model within these bounds.
    pub fn new(bounds: Bounds) -> Self {
        Self { bounds, memo: Arc::default() }
    }

    fn has(&self, defect: Defect) -> bool {
        self.bounds.defect == Some(defect)
    }

    /// Nothing is there yet.
    fn nothing(&self) -> State {
        let site = Site {
            stored: [None; Kind::ALL.len()],
            processes: Vec::new(),
            edits: 0,
            intents: 0,
            intrusions: 0,
            kept: None,
            orphaned: false,
        };
        let sites = vec![site; self.bounds.clusters];
        State { now: Moment::default(), waits: 0, sites, broken: Broken::default() }
    }

    /// A certificate is in place in every cluster, since so many seconds.
    fn issued(&self, seconds: u32) -> State {
        let writer = Self::new(Bounds { people: vec![Edit::Create], ..Bounds::of(self.bounds.clusters) });
        let mut state = self.nothing();
        for site in 0..self.bounds.clusters {
            writer.edit(&mut state, site);
            state = writer.rested(&state, site).ok().expect("without faults a certificate is issued");
            state.sites[site].edits = 0;
        }
        state.now = state.now.later(seconds);
        state
    }

    /// Whether a rule is broken, and that is nobody else's doing.
    fn breaks(&self, state: &State, rule: Rule) -> bool {
        let is_excused = match rule {
            // A new intent found the copy that was made too late for the one before it.
            Rule::CopyDeleted => state.sites.iter().any(|site| site.orphaned),
            // What was in place a moment ago may have been deleted since.
            Rule::SaysWhatIsNot => {
                let takes_secrets = self.bounds.intruder.contains(&Intrusion::DeletesTheSecret);
                takes_secrets && state.sites.iter().any(|site| site.intrusions > 0)
            }
            _ => false,
        };
        state.broken.has(rule) && !is_excused
    }

    /// Makes one of states that will behave alike.
    fn simplify(&self, state: &mut State) {
        for site in &mut state.sites {
            for process in &mut site.processes {
                if let Some(pass) = &mut process.pass {
                    pass.simplify();
                }
            }
            // Of two replicas it does not matter which is which.
            site.processes.sort_by_cached_key(|process| (process.role as u8, order(process)));
            if !self.remembers_requests() || site.intrusions == self.bounds.intrusions {
                site.kept = None;
            }
        }
    }
}

/// Some order, the same in all states.
fn order(process: &Process) -> u64 {
    let mut hasher = DefaultHasher::new();
    process.hash(&mut hasher);
    hasher.finish()
}

impl Model for IssueModel {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let mut state = self.bounds.issued.map_or_else(|| self.nothing(), |seconds| self.issued(seconds));
        let Bounds { issuers, agents, .. } = self.bounds;
        for site in &mut state.sites {
            let roles = [vec![Role::Issuer; issuers], vec![Role::Agent; agents]].concat();
            site.processes = roles.into_iter().map(Process::new).collect();
            for kind in Kind::ALL {
                let stored = site.get(kind);
                for process in &mut site.processes {
                    if self.is_cached(process.role, kind) {
                        process.hear(kind, stored);
                    }
                }
            }
        }
        vec![state]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        for (number, site) in state.sites.iter().enumerate() {
            for (process, it) in site.processes.iter().enumerate() {
                let at = At { site: number, process };
                match it.pass {
                    None => actions.push(Action::Begin(it.role, at)),
                    Some(_) => actions.extend([Action::Step(it.role, at), Action::Die(it.role, at)]),
                }
                let behind = self.bounds.lagging.iter().filter(|(role, _)| *role == it.role);
                actions.extend(behind.map(|(role, kind)| Action::Hear(*role, at, *kind)));
            }
            if site.edits < self.bounds.people.len() {
                actions.push(Action::Edit(number));
            }
            if site.intrusions < self.bounds.intrusions {
                actions.extend(self.bounds.intruder.iter().map(|it| Action::Intrude(number, *it)));
            }
        }
        if state.waits < self.bounds.waits.len() {
            actions.push(Action::Wait);
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Begin(_, at) => self.begin(&mut state, at)?,
            Action::Step(_, at) => self.step(&mut state, at)?,
            Action::Die(_, at) => state.sites[at.site].processes[at.process].pass = None,
            Action::Hear(_, at, kind) => {
                let site = &mut state.sites[at.site];
                let stored = site.get(kind);
                site.processes[at.process].hear(kind, stored);
            }
            Action::Edit(site) => self.edit(&mut state, site)?,
            Action::Intrude(site, intrusion) => self.intrude(&mut state, site, intrusion)?,
            Action::Wait => {
                state.now = state.now.later(self.bounds.waits[state.waits]);
                state.waits += 1;
            }
        }
        self.simplify(&mut state);
        (state != *last).then_some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        macro_rules! never {
            ($rule:ident, $words:literal) => {
                Property::always($words, |model: &Self, state: &State| !model.breaks(state, Rule::$rule))
            };
        }
        vec![
            never!(KeyLeaves, "a private key stays in its cluster"),
            never!(SignedUnasked, "what is signed is what the intent asks for"),
            never!(NotWhole, "key, certificate, chain and roots in place belong together"),
            never!(OldIsGone, "the old certificate stays until the new one is in place"),
            never!(DeliveredTwice, "a certificate is replaced for a cause, and once for a need"),
            never!(AnotherAnswer, "what is stored answers the current request of this need"),
            never!(AnsweredTwice, "a request is answered once"),
            never!(RootsSwapped, "a root set is never swapped"),
            never!(DeletedWhileNeeded, "no key or answer is deleted while it is needed"),
            never!(CopyDeleted, "no copy is deleted whose intent lives"),
            never!(Undone, "no write lands on what has changed since"),
            never!(SaysWhatIsNot, "finished is said of what is in place"),
            never!(SaidAgain, "no write says the same again"),
            Property::always(
                "once the faults stop, everything is as it should be, and then nothing is written",
                |model: &Self, state| model.comes_to_rest(state),
            ),
            Property::sometimes(
                "a certificate is in place and all is said and done",
                |model: &Self, state: &State| {
                    state.sites.iter().all(|site| {
                        site.edits == model.bounds.people.len()
                            && rules::unfinished(site, state.now).is_none()
                    })
                },
            ),
        ]
    }
}
