//! Others in a remote cluster, who do not know what they do: other controllers, tidy people, restored backups.

use certmesh_api::certificates::ObjectRef;
use certmesh_api::names::{annotations, well_known};
use serde_json::{Value, json};

use super::{annotate, read};
use crate::cluster::{HOME, ISTIO, Kind, to_value};
use crate::keys::Authority;
use crate::process::Actor;
use crate::world::World;

impl World {
    /// A Secret that is not ours where ours is to be.
    pub(super) fn put_foreign_secret(&mut self, site: usize, name: &ObjectRef) -> bool {
        let authority = self.one_of(30, &[Authority::RootA, Authority::RootB]).unwrap_or(Authority::RootA);
        let mut secret = to_value(&authority.secret(name));
        if self.random(31).bool() {
            secret["data"] = json!({"ca-cert.pem": secret["data"]["ca-cert.pem"], "note": "aGVsbG8="});
        }
        self.create(Actor::Other, site, Kind::Secret, name, secret)
    }

    pub(super) fn somebody_touches_a_secret(&mut self) -> Option<String> {
        let site = self.some_site(32);
        let cluster = self.clusters[site].name.clone();
        let Some(name) = self.one_of(33, &self.names(site, Kind::Secret, Some(ISTIO))) else {
            let name = ObjectRef::new(ISTIO, well_known::ISTIO_CA_SECRET);
            let done = self.random(34).u32(..4) == 0 && self.put_foreign_secret(site, &name);
            return done.then(|| format!("somebody creates Secret {name} in {cluster}"));
        };
        let mut rng = self.random(35);
        let kind = rng.u32(..8);
        let file = ["ca-cert.pem", "ca-key.pem", "cert-chain.pem", "root-cert.pem"][rng.usize(..4)];
        let number = self.memory.next().to_string();
        if kind == 0 {
            let done = self.remove(Actor::Other, site, Kind::Secret, &name);
            return done.then(|| format!("somebody deletes Secret {name} in {cluster}"));
        }
        let edit = |secret: &mut Value| match kind {
            1 => drop(secret["data"].as_object_mut().and_then(|data| data.shift_remove(file))),
            2 => secret["data"][file] = json!("bm90IGEgUEVNCg=="),
            3 => secret["data"] = to_value(&Authority::RootB.secret(&name))["data"].clone(),
            4 => secret["metadata"]["labels"] = json!({"mine": number}),
            5 => annotate(secret, annotations::NEED, None),
            6 => annotate(secret, annotations::ISSUED_FOR, Some("cluster-9/other")),
            _ => secret["metadata"]["labels"]["team"] = json!(number),
        };
        let done = self.edit(Actor::Other, site, Kind::Secret, &name, edit);
        let what = [
            "",
            "removes a file of",
            "spoils a file of",
            "replaces the content of",
            "relabels",
            "takes the need off",
            "claims",
            "labels",
        ];
        done.then(|| format!("somebody {} Secret {name} in {cluster}", what[kind as usize]))
    }

    pub(super) fn somebody_touches_a_leftover(&mut self) -> Option<String> {
        let site = self.some_site(36);
        let mut rng = self.random(37);
        let kind = [Kind::Secret, Kind::CertificateRequest, Kind::IssuedCertificate][rng.usize(..3)];
        let name = self.one_of(38, &self.names(site, kind, Some(HOME)))?;
        let cluster = self.clusters[site].name.clone();
        if rng.u32(..3) == 0 {
            let done = self.remove(Actor::Other, site, kind, &name);
            return done.then(|| format!("somebody deletes {} {name} in {cluster}", kind.name()));
        }
        let choice = rng.u32(..4);
        let number = self.memory.next().to_string();
        let other_key = read(&self.clusters[0], Kind::Secret, &ObjectRef::new(HOME, "ca-b"))
            .map(|secret| secret["data"]["ca-key.pem"].clone());
        if kind == Kind::CertificateRequest && choice == 3 {
            let done =
                self.edit_status(Actor::Other, site, kind, &name, |request| request["status"] = json!({}));
            return done.then(|| format!("somebody wipes the status of {} {name} in {cluster}", kind.name()));
        }
        let edit = |object: &mut Value| match (kind, choice) {
            (Kind::Secret, 0 | 1) => object["data"]["private-key"] = other_key.unwrap_or(json!("")),
            (Kind::Secret, 2) => object["data"] = json!({}),
            (Kind::CertificateRequest, 0) => object["spec"]["certificateSigningRequest"] = json!("bm8K"),
            (Kind::CertificateRequest | Kind::Secret, _) => {
                annotate(object, annotations::NEED, Some("none"));
            }
            (_, 0) => object["spec"]["hosts"] = json!([format!("host-{number}.example")]),
            (_, 1) => annotate(object, annotations::TRUST_FINGERPRINT, Some(&"ab".repeat(32))),
            (_, 2) => object["metadata"]["annotations"] = json!({}),
            _ => annotate(object, annotations::INTENT_UID, Some("another")),
        };
        let done = self.edit(Actor::Other, site, kind, &name, edit);
        done.then(|| format!("somebody edits {} {name} in {cluster} ({choice})", kind.name()))
    }
}

/// Removes what has the name of a request or pending key and is nobody's.
pub(super) fn remove_squatters(world: &mut World, site: usize) {
    let has_label =
        |object: &Value| object["metadata"]["labels"].get(certmesh_api::names::labels::AGENT).is_some();
    for kind in [Kind::Secret, Kind::CertificateRequest] {
        for name in world.names(site, kind, Some(HOME)) {
            if read(&world.clusters[site], kind, &name).is_some_and(|object| !has_label(&object)) {
                world.remove(Actor::Other, site, kind, &name);
            }
        }
    }
}
