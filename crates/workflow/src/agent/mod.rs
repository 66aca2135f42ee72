//! The agent's decision.
mod effect;
mod observed;

use jiff::Timestamp;

pub use effect::{
    CreateKey, CreateRequest, Effect, ReleaseCopy, RequestKey, StoreIssued, UpdateIssued, Write,
};
pub use observed::Observed;

/// What a pass of the agent decides.
pub type Decision = crate::Decision<Effect>;

/// Decides what to do about one copy.
pub fn decide(now: Timestamp, observed: &Observed<'_>) -> Decision {
    let _ = (now, observed.name());
    Decision::default()
}

/// Which other copy has the better claim to the Secret that this one names. `others` are all copies of the cluster; this
/// one may be among them.
///
/// The one that the Secret was issued for wins; as long as none is, the oldest, and of two made in one second the one whose
/// name comes first.
pub fn rival<'a>(
    copy: &IssuedCertificate,
    others: impl IntoIterator<Item = &'a IssuedCertificate>,
    issued: Option<&IssuedFacts>,
) -> Option<ObjectRef> {
    let _ = (copy, others.into_iter().count(), issued);
    None
}
use crate::examine::IssuedFacts;
use certmesh_api::certificates::{IssuedCertificate, ObjectRef};
