//! The tasks of a process: what runs beside its own future, and how.

use futures::FutureExt;
use futures::future::BoxFuture;
use std::sync::Arc;
use tokio_util::task::TaskTracker;

type Around = dyn Fn(BoxFuture<'static, ()>) -> BoxFuture<'static, ()> + Send + Sync;

/// Makes of each task of a process what is run. By default that is the task; who wants to stop a process that lives among
/// others puts something around it. Cheap to clone.
#[derive(Clone)]
pub struct Spawner(Arc<Around>);

impl Default for Spawner {
    fn default() -> Self {
        Self::around(|task| task)
    }
}

impl Spawner {
    /// Runs what this function makes of a task.
    pub fn around(
        around: impl Fn(BoxFuture<'static, ()>) -> BoxFuture<'static, ()> + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(around))
    }
}

/// The tasks of one run of a controller, which ends after the last of them. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Tasks {
    spawner: Spawner,
    tracker: TaskTracker,
}

impl Tasks {
    /// No tasks yet; each is run by this spawner.
    pub(crate) fn of(spawner: Spawner) -> Self {
        Self { spawner, tracker: TaskTracker::new() }
    }

    /// Runs a task.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.tracker.spawn((self.spawner.0)(task.boxed()));
    }

    /// Returns when all have ended.
    pub(crate) async fn ended(&self) {
        self.tracker.close();
        self.tracker.wait().await;
    }
}
