//! People and other writers: what they do to the objects while the storm lasts.

use crate::crew::Crew;
use certmesh_api::certificates::{CertificateRequest, IssuedCertificate};
use certmesh_api::manifests::Issuer;
use certmesh_api::names::annotations;
use certmesh_api::secrets;
use certmesh_tests::forger::{csr, new_key};
use certmesh_tests::{Dice, Fleet, HOME, Kind, LinkState, ROOT_CA, Storm, intent, signing_secret};
use certmesh_x509::KeyAlgorithm;
use http::StatusCode;
use jiff::SignedDuration;
use k8s_openapi::ByteString;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::{Api, ResourceExt};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::Duration;

pub(crate) const NAME: &str = "istiod";
/// The longest pause between two deeds.
const PAUSE: Duration = Duration::from_secs(20);

/// What was done that the verdict has to know.
#[derive(Default)]
pub(crate) struct Deeds {
    /// ResourceVersions of each cluster's issued Secret that are not ours.
    pub(crate) spoiled: [BTreeSet<String>; 2],
    /// How often each cluster's issued Secret was deleted.
    pub(crate) deletions: [usize; 2],
    /// The hosts that a person ever asked for, by cluster.
    pub(crate) hosts: [BTreeSet<String>; 2],
    /// How often a person said that a cluster's roots may be replaced.
    pub(crate) accepted: [usize; 2],
    /// How many deeds there were.
    pub(crate) count: u32,
}

#[derive(Clone, Copy, Debug)]
enum Deed {
    Renew,
    ChangeHosts,
    ChangeLifetime,
    DeleteIntent,
    CreateIntent,
    DeleteSecret,
    SpoilSecret,
    LabelSecret,
    EditCopy,
    EditCopyNotes,
    DeleteCopy,
    SwapRequest,
    DeleteRequest,
    DeleteKey,
    BreakLink,
    CutIssuerOff,
    Kill,
    DeleteLease,
    TouchCa,
    DisallowCluster,
    AllowClusters,
    ReplaceCa,
    BreakCa,
    RemoveCa,
    RestoreCa,
    Freeze,
    SetClock,
}

const DEEDS: [Deed; 27] = [
    Deed::Renew,
    Deed::ChangeHosts,
    Deed::ChangeLifetime,
    Deed::DeleteIntent,
    Deed::CreateIntent,
    Deed::DeleteSecret,
    Deed::SpoilSecret,
    Deed::LabelSecret,
    Deed::EditCopy,
    Deed::EditCopyNotes,
    Deed::DeleteCopy,
    Deed::SwapRequest,
    Deed::DeleteRequest,
    Deed::DeleteKey,
    Deed::BreakLink,
    Deed::CutIssuerOff,
    Deed::Kill,
    Deed::DeleteLease,
    Deed::TouchCa,
    Deed::DisallowCluster,
    Deed::AllowClusters,
    Deed::ReplaceCa,
    Deed::BreakCa,
    Deed::RemoveCa,
    Deed::RestoreCa,
    Deed::Freeze,
    Deed::SetClock,
];

pub(crate) struct People<'a> {
    pub(crate) fleet: &'a Fleet,
    pub(crate) storm: &'a Storm,
    pub(crate) crew: &'a Crew,
    pub(crate) deeds: Deeds,
    dice: Dice,
    /// The CA as it is in the beginning.
    ca: Secret,
}

impl<'a> People<'a> {
    pub(crate) async fn new(fleet: &'a Fleet, storm: &'a Storm, crew: &'a Crew) -> Self {
        let mut ca = fleet.get::<Secret>(&fleet.management, HOME, ROOT_CA).await.unwrap();
        (ca.metadata.uid, ca.metadata.resource_version) = (None, None);
        Self { fleet, storm, crew, deeds: Deeds::default(), dice: storm.dice("people"), ca }
    }

    /// Does this and that for so long. In each run only some of the deeds are done.
    pub(crate) async fn meddle(&mut self, duration: Duration) {
        let usual: Vec<Deed> = DEEDS.into_iter().filter(|_| self.dice.permille(400)).collect();
        let end = tokio::time::Instant::now() + duration;
        loop {
            tokio::time::sleep(self.dice.up_to(PAUSE)).await;
            if tokio::time::Instant::now() >= end {
                return;
            }
            if !usual.is_empty() {
                let (deed, index) = (self.dice.one_of(&usual), self.dice.one_of(&[0, 1]));
                self.storm.note(&format!("somebody: {deed:?} in cluster-{}", index + 1));
                self.deeds.count += 1;
                self.act(deed, index).await;
            }
        }
    }

    /// Puts in order what only a person can: the CA may sign, the intents exist, the links work.
    pub(crate) async fn put_in_order(&mut self) {
        self.crew.mend();
        self.links().for_each(|link| link.set(LinkState::Up));
        self.restore_ca().await;
        self.allow("*").await;
        for index in [0, 1] {
            self.create_intent(index).await;
        }
    }

