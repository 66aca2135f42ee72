//! What is known of all clusters, and what a change of it is worth telling.

use std::collections::{BTreeMap, BTreeSet};

use certmesh_api::{
    certificates::{
        CertificateRequest, CertificateRequestState, IssuedCertificate, IssuedCertificateState, ObjectRef,
    },
    conditions,
    names::{annotations, secret_types},
};
use jiff::SignedDuration;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt as _;

use super::sights::{Seen, Sight, full_name};

/// How many digits of a fingerprint are shown.
const SHORT: usize = 8;

/// Something to tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct News {
    pub(super) place: String,
    pub(super) event: String,
    /// A certificate was replaced: worth telling even when the steps towards it are not.
    pub(super) is_milestone: bool,
}

/// The latest of everything.
#[derive(Default)]
pub(super) struct World {
    /// By `cluster/name`, since an intent's namespace is its cluster.
    intents: BTreeMap<String, IssuedCertificate>,
    /// By cluster and name, as all that follow.
    copies: BTreeMap<(String, String), IssuedCertificate>,
    requests: BTreeMap<(String, String), CertificateRequest>,
    keys: BTreeSet<(String, String)>,
    issued: BTreeMap<(String, ObjectRef), Secret>,
}

impl World {
    /// Takes note of a sight.
    pub(super) fn see(&mut self, sight: Sight) -> Vec<News> {
        let Sight { cluster, object, is_gone } = sight;
        match object {
            Seen::Intent(intent) => self.see_intent(&cluster, intent, is_gone),
            Seen::Copy(copy) => self.see_copy(&cluster, copy, is_gone),
            Seen::Request(request) => self.see_request(&cluster, request, is_gone),
            Seen::AgentSecret(secret) => self.see_agent_secret(&cluster, &secret, is_gone),
            Seen::Target(secret) => self.see_target(&cluster, secret, is_gone),
        }
    }

    fn see_intent(&mut self, place: &str, intent: IssuedCertificate, is_gone: bool) -> Vec<News> {
        let name = full_name(&intent);
        if is_gone {
            self.intents.remove(&name);
            return vec![news(place, format!("intent {name} is gone"))];
        }
        let mut events = Vec::new();
        let old = self.intents.get(&name);
        if old.is_none() {
            events.push(news(place, format!("intent {name}: a certificate is wanted")));
        }
        let renew = |intent: &IssuedCertificate| intent.annotations().get(annotations::RENEW).cloned();
        if old.is_some_and(|old| renew(old) != renew(&intent)) {
            events.push(news(place, format!("intent {name}: a renewal is asked for")));
        }
        let was_ready = old.and_then(ready_certificate);
        match ready_certificate(&intent) {
            Some((fingerprint, text)) if was_ready.map(|(old, _)| old).as_ref() != Some(&fingerprint) => {
                events.push(milestone(place, format!("{name} is Ready: {text}")));
            }
            _ => {
                events
                    .extend(trouble(old, &intent).map(|text| news(place, format!("intent {name}: {text}"))));
            }
        }
        self.intents.insert(name, intent);
        events
    }

    fn see_copy(&mut self, place: &str, copy: IssuedCertificate, is_gone: bool) -> Vec<News> {
        let key = (place.to_owned(), copy.name_any());
        if is_gone {
            self.copies.remove(&key);
            return vec![news(place, format!("the copy {} is gone", full_name(&copy)))];
        }
        let old = self.copies.get(&key);
        let state = |copy: &IssuedCertificate| copy.status.as_ref().map(|status| status.state);
        let mut events = Vec::new();
        if old.is_none() {
            events
                .push(news(place, format!("the issuer put a copy of the intent here: {}", full_name(&copy))));
        }
        if let Some(now) = state(&copy)
            && old.and_then(state) != Some(now)
        {
            events.push(news(place, format!("the agent says: {}", name_of_state(now))));
        }
        events.extend(trouble(old, &copy).map(|text| news(place, text)));
        self.copies.insert(key, copy);
        events
    }

