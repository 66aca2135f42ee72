//! The election of a leader: replicas that are paused, restarted, and whose writes are late or lost.
//!
//! ```text
//!   Look      a replica reads the record, or as a leader trusts what it wrote last, and asks workflow::lease::decide; a write leaves it
//!   Apply     the write reaches the server, which takes it if the record is still the one it was decided on
//!   Hear      the replica hears the answer, however late
//!   GiveUp    it stops waiting; the write may still arrive, later than anything
//!   Vanish    the write or its answer is lost
//!   Work      whoever believes to lead sends a write of its work, decided on what is stored now
//!   Land      that write reaches its server, however late
//!   Restart   a replica comes back under another identity, without memory
//!   Delete    a person deletes the record
//!   Tick      a second passes for all; Drift: for the first replica only; CatchUp: for the others only
//! ```
//!
//! A paused replica is one that does nothing while the others' seconds pass, so pauses of any length are in here. The
//! lease lasts 3 s, the renew deadline is 2 s, the retry period 1 s: the proportions are the default's, in the fewest
//! steps. Instead of times a state has ages, up to one that changes nothing any more: time is not bounded.

mod product;

use product::{Decided, decided};
use stateright::{Model, Property};

/// In seconds.
const DURATION: u8 = 3;
const RENEW_DEADLINE: u8 = 2;
const RETRY_PERIOD: u8 = 1;
/// From this age on a sight makes no difference: what could expire has. So it is with a renewal at the deadline.
const OLD: u8 = DURATION;
/// Without faults somebody leads after this many seconds: a lease, a look, and the write.
const SETTLED_AFTER: u8 = DURATION + 2;
/// The moment of every decision, by the replica's own clock. Ages are subtracted from it.
const NOW: u64 = 100;

/// What is searched, and with which defect.
#[derive(Clone, Debug)]
pub struct LeaseModel {
    /// How many replicas there are.
    pub replicas: usize,
    /// How far the first replica's clock may be ahead of the others', in seconds. It may fall back and gain again.
    pub drift: u8,
    /// How many times a replica is restarted, over all.
    pub restarts: u8,
    /// How many times the record is deleted.
    pub deletions: u8,
    /// How many writes may be under way after their replica gave up waiting.
    pub late: usize,
    /// How many writes of the record may be under way at once.
    pub writes: usize,
    /// How many writes of work may be under way at once.
    pub work: usize,
    /// Built in to see whether the search finds it.
    pub defect: Option<Defect>,
}

/// A shell that does not do what the decision is based on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Defect {
    /// The term is counted from the answer to a write rather than from its sending.
    CountsFromTheAnswer,
    /// Whoever was elected works until told otherwise: requests are not fenced to the term.
    NoFence,
    /// The lease is written whatever version is stored.
    LeaseWithoutVersion,
    /// Work is written whatever version is stored.
    WorkWithoutVersion,
    /// A follower goes by when it looked first, although the record has changed since.
    IgnoresChanges,
    /// A follower never takes over.
    NeverTakesOver,
}

/// One moment of an election.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    record: Stored,
    replicas: Vec<Replica>,
    /// Writes that nobody waits for any more.
    late: Vec<Write>,
    work: Vec<Work>,
    /// How many terms ago the last write of work was decided on that took effect.
    landed: Option<u8>,
    /// How far the first replica's clock is ahead of the others'.
    ahead: u8,
    restarts: u8,
    deletions: u8,
    /// A write of an earlier term took effect after one of a later term.
    overwritten: bool,
    /// A write took effect that was decided on something older than what it replaced.
    undone: bool,
}

/// The record, by who holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Stored {
    Absent,
    HeldBy(Identity),
}

/// A replica since its last start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Identity {
    replica: u8,
    start: u8,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Replica {
    identity: Identity,
    seen: Seen,
    /// Age of the last sight of a change.
    seen_age: u8,
    leads: Option<Leading>,
    write: Option<Write>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Leading {
    /// Age of the last write that is known to have succeeded.
    renewed_age: u8,
    /// How many terms have begun since its own.
    terms_ago: u8,
}

/// What a replica saw last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Seen {
    Absent,
    /// What is stored now.
    Current,
    /// Something else.
    Other,
}

