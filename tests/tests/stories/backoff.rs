//! What is refused is asked for again, ever more rarely; what a person corrects is tried at once; whatever keeps asking
//! for new certificates gets one in ten minutes.

use certmesh_api::certificates::{CertificateRequest, IssuedCertificate};
use certmesh_api::names::annotations;
use certmesh_api::secrets;
use certmesh_tests::forger::new_key;
use certmesh_tests::{Fleet, HOME, HOUR, MINUTE, ROOT_CA, Running, intent, is_clean, stop};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use serde_json::{Value, json};
use std::time::Duration;

fn writes(fleet: &Fleet) -> u32 {
    fleet.writes().values().sum()
}

fn refused(fleet: &Fleet) -> Vec<Value> {
    fleet.issuance_log.records().into_iter().filter(|record| record["decision"] == "refused").collect()
}

fn seconds_between(records: &[Value]) -> Vec<i64> {
    let times =
        records.iter().map(|record| record["time"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap());
    let times: Vec<_> = times.map(jiff::Timestamp::as_second).collect();
    times.windows(2).map(|pair| pair[1] - pair[0]).collect()
}

async fn allow(fleet: &Fleet, clusters: &str) {
    let patch = json!({"metadata": {"annotations": {annotations::ALLOW_CLUSTERS: clusters}}});
    fleet.patch::<Secret>(&fleet.management, HOME, ROOT_CA, patch).await;
}

/// A cluster with a certificate, whose CA then stopped to sign for it just before a renewal.
async fn refusing() -> (Fleet, Vec<Running>, Secret) {
    let fleet = Fleet::new(1).await;
    let running = fleet.run_all().await;
    fleet.create(&fleet.management, &intent("cluster-1", "istiod")).await;
    fleet.ready("cluster-1", "istiod").await;
    tokio::time::sleep(HOUR).await;
    allow(&fleet, "cluster-7").await;
    fleet.says("cluster-1", "istiod", "CaNotAllowed").await;
    let before = fleet.cacerts(0).await;
    fleet.annotate("cluster-1", "istiod", annotations::RENEW, "please").await;
    (fleet, running, before)
}

#[tokio::test(start_paused = true)]
async fn a_refused_request_is_made_again_after_a_minute_then_two_then_four() {
    let (fleet, running, before) = refusing().await;
    let written = writes(&fleet);
    tokio::time::sleep(HOUR).await;
    let gaps = seconds_between(&refused(&fleet));
    // 1, 2, 4, 8, 16 minutes, give or take a fifth, and then 32 more end after the hour (or just before it).
    assert!((5..=6).contains(&gaps.len()), "{gaps:?}");
    for (number, gap) in gaps.iter().enumerate() {
        let wanted = 60 << number;
        assert!((wanted * 8 / 10..=wanted * 12 / 10 + 2).contains(gap), "gap {number} of {gaps:?}");
    }
    let written = writes(&fleet) - written;
    // For each attempt: delete, create, refuse, status of copy and intent (said once when asked, once when refused).
    assert!(written <= 7 * 8, "{written} writes for {} refusals in an hour", gaps.len() + 1);

    // In a day: the back-off ends at an hour.
    tokio::time::sleep(HOUR * 24).await;
    let gaps = seconds_between(&refused(&fleet));
    assert!(gaps.iter().all(|gap| *gap <= 72 * 60 + 2), "{gaps:?}");
    assert!((24..=36).contains(&gaps.len()), "{} attempts in 25 hours", gaps.len() + 1);
    let intent = fleet.get::<IssuedCertificate>(&fleet.management, "cluster-1", "istiod").await.unwrap();
    let status = intent.status.unwrap();
    assert_eq!(status.attempts, u32::try_from(gaps.len() + 1).unwrap());
    assert!(status.next_attempt_at.unwrap().0 > fleet.clock.now());
    assert_eq!(fleet.cacerts(0).await, before, "what is in place stays");

    // What was wrong is put right where it was wrong: the next attempt succeeds, without a restart.
    allow(&fleet, "cluster-1").await;
    tokio::time::sleep(HOUR * 2).await;
    fleet.renewed("cluster-1", "istiod", &before).await;
    stop(running).await;
}

#[tokio::test(start_paused = true)]
async fn the_back_off_is_kept_over_a_restart_and_jittered() {
    let mut first_gaps = Vec::new();
    for name in ["a", "b", "c"] {
        let fleet = Fleet::new(1).await;
        let mut running = fleet.run_all().await;
        fleet.create(&fleet.management, &intent("cluster-1", name)).await;
        fleet.ready("cluster-1", name).await;
        tokio::time::sleep(HOUR).await;
        allow(&fleet, "cluster-7").await;
        fleet.says("cluster-1", name, "CaNotAllowed").await;
        fleet.annotate("cluster-1", name, annotations::RENEW, "please").await;
        for _ in 0..60 {
            tokio::time::sleep(MINUTE).await;
            for controller in running {
                controller.kill().await;
            }
            running = fleet.run_all().await;
        }
        let gaps = seconds_between(&refused(&fleet));
        assert!((5..=6).contains(&gaps.len()), "{name}: 60 restarts change nothing: {gaps:?}");
        first_gaps.push(gaps[4]);
        stop(running).await;
    }
    first_gaps.sort_unstable();
    first_gaps.dedup();
    assert_eq!(first_gaps.len(), 3, "objects that failed together do not come back together: {first_gaps:?}");
}

#[tokio::test(start_paused = true)]
async fn a_corrected_intent_is_tried_at_once() {
    let (fleet, running, before) = refusing().await;
    tokio::time::sleep(HOUR * 5).await;
    // Another lifetime, still refused: tried now, not in an hour.
    let count = refused(&fleet).len();
    let shorter = json!({"spec": {"certOptions": {"ttlDays": 30}}});
    fleet.patch::<IssuedCertificate>(&fleet.management, "cluster-1", "istiod", shorter).await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(refused(&fleet).len(), count + 1);
    let status =
        fleet.get::<IssuedCertificate>(&fleet.remotes[0], HOME, "istiod").await.unwrap().status.unwrap();
    assert_eq!(status.attempts, 1, "another need begins anew");

    // A CA that may sign for this cluster, and the next wish comes true in seconds.
    allow(&fleet, "cluster-1").await;
    fleet.annotate("cluster-1", "istiod", annotations::RENEW, "again").await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    fleet.renewed("cluster-1", "istiod", &before).await;
    assert!(is_clean(&fleet, &fleet.remotes[0], "istiod").await);
    stop(running).await;
}

#[tokio::test(start_paused = true)]
async fn a_secret_that_is_spoiled_all_the_time_gets_one_certificate_in_ten_minutes() {
    let fleet = Fleet::new(1).await;
    let remote = &fleet.remotes[0];
    let running = fleet.run_all().await;
    fleet.create(&fleet.management, &intent("cluster-1", "istiod")).await;
    fleet.ready("cluster-1", "istiod").await;
    let (signed, written) = (fleet.issuance_log.records().len(), writes(&fleet));
    for _ in 0..60 {
        let other_key =
            json!({"data": {secrets::CA_KEY: ByteString(new_key().to_pem().as_bytes().to_vec())}});
        fleet.patch::<Secret>(remote, "istio-system", "cacerts", other_key).await;
        tokio::time::sleep(MINUTE).await;
    }
    let signed = fleet.issuance_log.records().len() - signed;
    assert!((5..=6).contains(&signed), "{signed} certificates in an hour");
    let written = writes(&fleet) - written;
    assert!(written <= 6 * 14, "{written} writes in an hour");
    // Left in peace, it is repaired.
    tokio::time::sleep(MINUTE * 11).await;
    fleet.ready("cluster-1", "istiod").await;
    stop(running).await;
}

#[tokio::test(start_paused = true)]
async fn a_secret_that_is_deleted_all_the_time_does_not_make_a_storm_of_requests() {
    let fleet = Fleet::new(1).await;
    let remote = &fleet.remotes[0];
    let running = fleet.run_all().await;
    fleet.create(&fleet.management, &intent("cluster-1", "istiod")).await;
    fleet.ready("cluster-1", "istiod").await;
    for _ in 0..30 {
        fleet.delete::<Secret>(remote, "istio-system", "cacerts").await;
        let again = |secret: Option<&Secret>| secret.is_some();
        fleet.wait_for(Duration::from_secs(5), remote, "istio-system", "cacerts", again).await;
    }
    tokio::time::sleep(MINUTE).await;
    let signed = fleet.issuance_log.records().len();
    assert_eq!(signed, 31, "one for each deletion: without it istiod would make itself a root");
    assert!(fleet.get::<CertificateRequest>(remote, HOME, "istiod").await.is_none());
    fleet.ready("cluster-1", "istiod").await;
    stop(running).await;
}
