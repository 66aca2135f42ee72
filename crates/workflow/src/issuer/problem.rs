//! What keeps the issuer from signing. Ordered chains of small questions; the first that fires is the answer.
//!
//! ```text
//!   about the CA        namespace ▸ allow-clusters ▸ missing ▸ unreadable ▸ not whole ▸ root replaced
//!   about the request   CSR ▸ spec ▸ another need ▸ key kind ▸ (the CA's) ▸ budget
//! ```

use std::collections::BTreeSet;

use certmesh_x509::{CertificateAuthority, Fingerprint, PublicKey, RequestError};
use jiff::Timestamp;

use super::{Authority, Observed};
use crate::examine::{Authorities, RequestFacts, SigningCaFacts, Wanted};
use crate::need::Need;
use crate::trust::Trust;

/// Why nothing is signed, in words that say what to do. Never with the time of the pass in them: they would be written
/// again in every pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Problem {
    pub(super) kind: Kind,
    /// CamelCase.
    pub(super) reason: &'static str,
    pub(super) message: String,
}

/// What follows from a problem.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A person has to act: the request is refused.
    Refuse,
    /// It may pass by itself: the request waits. Worth saying at once.
    Wait,
    /// It passes by itself as a rule: worth saying only when it lasts.
    Pass {
        /// When it does, if that is known.
        until: Option<Timestamp>,
    },
}

impl Problem {
    fn refuse(reason: &'static str, message: String) -> Self {
        Self { kind: Kind::Refuse, reason, message }
    }

    fn wait(reason: &'static str, message: String) -> Self {
        Self { kind: Kind::Wait, reason, message }
    }
}

/// Under what the intent would be signed now, or why not.
pub(super) fn trust<'a>(
    now: Timestamp,
    observed: &Observed<'a>,
    wanted: &Wanted,
) -> Result<Trust<'a>, Problem> {
    let mut needed = wanted.authorities.needed();
    let mut usable = |authority: Authority<'a>| match needed.next() {
        Some(name) => Candidate { now, observed, name, authority }.usable().map(Some),
        None => Ok(None),
    };
    let signer = usable(observed.signer)?;
    let other = usable(observed.other)?;
    let trust = match (&wanted.authorities, signer) {
        (_, None) => None,
        (Authorities::One(_), Some(signer)) => Some(Trust::one(signer)),
        (Authorities::Rotating { step, .. }, Some(signer)) => Trust::at_step(*step, signer, other),
    };
    let trust = trust
        .ok_or_else(|| Problem::wait("CaMissing", "a signing CA of the rotation was not read".to_owned()))?;
    match root_replaced(observed, &trust) {
        Some(problem) => Err(problem),
        None => Ok(trust),
    }
}

/// A CA Secret that the spec names.
struct Candidate<'a, 'o> {
    now: Timestamp,
    observed: &'o Observed<'a>,
    name: &'o certmesh_api::certificates::ObjectRef,
    authority: Authority<'a>,
}

impl<'a> Candidate<'a, '_> {
    fn usable(&self) -> Result<&'a CertificateAuthority, Problem> {
        if let Some(problem) = self.is_outside_of_the_issuers_namespace() {
            return Err(problem);
        }
        let facts = self.found()?;
        if let Some(problem) = self.does_not_allow_the_cluster(facts) {
            return Err(problem);
        }
        let authority = self.whole(facts)?;
        match self.is_not_valid_now(authority).or_else(|| self.may_sign_leaves_only(authority)) {
            Some(problem) => Err(problem),
            None => Ok(authority),
        }
    }

    fn is_outside_of_the_issuers_namespace(&self) -> Option<Problem> {
        let settings = self.observed.settings;
        if settings.allows_foreign_ca_namespaces || self.name.namespace == settings.namespace {
            return None;
        }
        Some(Problem::refuse(
            "CaNotAllowed",
            format!(
                "the signing CA Secret {} is outside of the issuer's namespace {}: move it there, or start the issuer with --allow-any-ca-namespace",
                self.name, settings.namespace
            ),
        ))
    }

    fn found(&self) -> Result<&'a SigningCaFacts, Problem> {
        match self.authority {
            Authority::Found(facts) => Ok(facts),
            Authority::Missing => Err(Problem::wait(
                "CaMissing",
                format!(
                    "the signing CA Secret {} does not exist: create it, or name another one in the spec",
                    self.name
                ),
            )),
            Authority::Unreadable { error } => Err(Problem::wait(
                "CaUnreadable",
                format!("the signing CA Secret {} could not be read, trying again: {error}", self.name),
            )),
        }
    }

    fn does_not_allow_the_cluster(&self, facts: &SigningCaFacts) -> Option<Problem> {
        let cluster = self.observed.cluster;
        (!facts.allowed.allows(cluster)).then(|| {
            Problem::refuse(
                "CaNotAllowed",
                format!(
                    "the signing CA Secret {} may not sign for cluster {cluster}: add {cluster} to its annotation certmesh.dev/allow-clusters",
                    self.name
                ),
            )
        })
    }

    fn whole(&self, facts: &'a SigningCaFacts) -> Result<&'a CertificateAuthority, Problem> {
        facts.authority.as_ref().map_err(|error| {
            Problem::refuse(
                "CaNotWhole",
                format!("the signing CA Secret {} cannot be used: {error}", self.name),
            )
        })
    }

    fn is_not_valid_now(&self, authority: &CertificateAuthority) -> Option<Problem> {
        let path = authority.path();
        (!path.is_valid_at(self.now)).then(|| {
            Problem::refuse(
                "CaNotWhole",
                format!(
                    "the signing CA Secret {} is valid only from {} to {}: put a valid CA in a new Secret and rotate to it",
                    self.name,
                    path.not_before(),
                    path.not_after()
                ),
            )
        })
    }

    fn may_sign_leaves_only(&self, authority: &CertificateAuthority) -> Option<Problem> {
        (authority.path().remaining_path_length() == Some(0)).then(|| {
            Problem::refuse(
                "CaNotWhole",
                format!(
                    "the signing CA Secret {} may not sign intermediate CAs (pathLen on its path is exhausted): use a root, or an intermediate with a pathLen of at least 1 all the way up",
                    self.name
                ),
            )
        })
    }
}

