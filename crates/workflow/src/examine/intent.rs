//! What an IssuedCertificate asks for.

use std::time::Duration;

use certmesh_api::certificates::{
    CertificateAuthorityError, CertificateAuthorityRef, CertificateRotationState, IssuedCertificate,
    IssuedCertificateSpec, KeyOptionsError, ObjectRef,
};
use certmesh_api::names::{annotations, deletion_policy};
use certmesh_x509::{Fingerprint, HostError, Hosts, KeyAlgorithm, SubjectName, SubjectNameError};

use crate::need::Digest;
use crate::object::{annotation, name_of};

/// Seconds; below it a certificate would be renewed faster than a cluster can follow.
const SHORTEST_LIFETIME: u64 = 60;

/// What an IssuedCertificate says, wherever it is stored.
#[derive(Clone, Debug)]
pub struct IntentFacts {
    /// The certificate to issue, or what is wrong with the spec.
    pub wanted: Result<Wanted, SpecProblem>,
    /// Where the agent writes it. Nothing: nowhere (the sidecar agent keeps it in memory), or it is not named in full.
    pub target: Option<ObjectRef>,
    /// The nonce with which a person asked for a renewal.
    pub renew: Option<Digest>,
    /// A person allowed to take over a Secret that is not ours.
    pub adopt: bool,
    /// A person accepted that the roots in use are replaced.
    pub replace_root: bool,
    /// The issued Secret goes with the intent.
    pub deletes_secret: bool,
}

/// What the copy of an intent says.
#[derive(Clone, Debug)]
pub struct CopyFacts {
    /// The intent it is a copy of. Nothing: nobody's copy, left alone.
    pub origin: Option<Origin>,
    /// Fingerprint of the chain and roots that the issuer would sign under. Nothing: it does not know yet.
    pub trust: Option<Fingerprint>,
    /// What it asks for.
    pub intent: IntentFacts,
}

/// Which intent a copy is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Namespace (the cluster) and name of the intent.
    pub intent: ObjectRef,
    /// The intent's uid.
    pub uid: String,
    /// The generation of the intent that was copied.
    pub generation: i64,
}

/// A certificate that can be issued.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Its subject.
    pub subject: SubjectName,
    /// Its subject alternative names.
    pub hosts: Hosts,
    /// The kind of key to make.
    pub algorithm: KeyAlgorithm,
    /// How long it lives.
    pub lifetime: Duration,
    /// The part of its lifetime before its end in which it is renewed.
    pub renewal_ratio: f64,
    /// Which CA signs, and which roots go with it.
    pub authorities: Authorities,
    /// Digest of all of the above that a certificate's content follows from.
    pub digest: Digest,
}

/// The signing CAs that a spec names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Authorities {
    /// No rotation: one CA and its roots.
    One(ObjectRef),
    /// A step of a root rotation.
    Rotating {
        /// The step.
        step: RotationStep,
        /// The CA being left.
        old: ObjectRef,
        /// The CA to come.
        new: ObjectRef,
    },
}

impl Authorities {
    /// The Secret of the CA that signs.
    pub fn signer(&self) -> &ObjectRef {
        match self {
            Self::One(only) => only,
            Self::Rotating { step: RotationStep::AddingNewRoot | RotationStep::PreviousCa, old, .. } => old,
            Self::Rotating { new, .. } => new,
        }
    }

    /// The Secrets that chain and roots are built from: the signer's, and during two of the steps another one.
    pub fn needed(&self) -> impl Iterator<Item = &ObjectRef> {
        let other = match self {
            Self::Rotating { step: RotationStep::AddingNewRoot, new, .. } => Some(new),
            Self::Rotating { step: RotationStep::PropagatingNewIntermediate, old, .. } => Some(old),
            Self::One(_) | Self::Rotating { .. } => None,
        };
        std::iter::once(self.signer()).chain(other)
    }
}