/// A write of the record that is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Write {
    by: Identity,
    /// It was decided on there being no record.
    creates: bool,
    /// Whether what it was decided on is still stored; once it is taken, whether what it wrote is.
    is_current: bool,
    sent_age: u8,
    /// The server's answer.
    taken: Option<bool>,
}

/// A write of a leader's work that is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Work {
    by: Identity,
    /// How many terms have begun since its own.
    terms_ago: u8,
    /// Whether what it was decided on is still stored.
    is_current: bool,
}

/// What may happen next. Replicas and writes by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the picture above")]
pub enum Action {
    Look(usize),
    LookAtOwnWrite(usize),
    Apply(usize),
    Hear(usize),
    Vanish(usize),
    GiveUp(usize),
    ApplyLate(usize),
    VanishLate(usize),
    Work(usize),
    Land(usize),
    VanishWork(usize),
    Restart(usize),
    Delete,
    Tick,
    Drift,
    CatchUp,
}

impl LeaseModel {
    /// So many replicas, whose writes may be lost or answered late, and no more faults.
    pub fn of(replicas: usize) -> Self {
        Self {
            replicas,
            drift: 0,
            restarts: 0,
            deletions: 0,
            late: 0,
            writes: replicas,
            work: replicas,
            defect: None,
        }
    }

    fn has(&self, defect: Defect) -> bool {
        self.defect == Some(defect)
    }

    /// Whether a replica would send a write of its work now: whether it believes to lead.
    fn believes(&self, replica: &Replica) -> bool {
        replica.leads.is_some_and(|leading| leading.renewed_age < RENEW_DEADLINE || self.has(Defect::NoFence))
    }

    fn believers(&self, state: &State) -> usize {
        state.replicas.iter().filter(|replica| self.believes(replica)).count()
    }

    /// A replica reads the record and does what the decision says.
    fn look(&self, state: &mut State, number: usize) {
        let record = state.record;
        let replica = &mut state.replicas[number];
        let is_as_seen = match record {
            Stored::Absent => replica.seen == Seen::Absent,
            Stored::HeldBy(_) => replica.seen == Seen::Current,
        };
        let is_known = replica.seen != Seen::Absent;
        let ignores = self.has(Defect::IgnoresChanges) && is_known;
        if !is_as_seen && !ignores {
            replica.seen_age = 0;
        }
        replica.seen = if record == Stored::Absent { Seen::Absent } else { Seen::Current };
        self.act(replica, record, true);
    }

    /// A leader trusts the answer to its last write.
    fn look_at_own_write(&self, replica: &mut Replica) {
        let is_current = replica.seen == Seen::Current;
        self.act(replica, Stored::HeldBy(replica.identity), is_current);
    }

    fn act(&self, replica: &mut Replica, record: Stored, is_current: bool) {
        match decided(replica, record) {
            Decided::Write { creates } => {
                let takes_over = matches!(record, Stored::HeldBy(holder) if holder != replica.identity);
                if takes_over && self.has(Defect::NeverTakesOver) {
                    return;
                }
                replica.write =
                    Some(Write { by: replica.identity, creates, is_current, sent_age: 0, taken: None });
            }
            Decided::Wait => {}
            Decided::StepDown if self.has(Defect::NoFence) => {}
            Decided::StepDown => replica.leads = None,
        }
    }

    /// Brings a write of the record to the server: whether it is taken.
    fn apply(&self, state: &mut State, write: Write) -> bool {
        let fits = if write.creates { state.record == Stored::Absent } else { write.is_current };
        if !fits && !self.has(Defect::LeaseWithoutVersion) {
            return false;
        }
        if state.record != Stored::HeldBy(write.by) {
            state.begin_term();
        }
        state.replace(Stored::HeldBy(write.by));
        true
    }

