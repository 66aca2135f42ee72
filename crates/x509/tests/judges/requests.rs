//! Signing requests: ours as OpenSSL reads them, OpenSSL's and strangers' as we do.

use certmesh_x509::{Hosts, KeyAlgorithm, PemError, RequestError, SigningRequest};
use proptest::prelude::*;
use rcgen::KeyPair;

use crate::{
    fixture::{hosts, intermediate_parameters, key},
    judge::openssl,
};

fn request(algorithm: KeyAlgorithm) -> String {
    SigningRequest::create(&key(algorithm, 0), &intermediate_parameters().subject, &hosts()).unwrap()
}

fn expect_error(pem: &[u8]) -> RequestError {
    SigningRequest::from_pem(pem).expect_err("the request is refused")
}

#[test]
fn openssl_verifies_every_request_and_shows_what_it_is_for() {
    for algorithm in KeyAlgorithm::ALL {
        let pem = request(algorithm);
        let text = openssl(&["req", "-verify", "-noout", "-text", "-nameopt", "RFC2253"], pem.as_bytes());
        for expected in [
            "Subject: CN=cluster-1/istio,OU=istio,O=Example\n",
            "URI:spiffe://cluster.local/ns/istio-system/sa/istiod, DNS:istiod.istio-system.svc, IP Address:10.0.0.1",
        ] {
            assert!(text.contains(expected), "{expected} is missing in {text}");
        }
        let read = SigningRequest::from_pem(pem.as_bytes()).unwrap();
        assert_eq!(read.public_key(), key(algorithm, 0).public_key());
        assert_eq!(read.public_key().algorithm(), Some(algorithm));
    }
}

/// The intent is what names the hosts; a request without them asks for the same.
#[test]
fn hosts_that_would_make_a_request_unreadable_are_left_out() {
    let long = |number| format!("spiffe://cluster.local/{number}/{}", "a".repeat(2000));
    let key = key(KeyAlgorithm::EcdsaP256, 0);
    for (count, is_shown) in [(5, true), (10, false)] {
        let hosts = Hosts::parse(&(0..count).map(long).collect::<Vec<_>>()).unwrap();
        let pem = SigningRequest::create(&key, &intermediate_parameters().subject, &hosts).unwrap();
        assert_eq!(SigningRequest::from_pem(pem.as_bytes()).unwrap().public_key(), key.public_key());
        let text = openssl(&["req", "-verify", "-noout", "-text"], pem.as_bytes());
        assert_eq!(text.contains("spiffe://"), is_shown);
    }
}

#[test]
fn openssls_requests_are_read() {
    for algorithm in KeyAlgorithm::ALL {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key.pem");
        std::fs::write(&path, key(algorithm, 0).to_pem().as_bytes()).unwrap();
        for digest in ["-sha256", "-sha384", "-sha512"] {
            let key_path = path.to_str().unwrap();
            let pem = openssl(&["req", "-new", digest, "-subj", "/CN=x", "-key", key_path], b"");
            let read = SigningRequest::from_pem(pem.as_bytes()).unwrap();
            assert_eq!(read.public_key(), key(algorithm, 0).public_key());
        }
        let pem = openssl(&["req", "-new", "-sha1", "-subj", "/CN=x", "-key", path.to_str().unwrap()], b"");
        let error = expect_error(pem.as_bytes());
        assert!(matches!(error, RequestError::UnsupportedAlgorithm { .. }), "{error}");
        let names = ["sha1WithRSAEncryption", "1.2.840.10045.4.1"];
        assert!(names.iter().any(|name| error.to_string().contains(name)), "{error}");
    }
}

/// The issuer compares the kind with what it wants; a key it never wants is told from a broken request.
#[test]
fn requests_for_other_kinds_of_key_are_read_but_have_no_algorithm() {
    for (arguments, name) in [
        (&["-newkey", "ed25519"][..], "Ed25519"),
        (&["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-521"], "P-521"),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key.pem");
        let fixed = ["req", "-new", "-subj", "/CN=x", "-nodes", "-keyout", path.to_str().unwrap()];
        let pem = openssl(&[&fixed, arguments].concat(), b"");
        let read = SigningRequest::from_pem(pem.as_bytes()).unwrap();
        assert_eq!(read.public_key().algorithm(), None, "{name}");
    }
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("key.pem");
    let pem = openssl(
        &[
            "req",
            "-new",
            "-subj",
            "/CN=x",
            "-nodes",
            "-keyout",
            path.to_str().unwrap(),
            "-newkey",
            "rsa:1024",
        ],
        b"",
    );
    let error = expect_error(pem.as_bytes());
    assert!(error.to_string().contains("RSA-1024"), "{error}");
}

