//! Each check against something that trips it, and the whole against what is in order.

use std::{collections::BTreeMap, time::Duration};

use certmesh_api::{names::secret_types, secrets};
use certmesh_x509::{
    Certificate, CertificateAuthority, Hosts, IntermediateParameters, KeyAlgorithm, LeafParameters,
    PrivateKey, SerialNumber, SubjectName,
};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::{ByteString, api::core::v1::Secret};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};

use super::{Finding, Severity, run};
use crate::command::inspect::{
    contents::Contents,
    source::{Source, SourceKind},
};

const DAY: Duration = Duration::from_hours(24);

fn now() -> Timestamp {
    // Whole seconds, as certificates have them.
    Timestamp::from_second(Timestamp::now().as_second()).unwrap()
}

fn later(days: i64) -> Timestamp {
    now() + SignedDuration::from_hours(24 * days)
}

fn key() -> PrivateKey {
    PrivateKey::generate(KeyAlgorithm::EcdsaP256).unwrap()
}

fn root(organization: &str, days: u32) -> CertificateAuthority {
    let serial = SerialNumber::random().unwrap();
    CertificateAuthority::self_signed_root(key(), organization, DAY * days, &serial, now()).unwrap()
}

/// The four files of an intermediate under this root.
fn issued(root: &CertificateAuthority, days: u32) -> BTreeMap<&'static str, String> {
    let key = key();
    let parameters = IntermediateParameters {
        subject: SubjectName::intermediate("Istio", "istio", "cluster-1").unwrap(),
        hosts: Hosts::parse(&["spiffe://cluster.local/ns/istio-system/sa/istiod"]).unwrap(),
        lifetime: DAY * days,
    };
    let serial = SerialNumber::random().unwrap();
    let certificate = root.sign_intermediate(&parameters, key.public_key(), &serial, now()).unwrap();
    BTreeMap::from([
        (secrets::CA_CERT, certificate.to_pem()),
        (secrets::CA_KEY, key.to_pem().to_string()),
        (secrets::CERT_CHAIN, certificate.to_pem()),
        (secrets::ROOT_CERT, root.certificate().to_pem()),
    ])
}

fn signing(root: &CertificateAuthority) -> BTreeMap<&'static str, String> {
    let certificate = root.certificate().to_pem();
    BTreeMap::from([
        (secrets::CA_CERT, certificate.clone()),
        (secrets::CA_KEY, root.key().to_pem().to_string()),
        (secrets::ROOT_CERT, certificate),
    ])
}

fn secret(name: &str, type_: &str, files: &BTreeMap<&str, String>) -> Secret {
    let data = files.iter().map(|(name, text)| ((*name).to_owned(), ByteString(text.clone().into_bytes())));
    let mut secret =
        Secret { type_: Some(type_.to_owned()), data: Some(data.collect()), ..Secret::default() };
    secret.metadata.name = Some(name.to_owned());
    secret
}

fn cacerts(files: &BTreeMap<&str, String>) -> Secret {
    secret("cacerts", secret_types::ISSUED_CERTIFICATE, files)
}

fn examine(secret: Secret, at: Timestamp) -> Vec<Finding> {
    let source = Source { name: "test".to_owned(), kind: SourceKind::Secret(Box::new(secret)) };
    run(&Contents::read(&source), at)
}

fn examine_pem(text: &str, at: Timestamp) -> Vec<Finding> {
    let kind = SourceKind::Pem(text.as_bytes().to_vec().into());
    run(&Contents::read(&Source { name: "test.pem".to_owned(), kind }), at)
}

fn codes(findings: &[Finding]) -> Vec<&'static str> {
    findings.iter().map(|finding| finding.code).collect()
}

#[test]
fn what_certmesh_makes_is_in_order() {
    let root = root("Example", 3650);
    assert_eq!(examine(cacerts(&issued(&root, 365)), now()), []);
    assert_eq!(examine(secret("root-ca", "Opaque", &signing(&root)), now()), []);
    let old = BTreeMap::from([
        (secrets::ROOT_CERT, root.certificate().to_pem()),
        (secrets::OLD_CA_KEY, root.key().to_pem().to_string()),
    ]);
    assert_eq!(examine(secret("root-ca", "Opaque", &old), now()), []);
    assert_eq!(examine_pem(&root.certificate().to_pem(), now()), []);
}

