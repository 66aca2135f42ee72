//! Reading objects: everything that is expensive (PEM, signatures, chains) and depends on an object's content alone.
//!
//! ```text
//!   IssuedCertificate  ──intent / copy──▶ what is wanted, or what is wrong with the spec
//!   Secret             ──issued──▶        is it whole, what was it issued for
//!                      ──pending_key──▶   the key that waits for its certificate
//!                      ──signing_ca──▶    a CA that may sign, or what is wrong with it
//!   CertificateRequest ──request──▶       the key it asks a signature for, or why not     (the issuer's view)
//!                      ──answer──▶        the certificate it was answered with, or why not (the agent's view)
//!   ConfigMap          ──live_roots, trust_anchors──▶ roots in use, roots that are allowed
//! ```
//!
//! Time enters as validity windows, never as "now": a fact stays true as long as the object's uid and resourceVersion do,
//! so callers keep facts by those two. Nothing in here panics, whatever the bytes are.

mod answer;
mod chain;
mod intent;
mod issued;
mod pending_key;
mod request;
mod roots;
mod signing_ca;

pub use answer::{Answer, AnswerFacts, SignedAnswer, answer};
pub use intent::{
    Authorities, CopyFacts, IntentFacts, Origin, RotationStep, SpecProblem, Wanted, copy, intent,
};
pub use issued::{Flaw, InPlace, IssuedFacts, Obstacle, issued};
pub use pending_key::{PendingKeyFacts, pending_key};
pub use request::{RequestFacts, request};
pub use roots::{LiveRoots, TrustAnchors, live_roots, trust_anchors};
pub use signing_ca::{AllowedClusters, SigningCaFacts, SigningCaProblem, signing_ca};
