//! Never 6: a write to, or deletion of, an object that is not ours. And what is ours is not left behind.

use certmesh_api::certificates::{IssuedCertificate, ObjectRef};
use certmesh_api::names::{annotations, finalizers, labels, secret_types};
use certmesh_controllers::ApiVerb;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;

use super::ensure;
use crate::cluster::{HOME, Kind};
use crate::process::Actor;
use crate::witness::{CopyMade, History, Object, Place, Write};

/// Before the write, the object was ours or there was none.
pub(crate) fn writes_only_what_is_ours(write: &Write, history: &History) -> Result<(), String> {
    if !write.is_ours() || !write.taken {
        return Ok(());
    }
    let Some(before) = &write.before else { return Ok(()) };
    let holds = match (write.actor, before) {
        (Actor::Agent(site), _) if site != write.site => false,
        (Actor::Agent(_), Object::Secret(secret)) if write.name.namespace == HOME => is_pending_key(secret),
        (Actor::Agent(_), Object::Secret(secret)) => is_issued_by_us(secret) || is_adopted(write, history),
        (Actor::Agent(_), Object::Request(request)) => has_agents_label(&**request),
        (Actor::Agent(_), Object::Certificate(copy)) => is_agents_part(write, copy),
        (Actor::Issuer(_), Object::Certificate(copy)) if write.site == 0 => is_issuers_part(write, copy),
        (Actor::Issuer(_), Object::Certificate(copy)) => is_copy(write, copy),
        (Actor::Issuer(_), Object::Request(_)) => {
            write.site > 0 && matches!(write.verb, ApiVerb::UpdateStatus(_) | ApiVerb::Delete { .. })
        }
        _ => false,
    };
    ensure(holds, || format!("{} {} is not the {}'s to write", write.kind.name(), write.name, write.actor))
}

fn has_agents_label(object: &impl ResourceExt) -> bool {
    object.labels().get(labels::AGENT).map(String::as_str) == Some(HOME)
}

fn is_pending_key(secret: &Secret) -> bool {
    has_agents_label(secret) && secret.type_.as_deref() == Some(secret_types::GENERATED_PRIVATE_KEY)
}

fn is_issued_by_us(secret: &Secret) -> bool {
    has_agents_label(secret) && secret.annotations().contains_key(annotations::ISSUED_FOR)
}

fn is_adopted(write: &Write, history: &History) -> bool {
    let site = format!("cluster-{}", write.site);
    let of_site = history.intents.iter().filter(|(name, _)| name.namespace == site).flat_map(|(_, all)| all);
    of_site.filter_map(|version| version.intent.as_ref()).any(|intent| {
        intent.annotations().contains_key(annotations::ADOPT)
            && intent.spec.issued_certificate_secret.as_ref() == Some(&write.name)
    })
}

/// An agent writes a copy's status, and takes its own finalizer off.
fn is_agents_part(write: &Write, before: &IssuedCertificate) -> bool {
    match &write.verb {
        ApiVerb::UpdateStatus(_) => true,
        ApiVerb::Update(_) => {
            let after = write.after.as_ref().and_then(Object::certificate);
            after.is_none_or(|after| after.spec == before.spec && after.annotations() == before.annotations())
        }
        _ => false,
    }
}

/// An issuer writes an intent's status and its own finalizer.
fn is_issuers_part(write: &Write, before: &IssuedCertificate) -> bool {
    is_agents_part(write, before)
}

/// A copy is ours by its annotations, or by label and finalizer when those were wiped.
fn is_copy(write: &Write, copy: &IssuedCertificate) -> bool {
    let cluster = format!("cluster-{}", write.site);
    let named = copy.annotations().get(annotations::INTENT);
    let of_this_intent = named.map(String::as_str) == Some(&format!("{cluster}/{}", write.name.name));
    let by_uid = copy.annotations().contains_key(annotations::INTENT_UID);
    let by_label = copy.labels().get(labels::CLUSTER) == Some(&cluster)
        && copy.finalizers().iter().any(|finalizer| finalizer == finalizers::COPY);
    of_this_intent || by_uid || named.is_none() && by_label
}

/// Labels, annotations, finalizers and owners that others put on an object stay on it.
pub(crate) fn others_marks_stay(write: &Write, _: &History) -> Result<(), String> {
    if !write.is_ours() || !write.taken || !matches!(write.verb, ApiVerb::Update(_)) {
        return Ok(());
    }
    let marks = |object: &Option<Object>| match object {
        Some(Object::Certificate(object)) => foreign_marks(&**object),
        Some(Object::Secret(object)) => foreign_marks(&**object),
        _ => Vec::new(),
    };
    if write.after.is_none() {
        return Ok(());
    }
    let (before, after) = (marks(&write.before), marks(&write.after));
    let lost = before.iter().find(|mark| !after.contains(mark));
    ensure(lost.is_none(), || {
        format!("{} {} lost {lost:?}, which is another's", write.kind.name(), write.name)
    })
}

