//! The thinnest shell: decide, apply one effect after the other, status last. Any write can be where the process dies.

use std::fmt::Write;

use certmesh_api::certificates::IssuedCertificate;
use certmesh_workflow::{Event, agent, examine, issuer};
use certmesh_x509::PrivateKey;
use jiff::Timestamp;
use kube::ResourceExt;

use super::{Crashed, Refused, World, kind, pki, seconds};

impl World {
    /// One pass of the agent over every copy. Whether it did anything, and when to look again.
    pub fn agent_pass(&mut self) -> Result<(bool, Option<Timestamp>), Crashed> {
        let copies: Vec<_> = self.remote.certificates.iter().cloned().collect();
        let (mut busy, mut wake_at) = (false, None);
        for mut copy in copies {
            let decision = self.decide_for(&copy);
            self.note(&format!("{decision:?}"), &decision.events);
            busy |= !decision.is_empty();
            wake_at =
                wake_at.into_iter().chain(decision.wake_at.map(|at| at - seconds(self.agent_skew))).min();
            let mut made = None;
            for effect in &decision.effects {
                if self.applied(format!("agent {}", kind(effect)), |world| {
                    world.apply_agent(effect, &mut made)
                })? {
                    return Ok((true, wake_at));
                }
            }
            if let Some(status) = decision.status {
                copy.status = Some(status);
                let lost = self.applied("agent CopyStatus".to_owned(), |world| {
                    world.remote.certificates.replace_status(&copy).map(drop)
                })?;
                if lost {
                    return Ok((true, wake_at));
                }
            }
        }
        Ok((busy, wake_at))
    }

    fn apply_agent(&mut self, effect: &agent::Effect, made: &mut Option<PrivateKey>) -> Result<(), Refused> {
        let now = self.now;
        match effect {
            agent::Effect::CreateKey(create) => {
                let key = PrivateKey::generate(create.algorithm).unwrap();
                self.made_keys.push(key.clone());
                let secret = create.secret(&key);
                let _ = writeln!(self.debug_output, "{secret:?}");
                self.remote.secrets.create(secret.expose(), now)?;
                *made = Some(key);
            }
            agent::Effect::CreateRequest(create) => {
                let key = match &create.key {
                    agent::RequestKey::JustMade => made.as_ref().expect("the key was made in this pass"),
                    agent::RequestKey::Stored(key) => key,
                };
                self.remote.requests.create(&create.request(key).unwrap(), now)?;
            }
            agent::Effect::StoreIssued(store) => {
                let secret = store.secret.expose();
                match store.write {
                    agent::Write::Create => self.remote.secrets.create(secret, now)?,
                    agent::Write::Update => self.remote.secrets.replace(secret)?,
                };
                let certificate = self.issued_certificate().fingerprint();
                self.delivered.push(certificate);
            }
            agent::Effect::DeleteRequest(version) => self.remote.requests.delete(version, now)?,
            agent::Effect::DeleteKey(version) | agent::Effect::DeleteIssued(version) => {
                self.remote.secrets.delete(version, now)?;
            }
            agent::Effect::MarkUnmanaged(update) | agent::Effect::MarkManaged(update) => {
                drop(self.remote.secrets.replace(update.secret.expose())?);
            }
            agent::Effect::ReleaseCopy(release) => drop(self.remote.certificates.replace(&release.copy)?),
        }
        Ok(())
    }

    /// One pass of the issuer.
    pub fn issuer_pass(&mut self) -> Result<(bool, Option<Timestamp>), Crashed> {
        let Some(decision) = self.issuer_decision() else { return Ok((false, None)) };
        self.note(&format!("{decision:?}"), &decision.events);
        let busy = !decision.is_empty();
        let mut intent = self.intent().clone();
        for effect in &decision.effects {
            let lost = self.applied(format!("issuer {}", kind(effect)), |world| {
                world.apply_issuer(effect, &mut intent)
            })?;
            if lost {
                return Ok((true, decision.wake_at));
            }
        }
        if let Some(status) = decision.status {
            intent.status = Some(status);
            self.applied("issuer IntentStatus".to_owned(), |world| {
                world.management.certificates.replace_status(&intent).map(drop)
            })?;
        }
        Ok((busy, decision.wake_at))
    }

    fn apply_issuer(
        &mut self,
        effect: &issuer::Effect,
        intent: &mut IssuedCertificate,
    ) -> Result<(), Refused> {
        let now = self.now;
        match effect {
            issuer::Effect::AddFinalizer(changed) | issuer::Effect::ReleaseIntent(changed) => {
                *intent = self.management.certificates.replace(changed)?;
            }
            issuer::Effect::CreateCopy(copy) => drop(self.remote.certificates.create(copy, now)?),
            issuer::Effect::UpdateCopy(copy) => drop(self.remote.certificates.replace(copy)?),
            issuer::Effect::DeleteCopy(version) => self.remote.certificates.delete(version, now)?,
            issuer::Effect::DeleteRequest(version) => self.remote.requests.delete(version, now)?,
            issuer::Effect::Sign(sign) => {
                let answer = sign.sign(&pki::serial()).unwrap();
                self.answer(&answer)?;
            }
            issuer::Effect::RefuseRequest(answer) | issuer::Effect::DeferRequest(answer) => {
                self.answer(answer)?;
            }
        }
        Ok(())
    }

    fn answer(&mut self, answer: &issuer::AnswerRequest) -> Result<(), Refused> {
        self.issuance.extend(answer.record.clone());
        self.remote.requests.replace_status(&answer.request).map(drop)
    }

    /// Whether the write was refused: then the pass is over.
    fn applied(
        &mut self,
        what: String,
        write: impl FnOnce(&mut Self) -> Result<(), Refused>,
    ) -> Result<bool, Crashed> {
        let dies = self.crash.filter(|crash| crash.at == self.writes.len());
        if dies.is_some_and(|crash| !crash.after) {
            self.crash = None;
            return Err(Crashed);
        }
        let before = self.issued().and_then(ResourceExt::resource_version);
        self.writes.push(what);
        let result = write(self);
        self.check_secret(before.as_deref());
        if dies.is_some() {
            self.crash = None;
            return Err(Crashed);
        }
        Ok(result.is_err())
    }

    /// What must hold at every moment of every story: what we write is whole, and it is never gone before its time.
    fn check_secret(&self, before: Option<&str>) {
        let Some(secret) = self.issued() else {
            let is_fine = before.is_none() || self.may_lose_secret;
            assert!(is_fine, "the issued Secret is gone after {:?}", self.writes.last());
            return;
        };
        if before != secret.metadata.resource_version.as_deref() {
            let facts =
                self.memo.borrow_mut().issued.of(Some(secret), examine::issued).expect("there is one");
            let is_note = self.writes.last().is_some_and(|write| write.contains("Mark"));
            assert!(is_note || facts.content.is_ok(), "{:?} after {:?}", facts.content, self.writes.last());
        }
    }

    fn note(&mut self, decision: &str, events: &[Event]) {
        self.debug_output.push_str(decision);
        self.debug_output.push('\n');
        self.events.extend_from_slice(events);
    }
}
