//! Subject and issuer names (RFC 5280 section 4.1.2.4): reading anyone's, making our own.

use std::fmt;

use const_oid::db::rfc4519::{COMMON_NAME, ORGANIZATION_NAME, ORGANIZATIONAL_UNIT_NAME};
use der::{
    Decode, Encode,
    asn1::{Any, ObjectIdentifier, SetOfVec, Utf8StringRef},
};
use x509_cert::{
    attr::AttributeTypeAndValue,
    name::{Name, RdnSequence, RelativeDistinguishedName},
};

use crate::{fingerprint::Fingerprint, public_key::PublicKey};

/// A distinguished name as it stands in a certificate. Equality is that of the DER bytes, which is how Go, webpki and
/// certmesh match an issuer to a subject; `Display` is the RFC 4514 form, most specific part first.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DistinguishedName {
    der: Vec<u8>,
}

impl DistinguishedName {
    pub(crate) fn from_der(der: &[u8]) -> der::Result<Self> {
        // Its text is made when somebody asks for it: the names of attributes are looked for one by one in a long list, which
        // takes as long as reading all the rest of a certificate.
        Name::from_der(der).map(|_| Self { der: der.to_vec() })
    }

    /// The DER Name.
    pub fn as_der(&self) -> &[u8] {
        &self.der
    }

    /// Whether it has no parts at all, as workload certificates often do.
    pub fn is_empty(&self) -> bool {
        matches!(self.der.as_slice(), [0x30, 0])
    }

    fn from_attributes(attributes: &[(ObjectIdentifier, &str)]) -> der::Result<Self> {
        let mut parts = RdnSequence::default();
        for (oid, value) in attributes {
            let value = Any::encode_from(&Utf8StringRef::new(value)?)?;
            let part = SetOfVec::try_from([AttributeTypeAndValue { oid: *oid, value }])?;
            parts.push(RelativeDistinguishedName::from(part));
        }
        Self::from_der(&parts.to_der()?)
    }
}

impl fmt::Display for DistinguishedName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Name::from_der(&self.der).expect("it was read once");
        f.pad(&name.to_string())
    }
}

impl fmt::Debug for DistinguishedName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DistinguishedName({self})")
    }
}

/// `O` leaves room for ` root ` and eight digits in the 64 characters of a root's `CN`.
const MAX_ORGANIZATION: usize = 50;
/// ub-common-name and ub-organizational-unit-name, RFC 5280 appendix A.1.
const MAX_NAME: usize = 64;

/// The subject of a certificate that certmesh issues. Never empty.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SubjectName(DistinguishedName);

impl SubjectName {
    /// `O=<org>, OU=<IssuedCertificate name>, CN=<cluster>/<name>`. OU and CN are cut at 64 characters; a cut one ends in
    /// `-` and 8 hexadecimal digits of the SHA-256 of the whole, so two of them stay apart.
    pub fn intermediate(
        organization: &str,
        issued_certificate: &str,
        cluster: &str,
    ) -> Result<Self, SubjectNameError> {
        check_organization(organization)?;
        check_part("IssuedCertificate name", issued_certificate)?;
        check_part("cluster name", cluster)?;
        let unit = cut(issued_certificate);
        let common_name = cut(&format!("{cluster}/{issued_certificate}"));
        Self::new(&[
            (ORGANIZATION_NAME, organization),
            (ORGANIZATIONAL_UNIT_NAME, &unit),
            (COMMON_NAME, &common_name),
        ])
    }

    /// `O=<org>, CN=<org> root <8 hex of the key's SHA-256>`: two roots never share a name, so a proxy's list of acceptable
    /// CA names tells them apart.
    pub fn root(organization: &str, key: &PublicKey) -> Result<Self, SubjectNameError> {
        check_organization(organization)?;
        let common_name = format!("{organization} root {}", key.fingerprint().short());
        Self::new(&[(ORGANIZATION_NAME, organization), (COMMON_NAME, &common_name)])
    }

    fn new(attributes: &[(ObjectIdentifier, &str)]) -> Result<Self, SubjectNameError> {
        DistinguishedName::from_attributes(attributes).map(Self).map_err(|_| SubjectNameError::Encoding)
    }

