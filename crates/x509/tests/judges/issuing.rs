//! Every kind of key in every place, and each field of what is issued.

use certmesh_x509::{
    Certificate, CertificateAuthority, IssuedMaterial, KeyAlgorithm, PrivateKey, SerialNumber,
    SigningMaterial, SigningRequest, verify_chain,
};

use crate::{
    fixture::{
        DAY, days_from_now, hosts, intermediate_parameters, key, leaf_parameters, now, root, root_with,
        serial,
    },
    judge::{Question, openssl},
};

/// Issues an intermediate by way of a request, as in production.
fn intermediate(root: &CertificateAuthority, key: &PrivateKey) -> CertificateAuthority {
    let parameters = intermediate_parameters();
    let request = SigningRequest::create(key, &parameters.subject, &parameters.hosts).unwrap();
    let request = SigningRequest::from_pem(request.as_bytes()).unwrap();
    let certificate = root.sign_intermediate(&parameters, request.public_key(), &serial(2), now()).unwrap();
    let material = SigningMaterial::new(certificate, key.clone(), root.issued_chain(), root.roots().clone());
    CertificateAuthority::from_material(material, now()).unwrap()
}

fn assert_judges_accept(leaf: &Certificate, authority: &CertificateAuthority) {
    let intermediates = &authority.issued_chain();
    let roots = authority.roots().certificates();
    let question = Question { leaf, intermediates, roots, at: now() };
    // Strict: OpenSSL also checks the form that RFC 5280 asks of every certificate.
    assert_eq!(question.openssl(&["-x509_strict", "-check_ss_sig"]), Ok(()));
    assert_eq!(question.webpki(), Ok(()));
    let path = verify_chain(leaf, intermediates, authority.roots(), now()).unwrap();
    assert_eq!(path.root(), &roots[0]);
}

#[test]
fn every_key_signs_every_key_and_all_judges_accept() {
    let leaf_key = key(KeyAlgorithm::EcdsaP256, 0);
    for root_algorithm in KeyAlgorithm::ALL {
        let root = root_with(key(root_algorithm, 0));
        for algorithm in KeyAlgorithm::ALL {
            let intermediate_key = key(algorithm, 1);
            let intermediate = intermediate(&root, &intermediate_key);
            let leaf =
                intermediate.sign_leaf(&leaf_parameters(), leaf_key.public_key(), &serial(3), now()).unwrap();
            assert_judges_accept(&leaf, &intermediate);

            let chain = Vec::new();
            let certificate = intermediate.certificate().clone();
            let issued = IssuedMaterial::new(certificate, intermediate_key, chain, root.roots().clone());
            assert_eq!(issued.verify(now()).unwrap().root(), root.certificate());
        }
    }
}

#[test]
fn every_key_can_be_a_leafs() {
    let intermediate = intermediate(&root(), &key(KeyAlgorithm::EcdsaP384, 1));
    for algorithm in KeyAlgorithm::ALL {
        let leaf = intermediate
            .sign_leaf(&leaf_parameters(), key(algorithm, 0).public_key(), &serial(3), now())
            .unwrap();
        assert_judges_accept(&leaf, &intermediate);
    }
}

fn text(certificate: &Certificate) -> String {
    openssl(&["x509", "-noout", "-text", "-nameopt", "RFC2253"], certificate.to_pem().as_bytes())
}

/// Fails on the first that is missing. Spaces at the start of lines do not count.
fn assert_shows(text: &str, expected: &[&str]) {
    let lines: Vec<_> = text.lines().map(str::trim).collect();
    let text = lines.join("\n");
    for part in expected {
        assert!(text.contains(part), "{part:?} is missing in\n{text}");
    }
}

/// OpenSSL's spelling of an identifier.
fn colons(identifier: &impl std::fmt::Display) -> String {
    let digits = identifier.to_string().to_uppercase();
    let pairs: Vec<_> = digits.as_bytes().chunks(2).map(|pair| str::from_utf8(pair).unwrap()).collect();
    pairs.join(":")
}

