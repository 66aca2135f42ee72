//! Sees every version of an issued Secret: a single one in which key, certificate, chain and roots do not belong
//! together, or a moment without a certificate once there was one, is a failure.

use certmesh_api::certificates::ObjectRef;
use certmesh_api::secrets::CaCerts;
use certmesh_apiserver::Cluster;
use certmesh_controllers::Clock;
use certmesh_x509::{Certificate, Fingerprint, PrivateKey, TrustBundle, verify_chain};
use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::{WatchEvent, WatchParams};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::task::JoinHandle;

/// Watches one Secret of one cluster from its first version on.
pub struct Witness {
    seen: Arc<Mutex<Vec<Result<Fingerprint, String>>>>,
    task: JoinHandle<()>,
}

impl Witness {
    /// Begins to watch. Everything from resourceVersion 1 on is seen, so nothing is missed.
    pub fn of(cluster: &Cluster, secret: &ObjectRef, clock: Clock) -> Self {
        let api = Api::<Secret>::namespaced(cluster.client(Cluster::admin()), &secret.namespace);
        let parameters = WatchParams::default().fields(&format!("metadata.name={}", secret.name));
        let seen = Arc::<Mutex<Vec<_>>>::default();
        let record = Arc::clone(&seen);
        let task = tokio::spawn(async move {
            let mut version = "1".to_owned();
            loop {
                let Ok(stream) = api.watch(&parameters, &version).await else { continue };
                let mut stream = stream.boxed();
                while let Ok(Some(event)) = stream.try_next().await {
                    let (secret, found) = match &event {
                        WatchEvent::Added(secret) | WatchEvent::Modified(secret) => {
                            (secret, whole(secret, &clock).map(|certificate| certificate.fingerprint()))
                        }
                        WatchEvent::Deleted(secret) => (secret, Err("the Secret is gone".to_owned())),
                        WatchEvent::Bookmark(_) | WatchEvent::Error(_) => continue,
                    };
                    version = secret.metadata.resource_version.clone().unwrap_or_default();
                    record.lock().unwrap_or_else(PoisonError::into_inner).push(found);
                }
            }
        });
        Self { seen, task }
    }

    /// The certificates that were in place, in order, without repeats. Fails on a version that was not whole.
    pub fn certificates(&self) -> Vec<Fingerprint> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let mut certificates = Vec::new();
        for version in seen.iter() {
            match version {
                Ok(fingerprint) => certificates.push(*fingerprint),
                Err(flaw) => panic!("a version of the issued Secret was not whole: {flaw}"),
            }
        }
        certificates.dedup();
        certificates
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The certificate of a Secret whose four files belong together.
pub fn whole(secret: &Secret, clock: &Clock) -> Result<Certificate, String> {
    let text = |error: &dyn std::fmt::Display| error.to_string();
    let files = CaCerts::from_secret(secret).map_err(|error| text(&error))?;
    let certificate = Certificate::from_pem(files.certificate).map_err(|error| text(&error))?;
    let key = PrivateKey::from_pem(files.key).map_err(|error| text(&error))?;
    if key.public_key() != certificate.public_key() {
        return Err("key and certificate do not match".to_owned());
    }
    let chain = Certificate::parse_chain(files.chain).map_err(|error| text(&error))?;
    if chain.first().map(Certificate::fingerprint) != Some(certificate.fingerprint()) {
        return Err("the chain does not begin with the certificate".to_owned());
    }
    let roots = TrustBundle::from_pem(files.roots).map_err(|error| text(&error))?;
    verify_chain(&certificate, &chain[1..], &roots, clock.now()).map_err(|error| text(&error))?;
    Ok(certificate)
}