    fn see_request(&mut self, place: &str, request: CertificateRequest, is_gone: bool) -> Vec<News> {
        let key = (place.to_owned(), request.name_any());
        if is_gone {
            self.requests.remove(&key);
            return Vec::new();
        }
        let is_same = |old: &&CertificateRequest| old.uid() == request.uid();
        let old = self.requests.get(&key).filter(is_same);
        let state = |request: &CertificateRequest| request.status.clone().unwrap_or_default().state;
        let mut events = Vec::new();
        if old.is_none() {
            events.push(news(
                place,
                format!("the agent asks the issuer to sign it: CertificateRequest {}", full_name(&request)),
            ));
        }
        if old.map(state) != Some(state(&request)) {
            match state(&request) {
                CertificateRequestState::Finished => {
                    events.push(news(place, "the issuer answers: certificate, chain and roots".to_owned()));
                }
                CertificateRequestState::Failed => {
                    let error =
                        request.status.as_ref().map(|status| status.error.clone()).unwrap_or_default();
                    events.push(news(place, format!("the issuer refuses: {error}")));
                }
                CertificateRequestState::Pending => {}
            }
        }
        self.requests.insert(key, request);
        events
    }

    fn see_agent_secret(&mut self, place: &str, secret: &Secret, is_gone: bool) -> Vec<News> {
        if secret.type_.as_deref() != Some(secret_types::GENERATED_PRIVATE_KEY) {
            return Vec::new();
        }
        let key = (place.to_owned(), secret.name_any());
        if is_gone {
            self.keys.remove(&key);
            return vec![news(place, "request and pending key are removed".to_owned())];
        }
        if !self.keys.insert(key) {
            return Vec::new();
        }
        let event = format!("the agent made a private key, which stays here: Secret {}", full_name(secret));
        vec![news(place, event)]
    }

    fn see_target(&mut self, place: &str, secret: Secret, is_gone: bool) -> Vec<News> {
        let name = ObjectRef::new(secret.namespace().unwrap_or_default(), secret.name_any());
        let key = (place.to_owned(), name.clone());
        if is_gone {
            self.issued.remove(&key);
            return vec![milestone(place, format!("Secret {name} is gone"))];
        }
        let old = self.issued.get(&key).and_then(fingerprint);
        let new = fingerprint(&secret);
        self.issued.insert(key, secret);
        match new {
            Some(new) if old.as_ref() != Some(&new) => {
                let verb = if old.is_some() { "now holds" } else { "holds" };
                let event = format!("Secret {name} {verb} certificate {}, all in one write", short(&new));
                vec![milestone(place, event)]
            }
            _ => Vec::new(),
        }
    }

    /// The intent, as it was last seen.
    pub(super) fn intent(&self, cluster: &str, name: &str) -> Option<&IssuedCertificate> {
        self.intents.get(&format!("{cluster}/{name}"))
    }

    /// A target Secret, as it was last seen.
    pub(super) fn issued(&self, cluster: &str, target: &ObjectRef) -> Option<&Secret> {
        self.issued.get(&(cluster.to_owned(), target.clone()))
    }

    /// The fingerprint of the certificate that an intent is Ready with, if its Secret shows the same one.
    pub(super) fn delivered(&self, cluster: &str, name: &str, target: &ObjectRef) -> Option<String> {
        let (ready, _) = ready_certificate(self.intent(cluster, name)?)?;
        (fingerprint(self.issued(cluster, target)?)? == ready).then_some(ready)
    }

    /// What keeps intents from being Ready, for people who wonder.
    pub(super) fn troubles(&self) -> Vec<String> {
        let open = self.intents.iter().filter(|(_, intent)| ready_certificate(intent).is_none());
        open.map(|(name, intent)| {
            let text = headline(intent).unwrap_or_else(|| "nobody has reported on it yet".to_owned());
            format!("intent {name}: {text}")
        })
        .collect()
    }
}

