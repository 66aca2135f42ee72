//! Kubernetes' protobuf, read only: kubectl and Go clients send built-in kinds in it (`kubectl create namespace`,
//! `auth can-i`), and do not fall back to JSON when refused.
//!
//! ```text
//!   "k8s\0" ++ runtime.Unknown { typeMeta, raw }     the envelope
//!                                 │         │
//!              messages.txt ──▶ message ────┴──▶ JSON value, as Go would have marshalled the same object
//! ```
//!
//! Which field is which comes from a table of the upstream types (`messages.txt`, written by `cargo xtask protobuf`). Answers are
//! always JSON.

mod json;
mod messages;
mod wire;

use serde_json::{Map, Value};
use thiserror::Error;

use messages::MESSAGES;
use wire::{Reader, WireValue};

const MAGIC: &[u8] = b"k8s\0";

/// A protobuf body could not be read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(super) enum ProtobufError {
    /// Not the envelope, or bytes that are no protobuf.
    #[error("provided data does not appear to be a protobuf message: {0}")]
    Malformed(&'static str),
    /// The kind has no protobuf form here; custom resources never have.
    #[error("{kind} of {api_version} is not read from protobuf")]
    UnknownKind {
        /// `v1` or `apps/v1`.
        api_version: String,
        /// The kind.
        kind: String,
    },
}

/// Reads an enveloped object.
pub(super) fn object(body: &[u8]) -> Result<Value, ProtobufError> {
    let envelope =
        body.strip_prefix(MAGIC).ok_or(ProtobufError::Malformed("it does not begin with \"k8s\\0\""))?;
    let (mut type_meta, mut raw) = (&[][..], &[][..]);
    for field in Reader::new(envelope) {
        match field? {
            (1, WireValue::Bytes(bytes)) => type_meta = bytes,
            (2, WireValue::Bytes(bytes)) => raw = bytes,
            _ => {}
        }
    }
    let (api_version, kind) = read_type_meta(type_meta)?;
    let Some(message) = message_name(api_version, kind).and_then(|name| MESSAGES.get(name.as_str())) else {
        return Err(ProtobufError::UnknownKind {
            api_version: api_version.to_owned(),
            kind: kind.to_owned(),
        });
    };
    let mut object = Map::new();
    object.insert("kind".to_owned(), kind.into());
    object.insert("apiVersion".to_owned(), api_version.into());
    json::fill(&mut object, message, raw, 0)?;
    Ok(Value::Object(object))
}

fn read_type_meta(bytes: &[u8]) -> Result<(&str, &str), ProtobufError> {
    let (mut api_version, mut kind) = ("", "");
    for field in Reader::new(bytes) {
        match field? {
            (1, WireValue::Bytes(bytes)) => api_version = wire::text(bytes)?,
            (2, WireValue::Bytes(bytes)) => kind = wire::text(bytes)?,
            _ => {}
        }
    }
    Ok((api_version, kind))
}

/// The table's name of a kind: the first label of its group, its version, and the kind.
fn message_name(api_version: &str, kind: &str) -> Option<String> {
    if kind == "DeleteOptions" {
        return Some("meta/v1.DeleteOptions".to_owned());
    }
    let (group, version) = api_version.split_once('/').unwrap_or(("core", api_version));
    let package = group.split('.').next()?;
    Some(format!("{package}/{version}.{kind}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    macro_rules! sample {
        ($name:literal) => {
            (
                $name,
                &include_bytes!(concat!("testdata/", $name, ".pb"))[..],
                include_str!(concat!("testdata/", $name, ".json")),
            )
        };
    }

    /// Upstream's own samples: every field set, in both forms.
    #[test]
    fn upstream_samples_read_as_their_json() {
        let samples: [(&str, &[u8], &str); 6] = [
            sample!("apiextensions.k8s.io.v1.CustomResourceDefinition"),
            sample!("apps.v1.Deployment"),
            sample!("authorization.k8s.io.v1.SelfSubjectAccessReview"),
            sample!("authentication.k8s.io.v1.TokenRequest"),
            sample!("core.v1.Secret"),
            sample!("rbac.authorization.k8s.io.v1.ClusterRole"),
        ];
        for (name, protobuf, json) in samples {
            let expected: Value = serde_json::from_str(json).unwrap();
            assert_eq!(object(protobuf).unwrap(), expected, "{name}");
        }
    }

    #[test]
    fn what_kubectl_sends_reads_without_its_empty_fields() {
        // kubectl create namespace nsx
        let body = b"k8s\0\x0a\x0f\x0a\x02v1\x12\x09Namespace\x12\x1b\x0a\x13\x0a\x03nsx\x12\x00\x1a\x00\x22\x00\x2a\x00\x32\x00\
                     \x38\x00\x42\x00\x12\x00\x1a\x02\x0a\x00\x1a\x00\x22\x00";
        let expected = serde_json::json!({
            "kind": "Namespace", "apiVersion": "v1", "metadata": {"name": "nsx"}, "spec": {}, "status": {},
        });
        assert_eq!(object(body).unwrap(), expected);
    }

    #[test]
    fn custom_kinds_and_other_bytes_are_told_apart() {
        let unknown = b"k8s\0\x0a\x18\x0a\x0eexample.com/v1\x12\x06Widget\x12\x00";
        assert!(matches!(object(unknown), Err(ProtobufError::UnknownKind { kind, .. }) if kind == "Widget"));
        for bytes in [&b""[..], b"{}", b"k8s\0\x0a\xff", b"k8s\0\x0a\x02\xff\xff"] {
            assert!(
                matches!(object(bytes), Err(ProtobufError::Malformed(_) | ProtobufError::UnknownKind { .. })),
                "{bytes:?}"
            );
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8)) {
            let (_, protobuf, _) = sample!("apps.v1.Deployment");
            let mut damaged = protobuf.to_vec();
            for (index, byte) in damage {
                let index = index.index(damaged.len());
                damaged[index] = byte;
            }
            let _ = object(&damaged);
        }
    }
}
