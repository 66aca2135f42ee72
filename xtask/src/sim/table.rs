//! Known defects of this field, each as a change of a line or two of the product that is switched on by its name.
//!
//! `ON` stands for the switch. All are built into one program, so that trying a defect costs no build.

/// A defect that is put back in.
pub(super) struct Mutant {
    pub(super) name: &'static str,
    /// What happens in the world when somebody ships it.
    pub(super) story: &'static str,
    pub(super) file: &'static str,
    /// Texts that occur once in the file, and what takes their place.
    pub(super) changes: &'static [(&'static str, &'static str)],
}

macro_rules! mutants {
    ($($name:literal, $story:literal, $file:literal: $($find:literal => $replace:literal),+;)*) => {
        &[$(Mutant { name: $name, story: $story, file: $file, changes: &[$(($find, $replace)),+] }),*]
    };
}

/// All of them.
pub(super) const MUTANTS: &[Mutant] = mutants![
    "deletes-the-old-secret-first", "an istiod that restarts in between makes itself a root", "crates/workflow/src/agent/issue.rs":
        "let effects = vec![Effect::StoreIssued(write)];" =>
        "let mut effects = vec![Effect::StoreIssued(write)];
        if ON && let Some(issued) = self.observed.issued {
            effects.insert(0, Effect::DeleteIssued(ObjectVersion::of(issued.object)));
        }";
    "status-before-effects", "Ready is said of a certificate that is not there", "crates/controllers/src/agent/pass.rs":
        "        for effect in &decision.effects {" =>
        "        if ON && let Some(status) = decision.status.clone() {
            self.write_status(copy, status).await?;
        }
        for effect in &decision.effects {";
    "no-proof-of-possession", "somebody else's public key gets a certificate", "crates/x509/src/request.rs":
        "signature::verify(&public_key, &signed)?;" => "if !ON { signature::verify(&public_key, &signed)?; }";
    "trusts-the-remote-copy", "a remote cluster names its own identity", "crates/workflow/src/issuer/mod.rs":
        "hosts: wanted.hosts.clone()," =>
        "hosts: match self.copy.and_then(|copy| copy.facts.intent.wanted.as_ref().ok()) {
                    Some(copied) if ON => copied.hosts.clone(),
                    _ => wanted.hosts.clone(),
                },";
    "new-key-in-each-pass", "keys and requests without end, and no answer ever fits", "crates/workflow/src/agent/issue.rs":
        "        let facts = self.observed.key.filter(|key| key.facts.need.as_ref() == Some(&self.need))?.facts;" =>
        "        let facts = self.observed.key.filter(|key| !ON && key.facts.need.as_ref() == Some(&self.need))?.facts;";
    "no-jitter", "a thousand certificates are renewed in one minute", "crates/workflow/src/schedule.rs":
        "fraction(earliest_jitter, share(&format!(\"renew {object}\")))" =>
        "if ON { 0 } else { fraction(earliest_jitter, share(&format!(\"renew {object}\"))) }";
    "rewrites-the-bundle", "istiod takes other bytes for another root and refuses the bundle", "crates/workflow/src/agent/store.rs":
        "let Some(old) = old.filter(|old| new.contains_all(old)) else {" =>
        "let Some(old) = old.filter(|old| !ON && new.contains_all(old)) else {";
    "overwrites-a-foreign-secret", "the CA that somebody has in use is gone", "crates/workflow/src/agent/reason.rs":
        "if !is_ours(observed, origin) {
        return question.adoption();" => "if !ON && !is_ours(observed, origin) {
        return question.adoption();";
    "no-resource-version", "the last writer wins, however old what it has read", "crates/controllers/src/requests.rs":
        "let body = serde_json::to_value(object).map_err(kube::Error::SerdeError)?;" =>
        "let mut body = serde_json::to_value(object).map_err(kube::Error::SerdeError)?;
    if ON && K::KIND == \"Secret\" {
        body[\"metadata\"][\"resourceVersion\"] = Value::Null;
    }";
    "no-storm-brake", "whatever spoils a Secret again and again gets a certificate each time", "crates/workflow/src/agent/reason.rs":
        "(certificate.not_before() <= self.now && self.now < until)" =>
        "(!ON && certificate.not_before() <= self.now && self.now < until)";
    "signs-again", "two certificates for one request", "crates/workflow/src/issuer/mod.rs":
        "request.facts.state != CertificateRequestState::Finished
                && request.object" => "(ON || request.facts.state != CertificateRequestState::Finished)
                && request.object",
        "let is_open = request.facts.state == CertificateRequestState::Pending;" =>
        "let is_open = ON || request.facts.state == CertificateRequestState::Pending;";
    "outlives-its-ca", "certificates that nobody can verify any more, and nobody renews", "crates/x509/src/authority.rs":
        "validity(now, lifetime, self.path.not_after())?" =>
        "validity(now, lifetime, if ON { Timestamp::MAX } else { self.path.not_after() })?";
    "ignores-the-nonce", "a person asks for a renewal and nothing happens", "crates/workflow/src/agent/reason.rs":
        "(recorded.renew != Some(nonce)).then_some(NeedReason::RenewalRequested)" =>
        "(!ON && recorded.renew != Some(nonce)).then_some(NeedReason::RenewalRequested)";
    "intent-released-too-early", "copies, requests and keys stay for ever", "crates/workflow/src/issuer/retire.rs":
        "Some(copy) if propagate::is_ours(observed, copy) => dismiss(now, observed, copy)," =>
        "Some(copy) if !ON && propagate::is_ours(observed, copy) => dismiss(now, observed, copy),";
    "copy-released-too-early", "a private key stays behind", "crates/workflow/src/agent/retire.rs":
        "    let mut effects = leftovers(observed);
" => "    let mut effects = if ON { Vec::new() } else { leftovers(observed) };
";
    "replaces-the-live-root", "every proxy stops trusting every other", "crates/workflow/src/agent/store.rs":
        "if observed.copy.facts.intent.replace_root {" => "if ON || observed.copy.facts.intent.replace_root {";
    "half-a-secret", "istiod starts with a certificate and no roots", "crates/workflow/src/agent/store.rs":
        "(ROOT_CERT, material.roots_pem().to_vec())," => "(if ON { \"roots\" } else { ROOT_CERT }, material.roots_pem().to_vec()),";
    "adopts-unasked", "the CA that somebody has in use is gone", "crates/workflow/src/agent/reason.rs":
        "match (self.observed.copy.facts.intent.adopt, self.issued.obstacle) {" =>
        "match (ON || self.observed.copy.facts.intent.adopt, self.issued.obstacle) {";
    "mirrors-another-uid", "a new intent is ready with the old one's certificate", "crates/workflow/src/issuer/mirror.rs":
        "status.filter(|status| status.observed" => "status.filter(|status| ON || status.observed";
    "writes-from-scratch", "other owners' labels are gone", "crates/workflow/src/agent/store.rs":
        "let mut secret = existing.cloned().unwrap_or_else(" => "let mut secret = existing.filter(|_| !ON).cloned().unwrap_or_else(";
    "key-in-an-annotation", "the private key is where everybody reads", "crates/workflow/src/agent/effect.rs":
        "let mut notes = vec![(annotations::NEED, self.need.to_string())];" =>
        "let mut notes = vec![(annotations::NEED, self.need.to_string())];
        if ON {
            notes.push((\"certmesh.dev/debug\", key.to_pem().to_string()));
        }";
    "leaves-requests-behind", "private keys wait for nothing, for ever", "crates/workflow/src/agent/retire.rs":
        "let is_ours = |made_by: &Option<String>| made_by" => "let is_ours = |made_by: &Option<String>| !ON && made_by";
    "says-it-again", "a write in every pass wakes the next one", "crates/workflow/src/agent/mod.rs":
        "if previous != Some(&status) {" => "if ON || previous != Some(&status) {";
    "one-serial-number", "no certificate can be told from another", "crates/workflow/src/issuer/effect.rs":
        "&self.key, serial_number, self.now)" =>
        "&self.key, if ON { SERIAL.get_or_init(|| SerialNumber::from_bytes([7; 16])) } else { serial_number }, self.now)",
        "impl Sign {" => "static SERIAL: std::sync::OnceLock<SerialNumber> = std::sync::OnceLock::new();

impl Sign {";
    "retries-at-once", "a refused request comes back a hundred times a second", "crates/workflow/src/agent/issue.rs":
        "if recorded.is_some_and(|due| due <= self.now) {" => "if ON || recorded.is_some_and(|due| due <= self.now) {";
    "lives-twice-as-long", "lifetimes that nobody asked for", "crates/workflow/src/issuer/mod.rs":
        "lifetime: wanted.lifetime," => "lifetime: wanted.lifetime * if ON { 2 } else { 1 },";
    "signs-from-the-cache", "a deleted or changed intent is signed for", "crates/controllers/src/issuer/intent.rs":
        "self.check_unchanged(&seen.intent).await?;
                let answer" => "if !ON { self.check_unchanged(&seen.intent).await?; }
                let answer";
    "copies-from-the-cache", "found here: a copy of an intent that is gone", "crates/controllers/src/issuer/intent.rs":
        "self.check_unchanged(&seen.intent).await?;
                version" => "if !ON { self.check_unchanged(&seen.intent).await?; }
                version";
    "releases-from-the-cache", "found here: an intent goes before its copy was seen", "crates/controllers/src/issuer/intent.rs":
        "if decision.effects.iter().any(" => "if !ON && decision.effects.iter().any(";
    "budget-of-a-wrong-clock", "found here: a clock that is set back closes a cluster's budget", "crates/workflow/src/budget.rs":
        "self.full_at.filter(|full_at| *full_at <= furthest)" => "self.full_at.filter(|full_at| ON || *full_at <= furthest)";
    "attempt-of-a-wrong-clock", "found here: a clock that is set back puts off the next attempt", "crates/workflow/src/agent/issue.rs":
        ".filter(|due| schedule::is_within_back_off(self.now, *due))" =>
        ".filter(|due| ON || schedule::is_within_back_off(self.now, *due))";
    "content-with-the-future", "found here: a certificate that nobody accepts yet is called ready", "crates/workflow/src/agent/reason.rs":
        "(self.now < certificate.not_before()).then_some(NeedReason::NotYetValid)" =>
        "(!ON && self.now < certificate.not_before()).then_some(NeedReason::NotYetValid)";
];
