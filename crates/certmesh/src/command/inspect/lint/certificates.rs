//! Checks of each certificate by itself.

use certmesh_x509::{Certificate, PemItem};
use jiff::SignedDuration;

use super::{Check, Examined, Finding, critical, warning};
use crate::command::inspect::contents::Role;

pub(super) const CHECKS: &[Check] = &[
    expired,
    not_yet_valid,
    expiring,
    weak_key,
    weak_signature,
    not_a_ca,
    may_not_sign,
    cannot_sign_intermediates,
    unlimited_path,
    no_names,
    no_key_identifier,
];

fn each<'a>(
    examined: &Examined<'a>,
    check: impl Fn(&'a str, &'a Certificate) -> Option<Finding>,
) -> Vec<Finding> {
    examined
        .contents
        .certificates()
        .into_iter()
        .filter_map(|(file, certificate)| check(file, certificate))
        .collect()
}

/// How a certificate is called in a message.
fn name(certificate: &Certificate) -> String {
    match certificate.subject_alt_names().first() {
        Some(host) if certificate.subject().is_empty() => host.to_string(),
        _ if certificate.subject().is_empty() => format!("serial {}", certificate.serial_number()),
        _ => certificate.subject().to_string(),
    }
}

fn expired(examined: &Examined<'_>) -> Vec<Finding> {
    each(examined, |file, certificate| {
        let message = format!("{} expired at {}", name(certificate), certificate.not_after());
        (examined.now > certificate.not_after())
            .then(|| critical("Expired", file, message, "renew it; an expired root needs a rotation"))
    })
}

fn not_yet_valid(examined: &Examined<'_>) -> Vec<Finding> {
    each(examined, |file, certificate| {
        let message = format!("{} is not valid before {}", name(certificate), certificate.not_before());
        (examined.now < certificate.not_before())
            .then(|| critical("NotYetValid", file, message, "check the clocks, or wait"))
    })
}

/// A certificate that certmesh looks after is renewed in the last tenth of its life. A root is never renewed, it is
/// rotated, which takes time: warn from the last third on, as the issuer does.
fn expiring(examined: &Examined<'_>) -> Vec<Finding> {
    each(examined, |file, certificate| {
        let lifetime = certificate.not_after().duration_since(certificate.not_before());
        let left = certificate.not_after().duration_since(examined.now);
        if left.is_negative() {
            return None;
        }
        let message = format!("{} expires at {}", name(certificate), certificate.not_after());
        let (warn_at, critical_at, fix) = if certificate.is_self_signed() && certificate.is_ca() {
            (lifetime / 3, lifetime / 10, "make a new root and rotate to it")
        } else {
            (lifetime / 10, SignedDuration::ZERO, "renew it; if certmesh looks after it, see why it has not")
        };
        match left {
            left if left < critical_at => Some(critical("Expiring", file, message, fix)),
            left if left < warn_at => Some(warning("Expiring", file, message, fix)),
            _ => None,
        }
    })
}

fn weak_key(examined: &Examined<'_>) -> Vec<Finding> {
    const FIX: &str = "make a new key: RSA of at least 2048 bits, or ECDSA P-256 or P-384";
    let weak = |file: &str, algorithm: String| {
        critical("WeakKey", file, format!("its {algorithm} key is too short for any TLS library"), FIX)
    };
    let mut findings = each(examined, |file, certificate| {
        let key = certificate.public_key();
        key.is_weak().then(|| weak(file, key.algorithm_name()))
    });
    for file in &examined.contents.files {
        for item in file.items() {
            if let PemItem::Request(Ok(description)) = item
                && description.request.public_key().is_weak()
            {
                findings.push(weak(&file.name, description.request.public_key().algorithm_name()));
            }
        }
    }
    findings
}