/// The steps of a root rotation that an IssuedCertificate can be in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RotationStep {
    /// Old and new root, the old signer.
    AddingNewRoot,
    /// Old and new root, the new signer.
    PropagatingNewIntermediate,
    /// The new root alone, the new signer.
    DeletingOldRoot,
    /// Rolled back: the old root alone, the old signer.
    PreviousCa,
}

/// Why nothing can be issued for a spec. Each message says what to change.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpecProblem {
    /// Hosts are missing or bad.
    #[error("spec.hosts: {0}")]
    Hosts(#[from] HostError),
    /// The subject cannot be made.
    #[error("spec.certOptions.orgName: {0}")]
    Subject(#[from] SubjectNameError),
    /// The key cannot be made.
    #[error("spec.{0}")]
    Key(#[from] KeyOptionsError),
    /// The lifetime is too short.
    #[error("spec.certOptions.ttlSeconds is {0}: use at least 60")]
    Lifetime(u64),
    /// No CA, or no single one.
    #[error("{0}")]
    Authority(#[from] CertificateAuthorityError),
    /// A CA at the remote side.
    #[error(
        "spec.agentCa: this version cannot request certificates from Vault yet; use glooMeshCa.signingCertificateSecret"
    )]
    AgentCaUnsupported,
    /// A rotation step without the CA being left.
    #[error(
        "spec.rotationState needs spec.previousGlooMeshCa.signingCertificateSecret with name and namespace: it names the CA being left"
    )]
    PreviousCaMissing,
    /// A state that only a VirtualMesh can be in.
    #[error(
        "spec.rotationState {0} is no step of an IssuedCertificate: use NOT_ROTATING, ADDING_NEW_ROOT, PROPAGATING_NEW_INTERMEDIATE, DELETING_OLD_ROOT or PREVIOUS_CA"
    )]
    NotAStep(String),
    /// The target is not named in full.
    #[error("spec.issuedCertificateSecret needs both name and namespace")]
    TargetIncomplete,
    /// The target would overwrite the pending key.
    #[error(
        "spec.issuedCertificateSecret names {0}, where the private key waits while a request is open: choose another name"
    )]
    TargetIsPendingKey(ObjectRef),
}

impl SpecProblem {
    /// The CamelCase reason of conditions and events.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::AgentCaUnsupported => "AgentCaUnsupported",
            _ => "InvalidSpec",
        }
    }
}

/// Reads an intent in the management cluster.
pub fn intent(intent: &IssuedCertificate) -> IntentFacts {
    read(intent, &name_of(intent))
}

/// Reads the copy of an intent in a remote cluster.
pub fn copy(copy: &IssuedCertificate) -> CopyFacts {
    let origin = origin(copy);
    let intent_name = origin.as_ref().map_or_else(|| name_of(copy), |origin| origin.intent.clone());
    let mut intent = read(copy, &intent_name);
    if let Some(target) = intent.target.as_ref().filter(|target| **target == name_of(copy)) {
        intent.wanted = Err(SpecProblem::TargetIsPendingKey(target.clone()));
    }
    let trust = annotation(copy, annotations::TRUST_FINGERPRINT).and_then(|text| text.parse().ok());
    CopyFacts { origin, trust, intent }
}

fn origin(copy: &IssuedCertificate) -> Option<Origin> {
    let (namespace, name) = annotation(copy, annotations::INTENT)?.split_once('/')?;
    if namespace.is_empty() || name.is_empty() || name.contains('/') {
        return None;
    }
    Some(Origin {
        intent: ObjectRef::new(namespace, name),
        uid: annotation(copy, annotations::INTENT_UID)?.to_owned(),
        generation: annotation(copy, annotations::INTENT_GENERATION)?.parse().ok()?,
    })
}

fn read(object: &IssuedCertificate, intent: &ObjectRef) -> IntentFacts {
    let says = |key, value| annotation(object, key) == Some(value);
    IntentFacts {
        wanted: wanted(&object.spec, intent),
        target: object.spec.issued_certificate_secret.clone().filter(|target| !is_incomplete(target)),
        renew: annotation(object, annotations::RENEW).map(|nonce| Digest::of(nonce.as_bytes())),
        adopt: says(annotations::ADOPT, "true"),
        replace_root: says(annotations::REPLACE_ROOT, "true"),
        deletes_secret: says(annotations::DELETION_POLICY, deletion_policy::DELETE),
    }
}

