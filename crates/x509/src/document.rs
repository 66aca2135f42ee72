//! What is in a PEM file of mixed content: for tools that show it to people.
//!
//! Everything that acts on a file reads exactly the kind it expects ([`Certificate::parse_chain`],
//! [`PrivateKey::from_pem`], …). This reader takes what comes and says of each block what it is, or what is wrong with it.

use const_oid::AssociatedOid;
use der::{Decode, Encode};
use x509_cert::{
    ext::pkix::SubjectAltName as SubjectAltNames,
    request::{CertReq, ExtensionReq},
};

use crate::{
    certificate::{Certificate, CertificateError, SubjectAltName},
    name::DistinguishedName,
    pem::{self, Block, PemError},
    private_key::PrivateKey,
    public_key::KeyError,
    request::{RequestError, SigningRequest},
};

/// A PEM file, block by block.
pub struct PemFile {
    /// Its blocks, in order.
    pub items: Vec<PemItem>,
    /// There is text outside of the blocks, as `openssl s_client` and people write it.
    pub has_other_text: bool,
}

/// One block of a PEM file.
pub enum PemItem {
    /// `CERTIFICATE`.
    Certificate(Result<Certificate, CertificateError>),
    /// `CERTIFICATE REQUEST`.
    Request(Result<RequestDescription, RequestError>),
    /// `RSA PRIVATE KEY`, `EC PRIVATE KEY`, `PRIVATE KEY` or `ENCRYPTED PRIVATE KEY`.
    PrivateKey(Result<PrivateKey, KeyError>),
    /// Anything else, by its label.
    Other(String),
}

/// A request with what it claims about itself. The claims are for people: nothing that is signed ever comes from them.
pub struct RequestDescription {
    /// The request: a key whose holder has signed.
    pub request: SigningRequest,
    /// The subject it asks for.
    pub claimed_subject: DistinguishedName,
    /// The subject alternative names it asks for.
    pub claimed_names: Vec<SubjectAltName>,
}

impl PemFile {
    /// Reads a file. Only a file that is not PEM is an error; a block that cannot be read is an item that says so.
    pub fn read(text: &[u8]) -> Result<Self, PemError> {
        let document = pem::read(text)?;
        let items = document.blocks.iter().map(PemItem::from_block).collect();
        Ok(Self { items, has_other_text: document.has_other_text })
    }
}

impl PemItem {
    fn from_block(block: &Block) -> Self {
        match block.label.as_str() {
            pem::CERTIFICATE => Self::Certificate(Certificate::from_der(&block.der)),
            pem::CERTIFICATE_REQUEST => Self::Request(RequestDescription::from_der(&block.der)),
            pem::RSA_PRIVATE_KEY | pem::EC_PRIVATE_KEY | pem::PRIVATE_KEY | pem::ENCRYPTED_PRIVATE_KEY => {
                Self::PrivateKey(PrivateKey::from_block(block))
            }
            _ => Self::Other(block.label.clone()),
        }
    }
}

impl RequestDescription {
    fn from_der(der: &[u8]) -> Result<Self, RequestError> {
        let request = SigningRequest::from_pem(pem::write(pem::CERTIFICATE_REQUEST, der).as_bytes())?;
        let malformed = |error: der::Error| RequestError::Malformed { reason: error.to_string() };
        let structure = CertReq::from_der(der).map_err(malformed)?;
        let subject = structure.info.subject.to_der().map_err(malformed)?;
        Ok(Self {
            request,
            claimed_subject: DistinguishedName::from_der(&subject).map_err(malformed)?,
            claimed_names: claimed_names(&structure).map_err(malformed)?,
        })
    }
}

fn claimed_names(structure: &CertReq) -> der::Result<Vec<SubjectAltName>> {
    let mut names = Vec::new();
    let attributes = structure.info.attributes.iter().filter(|attribute| attribute.oid == ExtensionReq::OID);
    for value in attributes.flat_map(|attribute| attribute.values.iter()) {
        let extensions: ExtensionReq = value.decode_as()?;
        for extension in extensions.0.iter().filter(|extension| extension.extn_id == SubjectAltNames::OID) {
            let asked = SubjectAltNames::from_der(extension.extn_value.as_bytes())?;
            names.extend(asked.0.iter().map(SubjectAltName::new));
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Hosts, KeyAlgorithm, SubjectName};

    #[test]
    fn each_block_is_told_for_what_it_is() {
        let key = PrivateKey::generate(KeyAlgorithm::EcdsaP256).unwrap();
        let subject = SubjectName::intermediate("Example", "istio", "cluster-1").unwrap();
        let hosts = Hosts::parse(&["spiffe://cluster.local/ns/a/sa/b", "10.0.0.1"]).unwrap();
        let request = SigningRequest::create(&key, &subject, &hosts).unwrap();
        let broken = "-----BEGIN CERTIFICATE-----\nYWJj\n-----END CERTIFICATE-----\n";
        let other = "-----BEGIN X509 CRL-----\nYWJj\n-----END X509 CRL-----\n";
        let file =
            PemFile::read(format!("a note\n{}{request}{broken}{other}", *key.to_pem()).as_bytes()).unwrap();
        assert!(file.has_other_text);
        let [
            PemItem::PrivateKey(Ok(read)),
            PemItem::Request(Ok(described)),
            PemItem::Certificate(Err(_)),
            PemItem::Other(label),
        ] = file.items.as_slice()
        else {
            panic!("four blocks of these kinds");
        };
        assert_eq!(read.public_key(), key.public_key());
        assert_eq!(described.request.public_key(), key.public_key());
        assert_eq!(described.claimed_subject, *subject.as_distinguished_name());
        let names: Vec<_> = described.claimed_names.iter().map(ToString::to_string).collect();
        assert_eq!(names, ["spiffe://cluster.local/ns/a/sa/b", "10.0.0.1"]);
        assert_eq!(label, "X509 CRL");
    }

    #[test]
    fn what_is_not_pem_is_an_error() {
        assert!(PemFile::read(b"-----BEGIN CERTIFICATE-----\n").is_err());
        assert!(PemFile::read(b"nothing").unwrap().items.is_empty());
    }
}
