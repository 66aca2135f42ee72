//! What must never happen, looked at with each write: the "Never" list of the workflow as far as states can show it.

use certmesh_api::certificates::{CertificateRequestState, IssuedCertificateState, IssuedCertificateStatus};
use certmesh_api::conditions::STALLED;
use certmesh_workflow::examine::Answer;
use certmesh_workflow::need::{Digest, Need};
use certmesh_x509::{Certificate, Fingerprint, TrustBundle};
use std::collections::BTreeSet;

use super::objects::{Kind, Object};
use super::pki;
use super::product::Verb;
use super::time::Moment;
use super::world::{Role, Seen, Site};

/// What was broken, a bit for each rule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Broken(u16);

impl Broken {
    pub(super) fn note(&mut self, rule: Rule) {
        self.0 |= 1 << rule as u16;
    }

    pub(super) fn has(self, rule: Rule) -> bool {
        self.0 & (1 << rule as u16) != 0
    }
}

/// What must never happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rule {
    /// A private key is in an object that leaves its cluster.
    KeyLeaves,
    /// A signature is not what the intent asks for.
    SignedUnasked,
    /// Key, certificate, chain and roots in the issued Secret do not belong together.
    NotWhole,
    /// The issued Secret is gone before there is another.
    OldIsGone,
    /// A certificate is replaced without a cause, or twice for one need.
    DeliveredTwice,
    /// What is stored is not the current answer to a request of this need.
    AnotherAnswer,
    /// A request is answered that was answered.
    AnsweredTwice,
    /// A root set is replaced by one that neither contains it nor is contained in it.
    RootsSwapped,
    /// A key that is needed, or a request whose answer is, is deleted by who sees that it is.
    DeletedWhileNeeded,
    /// A copy is deleted whose intent lives.
    CopyDeleted,
    /// A write lands on what has changed since it was decided.
    Undone,
    /// A status says that a certificate is in place, and it is not.
    SaysWhatIsNot,
    /// A write changes nothing.
    SaidAgain,
}

impl Rule {
    pub(super) const ALL: [Self; 13] = [
        Self::KeyLeaves,
        Self::SignedUnasked,
        Self::NotWhole,
        Self::OldIsGone,
        Self::DeliveredTwice,
        Self::AnotherAnswer,
        Self::AnsweredTwice,
        Self::RootsSwapped,
        Self::DeletedWhileNeeded,
        Self::CopyDeleted,
        Self::Undone,
        Self::SaysWhatIsNot,
        Self::SaidAgain,
    ];
}

/// A write that the server takes.
pub(super) struct Write<'a> {
    pub(super) site: &'a Site,
    pub(super) now: Moment,
    pub(super) role: Role,
    pub(super) kind: Kind,
    pub(super) verb: &'a Verb,
    pub(super) seen: Seen,
    /// Of an issued Secret: the request whose answer it is.
    pub(super) answered: Option<Object>,
    /// Of a deletion: that the copy which was decided on needs what is deleted.
    pub(super) is_needed: bool,
    /// Whether the pass has just looked at the intent.
    pub(super) has_looked: bool,
    pub(super) before: Option<Object>,
    pub(super) after: Option<Object>,
}

