//! The story: what happens, what is waited for, what is verified.

use std::{fmt::Write as _, time::Duration};

use certmesh_api::{
    certificates::{IssuedCertificate, ObjectRef},
    names::annotations,
};
use certmesh_x509::{CertificateAuthority, KeyAlgorithm};
use jiff::Timestamp;
use kube::{
    Api, Client,
    api::{Patch, PatchParams},
};
use tokio::time::{Instant, interval, sleep_until};

use super::{
    examples::{Example, cacerts},
    mesh::Mesh,
    narrator::{Narrator, grouped},
    sights::{Seen, Sight, Sights},
    verify::{self, Expected},
    world::World,
};
use crate::{
    failure::Failure,
    fleet::{Directory, Fleet, ROOT_CA, apply_yaml, new_root},
};

/// Two RSA-4096 keys on two busy cores have taken half a minute; each further cluster brings one more.
const PATIENCE: Duration = Duration::from_secs(60);
const PATIENCE_PER_CLUSTER: Duration = Duration::from_secs(10);
/// Connections that every workload makes under the renewed certificates before the traffic is judged.
const CONNECTIONS_AFTERWARDS: u64 = 25;
/// How often the moving line moves.
const TICK: Duration = Duration::from_millis(100);

/// The demo as it goes on.
pub(super) struct Story<'a> {
    fleet: &'a Fleet,
    management: Client,
    narrator: Narrator,
    sights: Sights,
    world: World,
    root: CertificateAuthority,
    key: KeyAlgorithm,
    examples: Vec<Example>,
    short_lived: Example,
    mesh: Mesh,
    tells_every_step: bool,
    told_failure: bool,
}

impl<'a> Story<'a> {
    /// Installs and registers, as a person does once, and starts to watch.
    pub(super) async fn set_up(
        fleet: &'a Fleet,
        key: KeyAlgorithm,
        narrator: Narrator,
    ) -> Result<Self, Failure> {
        let short_lived = Example::short_lived()?;
        let wanted_key = (key != KeyAlgorithm::Rsa4096).then_some(key);
        let examples: Result<Vec<_>, _> =
            (1..=fleet.remotes().len()).map(|number| Example::of_cluster(number, wanted_key)).collect();
        let targets = [cacerts(), short_lived.target.clone()];
        narrator.chapter("Install and register, as an administrator");
        narrator.moving(format!("making a root with an {key} key"));
        let (root, ()) = tokio::try_join!(new_root(key), fleet.install(&targets))?;
        for member in fleet.members() {
            narrator.tell(member.name(), "definitions, accounts and rights are installed");
        }
        fleet.store_root(&root).await?;
        let management = fleet.management();
        narrator.tell(management.name(), &format!("a signing CA is made: Secret certmesh/{ROOT_CA}, {key}"));
        fleet.register().await?;
        for remote in fleet.remotes() {
            let event = "is registered, with a token for the issuer that reads no Secret there";
            narrator.tell(remote.name(), event);
        }
        Ok(Self {
            fleet,
            management: management.admin().await?,
            narrator,
            sights: Sights::watch(fleet, &targets).await?,
            world: World::default(),
            root,
            key,
            examples: examples?,
            short_lived,
            mesh: Mesh::default(),
            tells_every_step: true,
            told_failure: false,
        })
    }

    /// All that `--once` answers for.
    pub(super) async fn issue_verify_and_renew(&mut self) -> Result<(), Failure> {
        self.issue().await?;
        self.verify().await?;
        self.renew().await
    }

    async fn issue(&mut self) -> Result<(), Failure> {
        self.narrator.chapter("kubectl apply -f examples/");
        for example in &self.examples {
            apply_yaml(&self.management, &example.file, &example.yaml).await?;
        }
        let wanted: Vec<_> = self.deliveries();
        self.until("a certificate in every cluster", |world, _| {
            wanted.iter().all(|(cluster, name, target)| world.delivered(cluster, name, target).is_some())
        })
        .await
    }

    async fn verify(&mut self) -> Result<(), Failure> {
        self.narrator.chapter("Verify");
        self.verify_secrets().await?;
        for index in 0..self.examples.len() {
            let example = &self.examples[index];
            let member = &self.fleet.remotes()[index];
            let secret = verify::read(member, &example.target).await?;
            self.mesh.start(&example.cluster, &example.target, &secret).await?;
        }
        self.verify_connections().await
    }

