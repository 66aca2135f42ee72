//! What Secrets hold: their keys, and how to read them as bytes. What the bytes mean is `certmesh_x509`'s.

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;

/// Key of the pending private key.
pub const PRIVATE_KEY: &str = "private-key";
/// Key of the kubeconfig in a registration Secret.
pub const KUBECONFIG: &str = "kubeconfig";

/// The certificate alone (Istio's `cacerts`).
pub const CA_CERT: &str = "ca-cert.pem";
/// The private key (Istio's `cacerts`).
pub const CA_KEY: &str = "ca-key.pem";
/// The certificate and everything above it up to but not including the root (Istio's `cacerts`).
pub const CERT_CHAIN: &str = "cert-chain.pem";
/// The roots to trust (Istio's `cacerts`).
pub const ROOT_CERT: &str = "root-cert.pem";
/// The private key of the old signing CA layout (`root-cert.pem` + `key.pem`).
pub const OLD_CA_KEY: &str = "key.pem";
/// `kubernetes.io/tls`: certificate, then its chain.
pub const TLS_CERT: &str = "tls.crt";
/// `kubernetes.io/tls`: private key.
pub const TLS_KEY: &str = "tls.key";
/// `kubernetes.io/tls`, as cert-manager fills it: the roots.
pub const TLS_CA: &str = "ca.crt";
/// istiod's marker of a Secret that it made itself.
pub const ISTIO_GENERATED: &str = "istio-generated";

/// The bytes under `key`, if any.
pub fn data<'a>(secret: &'a Secret, key: &str) -> Option<&'a [u8]> {
    secret.data.as_ref()?.get(key).map(|ByteString(bytes)| bytes.as_slice())
}

/// The four files of Istio's `cacerts`, all present.
#[derive(Clone, Copy)]
pub struct CaCerts<'a> {
    /// `ca-cert.pem`.
    pub certificate: &'a [u8],
    /// `ca-key.pem`.
    pub key: &'a [u8],
    /// `cert-chain.pem`.
    pub chain: &'a [u8],
    /// `root-cert.pem`.
    pub roots: &'a [u8],
}

impl<'a> CaCerts<'a> {
    /// The four files, or the name of the first that is missing or empty.
    pub fn from_secret(secret: &'a Secret) -> Result<Self, MissingKey> {
        Ok(Self {
            certificate: required(secret, CA_CERT)?,
            key: required(secret, CA_KEY)?,
            chain: required(secret, CERT_CHAIN)?,
            roots: required(secret, ROOT_CERT)?,
        })
    }
}

/// How a signing CA's Secret names its files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SigningCaLayout {
    /// Istio's `cacerts`: `ca-cert.pem`, `ca-key.pem`, `cert-chain.pem`, `root-cert.pem`.
    Istio,
    /// `kubernetes.io/tls`: `tls.crt`, `tls.key`, `ca.crt`.
    Tls,
    /// The old one: `root-cert.pem` and `key.pem`.
    OldRoot,
}

/// A signing CA's files, whichever of the three layouts they came in.
#[derive(Clone, Copy)]
pub struct SigningCa<'a> {
    /// The layout.
    pub layout: SigningCaLayout,
    /// The CA's certificate; further certificates may follow it in `tls.crt`.
    pub certificate: &'a [u8],
    /// Its private key.
    pub key: &'a [u8],
    /// The certificate and what is above it; absent where the layout has no such file.
    pub chain: Option<&'a [u8]>,
    /// The roots to trust; absent when the CA is its own root.
    pub roots: Option<&'a [u8]>,
}

impl<'a> SigningCa<'a> {
    /// Reads the layout that the Secret's keys tell: Istio's `cacerts`, else the old `root-cert.pem` + `key.pem`, else
    /// `kubernetes.io/tls`. A Secret of no known layout is reported as an incomplete `cacerts`.
    pub fn from_secret(secret: &'a Secret) -> Result<Self, MissingKey> {
        let has = |key| data(secret, key).is_some();
        if has(CA_CERT) || has(CA_KEY) {
            Self::from_cacerts(secret)
        } else if has(OLD_CA_KEY) {
            Self::from_old_layout(secret)
        } else if has(TLS_CERT) || has(TLS_KEY) {
            Self::from_tls(secret)
        } else {
            Err(MissingKey(CA_CERT))
        }
    }

    fn from_cacerts(secret: &'a Secret) -> Result<Self, MissingKey> {
        Ok(Self {
            layout: SigningCaLayout::Istio,
            certificate: required(secret, CA_CERT)?,
            key: required(secret, CA_KEY)?,
            chain: optional(secret, CERT_CHAIN),
            roots: Some(required(secret, ROOT_CERT)?),
        })
    }

    fn from_old_layout(secret: &'a Secret) -> Result<Self, MissingKey> {
        let root = required(secret, ROOT_CERT)?;
        let key = required(secret, OLD_CA_KEY)?;
        Ok(Self { layout: SigningCaLayout::OldRoot, certificate: root, key, chain: None, roots: Some(root) })
    }

