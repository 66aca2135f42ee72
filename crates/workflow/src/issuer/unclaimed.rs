//! Objects in a remote cluster whose intent nobody knows. A restored management cluster must not wipe its fleet, so nothing is
//! deleted here; `certmesh cluster prune` is for that.

use certmesh_api::certificates::CertificateRequest;

use super::effect::{Effect, deferred};
use crate::examine::RequestFacts;
use crate::object::{Examined, name_of};

/// What to answer to a request that has no intent, after the caches are in sync and a live read confirmed it. Nothing when
/// that was said already, or the request is answered.
pub fn answer_unclaimed(
    cluster: &certmesh_api::ClusterName,
    request: Examined<'_, CertificateRequest, RequestFacts>,
) -> Option<Effect> {
    let name = name_of(request.object);
    let message = format!(
        "the management cluster has no IssuedCertificate {cluster}/{}: create it, or delete this request and the copy it was made for",
        name.name
    );
    deferred(request, &message)
}