type Change = fn(&mut BTreeMap<&'static str, String>);

/// One change to a good `cacerts`, and what is found then.
#[test]
fn each_fault_of_an_issued_secret_is_found() {
    let cases: [(&str, Severity, Change); 14] = [
        ("MissingFile", Severity::Critical, |files| drop(files.remove(secrets::CERT_CHAIN))),
        ("MissingFile", Severity::Critical, |files| {
            files.insert(secrets::CA_KEY, String::new());
        }),
        ("Unreadable", Severity::Critical, |files| {
            files.insert(secrets::ROOT_CERT, "not PEM".to_owned());
        }),
        ("Unreadable", Severity::Critical, |files| {
            files.insert(
                secrets::CA_KEY,
                "-----BEGIN EC PRIVATE KEY-----\nYWJj\n-----END EC PRIVATE KEY-----\n".into(),
            );
        }),
        ("TlsCertificateInCaCerts", Severity::Critical, |files| {
            files.insert(secrets::TLS_CERT, files[secrets::CA_CERT].clone());
        }),
        ("MadeByIstiod", Severity::Warning, |files| {
            files.insert(secrets::ISTIO_GENERATED, String::new());
        }),
        ("CarriageReturns", Severity::Warning, |files| {
            files.insert(secrets::ROOT_CERT, files[secrets::ROOT_CERT].replace('\n', "\r\n"));
        }),
        ("NoFinalNewline", Severity::Warning, |files| {
            files.insert(secrets::ROOT_CERT, files[secrets::ROOT_CERT].trim_end().to_owned());
        }),
        ("KeyMismatch", Severity::Critical, |files| {
            files.insert(secrets::CA_KEY, key().to_pem().to_string());
        }),
        ("ChainInvalid", Severity::Critical, |files| {
            files.insert(secrets::ROOT_CERT, root("Other", 3650).certificate().to_pem());
        }),
        ("ChainLacksCertificate", Severity::Critical, |files| {
            files.insert(secrets::CERT_CHAIN, files[secrets::ROOT_CERT].clone());
        }),
        ("ChainHoldsRoot", Severity::Info, |files| {
            files.insert(secrets::CERT_CHAIN, files[secrets::CA_CERT].clone() + &files[secrets::ROOT_CERT]);
        }),
        ("RootNotSelfSigned", Severity::Critical, |files| {
            files.insert(secrets::ROOT_CERT, files[secrets::CA_CERT].clone());
        }),
        ("DoubledRoot", Severity::Info, |files| {
            files.insert(secrets::ROOT_CERT, files[secrets::ROOT_CERT].repeat(2));
        }),
    ];
    let good = issued(&root("Example", 3650), 365);
    for (code, severity, change) in cases {
        let mut files = good.clone();
        change(&mut files);
        let findings = examine(cacerts(&files), now());
        let found = findings.iter().find(|finding| finding.code == code);
        assert_eq!(found.map(|finding| finding.severity), Some(severity), "{code}: {findings:?}");
    }
}

#[test]
fn each_fault_of_the_secret_around_them_is_found() {
    let files = issued(&root("Example", 3650), 365);
    let mut immutable = cacerts(&files);
    immutable.immutable = Some(true);
    assert_eq!(codes(&examine(immutable, now())), ["Immutable"]);
    assert_eq!(codes(&examine(secret("cacerts", secret_types::TLS, &files), now())), ["WrongType"]);
    for (annotation, code) in
        [("certmesh.dev/unmanaged-since", "Unmanaged"), ("certmesh.dev/fingerprint", "ChangedByOthers")]
    {
        let mut annotated = cacerts(&files);
        let annotations = annotated.metadata.annotations.get_or_insert_default();
        annotations.insert(annotation.to_owned(), "2026-01-01T00:00:00Z".to_owned());
        assert_eq!(codes(&examine(annotated, now())), [code]);
    }
}

#[test]
fn time_is_told_before_it_runs_out() {
    let root = root("Example", 3650);
    let files = issued(&root, 365);
    for (at, expected) in [
        (later(300), vec![]),
        (later(340), vec!["Expiring"]),
        (later(366), vec!["Expired"]),
        (later(-1), vec!["NotYetValid", "NotYetValid"]),
        // The intermediate has expired, the root is in its last third.
        (later(2600), vec!["Expired", "Expiring"]),
    ] {
        assert_eq!(codes(&examine(cacerts(&files), at)), expected, "{at}");
    }
    let alone = root.certificate().to_pem();
    let severity = |at| examine_pem(&alone, at).first().map(|finding| finding.severity);
    assert_eq!(severity(later(2400)), None);
    assert_eq!(severity(later(2500)), Some(Severity::Warning));
    assert_eq!(severity(later(3400)), Some(Severity::Critical));
}

/// A CA made by another tool, under the parameters that a case sets.
fn foreign_ca(change: impl FnOnce(&mut CertificateParams)) -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name.push(DnType::CommonName, "foreign");
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    change(&mut parameters);
    (parameters.self_signed(&key).unwrap().pem(), key.serialize_pem())
}

