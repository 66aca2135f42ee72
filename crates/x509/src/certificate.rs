//! Parsed X.509 certificates (RFC 5280).
//!
//! Parsing keeps the bytes: what was signed, and the names as they were written, are slices of the input, never encoded
//! anew. Every extension that certmesh looks at is decoded here, so a certificate that exists has no surprise left in
//! it; what an unknown critical extension means is for [`verify_chain`](crate::verify_chain) to say.

use std::{
    fmt,
    ops::Range,
    sync::{Arc, OnceLock},
};

use const_oid::db::DB;
use der::{
    Decode, Reader, SliceReader, Tag, TagNumber, Tagged,
    asn1::{AnyRef, BitStringRef, ContextSpecific},
};
use jiff::Timestamp;
use x509_cert::{
    certificate::Version,
    ext::pkix::{KeyUsage, NameConstraints},
    time::Validity,
};

mod extensions;

pub(crate) use extensions::Extensions;
pub use extensions::SubjectAltName;

use crate::{
    encoding::timestamp,
    fingerprint::Fingerprint,
    host::{Host, Hosts},
    name::DistinguishedName,
    pem::{self, PemError},
    public_key::{KeyError, KeyIdentifier, PublicKey},
    serial::SerialNumber,
    signature::{self, SignatureError, SignedBytes},
};

/// webpki reads no larger ones, and ours have two kilobytes.
const MAX_SIZE: usize = u16::MAX as usize;

/// A certificate. Cheap to clone; two are equal when their DER is.
#[derive(Clone)]
pub struct Certificate(Arc<Inner>);

struct Inner {
    der: Vec<u8>,
    fingerprint: Fingerprint,
    to_be_signed: Range<usize>,
    /// Content of the AlgorithmIdentifier, without its SEQUENCE header.
    signature_algorithm: Vec<u8>,
    signature: Vec<u8>,
    version: Version,
    serial_number: SerialNumber,
    issuer: DistinguishedName,
    subject: DistinguishedName,
    not_before: Timestamp,
    not_after: Timestamp,
    public_key: PublicKey,
    extensions: Extensions,
    is_self_signed: OnceLock<bool>,
}

impl Certificate {
    /// Reads one DER certificate and nothing after it.
    pub fn from_der(der: &[u8]) -> Result<Self, CertificateError> {
        if der.len() > MAX_SIZE {
            return Err(CertificateError::TooLarge { size: der.len() });
        }
        let outer = SignedStructure::read(der).map_err(malformed("certificate"))?;
        let fields = Fields::read(outer.to_be_signed).map_err(malformed("to-be-signed part"))?;
        if fields.signature_algorithm != outer.signature_algorithm {
            return Err(CertificateError::SignatureAlgorithmMismatch);
        }
        if fields.has_unique_identifiers {
            return Err(CertificateError::UniqueIdentifiers);
        }
        let validity = Validity::<x509_cert::certificate::Rfc5280>::from_der(fields.validity)
            .map_err(malformed("validity"))?;
        Ok(Self(Arc::new(Inner {
            fingerprint: Fingerprint::of(der),
            to_be_signed: outer.to_be_signed_range,
            signature_algorithm: content(outer.signature_algorithm)
                .map_err(malformed("signature algorithm"))?
                .to_vec(),
            signature: outer.signature.to_vec(),
            version: fields.version,
            serial_number: SerialNumber::from_integer(fields.serial_number),
            issuer: DistinguishedName::from_der(fields.issuer).map_err(malformed("issuer"))?,
            subject: DistinguishedName::from_der(fields.subject).map_err(malformed("subject"))?,
            not_before: timestamp(validity.not_before),
            not_after: timestamp(validity.not_after),
            public_key: PublicKey::from_spki_der(fields.public_key)?,
            extensions: Extensions::read(fields.extensions)?,
            is_self_signed: OnceLock::new(),
            der: der.to_vec(),
        })))
    }

    /// Reads a PEM file with exactly one certificate.
    pub fn from_pem(pem: &[u8]) -> Result<Self, CertificateError> {
        Self::from_der(&pem::read_one(pem, pem::CERTIFICATE)?.der)
    }

