//! Several replicas of the issuer: one works; when it is gone another takes over; one that was deposed and does not know
//! it yet does no harm.

use certmesh_api::certificates::{IssuedCertificate, ObjectRef};
use certmesh_api::manifests::Issuer;
use certmesh_api::names::annotations;
use certmesh_tests::{Faults, Fleet, HOME, HOUR, Link, LinkState, MINUTE, Witness, intent, is_ready, stop};
use http::Method;
use k8s_openapi::api::coordination::v1::Lease;
use std::time::Duration;
use tokio::time::Instant;

/// From the last sign of a leader's life until another one works: the lease, a look at it, and some to begin.
const TAKE_OVER: Duration = Duration::from_secs(20);

async fn holder(fleet: &Fleet) -> Option<String> {
    let lease = fleet.get::<Lease>(&fleet.management, HOME, Issuer::NAME).await?;
    lease.spec?.holder_identity
}

/// Waits until another replica than this one leads.
async fn succeeded(fleet: &Fleet, old: &str) -> String {
    let is_new = |lease: Option<&Lease>| {
        let holder = lease.and_then(|lease| lease.spec.as_ref()?.holder_identity.as_deref());
        holder.is_some_and(|holder| holder != old)
    };
    let limit = TAKE_OVER;
    fleet.wait_for(limit, &fleet.management, HOME, Issuer::NAME, is_new).await;
    holder(fleet).await.unwrap()
}

/// Writes to anything but the lease itself.
fn work(faults: &Faults) -> usize {
    faults.sent().iter().filter(|sent| !sent.path.contains("/leases")).count()
}

#[tokio::test(start_paused = true)]
async fn one_of_two_issuers_works_and_the_other_waits() {
    let fleet = Fleet::new(2).await;
    let faults = [Faults::default(), Faults::default()];
    let mut running = Vec::new();
    for (number, faults) in faults.iter().enumerate() {
        running.push(fleet.run_elected_issuer(&format!("issuer-{number}"), faults, &Link::default()).await);
    }
    for index in 0..2 {
        running.push(fleet.run_agent(index, &Faults::default()).await);
    }
    for cluster in ["cluster-1", "cluster-2"] {
        fleet.create(&fleet.management, &intent(cluster, "istiod")).await;
        fleet.ready(cluster, "istiod").await;
    }
    tokio::time::sleep(HOUR).await;
    let leader = holder(&fleet).await.unwrap();
    let (leads, follows) = if leader == "issuer-0" { (0, 1) } else { (1, 0) };
    assert!(work(&faults[leads]) > 0);
    assert_eq!(work(&faults[follows]), 0, "the other writes nothing");
    let lease = fleet.get::<Lease>(&fleet.management, HOME, Issuer::NAME).await.unwrap();
    assert_eq!(lease.spec.unwrap().lease_transitions, Some(0), "nobody was deposed in an hour");
    let renewals = faults[leads].sent().len() - work(&faults[leads]);
    assert!((1700..=1810).contains(&renewals), "{renewals} writes of the lease in an hour");
    assert_eq!(fleet.issuance_log.records().len(), 2);
    stop(running).await;
    assert_eq!(holder(&fleet).await, None, "released");
}

