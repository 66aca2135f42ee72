//! Leader election: which replica of a controller works, as client-go does it on a `coordination.k8s.io/v1` Lease.
//!
//! ```text
//!   A leads      ●─────●─────●─ ✗ ─ ✗ ─ ✗ ─┤ steps down     renew_deadline after it SENT its last good write
//!   the record   ●─────●─────●──────────────────────●
//!   B follows     seen  seen  seen ─────────────────┤ takes over     duration after it SAW the last change
//!                            │◀── renew_deadline ──▶│
//!                            │◀──────── duration ──────────▶│
//! ```
//!
//! No clock is compared with another's: B judges the record by when B saw it change, A its own term by when A sent. As long
//! as a second of one clock is less than `duration / renew_deadline` (1.5) seconds of the other, A has stepped down before B
//! begins. The times in the record are for people.
//!
//! A lease is no lock: a leader that was stopped between its last look at the clock and its write wakes up with the write
//! in its hands. What makes that harmless is elsewhere: every write carries the version that it was decided on.

use std::fmt;
use std::time::Duration;

use certmesh_api::certificates::ObjectRef;
use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};

use crate::schedule::share;
use crate::text::bounded;

/// Time since this replica started, by a clock that never jumps: neither set by a person nor shared with anybody.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Uptime(pub Duration);

impl Uptime {
    /// This much later.
    #[must_use]
    pub fn after(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(duration))
    }

    /// How long from `now` until then; nothing once it has passed.
    pub fn until(self, now: Self) -> Duration {
        self.0.saturating_sub(now.0)
    }
}

/// The times of an election. See the picture above.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    duration: Duration,
    renew_deadline: Duration,
    retry_period: Duration,
}

/// The times do not fit together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTiming {
    /// A Lease counts in seconds.
    #[error("a lease lasts whole seconds, at least one")]
    Duration,
    /// The leader would still work when another takes over.
    #[error("the renew deadline has to be shorter than the lease")]
    RenewDeadline,
    /// The leader would have no second try.
    #[error("the retry period has to be above zero, and 1.2 of it shorter than the renew deadline")]
    RetryPeriod,
}

impl Timing {
    /// Checks that a leader gives up before another takes over, and has more than one try to renew.
    pub fn new(
        duration: Duration,
        renew_deadline: Duration,
        retry_period: Duration,
    ) -> Result<Self, InvalidTiming> {
        if duration.is_zero() || duration.subsec_nanos() != 0 || i32::try_from(duration.as_secs()).is_err() {
            return Err(InvalidTiming::Duration);
        }
        if renew_deadline >= duration {
            return Err(InvalidTiming::RenewDeadline);
        }
        if retry_period.is_zero() || retry_period.saturating_mul(12) / 10 >= renew_deadline {
            return Err(InvalidTiming::RetryPeriod);
        }
        Ok(Self { duration, renew_deadline, retry_period })
    }

    /// How long nobody else takes over after the record was seen to change.
    pub fn duration(&self) -> Duration {
        self.duration
    }

    /// How long a leader works after it sent its last good write.
    pub fn renew_deadline(&self) -> Duration {
        self.renew_deadline
    }

    /// How long between two looks at the record, and two renewals.
    pub fn retry_period(&self) -> Duration {
        self.retry_period
    }
}

impl Default for Timing {
    /// What Kubernetes' own controllers use: 15 s, 10 s, 2 s.
    fn default() -> Self {
        Self {
            duration: Duration::from_secs(15),
            renew_deadline: Duration::from_secs(10),
            retry_period: Duration::from_secs(2),
        }
    }
}

/// What a look at the record found.
#[derive(Clone, Copy, Debug)]
pub enum Record<'a> {
    /// It could not be read.
    Unread,
    /// There is none.
    Absent,
    /// As it was read, or as this replica wrote it.
    Present(&'a Lease),
}

/// The record as a replica saw it last, and since when it is like that. Only who reads a record twice can tell that its
/// holder lives, so this is the one thing that an election remembers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sighting {
    spec: Option<LeaseSpec>,
    since: Uptime,
}

impl Sighting {
    /// Takes in what was read at `now`. Other changes than the holder's, such as an annotation, are no sign of life.
    pub fn observe(&mut self, now: Uptime, record: Record<'_>) {
        let spec = match record {
            Record::Unread => return,
            Record::Absent => None,
            Record::Present(lease) => lease.spec.as_ref(),
        };
        if self.spec.as_ref() != spec {
            *self = Self { spec: spec.cloned(), since: now };
        }
    }

    /// When the record was first seen as it is now.
    pub fn since(&self) -> Uptime {
        self.since
    }
}

/// What a replica knows when it decides.
#[derive(Clone, Copy, Debug)]
pub struct Observed<'a> {
    /// Names this start of this replica, and no other ever.
    pub identity: &'a str,
    /// The times of the election.
    pub timing: &'a Timing,
    /// The record.
    pub record: Record<'a>,
    /// When it was first seen as it is.
    pub sighting: &'a Sighting,
    /// While this replica leads: when it sent the last write that it knows to have succeeded.
    pub renewed_at: Option<Uptime>,
}

/// What a replica does now.
#[derive(Clone, Debug)]
pub enum Decision {
    /// Write this record; once that has succeeded, lead.
    Acquire(Claim),
    /// Write this record; once that has succeeded, lead on.
    Renew(Claim),
    /// Look at the record again at this time.
    Wait {
        /// When.
        until: Uptime,
    },
    /// Stop working at once, whatever is under way.
    StepDown(Lost),
}

