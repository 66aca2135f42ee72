//! A client that dies, or whose objects change under its hands: what happens to a process is decided at its writes.

use crate::machine::{LocalClock, Signals};
use crate::storm::{Crash, Storm, Stream};
use futures::future::BoxFuture;
use http::{Method, Request, Response};
use kube::Client;
use kube::client::Body;
use std::convert::Infallible;
use std::future::pending;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{Notify, watch};

/// Where a process is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CrashPoint {
    /// Before its Nth write (from 1) reaches the API server.
    Before(u32),
    /// After its Nth write took effect, before the answer is read.
    After(u32),
}

/// A write as it was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// POST, PUT, PATCH or DELETE.
    pub method: Method,
    /// Path of the request.
    pub path: String,
    /// HTTP status of the answer; none while it is awaited.
    pub answer: Option<u16>,
}

/// Done before a write reaches the API server; gets its number (from 1), method and path.
type Meddle = dyn Fn(u32, Method, String) -> BoxFuture<'static, ()> + Send + Sync;

/// Which writes are meant, by method and path.
type Meant = dyn Fn(&Method, &str) -> bool + Send + Sync;

/// A write that is held up on its way, and everything after it.
struct Hold {
    number: u32,
    is_meant: Box<Meant>,
    seen: AtomicU32,
    stage: watch::Sender<Stage>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Before,
    Held,
    After,
}

/// Counts the writes of a process, over all its clients, and lets something happen at them.
#[derive(Clone, Default)]
pub struct Faults {
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    crash_at: Option<CrashPoint>,
    meddle: Option<Box<Meddle>>,
    hold: Option<Hold>,
    storm: Option<Stream>,
    signals: Signals,
    clock: LocalClock,
    writes: AtomicU32,
    sent: Mutex<Vec<Sent>>,
    crashed: AtomicBool,
    notify: Notify,
}

impl Faults {
    /// Kills at this point.
    pub fn crash_at(point: CrashPoint) -> Self {
        Self { inner: Arc::new(Inner { crash_at: Some(point), ..Inner::default() }) }
    }

    /// Somebody else is a little faster: `meddle` is done before each write reaches the API server.
    pub fn meddle(
        meddle: impl Fn(u32, Method, String) -> BoxFuture<'static, ()> + Send + Sync + 'static,
    ) -> Self {
        Self { inner: Arc::new(Inner { meddle: Some(Box::new(meddle)), ..Inner::default() }) }
    }

    /// What a storm does to this start of a process.
    pub fn of_storm(storm: &Storm, process: &str, clock: &LocalClock) -> Self {
        let (storm, clock) = (Some(storm.stream(process)), clock.clone());
        Self { inner: Arc::new(Inner { storm, clock, ..Inner::default() }) }
    }

    /// Stops the process and lets it go on.
    pub fn signals(&self) -> &Signals {
        &self.inner.signals
    }

    /// The process's clock.
    pub(crate) fn clock(&self) -> &LocalClock {
        &self.inner.clock
    }

    /// Kills the process now.
    pub fn kill(&self) {
        self.inner.crashed.store(true, Ordering::SeqCst);
        self.inner.signals.kill();
        self.inner.notify.notify_waiters();
    }

    /// Nothing of this process gets through from its Nth write of this kind (from 1) until [`go_on`](Self::go_on). That
    /// write is on its way already and arrives then, whether the process still waits for it or not.
    pub fn held_at(number: u32, is_meant: impl Fn(&Method, &str) -> bool + Send + Sync + 'static) -> Self {
        let stage = watch::Sender::new(Stage::Before);
        let hold = Hold { number, is_meant: Box::new(is_meant), seen: AtomicU32::new(0), stage };
        Self { inner: Arc::new(Inner { hold: Some(hold), ..Inner::default() }) }
    }

    /// Whether a write is being held up.
    pub fn is_held(&self) -> bool {
        self.inner.hold.as_ref().is_some_and(|hold| *hold.stage.borrow() == Stage::Held)
    }

