//! One run: a fleet, a storm over it, and what is left.

use crate::crew::Crew;
use crate::people::{NAME, People, cluster};
use crate::verdict::{self, foreign_secret};
use certmesh_api::certificates::{IssuedCertificate, ObjectRef};
use certmesh_api::names::annotations;
use certmesh_tests::{
    Fleet, Inventory, LocalClock, MINUTE, SecretHistory, Storm, certificate_in, condition, intent, is_clean,
    is_ready, reason, whole,
};
use certmesh_x509::Hosts;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Within this time after a storm everything is in place: a refusal is tried again after an hour and a fifth at most.
const SETTLED_AFTER: Duration = Duration::from_secs(2 * 60 * 60);
/// Writes that say the same again, or belong to others: who leads, what happened.
const NOT_OURS: &[&str] = &["leases.", "events."];

/// Where a run leaves its storm, for the report when it fails.
#[derive(Default)]
pub(crate) struct Slot(Mutex<Option<Storm>>);

impl Slot {
    pub(crate) fn trace(&self) -> Vec<String> {
        let storm = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        storm.as_ref().map(Storm::trace).unwrap_or_default()
    }
}

/// What a run was like.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Outcome {
    deeds: u32,
    deaths: u32,
    faults: usize,
    deliveries: usize,
    settled_after: Duration,
}

impl Outcome {
    pub(crate) fn summary(all: &[Self]) -> String {
        let sum = |of: fn(&Self) -> usize| all.iter().map(of).sum::<usize>();
        let longest = all.iter().map(|outcome| outcome.settled_after).max().unwrap_or_default();
        format!(
            "{} deeds, {} deaths, {} faults, {} certificates; settled within {} s",
            sum(|outcome| usize::try_from(outcome.deeds).unwrap_or_default()),
            sum(|outcome| usize::try_from(outcome.deaths).unwrap_or_default()),
            sum(|outcome| outcome.faults),
            sum(|outcome| outcome.deliveries),
            longest.as_secs(),
        )
    }

    /// Storms in which nothing happens prove nothing.
    pub(crate) fn check_that_something_happened(all: &[Self]) {
        let runs = all.len();
        let of = |what: fn(&Self) -> bool| all.iter().filter(|outcome| what(outcome)).count();
        assert!(of(|outcome| outcome.faults > 10) > runs / 2, "faults");
        assert!(of(|outcome| outcome.deaths > 0) > runs / 4, "deaths");
        assert!(of(|outcome| outcome.deeds > 3) > runs / 2, "deeds");
        assert!(of(|outcome| outcome.deliveries > 2) > runs / 2, "certificates that follow another");
    }
}

/// Runs a seed to its end.
pub(crate) async fn run(seed: u64, slot: &Slot) -> Result<Outcome, String> {
    let target = ObjectRef::new("istio-system", "cacerts");
    let foreign = ObjectRef::new("istio-system", "foreign");
    let fleet = Arc::new(Fleet::with_targets(2, &[target.clone(), foreign.clone()]).await);
    let storm = Storm::of(seed);
    *slot.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(storm.clone());
    let agents = [LocalClock::default(), LocalClock::default()];
    let histories = [0, 1].map(|index| {
        SecretHistory::of(&fleet.remotes[index], &target, fleet.clock.clone(), agents[index].clone())
    });
    let bystander = fleet.create(&fleet.remotes[0], &foreign_secret(&foreign)).await;
    let mut wanted = intent("cluster-1", "foreign");
    wanted.spec.issued_certificate_secret = Some(foreign.clone());
    fleet.create(&fleet.management, &wanted).await;

    let crew = Crew::start(&fleet, &storm, &agents);
    let mut people = People::new(&fleet, &storm, &crew).await;
    people.create_intent(0).await;
    people.create_intent(1).await;
    // Many short storms find more than few long ones: each has other weather.
    let duration = MINUTE * 2 + storm.dice("duration").up_to(MINUTE * 4);
    people.meddle(duration).await;
    storm.calm();
    // An hour would be a better proof than ten minutes, and costs more than the storm.
    let watched = if storm.dice("quiet").permille(100) { MINUTE * 60 } else { MINUTE * 10 };
    let settled_after = come_to_rest(&mut people, watched).await?;

    let mut deliveries = 0;
    for (index, history) in histories.iter().enumerate() {
        deliveries += verdict::history(index, &history.versions(), &people.deeds)?;
    }
    let now = fleet.get::<Secret>(&fleet.remotes[0], &foreign.namespace, &foreign.name).await;
    if now.as_ref() != Some(&bystander) {
        return Err("a Secret that is not ours was changed".to_owned());
    }
    verdict::issuance(&fleet.issuance_log.records())?;
    let (deeds, deaths) = (people.deeds.count, crew.deaths());
    crew.stop().await;
    let faults = storm.trace().len() - usize::try_from(deeds + deaths).unwrap_or_default();
    Ok(Outcome { deeds, deaths, faults, deliveries, settled_after })
}

