//! A remote cluster that was taken over: writes whatever a cluster may write, to get what it must not.

use certmesh_api::certificates::{CertificateRequest, CertificateRequestSpec};
use certmesh_api::names::{annotations, labels};
use certmesh_workflow::need::Need;
use certmesh_x509::{Hosts, SigningRequest, SubjectName};
use k8s_openapi::ByteString;
use kube::ResourceExt;
use serde_json::{Value, json};

use super::{annotate, at_home, read};
use crate::cluster::{HOME, Kind, to_value};
use crate::keys::{key, metadata};
use crate::process::Actor;
use crate::world::World;

/// Keys of intruders have these numbers.
const KEYS: u64 = 1_000_000;

impl World {
    pub(super) fn an_intruder_acts(&mut self) -> Option<String> {
        // One cluster is taken over in a run, the last one.
        let site = self.clusters.len() - 1;
        self.look_at_requests();
        let mut rng = self.random(40);
        let what = match rng.u32(..7) {
            0 => self.asks_for_itself(site, false),
            1 => self.asks_for_itself(site, true),
            2 => self.replays_a_request(site),
            3 => self.swaps_the_key(site),
            4 => self.lies_about_a_certificate(site, rng.u32(..4)),
            5 => self.edits_the_copy(site, rng.u32(..3)),
            _ => self.asks_for_the_others(site),
        }?;
        Some(format!("intruder in {}: {what}", self.clusters[site].name))
    }

    /// Remembers what is in flight anywhere: nothing of it is secret.
    fn look_at_requests(&mut self) {
        for site in 1..self.clusters.len() {
            for object in self.clusters[site].all(Kind::CertificateRequest) {
                self.memory.requests.push(crate::watch::parsed(&object));
            }
        }
        let known = self.memory.requests.len();
        self.memory.requests.drain(..known.saturating_sub(8));
    }

    /// A request of another key, subject and hosts, for this need. Forged: its signature is not by that key.
    fn signing_request(&mut self, forged: bool) -> Vec<u8> {
        let number = KEYS + self.memory.next();
        let subject = SubjectName::intermediate("Intruder", "intruder", "everywhere").expect("a subject");
        let hosts = Hosts::parse(&["spiffe://cluster.local/ns/kube-system/sa/admin"]).expect("a host");
        let pem = SigningRequest::create(&key(number), &subject, &hosts).expect("a request");
        if !forged {
            return pem.into_bytes();
        }
        let other = SigningRequest::create(&key(number + 500_000), &subject, &hosts).expect("a request");
        let pem = with_signature_of(&pem, &other).into_bytes();
        self.witness.history.forged.insert(pem.clone());
        pem
    }

    fn put_request(&mut self, site: usize, name: &str, need: &str, csr: Vec<u8>) -> bool {
        let name = at_home(name);
        let actor = Actor::Intruder(site);
        let csr = ByteString(csr);
        let encoded = to_value(&csr);
        let replace = |request: &mut Value| {
            request["spec"]["certificateSigningRequest"] = encoded;
            annotate(request, annotations::NEED, Some(need));
        };
        if read(&self.clusters[site], Kind::CertificateRequest, &name).is_some() {
            return self.edit(actor, site, Kind::CertificateRequest, &name, replace);
        }
        let mut request = CertificateRequest {
            metadata: metadata(&name),
            spec: CertificateRequestSpec { certificate_signing_request: Some(csr) },
            status: None,
        };
        request.labels_mut().insert(labels::AGENT.to_owned(), HOME.to_owned());
        request.annotations_mut().insert(annotations::NEED.to_owned(), need.to_owned());
        self.create(actor, site, Kind::CertificateRequest, &name, to_value(&request))
    }

    /// A copy and the need that it stands for now, as far as an intruder can tell.
    fn need_of_a_copy(&self, site: usize) -> Option<(String, Need)> {
        let name = self.one_of(41, &self.names(site, Kind::IssuedCertificate, Some(HOME)))?;
        let known = self.memory.requests.iter().rev().find(|request| request.name_any() == name.name);
        let need =
            known.and_then(|request| request.annotations().get(annotations::NEED)?.parse::<Need>().ok())?;
        Some((name.name, need))
    }

    fn asks_for_itself(&mut self, site: usize, forged: bool) -> Option<String> {
        let (name, need) = self.need_of_a_copy(site)?;
        let csr = self.signing_request(forged);
        let done = self.put_request(site, &name, &need.to_string(), csr);
        done.then(|| format!("asks for a key of its own for {name}{}", if forged { ", forged" } else { "" }))
    }

    fn replays_a_request(&mut self, site: usize) -> Option<String> {
        let old = self.one_of(42, &self.memory.requests)?;
        let csr = old.spec.certificate_signing_request.clone()?.0;
        let need = old.annotations().get(annotations::NEED)?.clone();
        let done = self.put_request(site, &old.name_any(), &need, csr);
        done.then(|| format!("asks again what was asked as {}", old.name_any()))
    }

