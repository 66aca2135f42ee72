//! Intents and signing CAs that are wrong, and what people are told about each.

use crate::forger::{Forger, new_key};
use crate::objects::signing_secret;
use crate::{HOME, HOUR};
use certmesh_api::certificates::{
    CertificateRotationState, IntermediateCertificateAuthority, IssuedCertificateSpec, ObjectRef,
    RootCertificateAuthority,
};
use certmesh_api::names::annotations;
use certmesh_api::secrets;
use certmesh_x509::{CertificateAuthority, SerialNumber};
use jiff::Timestamp;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use serde_json::{Value, json};

/// Spoils a good spec.
pub type SpoilSpec = fn(&mut IssuedCertificateSpec);

/// Specs that the issuer refuses: name, what is wrong, the end of the message, and the part of it that names the value or the field.
pub const BAD_SPECS: [(&str, SpoilSpec, &str, &str); 15] = [
    ("no-hosts", |spec| spec.hosts.clear(), "change the intent", "spec.hosts"),
    (
        "bad-spiffe",
        |spec| spec.hosts = vec!["spiffe://Example/x?y".to_owned()],
        "change the intent",
        "spiffe://Example/x?y",
    ),
    (
        "bad-dns",
        |spec| spec.hosts = vec!["under_score.example".to_owned()],
        "change the intent",
        "under_score.example",
    ),
    ("twice", |spec| spec.hosts.push(spec.hosts[0].clone()), "change the intent", "istiod"),
    ("key-size", |spec| options(spec, 1000), "change the intent", "rsaKeySizeBytes is 1000"),
    ("no-ca", |spec| spec.gloo_mesh_ca = None, "change the intent", "glooMeshCa.signingCertificateSecret"),
    (
        "half-a-ca",
        |spec| spec.gloo_mesh_ca = Some(ca(HOME, "")),
        "change the intent",
        "needs both name and namespace",
    ),
    (
        "half-a-target",
        |spec| target(spec).namespace.clear(),
        "change the intent",
        "spec.issuedCertificateSecret",
    ),
    ("no-target-name", |spec| target(spec).name.clear(), "change the intent", "spec.issuedCertificateSecret"),
    ("long-org", |spec| organization(spec, &"o".repeat(51)), "change the intent", "orgName"),
    ("odd-org", |spec| organization(spec, "a\u{1b}[2Jb"), "change the intent", "orgName"),
    (
        "no-previous",
        |spec| step(spec, CertificateRotationState::AddingNewRoot),
        "change the intent",
        "previousGlooMeshCa",
    ),
    ("no-step", |spec| step(spec, CertificateRotationState::Verifying), "change the intent", "rotationState"),
    ("finished", |spec| step(spec, CertificateRotationState::Finished), "change the intent", "rotationState"),
    ("vault", |spec| vault(spec), "change the intent", "agentCa"),
];

/// A signing CA's Secret, as a spec names it.
pub fn ca(namespace: &str, name: &str) -> RootCertificateAuthority {
    RootCertificateAuthority { signing_certificate_secret: Some(ObjectRef::new(namespace, name)) }
}

fn options(spec: &mut IssuedCertificateSpec, rsa_key_size: u32) {
    let options = spec.cert_options.as_mut().expect("a good intent has options");
    options.key_algorithm = None;
    options.rsa_key_size_bytes = rsa_key_size;
}

fn organization(spec: &mut IssuedCertificateSpec, name: &str) {
    name.clone_into(&mut spec.cert_options.as_mut().expect("a good intent has options").org_name);
}

fn target(spec: &mut IssuedCertificateSpec) -> &mut ObjectRef {
    spec.issued_certificate_secret.as_mut().expect("a good intent has a target")
}

fn step(spec: &mut IssuedCertificateSpec, step: CertificateRotationState) {
    spec.rotation_state = step;
}

fn vault(spec: &mut IssuedCertificateSpec) {
    spec.gloo_mesh_ca = None;
    spec.agent_ca = Some(IntermediateCertificateAuthority::default());
}