fn foreign_marks(object: &impl ResourceExt) -> Vec<String> {
    let ours =
        |key: &str| key.starts_with(annotations::PREFIX) || key == labels::AGENT || key == labels::CLUSTER;
    let pairs = object.labels().iter().chain(object.annotations());
    let pairs = pairs.filter(|(key, _)| !ours(key)).map(|(key, value)| format!("{key}={value}"));
    let finalizers = object.finalizers().iter().filter(|name| !ours(name)).cloned();
    pairs.chain(finalizers).collect()
}

/// A finalizer of ours comes off only when what it stood for is gone.
pub(crate) fn nothing_is_left_behind(write: &Write, history: &History) -> Result<(), String> {
    let certificate = |object: &Option<Object>| object.as_ref().and_then(Object::certificate).cloned();
    let Some(before) = certificate(&write.before).filter(|_| write.is_ours() && write.taken) else {
        return Ok(());
    };
    let mark = if write.site == 0 { finalizers::INTENT } else { finalizers::COPY };
    let has = |object: &IssuedCertificate| object.finalizers().iter().any(|finalizer| finalizer == mark);
    if !has(&before) || certificate(&write.after).as_ref().is_some_and(has) {
        return Ok(());
    }
    let leftover = if write.site == 0 {
        history.left_behind_intent(write)
    } else {
        history.left_behind_copy(write.site, &write.name)
    };
    ensure(leftover.is_none(), || {
        format!("{} {} was let go, but {leftover:?} is still there", write.kind.name(), write.name)
    })
}

impl History {
    fn left_behind_intent(&self, write: &Write) -> Option<String> {
        self.copy_of(&write.name)?;
        self.copy_made_meanwhile(write).is_none().then(|| "its copy".to_owned())
    }

    fn copy_of(&self, intent: &ObjectRef) -> Option<(Place, &CopyMade)> {
        let site = intent.namespace.strip_prefix("cluster-")?.parse::<usize>().ok()?;
        let place = (site, ObjectRef::new(HOME, &intent.name));
        let copy = self.copies.get(&place).filter(|copy| copy.of == intent.to_string())?;
        Some((place, copy))
    }

    /// The copy that another replica, which believes to lead as well, made while the pass was under way that lets the intent
    /// go: no look at the copy could have told.
    pub(crate) fn copy_made_meanwhile(&self, write: &Write) -> Option<Place> {
        let (place, copy) = self.copy_of(&write.name).filter(|_| write.is_by_issuer())?;
        let by_another = matches!(copy.by, Actor::Issuer(_)) && copy.by != write.actor;
        (by_another && copy.step > write.since).then_some(place)
    }

    fn left_behind_copy(&self, site: usize, copy: &ObjectRef) -> Option<String> {
        let place = (site, copy.clone());
        [(&self.pending, "its pending key"), (&self.requests, "its request")]
            .into_iter()
            .find(|(places, _)| places.contains(&place))
            .map(|(_, what)| what.to_owned())
    }

    /// Keeps count of what is ours and there.
    pub(crate) fn count(&mut self, write: &Write) {
        let place = (write.site, write.name.clone());
        let by_agent = write.is_by_agent();
        let insert = |places: &mut std::collections::BTreeSet<_>, is_there: bool| match is_there {
            // What others put there with our label on it is not ours to clean up.
            true if by_agent => drop(places.insert(place.clone())),
            true => {}
            false => drop(places.remove(&place)),
        };
        match (write.kind, &write.after) {
            (Kind::Secret, after) if write.name.namespace == HOME && write.site > 0 => {
                let is_key =
                    |secret: &Secret| is_pending_key(secret) && secret.metadata.deletion_timestamp.is_none();
                insert(&mut self.pending, after.as_ref().and_then(Object::secret).is_some_and(is_key));
            }
            (Kind::CertificateRequest, after) => {
                let request = after.as_ref().and_then(Object::request);
                let is_open = request.is_some_and(|request| {
                    has_agents_label(request) && request.metadata.deletion_timestamp.is_none()
                });
                insert(&mut self.requests, is_open);
            }
            (Kind::IssuedCertificate, after) if write.site > 0 => {
                let copy = after.as_ref().and_then(Object::certificate);
                let of = copy.and_then(|copy| copy.annotations().get(annotations::INTENT).cloned());
                let made = self.copies.remove(&place).filter(|_| write.before.is_some());
                let (by, step) = made.map_or((write.actor, write.step), |made| (made.by, made.step));
                if let Some(of) = of {
                    self.copies.insert(place, CopyMade { of, by, step });
                }
            }
            _ => {}
        }
    }
}
