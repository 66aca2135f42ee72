//! Reading certificates: OpenSSL's view of the fields, strange files, strange certificates, random bytes.

use certmesh_x509::{
    Certificate, CertificateError, Hosts, KeyAlgorithm, PemError, TrustBundle, VerificationError,
    verify_chain,
};
use proptest::prelude::*;
use rcgen::{CustomExtension, DnType, KeyPair, SanType};

use crate::{
    fixture::{ca_params, key, leaf_params, now, root, self_sign},
    judge::{Question, openssl},
};

fn expect_error(pem: &[u8]) -> CertificateError {
    Certificate::from_pem(pem).expect_err("the certificate is refused")
}

/// A self-signed certificate made by OpenSSL with these arguments to `req -x509`.
fn openssl_certificate(arguments: &[&str]) -> Certificate {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("new.key");
    let fixed =
        ["req", "-x509", "-nodes", "-subj", "/CN=root", "-days", "10", "-keyout", path.to_str().unwrap()];
    Certificate::from_pem(openssl(&[&fixed, arguments].concat(), b"").as_bytes()).unwrap()
}

fn key_file(algorithm: KeyAlgorithm) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), key(algorithm, 0).to_pem().as_bytes()).unwrap();
    file
}

#[test]
fn openssl_and_certmesh_read_the_same_fields() {
    let mut params = leaf_params("Zoë, \"the\" <CA>; #1");
    params.distinguished_name.push(DnType::OrganizationName, " spaced ");
    params.distinguished_name.push(DnType::CountryName, "CH");
    let certificates = [
        root().certificate().clone(),
        self_sign(&params, &KeyPair::generate().unwrap()),
        self_sign(&ca_params("x"), &KeyPair::generate().unwrap()),
    ];
    for certificate in certificates {
        let ask = |arguments: &[&str]| {
            openssl(&[&["x509", "-noout"], arguments].concat(), certificate.to_pem().as_bytes())
                .trim_end()
                .to_owned()
        };
        let serial = ask(&["-serial"]).to_lowercase();
        let ours = certificate.serial_number().to_string();
        assert_eq!(
            serial.trim_start_matches("serial=").trim_start_matches('0'),
            ours.trim_start_matches('0')
        );
        let fingerprint = ask(&["-fingerprint", "-sha256"]).replace(':', "").to_lowercase();
        assert!(fingerprint.ends_with(&certificate.fingerprint().to_string()));
        let subject = ask(&["-subject", "-nameopt", "RFC2253,-esc_msb,utf8"]);
        assert_eq!(subject, format!("subject={}", certificate.subject()));
        let date = |field, at: jiff::Timestamp| {
            let expected = at.strftime("%Y-%m-%d %H:%M:%SZ").to_string();
            assert!(ask(&[field, "-dateopt", "iso_8601"]).ends_with(&expected), "{field}");
        };
        date("-startdate", certificate.not_before());
        date("-enddate", certificate.not_after());
    }
}

#[test]
fn a_certificate_is_valid_from_its_first_second_to_its_last() {
    let root = root();
    let certificate = root.certificate();
    let second = jiff::SignedDuration::from_secs(1);
    let (first, last) = (certificate.not_before(), certificate.not_after());
    for (at, expected) in [(first - second, false), (first, true), (last, true), (last + second, false)] {
        assert_eq!(certificate.is_valid_at(at), expected, "{at}");
    }
}

#[test]
fn what_people_debug_with_is_named() {
    let root = root();
    let certificate = root.certificate();
    assert_eq!(certificate.signature_algorithm_name(), "ecdsa-with-SHA256");
    let key = certificate.public_key();
    assert_eq!(format!("{key:?}"), format!("PublicKey({}, {})", key.algorithm_name(), key.fingerprint()));
    assert_eq!(
        format!("{:?}", certificate.subject()),
        format!("DistinguishedName({})", certificate.subject())
    );
    let identifier = certificate.subject_key_identifier().expect("a root has one");
    assert_eq!(format!("{identifier:?}"), format!("KeyIdentifier({identifier})"));
}