    pub(crate) async fn create_intent(&mut self, index: usize) {
        let cluster = cluster(index);
        let api = self.api::<IssuedCertificate>(None, &cluster);
        let intent = intent(&cluster, NAME);
        self.deeds.hosts[index].extend(intent.spec.hosts.clone());
        // One that is there, or on its way out, is no matter: whoever waits for it tries again.
        let _ = api.create(&PostParams::default(), &intent).await;
    }

    /// What an intent waits for a person to say: the roots in use may be replaced. So it is when the first certificate was
    /// signed while somebody else's root was in the CA's Secret.
    pub(crate) async fn accept_other_roots(&mut self, index: usize) {
        self.storm.note(&format!("the roots in use in cluster-{} may be replaced", index + 1));
        self.deeds.accepted[index] += 1;
        self.annotate_intent(index, json!({annotations::REPLACE_ROOT: "true"})).await;
    }

    /// A certificate was issued while somebody else's root was in the CA's Secret, and that root is gone. Its intent and its
    /// Secret are given up; the next ones are of the CA that is there.
    pub(crate) async fn begin_again(&mut self, index: usize) {
        self.storm
            .note(&format!("what was issued in cluster-{} under a root that is gone is given up", index + 1));
        self.delete::<IssuedCertificate>(None, &cluster(index), NAME).await;
        self.delete_secret(index).await;
    }

    async fn restore_ca(&self) {
        let api = self.api::<Secret>(None, HOME);
        if api.create(&PostParams::default(), &self.ca).await.is_err() {
            self.patch::<Secret>(None, HOME, ROOT_CA, json!({"data": self.ca.data})).await;
        }
    }

    async fn act(&mut self, deed: Deed, index: usize) {
        let number = self.deeds.count;
        let evil = format!("spiffe://{}.example/ns/istio-system/sa/mallory", cluster(index));
        match deed {
            Deed::Renew => self.annotate_intent(index, json!({annotations::RENEW: number.to_string()})).await,
            Deed::ChangeHosts => {
                let host = format!("spiffe://{}.example/ns/istio-system/sa/v{number}", cluster(index));
                self.deeds.hosts[index].insert(host.clone());
                self.edit_intent(index, json!({"spec": {"hosts": [host]}})).await;
            }
            Deed::ChangeLifetime => {
                let options = json!({"spec": {"certOptions": {"ttlDays": 30 + number}}});
                self.edit_intent(index, options).await;
            }
            Deed::DeleteIntent => self.delete::<IssuedCertificate>(None, &cluster(index), NAME).await,
            Deed::CreateIntent => self.create_intent(index).await,
            Deed::DeleteSecret => self.delete_secret(index).await,
            Deed::SpoilSecret => {
                let key = ByteString(new_key().to_pem().as_bytes().to_vec());
                self.edit_secret(index, json!({"data": {secrets::CA_KEY: key}})).await;
            }
            Deed::LabelSecret => {
                let labels = json!({"metadata": {"labels": {"example.com/seen": number.to_string()}}});
                self.edit_secret(index, labels).await;
            }
            Deed::EditCopy => self.edit_copy(index, json!({"spec": {"hosts": [evil]}})).await,
            Deed::EditCopyNotes => {
                let notes = json!({"metadata": {"annotations": {annotations::TRUST_FINGERPRINT: null}}});
                self.edit_copy(index, notes).await;
            }
            Deed::DeleteCopy => self.delete::<IssuedCertificate>(Some(index), HOME, NAME).await,
            Deed::SwapRequest => {
                let pem = ByteString(csr(&new_key(), &evil).into_bytes());
                let swap = json!({"spec": {"certificateSigningRequest": pem}});
                self.patch::<CertificateRequest>(Some(index), HOME, NAME, swap).await;
            }
            Deed::DeleteRequest => self.delete::<CertificateRequest>(Some(index), HOME, NAME).await,
            Deed::DeleteKey => self.delete::<Secret>(Some(index), HOME, NAME).await,
            Deed::BreakLink => self.break_link(index),
            Deed::CutIssuerOff => self.cut_issuer_off(),
            Deed::Kill => self.crew.kill(usize::try_from(number).unwrap(), self.storm),
            Deed::DeleteLease => self.delete::<Lease>(None, HOME, Issuer::NAME).await,
            Deed::TouchCa => {
                let notes = json!({"metadata": {"annotations": {"example.com/seen": number.to_string()}}});
                self.patch::<Secret>(None, HOME, ROOT_CA, notes).await;
            }
            Deed::DisallowCluster => self.allow("cluster-7").await,
            Deed::AllowClusters => self.allow("*").await,
            Deed::ReplaceCa => {
                let other = signing_secret(ROOT_CA, &self.fleet.new_root(KeyAlgorithm::EcdsaP256));
                self.patch::<Secret>(None, HOME, ROOT_CA, json!({"data": other.data})).await;
            }
            Deed::BreakCa => {
                let key = ByteString(new_key().to_pem().as_bytes().to_vec());
                self.patch::<Secret>(None, HOME, ROOT_CA, json!({"data": {secrets::CA_KEY: key}})).await;
            }
            Deed::RemoveCa => self.delete::<Secret>(None, HOME, ROOT_CA).await,
            Deed::RestoreCa => self.restore_ca().await,
            Deed::Freeze => {
                let duration = self.dice.up_to(Duration::from_secs(120));
                self.crew.freeze(usize::try_from(number).unwrap(), duration, self.storm);
            }
            Deed::SetClock => self.set_clock(usize::try_from(number).unwrap()),
        }
    }