fn wanted(spec: &IssuedCertificateSpec, intent: &ObjectRef) -> Result<Wanted, SpecProblem> {
    let authorities = authorities(spec)?;
    let hosts = Hosts::parse(&spec.hosts)?;
    let subject = SubjectName::intermediate(spec.organization(), &intent.name, &intent.namespace)?;
    let options = spec.options();
    let algorithm = options.key_algorithm()?;
    let seconds = options.lifetime_seconds();
    if seconds < SHORTEST_LIFETIME {
        return Err(SpecProblem::Lifetime(seconds));
    }
    if spec.issued_certificate_secret.as_ref().is_some_and(is_incomplete) {
        return Err(SpecProblem::TargetIncomplete);
    }
    let digest = digest(&hosts, spec.organization(), algorithm, seconds, authorities.signer());
    Ok(Wanted {
        subject,
        hosts,
        algorithm,
        lifetime: Duration::from_secs(seconds),
        renewal_ratio: options.renewal_ratio(),
        authorities,
        digest,
    })
}

fn authorities(spec: &IssuedCertificateSpec) -> Result<Authorities, SpecProblem> {
    let new = match spec.certificate_authority()? {
        CertificateAuthorityRef::GlooMesh(secret) => secret.clone(),
        CertificateAuthorityRef::Agent(_) => return Err(SpecProblem::AgentCaUnsupported),
    };
    let step = match spec.rotation_state {
        CertificateRotationState::NotRotating => return Ok(Authorities::One(new)),
        CertificateRotationState::AddingNewRoot => RotationStep::AddingNewRoot,
        CertificateRotationState::PropagatingNewIntermediate => RotationStep::PropagatingNewIntermediate,
        CertificateRotationState::DeletingOldRoot => RotationStep::DeletingOldRoot,
        CertificateRotationState::PreviousCa => RotationStep::PreviousCa,
        other => return Err(SpecProblem::NotAStep(wire_name(other))),
    };
    let old = spec.previous_gloo_mesh_ca.as_ref().and_then(|ca| ca.signing_certificate_secret.as_ref());
    match old.filter(|old| !is_incomplete(old)) {
        Some(old) => Ok(Authorities::Rotating { step, old: old.clone(), new }),
        None => Err(SpecProblem::PreviousCaMissing),
    }
}

/// The state as people write it.
fn wire_name(state: CertificateRotationState) -> String {
    serde_json::to_value(state).ok().and_then(|name| name.as_str().map(str::to_owned)).unwrap_or_default()
}

fn is_incomplete(reference: &ObjectRef) -> bool {
    reference.name.is_empty() || reference.namespace.is_empty()
}