/// Specs that the schema of IssuedCertificates refuses.
pub fn refused_by_the_schema() -> [(&'static str, Value); 9] {
    let reference = json!({"name": "a", "namespace": "b"});
    [
        (
            "both CAs",
            json!({"glooMeshCa": {"signingCertificateSecret": reference}, "agentCa": {"vault": {}}}),
        ),
        ("an unknown step", json!({"rotationState": "JUMPING"})),
        ("an unknown key", json!({"certOptions": {"keyAlgorithm": "ED25519"}})),
        ("a lifetime of seconds", json!({"certOptions": {"ttlSeconds": 59}})),
        ("a negative lifetime", json!({"certOptions": {"ttlDays": -1}})),
        ("an organization of 65", json!({"certOptions": {"orgName": "o".repeat(65)}})),
        ("65 hosts", json!({"hosts": vec!["a.example"; 65]})),
        ("an empty host", json!({"hosts": [""]})),
        ("hosts that are no list", json!({"hosts": "a.example"})),
    ]
}

/// Spoils a good signing CA's Secret.
pub type SpoilCa = fn(Timestamp, &mut Secret);

/// Signing CAs that nothing is signed with: name, what is wrong, the reason, and the end of the message.
pub const BAD_CAS: [(&str, SpoilCa, &str, &str); 12] = [
    ("no-key", |_, ca| remove(ca, secrets::CA_KEY), "CaNotWhole", "or tls.crt + tls.key + ca.crt"),
    ("no-root", |_, ca| remove(ca, secrets::ROOT_CERT), "CaNotWhole", "or tls.crt + tls.key + ca.crt"),
    ("empty", |_, ca| ca.data = None, "CaNotWhole", "or tls.crt + tls.key + ca.crt"),
    ("wrong-key", |_, ca| set(ca, secrets::CA_KEY, new_key().to_pem().as_bytes()), "CaNotWhole", ""),
    ("garbage-key", |_, ca| set(ca, secrets::CA_KEY, b"\xff\x1b[2J"), "CaNotWhole", ""),
    ("garbage", |_, ca| set(ca, secrets::CA_CERT, b"-----BEGIN CERTIFICATE-----\nxx"), "CaNotWhole", ""),
    ("expired", expired, "CaNotWhole", "put a valid CA in a new Secret and rotate to it"),
    ("a-leaf", a_leaf, "CaNotWhole", ""),
    ("no-depth", no_depth, "CaNotWhole", "or an intermediate with a pathLen of at least 1 all the way up"),
    ("other-root", other_root, "CaNotWhole", ""),
    (
        "nobody",
        |_, ca| ca.annotations_mut().clear(),
        "CaNotAllowed",
        "add cluster-1 to its annotation certmesh.dev/allow-clusters",
    ),
    ("others", others_only, "CaNotAllowed", "add cluster-1 to its annotation certmesh.dev/allow-clusters"),
];

fn remove(ca: &mut Secret, key: &str) {
    ca.data.as_mut().expect("a good CA has data").remove(key);
}

fn set(ca: &mut Secret, key: &str, bytes: &[u8]) {
    ca.data.as_mut().expect("a good CA has data").insert(key.to_owned(), ByteString(bytes.to_vec()));
}

fn expired(now: Timestamp, ca: &mut Secret) {
    let long_ago = now - jiff::SignedDuration::from_hours(24 * 365 * 20);
    let serial = SerialNumber::random().expect("a serial number");
    let lifetime = CertificateAuthority::DEFAULT_ROOT_LIFETIME;
    let old = CertificateAuthority::self_signed_root(new_key(), "old", lifetime, &serial, long_ago)
        .expect("a root");
    ca.data = signing_secret("old", &old).data;
}

/// A CA's Secret around a certificate that a root made for this purpose.
fn below(now: Timestamp, ca: &mut Secret, make: impl FnOnce(&Forger, &certmesh_x509::PublicKey) -> Vec<u8>) {
    let (root, key) = (Forger::new(now), new_key());
    let certificate = make(&root, key.public_key());
    set(ca, secrets::CA_CERT, &certificate);
    set(ca, secrets::CERT_CHAIN, &certificate);
    set(ca, secrets::CA_KEY, key.to_pem().as_bytes());
    set(ca, secrets::ROOT_CERT, root.authority.roots().as_pem());
}

fn a_leaf(now: Timestamp, ca: &mut Secret) {
    below(now, ca, |root, key| root.leaf(key, "a.example", HOUR * 1000).to_pem().into_bytes());
}

fn no_depth(now: Timestamp, ca: &mut Secret) {
    below(now, ca, |root, key| root.intermediate(key, "a.example", HOUR * 1000).to_pem().into_bytes());
}

fn other_root(now: Timestamp, ca: &mut Secret) {
    set(ca, secrets::ROOT_CERT, Forger::new(now).authority.roots().as_pem());
}

fn others_only(_: Timestamp, ca: &mut Secret) {
    ca.annotations_mut().insert(annotations::ALLOW_CLUSTERS.to_owned(), "cluster-2, cluster-11".to_owned());
}
