//! Eventually stable: once faults stop, every certificate is in place and reported, or stalled for a reason that is true;
//! nothing is left over, and nothing is written any more.

use certmesh_api::certificates::{
    IssuedCertificate, IssuedCertificateState, IssuedCertificateStatus, ObjectRef,
};
use certmesh_api::conditions::{READY, STALLED};
use certmesh_api::names::{annotations, labels, secret_types};
use certmesh_api::secrets::{CA_CERT, ROOT_CERT, data};
use certmesh_x509::{Certificate, Hosts, TrustBundle};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::ResourceExt;

use super::ensure;
use super::secrets::whole;
use crate::cluster::{HOME, Kind};
use crate::watch::parsed;
use crate::world::World;

/// Every certificate is finished, or stalled for a reason that is true.
pub(crate) fn everything_is_finished_or_rightly_stalled(world: &World) -> Result<(), String> {
    for object in world.clusters[0].all(Kind::IssuedCertificate) {
        let intent: IssuedCertificate = parsed(&object);
        let name = ObjectRef::new(intent.namespace().unwrap_or_default(), intent.name_any());
        let status = intent.status.clone().unwrap_or_default();
        ensure(intent.metadata.deletion_timestamp.is_none(), || {
            format!("intent {name} is still being deleted")
        })?;
        let stalled = status
            .conditions
            .iter()
            .find(|condition| condition.type_ == STALLED && condition.status == "True");
        match stalled {
            Some(stalled) => is_rightly_stalled(world, &intent, &stalled.reason).map_err(|error| {
                format!("intent {name} is stalled ({}: {}), but {error}", stalled.reason, stalled.message)
            })?,
            None => {
                is_finished(world, &intent, &status).map_err(|error| format!("intent {name}: {error}"))?;
            }
        }
    }
    renewals_are_spread(world)?;
    nothing_is_left_over(world)
}

/// Two certificates that live equally long are not renewed equally long after they were issued.
fn renewals_are_spread(world: &World) -> Result<(), String> {
    let mut seen = std::collections::BTreeMap::new();
    for object in world.clusters[0].all(Kind::IssuedCertificate) {
        let intent: IssuedCertificate = parsed(&object);
        let Some(certificate) = intent.status.as_ref().and_then(|status| status.certificate.as_ref()) else {
            continue;
        };
        let Some(renew_at) = &certificate.renew_at else { continue };
        let begin = certificate.not_before.0.as_second();
        let times = (certificate.not_after.0.as_second() - begin, renew_at.0.as_second() - begin);
        let name = format!("{}/{}", intent.namespace().unwrap_or_default(), intent.name_any());
        if let Some(other) = seen.insert(times, name.clone()) {
            return Err(format!("{name} and {other} are both renewed {} s after their beginning", times.1));
        }
    }
    Ok(())
}

fn is_finished(
    world: &World,
    intent: &IssuedCertificate,
    status: &IssuedCertificateStatus,
) -> Result<(), String> {
    ensure(status.state == IssuedCertificateState::Finished, || {
        format!("{:?}: {}", status.state, status.error)
    })?;
    let ready =
        status.conditions.iter().any(|condition| condition.type_ == READY && condition.status == "True");
    ensure(ready, || "finished, but not ready".to_owned())?;
    ensure(Some(status.observed_generation) == intent.metadata.generation, || {
        format!("ready for generation {}, not {:?}", status.observed_generation, intent.metadata.generation)
    })?;
    let Some(secret) = target(world, intent) else { return Err("ready, but there is no Secret".to_owned()) };
    whole(&secret, world.clock.now())?;
    let certificate = data(&secret, CA_CERT).and_then(|pem| Certificate::from_pem(pem).ok());
    ensure(certificate.as_ref().is_some_and(|found| found.not_before() <= world.clock.now()), || {
        "ready, but the certificate in place begins in the future".to_owned()
    })?;
    let wanted = Hosts::parse(&intent.spec.hosts).map_err(|error| error.to_string())?;
    ensure(certificate.as_ref().is_some_and(|found| found.identifies_exactly(&wanted)), || {
        "ready, but the certificate in place has other hosts".to_owned()
    })?;
    ensure(
        secret.annotations().get(annotations::RENEW) == intent.annotations().get(annotations::RENEW),
        || "ready, but not for the renewal that was asked for".to_owned(),
    )?;
    let said = status.certificate.as_ref().map(|certificate| certificate.fingerprint.clone());
    let held = certificate.map(|certificate| certificate.fingerprint().to_string());
    ensure(said == held, || "ready, but another certificate is in place than was reported".to_owned())
}

fn site(intent: &IssuedCertificate) -> Option<usize> {
    intent.namespace()?.strip_prefix("cluster-")?.parse().ok()
}

fn target(world: &World, intent: &IssuedCertificate) -> Option<Secret> {
    let target = intent.spec.issued_certificate_secret.as_ref()?;
    Some(parsed(&world.clusters[site(intent)?].get(Kind::Secret, &target.namespace, &target.name)?.clone()))
}