    /// Tells a replica the server's answer.
    fn hear(&self, replica: &mut Replica, write: Write) {
        if write.taken == Some(true) {
            let counts_from = if self.has(Defect::CountsFromTheAnswer) { 0 } else { write.sent_age };
            // Should others have begun terms since its write, it does not know, and its term is over by its age.
            let terms_ago = replica.leads.map_or(0, |leading| leading.terms_ago);
            replica.leads = Some(Leading { renewed_age: counts_from, terms_ago });
            replica.seen = if write.is_current { Seen::Current } else { Seen::Other };
            replica.seen_age = 0;
        }
    }

    /// A write of somebody's work reaches its server.
    fn land(&self, state: &mut State, number: usize) {
        let work = state.work.remove(number);
        if !work.is_current && !self.has(Defect::WorkWithoutVersion) {
            return;
        }
        state.undone |= !work.is_current;
        state.overwritten |= state.landed.is_some_and(|landed| landed < work.terms_ago);
        state.landed = Some(work.terms_ago);
        for other in &mut state.work {
            other.is_current = false;
        }
    }

    /// Without faults, does one replica lead soon, and only one? Each looks once a second, and every write arrives at once.
    fn settles(&self, state: &State) -> bool {
        let mut state = state.clone();
        state.late.clear();
        for _ in 0..=SETTLED_AFTER {
            for number in 0..self.replicas {
                state.replicas[number].write = None;
                self.look(&mut state, number);
                if let Some(mut write) = state.replicas[number].write.take() {
                    write.taken = Some(self.apply(&mut state, write));
                    write.is_current = true;
                    self.hear(&mut state.replicas[number], write);
                }
            }
            if self.believers(&state) == 1 {
                return true;
            }
            state.replicas.iter_mut().for_each(Replica::grow_older);
        }
        false
    }
}

impl State {
    fn begin_term(&mut self) {
        let older = |terms_ago: &mut u8| *terms_ago = (*terms_ago + 1).min(2);
        self.work.iter_mut().for_each(|work| older(&mut work.terms_ago));
        self.replicas.iter_mut().filter_map(|replica| replica.leads.as_mut()).for_each(|leading| {
            older(&mut leading.terms_ago);
        });
        self.landed.iter_mut().for_each(older);
    }

    /// Whatever was seen or decided on before is no longer stored.
    fn replace(&mut self, record: Stored) {
        self.record = record;
        for replica in &mut self.replicas {
            if replica.seen == Seen::Current {
                replica.seen = Seen::Other;
            }
        }
        let waiting = self.replicas.iter_mut().filter_map(|replica| replica.write.as_mut());
        waiting.chain(&mut self.late).for_each(|write| write.is_current = false);
    }

    /// Forgets what makes no difference any more, so that states that will behave alike are one.
    fn simplify(&mut self, model: &LeaseModel) {
        if !model.has(Defect::WorkWithoutVersion) {
            self.work.retain(|work| work.is_current);
        }
        if !model.has(Defect::LeaseWithoutVersion) {
            self.late.retain(|write| write.creates || write.is_current);
        }
        if !model.has(Defect::IgnoresChanges) {
            let changed = self.replicas.iter_mut().filter(|replica| replica.seen == Seen::Other);
            changed.for_each(|replica| replica.seen_age = OLD);
        }
    }
}

impl Replica {
    fn new(replica: usize, start: u8) -> Self {
        let replica = u8::try_from(replica).unwrap_or(u8::MAX);
        Self {
            identity: Identity { replica, start },
            seen: Seen::Absent,
            seen_age: OLD,
            leads: None,
            write: None,
        }
    }

    fn grow_older(&mut self) {
        let older = |age: &mut u8, old: u8| *age = (*age + 1).min(old);
        older(&mut self.seen_age, OLD);
        self.leads.iter_mut().for_each(|leading| older(&mut leading.renewed_age, RENEW_DEADLINE));
        self.write.iter_mut().for_each(|write| older(&mut write.sent_age, RENEW_DEADLINE));
    }
}

