//! What a pass decides.

use certmesh_api::certificates::IssuedCertificateStatus;
use jiff::Timestamp;

/// What to do, what to say, and when to look again.
#[derive(Clone, Debug)]
pub struct Decision<E> {
    /// To be applied in this order; the first that fails ends the pass.
    pub effects: Vec<E>,
    /// The new status of the certificate's object, to be written after all effects. Nothing when it says what is there
    /// already. An effect of the same pass may have updated the object: the status goes onto the version that this returned.
    pub status: Option<IssuedCertificateStatus>,
    /// What changed, for people who run `kubectl describe`. About the certificate's object.
    pub events: Vec<Event>,
    /// When to decide again if nothing changes before.
    pub wake_at: Option<Timestamp>,
}

impl<E> Default for Decision<E> {
    fn default() -> Self {
        Self { effects: Vec::new(), status: None, events: Vec::new(), wake_at: None }
    }
}

impl<E> Decision<E> {
    /// Whether nothing is to be done or said now.
    pub fn is_empty(&self) -> bool {
        self.effects.is_empty() && self.status.is_none() && self.events.is_empty()
    }

    /// Looks again at this time, or before if something else asks for it.
    pub(crate) fn wake(&mut self, at: Timestamp) {
        self.wake_at = Some(self.wake_at.map_or(at, |earlier| earlier.min(at)));
    }
}

/// A Kubernetes Event to be recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Whether somebody should look.
    pub severity: Severity,
    /// CamelCase, the same as the condition's reason.
    pub reason: String,
    /// What happened, and what to do next.
    pub message: String,
}

/// The `type` of an Event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// As it should be.
    Normal,
    /// Somebody should look.
    Warning,
}

impl Severity {
    /// Kubernetes' word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Normal => "Normal",
            Self::Warning => "Warning",
        }
    }
}
