//! Never 5: more than one delivered certificate for a need, or a new need without a cause.

use certmesh_api::secrets::{CA_CERT, data};
use certmesh_controllers::ApiVerb;
use certmesh_workflow::need::Need;
use certmesh_x509::Certificate;
use k8s_openapi::api::core::v1::Secret;

use super::{ensure, need_of};
use crate::witness::{History, Object, Write, content};

/// Seconds.
const BACKDATE: i64 = 300;
const BRAKE: i64 = 600;
/// The first back-off is a minute, less a fifth.
const SHORTEST_BACK_OFF: i64 = 48;

/// Whether the Secret is as an agent left it.
fn is_undisturbed(write: &Write, history: &History, before: &Secret) -> bool {
    history.left_by_agent.get(&(write.site, write.name.clone())).is_some_and(|left| *left == content(before))
}

/// A need is answered once, unless somebody changed the Secret since.
pub(crate) fn one_delivery_for_each_need(write: &Write, history: &History) -> Result<(), String> {
    let Some((Some(before), after)) = write.delivery() else { return Ok(()) };
    let need = need_of(after);
    let again = history.delivered.contains(&(write.site, write.name.clone(), need.to_owned()));
    ensure(!again || !is_undisturbed(write, history, before), || {
        format!("Secret {} got a second certificate for one need: {need}", write.name)
    })
}

struct Replacement {
    old: Need,
    new: Need,
    certificate: Certificate,
}

/// A certificate of ours that is replaced while nobody has touched it.
fn replacement(write: &Write, history: &History) -> Option<Replacement> {
    let (before, after) = write.delivery()?;
    let before = before.filter(|before| is_undisturbed(write, history, before))?;
    Some(Replacement {
        old: need_of(before).parse().ok()?,
        new: need_of(after).parse().ok()?,
        certificate: Certificate::from_pem(data(before, CA_CERT)?).ok()?,
    })
}

impl Replacement {
    fn is_of_a_changed_trust_or_a_person(&self) -> bool {
        (self.old.trust, self.old.renew) != (self.new.trust, self.new.renew)
    }
}

/// A certificate is replaced for another spec, another trust, a person's wish, or because it ends.
pub(crate) fn need_has_a_cause(write: &Write, history: &History) -> Result<(), String> {
    let Some(replacement) = replacement(write, history) else { return Ok(()) };
    let changed =
        replacement.is_of_a_changed_trust_or_a_person() || replacement.old.spec != replacement.new.spec;
    // Renewal comes in the last half of a life, whatever the ratio; the clock may have been set back since the decision.
    let begin = replacement.certificate.not_before().as_second() + BACKDATE;
    let half = begin + (replacement.certificate.not_after().as_second() - begin) / 2;
    let set = history.clock_set.get(&write.actor).is_some_and(|step| *step >= write.since);
    let useless = write.clock < replacement.certificate.not_before();
    ensure(changed || set || useless || write.clock.as_second() >= half, || {
        format!("the certificate in Secret {} was replaced without a cause", write.name)
    })
}

/// A young certificate is replaced for another trust or a person only.
pub(crate) fn storm_brake_holds(write: &Write, history: &History) -> Result<(), String> {
    let Some(replacement) = replacement(write, history) else { return Ok(()) };
    let begin = replacement.certificate.not_before().as_second() + BACKDATE;
    let life = replacement.certificate.not_after().as_second() - begin;
    let useless = write.clock < replacement.certificate.not_before();
    let young = !useless && write.clock.as_second() < begin + BRAKE.min(life / 3);
    let set = history.clock_set.get(&write.actor).is_some_and(|step| *step >= write.since);
    ensure(!young || set || replacement.is_of_a_changed_trust_or_a_person(), || {
        format!("the certificate in Secret {} was replaced right after it was issued", write.name)
    })
}

/// The same thing is not asked again and again.
pub(crate) fn retries_back_off(write: &Write, history: &History) -> Result<(), String> {
    let request = write.after.as_ref().and_then(Object::request);
    let Some(request) = request.filter(|_| write.taken && write.is_by_agent()) else { return Ok(()) };
    if !matches!(write.verb, ApiVerb::Create(_)) {
        return Ok(());
    }
    let last = history.asked.get(&(write.site, write.name.clone()));
    let Some((_, asked_at, asked)) = last.filter(|(need, ..)| need == need_of(request)) else {
        return Ok(());
    };
    let touched = history.touched.get(&write.site).max(history.told_late.get(&write.site));
    let set = history.clock_set.get(&write.actor);
    let disturbed = [touched, set].into_iter().flatten().any(|step| step >= asked_at);
    let waited = write.clock.as_second() - asked.as_second();
    ensure(disturbed || waited >= SHORTEST_BACK_OFF, || {
        format!("{} was requested again for the same need after {waited} s", write.name)
    })
}