    /// Reads a PEM file with one or more certificates, in their order.
    pub fn parse_chain(pem: &[u8]) -> Result<Vec<Self>, CertificateError> {
        let blocks = pem::read_all(pem, pem::CERTIFICATE)?;
        let read = |(index, block): (usize, &pem::Block)| {
            Self::from_der(&block.der)
                .map_err(|error| CertificateError::InChain { position: index + 1, error: Box::new(error) })
        };
        blocks.iter().enumerate().map(read).collect()
    }

    /// The certificates as one PEM file: each in 64 columns, LF line ends, one newline between and at the end.
    pub fn write_chain<'a>(certificates: impl IntoIterator<Item = &'a Self>) -> String {
        certificates.into_iter().map(Self::to_pem).collect()
    }

    /// The certificate as PEM: 64 columns, LF line ends, one newline at the end.
    pub fn to_pem(&self) -> String {
        pem::write(pem::CERTIFICATE, &self.0.der)
    }

    /// The DER bytes that were read.
    pub fn as_der(&self) -> &[u8] {
        &self.0.der
    }

    /// SHA-256 of the DER.
    pub fn fingerprint(&self) -> Fingerprint {
        self.0.fingerprint
    }

    /// The issuer's number for it.
    pub fn serial_number(&self) -> &SerialNumber {
        &self.0.serial_number
    }

    /// Whom it is about. May be empty.
    pub fn subject(&self) -> &DistinguishedName {
        &self.0.subject
    }

    /// Who signed it.
    pub fn issuer(&self) -> &DistinguishedName {
        &self.0.issuer
    }

    /// The first second at which it is valid.
    pub fn not_before(&self) -> Timestamp {
        self.0.not_before
    }

    /// The last second at which it is valid. Certificates without an end have [`Timestamp::MAX`] in whole seconds.
    pub fn not_after(&self) -> Timestamp {
        self.0.not_after
    }

    /// The subject's key.
    pub fn public_key(&self) -> &PublicKey {
        &self.0.public_key
    }

    /// basicConstraints says CA:TRUE.
    pub fn is_ca(&self) -> bool {
        self.0.extensions.basic_constraints.as_ref().is_some_and(|constraints| constraints.ca)
    }

    /// How many intermediates may stand between this one and a leaf; nothing means no limit, or no CA.
    pub fn path_length(&self) -> Option<u8> {
        self.0.extensions.basic_constraints.as_ref().and_then(|constraints| constraints.path_len_constraint)
    }

    /// The keyUsage extension, if there is one.
    pub fn key_usage(&self) -> Option<&KeyUsage> {
        self.0.extensions.key_usage.as_ref()
    }

    /// The purposes that extendedKeyUsage allows, by name where they have one; nothing means all.
    pub fn extended_key_usages(&self) -> Option<Vec<String>> {
        let usages = self.0.extensions.extended_key_usage.as_ref()?;
        Some(usages.iter().map(|oid| DB.by_oid(oid).map_or_else(|| oid.to_string(), str::to_owned)).collect())
    }

    /// The name of the algorithm it is signed with, such as `ecdsa-with-SHA256`. For people.
    pub fn signature_algorithm_name(&self) -> String {
        signature::name(&self.0.signature_algorithm)
    }

    /// Whether keyUsage allows signing certificates: it says `keyCertSign`, or the extension is absent and so allows
    /// everything (RFC 5280 section 6.1.4 (n); what `openssl req -x509` makes has none).
    pub fn may_sign_certificates(&self) -> bool {
        self.key_usage().is_none_or(KeyUsage::key_cert_sign)
    }

    /// Every subject alternative name, in order.
    pub fn subject_alt_names(&self) -> &[SubjectAltName] {
        &self.0.extensions.subject_alt_names
    }

    /// The subject alternative names that are hosts as certmesh knows them.
    pub fn hosts(&self) -> impl Iterator<Item = &Host> {
        self.subject_alt_names().iter().filter_map(SubjectAltName::as_host)
    }

    /// Whether its subject alternative names are these hosts and nothing else, in whatever order.
    pub fn identifies_exactly(&self, hosts: &Hosts) -> bool {
        let names = self.subject_alt_names();
        let is_wanted = |name: &SubjectAltName| {
            name.as_host().is_some_and(|host| hosts.iter().any(|wanted| wanted == host))
        };
        let is_present = |wanted: &Host| self.hosts().any(|host| host == wanted);
        names.iter().all(is_wanted) && hosts.iter().all(is_present)
    }

    /// The identifier of its key, which what it signs names as authority.
    pub fn subject_key_identifier(&self) -> Option<&KeyIdentifier> {
        self.0.extensions.subject_key_identifier.as_ref()
    }

    /// The identifier of its issuer's key.
    pub fn authority_key_identifier(&self) -> Option<&KeyIdentifier> {
        self.0.extensions.authority_key.as_ref().and_then(|authority| authority.key_identifier.as_ref())
    }

    /// Its issuer and subject are the same name, which says nothing about its signature.
    pub fn is_self_issued(&self) -> bool {
        self.0.issuer == self.0.subject
    }

    /// It is self-issued, names no other key than its own as its authority, and its signature is not another key's: a root
    /// by its form. Computed once.
    ///
    /// A signature in an algorithm that is no longer verified counts as its own: it proves nothing about a root, and many
    /// a root in use was signed with SHA-1 once.
    pub fn is_self_signed(&self) -> bool {
        *self.0.is_self_signed.get_or_init(|| {
            self.is_self_issued() && self.may_be_issued_by(self) && self.is_signature_its_own()
        })
    }

    fn is_signature_its_own(&self) -> bool {
        match self.verify_signature(self.public_key()) {
            Ok(()) => true,
            Err(SignatureError::UnsupportedAlgorithm { .. }) => signature::is_accepted_key(self.public_key()),
            Err(SignatureError::WeakKey { .. } | SignatureError::Invalid) => false,
        }
    }

    /// Whether the authority key identifier leaves room for this issuer. OpenSSL and BoringSSL do not take an issuer whose
    /// key identifier, or name and serial number, are others than those named.
    pub(crate) fn may_be_issued_by(&self, issuer: &Self) -> bool {
        let Some(named) = &self.0.extensions.authority_key else { return true };
        let identifiers = named.key_identifier.as_ref().zip(issuer.subject_key_identifier());
        identifiers.is_none_or(|(named, actual)| named == actual)
            && named.serial_number.as_ref().is_none_or(|serial| serial == issuer.serial_number())
            && named.issuer.as_ref().is_none_or(|name| name == issuer.issuer())
    }

    /// Whether it is valid at this time, by its own dates.
    pub fn is_valid_at(&self, at: Timestamp) -> bool {
        self.0.not_before <= at && at <= self.0.not_after
    }

    pub(crate) fn verify_signature(&self, signer: &PublicKey) -> Result<(), SignatureError> {
        signature::verify(
            signer,
            &SignedBytes {
                bytes: &self.0.der[self.0.to_be_signed.clone()],
                algorithm: &self.0.signature_algorithm,
                signature: &self.0.signature,
            },
        )
    }

    pub(crate) fn version(&self) -> Version {
        self.0.version
    }

    pub(crate) fn extensions(&self) -> &Extensions {
        &self.0.extensions
    }

    pub(crate) fn name_constraints(&self) -> Option<&NameConstraints> {
        self.0.extensions.name_constraints.as_ref()
    }
}