    async fn verify_secrets(&self) -> Result<(), Failure> {
        for (member, example) in self.fleet.remotes().iter().zip(&self.examples) {
            let secret = verify::read(member, &example.target).await?;
            let expected = Expected { hosts: &example.hosts, key: self.key, root: &self.root };
            verify::check_issued(member.name(), &secret, &expected, Timestamp::now())?;
            let fact = format!("{}: key, certificate, chain and roots fit and verify", example.target);
            self.narrator.verified(member.name(), &fact);
            verify::check_key_stays(self.fleet, member, &example.target, &secret).await?;
            self.narrator.verified(member.name(), "its private key is in no other Secret of any cluster");
        }
        Ok(())
    }

    async fn verify_connections(&self) -> Result<(), Failure> {
        let connections = self.mesh.connect_all().await?;
        let fact =
            format!("{connections} mutual TLS connections, each side trusting its own root-cert.pem alone");
        self.narrator.verified("all", &fact);
        Ok(())
    }

    /// Asks for a renewal of every certificate while connections are made all the time.
    async fn renew(&mut self) -> Result<(), Failure> {
        self.narrator.chapter(
            "kubectl annotate issuedcertificate istio certmesh.dev/renew=…, while workloads keep connecting",
        );
        self.mesh.start_traffic().await;
        let deliveries = self.deliveries();
        let before: Vec<_> = deliveries
            .iter()
            .map(|(cluster, name, target)| self.world.delivered(cluster, name, target))
            .collect();
        let nonce = Timestamp::now().to_string();
        for (cluster, name, _) in &deliveries {
            self.ask_for_renewal(cluster, name, &nonce).await?;
        }
        self.until("a renewed certificate in every cluster", |world, _| {
            deliveries.iter().zip(&before).all(|((cluster, name, target), before)| {
                let now = world.delivered(cluster, name, target);
                now.is_some() && now != *before
            })
        })
        .await?;
        let enough = self.mesh.tally().total() + CONNECTIONS_AFTERWARDS * deliveries.len() as u64;
        self.until("connections under the renewed certificates", |_, mesh| mesh.tally().total() >= enough)
            .await?;
        self.verify_secrets().await?;
        self.verify_connections().await?;
        self.judge_traffic()
    }

    async fn ask_for_renewal(&self, cluster: &str, name: &str, nonce: &str) -> Result<(), Failure> {
        let intents: Api<IssuedCertificate> = Api::namespaced(self.management.clone(), cluster);
        let patch = serde_json::json!({"metadata": {"annotations": {(annotations::RENEW): nonce}}});
        let patched = intents.patch(name, &PatchParams::default(), &Patch::Merge(patch)).await;
        patched.map(drop).map_err(|error| {
            Failure::new(format!("annotating IssuedCertificate {cluster}/{name}")).because(error)
        })
    }

    fn judge_traffic(&self) -> Result<(), Failure> {
        let total = grouped(self.mesh.judge()?);
        let fact = format!("{total} connections before, during and after the renewal, 0 failed");
        self.narrator.verified("all", &fact);
        Ok(())
    }

    /// What is to be delivered: cluster, intent, Secret.
    fn deliveries(&self) -> Vec<(String, String, ObjectRef)> {
        self.examples
            .iter()
            .map(|example| (example.cluster.clone(), example.name.clone(), example.target.clone()))
            .collect()
    }

    /// Watches until something holds.
    async fn until(&mut self, what: &str, holds: impl Fn(&World, &Mesh) -> bool) -> Result<(), Failure> {
        let clusters = u32::try_from(self.examples.len()).unwrap_or(u32::MAX);
        let deadline = Instant::now() + PATIENCE + PATIENCE_PER_CLUSTER * clusters;
        let mut tick = interval(TICK);
        while !holds(&self.world, &self.mesh) {
            tokio::select! {
                Some(sight) = self.sights.next() => self.see(sight)?,
                _ = tick.tick() => self.move_on(&format!("waiting for {what}")),
                () = sleep_until(deadline) => return Err(self.out_of_patience(what)),
            }
        }
        Ok(())
    }

