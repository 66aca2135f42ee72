//! SPIFFE IDs (<https://github.com/spiffe/spiffe/blob/main/standards/SPIFFE-ID.md>).

use std::{fmt, str::FromStr};

const SCHEME: &str = "spiffe://";
/// Section 2.3 of the standard.
const MAX_LENGTH: usize = 2048;
const MAX_TRUST_DOMAIN_LENGTH: usize = 255;

/// A workload or trust domain identity, such as `spiffe://cluster.local/ns/istio-system/sa/istiod`.
///
/// There is no normal form to compute: an ID is valid in one spelling only, so equality is that of the text.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SpiffeId {
    text: String,
    path_start: usize,
}

impl SpiffeId {
    /// The trust domain, such as `cluster.local`.
    pub fn trust_domain(&self) -> &str {
        &self.text[SCHEME.len()..self.path_start]
    }

    /// The path with its leading slash, or nothing for the identity of the trust domain itself.
    pub fn path(&self) -> &str {
        &self.text[self.path_start..]
    }

    /// The whole ID.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether this text claims to be a SPIFFE ID, valid or not.
    pub(crate) fn is_claimed_by(text: &str) -> bool {
        text.get(..SCHEME.len()).is_some_and(|start| start.eq_ignore_ascii_case(SCHEME))
    }
}

impl FromStr for SpiffeId {
    type Err = InvalidSpiffeId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.len() > MAX_LENGTH {
            return Err(InvalidSpiffeId::TooLong);
        }
        let rest = text.strip_prefix(SCHEME).ok_or(InvalidSpiffeId::Scheme)?;
        let trust_domain = rest.split('/').next().unwrap_or_default();
        check_trust_domain(trust_domain)?;
        check_path(&rest[trust_domain.len()..])?;
        Ok(Self { text: text.to_owned(), path_start: SCHEME.len() + trust_domain.len() })
    }
}

fn check_trust_domain(trust_domain: &str) -> Result<(), InvalidSpiffeId> {
    if trust_domain.is_empty() || trust_domain.len() > MAX_TRUST_DOMAIN_LENGTH {
        return Err(InvalidSpiffeId::TrustDomainLength);
    }
    let allowed = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-' | b'_');
    if trust_domain.bytes().all(allowed) { Ok(()) } else { Err(InvalidSpiffeId::TrustDomainCharacter) }
}

fn check_path(path: &str) -> Result<(), InvalidSpiffeId> {
    path.split('/').skip(1).try_for_each(|segment| match segment {
        "" => Err(InvalidSpiffeId::EmptySegment),
        "." | ".." => Err(InvalidSpiffeId::DotSegment),
        _ if segment.bytes().all(is_path_byte) => Ok(()),
        _ => Err(InvalidSpiffeId::PathCharacter),
    })
}

const fn is_path_byte(byte: u8) -> bool {
    matches!(byte, b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' | b'_')
}

impl fmt::Display for SpiffeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

impl fmt::Debug for SpiffeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SpiffeId({})", self.text)
    }
}

/// Which rule of the SPIFFE ID standard a text breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSpiffeId {
    /// It does not start with `spiffe://`.
    #[error("a SPIFFE ID starts with spiffe:// in lower case")]
    Scheme,
    /// It is longer than the standard allows.
    #[error("a SPIFFE ID has at most 2048 bytes")]
    TooLong,
    /// The trust domain is missing or too long.
    #[error("the trust domain of a SPIFFE ID has 1 to 255 bytes")]
    TrustDomainLength,
    /// A trust domain has no upper case letters, port, user or query.
    #[error(
        "the trust domain of a SPIFFE ID has only lower case letters, digits, '.', '-' and '_' (no port, no query)"
    )]
    TrustDomainCharacter,
    /// `//` or a slash at the end.
    #[error("the path of a SPIFFE ID has no empty segment and no slash at its end")]
    EmptySegment,
    /// `.` or `..`.
    #[error("the path of a SPIFFE ID has no '.' or '..' segment")]
    DotSegment,
    /// Anything a path segment may not hold, such as a query or percent encoding.
    #[error(
        "the path of a SPIFFE ID has only letters, digits, '.', '-' and '_' (no query, no percent encoding)"
    )]
    PathCharacter,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn valid_ids_split_into_trust_domain_and_path() {
        for (text, trust_domain, path) in [
            ("spiffe://cluster.local", "cluster.local", ""),
            (
                "spiffe://cluster.local/ns/istio-system/sa/istiod",
                "cluster.local",
                "/ns/istio-system/sa/istiod",
            ),
            ("spiffe://a_b-c.1/X/...", "a_b-c.1", "/X/..."),
        ] {
            let id: SpiffeId = text.parse().unwrap();
            assert_eq!((id.trust_domain(), id.path(), id.to_string().as_str()), (trust_domain, path, text));
        }
    }

    #[test]
    fn a_trust_domain_may_have_255_characters() {
        let longest = "a".repeat(255);
        let id: SpiffeId = format!("spiffe://{longest}").parse().unwrap();
        assert_eq!(id.trust_domain(), longest);
    }

    #[test]
    fn each_rule_refuses() {
        use InvalidSpiffeId::*;
        let long_domain = format!("spiffe://{}", "a".repeat(256));
        let long = format!("spiffe://a/{}", "b".repeat(2048));
        for (text, expected) in [
            ("", Scheme),
            ("SPIFFE://a", Scheme),
            ("https://a", Scheme),
            ("spiffe:/a", Scheme),
            ("spiffe://", TrustDomainLength),
            ("spiffe:///path", TrustDomainLength),
            (long_domain.as_str(), TrustDomainLength),
            ("spiffe://Cluster.local", TrustDomainCharacter),
            ("spiffe://a:8080/b", TrustDomainCharacter),
            ("spiffe://user@a/b", TrustDomainCharacter),
            ("spiffe://a?q=1", TrustDomainCharacter),
            ("spiffe://ä", TrustDomainCharacter),
            ("spiffe://a/", EmptySegment),
            ("spiffe://a//b", EmptySegment),
            ("spiffe://a/b/", EmptySegment),
            ("spiffe://a/./b", DotSegment),
            ("spiffe://a/..", DotSegment),
            ("spiffe://a/b?q", PathCharacter),
            ("spiffe://a/b#f", PathCharacter),
            ("spiffe://a/%20", PathCharacter),
            ("spiffe://a/b c", PathCharacter),
            (long.as_str(), TooLong),
        ] {
            assert_eq!(text.parse::<SpiffeId>(), Err(expected), "{text}");
        }
    }

    #[test]
    fn the_longest_id_is_accepted() {
        let prefix = "spiffe://a/";
        let text = format!("{prefix}{}", "b".repeat(2048 - prefix.len()));
        assert!(text.parse::<SpiffeId>().is_ok());
    }
}
