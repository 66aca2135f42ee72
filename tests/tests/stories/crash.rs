//! The issuer or an agent is killed before or after any of its writes, and started again: the certificate arrives all
//! the same, exactly one is delivered, and the old one stays in place until then.

use certmesh_api::certificates::{IssuedCertificate, ObjectRef};
use certmesh_api::names::annotations;
use certmesh_tests::{CrashPoint, Faults, Fleet, HOME, Running, Witness, intent, is_clean, is_ready};
use certmesh_x509::Fingerprint;
use serde_json::json;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Party {
    Issuer,
    Agent,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Journey {
    /// From the intent to the first certificate.
    First,
    /// From a person's wish for a renewal to the next certificate.
    Renewal,
    /// From the intent's deletion until nothing but the Secret is left.
    Deletion,
}

impl Party {
    async fn start(self, fleet: &Fleet, faults: &Faults) -> Running {
        match self {
            Self::Issuer => fleet.run_issuer(faults).await,
            Self::Agent => fleet.run_agent(0, faults).await,
        }
    }

    fn other(self) -> Self {
        match self {
            Self::Issuer => Self::Agent,
            Self::Agent => Self::Issuer,
        }
    }
}

/// Makes the journey; the party dies at the point, if one is given. How many writes it made without dying.
async fn travel(party: Party, journey: Journey, crash: Option<CrashPoint>) -> u32 {
    let fleet = Fleet::new(1).await;
    let remote = &fleet.remotes[0];
    let witness = Witness::of(remote, &ObjectRef::new("istio-system", "cacerts"), fleet.clock.clone());
    let mut before = Vec::new();
    if journey != Journey::First {
        let running = fleet.run_all().await;
        fleet.create(&fleet.management, &intent("cluster-1", "istiod")).await;
        arrive(&fleet, None).await;
        before = witness.certificates();
        for controller in running {
            controller.stop().await;
        }
    }
    begin(&fleet, journey).await;
    let other = party.other().start(&fleet, &Faults::default()).await;
    let faults = crash.map_or_else(Faults::default, Faults::crash_at);
    let mut running = party.start(&fleet, &faults).await;
    if crash.is_some() {
        faults.crashed().await;
        running.kill().await;
        let meanwhile = witness.certificates();
        assert!(meanwhile.starts_with(&before), "the old certificate stays until the new one is in place");
        running = party.start(&fleet, &Faults::default()).await;
    }
    finish(&fleet, journey, before.last().copied()).await;
    let writes = faults.writes();
    let delivered = witness.certificates().len() - before.len();
    let wanted = usize::from(journey != Journey::Deletion);
    assert_eq!(delivered, wanted, "{party:?} {journey:?} {crash:?}: certificates delivered");
    running.stop().await;
    other.stop().await;
    writes
}

async fn begin(fleet: &Fleet, journey: Journey) {
    match journey {
        Journey::First => {
            fleet.create(&fleet.management, &intent("cluster-1", "istiod")).await;
        }
        Journey::Renewal => {
            // Not in the brake against storms, and long before the certificate would be renewed by itself.
            tokio::time::sleep(std::time::Duration::from_secs(3600)).await;
            let patch = json!({"metadata": {"annotations": {annotations::RENEW: "please"}}});
            fleet.patch::<IssuedCertificate>(&fleet.management, "cluster-1", "istiod", patch).await;
        }
        Journey::Deletion => {
            fleet.delete::<IssuedCertificate>(&fleet.management, "cluster-1", "istiod").await;
        }
    }
}

async fn finish(fleet: &Fleet, journey: Journey, old: Option<Fingerprint>) {
    if journey == Journey::Deletion {
        fleet
            .wait::<IssuedCertificate>(&fleet.management, "cluster-1", "istiod", |intent| intent.is_none())
            .await;
        assert!(fleet.get::<IssuedCertificate>(&fleet.remotes[0], HOME, "istiod").await.is_none());
    } else {
        arrive(fleet, old).await;
    }
    assert!(is_clean(fleet, &fleet.remotes[0], "istiod").await, "request and pending key are gone");
}

/// Waits until the intent is ready with another certificate than the old one.
async fn arrive(fleet: &Fleet, old: Option<Fingerprint>) {
    let old = old.map(|fingerprint| fingerprint.to_string());
    let new_and_ready = |intent: Option<&IssuedCertificate>| {
        let certificate = intent.and_then(|intent| intent.status.as_ref()?.certificate.as_ref());
        is_ready(intent) && certificate.map(|certificate| &certificate.fingerprint) != old.as_ref()
    };
    fleet.wait::<IssuedCertificate>(&fleet.management, "cluster-1", "istiod", new_and_ready).await;
}

async fn every_crash_point(party: Party, journey: Journey) {
    let writes = travel(party, journey, None).await;
    assert!(writes > 0, "{party:?} writes something on the way");
    for number in 1..=writes {
        for point in [CrashPoint::Before(number), CrashPoint::After(number)] {
            travel(party, journey, Some(point)).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_agent_dies_on_the_way_to_the_first_certificate() {
    every_crash_point(Party::Agent, Journey::First).await;
}

#[tokio::test(start_paused = true)]
async fn the_issuer_dies_on_the_way_to_the_first_certificate() {
    every_crash_point(Party::Issuer, Journey::First).await;
}

#[tokio::test(start_paused = true)]
async fn the_agent_dies_on_the_way_to_a_renewal() {
    every_crash_point(Party::Agent, Journey::Renewal).await;
}

#[tokio::test(start_paused = true)]
async fn the_issuer_dies_on_the_way_to_a_renewal() {
    every_crash_point(Party::Issuer, Journey::Renewal).await;
}

#[tokio::test(start_paused = true)]
async fn the_agent_dies_on_the_way_to_a_deletion() {
    every_crash_point(Party::Agent, Journey::Deletion).await;
}

#[tokio::test(start_paused = true)]
async fn the_issuer_dies_on_the_way_to_a_deletion() {
    every_crash_point(Party::Issuer, Journey::Deletion).await;
}
