//! What `inspect` is pointed at.

use std::path::{Path, PathBuf};

use crate::failure::Failure;

/// Where the bytes come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Target {
    Stdin,
    File(PathBuf),
    Live(SecretName),
}

/// A Secret of a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SecretName {
    /// Context of the kubeconfig; nothing for the one that the options name.
    pub(super) cluster: Option<String>,
    pub(super) namespace: String,
    pub(super) name: String,
}

impl Target {
    /// A file when there is one of that name, else a live Secret.
    pub(super) fn parse(text: &str) -> Result<Self, Failure> {
        if text == "-" {
            return Ok(Self::Stdin);
        }
        let path = Path::new(text);
        if path.is_file() {
            return Ok(Self::File(path.to_owned()));
        }
        SecretName::parse(text).map(Self::Live).ok_or_else(|| {
            Failure::new(format!("finding {text:?}"))
                .because("there is no such file, and it is not the name of a Secret either")
                .advise("give an existing file, `-` for stdin, or [CLUSTER/]NAMESPACE/NAME")
        })
    }
}

impl SecretName {
    /// Names of contexts may contain slashes (EKS calls them `arn:…:cluster/name`), those of namespaces and Secrets may
    /// not: so it is read from the end.
    fn parse(text: &str) -> Option<Self> {
        let (rest, name) = text.rsplit_once('/')?;
        let (cluster, namespace) = match rest.rsplit_once('/') {
            Some((cluster, namespace)) => (Some(cluster), namespace),
            None => (None, rest),
        };
        let is_object_name = |part: &str| {
            let allowed =
                |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(&byte);
            !part.is_empty() && part.len() <= 253 && part.bytes().all(allowed) && !part.starts_with('.')
        };
        (is_object_name(namespace) && is_object_name(name) && cluster != Some("")).then(|| Self {
            cluster: cluster.map(str::to_owned),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn live(cluster: Option<&str>, namespace: &str, name: &str) -> Target {
        Target::Live(SecretName {
            cluster: cluster.map(str::to_owned),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        })
    }

    #[test]
    fn a_target_is_what_it_looks_like() {
        for (text, expected) in [
            ("-", Target::Stdin),
            ("Cargo.toml", Target::File("Cargo.toml".into())),
            ("istio-system/cacerts", live(None, "istio-system", "cacerts")),
            ("cluster-1/istio-system/cacerts", live(Some("cluster-1"), "istio-system", "cacerts")),
            (
                "arn:aws:eks:x:1:cluster/prod/certmesh/root.ca",
                live(Some("arn:aws:eks:x:1:cluster/prod"), "certmesh", "root.ca"),
            ),
        ] {
            assert_eq!(Target::parse(text).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for text in ["", "missing.pem", "/a/b", "/etc/missing/Root.pem", "a//b", "../x", "a/B"] {
            assert!(Target::parse(text).is_err(), "{text}");
        }
    }
}
