//! Faults stop: what is broken is mended, as people would, and everybody gets time.

use serde_json::{Value, json};

use super::others;
use super::people::AUTHORITIES;
use crate::cluster::Kind;
use crate::faults::Family;
use crate::process::Actor;
use crate::world::{REPLICAS, World};

impl World {
    /// Ends all faults.
    pub(crate) fn repair(&mut self) {
        self.step += 1;
        self.faults.are_over = true;
        self.say(|| "== faults stop ==".to_owned());
        for site in 1..self.clusters.len() {
            if !self.links[site] {
                self.set_link(site, true);
            }
            others::remove_squatters(self, site);
            self.remove_what_intruders_left(site);
        }
        for process in 0..self.processes.len() {
            self.processes[process].is_paused = false;
            self.set_clock(process, 0);
        }
        let leader = self.random(50).usize(..REPLICAS);
        for replica in 0..REPLICAS {
            self.processes[replica].leads = replica == leader;
        }
        for (name, authority) in AUTHORITIES {
            self.restore_authority(name, authority);
        }
        for intent in self.intents() {
            self.edit(Actor::User, 0, Kind::IssuedCertificate, &intent, |intent: &mut Value| {
                if intent["spec"]["hosts"].as_array().is_none_or(Vec::is_empty) {
                    intent["spec"]["hosts"] = json!(["spiffe://cluster.local/ns/istio-system/sa/istiod"]);
                }
            });
        }
    }

    /// Requests for what there is no copy of: an agent never makes such a request.
    fn remove_what_intruders_left(&mut self, site: usize) {
        if !self.faults.has(Family::Intruder) || site != self.clusters.len() - 1 {
            return;
        }
        for request in self.names(site, Kind::CertificateRequest, None) {
            if self.clusters[site].get(Kind::IssuedCertificate, &request.namespace, &request.name).is_none() {
                self.remove(Actor::Other, site, Kind::CertificateRequest, &request);
            }
        }
    }
}
