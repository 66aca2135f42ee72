//! Name constraints of a CA against the names below it (RFC 5280 section 4.2.1.10).
//!
//! Corporate roots carry them. DNS and IP constraints are decided here. What the proxies cannot live with is refused:
//! webpki rejects every URI name (so every SPIFFE ID) under any URI constraint, and every certificate under any
//! directoryName constraint.

use x509_cert::ext::pkix::{constraints::name::GeneralSubtree, name::GeneralName};

use super::VerificationError;
use crate::{
    certificate::{Certificate, SubjectAltName},
    host::Host,
};

/// As webpki and Go: nobody may keep us busy with long lists.
const MAX_COMPARISONS: usize = 250_000;

/// Whether this CA's constraints allow every certificate of the path below it.
pub(super) fn check(ca: &Certificate, below: &[Certificate]) -> Result<(), VerificationError> {
    let Some(constraints) = ca.name_constraints() else { return Ok(()) };
    let permitted = constraints.permitted_subtrees.as_deref().unwrap_or_default();
    let excluded = constraints.excluded_subtrees.as_deref().unwrap_or_default();
    permitted.iter().chain(excluded).try_for_each(|subtree| check_form(ca, subtree))?;
    let names: Vec<_> = below.iter().flat_map(Certificate::subject_alt_names).collect();
    if names.len().saturating_mul(permitted.len() + excluded.len()) > MAX_COMPARISONS {
        return Err(VerificationError::UnusableNameConstraint {
            issuer: ca.subject().to_string(),
            form: "far too many",
        });
    }
    for name in names {
        let is_allowed = match name {
            SubjectAltName::Host(host) => is_permitted(host, permitted) && !is_excluded(host, excluded),
            // A form we do not decide on, under a CA that constrains names: refuse rather than guess.
            SubjectAltName::Other(_) => false,
        };
        if !is_allowed {
            return Err(VerificationError::NameConstraintViolated {
                issuer: ca.subject().to_string(),
                name: name.to_string(),
            });
        }
    }
    Ok(())
}

fn check_form(ca: &Certificate, subtree: &GeneralSubtree) -> Result<(), VerificationError> {
    let form = match &subtree.base {
        // Mail constraints say nothing about hosts.
        GeneralName::DnsName(_) | GeneralName::Rfc822Name(_) => None,
        GeneralName::IpAddress(range) if matches!(range.as_bytes().len(), 8 | 32) => None,
        GeneralName::IpAddress(_) => Some("malformed iPAddress"),
        GeneralName::UniformResourceIdentifier(_) => Some("uniformResourceIdentifier"),
        GeneralName::DirectoryName(_) => Some("directoryName"),
        GeneralName::OtherName(_) | GeneralName::EdiPartyName(_) | GeneralName::RegisteredId(_) => {
            Some("unusual")
        }
    };
    let form = form.or((subtree.minimum != 0 || subtree.maximum.is_some()).then_some("minimum or maximum"));
    match form {
        None => Ok(()),
        Some(form) => {
            Err(VerificationError::UnusableNameConstraint { issuer: ca.subject().to_string(), form })
        }
    }
}

/// A name is permitted when no subtree constrains its form, or one of those that do matches.
fn is_permitted(host: &Host, subtrees: &[GeneralSubtree]) -> bool {
    let mut matches =
        subtrees.iter().filter_map(|subtree| matches(host, &subtree.base, Purpose::Permit)).peekable();
    matches.peek().is_none() || matches.any(|is_match| is_match)
}

fn is_excluded(host: &Host, subtrees: &[GeneralSubtree]) -> bool {
    subtrees.iter().any(|subtree| matches(host, &subtree.base, Purpose::Exclude) == Some(true))
}

#[derive(Clone, Copy, PartialEq)]
enum Purpose {
    Permit,
    Exclude,
}