    fn from_tls(secret: &'a Secret) -> Result<Self, MissingKey> {
        Ok(Self {
            layout: SigningCaLayout::Tls,
            certificate: required(secret, TLS_CERT)?,
            key: required(secret, TLS_KEY)?,
            chain: None,
            roots: optional(secret, TLS_CA),
        })
    }
}

/// A key that a Secret should have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("key {0:?} is missing or empty")]
pub struct MissingKey(pub &'static str);

fn required<'a>(secret: &'a Secret, key: &'static str) -> Result<&'a [u8], MissingKey> {
    optional(secret, key).ok_or(MissingKey(key))
}

fn optional<'a>(secret: &'a Secret, key: &str) -> Option<&'a [u8]> {
    data(secret, key).filter(|bytes| !bytes.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A Secret whose values are the names of their keys.
    fn secret(keys: &[&str]) -> Secret {
        let data = keys.iter().map(|key| ((*key).to_owned(), ByteString(key.as_bytes().to_vec()))).collect();
        Secret { data: Some(data), ..Secret::default() }
    }

    #[test]
    fn an_issued_secret_has_four_files_and_the_first_missing_one_is_named() {
        let all = [CA_CERT, CA_KEY, CERT_CHAIN, ROOT_CERT];
        let whole = secret(&all);
        let files = CaCerts::from_secret(&whole).ok().unwrap();
        assert_eq!([files.certificate, files.key, files.chain, files.roots], all.map(str::as_bytes));
        for missing in all {
            let keys: Vec<_> = all.into_iter().filter(|key| *key != missing).collect();
            assert_eq!(CaCerts::from_secret(&secret(&keys)).err(), Some(MissingKey(missing)));
        }
        assert_eq!(CaCerts::from_secret(&Secret::default()).err(), Some(MissingKey(CA_CERT)));
    }

    #[test]
    fn an_empty_file_is_a_missing_one() {
        let mut secret = secret(&[CA_CERT, CA_KEY, CERT_CHAIN, ROOT_CERT]);
        secret.data.as_mut().unwrap().insert(CERT_CHAIN.to_owned(), ByteString(Vec::new()));
        assert_eq!(CaCerts::from_secret(&secret).err(), Some(MissingKey(CERT_CHAIN)));
    }

    #[test]
    fn a_signing_ca_is_read_from_each_layout() {
        // Keys of the Secret; then which of them are certificate, key, chain and roots.
        type Row =
            (&'static [&'static str], &'static str, &'static str, Option<&'static str>, Option<&'static str>);
        let table: [Row; 7] = [
            (&[CA_CERT, CA_KEY, CERT_CHAIN, ROOT_CERT], CA_CERT, CA_KEY, Some(CERT_CHAIN), Some(ROOT_CERT)),
            (&[CA_CERT, CA_KEY, ROOT_CERT], CA_CERT, CA_KEY, None, Some(ROOT_CERT)),
            (&[ROOT_CERT, OLD_CA_KEY], ROOT_CERT, OLD_CA_KEY, None, Some(ROOT_CERT)),
            (&[TLS_CERT, TLS_KEY, TLS_CA], TLS_CERT, TLS_KEY, None, Some(TLS_CA)),
            (&[TLS_CERT, TLS_KEY], TLS_CERT, TLS_KEY, None, None),
            // The first layout in the list wins over a later one in the same Secret.
            (
                &[CA_CERT, CA_KEY, ROOT_CERT, OLD_CA_KEY, TLS_CERT, TLS_KEY],
                CA_CERT,
                CA_KEY,
                None,
                Some(ROOT_CERT),
            ),
            (&[ROOT_CERT, OLD_CA_KEY, TLS_CERT, TLS_KEY], ROOT_CERT, OLD_CA_KEY, None, Some(ROOT_CERT)),
        ];
        for (keys, certificate, key, chain, roots) in table {
            let secret = secret(keys);
            let ca = SigningCa::from_secret(&secret).unwrap_or_else(|error| panic!("{keys:?}: {error}"));
            assert_eq!((ca.certificate, ca.key), (certificate.as_bytes(), key.as_bytes()), "{keys:?}");
            assert_eq!(
                (ca.chain, ca.roots),
                (chain.map(str::as_bytes), roots.map(str::as_bytes)),
                "{keys:?}"
            );
        }
    }

    #[test]
    fn what_a_layout_lacks_is_named() {
        let table: [(&[&str], &str); 9] = [
            (&[], CA_CERT),
            (&[ROOT_CERT], CA_CERT),
            (&[CA_CERT], CA_KEY),
            (&[CA_KEY], CA_CERT),
            (&[CA_CERT, CA_KEY], ROOT_CERT),
            (&[OLD_CA_KEY], ROOT_CERT),
            (&[TLS_CERT], TLS_KEY),
            (&[TLS_KEY, TLS_CA], TLS_CERT),
            (&[CA_CERT, TLS_CERT, TLS_KEY], CA_KEY),
        ];
        for (keys, missing) in table {
            let error = SigningCa::from_secret(&secret(keys)).err().unwrap();
            assert_eq!(error.to_string(), format!("key {missing:?} is missing or empty"), "{keys:?}");
        }
    }
}
