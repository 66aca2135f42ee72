//! A need: what one certificate is to be issued for.
//!
//! ```text
//!   intent=cluster-1/istio uid=1c5e… spec=9a07… trust=53fd… renew=- replaces=b7c0…
//!   └────── who ─────────────────┘  └── what ──────────────────┘  └ instead of ┘
//! ```
//!
//! It is written as an annotation on the pending key, on the request and on the issued Secret, in words that a person can
//! compare. Two parties hold it against what they know: the agent against all of it, the issuer, which does not know what is
//! in place remotely, against all but the last part. Since the issued Secret records the need it answers, the reason for a
//! new certificate is the part that differs.

use std::fmt;
use std::str::FromStr;

use certmesh_api::certificates::ObjectRef;
use certmesh_x509::Fingerprint;

/// The first 128 bits of a SHA-256, written as 32 lower case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest([u8; 16]);

impl Digest {
    /// The digest of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        let mut value = [0; 16];
        value.copy_from_slice(&Fingerprint::of(bytes).as_bytes()[..16]);
        Self(value)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}

impl FromStr for Digest {
    type Err = InvalidNeed;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.len() != 32 || !text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(InvalidNeed);
        }
        u128::from_str_radix(text, 16).map(|value| Self(value.to_be_bytes())).map_err(|_| InvalidNeed)
    }
}

/// What one certificate is issued for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Need {
    /// Namespace (the cluster) and name of the intent.
    pub intent: ObjectRef,
    /// Digest of the intent's uid.
    pub uid: Digest,
    /// Digest of all that the certificate's content follows from: hosts, organization, key, lifetime, signing CA.
    pub spec: Digest,
    /// Fingerprint of signing chain and root set.
    pub trust: Fingerprint,
    /// Digest of the nonce with which a person asked for a renewal.
    pub renew: Option<Digest>,
    /// The certificate in place that it replaces.
    pub replaces: Option<Fingerprint>,
}

impl Need {
    /// Whether both ask for the same signature, whatever they replace: what the issuer can tell.
    pub fn is_same_issue(&self, other: &Self) -> bool {
        let parts = |need: &Self| (need.uid, need.spec, need.trust, need.renew);
        self.intent == other.intent && parts(self) == parts(other)
    }
}

impl fmt::Display for Need {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { intent, uid, spec, trust, renew, replaces } = self;
        write!(f, "intent={intent} uid={uid} spec={spec} trust={trust} ")?;
        match renew {
            Some(digest) => write!(f, "renew={digest} ")?,
            None => f.write_str("renew=- ")?,
        }
        match replaces {
            Some(fingerprint) => write!(f, "replaces={fingerprint}"),
            None => f.write_str("replaces=-"),
        }
    }
}

impl FromStr for Need {
    type Err = InvalidNeed;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut parts = text.split(' ');
        let mut next = |key: &str| {
            let value =
                parts.next().and_then(|part| part.strip_prefix(key)).and_then(|rest| rest.strip_prefix('='));
            value.ok_or(InvalidNeed)
        };
        let (namespace, name) = next("intent")?.split_once('/').ok_or(InvalidNeed)?;
        if namespace.is_empty() || name.is_empty() || name.contains('/') {
            return Err(InvalidNeed);
        }
        let need = Self {
            intent: ObjectRef::new(namespace, name),
            uid: next("uid")?.parse()?,
            spec: next("spec")?.parse()?,
            trust: fingerprint(next("trust")?)?,
            renew: optional(next("renew")?, str::parse)?,
            replaces: optional(next("replaces")?, fingerprint)?,
        };
        if parts.next().is_some() { Err(InvalidNeed) } else { Ok(need) }
    }
}

fn fingerprint(text: &str) -> Result<Fingerprint, InvalidNeed> {
    text.parse().map_err(|_| InvalidNeed)
}

fn optional<T>(text: &str, parse: impl Fn(&str) -> Result<T, InvalidNeed>) -> Result<Option<T>, InvalidNeed> {
    if text == "-" { Ok(None) } else { parse(text).map(Some) }
}

/// The text is no need.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a need: expected intent=<namespace>/<name> uid=… spec=… trust=… renew=… replaces=…")]
pub struct InvalidNeed;

/// Why a new certificate is needed. In the order in which the questions are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NeedReason {
    /// There is no issued Secret.
    SecretMissing,
    /// The Secret was another's, and a person allowed to take it over (`certmesh.dev/adopt`).
    SecretAdopted,
    /// A file, or the record of what it was issued for, is missing or unreadable; or it holds a key that istiod would
    /// read instead.
    SecretIncomplete,
    /// The private key is another certificate's.
    KeyMismatch,
    /// The chain does not lead to the roots, or is not what was issued.
    ChainInvalid,
    /// It begins in the future: a clock was ahead when it was signed, and nobody accepts it until then.
    NotYetValid,
    /// Hosts, organization, key options, lifetime or CA differ from what it was issued for.
    SpecChanged,
    /// The issuer would sign under another chain or root set.
    TrustChanged,
    /// A person asked for it (`certmesh.dev/renew`).
    RenewalRequested,
    /// The time for renewal has come.
    Expiring,
}

impl NeedReason {
    /// The CamelCase reason of conditions, events and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SecretMissing => "SecretMissing",
            Self::SecretAdopted => "SecretAdopted",
            Self::SecretIncomplete => "SecretIncomplete",
            Self::KeyMismatch => "KeyMismatch",
            Self::ChainInvalid => "ChainInvalid",
            Self::NotYetValid => "NotYetValid",
            Self::SpecChanged => "SpecChanged",
            Self::TrustChanged => "TrustChanged",
            Self::RenewalRequested => "RenewalRequested",
            Self::Expiring => "Expiring",
        }
    }
}

impl fmt::Display for NeedReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