#[test]
fn a_ca_that_cannot_sign_what_is_needed_is_found() {
    type Change = fn(&mut CertificateParams);
    let cases: [(&str, Change); 3] = [
        ("NotACertificateAuthority", |ca| ca.is_ca = IsCa::ExplicitNoCa),
        ("MayNotSign", |ca| ca.key_usages = vec![KeyUsagePurpose::DigitalSignature]),
        ("CannotSignIntermediates", |ca| ca.is_ca = IsCa::Ca(BasicConstraints::Constrained(0))),
    ];
    for (code, change) in cases {
        let (certificate, key) = foreign_ca(change);
        let files = BTreeMap::from([
            (secrets::CA_CERT, certificate.clone()),
            (secrets::CA_KEY, key),
            (secrets::ROOT_CERT, certificate),
        ]);
        let findings = examine(secret("ca", "Opaque", &files), now());
        assert!(codes(&findings).contains(&code), "{code}: {findings:?}");
    }
}

#[test]
fn an_intermediate_without_limits_or_names_is_found() {
    let ca_key = KeyPair::generate().unwrap();
    let mut ca = CertificateParams::default();
    ca.distinguished_name.push(DnType::CommonName, "root");
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    ca.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let ca_certificate = ca.self_signed(&ca_key).unwrap();
    let issuer = Issuer::new(ca, ca_key);
    let own_key = KeyPair::generate().unwrap();
    let mut intermediate = CertificateParams::default();
    intermediate.distinguished_name.push(DnType::CommonName, "intermediate");
    intermediate.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    intermediate.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let certificate = intermediate.signed_by(&own_key, &issuer).unwrap().pem();
    let files = BTreeMap::from([
        (secrets::CA_CERT, certificate.clone()),
        (secrets::CA_KEY, own_key.serialize_pem()),
        (secrets::CERT_CHAIN, certificate),
        (secrets::ROOT_CERT, ca_certificate.pem()),
    ]);
    let findings = examine(cacerts(&files), now());
    assert_eq!(codes(&findings), ["UnlimitedPath", "NoNames"], "{findings:?}");
}

#[test]
fn roots_of_one_name_are_found_in_a_bundle() {
    let (first, _) = foreign_ca(|_| {});
    let (second, _) = foreign_ca(|_| {});
    let both = format!("{first}{second}");
    assert_eq!(codes(&examine_pem(&both, now())), ["RootsShareAName"]);
    // The same one twice is a set of one.
    assert_eq!(codes(&examine_pem(&format!("{first}{first}"), now())), ["DoubledRoot"]);
}

#[test]
fn a_file_of_leaf_chain_and_key_is_judged_as_a_whole() {
    let (root, other) = (root("Example", 3650), root("Other", 10));
    let key = key();
    let parameters =
        LeafParameters { hosts: Hosts::parse(&["spiffe://cluster.local/ns/a/sa/b"]).unwrap(), lifetime: DAY };
    let serial = SerialNumber::random().unwrap();
    let leaf = root.sign_leaf(&parameters, key.public_key(), &serial, now()).unwrap();
    let text = Certificate::write_chain([&leaf, root.certificate()]) + &key.to_pem();
    assert_eq!(codes(&examine_pem(&text, now())), ["KeyAmongCertificates"]);
    let stranger = Certificate::write_chain([&leaf, other.certificate()]);
    assert_eq!(codes(&examine_pem(&stranger, now())), ["ChainInvalid"]);
    let twice = format!("{}{}", *key.to_pem(), *key.to_pem());
    assert_eq!(codes(&examine_pem(&twice, now())), ["SeveralKeys"]);
}

#[test]
fn a_finding_never_shows_a_private_key() {
    let files = issued(&root("Example", 3650), 365);
    let source = Source { name: "test".to_owned(), kind: SourceKind::Secret(Box::new(cacerts(&files))) };
    let contents = Contents::read(&source);
    let report = super::super::report::Report::new(&source, &contents, run(&contents, now()), now());
    let printed = super::super::text::render(&report) + &serde_json::to_string(&report).unwrap();
    let secret_lines = files[secrets::CA_KEY].lines().filter(|line| !line.starts_with("-----"));
    for line in secret_lines {
        assert!(!printed.contains(line));
    }
    assert!(printed.contains("private key"));
}
