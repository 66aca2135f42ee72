//! Putting a certificate in place: the last questions before it, and the Secret that is written.

use std::collections::BTreeSet;

use certmesh_api::certificates::ObjectRef;
use certmesh_api::names::{annotations, labels, secret_types};
use certmesh_api::secrets::{CA_CERT, CA_KEY, CERT_CHAIN, ROOT_CERT};
use certmesh_x509::{Certificate, Fingerprint, IssuedMaterial, PrivateKey, TrustBundle};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;

use super::effect::{StoreIssued, Write, metadata};
use super::{Observed, reason};
use crate::examine::{Origin, SignedAnswer};
use crate::need::{Need, NeedReason};
use crate::object::{SealedSecret, annotation};

/// Why a good certificate is not put in place. A person has to act.
pub(super) struct Guarded {
    pub(super) reason: &'static str,
    pub(super) message: String,
}

const WAY_OUT: &str = "either make the CA in use the first signing CA and rotate from it, or accept the downtime with the \
                       annotation certmesh.dev/replace-root: \"true\" on the intent";

/// The last questions before a certificate is put in place.
pub(super) fn guard(observed: &Observed<'_>, origin: &Origin, answer: &SignedAnswer) -> Option<Guarded> {
    root_outside_of_the_pin(observed, &answer.roots).or_else(|| {
        if observed.copy.facts.intent.replace_root {
            return None;
        }
        would_replace_live_root(observed, origin, &answer.roots)
            .map(|message| Guarded { reason: "WouldReplaceLiveRoot", message })
    })
}

/// A stolen management cluster cannot install a root of its own where somebody has pinned them.
fn root_outside_of_the_pin(observed: &Observed<'_>, roots: &TrustBundle) -> Option<Guarded> {
    let pin = observed.trust_anchors?;
    let message = match &pin.roots {
        Err(error) => {
            format!("ConfigMap {} cannot be read, so no root is allowed: {error}; correct it", pin.source)
        }
        Ok(allowed) => {
            let outside = roots.certificates().iter().find(|root| !allowed.contains(&root.fingerprint()))?;
            format!(
                "the answer carries the root {} (SHA-256 {}), which ConfigMap {} does not allow: if it is yours, add it there",
                outside.subject(),
                outside.fingerprint(),
                pin.source
            )
        }
    };
    Some(Guarded { reason: "RootNotAllowed", message })
}

fn would_replace_live_root(observed: &Observed<'_>, origin: &Origin, new: &TrustBundle) -> Option<String> {
    if reason::is_ours(observed, origin)
        && let Some(old) = our_roots(observed)
    {
        return replaces_our_roots(observed, &old, new);
    }
    replaces_foreign_roots(observed, new).or_else(|| {
        observed.live_roots.iter().find_map(|live| match &live.roots {
            Err(error) => Some(format!(
                "ConfigMap {} holds roots that cannot be read, so nobody can tell whether they stay trusted: {error}; {WAY_OUT}",
                live.source
            )),
            Ok(roots) => missing(roots, new, &format!("ConfigMap {}", live.source)),
        })
    })
}

/// The roots in our Secret: as they are; or, if somebody spoilt it, as they were written, since nobody can use a chain that
/// does not lead to its roots.
fn our_roots(observed: &Observed<'_>) -> Option<BTreeSet<Fingerprint>> {
    let facts = observed.issued?.facts;
    match &facts.roots {
        Some(Ok(roots)) if facts.content.is_ok() || facts.recorded_roots.is_empty() => {
            Some(roots.fingerprints().clone())
        }
        _ if !facts.recorded_roots.is_empty() => Some(facts.recorded_roots.clone()),
        _ => None,
    }
}

/// Roots are added, or removed; a set is never swapped.
fn replaces_our_roots(
    observed: &Observed<'_>,
    old: &BTreeSet<Fingerprint>,
    new: &TrustBundle,
) -> Option<String> {
    let new = new.fingerprints();
    (!old.is_subset(new) && !new.is_subset(old)).then(|| {
        let name = target(observed);
        format!(
            "the answer's roots neither contain the roots in Secret {name} nor are contained in them, so proxies would stop trusting each other: rotate instead, or accept the downtime with the annotation certmesh.dev/replace-root: \"true\" on the intent"
        )
    })
}

fn replaces_foreign_roots(observed: &Observed<'_>, new: &TrustBundle) -> Option<String> {
    let source = format!("Secret {}", target(observed));
    match observed.issued?.facts.roots.as_ref()? {
        Ok(roots) => missing(roots, new, &source),
        Err(error) => Some(format!(
            "{source} holds roots that cannot be read, so nobody can tell whether they stay trusted: {error}; {WAY_OUT}"
        )),
    }
}

