//! A client that dies: from its Nth write on nothing is answered any more, as if the process had been killed there.

use http::{Method, Request, Response};
use kube::Client;
use kube::client::Body;
use std::convert::Infallible;
use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use tokio::sync::Notify;

/// Where a process is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CrashPoint {
    /// Before its Nth write (from 1) reaches the API server.
    Before(u32),
    /// After its Nth write took effect, before the answer is read.
    After(u32),
}

/// Counts the writes of a process, over all its clients, and kills it at a point.
#[derive(Clone, Default)]
pub struct Faults {
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    crash_at: Option<CrashPoint>,
    writes: AtomicU32,
    crashed: AtomicBool,
    notify: Notify,
}

impl Faults {
    /// Kills at this point.
    pub fn crash_at(point: CrashPoint) -> Self {
        Self { inner: Arc::new(Inner { crash_at: Some(point), ..Inner::default() }) }
    }

    /// How many writes have been sent, events and reviews aside.
    pub fn writes(&self) -> u32 {
        self.inner.writes.load(Ordering::SeqCst)
    }

    /// Waits until the process is dead.
    pub async fn crashed(&self) {
        let notified = self.inner.notify.notified();
        if !self.inner.crashed.load(Ordering::SeqCst) {
            notified.await;
        }
    }

    /// The client as the process sees it.
    pub fn wrap(&self, client: Client) -> Client {
        let faults = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let (client, faults) = (client.clone(), faults.clone());
            async move { faults.send(client, request).await }
        });
        Client::new(service, "default")
    }

    async fn send(&self, client: Client, request: Request<Body>) -> Result<Response<Body>, kube::Error> {
        if self.inner.crashed.load(Ordering::SeqCst) {
            return never().await;
        }
        let number =
            if is_write(&request) { self.inner.writes.fetch_add(1, Ordering::SeqCst) + 1 } else { 0 };
        if self.inner.crash_at == Some(CrashPoint::Before(number)) {
            return self.die().await;
        }
        let response = client.send(request).await?;
        if self.inner.crash_at == Some(CrashPoint::After(number)) {
            return self.die().await;
        }
        Ok(response)
    }

    async fn die(&self) -> Result<Response<Body>, kube::Error> {
        self.inner.crashed.store(true, Ordering::SeqCst);
        self.inner.notify.notify_waiters();
        never().await
    }
}

async fn never() -> Result<Response<Body>, kube::Error> {
    let never: Infallible = pending().await;
    match never {}
}

/// Events inform and reviews ask; neither changes what a pass sees.
fn is_write(request: &Request<Body>) -> bool {
    let path = request.uri().path();
    matches!(*request.method(), Method::POST | Method::PUT | Method::PATCH | Method::DELETE)
        && !path.contains("/events")
        && !path.contains("reviews")
}