#[test]
fn openssl_reads_every_field_of_a_root() {
    let root = root_with(key(KeyAlgorithm::Rsa2048, 0));
    let key = root.certificate().public_key();
    let digits = &key.fingerprint().to_string()[..8];
    let text = text(root.certificate());
    assert_shows(
        &text,
        &[
            "Version: 3 (0x2)",
            "Serial Number:\n01:01:01:01:01:01:01:01:01:01:01:01:01:01:01:01\n",
            "Signature Algorithm: sha256WithRSAEncryption",
            &format!("Issuer: CN=Example root {digits},O=Example\n"),
            &format!("Subject: CN=Example root {digits},O=Example\n"),
            "Not Before: Jun  1 11:55:00 2026 GMT\nNot After : May 29 12:00:00 2036 GMT\n",
            "X509v3 Basic Constraints: critical\nCA:TRUE\n",
            "X509v3 Key Usage: critical\nCertificate Sign, CRL Sign\n",
            &format!("X509v3 Subject Key Identifier:\n{}\n", colons(&key.subject_key_identifier())),
        ],
    );
    for absent in ["pathlen", "Authority Key", "Alternative", "Name Constraints", "Extended Key"] {
        assert!(!text.contains(absent), "{absent} in\n{text}");
    }
}

#[test]
fn openssl_reads_every_field_of_an_intermediate() {
    let root = root();
    let intermediate = intermediate(&root, &key(KeyAlgorithm::EcdsaP384, 1));
    let (certificate, root) = (intermediate.certificate(), root.certificate());
    let text = text(certificate);
    assert_shows(
        &text,
        &[
            "Version: 3 (0x2)",
            "Signature Algorithm: ecdsa-with-SHA256",
            &format!("Issuer: {}\n", root.subject()),
            "Subject: CN=cluster-1/istio,OU=istio,O=Example\n",
            "Not Before: Jun  1 11:55:00 2026 GMT\nNot After : Jun  1 12:00:00 2027 GMT\n",
            "X509v3 Basic Constraints: critical\nCA:TRUE, pathlen:0\n",
            "X509v3 Key Usage: critical\nCertificate Sign, CRL Sign\n",
            &format!(
                "X509v3 Subject Key Identifier:\n{}\n",
                colons(&certificate.public_key().subject_key_identifier())
            ),
            &format!(
                "X509v3 Authority Key Identifier:\n{}\n",
                colons(root.subject_key_identifier().unwrap())
            ),
            "X509v3 Subject Alternative Name:\nURI:spiffe://cluster.local/ns/istio-system/sa/istiod, \
             DNS:istiod.istio-system.svc, IP Address:10.0.0.1\n",
        ],
    );
    for absent in ["Name Constraints", "Extended Key"] {
        assert!(!text.contains(absent), "{absent} in\n{text}");
    }
}

#[test]
fn openssl_reads_every_field_of_a_leaf() {
    let intermediate = intermediate(&root(), &key(KeyAlgorithm::EcdsaP384, 1));
    for (algorithm, usage) in [
        (KeyAlgorithm::EcdsaP256, "X509v3 Key Usage: critical\nDigital Signature\n"),
        (KeyAlgorithm::Rsa2048, "X509v3 Key Usage: critical\nDigital Signature, Key Encipherment\n"),
    ] {
        let key = key(algorithm, 0);
        let leaf =
            intermediate.sign_leaf(&leaf_parameters(), key.public_key(), &serial(0x7f), now()).unwrap();
        assert_shows(
            &text(&leaf),
            &[
                "Serial Number:\n7f:7f:7f:7f:7f:7f:7f:7f:7f:7f:7f:7f:7f:7f:7f:7f\n",
                "Signature Algorithm: ecdsa-with-SHA384",
                "Subject: \n".trim_end(),
                "Not Before: Jun  1 11:55:00 2026 GMT\nNot After : Jun  2 12:00:00 2026 GMT\n",
                "X509v3 Basic Constraints: critical\nCA:FALSE\n",
                usage,
                "X509v3 Extended Key Usage:\nTLS Web Server Authentication, TLS Web Client Authentication\n",
                "X509v3 Subject Alternative Name: critical\nURI:spiffe://",
            ],
        );
        assert!(leaf.subject().is_empty());
    }
}

