//! A seeded storm: what goes wrong between processes and API servers, drawn from one number.
//!
//! ```text
//!   seed ─▶ weather: which faults there are in this run, and how often      (a swarm: each run has others)
//!        ├▶ for each start of each process a stream: what happens to its 1st, 2nd, 3rd … request
//!        └▶ for each use of `dice`: what people and other writers do, and when
//! ```
//!
//! The same seed gives the same plan. Which request is a process's 17th is not decided by the seed alone: tasks that sign
//! run on threads of their own, and keys, serial numbers and the order of hash maps are random.

use crate::link::{Frames, answer, carried};
use certmesh_apiserver::store::seeded_random;
use http::{Request, Response, StatusCode};
use kube::Client;
use kube::client::Body;
use serde_json::json;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;
use tower::BoxError;

/// A sequence of decisions that a seed determines.
#[derive(Clone)]
pub struct Dice(Arc<dyn Fn() -> u64 + Send + Sync>);

impl Dice {
    /// The sequence of this name.
    pub fn of(seed: u64, name: &str) -> Self {
        let mut hasher = DefaultHasher::new();
        name.hash(&mut hasher);
        Self(seeded_random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ hasher.finish()))
    }

    /// A number below `bound`, which is above zero.
    pub fn below(&self, bound: u64) -> u64 {
        (self.0)() % bound
    }

    /// Whether it happens, with this chance in a thousand.
    pub fn permille(&self, chance: u64) -> bool {
        self.below(1000) < chance
    }

    /// One of these.
    pub fn one_of<T: Copy>(&self, all: &[T]) -> T {
        let index = self.below(u64::try_from(all.len()).expect("few things"));
        all[usize::try_from(index).expect("few things")]
    }

    /// A time up to this one.
    pub fn up_to(&self, limit: Duration) -> Duration {
        Duration::from_millis(self.below(u64::try_from(limit.as_millis()).expect("short times") + 1))
    }
}

/// How often what goes wrong in one run: chances in a thousand requests, or writes.
#[derive(Clone, Copy, Debug)]
struct Weather {
    slow: u64,
    refused: u64,
    status: u64,
    lost: u64,
    crash: u64,
    watch_breaks: u64,
    gone: u64,
    lag: u64,
}

impl Weather {
    /// Each fault is there in about two of three runs, rare, usual or frequent.
    fn of(seed: u64) -> Self {
        let dice = Dice::of(seed, "weather");
        let rate = |most: u64| dice.one_of(&[0, most / 10, most / 3, most]);
        Self {
            slow: rate(200),
            refused: rate(100),
            status: rate(150),
            lost: rate(150),
            crash: rate(60),
            watch_breaks: rate(900),
            gone: rate(300),
            lag: rate(300),
        }
    }
}

/// A storm. Clones are the same.
#[derive(Clone)]
pub struct Storm(Arc<Inner>);

struct Inner {
    seed: u64,
    weather: Weather,
    is_calm: AtomicBool,
    began: Instant,
    trace: Mutex<Vec<String>>,
}

impl Storm {
    /// The storm of this seed. It begins at once.
    pub fn of(seed: u64) -> Self {
        let weather = Weather::of(seed);
        let (is_calm, trace) = (AtomicBool::new(false), Mutex::default());
        let storm = Self(Arc::new(Inner { seed, weather, is_calm, began: Instant::now(), trace }));
        storm.note(&format!("{weather:?}"));
        storm
    }

    /// The sequence of this name.
    pub fn dice(&self, name: &str) -> Dice {
        Dice::of(self.0.seed, name)
    }

    /// Nothing goes wrong any more.
    pub fn calm(&self) {
        self.0.is_calm.store(true, Ordering::SeqCst);
        self.note("the storm is over");
    }

    /// Whether it is over.
    pub fn is_calm(&self) -> bool {
        self.0.is_calm.load(Ordering::SeqCst)
    }

    /// Adds a line to what is printed if the run fails.
    pub fn note(&self, what: &str) {
        let line = format!("{:>9.3} {what}", self.0.began.elapsed().as_secs_f64());
        self.0.trace.lock().unwrap_or_else(PoisonError::into_inner).push(line);
    }

