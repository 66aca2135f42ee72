//! The bytes to look at: the files of a Secret, or one file of its own.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Read},
    path::Path,
};

use k8s_openapi::{ByteString, api::core::v1::Secret};
use kube::Api;
use zeroize::Zeroizing;

use super::target::SecretName;
use crate::{failure::Failure, kube_access::KubeOptions};

/// A Secret is at most 1 MiB; as YAML with base64 it grows by a third.
const MAX_BYTES: u64 = 4 << 20;

/// What to look at, and where it came from.
pub(super) struct Source {
    /// For people: a file's name or `cluster/namespace/name`.
    pub(super) name: String,
    pub(super) kind: SourceKind,
}

pub(super) enum SourceKind {
    Secret(Box<Secret>),
    Pem(Zeroizing<Vec<u8>>),
}

impl Source {
    pub(super) fn from_stdin() -> Result<Self, Failure> {
        Self::from_reader("stdin", io::stdin().lock())
    }

    pub(super) fn from_file(path: &Path) -> Result<Self, Failure> {
        let name = path.display().to_string();
        let file = File::open(path).map_err(|error| unreadable(&name).because(error))?;
        Self::from_reader(&name, file)
    }

    fn from_reader(name: &str, reader: impl Read) -> Result<Self, Failure> {
        let mut bytes = Zeroizing::new(Vec::new());
        reader
            .take(MAX_BYTES + 1)
            .read_to_end(&mut bytes)
            .map_err(|error| unreadable(name).because(error))?;
        if bytes.len() as u64 > MAX_BYTES {
            let why = format!("it has more than the {} MiB that a Secret can have", MAX_BYTES >> 20);
            return Err(unreadable(name).because(why));
        }
        Self::from_bytes(name, bytes)
    }

    /// A Secret when it says so, else PEM.
    fn from_bytes(name: &str, bytes: Zeroizing<Vec<u8>>) -> Result<Self, Failure> {
        let kind = match manifest_kind(&bytes) {
            Some(kind) if kind == "Secret" => SourceKind::Secret(Box::new(secret(name, &bytes)?)),
            Some(kind) => {
                return Err(unreadable(name)
                    .because(format!("it is a manifest of kind {kind:?}, not of a Secret"))
                    .advise("give one Secret (kubectl get secret NAME -o yaml) or a PEM file"));
            }
            None if has_pem(&bytes) => SourceKind::Pem(bytes),
            None => {
                return Err(unreadable(name)
                    .because("it holds neither a PEM block nor the manifest of a Secret")
                    .advise("a DER file becomes PEM with `openssl x509 -inform der`, a PKCS#12 file with `openssl pkcs12`"));
            }
        };
        Ok(Self { name: name.to_owned(), kind })
    }

    /// Reads a live Secret.
    pub(super) async fn from_cluster(secret: &SecretName, kube: &KubeOptions) -> Result<Self, Failure> {
        let options = match &secret.cluster {
            Some(cluster) => kube.with_context(cluster),
            None => kube.clone(),
        };
        let api: Api<Secret> = Api::namespaced(options.client().await?, &secret.namespace);
        let found = api.get(&secret.name).await.map_err(|error| {
            Failure::new(format!("reading Secret {}/{}", secret.namespace, secret.name))
                .because(error)
                .advise("check the name, the cluster (--context) and your right to `get` Secrets there")
        })?;
        let cluster = secret.cluster.as_ref().map(|cluster| format!("{cluster}/")).unwrap_or_default();
        let name = format!("{cluster}{}/{}", secret.namespace, secret.name);
        Ok(Self { name, kind: SourceKind::Secret(Box::new(found)) })
    }

    /// The Secret, if it is one.
    pub(super) fn secret(&self) -> Option<&Secret> {
        match &self.kind {
            SourceKind::Secret(secret) => Some(secret),
            SourceKind::Pem(_) => None,
        }
    }

    /// The files by name: a Secret's keys, or the file itself.
    pub(super) fn files(&self) -> Vec<(&str, &[u8])> {
        match &self.kind {
            SourceKind::Secret(secret) => secret
                .data
                .iter()
                .flat_map(BTreeMap::iter)
                .map(|(name, ByteString(bytes))| (name.as_str(), bytes.as_slice()))
                .collect(),
            SourceKind::Pem(bytes) => vec![(self.name.as_str(), bytes.as_slice())],
        }
    }
}

fn unreadable(name: &str) -> Failure {
    Failure::new(format!("reading {name}"))
}

/// The `kind` of a Kubernetes manifest, if the bytes are one.
fn manifest_kind(bytes: &[u8]) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct TypeMeta {
        kind: String,
    }
    let text = std::str::from_utf8(bytes).ok()?;
    serde_saphyr::from_str::<TypeMeta>(text).ok().map(|meta| meta.kind)
}

/// A Secret from its manifest; `stringData` wins over `data`, as the API server has it.
fn secret(name: &str, bytes: &[u8]) -> Result<Secret, Failure> {
    let invalid = |error: Box<dyn std::error::Error + Send + Sync>| {
        unreadable(name)
            .because(error)
            .advise("give the Secret as `kubectl get secret NAME -o yaml` prints it")
    };
    let text = std::str::from_utf8(bytes).map_err(|error| invalid(error.into()))?;
    let mut secret: Secret = serde_saphyr::from_str(text).map_err(|error| invalid(error.into()))?;
    for (key, value) in secret.string_data.take().unwrap_or_default() {
        secret.data.get_or_insert_default().insert(key, ByteString(value.into_bytes()));
    }
    Ok(secret)
}

fn has_pem(bytes: &[u8]) -> bool {
    bytes.windows(10).any(|window| window == b"-----BEGIN")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::Exit;

    fn read(text: &str) -> Result<Source, Failure> {
        Source::from_reader("x", text.as_bytes())
    }

    #[test]
    fn secrets_are_read_as_yaml_and_json() {
        let yaml = "apiVersion: v1\nkind: Secret\nmetadata: {name: a}\ndata: {k: YQ==, l: YQ==}\nstringData: {l: b}\n";
        let json = r#"{"apiVersion":"v1","kind":"Secret","data":{"k":"YQ=="},"stringData":{"l":"b"}}"#;
        for text in [yaml, json] {
            let source = read(text).unwrap();
            assert!(source.secret().is_some());
            assert_eq!(source.files(), [("k", b"a".as_slice()), ("l", b"b")]);
        }
    }

    #[test]
    fn a_pem_file_is_one_file() {
        let source = read("-----BEGIN A-----\nYQ==\n-----END A-----\n").unwrap();
        assert!(source.secret().is_none());
        assert_eq!(source.files().len(), 1);
    }

    #[test]
    fn what_is_neither_is_refused_with_advice() {
        for text in ["", "hello", "kind: ConfigMap\n", "kind: Secret\ndata: {k: '*'}\n", "\u{0}\u{1}"] {
            let failure = read(text).err().unwrap_or_else(|| panic!("{text:?} was read"));
            assert_eq!(failure.exit(), Exit::Failed);
        }
        let large = "a".repeat(usize::try_from(MAX_BYTES).unwrap() + 1);
        assert!(read(&large).is_err());
    }
}
