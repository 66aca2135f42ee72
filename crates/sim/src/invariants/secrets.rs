//! Never 3, 4 and 8: a Secret whose parts do not belong together, a moment without a certificate, a swapped root set.

use std::collections::BTreeSet;

use certmesh_api::certificates::{IssuedCertificate, ObjectRef};
use certmesh_api::names::{annotations, deletion_policy, labels, secret_types};
use certmesh_api::secrets::{CaCerts, ROOT_CERT, data};
use certmesh_x509::{Certificate, Fingerprint, PrivateKey, TrustBundle, verify_chain};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;

use super::ensure;
use crate::cluster::Kind;
use crate::witness::{History, Object, Write};

/// Key, certificate, chain and roots of what an agent writes belong together.
pub(crate) fn secret_is_whole(write: &Write, _: &History) -> Result<(), String> {
    let secret = write.after.as_ref().and_then(Object::secret);
    let Some(secret) = secret.filter(|_| write.taken && write.is_by_agent() && !write.is_delete()) else {
        return Ok(());
    };
    // A pending key has no certificate yet; a note about the Secret does not touch what is in it.
    let noted_only =
        write.before.as_ref().and_then(Object::secret).is_some_and(|before| before.data == secret.data);
    if secret.type_.as_deref() == Some(secret_types::GENERATED_PRIVATE_KEY) || noted_only {
        return Ok(());
    }
    whole(secret, write.clock).map_err(|error| format!("Secret {} is not whole: {error}", write.name))
}

/// Whether the four files of a Secret belong together.
pub(crate) fn whole(secret: &Secret, at: Timestamp) -> Result<(), String> {
    let files = CaCerts::from_secret(secret).map_err(|error| error.to_string())?;
    let certificate = Certificate::from_pem(files.certificate).map_err(|error| error.to_string())?;
    let key = PrivateKey::from_pem(files.key).map_err(|error| error.to_string())?;
    ensure(key.public_key() == certificate.public_key(), || "key and certificate do not match".to_owned())?;
    let chain = Certificate::parse_chain(files.chain).map_err(|error| error.to_string())?;
    ensure(chain.first() == Some(&certificate), || {
        "the chain does not begin with the certificate".to_owned()
    })?;
    let roots = TrustBundle::from_pem(files.roots).map_err(|error| error.to_string())?;
    // The clock may have been set between the decision and the write.
    let at = at.max(certificate.not_before()).min(certificate.not_after());
    verify_chain(&certificate, &chain[1..], &roots, at).map(drop).map_err(|error| error.to_string())
}

/// An agent deletes an issued Secret only after its intent, and when the intent says so; and never empties it.
pub(crate) fn old_certificate_stays_until_the_new_one_is_in_place(
    write: &Write,
    history: &History,
) -> Result<(), String> {
    if !write.taken || !write.is_ours() || write.kind != Kind::Secret || write.site == 0 {
        return Ok(());
    }
    let has = |object: &Option<Object>| {
        object.as_ref().and_then(Object::secret).is_some_and(|secret| CaCerts::from_secret(secret).is_ok())
    };
    if !has(&write.before) || has(&write.after) {
        return Ok(());
    }
    let secret = write.before.as_ref().and_then(Object::secret);
    let intent =
        secret.and_then(|secret| secret.annotations().get(annotations::ISSUED_FOR)).and_then(|text| {
            let (namespace, name) = text.split_once('/')?;
            Some(ObjectRef::new(namespace, name))
        });
    let versions = intent.iter().filter_map(|intent| history.intents.get(intent)).flatten();
    let asked = |intent: &IssuedCertificate| {
        intent.metadata.deletion_timestamp.is_some()
            && intent.annotations().get(annotations::DELETION_POLICY).map(String::as_str)
                == Some(deletion_policy::DELETE)
    };
    ensure(versions.filter_map(|version| version.intent.as_ref()).any(asked), || {
        format!("the certificate in Secret {} is gone, and nobody asked for that", write.name)
    })
}

fn roots(secret: &Secret) -> Option<TrustBundle> {
    TrustBundle::from_pem(data(secret, ROOT_CERT)?).ok()
}

/// What an agent changes a Secret's roots to contains them, or is contained in them, unless a person accepted it.
pub(crate) fn root_set_is_never_swapped(write: &Write, history: &History) -> Result<(), String> {
    let Some((Some(before), after)) = write.delivery() else { return Ok(()) };
    // Roots of a Secret that somebody spoilt are nobody's: whoever uses it cannot verify with them.
    if whole(before, write.clock).is_err() {
        return Ok(());
    }
    let (Some(old), Some(new)) = (roots(before), roots(after)) else { return Ok(()) };
    let (old, new): (&BTreeSet<Fingerprint>, _) = (old.fingerprints(), new.fingerprints());
    let accepted = || {
        let site = format!("cluster-{}", write.site);
        let of_site =
            history.intents.iter().filter(|(name, _)| name.namespace == site).flat_map(|(_, all)| all);
        of_site
            .filter_map(|version| version.intent.as_ref())
            .any(|intent| intent.annotations().contains_key(annotations::REPLACE_ROOT))
    };
    ensure(old.is_subset(new) || new.is_subset(old) || accepted(), || {
        format!("the roots of Secret {} were swapped, and nobody accepted that", write.name)
    })
}

/// Roots that stay keep their bytes, in front: istiod compares bytes.
pub(crate) fn bundle_bytes_stay(write: &Write, _: &History) -> Result<(), String> {
    let Some((Some(before), after)) = write.delivery() else { return Ok(()) };
    let is_ours = before.labels().contains_key(labels::AGENT);
    let (Some(old), Some(new)) = (roots(before), roots(after)) else { return Ok(()) };
    if !is_ours || whole(before, write.clock).is_err() || !new.contains_all(&old) {
        return Ok(());
    }
    let (old_bytes, new_bytes) =
        (data(before, ROOT_CERT).unwrap_or_default(), data(after, ROOT_CERT).unwrap_or_default());
    ensure(new_bytes.starts_with(old_bytes), || {
        format!("root-cert.pem of Secret {} holds the old roots in other bytes", write.name)
    })
}
