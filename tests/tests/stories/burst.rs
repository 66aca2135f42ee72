//! Many certificates at once, none of which is left waiting.

use certmesh_api::certificates::{IssuedCertificate, ObjectRef};
use certmesh_tests::{Fleet, intent, is_ready};
use std::time::Duration;

const CERTIFICATES: usize = 40;

#[tokio::test(start_paused = true)]
async fn no_certificate_of_a_burst_is_left_waiting() {
    let targets: Vec<_> =
        (0..CERTIFICATES).map(|number| ObjectRef::new("istio-system", format!("cacerts-{number}"))).collect();
    let fleet = Fleet::with_targets(1, &targets).await;
    let running = fleet.run_all().await;
    let began = tokio::time::Instant::now();
    for (number, target) in targets.iter().enumerate() {
        let mut wanted = intent("cluster-1", &format!("certificate-{number}"));
        wanted.spec.issued_certificate_secret = Some(target.clone());
        fleet.create(&fleet.management, &wanted).await;
    }
    for number in 0..CERTIFICATES {
        let name = format!("certificate-{number}");
        fleet.wait::<IssuedCertificate>(&fleet.management, "cluster-1", &name, is_ready).await;
    }
    // Virtual time stands still while anybody works, so what passes is what somebody slept.
    let slept = began.elapsed();
    assert!(slept < Duration::from_secs(4), "{slept:?} for {CERTIFICATES} certificates");
    for controller in running {
        controller.stop().await;
    }
}
