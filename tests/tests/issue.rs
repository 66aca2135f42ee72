//! A certificate travels from the issuer to two clusters and back.

use certmesh_api::certificates::{IssuedCertificate, IssuedCertificateState};
use certmesh_api::secrets::CaCerts;
use certmesh_tests::{Fleet, HOME, intent, is_clean, is_ready};
use certmesh_x509::{Certificate, PrivateKey, TrustBundle, verify_chain};
use k8s_openapi::api::core::v1::Secret;

#[tokio::test(start_paused = true)]
async fn two_clusters_get_certificates_under_one_root() {
    let fleet = Fleet::new(2).await;
    let running = fleet.run_all().await;
    for cluster in ["cluster-1", "cluster-2"] {
        fleet.create(&fleet.management, &intent(cluster, "istiod")).await;
    }
    let mut roots = Vec::new();
    for (index, cluster) in ["cluster-1", "cluster-2"].into_iter().enumerate() {
        let remote = &fleet.remotes[index];
        let done =
            fleet.wait::<IssuedCertificate>(&fleet.management, cluster, "istiod", is_ready).await.unwrap();
        assert_eq!(done.status.unwrap().state, IssuedCertificateState::Finished);
        let secret = fleet.get::<Secret>(remote, "istio-system", "cacerts").await.expect("the issued Secret");
        let files = CaCerts::from_secret(&secret).unwrap();
        let certificate = Certificate::from_pem(files.certificate).unwrap();
        let key = PrivateKey::from_pem(files.key).unwrap();
        assert_eq!(key.public_key(), certificate.public_key());
        let bundle = TrustBundle::from_pem(files.roots).unwrap();
        verify_chain(&certificate, &[], &bundle, fleet.clock.now()).unwrap();
        roots.push(bundle.fingerprints().clone());
        assert!(is_clean(&fleet, remote, "istiod").await, "request and pending key are gone");
        let copy = fleet.get::<IssuedCertificate>(remote, HOME, "istiod").await.unwrap();
        assert_eq!(copy.status.unwrap().state, IssuedCertificateState::Finished);
    }
    assert_eq!(roots[0], roots[1]);
    assert_eq!(fleet.issuance_log.records().len(), 2);
    for controller in running {
        controller.stop().await;
    }
}
