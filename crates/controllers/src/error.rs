//! What goes wrong in a pass: what was attempted, on which object, and why it failed.

use certmesh_workflow::bounded;
use std::fmt::Debug;
use std::time::Duration;

/// A pass that could not be finished. It is tried again; decisions that refuse something are not errors.
#[derive(Debug, thiserror::Error)]
pub enum PassError {
    /// An API request failed.
    #[error("{verb} {object}: {source}")]
    Api {
        /// What was attempted.
        verb: &'static str,
        /// On which object.
        object: String,
        /// Why it failed.
        #[source]
        source: kube::Error,
    },
    /// An object is no longer as it was when the pass decided on it.
    #[error("{object} changed while a decision on it was carried out")]
    Changed {
        /// Which object.
        object: String,
    },
    /// A key could not be made or used, or a certificate could not be signed.
    #[error("{attempted}: {source}")]
    Crypto {
        /// What was attempted.
        attempted: String,
        /// Why it failed.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The issuance log could not be written; nothing may be signed without it.
    #[error("writing the issuance log: {0}; free space or fix its permissions, nothing is signed without it")]
    IssuanceLog(#[source] std::io::Error),
}

impl PassError {
    /// Whether the object changed since it was read: somebody else was faster, look again.
    pub fn is_conflict(&self) -> bool {
        match self {
            Self::Api { source, .. } => matches!(status_code(source), Some(404 | 409)),
            Self::Changed { .. } => true,
            Self::Crypto { .. } | Self::IssuanceLog(_) => false,
        }
    }

    /// Whether the API server refused for want of rights.
    pub fn is_forbidden(&self) -> bool {
        matches!(self, Self::Api { source, .. } if status_code(source) == Some(403))
    }

    /// Logs the failure: conflicts are ordinary, everything else is worth a look.
    pub(crate) fn log<K: Debug>(&self, key: &K, failures: u32, delay: Duration) {
        // An API error is in the words of the cluster that sent it.
        let error = bounded(&self.to_string());
        let delay_ms = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
        if self.is_conflict() && failures < 5 {
            tracing::debug!(?key, failures, delay_ms, error, "pass lost a race, trying again");
        } else {
            tracing::warn!(?key, failures, delay_ms, error, "pass failed, trying again");
        }
    }
}

/// The HTTP status of an API error, if the server answered.
pub fn status_code(error: &kube::Error) -> Option<u16> {
    match error {
        kube::Error::Api(status) => Some(status.code),
        _ => None,
    }
}