#[test]
fn names_that_are_no_hosts_are_kept_apart() {
    let mut params = leaf_params("x");
    params.subject_alt_names.extend([
        SanType::Rfc822Name("a@example.com".try_into().unwrap()),
        SanType::URI("https://example.com/".try_into().unwrap()),
        SanType::DnsName("under_score.example.com".try_into().unwrap()),
        SanType::IpAddress([10, 0, 0, 1].into()),
    ]);
    let certificate = self_sign(&params, &KeyPair::generate().unwrap());
    let names: Vec<_> = certificate.subject_alt_names().iter().map(ToString::to_string).collect();
    assert_eq!(
        names,
        [
            "spiffe://cluster.local/ns/a/sa/b",
            "email:a@example.com",
            "URI:https://example.com/",
            "DNS:under_score.example.com",
            "10.0.0.1"
        ]
    );
    let hosts = Hosts::parse(&["10.0.0.1", "spiffe://cluster.local/ns/a/sa/b"]).unwrap();
    assert!(certificate.hosts().eq([&hosts.iter().nth(1).unwrap().clone(), hosts.iter().next().unwrap()]));
    assert!(!certificate.identifies_exactly(&hosts), "it has other names too");
}

#[test]
fn identity_is_compared_as_a_set() {
    let mut params = leaf_params("x");
    params.subject_alt_names.push(SanType::DnsName("A.example.com".try_into().unwrap()));
    let certificate = self_sign(&params, &KeyPair::generate().unwrap());
    let spiffe = "spiffe://cluster.local/ns/a/sa/b";
    for (hosts, expected) in [
        (vec!["a.example.com", spiffe], true),
        (vec![spiffe], false),
        (vec!["a.example.com", spiffe, "b.example.com"], false),
        (vec!["b.example.com", spiffe], false),
    ] {
        assert_eq!(certificate.identifies_exactly(&Hosts::parse(&hosts).unwrap()), expected, "{hosts:?}");
    }
}

#[test]
fn files_with_anything_but_one_certificate_are_refused() {
    let root = root();
    let pem = root.certificate().to_pem();
    let twice = [pem.as_str(), &pem].concat();
    let glued = [pem.trim_end(), &pem].concat();
    let with_key = [pem.as_str(), &root.key().to_pem()].concat();
    for (text, expected) in [
        ("", PemError::NoBlock { expected: "CERTIFICATE" }),
        (twice.as_str(), PemError::SeveralBlocks { expected: "CERTIFICATE", found: 2 }),
        (
            with_key.as_str(),
            PemError::UnexpectedBlock { expected: "CERTIFICATE", found: "EC PRIVATE KEY".into() },
        ),
        (glued.as_str(), PemError::Boundary { line: pem.lines().count() }),
    ] {
        assert_eq!(expect_error(text.as_bytes()), expected.into());
    }
    let huge = format!("{pem}{}", "\n".repeat(1 << 20));
    assert!(matches!(expect_error(huge.as_bytes()), CertificateError::Pem(PemError::TooLarge { .. })));
}

#[test]
fn the_layout_of_a_file_does_not_matter() {
    let certificate = root().certificate().clone();
    let pem = certificate.to_pem();
    let with_text = openssl(&["x509", "-text"], pem.as_bytes());
    assert!(with_text.contains("Certificate:") && with_text.contains("BEGIN CERTIFICATE"));
    for text in [pem.replace('\n', "\r\n"), format!("\n\n{pem}\n\n"), pem.trim_end().to_owned(), with_text] {
        assert_eq!(Certificate::from_pem(text.as_bytes()).as_ref(), Ok(&certificate));
    }
    let base64: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    let one_line = format!("-----BEGIN CERTIFICATE-----\n{base64}\n-----END CERTIFICATE-----");
    assert_eq!(Certificate::from_pem(one_line.as_bytes()).as_ref(), Ok(&certificate));
}

#[test]
fn what_openssl_writes_is_what_we_write() {
    let certificate = root().certificate().clone();
    assert_eq!(openssl(&["x509"], certificate.to_pem().as_bytes()), certificate.to_pem());
}