/// A reason to stall, and what has to be so when it is given.
fn is_rightly_stalled(world: &World, intent: &IssuedCertificate, reason: &str) -> Result<(), String> {
    let secret = target(world, intent);
    let is_ours = |secret: &Secret| {
        let name = ObjectRef::new(intent.namespace().unwrap_or_default(), intent.name_any());
        secret.labels().get(labels::AGENT).map(String::as_str) == Some(HOME)
            && secret.annotations().get(annotations::ISSUED_FOR) == Some(&name.to_string())
    };
    let says = |key: &str| intent.annotations().get(key).map(String::as_str) == Some("true");
    match reason {
        "SecretNotOurs" => {
            let foreign = secret.is_some_and(|secret| !is_ours(&secret)) && !says(annotations::ADOPT);
            ensure(foreign, || "the Secret is ours or to be adopted".to_owned())
        }
        "WouldReplaceLiveRoot" => {
            ensure(!says(annotations::REPLACE_ROOT), || "a person accepted it".to_owned())?;
            // Without its file of roots, those that the Secret was written with count.
            let has_roots = |secret: &Secret| {
                data(secret, ROOT_CERT).is_some() || secret.annotations().contains_key(annotations::ROOTS)
            };
            let in_use = secret.is_some_and(|secret| has_roots(&secret)) || live_roots(world, intent);
            ensure(in_use, || "no roots are in use".to_owned())
        }
        "RootReplaced" => {
            let recorded = intent.status.as_ref().and_then(|status| status.trust.as_ref());
            let roots = recorded.map(|trust| trust.roots.clone()).unwrap_or_default();
            let signers = super::signing::roots_of(intent);
            ensure(!roots.is_empty() && signers.iter().any(|root| !roots.contains(root)), || {
                format!("the CA's root is among those recorded: {roots:?}")
            })
        }
        "RootNotAllowed" => {
            let pin = site(intent).and_then(|site| {
                world.clusters[site].get(
                    Kind::ConfigMap,
                    HOME,
                    certmesh_api::names::well_known::TRUST_ANCHORS,
                )
            });
            ensure(pin.is_some(), || "there is no pin".to_owned())
        }
        "CopyNotOurs" => {
            let copy = site(intent)
                .and_then(|site| world.clusters[site].get(Kind::IssuedCertificate, HOME, &intent.name_any()))
                .map(|copy| parsed::<IssuedCertificate>(&copy));
            let name = format!("{}/{}", intent.namespace().unwrap_or_default(), intent.name_any());
            let disowned = copy.is_some_and(|copy| {
                copy.annotations().get(annotations::INTENT) != Some(&name)
                    && copy.annotations().get(annotations::INTENT_UID) != intent.uid().as_ref()
            });
            ensure(disowned, || "the copy says that it is".to_owned())
        }
        // An answer that could not be put in place for long: another one is asked for when it is time.
        "AnswerExpired" => is_rightly_stalled(world, intent, "WouldReplaceLiveRoot")
            .or_else(|_| is_rightly_stalled(world, intent, "RootNotAllowed")),
        // A request that an intruder left there: its agent has no use for any as long as it is stalled itself.
        "KeyNotProven" | "RequestUnreadable" => match stalled_by_its_agent(world, intent) {
            Some(reason) => is_rightly_stalled(world, intent, &reason),
            None => Err("its agent does not wait for a person".to_owned()),
        },
        _ => Err("that is not a reason that could be left".to_owned()),
    }
}

/// Why the agent says that a person has to act, if it does and the reason is its own.
fn stalled_by_its_agent(world: &World, intent: &IssuedCertificate) -> Option<String> {
    let copy = world.clusters[site(intent)?].get(Kind::IssuedCertificate, HOME, &intent.name_any())?;
    let copy: IssuedCertificate = parsed(&copy);
    let conditions = copy.status?.conditions;
    let stalled =
        conditions.into_iter().find(|condition| condition.type_ == STALLED && condition.status == "True");
    stalled.map(|stalled| stalled.reason).filter(|reason| reason != "Refused")
}

fn live_roots(world: &World, intent: &IssuedCertificate) -> bool {
    let name = certmesh_api::names::well_known::ISTIO_CA_ROOT_CERT;
    let namespace =
        intent.spec.issued_certificate_secret.as_ref().map_or("", |target| target.namespace.as_str());
    let map = site(intent).and_then(|site| world.clusters[site].get(Kind::ConfigMap, namespace, name));
    let map: Option<ConfigMap> = map.map(|map| parsed(&map));
    let pem = map.as_ref().and_then(|map| map.data.as_ref()?.get("root-cert.pem"));
    pem.is_some_and(|pem| TrustBundle::from_pem(pem.as_bytes()).is_ok())
}

