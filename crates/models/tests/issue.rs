//! The issue model is searched completely, and each defect is found.

mod finding;

use certmesh_models::issue::{Bounds, Defect, Edit, Intrusion, IssueModel, Kind, Role, Rotation};
use stateright::{Checker, Model};
use std::time::Instant;

use Edit::{Create, Delete, Host, Renew};

const THREADS: usize = 2;
const DAY: u32 = 86_400;
/// A certificate lives for 90 days.
const DUE: Option<u32> = Some(89 * DAY);
/// After this many seconds nothing that is young is young any more: no request, no copy, no certificate.
const LONG: u32 = 660;

/// All that is read from caches.
fn caches() -> Vec<(Role, Kind)> {
    let issuers = [Kind::Intent, Kind::Copy, Kind::Request].map(|kind| (Role::Issuer, kind));
    issuers.into_iter().chain([(Role::Agent, Kind::Copy)]).collect()
}

/// All that is read at all.
fn everything() -> Vec<(Role, Kind)> {
    let live = [Kind::Request, Kind::Key, Kind::Issued].map(|kind| (Role::Agent, kind));
    caches().into_iter().chain(live).collect()
}

/// Searches all states and checks that there were not suspiciously few.
fn exhausted(name: &str, bounds: Bounds, at_least: usize) {
    let begin = Instant::now();
    let model = IssueModel::new(bounds);
    let checker = model.clone().checker().threads(THREADS).spawn_bfs().join();
    let (states, depth) = (checker.unique_state_count(), checker.max_depth());
    println!("{name}: {states} states, {depth} steps deep, in {:.1?}", begin.elapsed());
    for (property, path) in checker.discoveries() {
        if checker.discovery_classification(property).to_string() == "counterexample" {
            println!("{property}: {}", model.explained(path.last_state()).join("\n"));
        }
    }
    // Fails for a counterexample of an "always", and when there is no example of a "sometimes".
    checker.assert_properties();
    assert!(states >= at_least, "{name}: {states} states are too few to mean anything");
}

#[test]
fn a_first_certificate() {
    let people = vec![Create];
    let bounds = Bounds { people, lagging: caches(), waits: vec![10, LONG], ..Bounds::of(1) };
    exhausted("first certificate, time passes", bounds, 100_000);
}

#[test]
fn a_first_certificate_by_who_reads_nothing_new() {
    let bounds = Bounds { people: vec![Create], lagging: everything(), ..Bounds::of(1) };
    exhausted("first certificate, all that is read may be old", bounds, 250_000);
}

#[test]
fn a_renewal() {
    let waits = vec![10, LONG, 2 * DAY];
    exhausted("renewal", Bounds { issued: DUE, lagging: caches(), waits, ..Bounds::of(1) }, 200_000);
}

#[test]
fn changes_midway() {
    let people = vec![Create, Host(1), Host(0), Renew];
    exhausted("changes midway", Bounds { people, lagging: caches(), ..Bounds::of(1) }, 100_000);
}

#[test]
fn deleted_midway_and_made_again() {
    let people = vec![Create, Delete, Create];
    let bounds = Bounds { people, lagging: caches(), waits: vec![LONG], ..Bounds::of(1) };
    exhausted("deleted midway and made again", bounds, 100_000);
}

#[test]
fn a_rotation() {
    let steps = [Rotation::AddsTheRoot, Rotation::Signs, Rotation::DropsTheOldRoot, Rotation::Ends];
    let rotation: Vec<Edit> = steps.map(Edit::Rotate).to_vec();
    let bounds = Bounds { issued: Some(DAY), people: rotation.clone(), ..Bounds::of(1) };
    exhausted("rotation, caches lag", Bounds { lagging: caches(), ..bounds.clone() }, 1_200);
    let people = vec![Create, Edit::ReplaceTheRoot, Delete];
    let hasty = Bounds { people, lagging: caches(), ..Bounds::of(1) };
    exhausted("another root without a rotation", hasty, 25_000);
    exhausted("rotation, time passes", Bounds { waits: vec![LONG], ..bounds.clone() }, 800);
    exhausted(
        "two clusters, rotation",
        Bounds { clusters: 2, people: rotation[..2].to_vec(), ..bounds },
        2_500,
    );
}

#[test]
fn somebody_tidies_up() {
    let intruder = Intrusion::TIDYING.to_vec();
    let bounds = Bounds { people: vec![Create], intruder, ..Bounds::of(1) };
    exhausted(
        "somebody tidies up, caches lag",
        Bounds { intrusions: 1, lagging: caches(), ..bounds.clone() },
        15_000,
    );
    exhausted(
        "somebody tidies up, time passes",
        Bounds { intrusions: 2, waits: vec![LONG], ..bounds.clone() },
        50_000,
    );
    let people = vec![Create, Host(1), Delete];
    exhausted("somebody tidies up midway", Bounds { intrusions: 2, people, ..bounds }, 60_000);
}

#[test]
fn two_issuers() {
    let people = vec![Create, Host(1), Delete, Create];
    exhausted("two issuers", Bounds { people, issuers: 2, ..Bounds::of(1) }, 25_000);
    let bounds = Bounds { people: vec![Create], issuers: 2, lagging: caches(), ..Bounds::of(1) };
    exhausted("two issuers, caches lag", bounds, 40_000);
    let lagging = vec![(Role::Issuer, Kind::Intent), (Role::Issuer, Kind::Copy)];
    let bounds = Bounds { people: vec![Create, Delete], issuers: 2, lagging, ..Bounds::of(1) };
    exhausted("two issuers, deleted midway, caches lag", bounds, 150_000);
}

