//! Of several replicas of a controller one works: the shell around [`certmesh_workflow::lease`].
//!
//! ```text
//!   follow ──elected──▶ lead: work, renewing meanwhile ──stop──▶ work ends ▸ the lease is released
//!      ▲                          │ lost: another has it, or it could not be renewed in time
//!      └──────── work ends ◀── the term is over: no request of the work leaves any more
//! ```
//!
//! A [`Term`] fences the work's clients: once it is over, requests are refused before they are sent and those under way are
//! given up, also in a process that was stopped for a while and does not know yet. What is on the wire by then is
//! harmless because of the versions that it was decided on.

use crate::clock::Clock;
use crate::health::Readiness;
use crate::metrics::{LeaseLabels, Metrics};
use certmesh_api::certificates::ObjectRef;
use certmesh_workflow::bounded;
use certmesh_workflow::lease::{self, Claim, Decision, Lost, Observed, Record, Sighting, Timing, Uptime};
use http::{Request, Response};
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::PostParams;
use kube::client::Body;
use kube::{Api, Client};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tower::BoxError;

/// A shutdown does not wait longer than this for the lease to be released: it also expires.
const RELEASE_LIMIT: Duration = Duration::from_secs(1);

/// What an election needs.
#[derive(Clone)]
pub struct ElectionConfig {
    /// The cluster that the Lease is in.
    pub client: Client,
    /// Namespace and name of the Lease.
    pub lease: ObjectRef,
    /// Names this start of this replica, and no other ever.
    pub identity: String,
    /// How long a leader may be silent, and how often it speaks.
    pub timing: Timing,
    /// The time of the day, for what people read in the Lease.
    pub clock: Clock,
    /// Says who leads.
    pub metrics: Metrics,
    /// Told once the Lease could be read: a follower is ready to take over.
    pub readiness: Readiness,
}

/// Does `work` whenever this replica leads, until `stop`. The work gets its term, ends soon after the term's
/// [`stop`](Term::stop), and sends nothing but through the term's [`fence`](Term::fence).
pub async fn while_elected<F>(config: ElectionConfig, stop: CancellationToken, work: impl Fn(Term) -> F)
where
    F: Future<Output = ()>,
{
    let mut replica = Replica::new(config);
    while !stop.is_cancelled() {
        let elected = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            elected = replica.follow() => elected,
        };
        let term = Term::begin(&stop, elected);
        replica.says_it_leads(true);
        let mut working = std::pin::pin!(work(term.clone()));
        let lost = tokio::select! {
            biased;
            () = &mut working => None,
            lost = replica.lead(&term) => Some(lost),
        };
        term.end();
        replica.says_it_leads(false);
        match lost {
            None => replica.release().await,
            Some(lost) => {
                tracing::warn!(lease = %replica.config.lease, %lost, "no longer the leader");
                working.await;
            }
        }
        replica.renewed_at = None;
    }
}

/// The time for which this replica leads. Clones are the same.
#[derive(Clone)]
pub struct Term {
    /// Moved on by each renewal.
    deadline: Arc<Mutex<Instant>>,
    stop: CancellationToken,
    over: CancellationToken,
}

/// The replica that sent this no longer leads.
#[derive(Debug, thiserror::Error)]
#[error("not sent: this replica no longer holds the lease")]
struct TermIsOver;

impl Term {
    fn begin(stop: &CancellationToken, deadline: Instant) -> Self {
        let deadline = Arc::new(Mutex::new(deadline));
        Self { deadline, stop: stop.child_token(), over: CancellationToken::new() }
    }

