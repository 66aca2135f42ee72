//! Certificate signing requests: PKCS#10 (RFC 2986) in PEM.
//!
//! A request contributes one thing to a certificate: a public key, with the proof that its private half exists. Subject
//! and subject alternative names are filled in for people who look at it; the issuer never reads them.

use const_oid::AssociatedOid;
use der::{Decode, Encode, Reader, SliceReader, asn1::OctetString};
use spki::SubjectPublicKeyInfoOwned;
use x509_cert::{
    attr::{Attribute, Attributes},
    ext::{Extension, pkix::SubjectAltName},
    name::Name,
    request::{CertReq, CertReqInfo, ExtensionReq, Version},
};
use zeroize::Zeroizing;

use crate::{
    certificate::{SignedStructure, content},
    host::{Host, Hosts},
    name::SubjectName,
    pem::{self, PemError},
    private_key::PrivateKey,
    public_key::{KeyError, PublicKey},
    signature::{self, SignatureError, SignedBytes},
};

/// A request of ours has two kilobytes.
const MAX_SIZE: usize = 16 * 1024;

/// A request whose signature was verified: whoever wrote it holds the private key.
#[derive(Clone, Debug)]
pub struct SigningRequest {
    public_key: PublicKey,
}

impl SigningRequest {
    /// Writes a request for this key, as PEM. So many or so long hosts that nobody would read the request are left out of
    /// it, since they are only there to be looked at.
    pub fn create(key: &PrivateKey, subject: &SubjectName, hosts: &Hosts) -> Result<String, RequestError> {
        let with_hosts = Self::create_with(key, subject, Some(hosts))?;
        if with_hosts.len() <= MAX_SIZE { Ok(with_hosts) } else { Self::create_with(key, subject, None) }
    }

    fn create_with(
        key: &PrivateKey,
        subject: &SubjectName,
        hosts: Option<&Hosts>,
    ) -> Result<String, RequestError> {
        let info = info_der(key, subject, hosts).map_err(|_| RequestError::Encoding)?;
        let request = signature::sign(&info, key).map_err(RequestError::Key)?;
        Ok(pem::write(pem::CERTIFICATE_REQUEST, &request))
    }

    /// Reads a request from a stranger: at most 16 KiB, one PEM block and no text around it, a readable structure, a
    /// signature by its own key. Whether the key is of an acceptable kind is for the caller to decide.
    pub fn from_pem(pem: &[u8]) -> Result<Self, RequestError> {
        if pem.len() > MAX_SIZE {
            return Err(RequestError::TooLarge { size: pem.len() });
        }
        let der = only_block(pem)?;
        let malformed = |error: der::Error| RequestError::Malformed { reason: error.to_string() };
        CertReq::from_der(&der).map_err(malformed)?;
        let outer = SignedStructure::read(&der).map_err(malformed)?;
        let spki = public_key(outer.to_be_signed).map_err(malformed)?;
        let public_key = PublicKey::from_spki_der(spki).map_err(RequestError::Key)?;
        let signed = SignedBytes {
            bytes: outer.to_be_signed,
            algorithm: content(outer.signature_algorithm).map_err(malformed)?,
            signature: outer.signature,
        };
        signature::verify(&public_key, &signed)?;
        Ok(Self { public_key })
    }

    /// The key to sign. Its [`algorithm`](PublicKey::algorithm) may be none that certmesh signs.
    pub fn public_key(&self) -> &PublicKey {
        &self.public_key
    }
}

fn only_block(pem: &[u8]) -> Result<Zeroizing<Vec<u8>>, RequestError> {
    let document = pem::read(pem)?;
    let has_other_text = document.has_other_text;
    let mut blocks = document.blocks;
    match (blocks.pop(), blocks.len()) {
        (Some(block), 0) if block.label != pem::CERTIFICATE_REQUEST => {
            Err(RequestError::NotARequest { label: block.label })
        }
        (Some(_), 0) if has_other_text => {
            Err(PemError::OtherText { expected: pem::CERTIFICATE_REQUEST }.into())
        }
        (Some(block), 0) => Ok(block.der),
        (last, others) => Err(RequestError::NotOneBlock { found: others + usize::from(last.is_some()) }),
    }
}

/// The SubjectPublicKeyInfo as it stands in the request.
fn public_key(info: &[u8]) -> der::Result<&[u8]> {
    SliceReader::new(info)?.sequence(|reader| {
        let _version = reader.tlv_bytes()?;
        let _subject = reader.tlv_bytes()?;
        let public_key = reader.tlv_bytes()?;
        let _attributes = reader.tlv_bytes()?;
        Ok(public_key)
    })
}

fn info_der(key: &PrivateKey, subject: &SubjectName, hosts: Option<&Hosts>) -> der::Result<Vec<u8>> {
    let info = CertReqInfo {
        version: Version::V1,
        subject: Name::from_der(subject.as_distinguished_name().as_der())?,
        public_key: SubjectPublicKeyInfoOwned::from_der(key.public_key().as_spki_der())?,
        attributes: hosts.map(extension_request).transpose()?.unwrap_or_default(),
    };
    info.to_der()
}

/// The hosts as requested subject alternative names.
fn extension_request(hosts: &Hosts) -> der::Result<Attributes> {
    let names = hosts.iter().map(Host::to_general_name).collect::<der::Result<Vec<_>>>()?;
    let subject_alt_name = Extension {
        extn_id: SubjectAltName::OID,
        critical: false,
        extn_value: OctetString::new(SubjectAltName(names).to_der()?)?,
    };
    let mut attributes = Attributes::new();
    attributes.insert(Attribute::try_from(ExtensionReq(vec![subject_alt_name]))?)?;
    Ok(attributes)
}

/// Why a signing request was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// Larger than any honest request.
    #[error("the signing request has {size} bytes, more than the 16 KiB that are read")]
    TooLarge {
        /// Its size in bytes.
        size: usize,
    },
    /// It is not PEM.
    #[error("the signing request is not readable: {0}")]
    Pem(#[from] PemError),
    /// No block, or more than one.
    #[error("the signing request has {found} PEM blocks where exactly one CERTIFICATE REQUEST is expected")]
    NotOneBlock {
        /// How many there are.
        found: usize,
    },
    /// One block of another kind.
    #[error("the signing request is a {label} block where a CERTIFICATE REQUEST is expected")]
    NotARequest {
        /// The block's label.
        label: String,
    },
    /// It breaks the structure of RFC 2986.
    #[error("the signing request is malformed: {reason}")]
    Malformed {
        /// What the decoder says.
        reason: String,
    },
    /// The key in it is not readable, or signing with ours failed.
    #[error("the key of the signing request: {0}")]
    Key(KeyError),
    /// The signature's algorithm is not accepted.
    #[error("the signing request is signed with {algorithm}, which is not accepted")]
    UnsupportedAlgorithm {
        /// Signature and key.
        algorithm: String,
    },
    /// The requester has not proven to hold the private key.
    #[error(
        "the signature of the signing request does not verify with its own key: the requester has not proven to hold it"
    )]
    BadSignature,
    /// DER encoding failed.
    #[error("the signing request cannot be encoded")]
    Encoding,
}

impl From<SignatureError> for RequestError {
    fn from(error: SignatureError) -> Self {
        match error {
            SignatureError::UnsupportedAlgorithm { algorithm } | SignatureError::WeakKey { algorithm } => {
                Self::UnsupportedAlgorithm { algorithm }
            }
            SignatureError::Invalid => Self::BadSignature,
        }
    }
}