fn malformed(part: &'static str) -> impl FnOnce(der::Error) -> CertificateError {
    move |error| CertificateError::Malformed { part, reason: error.to_string() }
}

/// `SEQUENCE { toBeSigned, AlgorithmIdentifier, BIT STRING }`, the shape of certificates and of requests.
pub(crate) struct SignedStructure<'a> {
    pub(crate) to_be_signed: &'a [u8],
    to_be_signed_range: Range<usize>,
    /// With its SEQUENCE header.
    pub(crate) signature_algorithm: &'a [u8],
    pub(crate) signature: &'a [u8],
}

impl<'a> SignedStructure<'a> {
    pub(crate) fn read(der: &'a [u8]) -> der::Result<Self> {
        let mut reader = SliceReader::new(der)?;
        let structure = reader.sequence(|reader| {
            let start = usize::try_from(reader.position())?;
            let to_be_signed = reader.tlv_bytes()?;
            let signature_algorithm = reader.tlv_bytes()?;
            let signature = BitStringRef::decode(reader)?;
            der::Result::Ok(Self {
                to_be_signed,
                to_be_signed_range: start..start + to_be_signed.len(),
                signature_algorithm,
                signature: signature.as_bytes().ok_or_else(|| Tag::BitString.value_error())?,
            })
        })?;
        reader.finish()?;
        Ok(structure)
    }
}