    /// Lets what is held up go on.
    pub fn go_on(&self) {
        if let Some(hold) = &self.inner.hold {
            hold.stage.send_replace(Stage::After);
        }
    }

    /// How many writes have been sent, events and reviews aside.
    pub fn writes(&self) -> u32 {
        self.inner.writes.load(Ordering::SeqCst)
    }

    /// The writes that have been sent, events and reviews aside, in order.
    pub fn sent(&self) -> Vec<Sent> {
        self.inner.sent.lock().unwrap_or_else(PoisonError::into_inner).clone()
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
        let client = match &self.inner.storm {
            Some(storm) => storm.wrap(client),
            None => client,
        };
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
        self.not_held().await;
        let number = if is_write(&request) { self.record(&request) } else { 0 };
        let crash = self.inner.storm.as_ref().filter(|_| number > 0).and_then(Stream::crash);
        if self.inner.crash_at == Some(CrashPoint::Before(number)) || crash == Some(Crash::Before) {
            return self.die().await;
        }
        if let Some(meddle) = self.inner.meddle.as_ref().filter(|_| number > 0) {
            meddle(number, request.method().clone(), request.uri().path().to_owned()).await;
        }
        let response = if number > 0 && self.holds(&request) {
            let late = self.clone();
            let sending = tokio::spawn(async move {
                late.not_held().await;
                let response = client.send(request).await?;
                late.record_answer(number, response.status().as_u16());
                Ok::<_, kube::Error>(response)
            });
            sending.await.map_err(|error| kube::Error::Service(error.into()))??
        } else {
            client.send(request).await?
        };
        self.record_answer(number, response.status().as_u16());
        if self.inner.crash_at == Some(CrashPoint::After(number)) || crash == Some(Crash::After) {
            return self.die().await;
        }
        Ok(response)
    }

    /// Whether this is the write that is held up.
    fn holds(&self, request: &Request<Body>) -> bool {
        let Some(hold) = &self.inner.hold else { return false };
        let is_meant = (hold.is_meant)(request.method(), request.uri().path());
        let holds = is_meant && hold.seen.fetch_add(1, Ordering::SeqCst) + 1 == hold.number;
        if holds {
            hold.stage.send_replace(Stage::Held);
        }
        holds
    }

    async fn not_held(&self) {
        if let Some(hold) = &self.inner.hold {
            // The sender lives as long as `self`.
            let _ = hold.stage.subscribe().wait_for(|stage| *stage != Stage::Held).await;
        }
    }

    /// The number of this write.
    fn record(&self, request: &Request<Body>) -> u32 {
        let mut sent = self.inner.sent.lock().unwrap_or_else(PoisonError::into_inner);
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        sent.push(Sent { method, path, answer: None });
        self.inner.writes.fetch_add(1, Ordering::SeqCst) + 1
    }

    fn record_answer(&self, number: u32, status: u16) {
        let mut sent = self.inner.sent.lock().unwrap_or_else(PoisonError::into_inner);
        let index = usize::try_from(number).unwrap_or_default().checked_sub(1);
        if let Some(write) = index.and_then(|index| sent.get_mut(index)) {
            write.answer = Some(status);
        }
    }

    async fn die(&self) -> Result<Response<Body>, kube::Error> {
        self.kill();
        never().await
    }
}

async fn never() -> Result<Response<Body>, kube::Error> {
    let never: Infallible = pending().await;
    match never {}
}

/// Whether a request asks for a watch.
pub(crate) fn is_watch(request: &Request<Body>) -> bool {
    request.uri().query().is_some_and(|query| query.split('&').any(|pair| pair == "watch=true"))
}

/// Events inform and reviews ask; neither changes what a pass sees.
fn is_write(request: &Request<Body>) -> bool {
    let path = request.uri().path();
    matches!(*request.method(), Method::POST | Method::PUT | Method::PATCH | Method::DELETE)
        && !path.contains("/events")
        && !path.contains("reviews")
}