#[test]
fn each_rule_of_a_request_refuses() {
    let pem = request(KeyAlgorithm::EcdsaP256);
    let twice = [pem.as_str(), &pem].concat();
    let certificate = pem.replace("CERTIFICATE REQUEST", "CERTIFICATE");
    let padded = format!("{pem}{}", "\n".repeat(16 * 1024));
    let (_, der) = der::pem::decode_vec(pem.as_bytes()).unwrap();
    let encoded =
        |der: &[u8]| der::pem::encode_string("CERTIFICATE REQUEST", der::pem::LineEnding::LF, der).unwrap();
    let trailing = encoded(&[der.as_slice(), &[0]].concat());
    let cut = encoded(&der[..der.len() - 1]);

    let too_large = RequestError::TooLarge { size: padded.len() };
    let other_text = PemError::OtherText { expected: "CERTIFICATE REQUEST" };
    for (text, expected) in [
        ("", RequestError::NotOneBlock { found: 0 }),
        (twice.as_str(), RequestError::NotOneBlock { found: 2 }),
        (certificate.as_str(), RequestError::NotARequest { label: "CERTIFICATE".into() }),
        (padded.as_str(), too_large),
        (&format!("hello\n{pem}"), other_text.clone().into()),
        (&format!("{pem}hello"), other_text.into()),
    ] {
        assert_eq!(expect_error(text.as_bytes()), expected);
    }
    let end = PemError::EndWithoutBegin { line: pem.lines().count() };
    assert_eq!(expect_error(&pem.as_bytes()[1..]), end.into());
    for text in [trailing, cut, encoded(b"")] {
        assert!(matches!(expect_error(text.as_bytes()), RequestError::Malformed { .. }));
    }
    assert!(SigningRequest::from_pem(pem.replace('\n', "\r\n").as_bytes()).is_ok());
    assert!(SigningRequest::from_pem(format!("\n\n{pem}\n\n").as_bytes()).is_ok());
}

/// Two requests with each other's signatures: each is well formed, none proves a key.
#[test]
fn a_request_must_prove_that_its_key_exists() {
    let make = || {
        let key = KeyPair::generate().unwrap();
        rcgen::CertificateParams::default().serialize_request(&key).unwrap().der().to_vec()
    };
    let (mut stolen, other) = (make(), make());
    let tail = 40;
    let (start, length) = (stolen.len() - tail, other.len());
    stolen[start..].copy_from_slice(&other[length - tail..]);
    let pem = der::pem::encode_string("CERTIFICATE REQUEST", der::pem::LineEnding::LF, &stolen).unwrap();
    assert_eq!(expect_error(pem.as_bytes()), RequestError::BadSignature);
}

proptest! {
    /// No change of a single byte leaves a request that is accepted, unless it is not part of what is signed or says the
    /// same; and none makes the reader panic.
    #[test]
    fn a_changed_request_is_never_accepted_for_another_key(position in 0usize..10_000, change in 1u8..) {
        let pem = request(KeyAlgorithm::EcdsaP256);
        let (label, mut der) = der::pem::decode_vec(pem.as_bytes()).unwrap();
        let position = position % der.len();
        der[position] ^= change;
        let pem = der::pem::encode_string(label, der::pem::LineEnding::LF, &der).unwrap();
        if let Ok(read) = SigningRequest::from_pem(pem.as_bytes()) {
            let key = key(KeyAlgorithm::EcdsaP256, 0);
            prop_assert_eq!(read.public_key(), key.public_key());
        }
    }

    #[test]
    fn nothing_panics(text in prop::collection::vec(any::<u8>(), 0..500)) {
        let _ = SigningRequest::from_pem(&text);
        let pem = der::pem::encode_string("CERTIFICATE REQUEST", der::pem::LineEnding::LF, &text).unwrap();
        prop_assert!(SigningRequest::from_pem(pem.as_bytes()).is_err());
    }
}
