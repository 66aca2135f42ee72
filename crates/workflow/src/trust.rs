//! Chain and roots at each step of a root rotation, and the fingerprint that tells whether they changed.
//!
//! | step | signed by | roots |
//! |---|---|---|
//! | not rotating | the CA | its roots |
//! | `ADDING_NEW_ROOT` | old | old, then new |
//! | `PROPAGATING_NEW_INTERMEDIATE` | new | old, new, new again: the same set, other bytes, so that proxies ask for new leaves at once |
//! | `DELETING_OLD_ROOT` | new | new |
//! | `PREVIOUS_CA` | old | old |
//!
//! Old bytes stay a prefix of the bundle while both are in it: istiod accepts a changed bundle only if one contains the
//! other, and older versions compare bytes.

use std::collections::BTreeSet;

use certmesh_x509::{Certificate, CertificateAuthority, Fingerprint, PublicKey, TrustBundle, VerifiedPath};

use crate::examine::RotationStep;

/// One fingerprint of *signing chain and root set*: when it changes, what was issued under it is issued anew.
///
/// The signer counts by its key: of two roots with one key (a renewed root beside the old) either may end a path. The roots
/// count as certificates.
pub fn fingerprint(chain: &[Certificate], signer: &PublicKey, roots: &BTreeSet<Fingerprint>) -> Fingerprint {
    let chain = Fingerprint::of_set(chain.iter().map(Certificate::fingerprint));
    let roots = Fingerprint::of_set(roots.iter().copied());
    let parts = [chain, signer.fingerprint(), roots].map(|part| *part.as_bytes());
    Fingerprint::of(&parts.concat())
}

/// The fingerprint of what a certificate came with.
pub(crate) fn of_path(path: &VerifiedPath, chain: &[Certificate], roots: &TrustBundle) -> Fingerprint {
    let signer = path.certificates().get(1).unwrap_or_else(|| path.root());
    fingerprint(chain, signer.public_key(), roots.fingerprints())
}

/// What a certificate is signed under: a signer and the roots to trust.
#[derive(Clone, Copy)]
pub struct Trust<'a> {
    signer: &'a CertificateAuthority,
    roots: Roots<'a>,
}

#[derive(Clone, Copy)]
enum Roots<'a> {
    Of(&'a TrustBundle),
    Both { old: &'a TrustBundle, new: &'a TrustBundle, new_again: bool },
}

impl<'a> Trust<'a> {
    /// Outside of a rotation.
    pub fn one(authority: &'a CertificateAuthority) -> Self {
        Self { signer: authority, roots: Roots::Of(authority.roots()) }
    }

    /// At a step of a rotation. The other CA is the one that does not sign; steps with one root do not need it.
    pub fn at_step(
        step: RotationStep,
        signer: &'a CertificateAuthority,
        other: Option<&'a CertificateAuthority>,
    ) -> Option<Self> {
        let roots = match step {
            RotationStep::DeletingOldRoot | RotationStep::PreviousCa => Roots::Of(signer.roots()),
            RotationStep::AddingNewRoot => {
                Roots::Both { old: signer.roots(), new: other?.roots(), new_again: false }
            }
            RotationStep::PropagatingNewIntermediate => {
                Roots::Both { old: other?.roots(), new: signer.roots(), new_again: true }
            }
        };
        Some(Self { signer, roots })
    }

    /// The CA that signs.
    pub fn signer(&self) -> &'a CertificateAuthority {
        self.signer
    }

    /// The set of roots to trust.
    pub fn root_set(&self) -> BTreeSet<Fingerprint> {
        match self.roots {
            Roots::Of(roots) => roots.fingerprints().clone(),
            Roots::Both { old, new, .. } => old.fingerprints() | new.fingerprints(),
        }
    }

    /// Its fingerprint.
    pub fn fingerprint(&self) -> Fingerprint {
        let signer = self.signer.certificate().public_key();
        fingerprint(self.signer.path().without_root(), signer, &self.root_set())
    }

    /// The bundle to deliver.
    pub fn bundle(&self) -> TrustBundle {
        match self.roots {
            Roots::Of(roots) => roots.clone(),
            Roots::Both { old, new, new_again } => {
                let added: Vec<Certificate> =
                    new.certificates().iter().filter(|root| !old.contains(root)).cloned().collect();
                let again = if new_again { added.clone() } else { Vec::new() };
                old.appended(added.into_iter().chain(again))
            }
        }
    }
}
