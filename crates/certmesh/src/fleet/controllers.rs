//! Issuer and agents of a fleet, as they run in pods: over TLS, each with a token of its own account.

use std::time::Duration;

use certmesh_api::{
    manifests::{Agent, Issuer},
    names::well_known,
};
use certmesh_controllers::{
    Clock, IssuanceLog, KeyMaker, Metrics, Readiness, Spawner,
    agent::{self, AgentConfig},
    issuer::{self, Connector, IssuerConfig},
};
use tokio::{task::JoinSet, time::timeout};
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use super::Fleet;
use crate::failure::Failure;

const HOME: &str = well_known::NAMESPACE;
/// The first lists of an empty cluster take milliseconds.
const START_LIMIT: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(2);

/// The running issuer and agents. They stop when this is dropped.
pub struct Controllers {
    stop: CancellationToken,
    tasks: JoinSet<()>,
}

impl Fleet {
    /// Starts the issuer and every agent, and waits until their caches are filled.
    pub async fn run(&self, issuance_log: IssuanceLog) -> Result<Controllers, Failure> {
        let mut controllers = Controllers { stop: CancellationToken::new(), tasks: JoinSet::new() };
        let mut readiness = vec![self.start_issuer(&mut controllers, issuance_log).await?];
        // Keys of all agents are made on the same cores.
        let keys = KeyMaker::default();
        for index in 0..self.remotes.len() {
            readiness.push(self.start_agent(index, &mut controllers, keys.clone()).await?);
        }
        let all_ready = async {
            while !readiness.iter().all(Readiness::is_ready) {
                tokio::time::sleep(POLL).await;
            }
        };
        match timeout(START_LIMIT, all_ready).await {
            Ok(()) => Ok(controllers),
            Err(_) => Err(Failure::new("starting issuer and agents")
                .because(format!("their first lists were not complete after {} s", START_LIMIT.as_secs()))
                .advise("run again with --log-level info to see what they wait for")),
        }
    }

    async fn start_issuer(
        &self,
        controllers: &mut Controllers,
        issuance_log: IssuanceLog,
    ) -> Result<Readiness, Failure> {
        let readiness = Readiness::default();
        let config = IssuerConfig {
            namespace: HOME.to_owned(),
            agent_namespace: HOME.to_owned(),
            client: self.management.account(HOME, Issuer::NAME).await?,
            any_ca_namespace: false,
            clock: Clock::system(),
            metrics: Metrics::default(),
            readiness: readiness.clone(),
            connect: Connector::default(),
            issuance_log,
            spawner: Spawner::default(),
        };
        controllers.tasks.spawn(issuer::run(config, controllers.stop.clone()));
        Ok(readiness)
    }

    async fn start_agent(
        &self,
        index: usize,
        controllers: &mut Controllers,
        keys: KeyMaker,
    ) -> Result<Readiness, Failure> {
        let readiness = Readiness::default();
        let client = self.remotes[index].account(HOME, Agent::NAME).await?;
        let config = AgentConfig {
            namespace: HOME.to_owned(),
            requests: client.clone(),
            local: client,
            clock: Clock::system(),
            keys,
            metrics: Metrics::default(),
            readiness: readiness.clone(),
            spawner: Spawner::default(),
        };
        let span = tracing::info_span!("agent", cluster = self.remotes[index].name());
        controllers.tasks.spawn(agent::run(config, controllers.stop.clone()).instrument(span));
        Ok(readiness)
    }
}

impl Controllers {
    /// Waits for `stop`. That one of them ends before is a failure.
    pub async fn watch(&mut self, stop: &CancellationToken) -> Result<(), Failure> {
        tokio::select! {
            () = stop.cancelled() => Ok(()),
            Some(ended) = self.tasks.join_next() => {
                let failure = Failure::new("running issuer and agents");
                Err(match ended {
                    Err(error) => failure.because(error),
                    Ok(()) => failure.because("one of them ended by itself"),
                })
            }
        }
    }

    /// Stops all of them; passes that have begun are finished.
    pub async fn stop(mut self) {
        self.stop.cancel();
        while self.tasks.join_next().await.is_some() {}
    }
}

impl Drop for Controllers {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
