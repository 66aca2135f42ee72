//! A certificate authority: whole CA material, ready to sign.

use std::time::Duration;

use jiff::Timestamp;

use crate::{
    bundle::TrustBundle,
    certificate::Certificate,
    fingerprint::Fingerprint,
    issue::{
        self, IntermediateParameters, Issuer, LeafParameters, Profile, SigningError, Template, validity,
    },
    material::{MaterialError, SigningMaterial},
    name::SubjectName,
    private_key::PrivateKey,
    public_key::{KeyIdentifier, PublicKey},
    serial::SerialNumber,
    verify::{VerifiedPath, verify_chain},
};

/// DER of a Name without parts.
const EMPTY_NAME: &[u8] = &[0x30, 0];

/// A CA that was found whole: key and certificate belong together, the certificate may sign, and its chain leads to one of
/// its roots. Clones share the key.
#[derive(Clone)]
pub struct CertificateAuthority {
    key: PrivateKey,
    path: VerifiedPath,
    roots: TrustBundle,
}

impl CertificateAuthority {
    /// A generated root without a lifetime of its own lives ten years: one year would stop every mesh after a year.
    pub const DEFAULT_ROOT_LIFETIME: Duration = Duration::from_secs(3650 * 24 * 60 * 60);

    /// Checks that the material is whole at this time; each failure is an error of its own.
    pub fn from_material(material: SigningMaterial, now: Timestamp) -> Result<Self, MaterialError> {
        let path = material.verify(now)?;
        let (key, roots) = material.into_key_and_roots();
        Ok(Self { key, path, roots })
    }

    /// Makes a new root around a key: `O=<org>, CN=<org> root <8 hex>`, trusted by a bundle of just itself.
    pub fn self_signed_root(
        key: PrivateKey,
        organization: &str,
        lifetime: Duration,
        serial_number: &SerialNumber,
        now: Timestamp,
    ) -> Result<Self, SigningError> {
        let subject = SubjectName::root(organization, key.public_key())?;
        let name = subject.as_distinguished_name().as_der();
        let (not_before, not_after) = validity(now, lifetime, Timestamp::MAX)?;
        let template = Template {
            profile: Profile::Root,
            subject: name,
            public_key: key.public_key(),
            serial_number,
            not_before,
            not_after,
        };
        let certificate = issue::certificate(&template, &Issuer { name, key_identifier: None, key: &key })?;
        let roots = TrustBundle::from_certificates([certificate.clone()])
            .expect("one certificate is enough for a bundle");
        Self::from_material(SigningMaterial::new(certificate, key, Vec::new(), roots), now)
            .map_err(|error| SigningError::Root(Box::new(error)))
    }

    /// Signs an intermediate: the key of a request, under the subject, hosts and lifetime of an intent. It ends with
    /// whatever above it ends first.
    pub fn sign_intermediate(
        &self,
        parameters: &IntermediateParameters,
        public_key: &PublicKey,
        serial_number: &SerialNumber,
        now: Timestamp,
    ) -> Result<Certificate, SigningError> {
        self.check_may_sign_intermediates()?;
        let subject = parameters.subject.as_distinguished_name();
        if subject == self.certificate().subject() {
            return Err(SigningError::SubjectIsIssuer { subject: subject.to_string() });
        }
        let profile = Profile::Intermediate(&parameters.hosts);
        self.sign(profile, subject.as_der(), parameters.lifetime, public_key, serial_number, now)
    }

    /// Signs a workload certificate for TLS servers and clients, as istiod would do.
    pub fn sign_leaf(
        &self,
        parameters: &LeafParameters,
        public_key: &PublicKey,
        serial_number: &SerialNumber,
        now: Timestamp,
    ) -> Result<Certificate, SigningError> {
        let profile = Profile::Leaf(&parameters.hosts);
        self.sign(profile, EMPTY_NAME, parameters.lifetime, public_key, serial_number, now)
    }

    fn sign(
        &self,
        profile: Profile<'_>,
        subject: &[u8],
        lifetime: Duration,
        public_key: &PublicKey,
        serial_number: &SerialNumber,
        now: Timestamp,
    ) -> Result<Certificate, SigningError> {
        self.check_is_valid_at(now)?;
        if public_key.algorithm().is_none() {
            return Err(SigningError::UnsupportedKey { algorithm: public_key.algorithm_name() });
        }
        let (not_before, not_after) = validity(now, lifetime, self.path.not_after())?;
        let template = Template { profile, subject, public_key, serial_number, not_before, not_after };
        let certificate = issue::certificate(&template, &self.issuer())?;
        // The last word is the verifier's: whatever it refuses, a proxy may refuse too.
        verify_chain(&certificate, &self.issued_chain(), &self.roots, now)?;
        Ok(certificate)
    }

    fn issuer(&self) -> Issuer<'_> {
        let certificate = self.certificate();
        Issuer {
            name: certificate.subject().as_der(),
            key_identifier: Some(self.key_identifier()),
            key: &self.key,
        }
    }

    /// The identifier in the CA's certificate, whoever computed it and however; SHA-1 of its key if it has none.
    fn key_identifier(&self) -> KeyIdentifier {
        let certificate = self.certificate();
        certificate
            .subject_key_identifier()
            .cloned()
            .unwrap_or_else(|| certificate.public_key().subject_key_identifier())
    }

    fn check_is_valid_at(&self, now: Timestamp) -> Result<(), SigningError> {
        let (not_before, not_after) = (self.path.not_before(), self.path.not_after());
        if now > not_after {
            return Err(SigningError::AuthorityExpired { not_after });
        }
        if now < not_before { Err(SigningError::AuthorityNotYetValid { not_before }) } else { Ok(()) }
    }

    fn check_may_sign_intermediates(&self) -> Result<(), SigningError> {
        match self.path.remaining_path_length() {
            Some(0) => {
                Err(SigningError::PathLengthExhausted { authority: self.certificate().subject().to_string() })
            }
            Some(_) | None => Ok(()),
        }
    }

    /// The CA's own certificate.
    pub fn certificate(&self) -> &Certificate {
        self.path.certificate()
    }

    /// The CA's key.
    pub fn key(&self) -> &PrivateKey {
        &self.key
    }

    /// The roots that what it signs is to be trusted by.
    pub fn roots(&self) -> &TrustBundle {
        &self.roots
    }

    /// The verified way from its certificate up to a root, with the time in which all of it is valid.
    pub fn path(&self) -> &VerifiedPath {
        &self.path
    }

    /// What stands above a certificate it signed, up to but not including the root: nothing for a root, itself and the
    /// intermediates above it otherwise. A `cert-chain.pem` is the signed certificate followed by these.
    pub fn issued_chain(&self) -> Vec<Certificate> {
        self.path.without_root().to_vec()
    }

    /// One fingerprint of *signing chain + root set*: when it changes, everything issued under it is to be issued anew.
    pub fn trust_fingerprint(&self) -> Fingerprint {
        let chain = Fingerprint::of_set(self.path.certificates().iter().map(Certificate::fingerprint));
        let roots = self.roots.set_fingerprint();
        Fingerprint::of(&[chain.as_bytes().as_slice(), roots.as_bytes()].concat())
    }
}
