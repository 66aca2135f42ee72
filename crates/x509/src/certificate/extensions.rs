//! The extensions of a certificate that certmesh understands (RFC 5280 section 4.2.1).

use std::fmt;

use const_oid::{AssociatedOid, ObjectIdentifier};
use der::Decode;
use x509_cert::ext::{
    self,
    pkix::{
        AuthorityKeyIdentifier, BasicConstraints, ExtendedKeyUsage, KeyUsage, NameConstraints,
        SubjectAltName as SubjectAltNames, SubjectKeyIdentifier, name::GeneralName,
    },
};

use super::CertificateError;
use crate::{host::Host, name::DistinguishedName, public_key::KeyIdentifier, serial::SerialNumber};

/// One subject alternative name of a certificate.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum SubjectAltName {
    /// A name that certmesh issues certificates for.
    Host(Host),
    /// Any other: a mail address, a URI that is no SPIFFE ID, a DNS name that RFC 1123 does not allow.
    Other(String),
}

impl SubjectAltName {
    /// The host, if it is one.
    pub fn as_host(&self) -> Option<&Host> {
        match self {
            Self::Host(host) => Some(host),
            Self::Other(_) => None,
        }
    }

    pub(crate) fn new(name: &GeneralName) -> Self {
        match Host::from_general_name(name) {
            Some(host) => Self::Host(host),
            None => Self::Other(match name {
                GeneralName::Rfc822Name(mail) => format!("email:{mail}"),
                GeneralName::DnsName(name) => format!("DNS:{name}"),
                GeneralName::UniformResourceIdentifier(uri) => format!("URI:{uri}"),
                GeneralName::DirectoryName(name) => format!("dirName:{name}"),
                GeneralName::RegisteredId(oid) => format!("RID:{oid}"),
                GeneralName::OtherName(_) => "otherName".to_owned(),
                GeneralName::EdiPartyName(_) => "ediPartyName".to_owned(),
                GeneralName::IpAddress(octets) => format!("IP of {} bytes", octets.as_bytes().len()),
            }),
        }
    }
}

impl fmt::Display for SubjectAltName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host(host) => host.fmt(f),
            Self::Other(text) => f.pad(text),
        }
    }
}

/// Whom the authorityKeyIdentifier names.
pub(crate) struct AuthorityKey {
    pub(crate) key_identifier: Option<KeyIdentifier>,
    /// The issuer's own issuer and serial number, the rarely used other way to name a certificate.
    pub(crate) issuer: Option<DistinguishedName>,
    pub(crate) serial_number: Option<SerialNumber>,
}

#[derive(Default)]
pub(crate) struct Extensions {
    pub(crate) basic_constraints: Option<BasicConstraints>,
    pub(crate) key_usage: Option<KeyUsage>,
    pub(crate) extended_key_usage: Option<Vec<ObjectIdentifier>>,
    pub(crate) subject_alt_names: Vec<SubjectAltName>,
    pub(crate) name_constraints: Option<NameConstraints>,
    pub(crate) subject_key_identifier: Option<KeyIdentifier>,
    pub(crate) authority_key: Option<AuthorityKey>,
    /// The first critical extension that is none of these.
    pub(crate) unknown_critical: Option<ObjectIdentifier>,
}

impl Extensions {
    /// From the DER SEQUENCE of extensions, if the certificate has one.
    pub(super) fn read(der: Option<&[u8]>) -> Result<Self, CertificateError> {
        let Some(der) = der else { return Ok(Self::default()) };
        let list = ext::Extensions::from_der(der).map_err(super::malformed("list of extensions"))?;
        let mut extensions = Self::default();
        for (index, extension) in list.iter().enumerate() {
            if list[..index].iter().any(|earlier| earlier.extn_id == extension.extn_id) {
                return Err(CertificateError::DuplicateExtension { oid: extension.extn_id.to_string() });
            }
            extensions.remember(extension)?;
        }
        Ok(extensions)
    }

    fn remember(&mut self, extension: &ext::Extension) -> Result<(), CertificateError> {
        let value = extension.extn_value.as_bytes();
        match extension.extn_id {
            BasicConstraints::OID => self.basic_constraints = Some(decode("basicConstraints", value)?),
            KeyUsage::OID => self.key_usage = Some(decode("keyUsage", value)?),
            ExtendedKeyUsage::OID => {
                self.extended_key_usage = Some(decode::<ExtendedKeyUsage>("extendedKeyUsage", value)?.0);
            }
            SubjectAltNames::OID => {
                let names = decode::<SubjectAltNames>("subjectAltName", value)?.0;
                self.subject_alt_names = names.iter().map(SubjectAltName::new).collect();
            }
            NameConstraints::OID => self.name_constraints = Some(decode("nameConstraints", value)?),
            SubjectKeyIdentifier::OID => {
                let identifier = decode::<SubjectKeyIdentifier>("subjectKeyIdentifier", value)?;
                self.subject_key_identifier = Some(KeyIdentifier::from_bytes(identifier.0.as_bytes()));
            }
            AuthorityKeyIdentifier::OID => {
                self.authority_key = Some(AuthorityKey::new(&decode("authorityKeyIdentifier", value)?)?);
            }
            other if extension.critical && self.unknown_critical.is_none() => {
                self.unknown_critical = Some(other);
            }
            _ => {}
        }
        Ok(())
    }
}

impl AuthorityKey {
    fn new(identifier: &AuthorityKeyIdentifier) -> Result<Self, CertificateError> {
        use der::Encode;
        let directory_name = identifier.authority_cert_issuer.iter().flatten().find_map(|name| match name {
            GeneralName::DirectoryName(name) => Some(name),
            _ => None,
        });
        let issuer = directory_name
            .map(|name| name.to_der().and_then(|der| DistinguishedName::from_der(&der)))
            .transpose()
            .map_err(super::malformed("authorityKeyIdentifier"))?;
        Ok(Self {
            key_identifier: identifier
                .key_identifier
                .as_ref()
                .map(|bytes| KeyIdentifier::from_bytes(bytes.as_bytes())),
            issuer,
            serial_number: identifier
                .authority_cert_serial_number
                .as_ref()
                .map(|serial| SerialNumber::from_integer(serial.as_bytes())),
        })
    }
}

fn decode<'a, T: Decode<'a, Error = der::Error>>(
    part: &'static str,
    value: &'a [u8],
) -> Result<T, CertificateError> {
    T::from_der(value).map_err(super::malformed(part))
}
