//! The names a certificate is issued for: SPIFFE IDs, IP addresses and DNS names.

use std::{fmt, net::IpAddr, str::FromStr};

use der::asn1::Ia5String;
use x509_cert::ext::pkix::name::GeneralName;

use crate::spiffe::{InvalidSpiffeId, SpiffeId};

/// One name in a certificate's subject alternative names (RFC 5280 section 4.2.1.6).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Host {
    /// `spiffe://…`, a URI in the certificate.
    Spiffe(SpiffeId),
    /// An IPv4 or IPv6 address.
    Ip(IpAddr),
    /// A DNS name in lower case, with at most one leading `*.`.
    Dns(DnsName),
}

/// A valid DNS name (RFC 1123) in lower case, the only content of [`Host::Dns`].
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DnsName(String);

impl DnsName {
    /// The name in lower case.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Host {
    pub(crate) fn to_general_name(&self) -> der::Result<GeneralName> {
        Ok(match self {
            Self::Spiffe(id) => GeneralName::UniformResourceIdentifier(Ia5String::new(id.as_str())?),
            Self::Ip(address) => GeneralName::from(*address),
            Self::Dns(name) => GeneralName::DnsName(Ia5String::new(name.as_str())?),
        })
    }

    pub(crate) fn from_general_name(name: &GeneralName) -> Option<Self> {
        match name {
            GeneralName::UniformResourceIdentifier(uri) => uri.as_str().parse().ok().map(Self::Spiffe),
            GeneralName::DnsName(name) => DnsName::parse(name.as_str()).ok().map(Self::Dns),
            GeneralName::IpAddress(octets) => match octets.as_bytes() {
                bytes if bytes.len() == 4 => <[u8; 4]>::try_from(bytes).ok().map(|ip| Self::Ip(ip.into())),
                bytes => <[u8; 16]>::try_from(bytes).ok().map(|ip| Self::Ip(ip.into())),
            },
            _ => None,
        }
    }
}

impl FromStr for Host {
    type Err = InvalidHost;

    fn from_str(value: &str) -> Result<Self, Self::Err> {
        if SpiffeId::is_claimed_by(value) {
            return Ok(Self::Spiffe(value.parse()?));
        }
        match value.parse::<IpAddr>() {
            Ok(address) => Ok(Self::Ip(address)),
            Err(_) => DnsName::parse(value).map(Self::Dns),
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Spiffe(id) => id.fmt(f),
            Self::Ip(address) => address.fmt(f),
            Self::Dns(name) => f.pad(name.as_str()),
        }
    }
}

impl DnsName {
    fn parse(value: &str) -> Result<Self, InvalidHost> {
        if value.is_empty() {
            return Err(InvalidHost::Empty);
        }
        if value.contains("://") {
            return Err(InvalidHost::Scheme);
        }
        if value.len() > 253 {
            return Err(InvalidHost::DnsNameTooLong);
        }
        let labels = value.strip_prefix("*.").unwrap_or(value);
        labels.split('.').try_for_each(check_label)?;
        // `1.2.3.4.5` or `10.0.0.256` is a mistyped address, and no top level domain is a number (RFC 3696 section 2).
        if labels.rsplit('.').next().is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_digit())) {
            return Err(InvalidHost::NumericTopLevel);
        }
        Ok(Self(value.to_ascii_lowercase()))
    }
}

fn check_label(label: &str) -> Result<(), InvalidHost> {
    if label.is_empty() || label.len() > 63 {
        return Err(InvalidHost::LabelLength);
    }
    if label.contains('*') {
        return Err(InvalidHost::Wildcard);
    }
    if !label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
        return Err(InvalidHost::LabelCharacter);
    }
    if label.starts_with('-') || label.ends_with('-') {
        return Err(InvalidHost::LabelHyphen);
    }
    Ok(())
}