#[test]
fn two_agents() {
    let people = vec![Create, Host(1), Delete, Create];
    exhausted("two agents", Bounds { people, agents: 2, ..Bounds::of(1) }, 100_000);
    let lagging = vec![(Role::Agent, Kind::Copy)];
    let bounds =
        Bounds { issued: Some(DAY), people: vec![Host(1), Delete], agents: 2, lagging, ..Bounds::of(1) };
    exhausted("two agents, caches lag", bounds, 500_000);
}

#[test]
fn an_intruder() {
    let intruder = Intrusion::AT_HOME.to_vec();
    let home = Bounds { issued: DUE, intruder, ..Bounds::of(1) };
    let waits = vec![LONG];
    let bounds = Bounds { intrusions: 1, waits: waits.clone(), lagging: caches(), ..home.clone() };
    exhausted("an intruder, caches lag", bounds, 200_000);
    exhausted("an intruder, twice", Bounds { intrusions: 2, waits, ..home.clone() }, 50_000);
    let bounds = Bounds { intrusions: 2, people: vec![Host(1)], ..home };
    exhausted("an intruder, twice, and a change", bounds, 35_000);
}

#[test]
fn two_clusters() {
    let people = vec![Create];
    let bounds = Bounds { people: people.clone(), lagging: caches(), ..Bounds::of(2) };
    exhausted("two clusters, caches lag", bounds, 100_000);
    let bounds = Bounds { people: people.clone(), issuers: 2, ..Bounds::of(2) };
    exhausted("two clusters, two issuers", bounds, 50_000);
    exhausted("two clusters, renewal", Bounds { issued: DUE, waits: vec![LONG], ..Bounds::of(2) }, 30_000);
    let bounds = Bounds { people: vec![Create, Delete], ..Bounds::of(2) };
    exhausted("two clusters, deleted midway", bounds, 15_000);
    let intruder = Intrusion::FROM_ABROAD.to_vec();
    let bounds = Bounds { people, intruder, intrusions: 1, ..Bounds::of(2) };
    exhausted("two clusters, intruders in both", bounds, 40_000);
}

#[test]
fn every_defect_is_found() {
    const REST: &str = "once the faults stop, everything is as it should be, and then nothing is written";
    const UNDONE: &str = "no write lands on what has changed since";
    const SIGNED: &str = "what is signed is what the intent asks for";
    let with = |people: &[Edit]| Bounds { people: people.to_vec(), ..Bounds::of(1) };
    let behind = |people: &[Edit]| Bounds { lagging: caches(), ..with(people) };
    let aged = |people: &[Edit]| Bounds { issued: Some(DAY), ..with(people) };
    let intruder =
        |intruder: &[Intrusion]| Bounds { intruder: intruder.to_vec(), intrusions: 1, ..with(&[Create]) };
    let abroad = Bounds { clusters: 2, ..intruder(&Intrusion::FROM_ABROAD) };
    for (defect, bounds, violated) in [
        (Defect::StatusBeforeEffects, with(&[Create]), "finished is said of what is in place"),
        (
            Defect::DeletesTheOldSecretFirst,
            aged(&[Renew]),
            "the old certificate stays until the new one is in place",
        ),
        (Defect::NoVersions, behind(&[Create, Host(1)]), UNDONE),
        (Defect::NoUids, Bounds { agents: 2, ..with(&[Create, Host(1)]) }, UNDONE),
        (Defect::SignsFromTheCache, with(&[Create, Host(1)]), SIGNED),
        (Defect::SignsFromTheCache, with(&[Create, Delete]), SIGNED),
        (Defect::CopiesFromTheCache, Bounds { issuers: 2, ..behind(&[Create, Delete]) }, REST),
        (Defect::ReleasesFromTheCache, behind(&[Create, Delete]), REST),
        (Defect::OverwritesThePendingKey, Bounds { agents: 2, ..with(&[Create]) }, UNDONE),
        (Defect::StoresTheLatestAnswer, abroad, "key, certificate, chain and roots in place belong together"),
        (
            Defect::IgnoresTheNeed,
            aged(&[Renew, Renew]),
            "what is stored answers the current request of this need",
        ),
        (Defect::NewKeyInEachPass, with(&[Create]), "no key or answer is deleted while it is needed"),
        (Defect::SignsAgain, with(&[Create]), "a request is answered once"),
        (Defect::TrustsTheCopy, intruder(&[Intrusion::EditsTheCopy]), SIGNED),
        (Defect::SendsTheKey, with(&[Create]), "a private key stays in its cluster"),
        (Defect::LeavesKeysBehind, with(&[Create]), REST),
        (Defect::ReleasesTheCopyTooEarly, with(&[Create, Delete]), REST),
        (
            Defect::ForgetsWhatItIssuedFor,
            aged(&[]),
            "a certificate is replaced for a cause, and once for a need",
        ),
        (Defect::ReplacesTheLiveRoot, behind(&[Create, Edit::ReplaceTheRoot]), "a root set is never swapped"),
        (Defect::SaysItAgain, with(&[Create]), "no write says the same again"),
        (
            Defect::DeletesCopiesToChangeThem,
            with(&[Create, Host(1)]),
            "no copy is deleted whose intent lives",
        ),
    ] {
        finds(Bounds { defect: Some(defect), ..bounds }, defect, violated);
    }
}

fn finds(bounds: Bounds, defect: Defect, violated: &'static str) {
    let (states, steps) = finding::breaking(IssueModel::new(bounds), THREADS, violated);
    let steps = steps.unwrap_or_else(|| panic!("{defect:?} is not found in {states} states"));
    println!("{defect:?}: found after {states} states, in {} steps", steps.len());
}