#[test]
fn what_is_issued_reads_back() {
    let root = root();
    let intermediate = intermediate(&root, &key(KeyAlgorithm::EcdsaP256, 1));
    let certificate = intermediate.certificate();
    assert!(certificate.is_ca() && certificate.may_sign_certificates());
    assert_eq!(certificate.path_length(), Some(0));
    assert_eq!(certificate.serial_number(), &serial(2));
    assert_eq!(certificate.not_before(), "2026-06-01T11:55:00Z".parse().unwrap());
    assert_eq!(certificate.not_after(), days_from_now(365));
    assert_eq!(certificate.hosts().cloned().collect::<Vec<_>>(), hosts().iter().cloned().collect::<Vec<_>>());
    assert!(certificate.identifies_exactly(&hosts()));
    assert_eq!(certificate.issuer(), root.certificate().subject());
    assert_eq!(certificate.authority_key_identifier(), root.certificate().subject_key_identifier());
    assert!(root.certificate().is_self_signed() && !certificate.is_self_issued());
    assert_eq!(Certificate::from_pem(certificate.to_pem().as_bytes()).as_ref(), Ok(certificate));
}

#[test]
fn nothing_outlives_what_is_above_it() {
    let key_of = |index| key(KeyAlgorithm::EcdsaP256, index);
    let root =
        CertificateAuthority::self_signed_root(key_of(0), "Example", 100 * DAY, &serial(1), now()).unwrap();
    let intermediate = intermediate(&root, &key_of(1));
    assert_eq!(intermediate.certificate().not_after(), days_from_now(100), "365 days were asked for");
    let mut parameters = leaf_parameters();
    parameters.lifetime = std::time::Duration::MAX;
    let leaf = intermediate.sign_leaf(&parameters, key_of(0).public_key(), &serial(3), now()).unwrap();
    assert_eq!(leaf.not_after(), days_from_now(100));
    let later = days_from_now(99);
    let leaf = intermediate.sign_leaf(&leaf_parameters(), key_of(0).public_key(), &serial(3), later).unwrap();
    assert_eq!(leaf.not_after(), days_from_now(100), "a full day is left at day 99");
}

#[test]
fn dates_from_2050_on_are_read_by_every_judge() {
    let root = root_with(key(KeyAlgorithm::EcdsaP256, 0));
    let lifetime = 40 * 365 * DAY;
    let root_of_40_years =
        CertificateAuthority::self_signed_root(root.key().clone(), "Example", lifetime, &serial(1), now())
            .unwrap();
    assert!(text(root_of_40_years.certificate()).contains("2066 GMT"));
    let intermediate = intermediate(&root_of_40_years, &key(KeyAlgorithm::EcdsaP256, 1));
    let leaf = intermediate
        .sign_leaf(&leaf_parameters(), key(KeyAlgorithm::EcdsaP384, 0).public_key(), &serial(3), now())
        .unwrap();
    assert_judges_accept(&leaf, &intermediate);
}

#[test]
fn random_serial_numbers_are_what_openssl_reads() {
    let root = root();
    for _ in 0..5 {
        let number = SerialNumber::random().unwrap();
        let leaf = root.sign_leaf(&leaf_parameters(), root.key().public_key(), &number, now()).unwrap();
        let printed = openssl(&["x509", "-noout", "-serial"], leaf.to_pem().as_bytes());
        let expected = format!("serial={}\n", number.to_string().to_uppercase());
        assert_eq!(printed, expected);
    }
}
