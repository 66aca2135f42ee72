//! Is the answer to our request the certificate that we asked for? An ordered chain; the first that fires is the reason to
//! wait, or to fail.

use certmesh_x509::PublicKey;
use jiff::Timestamp;

use super::Observed;
use crate::examine::{Answer, AnswerFacts, SignedAnswer, Wanted};
use crate::schedule::{self, MISMATCH_PATIENCE, SKEW_PATIENCE};

/// What to do with an answer.
#[derive(Clone, Debug)]
pub(super) enum Judgement<'a> {
    /// Put it in place.
    Use(&'a SignedAnswer),
    /// Wait for a (better) one.
    Wait(Waiting),
    /// It will not become better: report, and try again later.
    Fail { reason: &'static str, message: String },
}

/// Why we wait.
#[derive(Clone, Debug)]
pub(super) struct Waiting {
    pub(super) reason: &'static str,
    /// Empty when there is nothing to say but that an answer is awaited.
    pub(super) message: String,
    /// When waiting ends in failure, or is worth another look.
    pub(super) until: Option<Timestamp>,
    /// It is the clocks that keep us waiting.
    pub(super) is_skew: bool,
}

/// An answer that does not fit, and why.
struct Mismatch {
    reason: &'static str,
    message: String,
}

pub(super) fn judge<'a>(
    now: Timestamp,
    observed: &Observed<'a>,
    wanted: &Wanted,
    key: &PublicKey,
    answered: &'a AnswerFacts,
) -> Judgement<'a> {
    let signed = match &answered.answer {
        Answer::Awaited { error } => return awaited(error),
        Answer::Refused { error } => {
            return Judgement::Fail { reason: "Refused", message: error.clone() };
        }
        Answer::Outdated => return mismatch(now, answered, outdated()),
        Answer::Unusable { error } => return mismatch(now, answered, unusable(error)),
        Answer::Signed(signed) => signed,
    };
    let found = anothers_key(signed, key)
        .or_else(|| other_identity(signed, wanted))
        .or_else(|| other_trust(signed, observed))
        .or_else(|| lives_too_long(signed, wanted))
        .or_else(|| has_expired(now, signed));
    match found {
        Some(found) => mismatch(now, answered, found),
        None => clock_skew(now, answered, signed).unwrap_or(Judgement::Use(signed)),
    }
}

fn awaited(error: &str) -> Judgement<'static> {
    let reason = if error.is_empty() { "AwaitingSignature" } else { "IssuerWaits" };
    Judgement::Wait(Waiting { reason, message: error.to_owned(), until: None, is_skew: false })
}

/// The copy that the answer is compared with may be behind the intent that was signed under, so this is first a wait.
fn mismatch(now: Timestamp, answered: &AnswerFacts, found: Mismatch) -> Judgement<'static> {
    let until = schedule::later(answered.request.created, MISMATCH_PATIENCE);
    let Mismatch { reason, message } = found;
    if now < until {
        Judgement::Wait(Waiting { reason, message, until: Some(until), is_skew: false })
    } else {
        Judgement::Fail { reason, message }
    }
}

fn outdated() -> Mismatch {
    let message = "the answer is about an earlier version of the request: somebody edited it".to_owned();
    Mismatch { reason: "AnswerOutdated", message }
}

fn unusable(error: &str) -> Mismatch {
    Mismatch { reason: "AnswerUnusable", message: format!("the answer cannot be used: {error}") }
}

fn anothers_key(signed: &SignedAnswer, key: &PublicKey) -> Option<Mismatch> {
    (signed.certificate().public_key() != key).then(|| Mismatch {
        reason: "AnswerForAnotherKey",
        message: "the certificate in the answer holds another public key than the one that was asked for"
            .to_owned(),
    })
}

fn other_identity(signed: &SignedAnswer, wanted: &Wanted) -> Option<Mismatch> {
    (!signed.certificate().identifies_exactly(&wanted.hosts)).then(|| Mismatch {
        reason: "AnswerForOtherHosts",
        message: "the certificate in the answer has other hosts than the IssuedCertificate".to_owned(),
    })
}

fn other_trust(signed: &SignedAnswer, observed: &Observed<'_>) -> Option<Mismatch> {
    (Some(signed.trust) != observed.copy.facts.trust).then(|| Mismatch {
        reason: "AnswerUnderOtherTrust",
        message: "the answer's chain and roots are not the ones that the issuer has announced".to_owned(),
    })
}

fn lives_too_long(signed: &SignedAnswer, wanted: &Wanted) -> Option<Mismatch> {
    (!schedule::lives_at_most(signed.certificate(), wanted.lifetime.as_secs())).then(|| Mismatch {
        reason: "AnswerLivesTooLong",
        message: "the certificate in the answer lives longer than was asked for".to_owned(),
    })
}

fn has_expired(now: Timestamp, signed: &SignedAnswer) -> Option<Mismatch> {
    let end = signed.path.not_after();
    (now > end).then(|| Mismatch {
        reason: "AnswerExpired",
        message: format!("the certificate in the answer, or one above it, expired at {end}"),
    })
}

fn clock_skew(now: Timestamp, answered: &AnswerFacts, signed: &SignedAnswer) -> Option<Judgement<'static>> {
    let begin = signed.path.not_before();
    if now >= begin {
        return None;
    }
    let message = format!(
        "the certificate in the answer, or one above it, is not valid before {begin}: set the clock of this cluster or of the issuer"
    );
    let limit = schedule::later(answered.request.created, SKEW_PATIENCE);
    if now < limit {
        let until = Some(begin.min(limit));
        return Some(Judgement::Wait(Waiting { reason: "ClockSkew", message, until, is_skew: true }));
    }
    Some(Judgement::Fail { reason: "ClockSkew", message })
}