/// Why a leader no longer leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lost {
    /// It could not renew in time.
    Deadline,
    /// Another took over.
    TakenBy(String),
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Deadline => f.write_str("the lease could not be renewed in time"),
            Self::TakenBy(holder) => write!(f, "{holder} took the lease over"),
        }
    }
}

/// Decides what a replica does about the lease.
pub fn decide(now: Uptime, observed: &Observed<'_>) -> Decision {
    match observed.renewed_at {
        Some(renewed_at) => lead(now, renewed_at, observed),
        None => follow(now, observed),
    }
}

fn lead(now: Uptime, renewed_at: Uptime, observed: &Observed<'_>) -> Decision {
    let deadline = renewed_at.after(observed.timing.renew_deadline);
    if now >= deadline {
        return Decision::StepDown(Lost::Deadline);
    }
    let retry_at = now.after(observed.timing.retry_period).min(deadline);
    let lease = match observed.record {
        Record::Unread => return Decision::Wait { until: retry_at },
        // Somebody deleted it or took our name out of it: as long as nobody else leads, we do.
        Record::Absent => return Decision::Acquire(Claim::new(None, observed)),
        Record::Present(lease) => lease,
    };
    match holder(lease) {
        None => Decision::Acquire(Claim::new(Some(lease), observed)),
        Some(holder) if holder != observed.identity => Decision::StepDown(Lost::TakenBy(bounded(holder))),
        Some(_) => {
            let due = renewed_at.after(observed.timing.retry_period);
            if now < due {
                Decision::Wait { until: due }
            } else {
                Decision::Renew(Claim::new(Some(lease), observed))
            }
        }
    }
}

fn follow(now: Uptime, observed: &Observed<'_>) -> Decision {
    let look_again = now.after(poll(observed));
    let lease = match observed.record {
        Record::Unread => return Decision::Wait { until: look_again },
        Record::Absent => return Decision::Acquire(Claim::new(None, observed)),
        Record::Present(lease) => lease,
    };
    match holder(lease) {
        None => Decision::Acquire(Claim::new(Some(lease), observed)),
        // Our own write took effect though we never heard of it, or we lost our term and nobody took over.
        Some(holder) if holder == observed.identity => Decision::Acquire(Claim::new(Some(lease), observed)),
        Some(_) => {
            let expiry = observed.sighting.since.after(lasts(lease, observed.timing));
            if now < expiry {
                Decision::Wait { until: expiry.min(look_again) }
            } else {
                Decision::Acquire(Claim::new(Some(lease), observed))
            }
        }
    }
}

/// How often a follower looks: up to a fifth later than the retry period, so that replicas do not look all at once.
fn poll(observed: &Observed<'_>) -> Duration {
    observed.timing.retry_period.mul_f64(1.0 + 0.2 * share(&format!("lease {}", observed.identity)))
}

/// Who holds the lease. One that was released names nobody.
pub fn holder(lease: &Lease) -> Option<&str> {
    let holder = lease.spec.as_ref()?.holder_identity.as_deref();
    holder.filter(|holder| !holder.is_empty())
}

/// How long the record says it holds: its holder may have been started with other times than we were.
fn lasts(lease: &Lease, timing: &Timing) -> Duration {
    let said = lease.spec.as_ref().and_then(|spec| spec.lease_duration_seconds);
    let said = said.and_then(|seconds| u64::try_from(seconds).ok()).filter(|seconds| *seconds > 0);
    said.map_or(timing.duration, Duration::from_secs)
}

/// A record in which this replica is the holder, on its way to the API server.
#[derive(Clone, Debug)]
pub struct Claim {
    /// The version that it replaces.
    on: Option<Lease>,
    identity: String,
    duration: Duration,
}

impl Claim {
    fn new(on: Option<&Lease>, observed: &Observed<'_>) -> Self {
        Self { on: on.cloned(), identity: observed.identity.to_owned(), duration: observed.timing.duration }
    }

    /// Whether the record has to be created, rather than replaced on the resourceVersion that it carries.
    pub fn is_new(&self) -> bool {
        self.on.is_none()
    }

    /// The record to be written under this name, at this time of the day.
    pub fn record(&self, name: &ObjectRef, time: Timestamp) -> Lease {
        let mut lease = self.on.clone().unwrap_or_else(|| Lease {
            metadata: ObjectMeta {
                namespace: Some(name.namespace.clone()),
                name: Some(name.name.clone()),
                ..ObjectMeta::default()
            },
            ..Lease::default()
        });
        lease.metadata.managed_fields = None;
        let is_ours = holder(&lease) == Some(self.identity.as_str());
        let is_first = self.on.is_none();
        let spec = lease.spec.get_or_insert_default();
        if !is_ours {
            spec.acquire_time = Some(MicroTime(time));
            let transitions = spec.lease_transitions.unwrap_or(0);
            spec.lease_transitions = Some(if is_first { 0 } else { transitions.saturating_add(1) });
        }
        spec.holder_identity = Some(self.identity.clone());
        spec.lease_duration_seconds = i32::try_from(self.duration.as_secs()).ok();
        spec.renew_time = Some(MicroTime(time));
        lease
    }
}

/// The record after its holder is done: the next replica need not wait. Nothing if it is another's.
pub fn released(lease: &Lease, identity: &str, time: Timestamp) -> Option<Lease> {
    if holder(lease) != Some(identity) {
        return None;
    }
    let mut lease = lease.clone();
    lease.metadata.managed_fields = None;
    let spec = lease.spec.get_or_insert_default();
    spec.holder_identity = None;
    spec.lease_duration_seconds = Some(1);
    spec.renew_time = Some(MicroTime(time));
    Some(lease)
}