    async fn delete_secret(&mut self, index: usize) {
        let api = self.api::<Secret>(Some(index), "istio-system");
        if api.delete("cacerts", &DeleteParams::default()).await.is_ok() {
            self.deeds.deletions[index] += 1;
        }
    }

    async fn edit_secret(&mut self, index: usize, patch: Value) {
        let edited = self.patch::<Secret>(Some(index), "istio-system", "cacerts", patch).await;
        self.deeds.spoiled[index].extend(edited.and_then(|secret| secret.resource_version()));
    }

    async fn edit_copy(&self, index: usize, patch: Value) {
        self.patch::<IssuedCertificate>(Some(index), HOME, NAME, patch).await;
    }

    async fn edit_intent(&self, index: usize, patch: Value) {
        self.patch::<IssuedCertificate>(None, &cluster(index), NAME, patch).await;
    }

    async fn annotate_intent(&self, index: usize, notes: Value) {
        self.edit_intent(index, json!({"metadata": {"annotations": notes}})).await;
    }

    async fn allow(&self, clusters: &str) {
        let notes = json!({"metadata": {"annotations": {annotations::ALLOW_CLUSTERS: clusters}}});
        self.patch::<Secret>(None, HOME, ROOT_CA, notes).await;
    }

    fn break_link(&self, index: usize) {
        let state = self.dice.one_of(&[
            LinkState::Silent,
            LinkState::Cut,
            LinkState::Answers(StatusCode::UNAUTHORIZED),
            LinkState::Answers(StatusCode::SERVICE_UNAVAILABLE),
            LinkState::Garbage,
        ]);
        self.break_for_a_while(self.fleet.links[index].clone(), state);
    }

    fn set_clock(&self, number: usize) {
        let one = self.dice.one_of(&[1, 60, 60 * 60, 24 * 60 * 60]);
        let count = i64::try_from(1 + self.dice.below(3)).unwrap();
        let seconds = self.dice.one_of(&[1, -1]) * one * count;
        let duration = self.dice.up_to(Duration::from_secs(120));
        self.crew.set_clock(number, SignedDuration::from_secs(seconds), duration, self.storm);
    }

    fn cut_issuer_off(&self) {
        let state = self.dice.one_of(&[LinkState::Silent, LinkState::Cut]);
        if let Some(link) = self.crew.issuers_links().first() {
            self.break_for_a_while(link.clone(), state);
        }
    }

    fn break_for_a_while(&self, link: certmesh_tests::Link, state: LinkState) {
        let duration = self.dice.up_to(Duration::from_secs(90));
        link.set(state);
        tokio::spawn(async move {
            tokio::time::sleep(duration).await;
            link.set(LinkState::Up);
        });
    }

    fn links(&self) -> impl Iterator<Item = certmesh_tests::Link> {
        self.fleet.links.clone().into_iter().chain(self.crew.issuers_links())
    }

    /// What is not there cannot be patched; that is no matter.
    async fn patch<K: Kind>(
        &self,
        index: Option<usize>,
        namespace: &str,
        name: &str,
        patch: Value,
    ) -> Option<K> {
        let api = self.api::<K>(index, namespace);
        api.patch(name, &PatchParams::default(), &Patch::Merge(patch)).await.ok()
    }

    async fn delete<K: Kind>(&self, index: Option<usize>, namespace: &str, name: &str) {
        let _ = self.api::<K>(index, namespace).delete(name, &DeleteParams::default()).await;
    }

    /// In a remote cluster, or the management one.
    fn api<K: Kind>(&self, index: Option<usize>, namespace: &str) -> Api<K> {
        let cluster = index.map_or(&self.fleet.management, |index| &self.fleet.remotes[index]);
        Api::namespaced(cluster.client(certmesh_apiserver::Cluster::admin()), namespace)
    }
}

pub(crate) fn cluster(index: usize) -> String {
    format!("cluster-{}", index + 1)
}