#[test]
fn malformed_certificates_are_refused() {
    let der = root().certificate().as_der().to_vec();
    for (what, der) in [
        ("trailing byte", [der.as_slice(), &[0]].concat()),
        ("cut", der[..der.len() - 1].to_vec()),
        ("empty", Vec::new()),
        ("not even ASN.1", b"hello".to_vec()),
        ("twice", [der.as_slice(), &der].concat()),
    ] {
        let error = Certificate::from_der(&der).expect_err(what);
        assert!(matches!(error, CertificateError::Malformed { .. }), "{what}: {error}");
    }
    let huge = Certificate::from_der(&vec![0x30; 70_000]).unwrap_err();
    assert_eq!(huge, CertificateError::TooLarge { size: 70_000 });
}

#[test]
fn a_chain_names_the_certificate_that_is_broken() {
    let certificate = root().certificate().clone();
    let mut der = certificate.as_der().to_vec();
    der.push(0);
    let broken = der::pem::encode_string("CERTIFICATE", der::pem::LineEnding::LF, &der).unwrap();
    let error = Certificate::parse_chain([certificate.to_pem(), broken].concat().as_bytes()).unwrap_err();
    assert!(matches!(error, CertificateError::InChain { position: 2, .. }), "{error}");
    assert!(error.to_string().starts_with("certificate 2 of the file"), "{error}");
}

#[test]
fn a_doubled_extension_is_refused() {
    let mut params = leaf_params("x");
    for _ in 0..2 {
        let extension = CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 32473, 1], vec![5, 0]);
        params.custom_extensions.push(extension);
    }
    let der = params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec();
    let error = Certificate::from_der(&der).unwrap_err();
    assert_eq!(error, CertificateError::DuplicateExtension { oid: "1.3.6.1.4.1.32473.1".into() });
}

#[test]
fn the_two_signature_algorithms_must_agree() {
    let der = root().certificate().as_der().to_vec();
    // ecdsa-with-SHA256 is 1.2.840.10045.4.3.2, with SHA-384 the last part is 3.
    let oid = [0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2];
    let position = der.windows(oid.len()).rposition(|window| window == oid).unwrap();
    let mut changed = der;
    changed[position + oid.len() - 1] = 3;
    assert_eq!(Certificate::from_der(&changed), Err(CertificateError::SignatureAlgorithmMismatch));
}

/// The dates that OpenSSL gives are around the present, which is later than the tests' own present or not.
fn in_its_life(certificate: &Certificate) -> jiff::Timestamp {
    certificate.not_before() + jiff::SignedDuration::from_hours(1)
}

/// Keys that no proxy should trust today, and some that are only old or unusual: nobody looks at how a root signed itself.
#[test]
fn weak_and_unknown_keys_are_refused_by_name_but_an_old_root_is_not() {
    let rsa_file = key_file(KeyAlgorithm::Rsa2048);
    let rsa = ["-key", rsa_file.path().to_str().unwrap()];
    let pss = ["-sha256", "-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:32"];
    for (arguments, expected) in [
        ([&rsa[..], &["-sha1"]].concat(), None),
        ([&rsa[..], &["-md5"]].concat(), None),
        ([&rsa[..], &pss].concat(), None),
        (vec!["-newkey", "ed25519"], None),
        (vec!["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-521"], None),
        (vec!["-newkey", "rsa:1024", "-sha256"], Some("RSA-1024")),
        (vec!["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:secp256k1"], Some("1.3.132.0.10")),
    ] {
        let root = openssl_certificate(&arguments);
        let roots = TrustBundle::from_certificates([root.clone()]).unwrap();
        let result = verify_chain(&root, &[], &roots, in_its_life(&root)).map_err(|error| error.to_string());
        assert_eq!(root.is_self_signed(), expected.is_none());
        match (expected, result) {
            (None, Ok(path)) => assert_eq!(path.root(), &root),
            (Some(named), Err(error)) => assert!(error.contains(named), "{error}"),
            (expected, result) => panic!("{arguments:?}: {expected:?} {result:?}"),
        }
    }
}

