//! A kubeconfig from a Secret is data, not code: whatever would run a program, read a file or weaken TLS is refused.

use crate::connect::{ConnectError, connect};
use certmesh_api::secrets;
use k8s_openapi::api::core::v1::Secret;
use kube::config::{AuthInfo, Cluster, KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::{Client, Config};

/// A kubeconfig larger than this is not one.
const MAX_BYTES: usize = 256 * 1024;

/// Why a kubeconfig is not used. Each says which field, and what to write instead.
#[derive(Debug, thiserror::Error)]
pub enum KubeconfigRefusal {
    /// The Secret has no kubeconfig.
    #[error("the Secret has no key \"kubeconfig\": register the cluster again")]
    Missing,
    /// Larger than any kubeconfig.
    #[error("the kubeconfig is {0} bytes; at most {MAX_BYTES} are read")]
    TooLarge(usize),
    /// Not UTF-8 or not a kubeconfig.
    #[error("the kubeconfig cannot be read: {0}; correct it or register the cluster again")]
    Unreadable(String),
    /// A field that is not data.
    #[error("the kubeconfig sets {field}: {why}")]
    Forbidden {
        /// The field's path.
        field: &'static str,
        /// What is wrong with it and what to do.
        why: &'static str,
    },
    /// The current context is incomplete.
    #[error("the kubeconfig's current context cannot be used: {0}")]
    Incomplete(#[from] KubeconfigError),
    /// No client could be made of it.
    #[error(transparent)]
    Connect(#[from] ConnectError),
}

/// A client for the cluster that the registration Secret describes.
pub async fn client_from_secret(secret: &Secret) -> Result<Client, KubeconfigRefusal> {
    let bytes = secrets::data(secret, secrets::KUBECONFIG).ok_or(KubeconfigRefusal::Missing)?;
    let kubeconfig = parse(bytes)?;
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    Ok(connect(&config)?)
}

/// Reads a kubeconfig and refuses everything in it that is not plain data.
pub fn parse(bytes: &[u8]) -> Result<Kubeconfig, KubeconfigRefusal> {
    if bytes.len() > MAX_BYTES {
        return Err(KubeconfigRefusal::TooLarge(bytes.len()));
    }
    let text =
        std::str::from_utf8(bytes).map_err(|error| KubeconfigRefusal::Unreadable(error.to_string()))?;
    let kubeconfig = Kubeconfig::from_yaml(text).map_err(|error| unreadable(&error))?;
    let clusters = kubeconfig.clusters.iter().filter_map(|named| named.cluster.as_ref());
    let users = kubeconfig.auth_infos.iter().filter_map(|named| named.auth_info.as_ref());
    let found = clusters.filter_map(forbidden_in_cluster).chain(users.filter_map(forbidden_in_user)).next();
    match found {
        Some((field, why)) => Err(KubeconfigRefusal::Forbidden { field, why }),
        None => Ok(kubeconfig),
    }
}

/// Where the YAML is wrong, and no more: the parser's own message quotes lines, and a kubeconfig is full of secrets.
fn unreadable(error: &KubeconfigError) -> KubeconfigRefusal {
    let location = match error {
        KubeconfigError::Parse(error) => error.location(),
        _ => None,
    };
    let place =
        location.map_or_else(String::new, |at| format!(" near line {}, column {}", at.line(), at.column()));
    KubeconfigRefusal::Unreadable(format!("it is no kubeconfig in YAML{place}"))
}

type Forbidden = (&'static str, &'static str);

const NO_FILES: &str =
    "the issuer reads no files on behalf of a Secret; inline the content as *-data or token";

fn forbidden_in_cluster(cluster: &Cluster) -> Option<Forbidden> {
    let checks = [
        (
            cluster.insecure_skip_tls_verify == Some(true),
            "clusters[].cluster.insecure-skip-tls-verify",
            "whoever is on the network could then be the cluster; give certificate-authority-data instead",
        ),
        (cluster.certificate_authority.is_some(), "clusters[].cluster.certificate-authority", NO_FILES),
        (
            cluster.proxy_url.is_some(),
            "clusters[].cluster.proxy-url",
            "a proxy could read and change everything; make the API server reachable directly",
        ),
        (
            !cluster.server.as_deref().is_some_and(|server| server.starts_with("https://")),
            "clusters[].cluster.server",
            "only https:// servers are used",
        ),
    ];
    first(checks)
}

fn forbidden_in_user(user: &AuthInfo) -> Option<Forbidden> {
    let checks = [
        (user.exec.is_some(), "users[].user.exec", "no program is run on behalf of a Secret; use a token"),
        (
            user.auth_provider.is_some(),
            "users[].user.auth-provider",
            "no program is run on behalf of a Secret; use a token",
        ),
        (user.token_file.is_some(), "users[].user.tokenFile", NO_FILES),
        (user.client_certificate.is_some(), "users[].user.client-certificate", NO_FILES),
        (user.client_key.is_some(), "users[].user.client-key", NO_FILES),
    ];
    first(checks)
}

fn first<const N: usize>(checks: [(bool, &'static str, &'static str); N]) -> Option<Forbidden> {
    checks.into_iter().find(|(found, ..)| *found).map(|(_, field, why)| (field, why))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kubeconfig(cluster: &str, user: &str) -> String {
        format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: c\ncontexts:\n- name: c\n  context: {{cluster: c, user: u}}\n\
             clusters:\n- name: c\n  cluster: {{server: 'https://127.0.0.1:6443'{cluster}}}\n\
             users:\n- name: u\n  user: {{token: t{user}}}\n"
        )
    }

    #[test]
    fn plain_data_is_read() {
        let parsed = parse(kubeconfig("", "").as_bytes()).unwrap();
        assert_eq!(parsed.current_context.as_deref(), Some("c"));
    }

    #[test]
    fn whatever_is_not_data_is_refused_by_name() {
        for (cluster, user, field) in [
            (", insecure-skip-tls-verify: true", "", "clusters[].cluster.insecure-skip-tls-verify"),
            (", certificate-authority: /ca.pem", "", "clusters[].cluster.certificate-authority"),
            (", proxy-url: 'http://127.0.0.1:1'", "", "clusters[].cluster.proxy-url"),
            (", server: 'http://127.0.0.1'", "", "clusters[].cluster.server"),
            ("", ", exec: {apiVersion: v1, command: sh}", "users[].user.exec"),
            ("", ", auth-provider: {name: gcp}", "users[].user.auth-provider"),
            ("", ", tokenFile: /token", "users[].user.tokenFile"),
            ("", ", client-certificate: /c.pem", "users[].user.client-certificate"),
            ("", ", client-key: /k.pem", "users[].user.client-key"),
        ] {
            let mut text = kubeconfig(cluster, user);
            if cluster.contains("server") {
                text = text.replacen("server: 'https://127.0.0.1:6443', ", "", 1);
            }
            match parse(text.as_bytes()) {
                Err(KubeconfigRefusal::Forbidden { field: found, .. }) => assert_eq!(found, field),
                other => panic!("{field}: {other:?}"),
            }
        }
    }

    #[test]
    fn what_is_no_kubeconfig_is_refused() {
        assert!(matches!(parse(b"\xff"), Err(KubeconfigRefusal::Unreadable(_))));
        assert!(matches!(parse(b"{"), Err(KubeconfigRefusal::Unreadable(_))));
        assert!(matches!(parse(&vec![b'a'; MAX_BYTES + 1]), Err(KubeconfigRefusal::TooLarge(_))));
    }

    #[test]
    fn no_part_of_a_kubeconfig_is_in_the_message() {
        let good = kubeconfig("", "");
        let broken = [
            good.replace("token: t", "token: [hunter2"),
            good.replace("token: t", "token: {hunter2: [}"),
            good.replace("users:", "users: hunter2 :\n- hunter2: 'a"),
            good.replace("current-context: c", "current-context: {hunter2: 1}"),
            "hunter2".to_owned(),
            "- hunter2".to_owned(),
        ];
        for text in broken {
            let message = parse(text.as_bytes()).unwrap_err().to_string();
            assert!(!message.contains("hunter2"), "{message}");
        }
    }
}