fn weak_signature(examined: &Examined<'_>) -> Vec<Finding> {
    each(examined, |file, certificate| {
        let algorithm = certificate.signature_algorithm_name();
        let lower = algorithm.to_ascii_lowercase();
        let is_weak = ["sha1", "sha-1", "md5", "md2"].iter().any(|weak| lower.contains(weak));
        // Nobody verifies the signature of a root.
        (is_weak && !certificate.is_self_signed()).then(|| {
            let message =
                format!("{} is signed with {algorithm}, which TLS libraries refuse", name(certificate));
            critical("WeakSignature", file, message, "have it signed anew with SHA-256 or better")
        })
    })
}

fn about_the_ca(
    examined: &Examined<'_>,
    check: impl Fn(&str, &Certificate) -> Option<Finding>,
) -> Vec<Finding> {
    let is_ca_role = matches!(examined.contents.role, Role::IssuedCertificate | Role::SigningCa);
    let certificate = examined.contents.parts.certificate.as_ref().filter(|_| is_ca_role);
    certificate.and_then(|(file, certificate)| check(file, certificate)).into_iter().collect()
}

fn not_a_ca(examined: &Examined<'_>) -> Vec<Finding> {
    about_the_ca(examined, |file, certificate| {
        let message = format!("{} is not a CA (basicConstraints CA:TRUE is missing)", name(certificate));
        (!certificate.is_ca())
            .then(|| critical("NotACertificateAuthority", file, message, "use a CA certificate"))
    })
}

fn may_not_sign(examined: &Examined<'_>) -> Vec<Finding> {
    each(examined, |file, certificate| {
        (certificate.is_ca() && !certificate.may_sign_certificates()).then(|| {
            let message =
                format!("{} is a CA that may not sign (keyUsage lacks keyCertSign)", name(certificate));
            critical("MayNotSign", file, message, "use a CA certificate with keyUsage keyCertSign")
        })
    })
}

fn cannot_sign_intermediates(examined: &Examined<'_>) -> Vec<Finding> {
    if examined.contents.role != Role::SigningCa {
        return Vec::new();
    }
    about_the_ca(examined, |file, certificate| {
        (certificate.path_length() == Some(0)).then(|| {
            let message = format!("{} has pathLen 0: an intermediate it signs is refused", name(certificate));
            critical(
                "CannotSignIntermediates",
                file,
                message,
                "use a CA with pathLen 1 or more, or without one",
            )
        })
    })
}

fn unlimited_path(examined: &Examined<'_>) -> Vec<Finding> {
    if examined.contents.role != Role::IssuedCertificate {
        return Vec::new();
    }
    about_the_ca(examined, |file, certificate| {
        (certificate.path_length() != Some(0) && !certificate.is_self_signed()).then(|| {
            let message = format!("{} may sign further CAs: its pathLen is not 0", name(certificate));
            warning("UnlimitedPath", file, message, "have it issued with pathLen 0")
        })
    })
}

fn no_names(examined: &Examined<'_>) -> Vec<Finding> {
    each(examined, |file, certificate| {
        if !certificate.subject_alt_names().is_empty() {
            return None;
        }
        let message = format!("{} has no subjectAltName", name(certificate));
        if !certificate.is_ca() {
            return Some(critical("NoNames", file, message, "issue it with the names that its peers expect"));
        }
        let is_issued = examined.contents.role == Role::IssuedCertificate
            && examined.contents.parts.certificate.as_ref().is_some_and(|(_, own)| own == certificate);
        (is_issued && !certificate.is_self_signed())
            .then(|| warning("NoNames", file, message, "name its hosts in the IssuedCertificate"))
    })
}

fn no_key_identifier(examined: &Examined<'_>) -> Vec<Finding> {
    each(examined, |file, certificate| {
        (certificate.is_ca() && certificate.subject_key_identifier().is_none()).then(|| {
            let message = format!(
                "{} has no subjectKeyIdentifier; peers cannot tell it from another CA of that name",
                name(certificate)
            );
            warning(
                "NoKeyIdentifier",
                file,
                message,
                "issue it with a subjectKeyIdentifier (RFC 5280 asks for it)",
            )
        })
    })
}
