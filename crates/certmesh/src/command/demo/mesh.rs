//! The workloads of the demo: one in each cluster, with a leaf under that cluster's intermediate.

use std::{collections::BTreeMap, sync::Arc};

use certmesh_api::{certificates::ObjectRef, names::annotations};
use certmesh_x509::SpiffeId;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt as _;

use crate::{
    failure::Failure,
    mesh::{Endpoint, Tally, Traffic, Workload, connect},
};

/// Where a workload's certificate comes from: a cluster's Secret.
type Origin = (String, ObjectRef);

/// The workloads, and the traffic between them.
#[derive(Default)]
pub(super) struct Mesh {
    workloads: BTreeMap<Origin, Member>,
    traffic: Option<Traffic>,
    /// Of traffic that has ended.
    past: Tally,
}

struct Member {
    endpoint: Arc<Endpoint>,
    /// Fingerprint of the intermediate that its leaf is under.
    issuer: Option<String>,
}

impl Mesh {
    /// Starts a workload with a leaf issued from this Secret.
    pub(super) async fn start(
        &mut self,
        cluster: &str,
        target: &ObjectRef,
        secret: &Secret,
    ) -> Result<(), Failure> {
        let workload = issue(cluster, target, secret)?;
        let endpoint = Endpoint::listen(workload)
            .await
            .map_err(|error| Failure::new(format!("starting a workload for {cluster}")).because(error))?;
        let member = Member { endpoint: Arc::new(endpoint), issuer: fingerprint(secret) };
        self.workloads.insert((cluster.to_owned(), target.clone()), member);
        Ok(())
    }

    /// Issues a workload's leaf anew if its Secret holds another intermediate than before, as istiod does. Tells whether.
    pub(super) fn renew(
        &mut self,
        cluster: &str,
        target: &ObjectRef,
        secret: &Secret,
    ) -> Result<bool, Failure> {
        let Some(member) = self.workloads.get_mut(&(cluster.to_owned(), target.clone())) else {
            return Ok(false);
        };
        let issuer = fingerprint(secret);
        if member.issuer == issuer {
            return Ok(false);
        }
        member.endpoint.replace(issue(cluster, target, secret)?);
        member.issuer = issuer;
        Ok(true)
    }

    /// One connection from every workload to every other. Returns how many.
    pub(super) async fn connect_all(&self) -> Result<usize, Failure> {
        let mut connections = 0;
        for (from, client) in &self.workloads {
            for (to, server) in &self.workloads {
                if from == to {
                    continue;
                }
                let (workload, peer) = (client.endpoint.workload(), server.endpoint.workload());
                connect(&workload, peer.id(), server.endpoint.address()).await.map_err(|error| {
                    Failure::new(format!("connecting from {} to {} over mutual TLS", from.0, to.0))
                        .because(error)
                })?;
                connections += 1;
            }
        }
        Ok(connections)
    }

    /// Lets all workloads, as they are by now, make new connections without end.
    pub(super) async fn start_traffic(&mut self) {
        self.finish_traffic().await;
        let endpoints: Vec<_> = self.workloads.values().map(|member| Arc::clone(&member.endpoint)).collect();
        self.traffic = Some(Traffic::start(&endpoints));
    }

    /// Ends the traffic; connections that have begun are finished and counted.
    pub(super) async fn finish_traffic(&mut self) {
        if let Some(traffic) = self.traffic.take() {
            self.past += traffic.finish().await;
        }
    }

    /// How many connections there were, none of which may have failed.
    pub(super) fn judge(&self) -> Result<u64, Failure> {
        let tally = self.tally();
        let total = tally.total();
        match tally.first_failure {
            None => Ok(total),
            Some(reason) => {
                let what = format!("connecting all the time: {} of {total} connections failed", tally.failed);
                Err(Failure::new(what).because(reason))
            }
        }
    }

    /// The connections so far.
    pub(super) fn tally(&self) -> Tally {
        let mut tally = self.past.clone();
        if let Some(traffic) = &self.traffic {
            tally += traffic.tally();
        }
        tally
    }
}

fn issue(cluster: &str, target: &ObjectRef, secret: &Secret) -> Result<Workload, Failure> {
    let failed = |error: Box<dyn std::error::Error + Send + Sync>| {
        Failure::new(format!("issuing a workload certificate from Secret {target} of {cluster}"))
            .because(error)
    };
    let text = format!("spiffe://cluster.local/ns/{}/sa/{cluster}", target.namespace);
    let id: SpiffeId = text.parse().map_err(|error: certmesh_x509::InvalidSpiffeId| failed(error.into()))?;
    Workload::issue(secret, id, Timestamp::now()).map_err(|error| failed(error.into()))
}

fn fingerprint(secret: &Secret) -> Option<String> {
    secret.annotations().get(annotations::FINGERPRINT).cloned()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::mesh::tests::{cacerts, root};

    async fn mesh(first: &Secret, second: &Secret) -> Mesh {
        let mut mesh = Mesh::default();
        let target = ObjectRef::new("istio-system", "cacerts");
        mesh.start("cluster-1", &target, first).await.unwrap();
        mesh.start("cluster-2", &target, second).await.unwrap();
        mesh
    }

    #[tokio::test]
    async fn clusters_of_one_root_are_judged_good() {
        let root = root("Ours");
        let mut mesh =
            mesh(&cacerts(&root, "cluster-1", &[&root]), &cacerts(&root, "cluster-2", &[&root])).await;
        assert_eq!(mesh.connect_all().await.unwrap(), 2);
        mesh.start_traffic().await;
        tokio::time::sleep(Duration::from_millis(50)).await;
        mesh.finish_traffic().await;
        assert!(mesh.judge().unwrap() > 0);
    }

    #[tokio::test]
    async fn a_connection_that_fails_is_a_failure_of_the_whole() {
        let (ours, other) = (root("Ours"), root("Other"));
        let mut mesh =
            mesh(&cacerts(&ours, "cluster-1", &[&ours]), &cacerts(&other, "cluster-2", &[&other])).await;
        assert!(mesh.connect_all().await.is_err());
        mesh.start_traffic().await;
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert!(mesh.judge().is_err());
        mesh.finish_traffic().await;
        assert!(mesh.judge().is_err(), "it is not forgotten");
    }
}
