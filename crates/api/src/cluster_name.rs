//! The name of a registered remote cluster, which is also the name of its namespace in the management cluster.

use std::fmt;
use std::str::FromStr;

/// The longest DNS label (RFC 1123), and so the longest namespace name.
const MAX_LENGTH: usize = 63;

/// A cluster name that is safe to use as a namespace: a DNS label that is neither `default` nor `kube-*`.
///
/// Whether it collides with the issuer's own namespace depends on where the issuer runs; registration checks that.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClusterName(String);

/// Why a string is not a cluster name. Each message names the value and the rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClusterNameError {
    /// Not a DNS label.
    #[error(
        "cluster name {0:?} is not a DNS label: use 1 to 63 lower-case letters, digits and '-', starting and ending \
         with a letter or digit"
    )]
    NotADnsLabel(String),
    /// A namespace that Kubernetes keeps for itself.
    #[error(
        "cluster name {0:?} is a namespace that Kubernetes keeps for itself: choose a name that is neither \"default\" nor \"kube-*\""
    )]
    Reserved(String),
}

impl ClusterName {
    /// The name as a string slice.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ClusterName {
    type Err = ClusterNameError;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        if !is_dns_label(name) {
            return Err(ClusterNameError::NotADnsLabel(name.chars().take(100).collect()));
        }
        if name == "default" || name.starts_with("kube-") {
            return Err(ClusterNameError::Reserved(name.to_owned()));
        }
        Ok(Self(name.to_owned()))
    }
}

impl fmt::Display for ClusterName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn is_dns_label(name: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    !name.is_empty()
        && name.len() <= MAX_LENGTH
        && name.bytes().all(inner)
        && !name.starts_with('-')
        && !name.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_names_are_accepted() {
        for name in ["a", "cluster-1", "0", &"x".repeat(63)] {
            assert_eq!(name.parse::<ClusterName>().unwrap().as_str(), name);
        }
    }

    #[test]
    fn names_that_could_not_be_a_namespace_are_refused() {
        for name in ["", "-a", "a-", "A", "a.b", "a_b", "ü", &"x".repeat(64)] {
            assert!(matches!(name.parse::<ClusterName>(), Err(ClusterNameError::NotADnsLabel(_))), "{name}");
        }
    }

    #[test]
    fn namespaces_of_kubernetes_are_refused() {
        for name in ["default", "kube-system", "kube-x"] {
            assert!(matches!(name.parse::<ClusterName>(), Err(ClusterNameError::Reserved(_))), "{name}");
        }
    }
}
