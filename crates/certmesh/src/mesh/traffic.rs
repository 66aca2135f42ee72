//! New connections all the time, between every two clusters and both ways, and a count of what became of them.

use std::{
    ops::AddAssign,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::probe::{Endpoint, connect};

/// Between two connections of one client to the same server: many enough to hit a renewal, few enough to leave room for it.
const PAUSE: Duration = Duration::from_millis(5);

/// What became of the connections so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Both sides accepted each other.
    pub accepted: u64,
    /// Somebody did not.
    pub failed: u64,
    /// The first failure: who, to whom, why.
    pub first_failure: Option<String>,
}

impl Tally {
    /// All connections.
    pub fn total(&self) -> u64 {
        self.accepted + self.failed
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.accepted += other.accepted;
        self.failed += other.failed;
        self.first_failure = self.first_failure.take().or(other.first_failure);
    }
}

/// Clients that connect without end. They stop when this is dropped.
pub struct Traffic {
    counters: Arc<Counters>,
    stop: CancellationToken,
    clients: JoinSet<()>,
}

#[derive(Default)]
struct Counters {
    accepted: AtomicU64,
    failed: AtomicU64,
    first_failure: Mutex<Option<String>>,
}

impl Traffic {
    /// One client in each endpoint's place, connecting to all others in turn.
    pub fn start(endpoints: &[Arc<Endpoint>]) -> Self {
        let counters = Arc::new(Counters::default());
        let stop = CancellationToken::new();
        let mut clients = JoinSet::new();
        for (index, client) in endpoints.iter().enumerate() {
            let mut servers = endpoints.to_vec();
            servers.remove(index);
            let work = talk(Arc::clone(client), servers, Arc::clone(&counters), stop.clone());
            clients.spawn(work);
        }
        Self { counters, stop, clients }
    }

    /// The count so far.
    pub fn tally(&self) -> Tally {
        self.counters.tally()
    }

    /// Finishes the connections that have begun, and counts them too.
    pub async fn finish(mut self) -> Tally {
        self.stop.cancel();
        while self.clients.join_next().await.is_some() {}
        self.counters.tally()
    }
}

async fn talk(
    client: Arc<Endpoint>,
    servers: Vec<Arc<Endpoint>>,
    counters: Arc<Counters>,
    stop: CancellationToken,
) {
    // So the load grows with the workloads, not with their square.
    let pause = PAUSE * u32::try_from(servers.len()).unwrap_or(u32::MAX);
    for server in servers.iter().cycle() {
        let workload = client.workload();
        let peer = server.workload().id().clone();
        match connect(&workload, &peer, server.address()).await {
            Ok(()) => drop(counters.accepted.fetch_add(1, Ordering::Relaxed)),
            Err(error) => counters.fail(format!("{} to {peer}: {error}", workload.id())),
        }
        if stop.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
            return;
        }
    }
}

impl Counters {
    fn fail(&self, reason: String) {
        self.failed.fetch_add(1, Ordering::Relaxed);
        self.first_failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(reason);
    }

    fn tally(&self) -> Tally {
        Tally {
            accepted: self.accepted.load(Ordering::Relaxed),
            failed: self.failed.load(Ordering::Relaxed),
            first_failure: self.first_failure.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }
}