/// Whether the host lies in the subtree, or nothing when the subtree is about another form of name.
fn matches(host: &Host, base: &GeneralName, purpose: Purpose) -> Option<bool> {
    match (host, base) {
        (Host::Dns(name), GeneralName::DnsName(base)) => {
            Some(is_dns_match(name.as_str(), base.as_str(), purpose))
        }
        (Host::Ip(address), GeneralName::IpAddress(range)) => {
            let range = range.as_bytes();
            Some(match address {
                std::net::IpAddr::V4(address) => is_in_range(&address.octets(), range),
                std::net::IpAddr::V6(address) => is_in_range(&address.octets(), range),
            })
        }
        _ => None,
    }
}

/// `example.com` covers itself and everything below, `.example.com` only what is below, the empty base everything.
fn is_dns_match(name: &str, base: &str, purpose: Purpose) -> bool {
    let base = base.to_ascii_lowercase();
    if is_in_domain(name, &base) {
        return true;
    }
    // `*.example.com` can be `host.example.com`, so it is excluded with it; to be permitted, all it can be must be.
    match (purpose, name.strip_prefix("*.")) {
        (Purpose::Exclude, Some(parent)) => {
            let base = base.strip_prefix('.').unwrap_or(&base);
            base.split_once('.').is_some_and(|(_, base_parent)| base_parent == parent)
        }
        _ => false,
    }
}

fn is_in_domain(name: &str, base: &str) -> bool {
    match name.strip_suffix(base) {
        Some("") => true,
        Some(labels) => base.is_empty() || base.starts_with('.') || labels.ends_with('.'),
        None => false,
    }
}

/// The range is an address followed by a mask of the same length.
fn is_in_range(address: &[u8], range: &[u8]) -> bool {
    if range.len() != 2 * address.len() {
        return false;
    }
    let (base, mask) = range.split_at(address.len());
    address.iter().zip(base).zip(mask).all(|((address, base), mask)| address & mask == base & mask)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dns_names_match_by_label() {
        use Purpose::{Exclude, Permit};
        for (name, base, purpose, expected) in [
            ("example.com", "example.com", Permit, true),
            ("a.example.com", "example.com", Permit, true),
            ("a.example.com", "EXAMPLE.com", Permit, true),
            ("badexample.com", "example.com", Permit, false),
            ("example.com", ".example.com", Permit, false),
            ("a.example.com", ".example.com", Permit, true),
            ("example.org", "example.com", Permit, false),
            ("anything.at.all", "", Permit, true),
            ("*.example.com", "example.com", Permit, true),
            ("*.example.com", "a.example.com", Permit, false),
            ("*.example.com", "a.example.com", Exclude, true),
            ("*.example.com", ".a.example.com", Exclude, true),
            ("*.example.com", "a.b.example.com", Exclude, false),
            ("*.example.com", "a.example.org", Exclude, false),
        ] {
            assert_eq!(is_dns_match(name, base, purpose), expected, "{name} in {base}");
        }
    }

    #[test]
    fn only_a_subtree_that_matches_excludes() {
        let subtree = |base: GeneralName| GeneralSubtree { base, minimum: 0, maximum: None };
        let dns = |name: &str| GeneralName::DnsName(der::asn1::Ia5String::new(name).unwrap());
        let subtrees = [subtree(dns("example.org")), subtree(dns("inner.example.com"))];
        for (host, expected) in [
            ("example.com", false),
            ("a.inner.example.com", true),
            ("example.org", true),
            ("10.0.0.1", false),
        ] {
            assert_eq!(is_excluded(&host.parse().unwrap(), &subtrees), expected, "{host}");
        }
    }

    #[test]
    fn addresses_match_by_mask_and_family() {
        let net10 = [10, 0, 0, 0, 255, 0, 0, 0];
        assert!(is_in_range(&[10, 1, 2, 3], &net10));
        assert!(!is_in_range(&[11, 1, 2, 3], &net10));
        assert!(!is_in_range(&[0; 16], &net10));
    }
}