/// A root and a leaf made by OpenSSL.
fn openssl_root_and_leaf(bits: &str, root_digest: &str, leaf_digest: &str) -> (Certificate, Certificate) {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    let (root_key, root, key, extensions) =
        (&path("root.key"), &path("root"), &path("key"), &path("extensions"));
    let request = ["req", "-nodes", "-subj", "/CN=x"];
    let new_root = ["-x509", root_digest, "-newkey", bits, "-days", "10", "-keyout", root_key, "-out", root];
    openssl(&[&request[..], &new_root].concat(), b"");
    let new_leaf = ["-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-keyout", key];
    let csr = openssl(&[&request[..], &new_leaf].concat(), b"");
    std::fs::write(extensions, "subjectAltName=URI:spiffe://a/b").unwrap();
    let sign = ["x509", "-req", leaf_digest, "-CA", root, "-CAkey", root_key, "-extfile", extensions];
    let leaf = openssl(&sign, csr.as_bytes());
    let read = |pem: &[u8]| Certificate::from_pem(pem).unwrap();
    (read(&std::fs::read(root).unwrap()), read(leaf.as_bytes()))
}

#[test]
fn a_leaf_signed_with_sha1_or_by_a_short_key_is_refused_by_name() {
    for (bits, root_digest, leaf_digest, expected) in [
        ("rsa:2048", "-sha256", "-sha256", None),
        ("rsa:2048", "-sha1", "-sha256", None),
        ("rsa:2048", "-sha256", "-sha1", Some("sha1")),
        ("rsa:1024", "-sha256", "-sha256", Some("RSA-1024")),
    ] {
        let (root, leaf) = openssl_root_and_leaf(bits, root_digest, leaf_digest);
        let at = in_its_life(&leaf);
        let roots = std::slice::from_ref(&root);
        let question = Question { leaf: &leaf, intermediates: &[], roots, at };
        let bundle = TrustBundle::from_certificates([root.clone()]).unwrap();
        let result = verify_chain(&leaf, &[], &bundle, at);
        assert_eq!(question.openssl(&[]).is_ok(), expected.is_none(), "OpenSSL, {root_digest} {leaf_digest}");
        assert_eq!(question.webpki().is_ok(), expected.is_none(), "webpki, {root_digest} {leaf_digest}");
        match expected {
            None => assert_eq!(result.unwrap().root(), &root),
            Some(named) => {
                let error = result.unwrap_err().to_string();
                assert!(error.to_lowercase().contains(&named.to_lowercase()), "{error}");
            }
        }
    }
}

#[test]
fn a_version_1_root_is_read_but_not_trusted() {
    let key_file = key_file(KeyAlgorithm::EcdsaP256);
    let key_path = key_file.path().to_str().unwrap();
    let csr = openssl(&["req", "-new", "-subj", "/CN=old", "-key", key_path], b"");
    let pem = openssl(&["x509", "-req", "-days", "10", "-key", key_path], csr.as_bytes());
    assert!(openssl(&["x509", "-noout", "-text"], pem.as_bytes()).contains("Version: 1"));
    let certificate = Certificate::from_pem(pem.as_bytes()).unwrap();
    assert!(certificate.is_self_signed() && !certificate.is_ca());
    let roots = TrustBundle::from_pem(pem.as_bytes()).unwrap();
    let error = verify_chain(&certificate, &[], &roots, in_its_life(&certificate)).unwrap_err();
    assert!(matches!(error, VerificationError::NotVersion3 { .. }), "{error}");
}

proptest! {
    /// Whatever is read is the bytes that were given, and changing any of them is noticed by the signature.
    #[test]
    fn a_changed_certificate_is_refused_or_no_longer_verifies(position in 0usize..10_000, change in 1u8..) {
        static ROOT: std::sync::LazyLock<Certificate> = std::sync::LazyLock::new(|| root().certificate().clone());
        let mut der = ROOT.as_der().to_vec();
        let position = position % der.len();
        der[position] ^= change;
        if let Ok(certificate) = Certificate::from_der(&der) {
            prop_assert_eq!(certificate.as_der(), der.as_slice());
            prop_assert!(!certificate.is_self_signed());
            let roots = TrustBundle::from_certificates([ROOT.clone()]).unwrap();
            prop_assert!(verify_chain(&certificate, &[], &roots, now()).is_err());
            prop_assert_eq!(Certificate::from_pem(certificate.to_pem().as_bytes()), Ok(certificate));
        }
    }

    #[test]
    fn random_bytes_are_no_certificate(bytes in prop::collection::vec(any::<u8>(), 0..500)) {
        prop_assert!(Certificate::from_der(&bytes).is_err());
        let _ = Certificate::parse_chain(&bytes);
    }
}
