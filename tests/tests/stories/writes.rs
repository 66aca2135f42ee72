//! Writes are what an API server has fewest of: they are counted, on the way to a certificate and in quiet times.

use certmesh_api::certificates::ObjectRef;
use certmesh_api::names::annotations;
use certmesh_tests::{Faults, Fleet, HOUR, Inventory, intent, stop};
use std::time::Duration;

/// API writes for one certificate, events aside: what was promised.
const MOST: u64 = 10;
/// Leases are renewed by design; events inform.
const NOT_COUNTED: [&str; 2] = ["leases.", "events"];

/// Commits to all stores of the fleet so far, events aside.
fn commits(fleet: &Fleet) -> u64 {
    let clusters = std::iter::once(&fleet.management).chain(&fleet.remotes);
    let count = |cluster: &certmesh_apiserver::Cluster| {
        // Every event is created once and patched when it recurs. Both groups show the same ones.
        let events = Inventory::of(cluster).only(&["events.events.k8s.io"]);
        let event_writes: u64 = events.objects().values().map(writes_of_an_event).sum();
        cluster.store().revision() - event_writes
    };
    clusters.map(count).sum()
}

fn writes_of_an_event(event: &serde_json::Value) -> u64 {
    event["series"]["count"].as_u64().unwrap_or(1)
}

fn counted(fleet: &Fleet) -> u64 {
    fleet.writes().values().copied().map(u64::from).sum()
}

fn inventories(fleet: &Fleet) -> Vec<Inventory> {
    let clusters = std::iter::once(&fleet.management).chain(&fleet.remotes);
    clusters.map(|cluster| Inventory::of(cluster).without(&NOT_COUNTED)).collect()
}

fn assert_nothing_changed(before: &[Inventory], after: &[Inventory], when: &str) {
    for (before, after) in before.iter().zip(after) {
        let changes = before.changes(after);
        assert!(changes.is_empty(), "{when}: {changes:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_certificate_costs_ten_writes_at_most() {
    let fleet = Fleet::new(1).await;
    let faults = Faults::default();
    let running = vec![fleet.run_issuer(&faults).await, fleet.run_agent(0, &faults).await];
    // The registration is reported once.
    tokio::time::sleep(Duration::from_secs(60)).await;
    let (seen, told) = (commits(&fleet), counted(&fleet));
    fleet.create(&fleet.management, &intent("cluster-1", "istiod")).await;
    fleet.ready("cluster-1", "istiod").await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    let (seen, told) = (commits(&fleet) - seen, counted(&fleet) - told);
    let ours = seen - 1;
    assert!(ours <= MOST, "{ours} writes for the first certificate: {:?}", fleet.writes());
    assert_eq!(told, ours, "the metric tells what the servers saw");

    let (seen, told) = (commits(&fleet), counted(&fleet));
    let before = fleet.cacerts(0).await;
    fleet.annotate("cluster-1", "istiod", annotations::RENEW, "please").await;
    fleet.renewed("cluster-1", "istiod", &before).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    let (seen, told) = (commits(&fleet) - seen, counted(&fleet) - told);
    let ours = seen - 1;
    assert!(ours <= MOST, "{ours} writes for a renewal: {:?}", fleet.writes());
    assert_eq!(told, ours);
    // Nobody else writes here, and a pass waits until it sees what the last one wrote.
    let lost: Vec<_> = faults.sent().into_iter().filter(|sent| sent.answer >= Some(300)).collect();
    assert!(lost.is_empty(), "writes that lost a race: {lost:?}");
    stop(running).await;
}

#[tokio::test(start_paused = true)]
async fn many_certificates_at_once_cost_no_more_each() {
    const MANY: usize = 20;
    let names: Vec<String> = (0..MANY).map(|number| format!("certificate-{number}")).collect();
    let targets: Vec<ObjectRef> = names.iter().map(|name| ObjectRef::new("istio-system", name)).collect();
    let fleet = Fleet::with_targets(1, &targets).await;
    let running = fleet.run_all().await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    let told = counted(&fleet);
    for (name, target) in names.iter().zip(&targets) {
        let mut wanted = intent("cluster-1", name);
        wanted.spec.issued_certificate_secret = Some(target.clone());
        fleet.create(&fleet.management, &wanted).await;
    }
    for name in &names {
        fleet.ready("cluster-1", name).await;
    }
    tokio::time::sleep(Duration::from_secs(60)).await;
    let told = counted(&fleet) - told;
    let most = MOST * u64::try_from(MANY).unwrap();
    assert!(told <= most, "{told} writes for {MANY} certificates: {:?}", fleet.writes());
    stop(running).await;
}

#[tokio::test(start_paused = true)]
async fn quiet_times_are_quiet() {
    let fleet = Fleet::new(2).await;
    let running = fleet.run_all().await;
    for cluster in ["cluster-1", "cluster-2"] {
        fleet.create(&fleet.management, &intent(cluster, "istiod")).await;
        fleet.ready(cluster, "istiod").await;
    }
    // One that a person has to act on is as quiet.
    let mut bad = intent("cluster-1", "bad");
    bad.spec.hosts.clear();
    fleet.create(&fleet.management, &bad).await;
    let mut missing = intent("cluster-2", "missing");
    let ca = missing.spec.gloo_mesh_ca.as_mut().unwrap();
    ca.signing_certificate_secret.as_mut().unwrap().name = "missing-ca".to_owned();
    fleet.create(&fleet.management, &missing).await;
    tokio::time::sleep(Duration::from_secs(120)).await;
    let before = inventories(&fleet);
    tokio::time::sleep(HOUR).await;
    assert_nothing_changed(&before, &inventories(&fleet), "an hour later");

    // Neither is a restart of everybody a reason to write.
    stop(running).await;
    let running = fleet.run_all().await;
    tokio::time::sleep(HOUR).await;
    assert_nothing_changed(&before, &inventories(&fleet), "after a restart");

    // Nor watches that end.
    for cluster in std::iter::once(&fleet.management).chain(&fleet.remotes) {
        cluster.end_watches();
    }
    tokio::time::sleep(HOUR).await;
    assert_nothing_changed(&before, &inventories(&fleet), "after all watches broke");
    stop(running).await;
}