impl Write<'_> {
    /// Notes the rules that it breaks.
    pub(super) fn judge(&self, broken: &mut Broken) {
        type Question<'a> = fn(&Write<'a>) -> bool;
        let rules: [(Rule, Question<'_>); 12] = [
            (Rule::KeyLeaves, Self::key_leaves),
            (Rule::NotWhole, Self::is_not_whole),
            (Rule::OldIsGone, Self::old_is_gone),
            (Rule::DeliveredTwice, Self::delivers_twice),
            (Rule::AnotherAnswer, Self::stores_another_answer),
            (Rule::AnsweredTwice, Self::answers_twice),
            (Rule::RootsSwapped, Self::swaps_roots),
            (Rule::DeletedWhileNeeded, Self::deletes_what_is_needed),
            (Rule::CopyDeleted, Self::deletes_a_copy_that_lives),
            (Rule::Undone, Self::undoes),
            (Rule::SaysWhatIsNot, Self::says_what_is_not),
            (Rule::SaidAgain, Self::says_it_again),
        ];
        for (rule, is_broken) in rules {
            if is_broken(self) {
                broken.note(rule);
            }
        }
    }

    /// Whether it makes something for an intent or a copy that is going or gone, by a process that was replaced by another
    /// after it had looked. No API server can make one write depend on another object.
    pub(super) fn makes_an_orphan(&self) -> bool {
        let is_going = |object: Option<Object>| {
            object.is_none_or(|object| object.value()["metadata"].get("deletionTimestamp").is_some())
        };
        let replicas = self.site.processes.iter().filter(|process| process.role == self.role).count();
        let is_new = matches!(self.verb, Verb::Create(_));
        replicas > 1
            && match self.kind {
                Kind::Copy => is_new && self.has_looked && is_going(self.site.get(Kind::Intent)),
                Kind::Request | Kind::Key => is_new && is_going(self.site.get(Kind::Copy)),
                Kind::Issued => {
                    let is_managed = self.after.is_some_and(|issued| !issued.issued().facts.unmanaged);
                    is_managed && is_going(self.site.get(Kind::Copy))
                }
                Kind::Intent => false,
            }
    }

    fn key_leaves(&self) -> bool {
        let may_leave = matches!(self.kind, Kind::Intent | Kind::Copy | Kind::Request);
        may_leave && self.after.is_some_and(Object::holds_a_key)
    }

    fn is_not_whole(&self) -> bool {
        self.kind == Kind::Issued && self.after.is_some_and(|issued| issued.issued().facts.content.is_err())
    }

    fn old_is_gone(&self) -> bool {
        self.kind == Kind::Issued && self.before.is_some() && self.after.is_none()
    }

    /// Both certificates, when a write replaces one.
    fn delivery(&self) -> Option<(Object, Object)> {
        let (before, after) = (self.before?, self.after?);
        let is_new = self.kind == Kind::Issued && certificate(before) != certificate(after);
        is_new.then_some((before, after))
    }

    fn delivers_twice(&self) -> bool {
        let Some((before, after)) = self.delivery() else { return false };
        let (Some(old), Some(new)) = (before.need(), after.need()) else { return true };
        let parts = |need: &Need| (need.spec, need.trust, need.renew);
        old == new || parts(old) == parts(new) && !self.is_in_the_last_half_of(before)
    }

    /// Renewal comes in the last half of a life, whatever the ratio.
    fn is_in_the_last_half_of(&self, issued: Object) -> bool {
        certificate(issued).is_some_and(|old| {
            let (begin, end) = (old.not_before().as_second(), old.not_after().as_second());
            self.now.timestamp().as_second() > begin + (end - begin) / 2
        })
    }

    fn stores_another_answer(&self) -> bool {
        let (Some(request), Some(after)) = (self.answered, self.after) else { return false };
        let facts = request.answered().facts;
        let fits = match &facts.answer {
            Answer::Signed(signed) => certificate(after) == Some(signed.certificate()),
            _ => false,
        };
        !fits || !facts.request.status_is_current || request.need() != after.need()
    }

    fn answers_twice(&self) -> bool {
        let is_answer =
            self.kind == Kind::Request && self.role == Role::Issuer && !matches!(self.verb, Verb::Delete);
        is_answer
            && self
                .before
                .is_some_and(|request| request.request().facts.state != CertificateRequestState::Pending)
    }

    fn swaps_roots(&self) -> bool {
        if self.kind != Kind::Issued {
            return false;
        }
        match (self.before.and_then(roots), self.after.and_then(roots)) {
            (Some(old), Some(new)) => !old.is_subset(new) && !new.is_subset(old),
            _ => false,
        }
    }

    fn deletes_what_is_needed(&self) -> bool {
        self.is_needed && self.before.is_some()
    }

    fn deletes_a_copy_that_lives(&self) -> bool {
        let is_deleted = |copy: Option<Object>| {
            copy.is_none_or(|copy| copy.copy().object.metadata.deletion_timestamp.is_some())
        };
        if self.kind != Kind::Copy || is_deleted(self.before) || !is_deleted(self.after) {
            return false;
        }
        let origin = self.before.and_then(|copy| copy.copy().facts.origin.as_ref());
        self.site.get(Kind::Intent).is_some_and(|intent| {
            let metadata = &intent.intent().object.metadata;
            metadata.deletion_timestamp.is_none() && metadata.uid.as_ref() == origin.map(|origin| &origin.uid)
        })
    }

    fn undoes(&self) -> bool {
        match self.verb {
            Verb::Create(_) => self.before.is_some(),
            Verb::Replace(_) | Verb::ReplaceStatus(_) => self.seen != Seen::Now,
            Verb::Delete => self.before.is_some() && self.seen == Seen::Another,
        }
    }

    fn says_what_is_not(&self) -> bool {
        let status = self.after.and_then(Object::status);
        let said = |status: &&IssuedCertificateStatus| {
            status.state == IssuedCertificateState::Finished
                && Some(*status) != self.before.and_then(Object::status)
        };
        let Some(status) = status.filter(said) else { return false };
        let issued = self
            .site
            .get(Kind::Issued)
            .and_then(|issued| issued.issued().facts.certificate.as_ref().map(|it| (issued, it)));
        let Some((issued, in_place)) = issued else { return true };
        match self.kind {
            // It may have been replaced since, but no more than once.
            Kind::Copy => {
                let said = status.certificate.as_ref().map(|summary| summary.fingerprint.as_str());
                let was = issued.need().and_then(|need| need.replaces);
                let known = [Some(in_place.fingerprint()), was].map(|it| it.map(|it| it.to_string()));
                !known.iter().any(|known| known.as_deref() == said)
            }
            Kind::Intent => {
                let intent = self.after.map(Object::intent);
                intent.is_some_and(|intent| {
                    let is_of_now = intent.object.metadata.generation == Some(status.observed_generation);
                    let hosts = intent.facts.wanted.as_ref().ok().map(|wanted| &wanted.hosts);
                    is_of_now && !hosts.is_some_and(|hosts| in_place.identifies_exactly(hosts))
                })
            }
            _ => false,
        }
    }

    fn says_it_again(&self) -> bool {
        self.before == self.after && !matches!(self.verb, Verb::Delete)
    }
}

