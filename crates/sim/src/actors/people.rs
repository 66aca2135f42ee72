//! People, who know what they do: intents, CA Secrets, rotations.

use certmesh_api::certificates::{
    CertificateRotationState, CommonCertOptions, IssuedCertificate, IssuedCertificateSpec, KeyAlgorithmName,
    ObjectRef, RootCertificateAuthority,
};
use certmesh_api::names::{annotations, deletion_policy, well_known};
use serde_json::{Value, json};

use super::{annotate, at_home, empty, read};
use crate::cluster::{ISTIO, Kind, to_value};
use crate::keys::{Authority, metadata};
use crate::process::Actor;
use crate::world::World;

/// Lifetimes in seconds that people ask for.
const LIFETIMES: [u32; 4] = [3600, 24 * 3600, 7 * 24 * 3600, 90 * 24 * 3600];

fn authority(secret: &str) -> RootCertificateAuthority {
    RootCertificateAuthority { signing_certificate_secret: Some(at_home(secret)) }
}

/// CA Secrets, and what is in them.
pub(crate) const AUTHORITIES: [(&str, Authority); 3] =
    [("ca-a", Authority::RootA), ("ca-b", Authority::RootB), ("ca-i", Authority::IntermediateA)];

impl World {
    /// The CAs that there are at the beginning.
    pub(crate) fn install_authorities(&mut self) {
        for (name, authority) in AUTHORITIES {
            self.create(
                Actor::User,
                0,
                Kind::Secret,
                &at_home(name),
                to_value(&authority.secret(&at_home(name))),
            );
        }
    }

    /// An intent of this name; its lifetime and CA are its own.
    pub(crate) fn create_intent(&mut self, name: &ObjectRef) -> bool {
        let mut rng = self.random(20);
        let (lifetime, signer) =
            (LIFETIMES[rng.usize(..LIFETIMES.len())], ["ca-a", "ca-a", "ca-i"][rng.usize(..3)]);
        let intent = intent(name, lifetime, signer, self.ledger.keys.wanted(rng.u64(..)));
        self.create(Actor::User, 0, Kind::IssuedCertificate, name, to_value(&intent))
    }

    pub(super) fn an_intent_comes_or_goes(&mut self) -> Option<String> {
        let all: Vec<ObjectRef> =
            (1..self.clusters.len()).map(|site| ObjectRef::new(format!("cluster-{site}"), "istio")).collect();
        let name = self.one_of(21, &all)?;
        if read(&self.clusters[0], Kind::IssuedCertificate, &name).is_none() {
            return self.create_intent(&name).then(|| format!("user creates intent {name}"));
        }
        if self.random(22).u32(..3) == 0 {
            let policy = Some(deletion_policy::DELETE);
            let set = |intent: &mut Value| annotate(intent, annotations::DELETION_POLICY, policy);
            self.edit(Actor::User, 0, Kind::IssuedCertificate, &name, set);
        }
        self.remove(Actor::User, 0, Kind::IssuedCertificate, &name)
            .then(|| format!("user deletes intent {name}"))
    }

    pub(super) fn an_intent_is_edited(&mut self) -> Option<String> {
        let name = self.one_of(23, &self.intents())?;
        let mut rng = self.random(24);
        let nonce = self.memory.next().to_string();
        let kind = rng.u32(..9);
        let lifetime = LIFETIMES[rng.usize(..LIFETIMES.len())];
        let edit = |intent: &mut Value| match kind {
            0 | 1 => annotate(intent, annotations::RENEW, Some(&nonce)),
            2 => {
                intent["spec"]["hosts"] =
                    json!([format!("spiffe://cluster.local/ns/istio-system/sa/istiod-{nonce}")]);
            }
            3 => intent["spec"]["certOptions"]["orgName"] = json!(format!("Org {nonce}")),
            // Longer than any CA lives.
            4 if nonce.ends_with('7') => {
                intent["spec"]["certOptions"]["ttlSeconds"] = json!(3_153_600_000_u32);
            }
            4 => intent["spec"]["certOptions"]["ttlSeconds"] = json!(lifetime),
            5 => {
                intent["spec"]["glooMeshCa"] =
                    to_value(&authority(if nonce.len().is_multiple_of(2) { "ca-i" } else { "ca-a" }));
            }
            6 => intent["spec"]["hosts"] = json!([]),
            7 => annotate(intent, annotations::ADOPT, Some("true")),
            _ => annotate(intent, annotations::REPLACE_ROOT, Some("true")),
        };
        let what = [
            "renew",
            "renew",
            "hosts",
            "organization",
            "lifetime",
            "CA",
            "no hosts",
            "adopt",
            "replace root",
        ];
        let done = self.edit(Actor::User, 0, Kind::IssuedCertificate, &name, edit);
        done.then(|| format!("user edits intent {name}: {}", what[kind as usize]))
    }

