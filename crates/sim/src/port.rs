//! Where the requests of a pass wait until the scheduler carries them out.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use certmesh_controllers::{ApiRequest, Transport};
use futures::FutureExt;
use futures::future::BoxFuture;

/// The answer to a request, once there is one.
type Slot = Arc<Mutex<Option<kube::Result<Vec<u8>>>>>;

/// A request that a pass waits for.
pub(crate) struct Call {
    /// The cluster that it is for.
    pub(crate) site: usize,
    pub(crate) request: ApiRequest,
    slot: Slot,
}

impl Call {
    /// Gives the answer; the pass sees it when it is polled next.
    pub(crate) fn answer(self, answer: kube::Result<Vec<u8>>) {
        *locked(&self.slot) = Some(answer);
    }
}

/// What a process sent since it was last looked at.
#[derive(Clone, Default)]
pub(crate) struct Outbox {
    calls: Arc<Mutex<Vec<Call>>>,
    events: Arc<Mutex<Vec<String>>>,
}

impl Outbox {
    /// A way to one cluster.
    pub(crate) fn port(&self, site: usize) -> Arc<dyn Transport> {
        Arc::new(Port { site, outbox: self.clone() })
    }

    /// Takes the requests that were sent.
    pub(crate) fn take_calls(&self) -> Vec<Call> {
        std::mem::take(&mut *locked(&self.calls))
    }

    /// Takes the texts of the events that were published.
    pub(crate) fn take_events(&self) -> Vec<String> {
        std::mem::take(&mut *locked(&self.events))
    }
}

struct Port {
    site: usize,
    outbox: Outbox,
}

impl Transport for Port {
    fn send(&self, request: ApiRequest) -> BoxFuture<'static, kube::Result<Vec<u8>>> {
        let slot = Slot::default();
        locked(&self.outbox.calls).push(Call { site: self.site, request, slot: Arc::clone(&slot) });
        Answer(slot).boxed()
    }

    fn event(&self, reason: &str, note: &str) {
        locked(&self.outbox.events).push(format!("{reason}: {note}"));
    }
}

/// Pending until the answer is there.
struct Answer(Slot);

impl Future for Answer {
    type Output = kube::Result<Vec<u8>>;

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
        locked(&self.0).take().map_or(Poll::Pending, Poll::Ready)
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