/// Which rule a host breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidHost {
    /// It is empty.
    #[error("it is empty")]
    Empty,
    /// It starts with `spiffe://` and breaks a rule of that standard.
    #[error(transparent)]
    Spiffe(#[from] InvalidSpiffeId),
    /// A URI that is no SPIFFE ID.
    #[error("spiffe:// is the only kind of URI that is allowed")]
    Scheme,
    /// Longer than DNS allows.
    #[error("a DNS name has at most 253 characters")]
    DnsNameTooLong,
    /// A label is empty (two dots, or one at an end) or too long.
    #[error("each label of a DNS name has 1 to 63 characters, and the name does not end with a dot")]
    LabelLength,
    /// RFC 1123 allows letters, digits and hyphens.
    #[error("a DNS name has only letters, digits, '-' and '.'")]
    LabelCharacter,
    /// A hyphen at an end of a label.
    #[error("a label of a DNS name does not start or end with '-'")]
    LabelHyphen,
    /// A star anywhere but alone in the first label.
    #[error("a wildcard is allowed only once, as the leading '*.' before a name")]
    Wildcard,
    /// The last label is a number, so the value is a mistyped IP address.
    #[error("it is no valid IP address, and a DNS name does not end in a number")]
    NumericTopLevel,
}

/// At least one host, each valid, none twice; in the order they were given.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Hosts(Vec<Host>);

impl Hosts {
    /// Reads every value; the error names the first that is not acceptable.
    pub fn parse(values: &[impl AsRef<str>]) -> Result<Self, HostError> {
        let mut hosts = Vec::with_capacity(values.len());
        for value in values.iter().map(AsRef::as_ref) {
            let host = value
                .parse::<Host>()
                .map_err(|reason| HostError::Invalid { host: shortened(value), reason })?;
            if hosts.contains(&host) {
                return Err(HostError::Duplicate { host: shortened(value) });
            }
            hosts.push(host);
        }
        if hosts.is_empty() { Err(HostError::NoHosts) } else { Ok(Self(hosts)) }
    }

    /// The hosts, in the order they were given.
    pub fn iter(&self) -> std::slice::Iter<'_, Host> {
        self.0.iter()
    }

    /// Whether both hold the same hosts, in whatever order.
    pub fn is_same_set(&self, other: &Self) -> bool {
        self.0.len() == other.0.len() && self.0.iter().all(|host| other.0.contains(host))
    }
}

impl<'a> IntoIterator for &'a Hosts {
    type Item = &'a Host;
    type IntoIter = std::slice::Iter<'a, Host>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// The offending value as it appears in a message: whole unless somebody wrote a novel.
fn shortened(value: &str) -> String {
    const SHOWN: usize = 300;
    match value.char_indices().nth(SHOWN) {
        None => value.to_owned(),
        Some((end, _)) => format!("{}…", &value[..end]),
    }
}

/// Why a list of hosts was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HostError {
    /// The list is empty.
    #[error("no hosts are given: a certificate needs at least one SPIFFE ID, IP address or DNS name")]
    NoHosts,
    /// One value is not a host.
    #[error("host {host:?} is not valid: {reason}")]
    Invalid {
        /// The value, cut when very long.
        host: String,
        /// The rule it breaks.
        reason: InvalidHost,
    },
    /// A value is given twice, perhaps in another spelling.
    #[error("host {host:?} is given twice: remove one")]
    Duplicate {
        /// The second of the two.
        host: String,
    },
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_kind_is_recognised() {
        for (text, shown) in [
            ("spiffe://cluster.local/ns/a/sa/b", "spiffe://cluster.local/ns/a/sa/b"),
            ("10.0.0.1", "10.0.0.1"),
            ("2001:DB8:0::1", "2001:db8::1"),
            ("Istiod.istio-system.SVC", "istiod.istio-system.svc"),
            ("*.example.com", "*.example.com"),
            ("localhost", "localhost"),
            ("1a.example", "1a.example"),
        ] {
            assert_eq!(text.parse::<Host>().unwrap().to_string(), shown);
        }
    }