    fn out_of_patience(&self, what: &str) -> Failure {
        let troubles = self.world.troubles();
        let why =
            if troubles.is_empty() { "nothing happened any more".to_owned() } else { troubles.join("\n") };
        Failure::new(format!("waiting for {what}"))
            .because(why)
            .advise("run it again with --log-level info to see what issuer and agents do")
    }

    fn see(&mut self, sight: Sight) -> Result<(), Failure> {
        let renewed = match &sight.object {
            Seen::Target(secret) if !sight.is_gone => {
                let target = ObjectRef::new(
                    secret.metadata.namespace.clone().unwrap_or_default(),
                    secret.metadata.name.clone().unwrap_or_default(),
                );
                self.mesh.renew(&sight.cluster, &target, secret)?
            }
            _ => false,
        };
        let place = sight.cluster.clone();
        for news in self.world.see(sight) {
            if self.tells_every_step || news.is_milestone {
                self.narrator.tell(&news.place, &news.event);
            }
        }
        if renewed && self.tells_every_step {
            self.narrator.tell(&place, "its workload has a leaf of the new certificate, for new connections");
        }
        Ok(())
    }

    fn move_on(&mut self, otherwise: &str) {
        let tally = self.mesh.tally();
        if tally.total() == 0 {
            self.narrator.moving(otherwise.to_owned());
            return;
        }
        self.narrator.moving(format!("{} connections, {} failed", grouped(tally.total()), tally.failed));
        if let Some(reason) = tally.first_failure.clone().filter(|_| !self.told_failure) {
            self.told_failure = true;
            self.narrator.tell("all", &format!("a connection failed: {reason}"));
        }
    }

    /// How to look at all this with kubectl.
    pub(super) fn tell_how_to_go_on(&self, directory: &Directory) {
        self.narrator.chapter("Go on with kubectl, until Ctrl-C ends the clusters");
        let mut text = format!(
            "  export KUBECONFIG={}\n  kubectl get issuedcertificates -A\n  \
             kubectl annotate issuedcertificate istio -n cluster-1 --overwrite certmesh.dev/renew=again\n",
            directory.kubeconfig(self.fleet.management()).display()
        );
        for remote in self.fleet.remotes() {
            // Writing to a String does not fail.
            let _ = writeln!(
                text,
                "  kubectl --kubeconfig {} get secret cacerts -n istio-system",
                directory.kubeconfig(remote).display()
            );
        }
        self.narrator.print(&text);
    }

    /// A certificate that renews by itself every half minute or so, and the traffic with it. Never ends by itself but for a
    /// failure.
    pub(super) async fn go_on(&mut self) -> Result<(), Failure> {
        self.narrator.chapter("Meanwhile: a certificate of one minute, which renews by itself");
        self.tells_every_step = false;
        let example = &self.short_lived;
        apply_yaml(&self.management, &example.file, &example.yaml).await?;
        let (cluster, name, target) = (example.cluster.clone(), example.name.clone(), example.target.clone());
        self.until("a certificate of one minute", |world, _| {
            world.delivered(&cluster, &name, &target).is_some()
        })
        .await?;
        if let Some(secret) = self.world.issued(&cluster, &target).cloned() {
            self.mesh.start(&cluster, &target, &secret).await?;
            self.mesh.start_traffic().await;
        }
        let mut tick = interval(TICK);
        loop {
            tokio::select! {
                Some(sight) = self.sights.next() => self.see(sight)?,
                _ = tick.tick() => self.move_on(""),
            }
        }
    }

    /// Says that all of it was verified.
    pub(super) fn conclude(&self) {
        let elapsed = self.narrator.elapsed().as_secs_f64();
        self.narrator.print(&format!("\nEverything was verified, in {elapsed:.1} s.\n"));
    }

    /// Ends the traffic. Returns how many connections there were, of which none failed.
    pub(super) async fn finish(&mut self) -> Result<u64, Failure> {
        self.mesh.finish_traffic().await;
        self.mesh.judge()
    }

    /// Says how many connections there were.
    pub(super) fn take_leave(&self, connections: u64) {
        self.narrator.print(&format!("\n{} connections in all, 0 failed.\n", grouped(connections)));
    }
}
