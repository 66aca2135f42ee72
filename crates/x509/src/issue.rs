//! What an issued certificate looks like: the profiles of a root, an intermediate and a leaf, and their DER.
//!
//! ```text
//!                     root                 intermediate                leaf
//!   basicConstraints  critical CA:TRUE     critical CA:TRUE pathLen:0  critical CA:FALSE
//!   keyUsage          critical keyCertSign, cRLSign                    critical digitalSignature (RSA: + keyEncipherment)
//!   extendedKeyUsage  none                 none                        serverAuth, clientAuth
//!   subjectAltName    none                 hosts                       hosts
//!   SKI / AKI         SKI / none           SKI / AKI = signer's SKI    SKI / AKI = signer's SKI
//! ```
//!
//! No name constraints: rustls-webpki rejects every URI name under any URI constraint, which would break ztunnel and
//! linkerd.

use std::time::Duration;

use const_oid::{
    AssociatedOid,
    db::rfc5280::{ID_KP_CLIENT_AUTH, ID_KP_SERVER_AUTH},
};
use der::{
    Encode, Sequence,
    asn1::{AnyRef, OctetString},
};
use jiff::{SignedDuration, Timestamp};
use spki::AlgorithmIdentifierOwned;
use x509_cert::{
    certificate::Version,
    ext::{
        Extension, Extensions,
        pkix::{
            AuthorityKeyIdentifier, BasicConstraints, ExtendedKeyUsage, KeyUsage, KeyUsages, SubjectAltName,
            SubjectKeyIdentifier,
        },
    },
    serial_number::SerialNumber as DerSerialNumber,
    time::Validity,
};

use crate::{
    algorithm::KeyAlgorithm,
    certificate::{Certificate, CertificateError},
    encoding::der_time,
    host::{Host, Hosts},
    material::MaterialError,
    name::SubjectName,
    private_key::PrivateKey,
    public_key::{KeyError, KeyIdentifier, PublicKey},
    serial::SerialNumber,
    signature,
    verify::VerificationError,
};

/// Clocks differ; a certificate is valid from a little before it was made.
const BACKDATE: SignedDuration = SignedDuration::from_mins(5);

/// What an intermediate certificate is issued for.
#[derive(Clone, Debug)]
pub struct IntermediateParameters {
    /// Its subject.
    pub subject: SubjectName,
    /// Its subject alternative names.
    pub hosts: Hosts,
    /// How long it is to live from now on, in whole seconds; cut to the lives of the certificates above it.
    pub lifetime: Duration,
}

impl IntermediateParameters {
    /// The lifetime of an intermediate for which nothing else was asked.
    pub const DEFAULT_LIFETIME: Duration = Duration::from_secs(365 * 24 * 60 * 60);
}

/// What a workload certificate is issued for. It has an empty subject, so its names are critical.
#[derive(Clone, Debug)]
pub struct LeafParameters {
    /// Its subject alternative names.
    pub hosts: Hosts,
    /// How long it is to live from now on, in whole seconds; cut to the lives of the certificates above it.
    pub lifetime: Duration,
}

/// The signer's side of a certificate: its name and the identifier of its key, as its own certificate has them.
pub(crate) struct Issuer<'a> {
    pub(crate) name: &'a [u8],
    pub(crate) key_identifier: Option<KeyIdentifier>,
    pub(crate) key: &'a PrivateKey,
}

/// Which of the three profiles.
pub(crate) enum Profile<'a> {
    Root,
    Intermediate(&'a Hosts),
    Leaf(&'a Hosts),
}

/// Everything about a certificate but its signer.
pub(crate) struct Template<'a> {
    pub(crate) profile: Profile<'a>,
    pub(crate) subject: &'a [u8],
    pub(crate) public_key: &'a PublicKey,
    pub(crate) serial_number: &'a SerialNumber,
    pub(crate) not_before: Timestamp,
    pub(crate) not_after: Timestamp,
}

/// From five minutes ago to the end of the lifetime or `latest`, whichever is first. Whole seconds.
pub(crate) fn validity(
    now: Timestamp,
    lifetime: Duration,
    latest: Timestamp,
) -> Result<(Timestamp, Timestamp), SigningError> {
    let lifetime = SignedDuration::try_from(lifetime).unwrap_or(SignedDuration::MAX);
    let not_after = now.saturating_add(lifetime).map_or(latest, |end| end.min(latest));
    let not_before = now.checked_sub(BACKDATE).map_err(|_| SigningError::Encoding)?;
    if not_after.as_second() <= now.as_second() {
        return Err(SigningError::LifetimeTooShort);
    }
    Ok((not_before, not_after))
}

/// Encodes and signs.
pub(crate) fn certificate(template: &Template<'_>, issuer: &Issuer<'_>) -> Result<Certificate, SigningError> {
    let to_be_signed = to_be_signed(template, issuer).map_err(|_| SigningError::Encoding)?;
    let der = signature::sign(&to_be_signed, issuer.key)?;
    Ok(Certificate::from_der(&der)?)
}

fn to_be_signed(template: &Template<'_>, issuer: &Issuer<'_>) -> der::Result<Vec<u8>> {
    use der::Decode;
    TbsCertificate {
        version: Version::V3,
        serial_number: DerSerialNumber::new(template.serial_number.as_bytes())?,
        signature: issuer.key.algorithm().signature_algorithm(),
        issuer: AnyRef::from_der(issuer.name)?,
        validity: Validity::new(der_time(template.not_before)?, der_time(template.not_after)?),
        subject: AnyRef::from_der(template.subject)?,
        subject_public_key_info: AnyRef::from_der(template.public_key.as_spki_der())?,
        extensions: template.extensions(issuer)?,
    }
    .to_der()
}