/// The content of a SEQUENCE, without its header.
pub(crate) fn content(sequence: &[u8]) -> der::Result<&[u8]> {
    let any = AnyRef::from_der(sequence)?;
    any.tag().assert_eq(Tag::Sequence)?;
    Ok(any.value())
}

/// The fields of a TBSCertificate (RFC 5280 section 4.1) as DER slices.
struct Fields<'a> {
    version: Version,
    serial_number: &'a [u8],
    signature_algorithm: &'a [u8],
    issuer: &'a [u8],
    validity: &'a [u8],
    subject: &'a [u8],
    public_key: &'a [u8],
    has_unique_identifiers: bool,
    extensions: Option<&'a [u8]>,
}

impl<'a> Fields<'a> {
    fn read(to_be_signed: &'a [u8]) -> der::Result<Self> {
        let mut reader = SliceReader::new(to_be_signed)?;
        let fields = reader.sequence(|reader| {
            let version = ContextSpecific::<Version>::decode_explicit(reader, TagNumber(0))?;
            let serial_number = AnyRef::decode(reader)?;
            serial_number.tag().assert_eq(Tag::Integer)?;
            let mut fields = Self {
                version: version.map_or(Version::V1, |version| version.value),
                serial_number: serial_number.value(),
                signature_algorithm: reader.tlv_bytes()?,
                issuer: reader.tlv_bytes()?,
                validity: reader.tlv_bytes()?,
                subject: reader.tlv_bytes()?,
                public_key: reader.tlv_bytes()?,
                has_unique_identifiers: false,
                extensions: None,
            };
            while !reader.is_finished() {
                let field = AnyRef::decode(reader)?;
                match field.tag() {
                    Tag::ContextSpecific { number: TagNumber(1 | 2), .. } if fields.extensions.is_none() => {
                        fields.has_unique_identifiers = true;
                    }
                    Tag::ContextSpecific { number: TagNumber(3), constructed: true }
                        if fields.extensions.is_none() =>
                    {
                        fields.extensions = Some(field.value());
                    }
                    other => return Err(der::Error::from(other.unexpected_error(None))),
                }
            }
            der::Result::Ok(fields)
        })?;
        reader.finish()?;
        Ok(fields)
    }
}

impl PartialEq for Certificate {
    fn eq(&self, other: &Self) -> bool {
        self.0.der == other.0.der
    }
}

impl Eq for Certificate {}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Certificate({}, {})", self.subject(), self.fingerprint())
    }
}

/// Why a certificate was refused by itself, before any question of trust.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// The file is no PEM file of certificates.
    #[error(transparent)]
    Pem(#[from] PemError),
    /// One of several certificates in a file is not readable.
    #[error("certificate {position} of the file: {error}")]
    InChain {
        /// Counted from one.
        position: usize,
        /// What is wrong with it.
        error: Box<CertificateError>,
    },
    /// Larger than any certificate that peers would read.
    #[error("the certificate has {size} bytes, more than the {MAX_SIZE} that TLS libraries read")]
    TooLarge {
        /// Its size in bytes.
        size: usize,
    },
    /// It is not DER, has bytes after its end, or breaks the structure of RFC 5280.
    #[error("the {part} of the certificate is malformed: {reason}")]
    Malformed {
        /// Which part.
        part: &'static str,
        /// What the decoder says.
        reason: String,
    },
    /// The algorithm inside the signed part differs from the one outside of it.
    #[error("the certificate names one signature algorithm in its signed part and another outside of it")]
    SignatureAlgorithmMismatch,
    /// issuerUniqueID or subjectUniqueID.
    #[error("the certificate has unique identifiers, which RFC 5280 forbids and TLS libraries do not read")]
    UniqueIdentifiers,
    /// An extension is there twice.
    #[error("the certificate has the extension {oid} twice")]
    DuplicateExtension {
        /// Its object identifier.
        oid: String,
    },
    /// The public key is not readable.
    #[error("the public key of the certificate: {0}")]
    PublicKey(#[from] KeyError),
}
