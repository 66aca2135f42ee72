//! What issuer and agents do as processes: over TLS, under the rights that we ship, on servers of either kind.
//!
//! They are the stories that `tests/` tells in one process, as far as they can be seen from outside and in real time.
//! What takes hours (back-off to its end, the brake against storms, renewals over years), needs a hand between a decision
//! and its write, or counts answers by the thousand is told there alone, on a virtual clock; each module says what.
//!
//! ```text
//!   Disturbs::Nobody      told at the same time as all others
//!   Disturbs::Cluster(1)    ... but one after the other: agent and link of cluster-2 are theirs
//!   Disturbs::Everybody   told alone, when all others have ended
//! ```

mod backoff;
mod bad_input;
mod bad_registration;
mod burst;
mod crash;
mod deletion;
mod foreign_secret;
mod hostile_answer;
mod hostile_remote;
mod isolation;
mod issue;
mod live_root;
mod never;
mod renewal;
mod rights;
mod writes;

use crate::mesh::{LinkState, Mesh, Server};
use certmesh_api::certificates::ObjectRef;
use futures::future::BoxFuture;
use libtest_mimic::{Arguments, Trial};
use std::process::ExitCode;
use std::sync::Arc;
use tokio::runtime::Runtime;
use tokio::sync::{Mutex, RwLock};

/// Stories wait more than they work.
const THREADS: usize = 16;
/// Remote clusters.
const CLUSTERS: usize = 3;
/// The servers that stories are told on.
pub(crate) const SERVERS: [&str; 1 + CLUSTERS] = ["management", "cluster-1", "cluster-2", "cluster-3"];

/// Those who disturb everybody come last.
const MODULES: &[&[Story]] = &[
    renewal::STORIES,
    isolation::STORIES,
    issue::STORIES,
    foreign_secret::STORIES,
    deletion::STORIES,
    rights::STORIES,
    backoff::STORIES,
    writes::STORIES,
    bad_input::STORIES,
    hostile_answer::STORIES,
    hostile_remote::STORIES,
    bad_registration::STORIES,
    live_root::STORIES,
    burst::STORIES,
    crash::STORIES,
    never::STORIES,
];

/// Whom a story keeps from telling theirs at the same time.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Disturbs {
    Nobody,
    /// The remote cluster of this index.
    Cluster(usize),
    Everybody,
}

type Tell = for<'a> fn(&'a Mesh) -> BoxFuture<'a, ()>;

/// One story.
struct Story {
    name: &'static str,
    disturbs: Disturbs,
    /// The Secrets that it has issued.
    targets: fn() -> Vec<ObjectRef>,
    tell: Tell,
}

/// `cacerts` in each of these namespaces.
fn cacerts(namespaces: &[&str]) -> Vec<ObjectRef> {
    namespaces.iter().map(|namespace| ObjectRef::new(*namespace, "cacerts")).collect()
}

/// What stories hold while they are told.
#[derive(Default)]
struct Stage {
    /// Written to by who wants to be alone.
    everybody: RwLock<()>,
    clusters: [Mutex<()>; CLUSTERS],
}

impl Stage {
    async fn tell(&self, story: &Story, mesh: &Mesh) {
        if story.disturbs == Disturbs::Everybody {
            let _alone = self.everybody.write().await;
            return (story.tell)(mesh).await;
        }
        let _together = self.everybody.read().await;
        let Disturbs::Cluster(index) = story.disturbs else { return (story.tell)(mesh).await };
        let _cluster = self.clusters[index].lock().await;
        // Also when the story fails, so that it fails alone.
        let _mended = Mended(mesh, index);
        (story.tell)(mesh).await;
    }
}

/// When dropped, the cluster is reached and served again.
struct Mended<'a>(&'a Mesh, usize);

impl Drop for Mended<'_> {
    fn drop(&mut self) {
        self.0.set_link(self.1, LinkState::Up);
        self.0.go_on();
        self.0.ensure_running(&self.0.remotes[self.1].server.name);
    }
}

/// Tells the stories that the command line selects, on a mesh of these servers.
pub(crate) fn main(runtime: &Runtime, servers: Vec<Server>) -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(THREADS);
    let stories = || MODULES.iter().copied().flatten();
    let targets: Vec<ObjectRef> = stories().flat_map(|story| (story.targets)()).collect();
    let mesh = Arc::new(runtime.block_on(Mesh::start(servers, &targets)));
    let stage = Arc::new(Stage::default());
    let trials = stories().map(|story| {
        let (mesh, stage, runtime) = (Arc::clone(&mesh), Arc::clone(&stage), runtime.handle().clone());
        Trial::test(story.name, move || {
            runtime.block_on(stage.tell(story, &mesh));
            Ok(())
        })
    });
    libtest_mimic::run(&arguments, trials.collect()).exit_code()
}