fn missing(live: &TrustBundle, new: &TrustBundle, source: &str) -> Option<String> {
    let lost = live.certificates().iter().find(|root| !new.contains(root))?;
    Some(format!(
        "{source} trusts the root {} (SHA-256 {}), which the answer does not carry, so proxies would stop trusting each other: {WAY_OUT}",
        lost.subject(),
        lost.fingerprint()
    ))
}

fn target(observed: &Observed<'_>) -> ObjectRef {
    observed.copy.facts.intent.target.clone().unwrap_or_default()
}

/// The write that puts a certificate in place.
pub(super) fn store(
    observed: &Observed<'_>,
    origin: &Origin,
    need: &Need,
    why: NeedReason,
    key: &PrivateKey,
    answer: &SignedAnswer,
) -> StoreIssued {
    let existing = observed.issued.map(|issued| issued.object);
    let old_roots =
        observed.issued.and_then(|issued| issued.facts.roots.as_ref()).and_then(|roots| roots.as_ref().ok());
    let material = IssuedMaterial::new(
        answer.certificate().clone(),
        key.clone(),
        answer.chain.clone(),
        root_file(old_roots, &answer.roots),
    );
    let mut secret = existing.cloned().unwrap_or_else(|| Secret {
        metadata: metadata(&target(observed), observed.agent_namespace, []),
        type_: Some(secret_types::ISSUED_CERTIFICATE.to_owned()),
        ..Secret::default()
    });
    secret.data = Some(files(&material));
    secret.metadata.managed_fields = None;
    let label = (labels::AGENT.to_owned(), observed.agent_namespace.to_owned());
    secret.metadata.labels.get_or_insert_default().extend([label]);
    let notes = secret.metadata.annotations.get_or_insert_default();
    for key in [annotations::UNMANAGED_SINCE, annotations::RENEW] {
        notes.remove(key);
    }
    notes.extend(record(observed, origin, need, &material).map(|(key, value)| (key.to_owned(), value)));
    let write = if existing.is_some() { Write::Update } else { Write::Create };
    StoreIssued { secret: SealedSecret::new(secret), write, reason: why }
}

fn files(material: &IssuedMaterial) -> std::collections::BTreeMap<String, ByteString> {
    [
        (CA_CERT, material.certificate_pem().into_bytes()),
        (CA_KEY, material.key_pem().as_bytes().to_vec()),
        (CERT_CHAIN, material.chain_pem().into_bytes()),
        (ROOT_CERT, material.roots_pem().to_vec()),
    ]
    .map(|(key, bytes)| (key.to_owned(), ByteString(bytes)))
    .into()
}

/// What the Secret says about itself.
fn record(
    observed: &Observed<'_>,
    origin: &Origin,
    need: &Need,
    material: &IssuedMaterial,
) -> impl Iterator<Item = (&'static str, String)> {
    let roots: Vec<String> = material.roots().fingerprints().iter().map(ToString::to_string).collect();
    let nonce = annotation(observed.copy.object, annotations::RENEW);
    [
        (annotations::ISSUED_FOR, origin.intent.to_string()),
        (annotations::NEED, need.to_string()),
        (annotations::FINGERPRINT, material.certificate().fingerprint().to_string()),
        (annotations::NOT_AFTER, material.certificate().not_after().to_string()),
        (annotations::ROOTS, roots.join(",")),
    ]
    .into_iter()
    .chain(nonce.map(|nonce| (annotations::RENEW, nonce.to_owned())))
}

/// The bundle to write. As long as every root that was there stays, the old bytes stay too, in front: istiod versions that
/// compare bytes take nothing else for an addition. A root that comes twice in the answer is meant to change the bytes of a
/// set that stays the same (`PROPAGATING_NEW_INTERMEDIATE`); once it is there twice, it has done that.
fn root_file(old: Option<&TrustBundle>, new: &TrustBundle) -> TrustBundle {
    let Some(old) = old.filter(|old| new.contains_all(old)) else {
        return new.clone();
    };
    let added: Vec<Certificate> = firsts(new).filter(|root| !old.contains(root)).cloned().collect();
    let again: Vec<Certificate> = if has_doubles(old) { Vec::new() } else { doubles(new).cloned().collect() };
    if added.is_empty() && again.is_empty() {
        return old.clone();
    }
    old.appended(added.into_iter().chain(again))
}

fn firsts(bundle: &TrustBundle) -> impl Iterator<Item = &Certificate> {
    let mut seen = BTreeSet::new();
    bundle.certificates().iter().filter(move |root| seen.insert(root.fingerprint()))
}

fn doubles(bundle: &TrustBundle) -> impl Iterator<Item = &Certificate> {
    let mut seen = BTreeSet::new();
    bundle.certificates().iter().filter(move |root| !seen.insert(root.fingerprint()))
}

fn has_doubles(bundle: &TrustBundle) -> bool {
    doubles(bundle).next().is_some()
}
