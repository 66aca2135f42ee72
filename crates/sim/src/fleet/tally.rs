//! What is counted while a fleet lives.

use certmesh_controllers::ApiVerb;
use serde::{Deserialize, Serialize};

/// What one side did: the issuer, or all agents together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Work {
    /// Passes.
    pub(crate) passes: u64,
    /// GET requests.
    pub(crate) reads: u64,
    /// Requests that change something.
    pub(crate) writes: u64,
    /// Kubernetes Events that were published.
    pub(crate) events: u64,
    /// What its watches told: an object each.
    pub(crate) told: u64,
}

/// A certificate that was put in place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Delivery {
    /// Seconds since the beginning.
    pub(crate) at: i64,
    /// The cluster.
    pub(crate) site: usize,
    /// The Secret that holds it.
    pub(crate) secret: String,
    /// Seconds that the one before it would still have been valid; nothing for a first one.
    pub(crate) left: Option<i64>,
}

/// All that is counted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Tally {
    pub(crate) issuer: Work,
    pub(crate) agents: Work,
    /// Certificates that were signed.
    pub(crate) signed: u64,
    pub(crate) deliveries: Vec<Delivery>,
}

impl Work {
    /// Counts a request.
    pub(super) fn request(&mut self, verb: &ApiVerb) {
        match verb {
            ApiVerb::Get => self.reads += 1,
            ApiVerb::Create(_) | ApiVerb::Update(_) | ApiVerb::UpdateStatus(_) | ApiVerb::Delete { .. } => {
                self.writes += 1;
            }
        }
    }

    /// Both together.
    pub(crate) fn and(self, other: Self) -> Self {
        Self {
            passes: self.passes + other.passes,
            reads: self.reads + other.reads,
            writes: self.writes + other.writes,
            events: self.events + other.events,
            told: self.told + other.told,
        }
    }
}
