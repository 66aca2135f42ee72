//! Checks of whether the parts belong together.

use std::collections::BTreeMap;

use certmesh_x509::{Certificate, TrustBundle, VerificationError, verify_chain};

use super::{Check, Examined, Finding, critical, info, warning};
use crate::command::inspect::contents::Role;

pub(super) const CHECKS: &[Check] = &[
    key_mismatch,
    chain_invalid,
    chain_lacks_certificate,
    chain_holds_root,
    root_not_self_signed,
    roots_share_a_name,
    doubled_root,
    recorded_fingerprint_differs,
];

fn key_mismatch(examined: &Examined<'_>) -> Vec<Finding> {
    let parts = &examined.contents.parts;
    let (Some((_, certificate)), Some((file, key))) = (&parts.certificate, &parts.key) else {
        return Vec::new();
    };
    if key.public_key() == certificate.public_key() {
        return Vec::new();
    }
    let message = format!("the private key is not that of {}", certificate.subject());
    vec![critical("KeyMismatch", file, message, "put the matching pair in place")]
}

fn chain_invalid(examined: &Examined<'_>) -> Vec<Finding> {
    let parts = &examined.contents.parts;
    let Some((file, certificate)) = &parts.certificate else { return Vec::new() };
    let Ok(roots) = TrustBundle::from_certificates(parts.roots.clone()) else { return Vec::new() };
    let Err(error) = verify_chain(certificate, &parts.chain, &roots, examined.now) else { return Vec::new() };
    // A file of roots and nothing else: each stands for itself.
    let is_root_file = examined.contents.role == Role::PemFile && parts.chain.is_empty();
    if is_root_file || has_its_own_finding(&error) {
        return Vec::new();
    }
    let fix = "put the missing certificates in place, or have it issued anew";
    vec![critical("ChainInvalid", file, format!("it does not verify: {error}"), fix)]
}

/// What another check tells of the certificate at fault.
fn has_its_own_finding(error: &VerificationError) -> bool {
    matches!(
        error,
        VerificationError::Expired { .. }
            | VerificationError::NotYetValid { .. }
            | VerificationError::RootNotSelfSigned { .. }
            | VerificationError::WeakKey { .. }
    )
}

/// A workload presents its leaf and this file; without the intermediate in it, nobody can verify the leaf.
fn chain_lacks_certificate(examined: &Examined<'_>) -> Vec<Finding> {
    let parts = &examined.contents.parts;
    let (Some(file), Some((_, certificate))) = (&parts.chain_file, &parts.certificate) else {
        return Vec::new();
    };
    let is_expected = examined.contents.role == Role::IssuedCertificate;
    if !is_expected || parts.chain.is_empty() || parts.chain.first() == Some(certificate) {
        return Vec::new();
    }
    let message =
        "it does not start with the certificate in ca-cert.pem, so no workload can show its peers how it is \
                   trusted"
            .to_owned();
    vec![critical("ChainLacksCertificate", file, message, "start it with the content of ca-cert.pem")]
}

fn chain_holds_root(examined: &Examined<'_>) -> Vec<Finding> {
    let parts = &examined.contents.parts;
    let Some(file) = &parts.chain_file else { return Vec::new() };
    let is_own = |root: &Certificate| parts.certificate.as_ref().is_some_and(|(_, own)| own == root);
    let holds_root =
        parts.chain.iter().any(|certificate| certificate.is_self_signed() && !is_own(certificate));
    let message = "it ends with a root, which every handshake then carries for nothing".to_owned();
    if holds_root { vec![info("ChainHoldsRoot", file, message)] } else { Vec::new() }
}

fn root_not_self_signed(examined: &Examined<'_>) -> Vec<Finding> {
    let parts = &examined.contents.parts;
    let Some(file) = &parts.roots_file else { return Vec::new() };
    let found = |root: &&Certificate| {
        let message =
            format!("{} is not self-signed; OpenSSL and Envoy do not take it for a root", root.subject());
        critical(
            "RootNotSelfSigned",
            file,
            message,
            "put the root above it here, and the certificate in the chain",
        )
    };
    parts.roots.iter().filter(|root| !root.is_self_signed()).collect::<Vec<_>>().iter().map(found).collect()
}

/// A proxy names the CAs it accepts by subject alone: equal names cannot be told apart, neither by peers nor by probes.
fn roots_share_a_name(examined: &Examined<'_>) -> Vec<Finding> {
    let parts = &examined.contents.parts;
    let Some(file) = &parts.roots_file else { return Vec::new() };
    let mut by_name: BTreeMap<String, Vec<&Certificate>> = BTreeMap::new();
    for root in &parts.roots {
        let of_that_name = by_name.entry(root.subject().to_string()).or_default();
        if !of_that_name.contains(&root) {
            of_that_name.push(root);
        }
    }
    let found = |(name, roots): (String, Vec<&Certificate>)| {
        let message =
            format!("{} different roots are called {name}: peers cannot tell them apart", roots.len());
        warning("RootsShareAName", file, message, "give each root a name of its own, as a generated one has")
    };
    by_name.into_iter().filter(|(_, roots)| roots.len() > 1).map(found).collect()
}

fn doubled_root(examined: &Examined<'_>) -> Vec<Finding> {
    let parts = &examined.contents.parts;
    let Some(file) = &parts.roots_file else { return Vec::new() };
    let is_doubled = |root: &&Certificate| parts.roots.iter().filter(|other| other == root).count() > 1;
    let Some(root) = parts.roots.iter().find(is_doubled) else { return Vec::new() };
    let message =
        format!("{} is in it twice: the set is the same, and istiod re-issues its leaves", root.subject());
    vec![info("DoubledRoot", file, message)]
}

fn recorded_fingerprint_differs(examined: &Examined<'_>) -> Vec<Finding> {
    let contents = examined.contents;
    let recorded = contents.secret.as_ref().and_then(|secret| secret.recorded_fingerprint.as_ref());
    let (Some(recorded), Some((file, certificate))) = (recorded, &contents.parts.certificate) else {
        return Vec::new();
    };
    if *recorded == certificate.fingerprint().to_string() {
        return Vec::new();
    }
    let message =
        "the certificate is not the one that the agent wrote: its fingerprint is not the recorded one"
            .to_owned();
    vec![warning(
        "ChangedByOthers",
        file,
        message,
        "find out who else writes this Secret; the agent will replace it",
    )]
}
