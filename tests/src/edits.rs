//! What somebody writes who rules a remote cluster, and knows how everything works.

use crate::forger::{csr, new_key};
use certmesh_api::certificates::{IssuedCertificateState, IssuedCertificateStatus};
use certmesh_api::names::{annotations, labels};
use certmesh_x509::{KeyAlgorithm, PrivateKey};
use serde_json::{Value, json};

/// An identity that no intent of these stories asks for.
pub const EVIL: &str = "spiffe://cluster-1.example/ns/istio-system/sa/admin";

/// Edits of a copy, each of which the issuer undoes.
pub fn edits_of_a_copy() -> Vec<Value> {
    let other_trust = "0".repeat(64);
    vec![
        json!({"spec": {"hosts": [EVIL]}}),
        json!({"spec": {"certOptions": {"ttlDays": 36500}}}),
        json!({"spec": {"glooMeshCa": {"signingCertificateSecret": {"name": "another"}}}}),
        json!({"spec": {"certOptions": {"orgName": "Mallory"}}}),
        json!({"spec": {"issuedCertificateSecret": null}}),
        json!({"metadata": {"annotations": {annotations::TRUST_FINGERPRINT: other_trust}}}),
        json!({"metadata": {"annotations": {annotations::TRUST_FINGERPRINT: null}}}),
        json!({"metadata": {"annotations": {annotations::RENEW: "now"}}}),
        json!({"metadata": {"annotations": {annotations::INTENT: "cluster-2/istiod"}}}),
        json!({"metadata": {"annotations": {annotations::INTENT_UID: "another"}}}),
        json!({"metadata": {"annotations": {annotations::INTENT: null, annotations::INTENT_UID: null}}}),
        json!({"metadata": {"annotations": null}}),
        json!({"metadata": {"labels": {labels::CLUSTER: "cluster-2"}}}),
        json!({"metadata": {"annotations": {annotations::INTENT_GENERATION: "99"}}}),
        json!({"metadata": {"annotations": {annotations::ADOPT: "true", annotations::REPLACE_ROOT: "true"}}}),
        json!({"metadata": {"annotations": {annotations::DELETION_POLICY: "Delete"}}}),
    ]
}

/// Edits that make a copy look like somebody else's.
pub fn edits_that_disown_a_copy() -> [Value; 2] {
    let others =
        [annotations::INTENT, annotations::INTENT_UID].map(|key| (key.to_owned(), json!("of/another")));
    let others = Value::Object(others.into_iter().collect());
    [json!({"metadata": {"annotations": others}}), json!({"metadata": {"annotations": null, "labels": null}})]
}

/// Requests that the issuer refuses, in place of an honest one: what is wrong, the PEM, and the reason.
pub fn unusable_requests(honest: &[u8]) -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let (mallory, other) = (csr(&new_key(), EVIL), csr(&new_key(), EVIL));
    let p384 = PrivateKey::generate(KeyAlgorithm::EcdsaP384).expect("a key");
    vec![
        ("a signature by another key", spliced(&mallory), "KeyNotProven"),
        ("more than 16 KiB", [mallory.as_bytes(), &[b'\n'; 17 << 10]].concat(), "RequestUnreadable"),
        ("two requests", [mallory.as_bytes(), other.as_bytes()].concat(), "RequestUnreadable"),
        ("garbage", b"\x00\xff\x1b[2J".to_vec(), "RequestUnreadable"),
        ("PEM around garbage", honest[..honest.len() / 2].to_vec(), "RequestUnreadable"),
        ("a private key's label", relabelled(&mallory), "RequestUnreadable"),
        ("another kind of key", csr(&p384, EVIL).into_bytes(), "WrongKeyKind"),
    ]
}

/// A request with a byte of its signature, which is last in it, changed.
fn spliced(pem: &str) -> Vec<u8> {
    let lines: Vec<&str> = pem.lines().collect();
    let mut body = lines[1..lines.len() - 1].concat().into_bytes();
    let at = body.len() - 12;
    body[at] = if body[at] == b'A' { b'B' } else { b'A' };
    let wrapped: Vec<&[u8]> = body.chunks(64).collect();
    [lines[0].as_bytes(), &wrapped.join(&b"\n"[..]), lines[lines.len() - 1].as_bytes(), b""].join(&b"\n"[..])
}

fn relabelled(pem: &str) -> Vec<u8> {
    pem.replace("CERTIFICATE REQUEST", "PRIVATE KEY").into_bytes()
}

/// Makes a status say what must not reach a terminal, and too much of it.
pub fn novel(status: &mut IssuedCertificateStatus) {
    let novel = format!("\u{1b}[2J\u{202e}all is well\r\n{}", "\u{1b}]0;owned\u{7}".repeat(2000));
    status.error.clone_from(&novel);
    status.state = IssuedCertificateState::Failed;
    for condition in &mut status.conditions {
        condition.message.clone_from(&novel);
        "Owned".clone_into(&mut condition.reason);
        "False".clone_into(&mut condition.status);
    }
    let summary = status.certificate.as_mut().expect("a certificate in place");
    summary.issuer.clone_from(&novel);
    summary.serial_number.clone_from(&novel);
    summary.fingerprint.clone_from(&novel);
    summary.roots = vec!["\u{1b}".repeat(64); 128];
}

/// Every text in it.
pub fn strings(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::String(text) => found.push(text.clone()),
        Value::Array(items) => items.iter().for_each(|item| strings(item, found)),
        Value::Object(fields) => fields.values().for_each(|field| strings(field, found)),
        _ => {}
    }
}