    fn swaps_the_key(&mut self, site: usize) -> Option<String> {
        let open = self.names(site, Kind::CertificateRequest, Some(HOME));
        let name = self.one_of(43, &open)?;
        let need = read(&self.clusters[site], Kind::CertificateRequest, &name)?["metadata"]["annotations"]
            [annotations::NEED]
            .as_str()?
            .to_owned();
        let csr = self.signing_request(false);
        self.put_request(site, &name.name, &need, csr).then(|| format!("swaps the key of request {name}"))
    }

    /// For an intent of another cluster.
    fn asks_for_the_others(&mut self, site: usize) -> Option<String> {
        let others = self.memory.requests.iter().filter_map(|request| {
            let need = request.annotations().get(annotations::NEED)?.parse::<Need>().ok()?;
            (need.intent.namespace != self.clusters[site].name).then_some((request.name_any(), need))
        });
        let others: Vec<(String, Need)> = others.collect();
        let (name, need) = self.one_of(44, &others)?;
        let csr = self.signing_request(false);
        let done = self.put_request(site, &name, &need.to_string(), csr);
        done.then(|| format!("asks for a certificate of {}", need.intent))
    }

    fn lies_about_a_certificate(&mut self, site: usize, kind: u32) -> Option<String> {
        let name = self.one_of(45, &self.names(site, Kind::IssuedCertificate, Some(HOME)))?;
        let long = "x".repeat(5000);
        let another_uid = self.intents().first().and_then(|intent| {
            let object = self.clusters[0].get(Kind::IssuedCertificate, &intent.namespace, &intent.name)?;
            Some(object.uid().to_owned())
        });
        let lie = |copy: &mut Value| {
            if !copy["status"].is_object() {
                copy["status"] = json!({"state": "PENDING"});
            }
            match kind {
                0 => copy["status"]["error"] = json!(format!("\u{1b}[2J{long}")),
                1 => copy["status"]["state"] = json!("FINISHED"),
                2 => {
                    copy["status"]["observed"] = json!({
                        "intentUid": another_uid.unwrap_or_default(), "intentGeneration": 99,
                        "trustFingerprint": "ab".repeat(32),
                    });
                }
                _ => {
                    copy["status"]["certificate"] = json!({
                        "serialNumber": long, "fingerprint": "ab".repeat(32),
                        "notBefore": "2030-01-01T00:00:00Z", "notAfter": "2040-01-01T00:00:00Z",
                        "issuer": "\u{202e}\u{7}", "roots": vec!["cd".repeat(32); 60],
                    });
                }
            }
        };
        let done = self.edit_status(Actor::Intruder(site), site, Kind::IssuedCertificate, &name, lie);
        done.then(|| format!("lies about {name} ({kind})"))
    }

    fn edits_the_copy(&mut self, site: usize, kind: u32) -> Option<String> {
        let name = self.one_of(46, &self.names(site, Kind::IssuedCertificate, Some(HOME)))?;
        let edit = |copy: &mut Value| match kind {
            0 => copy["spec"]["hosts"] = json!(["spiffe://cluster.local/ns/kube-system/sa/admin"]),
            1 => annotate(copy, annotations::INTENT, Some("cluster-1/istio")),
            _ => copy["spec"]["certOptions"]["ttlSeconds"] = json!(3_000_000_000_u32),
        };
        let done = self.edit(Actor::Intruder(site), site, Kind::IssuedCertificate, &name, edit);
        done.then(|| format!("edits copy {name} ({kind})"))
    }
}

/// A PEM request whose last bytes, the signature's, are another's.
fn with_signature_of(pem: &str, other: &str) -> String {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    let der = |pem: &str| {
        let body: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
        STANDARD.decode(body).unwrap_or_default()
    };
    let (mut bytes, signature) = (der(pem), der(other));
    // The last 24 bytes are inside of the second integer of the signature, whatever its length.
    let (end, from) = (bytes.len(), signature.len());
    bytes[end - 24..].copy_from_slice(&signature[from - 24..]);
    let text = STANDARD.encode(bytes);
    let lines: Vec<&str> =
        (0..text.len()).step_by(64).map(|at| &text[at..(at + 64).min(text.len())]).collect();
    format!("-----BEGIN CERTIFICATE REQUEST-----\n{}\n-----END CERTIFICATE REQUEST-----\n", lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forged_request_is_well_formed_and_proves_nothing() {
        let subject = SubjectName::intermediate("O", "a", "b").unwrap();
        let hosts = Hosts::parse(&["a.example"]).unwrap();
        let request = |number| SigningRequest::create(&key(number), &subject, &hosts).unwrap();
        let (one, other) = (request(1), request(2));
        assert!(SigningRequest::from_pem(one.as_bytes()).is_ok());
        let forged = SigningRequest::from_pem(with_signature_of(&one, &other).as_bytes());
        assert_eq!(forged.unwrap_err(), certmesh_x509::RequestError::BadSignature);
    }
}
