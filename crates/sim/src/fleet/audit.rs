//! What has to hold when a fleet has lived: every certificate is in place and reported, nothing is left over, and no
//! certificate ever was over before the next one was there.

use certmesh_api::certificates::{IssuedCertificate, IssuedCertificateState};
use certmesh_api::conditions::READY;
use certmesh_api::names::secret_types;
use certmesh_api::secrets::{CA_CERT, data};
use certmesh_x509::Certificate;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;

use super::life::Fleet;
use super::tally::Tally;
use crate::cluster::{Cluster, Kind};
use crate::invariants::{ensure, secrets};
use crate::watch::parsed;

/// Each intent is finished with the certificate that its cluster holds, and that one is valid now; nothing else is there.
pub(super) fn everything_is_in_place(fleet: &Fleet) -> Result<(), String> {
    let intents = fleet.clusters[0].all(Kind::IssuedCertificate);
    let wanted = fleet.plan.clusters * fleet.plan.certificates;
    ensure(intents.len() == wanted, || format!("{} intents instead of {wanted}", intents.len()))?;
    for object in intents {
        let intent: IssuedCertificate = parsed(&object);
        let name = format!("{}/{}", intent.namespace().unwrap_or_default(), intent.name_any());
        is_in_place(fleet, &intent).map_err(|error| format!("intent {name}: {error}"))?;
    }
    fleet.clusters.iter().skip(1).try_for_each(nothing_is_left_over)
}

fn is_in_place(fleet: &Fleet, intent: &IssuedCertificate) -> Result<(), String> {
    let status = intent.status.clone().unwrap_or_default();
    let is_ready =
        status.conditions.iter().any(|condition| condition.type_ == READY && condition.status == "True");
    ensure(status.state == IssuedCertificateState::Finished && is_ready, || {
        format!("{:?}: {}", status.state, status.error)
    })?;
    let secret = target(fleet, intent).ok_or("there is no Secret")?;
    let now = fleet.clock.now();
    secrets::whole(&secret, now)?;
    let certificate = data(&secret, CA_CERT).and_then(|pem| Certificate::from_pem(pem).ok());
    let certificate = certificate.ok_or("there is no certificate in its Secret")?;
    ensure(certificate.not_before() <= now && now <= certificate.not_after(), || {
        format!("the certificate is valid from {} to {}", certificate.not_before(), certificate.not_after())
    })?;
    let said = status.certificate.map(|said| said.fingerprint);
    ensure(said == Some(certificate.fingerprint().to_string()), || {
        "another certificate is in place than was reported".to_owned()
    })
}

fn target(fleet: &Fleet, intent: &IssuedCertificate) -> Option<Secret> {
    let site: usize = intent.namespace()?.strip_prefix("cluster-")?.parse().ok()?;
    let target = intent.spec.issued_certificate_secret.as_ref()?;
    Some(parsed(&*fleet.clusters[site].get(Kind::Secret, &target.namespace, &target.name)?))
}

fn nothing_is_left_over(cluster: &Cluster) -> Result<(), String> {
    let requests = cluster.all(Kind::CertificateRequest).len();
    let is_key = |secret: &Secret| secret.type_.as_deref() == Some(secret_types::GENERATED_PRIVATE_KEY);
    let keys = cluster.all(Kind::Secret).iter().filter(|secret| is_key(&parsed::<Secret>(secret))).count();
    ensure(requests == 0 && keys == 0, || {
        format!("{requests} requests and {keys} pending keys are left over in {}", cluster.name)
    })
}

/// Each certificate was replaced before its end, and each that was signed was put in place.
pub(super) fn nothing_ever_expired(tally: &Tally) -> Result<(), String> {
    let late = tally.deliveries.iter().find(|delivery| delivery.left.is_some_and(|left| left <= 0));
    if let Some(late) = late {
        return Err(format!("the certificate of cluster-{} expired before {} s", late.site, late.at));
    }
    let (signed, delivered) = (tally.signed, tally.deliveries.len() as u64);
    ensure(signed == delivered, || format!("{signed} certificates were signed, {delivered} put in place"))
}
