//! What may go wrong in a run, and how often: drawn anew for each seed ("swarm"), so that runs differ in character.
//!
//! Every draw of a step comes from the seed and the step's number alone. So a fault can be taken out of a run and the rest
//! stays as similar as it can, which is what shrinking lives on.

use std::collections::BTreeSet;

use fastrand::Rng;

/// A family of things that may go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Family {
    /// A process dies before or after a request is carried out, or between two.
    Crash,
    /// The reply to a request is lost after it was carried out.
    ReplyLost,
    /// A request is refused: 409, 429, 500, 503.
    Refusal,
    /// Some watches tell late, and kinds out of order.
    Lag,
    /// A watch's history is gone: 410 and a new list.
    Expiry,
    /// A cluster cannot be reached.
    Partition,
    /// A clock is set.
    Clock,
    /// A process stops for a while; another replica leads meanwhile, or both do.
    Pause,
    /// People edit intents.
    Intent,
    /// People delete intents, and make them again.
    Deletion,
    /// People replace CA Secrets, remove them, or disallow clusters.
    Authority,
    /// A root rotation.
    Rotation,
    /// Others edit or delete issued Secrets.
    Secret,
    /// Others edit or delete pending keys, requests and copies.
    Leftover,
    /// A remote cluster is taken over.
    Intruder,
    /// Time passes: hours, days, to the next renewal.
    Time,
}

const FAMILIES: [Family; 16] = [
    Family::Crash,
    Family::ReplyLost,
    Family::Refusal,
    Family::Lag,
    Family::Expiry,
    Family::Partition,
    Family::Clock,
    Family::Pause,
    Family::Intent,
    Family::Deletion,
    Family::Authority,
    Family::Rotation,
    Family::Secret,
    Family::Leftover,
    Family::Intruder,
    Family::Time,
];

/// Faults that befall a request when it is carried out.
const OF_CALLS: [Family; 3] = [Family::Crash, Family::ReplyLost, Family::Refusal];

/// What may go wrong in one run.
#[derive(Clone, Debug)]
pub(crate) struct Faults {
    seed: u64,
    weights: Vec<(Family, u32)>,
    /// Of a thousand steps, so many are something from outside.
    events: u32,
    /// Of a thousand requests, so many go wrong.
    calls: u32,
    /// Which faults happen, if not all that are drawn.
    only: Option<BTreeSet<u64>>,
    /// Those that happened, by step.
    pub(crate) happened: Vec<(u64, String)>,
    /// No more from now on.
    pub(crate) are_over: bool,
}

impl Faults {
    /// Those of a seed.
    pub(crate) fn of(seed: u64, only: Option<BTreeSet<u64>>) -> Self {
        let mut rng = stream(seed, u64::MAX);
        let weight = |rng: &mut Rng| if rng.u32(..100) < 55 { 1 << rng.u32(..4) } else { 0 };
        let weights =
            FAMILIES.map(|family| (family, weight(&mut rng))).into_iter().filter(|(_, weight)| *weight > 0);
        let weights = weights.collect();
        let (events, calls) = (40 << rng.u32(..3), 20 << rng.u32(..4));
        Self { seed, weights, events, calls, only, happened: Vec::new(), are_over: false }
    }

    /// None at all.
    pub(crate) fn none(seed: u64) -> Self {
        Self { weights: Vec::new(), are_over: true, ..Self::of(seed, None) }
    }

    /// Whether this family may happen in this run.
    pub(crate) fn has(&self, family: Family) -> bool {
        self.weights.iter().any(|(other, _)| *other == family)
    }

    /// Something from outside in this step.
    pub(crate) fn event(&self, step: u64) -> Option<Family> {
        let mut rng = stream(self.seed ^ 0xE7E7, step);
        let kinds = |family: &Family| !matches!(family, Family::ReplyLost | Family::Refusal | Family::Lag);
        (rng.u32(..1000) < self.events)
            .then(|| self.pick(&mut rng, kinds))
            .flatten()
            .filter(|_| self.may(step))
    }

    /// Something that befalls the request of this step.
    pub(crate) fn of_call(&self, step: u64) -> Option<Family> {
        let mut rng = stream(self.seed ^ 0xCA11, step);
        let kinds = |family: &Family| OF_CALLS.contains(family);
        (rng.u32(..1000) < self.calls)
            .then(|| self.pick(&mut rng, kinds))
            .flatten()
            .filter(|_| self.may(step))
    }

    /// Notes that one happened.
    pub(crate) fn note(&mut self, step: u64, what: String) {
        self.happened.push((step, what));
    }

    fn may(&self, step: u64) -> bool {
        !self.are_over && self.only.as_ref().is_none_or(|only| only.contains(&step))
    }

    fn pick(&self, rng: &mut Rng, kinds: impl Fn(&Family) -> bool) -> Option<Family> {
        let sum: u32 =
            self.weights.iter().filter(|(family, _)| kinds(family)).map(|(_, weight)| weight).sum();
        if sum == 0 {
            return None;
        }
        let mut at = rng.u32(..sum);
        self.weights.iter().filter(|(family, _)| kinds(family)).find_map(|(family, weight)| {
            let found = at < *weight;
            at = at.saturating_sub(*weight);
            found.then_some(*family)
        })
    }
}

/// The random numbers of one step.
pub(crate) fn stream(seed: u64, step: u64) -> Rng {
    let mut rng = Rng::with_seed(seed ^ step.wrapping_mul(0x9E37_79B9_7F4A_7C15));
    // Neighbouring seeds begin alike.
    rng.u64(..);
    Rng::with_seed(rng.u64(..) ^ step.rotate_left(32))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_always_draws_the_same_and_another_draws_others() {
        let draws = |seed| {
            let faults = Faults::of(seed, None);
            (0..500).map(|step| (faults.event(step), faults.of_call(step))).collect::<Vec<_>>()
        };
        assert_eq!(draws(3), draws(3));
        assert_ne!(draws(3), draws(4));
    }

    #[test]
    fn every_family_comes_in_some_run() {
        let drawn: BTreeSet<Family> = (0..200)
            .flat_map(|seed| {
                let faults = Faults::of(seed, None);
                (0..300).flat_map(move |step| [faults.event(step), faults.of_call(step)]).collect::<Vec<_>>()
            })
            .flatten()
            .collect();
        let lag_is_no_event = FAMILIES.iter().filter(|family| **family != Family::Lag).copied().collect();
        assert_eq!(drawn, lag_is_no_event);
    }

    #[test]
    fn what_is_taken_out_does_not_happen() {
        let all = Faults::of(1, None);
        let steps: Vec<u64> = (0..500).filter(|step| all.event(*step).is_some()).collect();
        let kept = steps[0];
        let some = Faults::of(1, Some([kept].into()));
        assert_eq!((0..500).filter(|step| some.event(*step).is_some()).collect::<Vec<_>>(), [kept]);
    }
}
