//! A state: what is stored, who has seen what of it, and the passes under way.

use super::objects::{Kind, Object};
use super::pki::Names;
use super::product::Plan;
use super::rules::Broken;
use super::time::Moment;

/// One moment of issuing.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    pub(super) now: Moment,
    /// How many times it was waited.
    pub(super) waits: usize,
    pub(super) sites: Vec<Site>,
    /// What must never happen and did.
    pub(super) broken: Broken,
}

/// One cluster with its intent, and whoever works on it. What happens at one site says nothing about another's.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Site {
    pub(super) stored: [Option<Object>; Kind::ALL.len()],
    pub(super) processes: Vec<Process>,
    /// How many of the people's edits were made.
    pub(super) edits: usize,
    /// How many intents there were.
    pub(super) intents: u8,
    /// How many times an intruder did something.
    pub(super) intrusions: u8,
    /// A request as it was before it was deleted, in an intruder's hands.
    pub(super) kept: Option<Object>,
    /// Something was made for an intent or a copy that is gone, or never was: nobody is left to clean up after it.
    pub(super) orphaned: bool,
}

/// A replica of the issuer or of an agent, with its caches for one cluster's certificate.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Process {
    pub(super) role: Role,
    /// What its caches show; what it has no cache of is empty.
    pub(super) views: [View; Kind::ALL.len()],
    pub(super) pass: Option<Pass>,
}

/// Who works.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// In the management cluster.
    Issuer,
    /// In the remote cluster.
    Agent,
}

impl Role {
    /// What it reads: its kinds of objects.
    pub(super) const fn reads(self) -> &'static [Kind] {
        match self {
            Self::Issuer => &[Kind::Intent, Kind::Copy, Kind::Request],
            Self::Agent => &[Kind::Copy, Kind::Request, Kind::Key, Kind::Issued],
        }
    }

    /// What of it comes from caches; all else is read live.
    pub(super) const fn cached(self) -> &'static [Kind] {
        match self {
            Self::Issuer => &[Kind::Intent, Kind::Copy, Kind::Request],
            Self::Agent => &[Kind::Copy],
        }
    }
}

/// An object in a cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct View {
    pub(super) object: Option<Object>,
    pub(super) seen: Seen,
}

/// What has become of an object since it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Seen {
    /// Nothing: it still has its resourceVersion.
    Now,
    /// It has changed: it only has its uid still.
    Before,
    /// It is gone, or there never was one.
    Another,
}

/// A pass under way: what it will do, and what it was decided on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Pass {
    pub(super) plan: Plan,
    /// The next step.
    pub(super) next: usize,
    pub(super) seen: [Seen; Kind::ALL.len()],
    /// Number of the key that it made, or of the serial number that it signed with.
    pub(super) made: Option<u8>,
}

impl View {
    pub(super) const EMPTY: Self = Self { object: None, seen: Seen::Another };

    /// What a cache shows that has just heard of this.
    pub(super) fn of(stored: Option<Object>) -> Self {
        Self { object: stored, seen: if stored.is_some() { Seen::Now } else { Seen::Another } }
    }
}

impl Process {
    pub(super) fn new(role: Role) -> Self {
        Self { role, views: [View::EMPTY; Kind::ALL.len()], pass: None }
    }

    pub(super) fn view(&self, kind: Kind) -> View {
        self.views[kind as usize]
    }

    /// Its cache hears of what is stored.
    pub(super) fn hear(&mut self, kind: Kind, stored: Option<Object>) {
        self.views[kind as usize] = View::of(stored);
    }
}

impl Site {
    pub(super) fn get(&self, kind: Kind) -> Option<Object> {
        self.stored[kind as usize]
    }

    /// Stores an object, or removes it. Whatever was read or decided before is of the past.
    pub(super) fn put(&mut self, kind: Kind, object: Option<Object>) {
        let old = std::mem::replace(&mut self.stored[kind as usize], object);
        let is_same_object = old.is_some() && object.is_some();
        for process in &mut self.processes {
            process.views[kind as usize].seen.becomes(is_same_object);
            if let Some(pass) = &mut process.pass {
                pass.seen[kind as usize].becomes(is_same_object);
            }
        }
    }

    /// Keys and serial numbers that anything mentions.
    pub(super) fn names(&self) -> Names {
        let stored = self.stored.iter().flatten().map(|object| object.names());
        let views = self.processes.iter().flat_map(|process| process.views);
        let views = views.filter_map(|view| view.object).map(Object::names);
        let kept = self.kept.iter().map(|object| object.names());
        let passes = self.processes.iter().filter_map(|process| process.pass.as_ref()).map(Pass::names);
        stored.chain(views).chain(kept).chain(passes).fold(Names::default(), Names::and)
    }
}

impl Seen {
    fn becomes(&mut self, is_same_object: bool) {
        *self = match (*self, is_same_object) {
            (Self::Now | Self::Before, true) => Self::Before,
            _ => Self::Another,
        };
    }
}

impl Pass {
    fn names(&self) -> Names {
        let made = self.made.map_or_else(Names::default, |made| {
            // Of which of the two it is makes no difference to a pool.
            Names { keys: 1 << made, serials: 1 << made }
        });
        self.plan.names().and(made)
    }

    /// Forgets what makes no difference any more.
    pub(super) fn simplify(&mut self) {
        let needed = self.plan.needs(self.next);
        for (seen, is_needed) in self.seen.iter_mut().zip(needed) {
            if !is_needed {
                *seen = Seen::Another;
            }
        }
        if !self.plan.uses_what_it_made(self.next) {
            self.made = None;
        }
    }
}