impl Model for LeaseModel {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State {
            record: Stored::Absent,
            replicas: (0..self.replicas).map(|number| Replica::new(number, 0)).collect(),
            late: Vec::new(),
            work: Vec::new(),
            landed: None,
            ahead: 0,
            restarts: 0,
            deletions: 0,
            overwritten: false,
            undone: false,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        actions.push(Action::Tick);
        if state.ahead < self.drift {
            actions.push(Action::Drift);
        }
        if state.ahead > 0 {
            actions.push(Action::CatchUp);
        }
        for (number, replica) in state.replicas.iter().enumerate() {
            let under_way = state.replicas.iter().filter(|replica| replica.write.is_some()).count();
            let may_write = replica.write.is_none() && under_way < self.writes;
            match replica.write {
                None if may_write => actions.push(Action::Look(number)),
                None => {}
                Some(Write { taken: None, .. }) => {
                    actions.extend([Action::Apply(number), Action::Vanish(number)]);
                    if state.late.len() < self.late {
                        actions.push(Action::GiveUp(number));
                    }
                }
                Some(_) => actions.extend([Action::Hear(number), Action::Vanish(number)]),
            }
            if replica.leads.is_some() && may_write {
                actions.push(Action::LookAtOwnWrite(number));
            }
            let is_at_work = state.work.iter().any(|work| work.by.replica == replica.identity.replica);
            if self.believes(replica) && !is_at_work && state.work.len() < self.work {
                actions.push(Action::Work(number));
            }
            if state.restarts < self.restarts {
                actions.push(Action::Restart(number));
            }
        }
        for number in 0..state.work.len() {
            actions.extend([Action::Land(number), Action::VanishWork(number)]);
        }
        for number in 0..state.late.len() {
            actions.extend([Action::ApplyLate(number), Action::VanishLate(number)]);
        }
        if state.deletions < self.deletions && state.record != Stored::Absent {
            actions.push(Action::Delete);
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Look(number) => self.look(&mut state, number),
            Action::LookAtOwnWrite(number) => self.look_at_own_write(&mut state.replicas[number]),
            Action::Apply(number) => {
                let write = state.replicas[number].write?;
                let taken = self.apply(&mut state, write);
                let write = Write { taken: Some(taken), is_current: taken, ..write };
                state.replicas[number].write = Some(write);
            }
            Action::Hear(number) => {
                let write = state.replicas[number].write.take()?;
                self.hear(&mut state.replicas[number], write);
            }
            Action::Vanish(number) => state.replicas[number].write = None,
            Action::GiveUp(number) => {
                let write = state.replicas[number].write.take()?;
                state.late.push(Write { sent_age: 0, ..write });
            }
            Action::ApplyLate(number) => {
                let write = state.late.remove(number);
                self.apply(&mut state, write);
            }
            Action::VanishLate(number) => drop(state.late.remove(number)),
            Action::Work(number) => {
                let replica = &state.replicas[number];
                let terms_ago = replica.leads?.terms_ago;
                state.work.push(Work { by: replica.identity, terms_ago, is_current: true });
            }
            Action::Land(number) => self.land(&mut state, number),
            Action::VanishWork(number) => drop(state.work.remove(number)),
            Action::Restart(number) => {
                state.restarts += 1;
                state.replicas[number] = Replica::new(number, state.restarts);
            }
            Action::Delete => {
                state.deletions += 1;
                state.replace(Stored::Absent);
            }
            Action::Tick => state.replicas.iter_mut().for_each(Replica::grow_older),
            Action::Drift => {
                state.ahead += 1;
                state.replicas[0].grow_older();
            }
            Action::CatchUp => {
                state.ahead -= 1;
                state.replicas[1..].iter_mut().for_each(Replica::grow_older);
            }
        }
        state.simplify(self);
        (state != *last).then_some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            // Whoever deletes the record lets another begin at once.
            Property::always("at most one believes to lead", |model: &Self, state: &State| {
                state.deletions > 0 || model.believers(state) <= 1
            }),
            Property::always(
                "no write of an earlier term follows one of a later term",
                |_, state: &State| state.deletions > 0 || !state.overwritten,
            ),
            Property::always("no write lands on what has changed since", |_, state: &State| !state.undone),
            Property::always("once the faults stop, one leads soon", |model: &Self, state| {
                model.settles(state)
            }),
            Property::sometimes("one leads", |model: &Self, state| model.believers(state) == 1),
            Property::sometimes("another has taken over", |_, state: &State| state.landed == Some(1)),
        ]
    }
}