/// Waits until every certificate is in place and nobody writes for a while. What is in place may be replaced once more: a
/// change of the last minutes waits until the certificate is ten minutes old, a refusal until its back-off is over. Returns
/// how long the last one took.
async fn come_to_rest(people: &mut People<'_>, watched: Duration) -> Result<Duration, String> {
    let begin = Instant::now();
    people.put_in_order().await;
    loop {
        settle(people).await?;
        let settled_after = begin.elapsed();
        match quiet(people.fleet, watched).await {
            Ok(()) => return Ok(settled_after),
            Err(writes) if settled_after > SETTLED_AFTER => return Err(writes),
            Err(_) => {}
        }
    }
}

/// Waits until every certificate is in place as its intent is now.
async fn settle(people: &mut People<'_>) -> Result<(), String> {
    let begin = Instant::now();
    loop {
        let mut missing = Vec::new();
        for index in [0, 1] {
            match waits_for(people.fleet, index).await {
                Some(Word::OtherRoots) => people.accept_other_roots(index).await,
                Some(Word::BeginAgain) => people.begin_again(index).await,
                None => {}
            }
            if let Some(what) = missing_in(people.fleet, index).await {
                missing.push(format!("cluster-{}: {what}", index + 1));
            }
            if missing.iter().any(|what| what.ends_with("no intent")) {
                people.create_intent(index).await;
            }
        }
        if missing.is_empty() {
            return Ok(());
        }
        if begin.elapsed() > SETTLED_AFTER {
            return Err(format!("not settled after {SETTLED_AFTER:?}: {}", missing.join("; ")));
        }
        tokio::time::sleep(Duration::from_secs(if begin.elapsed() < MINUTE { 2 } else { 20 })).await;
    }
}

/// What nothing more happens without.
enum Word {
    /// The roots in use may be replaced.
    OtherRoots,
    /// What was issued under a root that is gone is given up.
    BeginAgain,
}

/// What an intent waits for a person to say.
async fn waits_for(fleet: &Fleet, index: usize) -> Option<Word> {
    let intent = fleet.get::<IssuedCertificate>(&fleet.management, &cluster(index), NAME).await?;
    let accepted = intent.annotations().contains_key(annotations::REPLACE_ROOT);
    let gave_up = || intent.metadata.deletion_timestamp.is_some();
    let error = intent.status.as_ref().map(|status| status.error.as_str()).unwrap_or_default();
    match reason(&intent) {
        "WouldReplaceLiveRoot" if !accepted => Some(Word::OtherRoots),
        _ if error.contains("is not the one that this certificate was issued under") && !gave_up() => {
            Some(Word::BeginAgain)
        }
        _ => None,
    }
}

/// What is not yet as it should be in a cluster.
async fn missing_in(fleet: &Fleet, index: usize) -> Option<String> {
    let intent = fleet.get::<IssuedCertificate>(&fleet.management, &cluster(index), NAME).await;
    let Some(intent) = intent else { return Some("no intent".to_owned()) };
    if intent.metadata.deletion_timestamp.is_some() {
        return Some("its intent is being deleted".to_owned());
    }
    let says = || intent.status.as_ref().map(|status| format!("{:?} {}", status.state, status.error));
    if !is_ready(Some(&intent)) {
        return Some(format!("not ready: {:?}", says()));
    }
    let works = |status| condition(status, "Reconciling").is_some_and(|found| found.status == "True");
    if intent.status.as_ref().is_some_and(works) {
        return Some(format!("still at work: {:?}", says()));
    }
    let remote = &fleet.remotes[index];
    let Some(secret) = fleet.get::<Secret>(remote, "istio-system", "cacerts").await else {
        return Some("no Secret".to_owned());
    };
    let asked = intent.annotations().get(annotations::RENEW);
    if asked.is_some() && secret.annotations().get(annotations::RENEW) != asked {
        return Some("not renewed".to_owned());
    }
    if let Err(flaw) = whole(&secret, &fleet.clock) {
        return Some(format!("the Secret is not whole: {flaw}"));
    }
    let hosts = Hosts::parse(&intent.spec.hosts).unwrap();
    if !certificate_in(&secret).identifies_exactly(&hosts) {
        return Some("the certificate is for other hosts".to_owned());
    }
    (!is_clean(fleet, remote, NAME).await).then(|| "request or pending key is still there".to_owned())
}

/// Nobody writes anything any more.
async fn quiet(fleet: &Fleet, watched: Duration) -> Result<(), String> {
    tokio::time::sleep(MINUTE).await;
    let all = || {
        let clusters = std::iter::once(&fleet.management).chain(&fleet.remotes);
        clusters.map(|cluster| Inventory::of(cluster).without(NOT_OURS)).collect::<Vec<_>>()
    };
    let before = all();
    tokio::time::sleep(watched).await;
    let changes: Vec<_> =
        before.iter().zip(&all()).flat_map(|(before, after)| before.changes(after)).collect();
    if changes.is_empty() { Ok(()) } else { Err(format!("still written to: {changes:?}")) }
}
