//! What issuer and agents do as processes: over TLS, under the rights that we ship, on servers of either kind.
//!
//! They are the stories that `tests/` tells in one process, as far as they can be seen from outside and in real time.
//! What takes hours (back-off to its end, the brake against storms, renewals over years), needs a hand between a decision
//! and its write, or counts answers by the thousand is told there alone, on a virtual clock; each module says what.
//!
//! ```text
//!   Disturbs::Nobody      told at the same time as all others
//!   Disturbs::Cluster2    ... but one after the other: agent and link of cluster-2 are theirs
//!   Disturbs::Everybody   told alone, when all others have ended
//! ```

mod backoff;
mod bad_input;
mod burst;
mod crash;
mod deletion;
mod foreign_secret;
mod hostile_answer;
mod isolation;
mod issue;
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
const THREADS: usize = 12;

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
    burst::STORIES,
    crash::STORIES,
    never::STORIES,
];

/// Whom a story keeps from telling theirs at the same time.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Disturbs {
    Nobody,
    Cluster2,
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
    cluster_2: Mutex<()>,
}

impl Stage {
    async fn tell(&self, story: &Story, mesh: &Mesh) {
        if story.disturbs == Disturbs::Everybody {
            let _alone = self.everybody.write().await;
            return (story.tell)(mesh).await;
        }
        let _together = self.everybody.read().await;
        let _cluster_2 = match story.disturbs {
            Disturbs::Cluster2 => self.cluster_2.lock().await,
            Disturbs::Nobody | Disturbs::Everybody => return (story.tell)(mesh).await,
        };
        // Also when the story fails, so that it fails alone.
        let _mended = Mended(mesh);
        (story.tell)(mesh).await;
    }
}

/// When dropped, cluster-2 is reached and served again.
struct Mended<'a>(&'a Mesh);

impl Drop for Mended<'_> {
    fn drop(&mut self) {
        self.0.set_link(1, LinkState::Up);
        self.0.go_on();
        self.0.ensure_running("cluster-2");
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
