//! One run: faults for a while, then repair, then everything has to come to rest.

use certmesh_api::certificates::ObjectRef;

use crate::invariants::{endings, signing};
use crate::plan::Plan;
use crate::witness::Violation;
use crate::world::World;

/// Seconds that pass at most until the next step with faults; whoever sleeps longer sleeps on.
const LONGEST_PAUSE: i64 = 24 * 3600;
/// Steps that everything may take to come to rest afterwards.
const PATIENCE_STEPS: u64 = 6000;
/// Seconds that it may take: the longest back-off and some.
const PATIENCE: i64 = 4 * 3600;
/// Seconds in which what was let pass for a moment is still said, and what nobody watches is looked at again.
const AFTERTHOUGHTS: i64 = 305;
/// Seconds of silence that follow.
const SILENCE: i64 = 25 * 60;

/// What came of a run.
pub(crate) struct Outcome {
    pub(crate) seed: u64,
    pub(crate) steps: u64,
    pub(crate) violation: Option<Violation>,
    /// Faults that happened, by step.
    pub(crate) faults: Vec<(u64, String)>,
    pub(crate) trace: Vec<String>,
    /// Certificates that were put in place.
    pub(crate) deliveries: usize,
    /// API requests.
    pub(crate) requests: u64,
}

/// Runs a plan.
pub(crate) fn run(plan: &Plan) -> Outcome {
    let mut world = World::new(plan);
    begin(&mut world);
    for _ in 0..plan.steps {
        if is_violated(&world) {
            break;
        }
        if !world.step() {
            world.wait_at_most(LONGEST_PAUSE);
        }
    }
    if !is_violated(&world) {
        world.repair();
        come_to_rest(&mut world);
    }
    if plan.traced {
        world.describe();
    }
    Outcome {
        seed: plan.seed,
        steps: world.step,
        violation: world.witness.violations.first().cloned(),
        faults: world.faults.happened,
        trace: world.trace.lines,
        requests: world.requests,
        deliveries: world.witness.history.delivered.len(),
    }
}

fn is_violated(world: &World) -> bool {
    !world.witness.violations.is_empty()
}

/// CAs, intents, and what was there before.
fn begin(world: &mut World) {
    world.install_authorities();
    for site in 1..world.clusters.len() {
        if world.faults.has(crate::faults::Family::Secret) {
            world.install_what_was_there(site);
        }
        world.step += 1;
        world.create_intent(&ObjectRef::new(format!("cluster-{site}"), "istio"));
    }
    world.step += 1;
    if world.random(60).u32(..4) == 0 {
        world.create_intent(&ObjectRef::new("cluster-1", "gateway"));
    }
}

fn come_to_rest(world: &mut World) {
    let (begun, step) = (world.clock.micros(), world.step);
    let mut quiet = (world.witness.history.writes, begun);
    loop {
        if is_violated(world) {
            return;
        }
        if world.step() {
            if world.step > step + PATIENCE_STEPS {
                return world
                    .witness
                    .ask("eventually_stable", Err(format!("{PATIENCE_STEPS} steps, and no end")));
            }
            continue;
        }
        match endings::everything_is_finished_or_rightly_stalled(world) {
            Ok(()) if is_quiet(world, &mut quiet) => break,
            Ok(()) => drop(world.wait()),
            Err(error) => {
                let waited = (world.clock.micros() - begun) / 1_000_000;
                if waited > PATIENCE || !world.wait() {
                    let message = format!("{waited} s after faults stopped: {error}");
                    return world.witness.ask("eventually_stable", Err(message));
                }
            }
        }
    }
    be_silent(world);
    world
        .witness
        .ask("issuance_is_bounded_by_needs", signing::issuance_is_bounded_by_needs(&world.witness.history));
}

/// Whether nothing was written for a while, or nothing is due. What is kept: writes, and since when there are so many.
fn is_quiet(world: &World, quiet: &mut (u64, i64)) -> bool {
    let (writes, now) = (world.witness.history.writes, world.clock.micros());
    if quiet.0 != writes {
        *quiet = (writes, now);
    }
    let until = quiet.1 + AFTERTHOUGHTS * 1_000_000;
    now >= until || world.next_due().is_none_or(|due| due > until)
}

/// Nothing is written any more, until the next certificate is to be renewed.
fn be_silent(world: &mut World) {
    let end = world.clock.now().as_second() + SILENCE;
    let end = endings::next_change(world).map_or(end, |change| end.min(change.as_second() - 1));
    let before = world.witness.history.writes;
    world.say(|| "== silence ==".to_owned());
    while world.next_due().is_some_and(|due| due / 1_000_000 < end) && world.wait() {
        while world.step() {}
    }
    let more = world.witness.history.writes - before;
    let answer = if more == 0 { Ok(()) } else { Err(format!("{more} writes after everything was done")) };
    world.witness.ask("then_nothing_is_written", answer);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::{HOME, ISTIO, Kind};
    use crate::process::Actor;
    use crate::world::REPLICAS;

    fn began() -> World {
        let mut world = World::new(&Plan { clusters: 1, faulty: false, ..Plan::of(1) });
        begin(&mut world);
        world
    }

    fn violated(world: &World) -> Vec<&'static str> {
        world.witness.violations.iter().map(|violation| violation.invariant).collect()
    }

    #[test]
    fn a_calm_world_comes_to_rest() {
        let mut world = began();
        come_to_rest(&mut world);
        assert_eq!(world.witness.violations, []);
        assert!(!world.witness.history.delivered.is_empty());
    }

    #[test]
    fn a_certificate_that_never_comes_is_no_rest() {
        let mut world = began();
        world.processes[REPLICAS].is_paused = true;
        come_to_rest(&mut world);
        assert_eq!(violated(&world), ["eventually_stable"]);
    }

    #[test]
    fn what_is_written_in_the_silence_is_heard() {
        let mut world = began();
        come_to_rest(&mut world);
        let target = ObjectRef::new(ISTIO, "cacerts");
        assert!(world.remove(Actor::Other, 1, Kind::Secret, &target));
        world.processes[REPLICAS].wake(ObjectRef::new(HOME, "istio"));
        be_silent(&mut world);
        assert_eq!(violated(&world), ["then_nothing_is_written"]);
    }
}
