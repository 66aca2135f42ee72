//! Two copies that name one Secret: one of them has the better claim.

use certmesh_api::certificates::{IssuedCertificate, ObjectRef};
use jiff::Timestamp;

use crate::examine::{IssuedFacts, copy};
use crate::object::name_of;

/// Which other copy has the better claim to the Secret that this one names. `all` are the copies of the cluster; this one
/// may be among them.
///
/// The one that the Secret was issued for wins. As long as it was issued for none of them, the oldest does, and of two made
/// in one second the one whose name comes first. A copy that is being deleted claims nothing.
pub fn rival<'a>(
    this: &IssuedCertificate,
    all: impl IntoIterator<Item = &'a IssuedCertificate>,
    issued: Option<&IssuedFacts>,
) -> Option<ObjectRef> {
    let target = this.spec.issued_certificate_secret.as_ref()?;
    let own = Claim::of(this, issued);
    all.into_iter()
        .filter(|other| other.spec.issued_certificate_secret.as_ref() == Some(target))
        .filter(|other| other.metadata.deletion_timestamp.is_none())
        .map(|other| Claim::of(other, issued))
        .filter(|claim| claim.name != own.name)
        .min()
        .filter(|best| *best < own)
        .map(|best| best.name)
}

/// The least claim is the best one.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Claim {
    is_without_secret: bool,
    created: Timestamp,
    name: ObjectRef,
}

impl Claim {
    fn of(object: &IssuedCertificate, issued: Option<&IssuedFacts>) -> Self {
        let issued_for = issued.and_then(|issued| issued.issued_for.as_ref());
        let intent = copy(object).origin.map(|origin| origin.intent);
        Self {
            is_without_secret: intent.is_none() || intent.as_ref() != issued_for,
            created: object.metadata.creation_timestamp.as_ref().map_or(Timestamp::MAX, |time| time.0),
            name: name_of(object),
        }
    }
}