fn news(place: &str, event: String) -> News {
    News { place: place.to_owned(), event, is_milestone: false }
}

fn milestone(place: &str, event: String) -> News {
    News { is_milestone: true, ..news(place, event) }
}

/// Fingerprint and description of the certificate in place, once the intent is Ready with it.
fn ready_certificate(intent: &IssuedCertificate) -> Option<(String, String)> {
    let status = intent.status.as_ref()?;
    let is_ready = |condition: &&_| is(condition, conditions::READY);
    let ready = status.conditions.iter().find(is_ready)?;
    let is_current = ready.observed_generation == intent.metadata.generation;
    let certificate = status.certificate.as_ref().filter(|_| is_current)?;
    let life = certificate.not_after.0.duration_since(certificate.not_before.0);
    // A day tells enough of a long life; of a short one, the time of day (UTC) does.
    let format = if life > SignedDuration::from_hours(48) { "%F" } else { "%T" };
    let renewal = certificate.renew_at.as_ref().map(|at| format!(", renewal {}", at.0.strftime(format)));
    let (short, end) = (short(&certificate.fingerprint), certificate.not_after.0.strftime(format));
    let text = format!("{short} until {end}{}", renewal.unwrap_or_default());
    Some((certificate.fingerprint.clone(), text))
}

fn is(condition: &k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition, type_: &str) -> bool {
    condition.type_ == type_ && condition.status == "True"
}

/// Reason and message of what is not in order.
fn headline(object: &IssuedCertificate) -> Option<String> {
    let status = object.status.as_ref()?;
    let condition = status.conditions.iter().find(|condition| condition.type_ != conditions::READY)?;
    Some(format!("{} ({}): {}", condition.type_, condition.reason, condition.message))
}

/// A new headline that people should see: only what stalls, since work under way shows by itself.
fn trouble(old: Option<&IssuedCertificate>, new: &IssuedCertificate) -> Option<String> {
    let status = new.status.as_ref()?;
    if !status.conditions.iter().any(|condition| is(condition, conditions::STALLED)) {
        return None;
    }
    headline(new).filter(|text| old.and_then(headline).as_ref() != Some(text))
}

fn fingerprint(secret: &Secret) -> Option<String> {
    secret.annotations().get(annotations::FINGERPRINT).cloned()
}

fn short(fingerprint: &str) -> &str {
    fingerprint.get(..SHORT).unwrap_or(fingerprint)
}

fn name_of_state(state: IssuedCertificateState) -> &'static str {
    match state {
        IssuedCertificateState::Pending => "PENDING",
        IssuedCertificateState::Requested => "REQUESTED",
        IssuedCertificateState::Issued => "ISSUED",
        IssuedCertificateState::Finished => "FINISHED",
        IssuedCertificateState::Failed => "FAILED",
    }
}

#[cfg(test)]
mod tests {
    use certmesh_api::certificates::IssuedCertificateStatus;
    use serde_json::json;

    use super::*;

    fn sight(cluster: &str, object: Seen) -> Sight {
        Sight { cluster: cluster.to_owned(), object, is_gone: false }
    }

    fn intent(status: serde_json::Value) -> IssuedCertificate {
        let mut intent: IssuedCertificate = serde_json::from_value(json!({
            "apiVersion": "certificates.mesh.gloo.solo.io/v1", "kind": "IssuedCertificate",
            "metadata": {"name": "istio", "namespace": "cluster-1", "generation": 1}, "spec": {}
        }))
        .unwrap();
        intent.status = Some(serde_json::from_value::<IssuedCertificateStatus>(status).unwrap());
        intent
    }

    fn condition(type_: &str, status: &str) -> serde_json::Value {
        json!({
            "type": type_, "status": status, "reason": "Because", "message": "do this", "observedGeneration": 1,
            "lastTransitionTime": "2026-01-01T00:00:00Z"
        })
    }