    #[test]
    fn a_host_is_the_same_after_its_way_through_a_certificate() {
        for text in ["spiffe://cluster.local/ns/a/sa/b", "10.0.0.1", "2001:db8::1", "istiod.istio-system.svc"]
        {
            let host: Host = text.parse().unwrap();
            assert_eq!(Host::from_general_name(&host.to_general_name().unwrap()), Some(host));
        }
    }

    #[test]
    fn each_rule_refuses() {
        let long_label = format!("{}.example", "a".repeat(64));
        let long_name = format!("{}example", "a.".repeat(130));
        for (text, expected) in [
            ("", InvalidHost::Empty),
            ("https://example.com", InvalidHost::Scheme),
            ("SPIFFE://a", InvalidHost::Spiffe(InvalidSpiffeId::Scheme)),
            ("spiffe://A", InvalidHost::Spiffe(InvalidSpiffeId::TrustDomainCharacter)),
            (long_name.as_str(), InvalidHost::DnsNameTooLong),
            (long_label.as_str(), InvalidHost::LabelLength),
            ("example.com.", InvalidHost::LabelLength),
            (".example.com", InvalidHost::LabelLength),
            ("a..b", InvalidHost::LabelLength),
            ("under_score.example", InvalidHost::LabelCharacter),
            ("spa ce", InvalidHost::LabelCharacter),
            ("exämple.com", InvalidHost::LabelCharacter),
            ("a:8080", InvalidHost::LabelCharacter),
            ("[::1]", InvalidHost::LabelCharacter),
            ("-a.example", InvalidHost::LabelHyphen),
            ("a-.example", InvalidHost::LabelHyphen),
            ("*", InvalidHost::Wildcard),
            ("a.*.example", InvalidHost::Wildcard),
            ("*.*.example", InvalidHost::Wildcard),
            ("a*.example", InvalidHost::Wildcard),
            ("10.0.0.256", InvalidHost::NumericTopLevel),
            ("10.0.0.1.2", InvalidHost::NumericTopLevel),
            ("42", InvalidHost::NumericTopLevel),
        ] {
            assert_eq!(text.parse::<Host>(), Err(expected), "{text}");
        }
    }

    #[test]
    fn a_list_is_refused_with_the_value_named() {
        assert_eq!(Hosts::parse(&[] as &[&str]), Err(HostError::NoHosts));
        let error = Hosts::parse(&["a.example", "b_.example"]).unwrap_err();
        assert!(error.to_string().contains("\"b_.example\""), "{error}");
        let error = Hosts::parse(&["a.example", "A.example"]).unwrap_err();
        assert_eq!(error, HostError::Duplicate { host: "A.example".into() });
        let error = Hosts::parse(&["::1", "0:0:0:0:0:0:0:1"]).unwrap_err();
        assert!(matches!(error, HostError::Duplicate { .. }), "{error}");
        let error = Hosts::parse(&["_".repeat(10_000)]).unwrap_err();
        assert!(error.to_string().len() < 1_000, "a long value is cut: {error}");
    }

    #[test]
    fn sets_ignore_order() {
        let a = Hosts::parse(&["a.example", "10.0.0.1"]).unwrap();
        let b = Hosts::parse(&["10.0.0.1", "a.example"]).unwrap();
        let c = Hosts::parse(&["10.0.0.1"]).unwrap();
        assert!(a.is_same_set(&b) && !a.is_same_set(&c) && !c.is_same_set(&a));
        assert_ne!(a, b);
    }

    proptest! {
        #[test]
        fn whatever_is_accepted_reads_back_the_same(text in "\\PC{0,40}|[a-zA-Z0-9.*:/-]{0,40}|spiffe://[a-z./]{0,20}") {
            if let Ok(host) = text.parse::<Host>() {
                prop_assert_eq!(host.to_string().parse::<Host>(), Ok(host.clone()));
                let name = host.to_general_name().unwrap();
                prop_assert_eq!(Host::from_general_name(&name), Some(host));
            }
        }
    }
}