/// The content of a CA Secret was replaced by another root, or the spec names another CA without a rotation: whoever got a
/// certificate before would not be trusted by who gets one now.
fn root_replaced(observed: &Observed<'_>, trust: &Trust<'_>) -> Option<Problem> {
    let recorded = recorded_roots(observed)?;
    let new = trust.root_set();
    let root = trust.signer().path().root();
    let swapped = !new.is_subset(&recorded) && !recorded.is_subset(&new);
    (swapped || !recorded.contains(&root.fingerprint())).then(|| {
        Problem::refuse(
            "RootReplaced",
            format!(
                "the root {} (SHA-256 {}) of the signing CA is not the one that this certificate was issued under: nothing is signed and what is in place stays; restore the CA Secret, put the new CA in a new Secret and rotate",
                root.subject(),
                root.fingerprint()
            ),
        )
    })
}

fn recorded_roots(observed: &Observed<'_>) -> Option<BTreeSet<Fingerprint>> {
    let recorded = observed.intent.object.status.as_ref()?.trust.as_ref()?;
    let roots: BTreeSet<Fingerprint> = recorded.roots.iter().filter_map(|root| root.parse().ok()).collect();
    (!roots.is_empty()).then_some(roots)
}

/// The fingerprint to announce to the agent: what would be signed under now; while nothing would be, what was before, so
/// that the agent does not ask in vain.
pub(super) fn announced(observed: &Observed<'_>, trust: &Result<Trust<'_>, Problem>) -> Option<Fingerprint> {
    match trust {
        Ok(trust) => Some(trust.fingerprint()),
        Err(_) => observed.intent.object.status.as_ref()?.trust.as_ref()?.fingerprint.parse().ok(),
    }
}

/// A request that the intent is held against.
pub(super) struct Request<'a, 'o> {
    pub(super) now: Timestamp,
    pub(super) observed: &'o Observed<'a>,
    pub(super) facts: &'a RequestFacts,
    /// What a request for this intent has to be for. Nothing when the issuer cannot tell.
    pub(super) need: Option<&'o Need>,
    pub(super) trust: &'o Result<Trust<'a>, Problem>,
}

impl<'a, 'o> Request<'a, 'o> {
    /// The key to sign and what to sign it under, or the first problem.
    pub(super) fn judge(&self) -> Result<(&'a PublicKey, &'o Trust<'a>, &'a Wanted), Problem> {
        let key = self.readable_key()?;
        let wanted = self.valid_spec()?;
        if let Some(problem) = self.is_for_another_need().or_else(|| another_kind_of_key(key, wanted)) {
            return Err(problem);
        }
        let trust = self.trust.as_ref().map_err(Clone::clone)?;
        match self.budget_is_spent() {
            Some(problem) => Err(problem),
            None => Ok((key, trust, wanted)),
        }
    }

    fn readable_key(&self) -> Result<&'a PublicKey, Problem> {
        self.facts.key.as_ref().map_err(|error| {
            let reason = match error {
                RequestError::BadSignature | RequestError::UnsupportedAlgorithm { .. } => "KeyNotProven",
                _ => "RequestUnreadable",
            };
            Problem::refuse(
                reason,
                format!("{error}; the agent makes a new request by itself, look for who else writes there"),
            )
        })
    }

    fn valid_spec(&self) -> Result<&'a Wanted, Problem> {
        self.observed.intent.facts.wanted.as_ref().map_err(invalid_spec)
    }

    /// Before anything else about the intent: what is for another need is not held against this one. The agent may simply
    /// not have seen the copy yet.
    fn is_for_another_need(&self) -> Option<Problem> {
        let current = self.need?;
        let asked = self.facts.need.as_ref();
        (!asked.is_some_and(|asked| asked.is_same_issue(current))).then(|| Problem {
            kind: Kind::Pass { until: None },
            reason: "AnotherNeed",
            message: format!(
                "the request is for another need than the intent's current one ({current}): waiting for the agent to ask again"
            ),
        })
    }

    /// Signatures and refusals cost the same.
    pub(super) fn budget_is_spent(&self) -> Option<Problem> {
        let until = self.observed.exhausted_until.filter(|until| *until > self.now)?;
        let cluster = self.observed.cluster;
        Some(Problem {
            kind: Kind::Pass { until: Some(until) },
            reason: "BudgetSpent",
            message: format!(
                "cluster {cluster} has spent its budget of answers (10 a second, 500 at once): the request is answered when its turn comes"
            ),
        })
    }
}

fn another_kind_of_key(key: &PublicKey, wanted: &Wanted) -> Option<Problem> {
    (key.algorithm() != Some(wanted.algorithm)).then(|| {
        Problem::refuse(
            "WrongKeyKind",
            format!(
                "the key of the request is {}, the intent asks for {}: delete the request, the agent makes another",
                key.algorithm_name(),
                wanted.algorithm
            ),
        )
    })
}

/// Nothing can be issued for the intent's spec.
pub(super) fn invalid_spec(problem: &crate::examine::SpecProblem) -> Problem {
    Problem::refuse(problem.reason(), format!("{problem}; change the intent"))
}
