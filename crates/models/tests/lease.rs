//! The lease model is searched completely, and each defect is found.

mod finding;

use certmesh_models::lease::{Defect, LeaseModel};
use stateright::{Checker, Model};
use std::time::Instant;

const THREADS: usize = 2;

/// Searches all states and checks that there were not suspiciously few.
fn exhausted(name: &str, model: LeaseModel, at_least: usize) {
    let begin = Instant::now();
    let checker = model.checker().threads(THREADS).spawn_bfs().join();
    let (states, depth) = (checker.unique_state_count(), checker.max_depth());
    println!("{name}: {states} states, {depth} steps deep, in {:.1?}", begin.elapsed());
    assert!(states >= at_least, "{name}: {states} states are too few to mean anything");
    // Fails for a counterexample of an "always", and when there is no example of a "sometimes".
    checker.assert_properties();
}

#[test]
fn two_replicas_whose_clocks_drift_and_whose_writes_come_late() {
    exhausted(
        "two replicas, clocks and late writes",
        LeaseModel { drift: 1, late: 1, ..LeaseModel::of(2) },
        250_000,
    );
}

#[test]
fn two_replicas_that_restart() {
    exhausted(
        "two replicas, restarts",
        LeaseModel { restarts: 1, late: 1, work: 1, ..LeaseModel::of(2) },
        350_000,
    );
}

#[test]
fn two_replicas_whose_record_is_deleted() {
    exhausted(
        "two replicas, a deletion",
        LeaseModel { deletions: 1, late: 1, work: 1, ..LeaseModel::of(2) },
        900_000,
    );
}

#[test]
fn three_replicas() {
    exhausted("three replicas", LeaseModel { writes: 2, work: 1, ..LeaseModel::of(3) }, 550_000);
}

#[test]
fn every_defect_is_found() {
    const TWO_LEAD: &str = "at most one believes to lead";
    const FOLLOWS: &str = "no write of an earlier term follows one of a later term";
    const UNDONE: &str = "no write lands on what has changed since";
    const NOBODY: &str = "once the faults stop, one leads soon";
    for (defect, violated) in [
        (Defect::CountsFromTheAnswer, TWO_LEAD),
        (Defect::NoFence, TWO_LEAD),
        (Defect::NoFence, FOLLOWS),
        (Defect::LeaseWithoutVersion, TWO_LEAD),
        (Defect::WorkWithoutVersion, UNDONE),
        (Defect::IgnoresChanges, TWO_LEAD),
        (Defect::NeverTakesOver, NOBODY),
    ] {
        // What only shows when a holder does not come back needs a restart.
        let restarts = u8::from(defect == Defect::NeverTakesOver);
        let model = LeaseModel { defect: Some(defect), drift: 1, late: 1, restarts, ..LeaseModel::of(2) };
        finds(&format!("{defect:?}"), model, violated);
    }
    finds("clocks that drift too far", LeaseModel { drift: 2, ..LeaseModel::of(2) }, TWO_LEAD);
}

fn finds(what: &str, model: LeaseModel, violated: &'static str) {
    let (states, steps) = finding::breaking(model, THREADS, violated);
    let steps = steps.unwrap_or_else(|| panic!("{what} is not found in {states} states"));
    println!("{what}: found after {states} states: {steps:?}");
}