fn certificate(issued: Object) -> Option<&'static Certificate> {
    issued.issued().facts.certificate.as_ref()
}

fn roots(issued: Object) -> Option<&'static BTreeSet<Fingerprint>> {
    issued.issued().facts.roots.as_ref()?.as_ref().ok().map(TrustBundle::fingerprints)
}

/// Whether a certificate is for what the intent asks: there is one, nobody has deleted it, and these are its hosts and CA,
/// and no longer a life than that.
pub(super) fn is_asked_for(intent: Option<Object>, certificate: &Certificate) -> bool {
    intent.is_some_and(|intent| {
        let wanted = intent.intent().facts.wanted.as_ref();
        intent.intent().object.metadata.deletion_timestamp.is_none()
            && wanted.is_ok_and(|wanted| {
                let life = certificate.not_after().duration_since(certificate.not_before()).as_secs();
                let signer = pki::authority(wanted.authorities.signer());
                let signer = signer.and_then(|signer| signer.authority.as_ref().ok());
                certificate.identifies_exactly(&wanted.hosts)
                    && signer.is_some_and(|it| it.certificate().subject() == certificate.issuer())
                    && u64::try_from(life).is_ok_and(|life| life <= wanted.lifetime.as_secs() + BACKDATE)
            })
    })
}

/// Certificates are valid from this many seconds before they were made.
const BACKDATE: u64 = 300;

/// What a copy needs a certificate for, if it needs one.
pub(super) fn wanted_need(copy: Object, issued: Option<Object>) -> Option<Need> {
    let facts = copy.copy().facts;
    let origin = facts.origin.as_ref()?;
    Some(Need {
        intent: origin.intent.clone(),
        uid: Digest::of(origin.uid.as_bytes()),
        spec: facts.intent.wanted.as_ref().ok()?.digest,
        trust: facts.trust?,
        renew: facts.intent.renew,
        replaces: issued.and_then(certificate).map(Certificate::fingerprint),
    })
}

/// Whether it waits for a person, since the intent names a root that those in use do not have.
fn keeps_the_live_root(intent: Object, status: &IssuedCertificateStatus, issued: Option<Object>) -> bool {
    let reasons = ["RootReplaced", "WouldReplaceLiveRoot"];
    let is_stalled = status.conditions.iter().any(|condition| {
        condition.type_ == STALLED
            && condition.status == "True"
            && reasons.contains(&condition.reason.as_str())
    });
    let wanted = intent.intent().facts.wanted.as_ref().ok();
    let signer = wanted.and_then(|wanted| pki::authority(wanted.authorities.signer()));
    let signer = signer.and_then(|signer| signer.authority.as_ref().ok());
    let (Some(signer), Some(live)) = (signer, issued.and_then(roots)) else { return false };
    is_stalled && signer.roots().fingerprints().is_disjoint(live)
}

/// Why a cluster's certificate is not as it should be when nobody has anything to do any more; nothing when it is.
pub(super) fn unfinished(site: &Site, now: Moment) -> Option<&'static str> {
    let leftover = [Kind::Request, Kind::Key].into_iter().any(|kind| site.get(kind).is_some());
    let issued = site.get(Kind::Issued);
    let Some(intent) = site.get(Kind::Intent) else {
        if site.orphaned {
            return None;
        }
        if leftover || site.get(Kind::Copy).is_some() {
            return Some("something is left behind");
        }
        let is_noted = issued.is_none_or(|issued| issued.issued().facts.unmanaged);
        return (!is_noted).then_some("the Secret does not say that nothing renews it");
    };
    let Some(status) = intent.status() else { return Some("the intent says nothing") };
    if keeps_the_live_root(intent, status, issued) {
        return None;
    }
    if status.state != IssuedCertificateState::Finished
        || intent.intent().object.metadata.generation != Some(status.observed_generation)
    {
        return Some("the intent is not said to be finished");
    }
    let Some(certificate) = issued.and_then(certificate) else { return Some("there is no certificate") };
    if !is_asked_for(Some(intent), certificate) || now.timestamp() > certificate.not_after() {
        return Some("the certificate is not what the intent asks for");
    }
    if issued.and_then(Object::need).map(|need| need.renew) != Some(intent.intent().facts.renew) {
        return Some("the renewal that a person asked for did not come");
    }
    if issued.and_then(Object::need).map(|need| Some(need.trust))
        != Some(site.get(Kind::Copy).and_then(|copy| copy.copy().facts.trust))
    {
        return Some("chain and roots are not those that the issuer announced");
    }
    leftover.then_some("a request or a key is left over")
}
