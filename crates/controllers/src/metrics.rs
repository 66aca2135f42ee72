//! What a controller counts and times. Names and labels are stable; docs/operate.md lists them.

use certmesh_api::certificates::IssuedCertificateStatus;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

/// Values of the label `reason`, each of which is a time series. There are about fifty.
const MOST_REASONS: usize = 100;

/// Labels of a counted write.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct WriteLabels {
    /// Kind of the object.
    pub kind: &'static str,
    /// create, update, delete or status.
    pub verb: &'static str,
}

/// Labels of a transition of an IssuedCertificate.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct TransitionLabels {
    /// The state it is in now.
    pub state: String,
    /// The reason of its headline condition.
    pub reason: String,
}

/// Labels of a decision on a request.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct DecisionLabels {
    /// The cluster that asked.
    pub cluster: String,
    /// `signed` or `refused`.
    pub decision: &'static str,
}

/// Labels of a cluster.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct ClusterLabels {
    /// The registered name.
    pub cluster: String,
}

/// Labels of a lease.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct LeaseLabels {
    /// Namespace and name.
    pub lease: String,
}

/// Labels of a pass.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct PassLabels {
    /// `ok`, `conflict` or `error`.
    pub result: &'static str,
}

/// A controller's metrics. Cheap to clone.
#[derive(Clone)]
pub struct Metrics {
    registry: Arc<Registry>,
    reasons: Arc<Mutex<BTreeSet<String>>>,
    /// Passes by result.
    pub passes: Family<PassLabels, Counter>,
    /// API writes by kind and verb, events aside.
    pub writes: Family<WriteLabels, Counter>,
    /// State transitions written to a status.
    pub transitions: Family<TransitionLabels, Counter>,
    /// Requests decided on.
    pub decisions: Family<DecisionLabels, Counter>,
    /// Seconds from a request's creation to its signature.
    pub signed_after: Histogram,
    /// Seconds from a request's creation to its certificate in the issued Secret.
    pub stored_after: Histogram,
    /// 1 while a registered cluster's watches work, else 0.
    pub cluster_connected: Family<ClusterLabels, Gauge>,
    /// 1 while this replica leads, 0 while it follows; nothing where no leader is elected.
    pub leader: Family<LeaseLabels, Gauge>,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("certmesh");
        let passes = Family::default();
        registry.register("passes", "Passes by result", passes.clone());
        let writes = Family::default();
        registry.register("api_writes", "Writes to an API server, events aside", writes.clone());
        let transitions = Family::default();
        registry.register("transitions", "State transitions of IssuedCertificates", transitions.clone());
        let decisions = Family::default();
        registry.register("request_decisions", "Decisions on certificate requests", decisions.clone());
        let signed_after = seconds();
        registry.register("signed_after_seconds", "From request to signature", signed_after.clone());
        let stored_after = seconds();
        registry.register("stored_after_seconds", "From request to the issued Secret", stored_after.clone());
        let cluster_connected = Family::default();
        registry.register("cluster_connected", "Whether a cluster's watches work", cluster_connected.clone());
        let leader = Family::default();
        registry.register("leader", "Whether this replica leads", leader.clone());
        Self {
            registry: Arc::new(registry),
            reasons: Arc::default(),
            passes,
            writes,
            transitions,
            decisions,
            signed_after,
            stored_after,
            cluster_connected,
            leader,
        }
    }
}

impl Metrics {
    /// The OpenMetrics exposition.
    pub fn encode(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }

    /// Counts a status that says another state or reason than the one before.
    pub fn transition(&self, before: Option<&IssuedCertificateStatus>, after: &IssuedCertificateStatus) {
        let headline = |status: &IssuedCertificateStatus| {
            (
                status.state,
                status.conditions.first().map(|condition| condition.reason.clone()).unwrap_or_default(),
            )
        };
        let (state, reason) = headline(after);
        if before.map(headline).as_ref() != Some(&(state, reason.clone())) {
            let (state, reason) = (format!("{state:?}").to_uppercase(), self.bounded(reason));
            self.transitions.get_or_create(&TransitionLabels { state, reason }).inc();
        }
    }

    /// The reason, unless there have been too many others: a mirrored one is a remote cluster's word.
    fn bounded(&self, reason: String) -> String {
        let mut reasons = self.reasons.lock().unwrap_or_else(PoisonError::into_inner);
        if reasons.len() < MOST_REASONS {
            reasons.insert(reason.clone());
        }
        if reasons.contains(&reason) { reason } else { "Other".to_owned() }
    }

    /// Counts a write.
    pub fn wrote(&self, kind: &'static str, verb: &'static str) {
        self.writes.get_or_create(&WriteLabels { kind, verb }).inc();
    }
}

/// 5 ms to about 2.7 minutes.
fn seconds() -> Histogram {
    Histogram::new(exponential_buckets(0.005, 2.0, 16))
}

#[cfg(test)]
mod tests {
    use super::*;
    use certmesh_api::conditions::condition;
    use jiff::Timestamp;

    #[test]
    fn a_cluster_that_makes_up_reasons_does_not_fill_the_memory() {
        let metrics = Metrics::default();
        for number in 0..1000 {
            let reason = format!("MadeUp{number}");
            let said = condition(&[], "Ready", false, &reason, "", 1, Timestamp::UNIX_EPOCH);
            let status =
                IssuedCertificateStatus { conditions: vec![said], ..IssuedCertificateStatus::default() };
            metrics.transition(None, &status);
        }
        let text = metrics.encode().unwrap();
        assert_eq!(text.lines().filter(|line| line.contains("MadeUp")).count(), MOST_REASONS);
        assert!(text.contains("reason=\"Other\"} 900"), "{text}");
    }
}