    fn ready(fingerprint: &str) -> IssuedCertificate {
        intent(json!({
            "conditions": [condition("Ready", "True")],
            "certificate": {
                "serialNumber": "1", "fingerprint": fingerprint, "notBefore": "2026-01-01T00:00:00Z",
                "notAfter": "2027-01-01T00:00:00Z", "issuer": "CN=root"
            }
        }))
    }

    fn secret(name: &str, type_: &str, fingerprint: Option<&str>) -> Secret {
        let annotations = fingerprint.map(|value| json!({(annotations::FINGERPRINT): value}));
        serde_json::from_value(json!({
            "metadata": {"name": name, "namespace": "istio-system", "annotations": annotations}, "type": type_
        }))
        .unwrap()
    }

    fn events(news: &[News]) -> Vec<&str> {
        news.iter().map(|news| news.event.as_str()).collect()
    }

    #[test]
    fn a_delivery_counts_only_when_intent_and_secret_show_the_same_certificate() {
        let mut world = World::default();
        let target = ObjectRef::new("istio-system", "cacerts");
        world.see(sight("management", Seen::Intent(ready("aaaaaaaaaa"))));
        assert_eq!(world.delivered("cluster-1", "istio", &target), None);
        let issued = |fingerprint| {
            let secret = secret("cacerts", secret_types::ISSUED_CERTIFICATE, Some(fingerprint));
            sight("cluster-1", Seen::Target(secret))
        };
        world.see(issued("bbbbbbbbbb"));
        assert_eq!(world.delivered("cluster-1", "istio", &target), None);
        world.see(issued("aaaaaaaaaa"));
        assert_eq!(world.delivered("cluster-1", "istio", &target).as_deref(), Some("aaaaaaaaaa"));
        let mut changed = ready("aaaaaaaaaa");
        changed.metadata.generation = Some(2);
        world.see(sight("management", Seen::Intent(changed)));
        assert_eq!(world.delivered("cluster-1", "istio", &target), None, "a report about another generation");
    }

    #[test]
    fn each_certificate_is_told_once_and_as_a_milestone() {
        let mut world = World::default();
        let first = world.see(sight("management", Seen::Intent(ready("aaaaaaaaaa"))));
        let expected = "cluster-1/istio is Ready: aaaaaaaa until 2027-01-01";
        assert_eq!(events(&first), ["intent cluster-1/istio: a certificate is wanted", expected]);
        assert_eq!(first.iter().map(|news| news.is_milestone).collect::<Vec<_>>(), [false, true]);
        assert_eq!(world.see(sight("management", Seen::Intent(ready("aaaaaaaaaa")))), []);
        assert_eq!(world.see(sight("management", Seen::Intent(ready("bbbbbbbbbb")))).len(), 1);
    }

    #[test]
    fn what_stalls_is_told_and_remembered() {
        let mut world = World::default();
        let stalled = || {
            let conditions = [condition("Ready", "False"), condition("Stalled", "True")];
            sight("management", Seen::Intent(intent(json!({"conditions": conditions}))))
        };
        let told = world.see(stalled());
        assert_eq!(events(&told)[1], "intent cluster-1/istio: Stalled (Because): do this");
        assert_eq!(world.see(stalled()), []);
        assert_eq!(world.troubles(), ["intent cluster-1/istio: Stalled (Because): do this"]);
    }

    #[test]
    fn secrets_of_other_kinds_are_not_told() {
        let mut world = World::default();
        let other = secret("token", "Opaque", None);
        assert_eq!(world.see(sight("cluster-1", Seen::AgentSecret(other.clone()))), []);
        assert_eq!(world.see(sight("cluster-1", Seen::Target(other))), []);
        let key = secret("istio", secret_types::GENERATED_PRIVATE_KEY, None);
        assert_eq!(world.see(sight("cluster-1", Seen::AgentSecret(key.clone()))).len(), 1);
        assert_eq!(world.see(sight("cluster-1", Seen::AgentSecret(key))), []);
    }
}
