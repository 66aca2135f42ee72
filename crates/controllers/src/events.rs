//! Kubernetes Events: for people who run `kubectl describe` or `kubectl get events`.

use crate::transport::Transport;
use certmesh_workflow::bounded;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use kube::{Client, Resource};
use std::sync::Arc;

/// The verb of our events: what was done to the object they regard.
const ACTION: &str = "Reconcile";

/// Publishes events on behalf of one controller. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Events(Publisher);

#[derive(Clone)]
enum Publisher {
    Recorder(Recorder),
    Direct(Arc<dyn Transport>),
}

impl Events {
    /// Events that name `controller` as their source.
    pub(crate) fn new(client: Client, controller: &str) -> Self {
        let reporter = Reporter { controller: controller.to_owned(), instance: None };
        Self(Publisher::Recorder(Recorder::new(client, reporter)))
    }

    /// Events that somebody takes note of without a connection.
    pub(crate) fn direct(transport: Arc<dyn Transport>) -> Self {
        Self(Publisher::Direct(transport))
    }

    /// Publishes an event. A failure is logged and otherwise ignored: events inform, nothing depends on them.
    pub(crate) async fn publish<K>(&self, regarding: &K, warning: bool, reason: &str, note: &str)
    where
        K: Resource<DynamicType = ()>,
    {
        let recorder = match &self.0 {
            Publisher::Recorder(recorder) => recorder,
            Publisher::Direct(transport) => return transport.event(reason, &cut(note)),
        };
        let event = Event {
            type_: if warning { EventType::Warning } else { EventType::Normal },
            reason: reason.to_owned(),
            note: Some(cut(note)),
            action: ACTION.to_owned(),
            secondary: None,
        };
        if let Err(error) = recorder.publish(&event, &regarding.object_ref(&())).await {
            let error = bounded(&error.to_string());
            tracing::debug!(reason, error, "event not published");
        }
    }
}

/// The API server's limit for an event's note is 1 KiB.
fn cut(note: &str) -> String {
    const MAX: usize = 1024;
    let end = (0..=MAX.min(note.len())).rev().find(|&at| note.is_char_boundary(at)).unwrap_or(0);
    note[..end].to_owned()
}