    /// What happened, a line each.
    pub fn trace(&self) -> Vec<String> {
        self.0.trace.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What happens to one start of a process.
    pub(crate) fn stream(&self, process: &str) -> Stream {
        Stream { storm: self.clone(), process: process.to_owned(), dice: self.dice(process) }
    }
}

/// What happens to the requests of one start of a process.
#[derive(Clone)]
pub(crate) struct Stream {
    storm: Storm,
    process: String,
    dice: Dice,
}

impl Stream {
    /// The client as the process sees it.
    pub(crate) fn wrap(&self, client: Client) -> Client {
        let stream = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let (client, stream) = (client.clone(), stream.clone());
            async move { stream.send(client, request).await }
        });
        Client::new(service, "default")
    }

    /// Whether the process dies at this write: before it is sent, or before its answer is read.
    pub(crate) fn crash(&self) -> Option<Crash> {
        if self.storm.is_calm() || !self.dice.permille(self.storm.0.weather.crash) {
            return None;
        }
        Some(self.dice.one_of(&[Crash::Before, Crash::After]))
    }

    async fn send(&self, client: Client, request: Request<Body>) -> Result<Response<Frames>, BoxError> {
        if self.storm.is_calm() {
            return Ok(client.send(request).await?.map(|body| carried(body, broken(None))));
        }
        let weather = self.storm.0.weather;
        if self.dice.permille(weather.slow) {
            tokio::time::sleep(self.dice.up_to(Duration::from_secs(4))).await;
        }
        if self.dice.permille(weather.refused) {
            self.note(&request, "is refused");
            return Err("connection refused".into());
        }
        if self.dice.permille(weather.status) {
            let status = self.dice.one_of(&[409, 429, 500, 503, 504]);
            self.note(&request, &format!("is answered {status}"));
            return Ok(failure(status));
        }
        if crate::faults::is_watch(&request) {
            return self.watch(client, request).await;
        }
        if self.dice.permille(weather.lost) {
            self.note(&request, "takes effect, its answer is lost");
            client.send(request).await?;
            return Err("connection reset by peer".into());
        }
        Ok(client.send(request).await?.map(|body| carried(body, broken(None))))
    }

    async fn watch(&self, client: Client, request: Request<Body>) -> Result<Response<Frames>, BoxError> {
        let weather = self.storm.0.weather;
        if self.dice.permille(weather.gone) {
            self.note(&request, "is answered 410");
            return Ok(failure(410));
        }
        let breaks = self.dice.permille(weather.watch_breaks);
        let breaks = breaks.then(|| self.dice.up_to(Duration::from_secs(40)));
        if self.dice.permille(weather.lag) {
            // Nothing is seen for a while: as old as the other caches get, this one is older.
            tokio::time::sleep(self.dice.up_to(Duration::from_secs(8))).await;
        }
        Ok(client.send(request).await?.map(|body| carried(body, broken(breaks))))
    }

    fn note(&self, request: &Request<Body>, what: &str) {
        let path = request.uri().path();
        self.storm.note(&format!("{}: {} {path} {what}", self.process, request.method()));
    }
}

/// Returns when the connection breaks, if it does.
async fn broken(after: Option<Duration>) -> BoxError {
    match after {
        Some(after) => tokio::time::sleep(after).await,
        None => std::future::pending().await,
    }
    "connection reset by peer".into()
}

/// When a process dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Crash {
    Before,
    After,
}

/// What an API server says when it does not do what it was asked for.
fn failure(code: u16) -> Response<Frames> {
    let reason = match code {
        409 => "Conflict",
        410 => "Expired",
        429 => "TooManyRequests",
        503 => "ServiceUnavailable",
        504 => "Timeout",
        _ => "InternalError",
    };
    let status = json!({
        "apiVersion": "v1", "kind": "Status", "status": "Failure", "metadata": {},
        "message": "the storm says so", "reason": reason, "code": code,
    });
    answer(StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), status.to_string())
}