/// Copies have intents; requests and pending keys are gone, but where something stalls.
fn nothing_is_left_over(world: &World) -> Result<(), String> {
    let stalled = |site: usize, name: &str| {
        let intent = world.clusters[0].get(Kind::IssuedCertificate, &world.clusters[site].name, name);
        intent.is_some_and(|intent| {
            let intent: IssuedCertificate = parsed(&intent);
            intent.status.is_some_and(|status| status.state == IssuedCertificateState::Failed)
        })
    };
    // What somebody made another intent's copy is left alone, with all that belongs to it: it may be one.
    let is_anothers = |site: usize, name: &str| {
        let cluster = &world.clusters[site];
        cluster.get(Kind::IssuedCertificate, HOME, name).is_some_and(|copy| {
            let copy: IssuedCertificate = parsed(&copy);
            copy.annotations().get(annotations::INTENT) != Some(&format!("{}/{name}", cluster.name))
        })
    };
    // What an intruder put there when the copy had gone: nobody's, and no key of ours hangs on it.
    let is_an_intruders = |site: usize, name: &str| {
        let place = (site, ObjectRef::new(HOME, name));
        !world.witness.history.requests.contains(&place)
            && world.clusters[site].get(Kind::IssuedCertificate, HOME, name).is_none()
    };
    let may_stay = |site: usize, name: &str| {
        world.witness.history.overtaken.contains(&(site, ObjectRef::new(HOME, name)))
            || is_anothers(site, name)
    };
    for (site, cluster) in world.clusters.iter().enumerate().skip(1) {
        for copy in cluster.all(Kind::IssuedCertificate) {
            let intent = world.clusters[0].get(Kind::IssuedCertificate, &cluster.name, copy.name());
            ensure(intent.is_some() || may_stay(site, copy.name()), || {
                format!("copy {} in {} has no intent", copy.name(), cluster.name)
            })?;
        }
        for request in cluster.all(Kind::CertificateRequest) {
            let name = request.name();
            ensure(stalled(site, name) || may_stay(site, name) || is_an_intruders(site, name), || {
                format!("request {} in {} is left over", request.name(), cluster.name)
            })?;
        }
        for secret in cluster.all(Kind::Secret) {
            let typed: Secret = parsed(&secret);
            let is_key = typed.type_.as_deref() == Some(secret_types::GENERATED_PRIVATE_KEY);
            ensure(!is_key || stalled(site, secret.name()) || may_stay(site, secret.name()), || {
                format!("pending key {} in {} is left over", secret.name(), cluster.name)
            })?;
        }
    }
    Ok(())
}

/// Seconds from a certificate's beginning until it may be replaced.
const BRAKE: i64 = 900;

/// When something will be written again: a certificate is to be renewed, one that waits to be put in place expires, or it
/// is time for the next attempt.
pub(crate) fn next_change(world: &World) -> Option<jiff::Timestamp> {
    let statuses = world.clusters[0].all(Kind::IssuedCertificate).into_iter().flat_map(|object| {
        let status = parsed::<IssuedCertificate>(&object).status.unwrap_or_default();
        let renewal = status.certificate.and_then(|certificate| certificate.renew_at);
        [renewal, status.next_attempt_at].map(|time| time.map(|time| time.0))
    });
    let requests = world.clusters.iter().flat_map(|cluster| cluster.all(Kind::CertificateRequest));
    // An answer that could not be put in place ends; or begins, if a clock was ahead when it was signed.
    let now = world.clock.now();
    let answers = requests.flat_map(|object| {
        let certificate = super::signing::answer_of(&parsed(&object));
        let begin = certificate.as_ref().map(Certificate::not_before).filter(|begin| *begin > now);
        [begin, certificate.map(|certificate| certificate.not_after())]
    });
    // A certificate that is too young to be replaced.
    let waits = |cluster: &&crate::cluster::Cluster| {
        cluster.all(Kind::IssuedCertificate).iter().any(|object| {
            let status = parsed::<IssuedCertificate>(object).status.unwrap_or_default();
            status.state != IssuedCertificateState::Finished
        })
    };
    let secrets = world.clusters.iter().skip(1).filter(waits).flat_map(|cluster| cluster.all(Kind::Secret));
    let begin = |object: std::sync::Arc<certmesh_apiserver::store::StoredObject>| {
        let certificate = Certificate::from_pem(data(&parsed(&object), CA_CERT)?).ok()?;
        Some(certificate.not_before())
    };
    let brakes =
        secrets.map(|object| begin(object)?.checked_add(jiff::SignedDuration::from_secs(BRAKE)).ok());
    // One that is in place, was signed by a clock that was ahead, and cannot be replaced.
    let begins = world.clusters.iter().skip(1).flat_map(|cluster| cluster.all(Kind::Secret));
    let begins = begins.map(|object| begin(object).filter(|begin| *begin > now));
    statuses.chain(answers).chain(brakes).chain(begins).flatten().min()
}