    /// The name as it will stand in the certificate.
    pub fn as_distinguished_name(&self) -> &DistinguishedName {
        &self.0
    }
}

impl fmt::Display for SubjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

fn check_organization(organization: &str) -> Result<(), SubjectNameError> {
    check_part("organization", organization)?;
    match organization.chars().count() {
        0..=MAX_ORGANIZATION => Ok(()),
        length => Err(SubjectNameError::OrganizationTooLong { length }),
    }
}

fn check_part(part: &'static str, value: &str) -> Result<(), SubjectNameError> {
    if value.trim().is_empty() {
        return Err(SubjectNameError::Empty { part });
    }
    if value.chars().any(char::is_control) {
        Err(SubjectNameError::ControlCharacter { part })
    } else {
        Ok(())
    }
}

fn cut(name: &str) -> String {
    if name.chars().count() <= MAX_NAME {
        return name.to_owned();
    }
    let hash = Fingerprint::of(name.as_bytes()).short();
    let kept: String = name.chars().take(MAX_NAME - hash.len() - 1).collect();
    format!("{kept}-{hash}")
}

/// Why a subject cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubjectNameError {
    /// A part has nothing in it.
    #[error("the {part} is empty")]
    Empty {
        /// Which part.
        part: &'static str,
    },
    /// The organization does not fit.
    #[error("the organization has {length} characters, at most {MAX_ORGANIZATION} are allowed: shorten it")]
    OrganizationTooLong {
        /// Its length in characters.
        length: usize,
    },
    /// A part holds something that no name should.
    #[error("the {part} has a control character (such as a line break or tab): remove it")]
    ControlCharacter {
        /// Which part.
        part: &'static str,
    },
    /// DER encoding failed.
    #[error("the subject cannot be encoded")]
    Encoding,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{KeyAlgorithm, PrivateKey};

    #[test]
    fn the_subject_of_an_intermediate() {
        let subject = SubjectName::intermediate("Example, Inc.", "istio", "cluster-1").unwrap();
        assert_eq!(subject.to_string(), "CN=cluster-1/istio,OU=istio,O=Example\\, Inc.");
    }

    #[test]
    fn the_subject_of_a_root_names_its_key() {
        let key = PrivateKey::generate(KeyAlgorithm::EcdsaP256).unwrap();
        let subject = SubjectName::root("Example", key.public_key()).unwrap();
        let digits = &key.public_key().fingerprint().to_string()[..8];
        assert_eq!(subject.to_string(), format!("CN=Example root {digits},O=Example"));
        let longest = SubjectName::root(&"é".repeat(50), key.public_key()).unwrap();
        let common_name = longest.to_string().split(",O=").next().unwrap().chars().count();
        assert_eq!(common_name, "CN=".len() + 64);
    }

    #[test]
    fn long_names_are_cut_to_64_characters_and_stay_apart() {
        let (long, other) = ("a".repeat(65), format!("{}b", "a".repeat(64)));
        assert_eq!(cut(&"a".repeat(64)), "a".repeat(64));
        assert_eq!(cut(&long).len(), 64);
        assert_ne!(cut(&long), cut(&other));
        let hash = Fingerprint::of(long.as_bytes()).to_string();
        assert!(cut(&long).ends_with(&format!("-{}", &hash[..8])));
        assert_eq!(cut(&"é".repeat(65)).chars().count(), 64);
        let subject = SubjectName::intermediate("o", &long, "cluster-1").unwrap().to_string();
        assert!(subject.contains(&format!("OU={},", cut(&long))), "{subject}");
    }

    #[test]
    fn each_limit_refuses() {
        for (organization, name, cluster, expected) in [
            ("", "n", "c", SubjectNameError::Empty { part: "organization" }),
            (" ", "n", "c", SubjectNameError::Empty { part: "organization" }),
            ("o", "", "c", SubjectNameError::Empty { part: "IssuedCertificate name" }),
            ("o", "n", "", SubjectNameError::Empty { part: "cluster name" }),
            ("o\n", "n", "c", SubjectNameError::ControlCharacter { part: "organization" }),
            (&"o".repeat(51), "n", "c", SubjectNameError::OrganizationTooLong { length: 51 }),
        ] {
            assert_eq!(SubjectName::intermediate(organization, name, cluster), Err(expected));
        }
    }
}