    /// Cancelled when the work has to end: the term is over, or the process shuts down and lets it finish what it began.
    pub fn stop(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Whether it is over: it was ended, or has not been renewed in time.
    pub fn is_over(&self) -> bool {
        self.over.is_cancelled() || Instant::now() >= *self.locked()
    }

    /// The client, for as long as the term lasts.
    pub fn fence(&self, client: Client) -> Client {
        let term = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let (term, client) = (term.clone(), client.clone());
            async move { term.send(client, request).await }
        });
        Client::new(service, "default")
    }

    async fn send(self, client: Client, request: Request<Body>) -> Result<Response<Body>, BoxError> {
        if self.is_over() {
            return Err(TermIsOver.into());
        }
        tokio::select! {
            biased;
            () = self.over.cancelled() => Err(TermIsOver.into()),
            answer = client.send(request) => Ok(answer?),
        }
    }

    fn renew(&self, deadline: Instant) {
        *self.locked() = deadline;
    }

    fn end(&self) {
        self.over.cancel();
        self.stop.cancel();
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, Instant> {
        self.deadline.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One replica's part in the election.
struct Replica {
    config: ElectionConfig,
    api: Api<Lease>,
    began: Instant,
    sighting: Sighting,
    /// The record that was written last, while nothing else is known of it.
    written: Option<Lease>,
    renewed_at: Option<Uptime>,
}

impl Replica {
    fn new(config: ElectionConfig) -> Self {
        let api = Api::namespaced(config.client.clone(), &config.lease.namespace);
        Self {
            config,
            api,
            began: Instant::now(),
            sighting: Sighting::default(),
            written: None,
            renewed_at: None,
        }
    }

    /// Returns once this replica leads: until when, if it does not renew.
    async fn follow(&mut self) -> Instant {
        loop {
            let record = self.read().await;
            if record.is_ok() {
                self.config.readiness.set_ready();
            }
            match self.decide(found(&record)) {
                Decision::Acquire(claim) | Decision::Renew(claim) => {
                    if let Some(until) = self.write(&claim).await {
                        tracing::info!(lease = %self.config.lease, identity = self.config.identity, "leading");
                        return until;
                    }
                    tokio::time::sleep(self.config.timing.retry_period()).await;
                }
                Decision::Wait { until } => self.sleep_until(until).await,
                // Who does not lead cannot step down.
                Decision::StepDown(_) => {}
            }
        }
    }

    /// Renews the lease until it is lost.
    async fn lead(&mut self, term: &Term) -> Lost {
        loop {
            let record = match self.written.take() {
                Some(lease) => Ok(Some(lease)),
                None => self.read().await,
            };
            match self.decide(found(&record)) {
                Decision::Acquire(claim) | Decision::Renew(claim) => {
                    if let Some(until) = self.write(&claim).await {
                        term.renew(until);
                    } else if let Decision::Wait { until } = self.decide(Record::Unread) {
                        self.sleep_until(until).await;
                    }
                }
                Decision::Wait { until } => {
                    self.written = record.ok().flatten();
                    self.sleep_until(until).await;
                }
                Decision::StepDown(lost) => return lost,
            }
        }
    }

    fn decide(&mut self, record: Record<'_>) -> Decision {
        let now = self.uptime();
        self.sighting.observe(now, record);
        let observed = Observed {
            identity: &self.config.identity,
            timing: &self.config.timing,
            record,
            sighting: &self.sighting,
            renewed_at: self.renewed_at,
        };
        lease::decide(now, &observed)
    }

    async fn read(&self) -> Result<Option<Lease>, ()> {
        let name = &self.config.lease.name;
        self.in_time("reading", self.api.get_opt(name)).await
    }

    /// Writes a record. Until when this replica leads by that, if the write is known to have succeeded.
    async fn write(&mut self, claim: &Claim) -> Option<Instant> {
        let (sent_at, sent) = (self.uptime(), Instant::now());
        let record = claim.record(&self.config.lease, self.config.clock.now());
        let parameters = PostParams::default();
        let written = if claim.is_new() {
            self.in_time("creating", self.api.create(&parameters, &record)).await
        } else {
            self.in_time("renewing", self.api.replace(&self.config.lease.name, &parameters, &record)).await
        };
        self.written = written.ok();
        self.written.as_ref()?;
        self.renewed_at = Some(sent_at);
        Some(sent + self.config.timing.renew_deadline())
    }

    /// Lets the next replica begin at once.
    async fn release(&mut self) {
        let Some(lease) = self.written.take() else { return };
        let time = self.config.clock.now();
        let Some(record) = lease::released(&lease, &self.config.identity, time) else { return };
        let (name, parameters) = (self.config.lease.name.clone(), PostParams::default());
        let released = self.in_time("releasing", self.api.replace(&name, &parameters, &record));
        if let Ok(Ok(_)) = tokio::time::timeout(RELEASE_LIMIT, released).await {
            tracing::info!(lease = %self.config.lease, "lease released");
        }
    }

    /// How long a request may take: half of the renew deadline leaves time for one more, and no leader waits past its end.
    fn limit(&self) -> Duration {
        let half = self.config.timing.renew_deadline() / 2;
        let end = self.renewed_at.map(|renewed_at| renewed_at.after(self.config.timing.renew_deadline()));
        end.map_or(half, |end| half.min(end.until(self.uptime())))
    }

    async fn in_time<T>(
        &self,
        verb: &str,
        request: impl Future<Output = Result<T, kube::Error>>,
    ) -> Result<T, ()> {
        let limit = self.limit();
        let error = match tokio::time::timeout(limit, request).await {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(kube::Error::Api(status))) if status.code == 409 => {
                tracing::debug!(lease = %self.config.lease, verb, "another replica was faster");
                return Err(());
            }
            Ok(Err(error)) => bounded(&error.to_string()),
            Err(_) => format!("no answer in {} s", limit.as_secs_f32()),
        };
        tracing::warn!(lease = %self.config.lease, verb, error, "the lease could not be read or written, trying again");
        Err(())
    }

    fn uptime(&self) -> Uptime {
        Uptime(self.began.elapsed())
    }

    async fn sleep_until(&self, until: Uptime) {
        tokio::time::sleep_until(self.began + until.0).await;
    }

    fn says_it_leads(&self, leads: bool) {
        let labels = LeaseLabels { lease: self.config.lease.to_string() };
        self.config.metrics.leader.get_or_create(&labels).set(i64::from(leads));
    }
}

fn found(read: &Result<Option<Lease>, ()>) -> Record<'_> {
    match read {
        Ok(Some(lease)) => Record::Present(lease),
        Ok(None) => Record::Absent,
        Err(()) => Record::Unread,
    }
}