/// Covers what a certificate's own content follows from. Chain and roots are the trust fingerprint's: the last step of a
/// rotation and the rest after it sign the same, and must not issue twice. The order of hosts says nothing.
fn digest(
    hosts: &Hosts,
    organization: &str,
    algorithm: KeyAlgorithm,
    seconds: u64,
    signer: &ObjectRef,
) -> Digest {
    let mut names: Vec<String> = hosts.iter().map(ToString::to_string).collect();
    names.sort_unstable();
    // No part can hold a line break: hosts, names and organizations with one are refused before.
    let text = format!("{}\n{organization}\n{algorithm}\n{seconds}\n{signer}", names.join(" "));
    Digest::of(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use certmesh_api::certificates::{CommonCertOptions, RootCertificateAuthority};

    fn ca(name: &str) -> RootCertificateAuthority {
        RootCertificateAuthority { signing_certificate_secret: Some(ObjectRef::new("certmesh", name)) }
    }

    fn spec(hosts: &[&str]) -> IssuedCertificateSpec {
        IssuedCertificateSpec {
            hosts: hosts.iter().map(|host| (*host).to_owned()).collect(),
            gloo_mesh_ca: Some(ca("new")),
            ..IssuedCertificateSpec::default()
        }
    }

    fn digest_of(spec: &IssuedCertificateSpec) -> Digest {
        wanted(spec, &ObjectRef::new("cluster-1", "istio")).unwrap().digest
    }

    fn at(step: CertificateRotationState, previous: Option<&str>) -> IssuedCertificateSpec {
        IssuedCertificateSpec {
            rotation_state: step,
            previous_gloo_mesh_ca: previous.map(ca),
            ..spec(&["a.example"])
        }
    }

    #[test]
    fn the_digest_is_of_what_is_issued_and_not_of_how_it_is_written() {
        let base = digest_of(&spec(&["a.example", "10.0.0.1"]));
        assert_eq!(digest_of(&spec(&["10.0.0.1", "A.example"])), base);
        let same = IssuedCertificateSpec {
            org: "Istio".to_owned(),
            cert_options: Some(CommonCertOptions {
                ttl_days: 365,
                rsa_key_size_bytes: 512,
                secret_rotation_grace_period_ratio: 0.3,
                ..CommonCertOptions::default()
            }),
            issued_certificate_secret: Some(ObjectRef::new("istio-system", "cacerts")),
            pod_bounce_directive: Some(ObjectRef::new("certmesh", "restart")),
            ..spec(&["a.example", "10.0.0.1"])
        };
        assert_eq!(digest_of(&same), base);
        assert_ne!(digest_of(&spec(&["a.example"])), base);
    }

    #[test]
    fn each_step_signs_with_one_ca_and_reads_what_it_needs() {
        use CertificateRotationState as State;
        for (step, signer, needed) in [
            (State::NotRotating, "new", vec!["new"]),
            (State::AddingNewRoot, "old", vec!["old", "new"]),
            (State::PropagatingNewIntermediate, "new", vec!["new", "old"]),
            (State::DeletingOldRoot, "new", vec!["new"]),
            (State::PreviousCa, "old", vec!["old"]),
        ] {
            let authorities = authorities(&at(step, Some("old"))).unwrap();
            assert_eq!(authorities.signer().name, signer, "{step:?}");
            let names: Vec<&str> = authorities.needed().map(|secret| secret.name.as_str()).collect();
            assert_eq!(names, needed, "{step:?}");
        }
    }

    #[test]
    fn the_last_step_signs_the_same_as_the_rest_after_it() {
        let last = digest_of(&at(CertificateRotationState::DeletingOldRoot, Some("old")));
        assert_eq!(last, digest_of(&at(CertificateRotationState::NotRotating, None)));
        let first = digest_of(&at(CertificateRotationState::AddingNewRoot, Some("old")));
        let mut before = at(CertificateRotationState::NotRotating, None);
        before.gloo_mesh_ca = Some(ca("old"));
        assert_eq!(first, digest_of(&before));
        assert_ne!(first, last);
    }

    #[test]
    fn a_step_needs_the_ca_being_left() {
        let step = CertificateRotationState::AddingNewRoot;
        assert_eq!(authorities(&at(step, None)), Err(SpecProblem::PreviousCaMissing));
        let mut incomplete = at(step, Some("old"));
        incomplete.previous_gloo_mesh_ca = Some(RootCertificateAuthority::default());
        assert_eq!(authorities(&incomplete), Err(SpecProblem::PreviousCaMissing));
    }

    #[test]
    fn a_persons_word_is_taken_literally() {
        let with = |key: &str, value: &str| {
            let mut object = IssuedCertificate::new("istio", spec(&["a.example"]));
            object.metadata.annotations = Some([(key.to_owned(), value.to_owned())].into());
            super::intent(&object)
        };
        assert!(with(annotations::ADOPT, "true").adopt && !with(annotations::ADOPT, "True").adopt);
        assert!(!with(annotations::REPLACE_ROOT, "yes").replace_root);
        assert!(with(annotations::DELETION_POLICY, "Delete").deletes_secret);
        assert!(!with(annotations::DELETION_POLICY, "delete").deletes_secret);
    }
}