    pub(super) fn an_authority_changes(&mut self) -> Option<String> {
        let mut rng = self.random(25);
        let (name, original) = AUTHORITIES[[0, 0, 0, 1, 2][rng.usize(..5)]];
        let (secret, kind) = (at_home(name), rng.u32(..5));
        let replaced = |authority: Authority| {
            let data = to_value(&authority.secret(&at_home(name)))["data"].clone();
            move |secret: &mut Value| secret["data"] = data
        };
        if read(&self.clusters[0], Kind::Secret, &secret).is_none() || kind == 4 {
            self.restore_authority(name, original);
            return Some(format!("user restores CA Secret {name}"));
        }
        let done = match kind {
            0 => self.remove(Actor::User, 0, Kind::Secret, &secret),
            1 => self.edit(Actor::User, 0, Kind::Secret, &secret, |secret| {
                annotate(secret, annotations::ALLOW_CLUSTERS, Some("cluster-9"));
            }),
            2 => self.edit(Actor::User, 0, Kind::Secret, &secret, |secret| {
                secret["data"]["ca-key.pem"] = secret["data"]["ca-cert.pem"].clone();
            }),
            _ => self.edit(Actor::User, 0, Kind::Secret, &secret, replaced(Authority::RootC)),
        };
        let what = ["deletes", "disallows", "breaks", "replaces the content of"][kind as usize];
        done.then(|| format!("user {what} CA Secret {name}"))
    }

    /// Makes a CA Secret what it was.
    pub(crate) fn restore_authority(&mut self, name: &str, authority: Authority) {
        let secret = to_value(&authority.secret(&at_home(name)));
        let whole = secret.clone();
        let restore = move |current: &mut Value| {
            current["data"] = whole["data"].clone();
            annotate(current, annotations::ALLOW_CLUSTERS, Some("*"));
        };
        if !self.edit(Actor::User, 0, Kind::Secret, &at_home(name), restore) {
            self.create(Actor::User, 0, Kind::Secret, &at_home(name), secret);
        }
    }

    /// The next step of a rotation from one root to the other, or back.
    pub(super) fn a_rotation_goes_on(&mut self) -> Option<String> {
        use CertificateRotationState as State;
        let name = self.one_of(26, &self.intents())?;
        let object = self.clusters[0].get(Kind::IssuedCertificate, &name.namespace, &name.name)?;
        let mut intent: IssuedCertificate = crate::watch::parsed(&object);
        let spec = &mut intent.spec;
        let signer = spec.gloo_mesh_ca.as_ref()?.signing_certificate_secret.as_ref()?.name.clone();
        let back = self.random(27).u32(..8) == 0;
        let next = match spec.rotation_state {
            State::NotRotating => {
                let other = if signer == "ca-b" { "ca-a" } else { "ca-b" };
                (spec.previous_gloo_mesh_ca, spec.gloo_mesh_ca) =
                    (Some(authority(&signer)), Some(authority(other)));
                State::AddingNewRoot
            }
            State::AddingNewRoot | State::PropagatingNewIntermediate if back => State::PreviousCa,
            State::AddingNewRoot => State::PropagatingNewIntermediate,
            State::PropagatingNewIntermediate => State::DeletingOldRoot,
            State::PreviousCa => {
                spec.gloo_mesh_ca = spec.previous_gloo_mesh_ca.take();
                State::NotRotating
            }
            _ => {
                spec.previous_gloo_mesh_ca = None;
                State::NotRotating
            }
        };
        spec.rotation_state = next;
        let spec = to_value(&intent)["spec"].clone();
        let done = self.edit(Actor::User, 0, Kind::IssuedCertificate, &name, |intent| intent["spec"] = spec);
        done.then(|| format!("user rotates intent {name}: {next:?}"))
    }

    /// What may be in a remote cluster before we come: another's Secret, roots in use, a pin.
    pub(crate) fn install_what_was_there(&mut self, site: usize) {
        let mut rng = self.random(28 + site as u64 * 100);
        if rng.u32(..12) == 0 {
            self.put_foreign_secret(site, &ObjectRef::new(ISTIO, well_known::ISTIO_CA_SECRET));
        }
        if rng.u32(..8) == 0 {
            let pem = [Authority::RootA, Authority::RootB][rng.usize(..2)].root_pem();
            let name = ObjectRef::new(ISTIO, well_known::ISTIO_CA_ROOT_CERT);
            let mut map = empty(Kind::ConfigMap, &name);
            map["data"] = json!({(well_known::ISTIO_CA_ROOT_CERT_KEY): pem});
            self.create(Actor::Other, site, Kind::ConfigMap, &name, map);
        }
        if rng.u32(..8) == 0 {
            let name = at_home(well_known::TRUST_ANCHORS);
            let mut map = empty(Kind::ConfigMap, &name);
            map["data"] = json!({"a": Authority::RootA.root_pem(), "b": Authority::RootB.root_pem()});
            self.create(Actor::Other, site, Kind::ConfigMap, &name, map);
        }
    }
}

/// An intent for a Secret in a remote cluster.
pub(crate) fn intent(
    name: &ObjectRef,
    lifetime: u32,
    signer: &str,
    (key_algorithm, rsa_key_size_bytes): (KeyAlgorithmName, u32),
) -> IssuedCertificate {
    let secret = if name.name == "istio" { well_known::ISTIO_CA_SECRET } else { name.name.as_str() };
    let spec = IssuedCertificateSpec {
        hosts: vec!["spiffe://cluster.local/ns/istio-system/sa/istiod".to_owned()],
        issued_certificate_secret: Some(ObjectRef::new(ISTIO, secret)),
        cert_options: Some(CommonCertOptions {
            key_algorithm: Some(key_algorithm),
            rsa_key_size_bytes,
            ttl_seconds: Some(lifetime),
            ..CommonCertOptions::default()
        }),
        gloo_mesh_ca: Some(authority(signer)),
        ..IssuedCertificateSpec::default()
    };
    IssuedCertificate { metadata: metadata(name), spec, status: None }
}
