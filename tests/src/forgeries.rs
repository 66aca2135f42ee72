//! Answers that are not exactly the certificate that an agent asked for.

use crate::forger::{Forger, answer, key_of, new_key};
use certmesh_api::certificates::{CertificateRequest, CertificateRequestStatus};
use certmesh_x509::{Certificate, PublicKey};
use std::time::Duration;

/// What an intent without a lifetime of its own asks for.
const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);

/// Makes a certificate for a request, what is above it in the chain, and whose roots go with it.
pub type Forgery = fn(&Scene, &CertificateRequest) -> (Certificate, Vec<Certificate>, Roots);

/// Whose roots an answer carries.
pub enum Roots {
    /// Of the CA that the issuer would sign with.
    Right,
    /// The forger's own.
    Mallorys,
}

/// Who forges, and what for.
pub struct Scene {
    /// The right CA, its key stolen.
    pub right: Forger,
    /// A CA of the forger's own.
    pub mallory: Forger,
    /// The host that the intent names.
    pub host: String,
}

impl Scene {
    /// A forged answer to a request.
    pub fn forge(&self, request: &CertificateRequest, forgery: Forgery) -> CertificateRequestStatus {
        let (certificate, above, roots) = forgery(self, request);
        let roots = match roots {
            Roots::Right => self.right.authority.roots(),
            Roots::Mallorys => self.mallory.authority.roots(),
        };
        answer(request, &certificate, &above, roots)
    }

    fn right_for(&self, key: &PublicKey, lifetime: Duration) -> Certificate {
        self.right.intermediate(key, &self.host, lifetime)
    }
}

/// Forged answers: what is wrong, the reason that the agent gives, and how it is made.
pub const FORGERIES: [(&str, &str, Forgery); 8] = [
    ("another CA, its own roots", "AnswerUnderOtherTrust", |scene, request| {
        let certificate = scene.mallory.intermediate(&key_of(request), &scene.host, YEAR);
        (certificate, Vec::new(), Roots::Mallorys)
    }),
    ("another CA, the right roots", "AnswerUnusable", |scene, request| {
        let certificate = scene.mallory.intermediate(&key_of(request), &scene.host, YEAR);
        (certificate, Vec::new(), Roots::Right)
    }),
    ("the right CA, another key", "AnswerForAnotherKey", |scene, _| {
        (scene.right_for(new_key().public_key(), YEAR), Vec::new(), Roots::Right)
    }),
    ("the right CA, other hosts", "AnswerForOtherHosts", |scene, request| {
        let host = "spiffe://another.example/ns/istio-system/sa/istiod";
        (scene.right.intermediate(&key_of(request), host, YEAR), Vec::new(), Roots::Right)
    }),
    ("the right CA, no pathLen", "AnswerUnusable", |scene, request| {
        (scene.right.unlimited(request, &scene.host, YEAR), Vec::new(), Roots::Right)
    }),
    ("the right CA, a leaf", "AnswerUnusable", |scene, request| {
        (scene.right.leaf(&key_of(request), &scene.host, YEAR), Vec::new(), Roots::Right)
    }),
    ("the right CA, too long", "AnswerLivesTooLong", |scene, request| {
        (scene.right_for(&key_of(request), YEAR * 2), Vec::new(), Roots::Right)
    }),
    ("an unrelated certificate in the chain", "AnswerUnderOtherTrust", |scene, request| {
        let stranger = scene.mallory.intermediate(new_key().public_key(), &scene.host, YEAR);
        (scene.right_for(&key_of(request), YEAR), vec![stranger], Roots::Right)
    }),
];
