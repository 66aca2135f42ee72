//! Once the faults stop: does everything come to rest, as it should be?

use super::IssueModel;
use super::objects::{Kind, Object};
use super::rules::{Broken, Rule, unfinished};
use super::shell::{At, remembered};
use super::time::Moment;
use super::world::{Process, Role, State};

/// What a fair run begins with; it follows from nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Start {
    site: usize,
    now: Moment,
    stored: [Option<Object>; Kind::ALL.len()],
    orphaned: bool,
    is_disturbed: bool,
}

/// Looks again at most this many times: the longest back-off included.
const WAKE_UPS: usize = 20;
/// Passes of one process in a row; more would be no end.
const PASSES: usize = 20;

impl IssueModel {
    /// Whether every cluster's certificate ends as it should, when nothing goes wrong any more.
    pub(super) fn comes_to_rest(&self, state: &State) -> bool {
        (0..state.sites.len()).all(|number| {
            let site = &state.sites[number];
            let start = Start {
                site: number,
                now: state.now,
                stored: site.stored,
                orphaned: site.orphaned,
                is_disturbed: site.intrusions > 0,
            };
            remembered(&self.memo.rests, &start, || self.rested(state, number).is_ok())
        })
    }

    /// How each cluster's certificate would end: for people who read a counterexample.
    pub fn explained(&self, state: &State) -> Vec<String> {
        let explained = |number| match self.rested(state, number) {
            Ok(_) => "comes to rest".to_owned(),
            Err(Unrest { why, state }) => {
                let site = &state.sites[number];
                let stored = site.stored.iter().flatten().map(|object| format!("{:#}", object.value()));
                let stored: Vec<String> = stored.collect();
                format!("{why}, after {} s:\n{}", state.now.0, stored.join("\n"))
            }
        };
        (0..state.sites.len()).map(explained).collect()
    }

    /// The state in which one cluster's certificate comes to rest, by fair turns of one issuer and one agent whose caches
    /// show what is; or why it does not.
    pub(super) fn rested(&self, state: &State, number: usize) -> Result<State, Unrest> {
        let mut state = state.clone();
        state.sites[number].processes = vec![Process::new(Role::Issuer), Process::new(Role::Agent)];
        state.broken = Broken::default();
        for _ in 0..WAKE_UPS {
            let turns = [0, 1].map(|process| self.turns(&mut state, At { site: number, process }));
            let [Some(issuer), Some(agent)] = turns else {
                return Err(Unrest { why: "a process writes without end", state });
            };
            if Rule::ALL.iter().any(|rule| self.breaks(&state, *rule)) {
                return Err(Unrest { why: "a rule is broken on the way", state });
            }
            if issuer.is_busy || agent.is_busy {
                continue;
            }
            let Some(why) = unfinished(&state.sites[number], state.now) else { return Ok(state) };
            match [issuer.wake_at, agent.wake_at].into_iter().flatten().min() {
                Some(at) if at > state.now => state.now = at,
                _ => return Err(Unrest { why, state }),
            }
        }
        Err(Unrest { why: "it never ends", state })
    }

    /// Passes of one process until it has nothing to do; nothing when that does not happen.
    fn turns(&self, state: &mut State, at: At) -> Option<Turn> {
        for passes in 0..PASSES {
            let site = &mut state.sites[at.site];
            for kind in Kind::ALL {
                let stored = site.get(kind);
                site.processes[at.process].hear(kind, stored);
            }
            let (_, wake_at) = self.decided(state, at);
            if self.begin(state, at).is_none() {
                return Some(Turn { is_busy: passes > 0, wake_at });
            }
            while state.sites[at.site].processes[at.process].pass.is_some() {
                self.step(state, at)?;
            }
        }
        None
    }
}

/// Where a fair run ends that does not come to rest, and why.
pub(super) struct Unrest {
    why: &'static str,
    state: State,
}

struct Turn {
    is_busy: bool,
    wake_at: Option<Moment>,
}
