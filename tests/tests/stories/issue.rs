//! A certificate travels from the issuer to two clusters and back.

use certmesh_api::certificates::{IssuedCertificate, IssuedCertificateState};
use certmesh_api::secrets::CaCerts;
use certmesh_tests::{Fleet, HOME, intent, is_clean, is_ready};
use certmesh_x509::{Certificate, PrivateKey, TrustBundle, verify_chain};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use std::process::Command;

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
        openssl_accepts(&files, fleet.clock.now());
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

/// What `openssl verify` and `openssl x509` say of the four files; its word is worth more than our own.
fn openssl_accepts(files: &CaCerts<'_>, now: Timestamp) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let file = |name: &str, content: &[u8]| {
        let path = directory.path().join(name);
        std::fs::write(&path, content).expect("it can be written to");
        path.into_os_string().into_string().expect("a path in UTF-8")
    };
    let (certificate, chain) = (file("ca-cert.pem", files.certificate), file("cert-chain.pem", files.chain));
    let (roots, key) = (file("root-cert.pem", files.roots), file("ca-key.pem", files.key));
    let at = now.as_second().to_string();
    let verdict = openssl(&[
        "verify",
        "-x509_strict",
        "-attime",
        &at,
        "-CAfile",
        &roots,
        "-untrusted",
        &chain,
        &certificate,
    ]);
    assert!(verdict.ends_with(": OK\n"), "{verdict}");
    let shown = openssl(&["x509", "-in", &certificate, "-noout", "-text"]);
    assert!(shown.contains("CA:TRUE, pathlen:0"), "{shown}");
    let of_certificate = openssl(&["x509", "-in", &certificate, "-noout", "-pubkey"]);
    assert_eq!(openssl(&["pkey", "-in", &key, "-pubout"]), of_certificate, "the key is the certificate's");
    let first_of_chain = openssl(&["x509", "-in", &chain, "-noout", "-fingerprint", "-sha256"]);
    assert_eq!(openssl(&["x509", "-in", &certificate, "-noout", "-fingerprint", "-sha256"]), first_of_chain);
}

fn openssl(arguments: &[&str]) -> String {
    let output = Command::new("openssl")
        .args(arguments)
        .output()
        .expect("openssl is installed (apt-get install openssl)");
    assert!(output.status.success(), "openssl {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("openssl speaks UTF-8")
}

#[tokio::test(start_paused = true)]
async fn a_certificate_never_outlives_its_ca_whatever_is_asked_for() {
    let fleet = Fleet::new(1).await;
    let running = fleet.run_all().await;
    let mut wanted = intent("cluster-1", "istiod");
    // The root lives ten years.
    wanted.spec.cert_options.as_mut().unwrap().ttl_days = 36_500;
    fleet.create(&fleet.management, &wanted).await;
    fleet.wait::<IssuedCertificate>(&fleet.management, "cluster-1", "istiod", is_ready).await;
    let secret = fleet.get::<Secret>(&fleet.remotes[0], "istio-system", "cacerts").await.unwrap();
    let files = CaCerts::from_secret(&secret).unwrap();
    let certificate = Certificate::from_pem(files.certificate).unwrap();
    let root = Certificate::from_pem(files.roots).unwrap();
    assert_eq!(certificate.not_after(), root.not_after());
    openssl_accepts(&files, fleet.clock.now());
    for controller in running {
        controller.stop().await;
    }
}
