//! What a mesh says: intents, events, issued Secrets.

use super::{HOME, Kind, Member, Mesh};
use certmesh_api::certificates::{CertificateRequest, IssuedCertificate};
use certmesh_api::names::annotations;
use certmesh_api::secrets::CaCerts;
use certmesh_tests::{condition, is_ready, reason};
use certmesh_x509::{Certificate, PrivateKey, TrustBundle, verify_chain};
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::api::events::v1::Event;
use kube::ResourceExt as _;
use kube::api::ListParams;
use serde_json::json;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

/// Longer than anything should take, on a machine that has other things to do.
const PATIENCE: Duration = Duration::from_secs(90);
const POLL: Duration = Duration::from_millis(100);

impl Mesh {
    /// The object once it is as wanted.
    pub(crate) async fn wait<K: Kind>(
        &self,
        member: &Member,
        namespace: &str,
        name: &str,
        wanted: impl Fn(Option<&K>) -> bool,
    ) -> Option<K> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let object = member.get::<K>(namespace, name).await;
            if wanted(object.as_ref()) {
                return object;
            }
            assert!(
                Instant::now() < deadline,
                "{} {namespace}/{name} is not as wanted after {PATIENCE:?}: {object:#?}\n{}",
                K::kind(&()),
                self.log_ends(),
            );
            tokio::time::sleep(POLL).await;
        }
    }

    /// The intent once it is as wanted.
    pub(crate) async fn until(
        &self,
        cluster: &str,
        name: &str,
        wanted: impl Fn(Option<&IssuedCertificate>) -> bool,
    ) -> Option<IssuedCertificate> {
        self.wait(&self.management, cluster, name, wanted).await
    }

    /// The intent once its certificate is in place and nothing is left to do.
    pub(crate) async fn ready(&self, cluster: &str, name: &str) -> IssuedCertificate {
        self.until(cluster, name, is_ready).await.expect("what is ready exists")
    }

    /// The intent once it is ready with another certificate than the one in this Secret.
    pub(crate) async fn renewed(&self, cluster: &str, name: &str, before: &Secret) -> IssuedCertificate {
        let old = whole(before).0.fingerprint().to_string();
        let is_new = |intent: Option<&IssuedCertificate>| {
            let certificate = intent.and_then(|intent| intent.status.as_ref()?.certificate.as_ref());
            is_ready(intent) && certificate.is_some_and(|certificate| certificate.fingerprint != old)
        };
        self.until(cluster, name, is_new).await.expect("what is ready exists")
    }

    /// The intent once its headline has this reason.
    pub(crate) async fn says(&self, cluster: &str, name: &str, wanted: &str) -> IssuedCertificate {
        let says = |intent: Option<&IssuedCertificate>| intent.is_some_and(|intent| reason(intent) == wanted);
        self.until(cluster, name, says).await.expect("what says something exists")
    }

    /// Waits until an intent says this, and checks that it says the same in each place where people look: the state,
    /// `status.error`, the condition, and a Warning event on the intent. The message ends with what to do.
    pub(crate) async fn refused(&self, cluster: &str, name: &str, reason: &str, what_to_do: &str) -> String {
        let status = self.says(cluster, name, reason).await.status.expect("a status that says something");
        let stalled = condition(&status, "Stalled").expect("a person has to act");
        assert_eq!((stalled.status.as_str(), stalled.reason.as_str()), ("True", reason), "{name}");
        assert_eq!(condition(&status, "Ready").map(|ready| ready.status.as_str()), Some("False"), "{name}");
        assert_eq!(stalled.message, status.error, "{name}: condition and error say the same");
        assert!(status.error.ends_with(what_to_do), "{name}: {:?} ends with {what_to_do:?}", status.error);
        self.told(cluster, name, "Warning", reason).await;
        status.error
    }

    /// Waits for an event about an intent.
    pub(crate) async fn told(&self, cluster: &str, name: &str, type_: &str, reason: &str) {
        let is_meant =
            |event: &Event| event.type_.as_deref() == Some(type_) && event.reason.as_deref() == Some(reason);
        for _ in 0..100 {
            if self.events(cluster, name).await.iter().any(is_meant) {
                return;
            }
            tokio::time::sleep(POLL).await;
        }
        panic!("{cluster}/{name}: no event {reason} among {:#?}", self.events(cluster, name).await);
    }

    /// The events about an intent.
    pub(crate) async fn events(&self, cluster: &str, name: &str) -> Vec<Event> {
        let all = self.management.api::<Event>(cluster).list(&ListParams::default()).await;
        let is_about = |event: &Event| {
            event.regarding.as_ref().and_then(|regarding| regarding.name.as_deref()) == Some(name)
        };
        all.expect("the administrator may list events").items.into_iter().filter(is_about).collect()
    }

    /// Annotates an intent.
    pub(crate) async fn annotate(&self, cluster: &str, name: &str, key: &str, value: &str) {
        let patch = json!({"metadata": {"annotations": {key: value}}});
        self.management.patch::<IssuedCertificate>(cluster, name, patch).await;
    }

    /// A person asks for a new certificate and waits for it.
    pub(crate) async fn renew(&self, index: usize, name: &str, nonce: &str) {
        let cluster = self.remotes[index].server.name.clone();
        let before = self.issued(index, name).await;
        self.annotate(&cluster, name, annotations::RENEW, nonce).await;
        self.renewed(&cluster, name, &before).await;
    }

    /// The issued Secret `<story>/cacerts`, which is there.
    pub(crate) async fn issued(&self, index: usize, story: &str) -> Secret {
        self.remotes[index].cacerts(story).await.expect("the issued Secret")
    }

    /// Whether neither request nor pending key is left in a remote cluster.
    pub(crate) async fn is_clean(&self, index: usize, name: &str) -> bool {
        let remote = &self.remotes[index];
        remote.get::<CertificateRequest>(HOME, name).await.is_none()
            && remote.get::<Secret>(HOME, name).await.is_none()
    }

    /// The ends of all logs, for whoever has to find out what went wrong.
    fn log_ends(&self) -> String {
        let mut ends = String::new();
        for name in self.names() {
            let text = self.log(&name);
            let lines: Vec<&str> = text.lines().collect();
            let _ = writeln!(ends, "--- {name}\n{}", lines[lines.len().saturating_sub(15)..].join("\n"));
        }
        ends
    }
}

/// The certificate of an issued Secret whose four files belong together, and its roots.
pub(crate) fn whole(secret: &Secret) -> (Certificate, TrustBundle) {
    let name = secret.name_any();
    let files = CaCerts::from_secret(secret).unwrap_or_else(|error| panic!("{name}: {error}"));
    let certificate = Certificate::from_pem(files.certificate).expect("a certificate");
    let key = PrivateKey::from_pem(files.key).expect("a key");
    assert_eq!(key.public_key(), certificate.public_key(), "key and certificate belong together");
    let chain = Certificate::parse_chain(files.chain).expect("a chain");
    assert_eq!(
        chain.first().map(Certificate::fingerprint),
        Some(certificate.fingerprint()),
        "the chain begins with it"
    );
    let roots = TrustBundle::from_pem(files.roots).expect("roots");
    verify_chain(&certificate, &chain[1..], &roots, jiff::Timestamp::now()).expect("a chain to the roots");
    (certificate, roots)
}
