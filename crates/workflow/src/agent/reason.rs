//! Is a new certificate needed? An ordered chain of questions to the issued Secret; the first that fires names the reason.

use certmesh_x509::Certificate;
use jiff::Timestamp;

use super::Observed;
use crate::examine::{Flaw, InPlace, IssuedFacts, Obstacle, Origin, Wanted};
use crate::need::{Need, NeedReason};
use crate::schedule;

/// What the issued Secret says about a new certificate.
#[derive(Clone, Debug)]
pub(super) enum Verdict {
    /// None is needed: the one in place is whole, and what the copy asks for.
    Settled,
    /// One is needed.
    Needed(NeedReason),
    /// One is needed, but the one in place is too young to be replaced.
    Braked { reason: NeedReason, until: Timestamp },
    /// The Secret is another's.
    NotOurs,
    /// A person allowed to take it over, but something stands in the way.
    CannotAdopt(Obstacle),
    /// It is ours, but cannot be written.
    CannotStore(Obstacle),
}

/// All that the questions are about.
struct Question<'a> {
    now: Timestamp,
    observed: &'a Observed<'a>,
    origin: &'a Origin,
    wanted: &'a Wanted,
    issued: &'a IssuedFacts,
}

pub(super) fn verdict(now: Timestamp, observed: &Observed<'_>, origin: &Origin, wanted: &Wanted) -> Verdict {
    let Some(issued) = observed.issued.map(|issued| issued.facts) else {
        return Verdict::Needed(NeedReason::SecretMissing);
    };
    let question = Question { now, observed, origin, wanted, issued };
    if !is_ours(observed, origin) {
        return question.adoption();
    }
    let Some(reason) = question.reason() else {
        return Verdict::Settled;
    };
    match issued.obstacle {
        Some(obstacle @ (Obstacle::TlsType | Obstacle::Immutable)) => Verdict::CannotStore(obstacle),
        _ => question.braked(reason).unwrap_or(Verdict::Needed(reason)),
    }
}

/// Whether the issued Secret is this copy's: our label, and issued for the same intent. The intent's uid does not count, so
/// that a cluster that is registered again finds its own.
pub(super) fn is_ours(observed: &Observed<'_>, origin: &Origin) -> bool {
    observed.issued.is_some_and(|issued| {
        issued.facts.written_by.as_deref() == Some(observed.agent_namespace)
            && issued.facts.issued_for.as_ref() == Some(&origin.intent)
    })
}

impl Question<'_> {
    fn adoption(&self) -> Verdict {
        match (self.observed.copy.facts.intent.adopt, self.issued.obstacle) {
            (false, _) => Verdict::NotOurs,
            (true, Some(obstacle)) => Verdict::CannotAdopt(obstacle),
            (true, None) => Verdict::Needed(NeedReason::SecretAdopted),
        }
    }

    fn reason(&self) -> Option<NeedReason> {
        self.secret_is_incomplete()
            .or_else(|| self.key_is_anothers())
            .or_else(|| self.chain_is_invalid())
            .or_else(|| self.is_not_yet_valid())
            .or_else(|| self.spec_changed())
            .or_else(|| self.trust_changed())
            .or_else(|| self.renewal_was_requested())
            .or_else(|| self.is_expiring())
    }

    /// A Secret without the record of what it was issued for could never be found to fit.
    fn secret_is_incomplete(&self) -> Option<NeedReason> {
        let is_incomplete =
            matches!(self.issued.content, Err(Flaw::Incomplete(_))) || self.issued.need.is_none();
        is_incomplete.then_some(NeedReason::SecretIncomplete)
    }

    fn key_is_anothers(&self) -> Option<NeedReason> {
        matches!(self.issued.content, Err(Flaw::KeyMismatch(_))).then_some(NeedReason::KeyMismatch)
    }

    /// A chain that verifies but is not the one that was issued was put there by somebody else.
    fn chain_is_invalid(&self) -> Option<NeedReason> {
        let is_invalid = match (&self.issued.content, &self.issued.need) {
            (Err(Flaw::ChainInvalid(_)), _) => true,
            (Ok(in_place), Some(recorded)) => {
                in_place.trust != recorded.trust || self.is_for_other_hosts(in_place, recorded)
            }
            _ => false,
        };
        is_invalid.then_some(NeedReason::ChainInvalid)
    }

    /// A certificate of the recorded spec has its hosts; one that does not, such as the CA's own, is not what was issued.
    fn is_for_other_hosts(&self, in_place: &InPlace, recorded: &Need) -> bool {
        recorded.spec == self.wanted.digest && !in_place.certificate().identifies_exactly(&self.wanted.hosts)
    }

    /// Issuers date certificates back, so that one that begins in the future was signed by a clock that was far ahead, and
    /// that this cluster's clock, too, was ahead when it was put in place: no proxy accepts it now.
    fn is_not_yet_valid(&self) -> Option<NeedReason> {
        let certificate = self.issued.content.as_ref().ok()?.certificate();
        (self.now < certificate.not_before()).then_some(NeedReason::NotYetValid)
    }

    fn spec_changed(&self) -> Option<NeedReason> {
        let recorded = self.issued.need.as_ref()?;
        (recorded.spec != self.wanted.digest).then_some(NeedReason::SpecChanged)
    }

    /// An issuer that does not know under what it would sign has not changed its mind.
    fn trust_changed(&self) -> Option<NeedReason> {
        let (recorded, trust) = (self.issued.need.as_ref()?, self.observed.copy.facts.trust?);
        (recorded.trust != trust).then_some(NeedReason::TrustChanged)
    }

    fn renewal_was_requested(&self) -> Option<NeedReason> {
        let (recorded, nonce) = (self.issued.need.as_ref()?, self.observed.copy.facts.intent.renew?);
        (recorded.renew != Some(nonce)).then_some(NeedReason::RenewalRequested)
    }

    /// A certificate that ends with its CA gains nothing from renewal.
    fn is_expiring(&self) -> Option<NeedReason> {
        let in_place = self.issued.content.as_ref().ok()?;
        if ends_with_its_authority(in_place) {
            return None;
        }
        let renew_at =
            schedule::renew_at(in_place.certificate(), self.wanted.renewal_ratio, &self.origin.intent);
        (self.now >= renew_at).then_some(NeedReason::Expiring)
    }

    /// The storm brake: whatever keeps asking for new certificates, there is one in ten minutes. Not for a trust that
    /// changed and not for a person; and what begins in the future is not young, it is of no use.
    fn braked(&self, reason: NeedReason) -> Option<Verdict> {
        if self.trust_changed().or_else(|| self.renewal_was_requested()).is_some() {
            return None;
        }
        let certificate = self.issued.certificate.as_ref()?;
        let until = schedule::brake_until(certificate);
        (certificate.not_before() <= self.now && self.now < until)
            .then_some(Verdict::Braked { reason, until })
    }
}

/// Whether a certificate ends when a CA above it does.
pub(super) fn ends_with_its_authority(in_place: &InPlace) -> bool {
    in_place
        .first_ending_authority()
        .is_some_and(|authority| in_place.certificate().not_after() >= authority.not_after())
}

/// The certificate that a new one replaces.
pub(super) fn replaced<'a>(observed: &Observed<'a>) -> Option<&'a Certificate> {
    observed.issued?.facts.certificate.as_ref()
}