/// RFC 5280 section 4.1. Names and the key stay the bytes they were.
#[derive(Sequence)]
struct TbsCertificate<'a> {
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT")]
    version: Version,
    serial_number: DerSerialNumber,
    signature: AlgorithmIdentifierOwned,
    issuer: AnyRef<'a>,
    validity: Validity,
    subject: AnyRef<'a>,
    subject_public_key_info: AnyRef<'a>,
    #[asn1(context_specific = "3", tag_mode = "EXPLICIT")]
    extensions: Extensions,
}

impl Template<'_> {
    fn extensions(&self, issuer: &Issuer<'_>) -> der::Result<Extensions> {
        let mut extensions = vec![
            extension(true, &self.basic_constraints())?,
            extension(true, &self.key_usage())?,
            extension(false, &SubjectKeyIdentifier(octets(&self.public_key.subject_key_identifier())?))?,
        ];
        if let Some(identifier) = &issuer.key_identifier {
            let authority = AuthorityKeyIdentifier {
                key_identifier: Some(octets(identifier)?),
                ..AuthorityKeyIdentifier::default()
            };
            extensions.push(extension(false, &authority)?);
        }
        match self.profile {
            Profile::Root => {}
            Profile::Intermediate(hosts) => extensions.push(self.subject_alt_name(hosts)?),
            Profile::Leaf(hosts) => {
                let usages = ExtendedKeyUsage(vec![ID_KP_SERVER_AUTH, ID_KP_CLIENT_AUTH]);
                extensions.push(extension(false, &usages)?);
                extensions.push(self.subject_alt_name(hosts)?);
            }
        }
        Ok(extensions)
    }

    fn basic_constraints(&self) -> BasicConstraints {
        match self.profile {
            Profile::Root => BasicConstraints { ca: true, path_len_constraint: None },
            Profile::Intermediate(_) => BasicConstraints { ca: true, path_len_constraint: Some(0) },
            Profile::Leaf(_) => BasicConstraints { ca: false, path_len_constraint: None },
        }
    }

    fn key_usage(&self) -> KeyUsage {
        let is_rsa = self.public_key.algorithm().is_some_and(KeyAlgorithm::is_rsa);
        KeyUsage(match self.profile {
            Profile::Root | Profile::Intermediate(_) => KeyUsages::KeyCertSign | KeyUsages::CRLSign,
            Profile::Leaf(_) if is_rsa => KeyUsages::DigitalSignature | KeyUsages::KeyEncipherment,
            Profile::Leaf(_) => KeyUsages::DigitalSignature.into(),
        })
    }

    /// Critical only when there is no subject besides it (RFC 5280 section 4.2.1.6).
    fn subject_alt_name(&self, hosts: &Hosts) -> der::Result<Extension> {
        const EMPTY_NAME: &[u8] = &[0x30, 0];
        let names = hosts.iter().map(Host::to_general_name).collect::<der::Result<Vec<_>>>()?;
        extension(self.subject == EMPTY_NAME, &SubjectAltName(names))
    }
}

fn octets(identifier: &KeyIdentifier) -> der::Result<OctetString> {
    OctetString::new(identifier.as_bytes())
}

fn extension<T: Encode + AssociatedOid>(critical: bool, value: &T) -> der::Result<Extension> {
    Ok(Extension { extn_id: T::OID, critical, extn_value: OctetString::new(value.to_der()?)? })
}

/// Why a certificate was not issued.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum SigningError {
    /// The signing CA has expired, or something above it has.
    #[error(
        "the signing CA or a certificate above it expired at {not_after}: renew the CA, then rotate to it"
    )]
    AuthorityExpired {
        /// The earliest end of its chain.
        not_after: Timestamp,
    },
    /// The signing CA is not valid yet.
    #[error("the signing CA or a certificate above it is not valid before {not_before}: check the clocks")]
    AuthorityNotYetValid {
        /// The latest start of its chain.
        not_before: Timestamp,
    },
    /// The signing CA may sign leaves, but no further CA.
    #[error(
        "the signing CA {authority} may not sign intermediate CAs (pathLen on its path is exhausted): use a root, or an intermediate with a pathLen of at least 1 all the way up"
    )]
    PathLengthExhausted {
        /// The CA's subject.
        authority: String,
    },
    /// Subject and issuer would be the same name, which breaks path building.
    #[error("the subject {subject} is also the signing CA's: choose another name or organization")]
    SubjectIsIssuer {
        /// The name.
        subject: String,
    },
    /// The key is of a kind that is not signed.
    #[error("the key to sign is {algorithm}, which is not supported")]
    UnsupportedKey {
        /// Its kind.
        algorithm: String,
    },
    /// The lifetime is below a second.
    #[error("the certificate would expire at once: ask for a longer lifetime")]
    LifetimeTooShort,
    /// What came out would not be trusted, for example because the CA's name constraints forbid the hosts.
    #[error("a certificate signed by this CA would not be trusted: {0}")]
    WouldNotVerify(#[from] VerificationError),
    /// A new root's name cannot be made.
    #[error("the root's subject: {0}")]
    Subject(#[from] crate::name::SubjectNameError),
    /// A new root is not whole.
    #[error("the new root: {0}")]
    Root(Box<MaterialError>),
    /// Signing failed.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// What was made cannot be read back.
    #[error("the issued certificate cannot be read: {0}")]
    Certificate(#[from] CertificateError),
    /// DER encoding failed: a date outside of what certificates can hold.
    #[error("the certificate cannot be encoded: its dates are outside of the years 1970 to 9999")]
    Encoding,
}
