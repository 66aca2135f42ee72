//! Certificates renew by themselves, on a virtual clock.

use certmesh_api::certificates::{IssuedCertificate, ObjectRef};
use certmesh_tests::{Fleet, Witness, intent, is_ready};
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(60 * 60);

#[tokio::test(start_paused = true)]
async fn an_hourly_certificate_renews_through_a_day() {
    let fleet = Fleet::new(1).await;
    let witness =
        Witness::of(&fleet.remotes[0], &ObjectRef::new("istio-system", "cacerts"), fleet.clock.clone());
    let running = fleet.run_all().await;
    let mut wanted = intent("cluster-1", "istiod");
    wanted.spec.cert_options.as_mut().unwrap().ttl_seconds = Some(3600);
    fleet.create(&fleet.management, &wanted).await;
    fleet.wait(&fleet.management, "cluster-1", "istiod", is_ready).await;
    tokio::time::sleep(HOUR * 24).await;
    let certificates = witness.certificates().len();
    // Renewed with 6 to 7.2 minutes left of an hour: 24 h / 52.8..54 min, and the first.
    assert!((26..=28).contains(&certificates), "{certificates} certificates in a day");
    let now = fleet.clock.now();
    let intent = fleet.get::<IssuedCertificate>(&fleet.management, "cluster-1", "istiod").await.unwrap();
    let summary = intent.status.unwrap().certificate.unwrap();
    assert!(summary.not_before.0 < now && summary.not_after.0 > now, "the one in place is valid now");
    for controller in running {
        controller.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_certificate_of_a_day_renews_when_a_tenth_of_its_life_is_left() {
    let fleet = Fleet::new(1).await;
    let witness =
        Witness::of(&fleet.remotes[0], &ObjectRef::new("istio-system", "cacerts"), fleet.clock.clone());
    let running = fleet.run_all().await;
    let mut wanted = intent("cluster-1", "istiod");
    wanted.spec.cert_options.as_mut().unwrap().ttl_days = 1;
    fleet.create(&fleet.management, &wanted).await;
    fleet.wait(&fleet.management, "cluster-1", "istiod", is_ready).await;
    let issued = witness.certificates();
    // Up to a fifth of the last tenth early, so that a thousand of them do not come at once.
    tokio::time::sleep(HOUR * 21).await;
    assert_eq!(witness.certificates(), issued, "not yet");
    tokio::time::sleep(HOUR).await;
    assert_eq!(witness.certificates().len(), 2, "and then once");
    for controller in running {
        controller.stop().await;
    }
}
