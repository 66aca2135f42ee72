//! What a fleet says: intents, events, issued Secrets.

use crate::fleet::{Fleet, HOME, Kind};
use crate::objects::{is_ready, reason};
use certmesh_api::certificates::{CertificateRequest, IssuedCertificate, IssuedCertificateStatus};
use certmesh_api::names::annotations;
use certmesh_api::secrets::CaCerts;
use certmesh_apiserver::Cluster;
use certmesh_x509::Certificate;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::api::{ListParams, PostParams};
use kube::{Api, ResourceExt};
use serde_json::json;
use std::time::Duration;

impl Fleet {
    /// Waits until an intent's certificate is in place and nothing is left to do.
    pub async fn ready(&self, cluster: &str, name: &str) -> IssuedCertificate {
        let ready = self.wait(&self.management, cluster, name, is_ready).await;
        ready.expect("what is ready exists")
    }

    /// Waits until an intent is ready with another certificate than the one in this Secret.
    pub async fn renewed(&self, cluster: &str, name: &str, before: &Secret) -> IssuedCertificate {
        let old = certificate_in(before).fingerprint().to_string();
        let is_new = |intent: Option<&IssuedCertificate>| {
            let certificate = intent.and_then(|intent| intent.status.as_ref()?.certificate.as_ref());
            is_ready(intent) && certificate.is_some_and(|certificate| certificate.fingerprint != old)
        };
        self.wait(&self.management, cluster, name, is_new).await.expect("what is ready exists")
    }

    /// Annotates an intent.
    pub async fn annotate(&self, cluster: &str, name: &str, key: &str, value: &str) {
        let patch = json!({"metadata": {"annotations": {key: value}}});
        self.patch::<IssuedCertificate>(&self.management, cluster, name, patch).await;
    }

    /// Waits until the copy of an intent says under which CA the issuer would sign.
    pub async fn announced(&self, index: usize, name: &str) {
        let announced = |copy: Option<&IssuedCertificate>| {
            copy.is_some_and(|copy| copy.annotations().contains_key(annotations::TRUST_FINGERPRINT))
        };
        self.wait(&self.remotes[index], HOME, name, announced).await;
    }

    /// Waits until a cluster has a request of this name.
    pub async fn request(&self, index: usize, name: &str) -> CertificateRequest {
        let there = |found: Option<&CertificateRequest>| found.is_some();
        let found = self.wait(&self.remotes[index], HOME, name, there).await;
        found.expect("a request that is there")
    }

    /// Waits until an intent is gone.
    pub async fn gone(&self, cluster: &str, name: &str) {
        let gone = |intent: Option<&IssuedCertificate>| intent.is_none();
        self.wait(&self.management, cluster, name, gone).await;
    }

    /// Waits until the headline of an intent has this reason.
    pub async fn says(&self, cluster: &str, name: &str, wanted: &str) -> IssuedCertificate {
        let says = |intent: Option<&IssuedCertificate>| intent.is_some_and(|intent| reason(intent) == wanted);
        let found = self.wait(&self.management, cluster, name, says).await;
        found.expect("what says something exists")
    }

    /// Waits until an intent says this, and checks that it says the same in each place where people look: the state,
    /// `status.error`, the condition, and a Warning event on the intent. The message ends with what to do.
    pub async fn refused(&self, cluster: &str, name: &str, reason: &str, what_to_do: &str) {
        let intent = self.says(cluster, name, reason).await;
        let status = intent.status.expect("a status that says something");
        let stalled = condition(&status, "Stalled").expect("a person has to act");
        assert_eq!((stalled.status.as_str(), stalled.reason.as_str()), ("True", reason), "{name}");
        assert_eq!(condition(&status, "Ready").map(|ready| ready.status.as_str()), Some("False"), "{name}");
        assert_eq!(stalled.message, status.error, "{name}: condition and error say the same");
        assert!(status.error.ends_with(what_to_do), "{name}: {:?} ends with {what_to_do:?}", status.error);
        self.warned(cluster, name, reason).await;
    }

    /// Checks that an intent has a Warning event with this reason, or gets one in the next seconds.
    pub async fn warned(&self, cluster: &str, name: &str, reason: &str) {
        let is_meant = |event: &Event| {
            event.type_.as_deref() == Some("Warning") && event.reason.as_deref() == Some(reason)
        };
        let mut events = Vec::new();
        for _ in 0..50 {
            events = self.events(&self.management, cluster, name).await;
            if events.iter().any(is_meant) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let found: Vec<_> = events.iter().map(|event| (&event.type_, &event.reason)).collect();
        panic!("{name}: no warning {reason} among {found:?}");
    }

    /// The events about the object of this name, in its namespace.
    pub async fn events(&self, cluster: &Cluster, namespace: &str, name: &str) -> Vec<Event> {
        let api = Api::<Event>::namespaced(cluster.client(Cluster::admin()), namespace);
        let all = api.list(&ListParams::default()).await.expect("the administrator may list events");
        let is_about = |event: &Event| {
            event.regarding.as_ref().and_then(|regarding| regarding.name.as_deref()) == Some(name)
        };
        all.items.into_iter().filter(is_about).collect()
    }

    /// `istio-system/cacerts` of a remote cluster.
    pub async fn cacerts(&self, index: usize) -> Secret {
        let found = self.get::<Secret>(&self.remotes[index], "istio-system", "cacerts").await;
        found.expect("istio-system/cacerts")
    }

    /// Replaces an object by another of its name, whatever its version is now, as the cluster's administrator. Finalizers
    /// stay.
    pub async fn replace<K: Kind>(&self, cluster: &Cluster, mut object: K) -> K {
        let (namespace, name) = (object.namespace().unwrap_or_default(), object.name_any());
        let api = Api::<K>::namespaced(cluster.client(Cluster::admin()), &namespace);
        loop {
            let current = api.get(&name).await.expect("an object to replace");
            object.meta_mut().resource_version = current.resource_version();
            object.meta_mut().finalizers.clone_from(&current.meta().finalizers);
            match api.replace(&name, &PostParams::default(), &object).await {
                Ok(replaced) => return replaced,
                Err(kube::Error::Api(status)) if status.code == 409 => {}
                Err(error) => panic!("{} {namespace}/{name}: {error}", K::kind(&())),
            }
        }
    }
}

/// The condition of this type.
pub fn condition<'a>(status: &'a IssuedCertificateStatus, type_: &str) -> Option<&'a Condition> {
    status.conditions.iter().find(|condition| condition.type_ == type_)
}

/// The certificate in an issued Secret.
pub fn certificate_in(secret: &Secret) -> Certificate {
    let files = CaCerts::from_secret(secret).expect("a whole issued Secret");
    Certificate::from_pem(files.certificate).expect("a certificate")
}