#[tokio::test(start_paused = true)]
async fn the_leader_is_killed_and_the_other_takes_over() {
    let fleet = Fleet::new(1).await;
    let first = fleet.run_elected_issuer("first", &Faults::default(), &Link::default()).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    let second = fleet.run_elected_issuer("second", &Faults::default(), &Link::default()).await;
    let agent = fleet.run_agent(0, &Faults::default()).await;
    fleet.create(&fleet.management, &intent("cluster-1", "istiod")).await;
    fleet.ready("cluster-1", "istiod").await;
    assert_eq!(holder(&fleet).await.as_deref(), Some("first"));

    tokio::time::sleep(HOUR).await;
    let before = fleet.cacerts(0).await;
    first.kill().await;
    let begin = Instant::now();
    fleet.annotate("cluster-1", "istiod", annotations::RENEW, "please").await;
    fleet.renewed("cluster-1", "istiod", &before).await;
    assert!(begin.elapsed() <= TAKE_OVER, "{:?}", begin.elapsed());
    assert!(begin.elapsed() > Duration::from_secs(10), "not while the first could still be at work");
    assert_eq!(holder(&fleet).await.as_deref(), Some("second"));
    assert_eq!(fleet.issuance_log.records().len(), 2);
    stop(vec![second, agent]).await;
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_shuts_down_hands_over_at_once() {
    let fleet = Fleet::new(1).await;
    let first = fleet.run_elected_issuer("first", &Faults::default(), &Link::default()).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    let second = fleet.run_elected_issuer("second", &Faults::default(), &Link::default()).await;
    tokio::time::sleep(MINUTE).await;
    let begin = Instant::now();
    first.stop().await;
    assert_eq!(succeeded(&fleet, "first").await, "second");
    assert!(begin.elapsed() < Duration::from_secs(3), "{:?}", begin.elapsed());
    second.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_cannot_reach_the_lease_stops_before_another_begins() {
    let fleet = Fleet::new(1).await;
    let faults = [Faults::default(), Faults::default()];
    let links = [Link::default(), Link::default()];
    let first = fleet.run_elected_issuer("first", &faults[0], &links[0]).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    let second = fleet.run_elected_issuer("second", &faults[1], &links[1]).await;
    let agent = fleet.run_agent(0, &Faults::default()).await;
    fleet.create(&fleet.management, &intent("cluster-1", "istiod")).await;
    fleet.ready("cluster-1", "istiod").await;
    tokio::time::sleep(HOUR).await;
    let before = fleet.cacerts(0).await;

    // Only the way to the management cluster is cut: the remote one could still be written to.
    for failure in [LinkState::Silent, LinkState::Cut] {
        links[0].set(failure);
        let begin = Instant::now();
        assert_eq!(succeeded(&fleet, "first").await, "second");
        assert!(begin.elapsed() > Duration::from_secs(10), "{failure:?}: {:?}", begin.elapsed());
        let written = work(&faults[0]);
        fleet.annotate("cluster-1", "istiod", annotations::RENEW, &format!("{failure:?}")).await;
        tokio::time::sleep(MINUTE).await;
        fleet.renewed("cluster-1", "istiod", &before).await;
        assert_eq!(work(&faults[0]), written, "{failure:?}: the first has stopped");
        // It comes back as a follower, and leads again when the second is gone.
        links[0].set(LinkState::Up);
        tokio::time::sleep(MINUTE).await;
        assert_eq!(holder(&fleet).await.as_deref(), Some("second"));
        links[1].set(LinkState::Cut);
        assert_eq!(succeeded(&fleet, "second").await, "first");
        links[1].set(LinkState::Up);
        tokio::time::sleep(HOUR).await;
    }
    stop(vec![first, second, agent]).await;
}

/// A write of the leader is held up on its way, and arrives when another has led for long: it loses, and the first, which
/// hears from the world again, asks for nothing more.
#[tokio::test(start_paused = true)]
async fn a_deposed_leader_that_wakes_up_does_no_harm() {
    for held_at in 1..=6 {
        let fleet = Fleet::new(1).await;
        let witness =
            Witness::of(&fleet.remotes[0], &ObjectRef::new("istio-system", "cacerts"), fleet.clock.clone());
        let is_work = |_: &Method, path: &str| !path.contains("/leases");
        let faults = Faults::held_at(held_at, is_work);
        let first = fleet.run_elected_issuer("first", &faults, &Link::default()).await;
        tokio::time::sleep(Duration::from_secs(5)).await;
        let second = fleet.run_elected_issuer("second", &Faults::default(), &Link::default()).await;
        let agent = fleet.run_agent(0, &Faults::default()).await;
        fleet.create(&fleet.management, &intent("cluster-1", "istiod")).await;
        fleet.ready("cluster-1", "istiod").await;
        tokio::time::sleep(MINUTE).await;
        if !faults.is_held() {
            // So many writes are not made on the way to a first certificate.
            assert!(held_at > 4, "{:?}", faults.sent());
            stop(vec![first, second, agent]).await;
            continue;
        }
        assert_eq!(holder(&fleet).await.as_deref(), Some("second"));
        let (signed, sent) = (fleet.issuance_log.records().len(), faults.sent().len());
        let before = fleet.cacerts(0).await;

        faults.go_on();
        tokio::time::sleep(MINUTE).await;
        let after: Vec<_> = faults.sent().split_off(sent - 1);
        let of_work: Vec<_> = after.iter().filter(|sent| !sent.path.contains("/leases")).collect();
        assert!(of_work.len() <= 1, "held at {held_at}: only what it had in its hands: {of_work:?}");
        for sent in of_work {
            assert!(matches!(sent.answer, Some(404 | 409) | None), "held at {held_at}: {sent:?} loses");
        }
        assert_eq!(fleet.issuance_log.records().len(), signed, "held at {held_at}: nothing is signed");
        assert_eq!(holder(&fleet).await.as_deref(), Some("second"));
        assert_eq!(fleet.cacerts(0).await, before);
        assert_eq!(witness.certificates().len(), 1, "held at {held_at}");
        let intent = fleet.get::<IssuedCertificate>(&fleet.management, "cluster-1", "istiod").await;
        assert!(is_ready(intent.as_ref()));
        stop(vec![first, second, agent]).await;
    }
}
