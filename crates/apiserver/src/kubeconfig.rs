//! Kubeconfig files: how kubectl and every client library learn where a cluster is, whom to trust and who they are.

use std::{fmt, io, path::Path};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use crate::http::authn::BearerToken;

/// A self-contained kubeconfig (no file references) for one user of one cluster. It holds a bearer token: treat it as a
/// secret.
#[derive(Clone)]
pub struct Kubeconfig {
    cluster: String,
    server: String,
    ca_pem: String,
    user: String,
    token: BearerToken,
    namespace: Option<String>,
}

impl fmt::Debug for Kubeconfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kubeconfig")
            .field("cluster", &self.cluster)
            .field("server", &self.server)
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

impl Kubeconfig {
    /// A kubeconfig for `user` with `token` at `server`, an `https://` URL whose certificate chains to `ca_pem`.
    pub fn new(cluster: &str, server: &str, ca_pem: &str, user: &str, token: BearerToken) -> Self {
        Self {
            cluster: cluster.to_owned(),
            server: server.to_owned(),
            ca_pem: ca_pem.to_owned(),
            user: user.to_owned(),
            token,
            namespace: None,
        }
    }

    /// Makes `namespace` the one that kubectl uses without `-n`.
    #[must_use]
    pub fn with_namespace(mut self, namespace: &str) -> Self {
        self.namespace = Some(namespace.to_owned());
        self
    }

    /// URL of the server.
    pub fn server(&self) -> &str {
        &self.server
    }

    /// The file's content as JSON, which is also YAML.
    pub fn to_value(&self) -> Value {
        let mut context = json!({"cluster": self.cluster, "user": self.user});
        if let Some(namespace) = &self.namespace {
            context["namespace"] = json!(namespace);
        }
        json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": self.cluster, "cluster": {
                "server": self.server,
                "certificate-authority-data": STANDARD.encode(&self.ca_pem),
            }}],
            "users": [{"name": self.user, "user": {"token": self.token.reveal()}}],
            "contexts": [{"name": self.cluster, "context": context}],
            "current-context": self.cluster,
        })
    }

    /// The file's text, as kubectl writes it.
    pub fn to_yaml(&self) -> String {
        let context_namespace = self
            .namespace
            .as_ref()
            .map_or_else(String::new, |namespace| format!("    namespace: {}\n", quoted(namespace)));
        format!(
            "apiVersion: v1\nkind: Config\nclusters:\n- name: {cluster}\n  cluster:\n    server: {server}\n    \
             certificate-authority-data: {ca}\nusers:\n- name: {user}\n  user:\n    token: {token}\ncontexts:\n- name: \
             {cluster}\n  context:\n    cluster: {cluster}\n    user: {user}\n{context_namespace}current-context: {cluster}\n",
            cluster = quoted(&self.cluster),
            server = quoted(&self.server),
            ca = STANDARD.encode(&self.ca_pem),
            user = quoted(&self.user),
            token = quoted(self.token.reveal()),
        )
    }

    /// Writes the file so that only its owner can read it, replacing what was there in one step.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        let unfinished = path.with_extension("kubeconfig.new");
        write_private(&unfinished, self.to_yaml().as_bytes())?;
        std::fs::rename(&unfinished, path)
    }
}

/// A JSON string is a YAML string, whatever it contains.
fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

fn write_private(path: &Path, content: &[u8]) -> io::Result<()> {
    use io::Write as _;
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    options.open(path)?.write_all(content)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kubeconfig() -> Kubeconfig {
        let token = BearerToken::new("t: \"0\"\n# x");
        Kubeconfig::new("cluster-1", "https://127.0.0.1:1", "PEM\n", "admin", token)
            .with_namespace("certmesh")
    }

    #[test]
    fn kube_reads_what_we_write() {
        let read: kube::config::Kubeconfig =
            kube::config::Kubeconfig::from_yaml(&kubeconfig().to_yaml()).unwrap();
        assert_eq!(read.current_context.as_deref(), Some("cluster-1"));
        let context = read.contexts[0].context.clone().unwrap();
        assert_eq!(
            (context.namespace.as_deref(), context.user.as_deref()),
            (Some("certmesh"), Some("admin"))
        );
        let cluster = read.clusters[0].cluster.clone().unwrap();
        assert_eq!(cluster.server.as_deref(), Some("https://127.0.0.1:1"));
        assert_eq!(cluster.certificate_authority_data.as_deref(), Some("UEVNCg=="));
    }

    #[test]
    fn the_two_forms_say_the_same() {
        let from_yaml: Value = serde_saphyr::from_str(&kubeconfig().to_yaml()).unwrap();
        assert_eq!(from_yaml, kubeconfig().to_value());
    }

    #[test]
    fn the_token_is_not_printed_and_the_file_is_private() {
        assert!(!format!("{:?}", kubeconfig()).contains("\"0\""));
        let dir = std::env::temp_dir().join(format!("kubeconfig-test-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let path = dir.join("c.kubeconfig");
        kubeconfig().write(&path).unwrap();
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
        assert_eq!(std::fs::read_to_string(&path).unwrap(), kubeconfig().to_yaml());
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
