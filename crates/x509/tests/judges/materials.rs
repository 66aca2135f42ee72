//! The files of a CA: every layout, and every way in which they do not belong together.

use certmesh_x509::{
    Certificate, CertificateAuthority, IssuedMaterial, MaterialError, PrivateKey, SigningMaterial,
    TrustBundle, VerificationError,
};
use rcgen::{CertificateParams, IsCa, KeyPair, KeyUsagePurpose};

use crate::fixture::{
    ca_params, days_from_now, intermediate_parameters, new_key, now, private_key, root, self_sign, serial,
    sign,
};

/// `root ──▶ upper ──▶ ca`, with the CA's key.
struct Family {
    root: Certificate,
    upper: Certificate,
    ca: Certificate,
    key: PrivateKey,
}

impl Family {
    fn new() -> Self {
        Self::with(&ca_params("ca"))
    }

    fn with(ca: &CertificateParams) -> Self {
        let keys: [KeyPair; 3] = std::array::from_fn(|_| KeyPair::generate().unwrap());
        let (root, upper) = (ca_params("root"), ca_params("upper"));
        Self {
            root: self_sign(&root, &keys[0]),
            upper: sign(&upper, &keys[1], &root, &keys[0]),
            ca: sign(ca, &keys[2], &upper, &keys[1]),
            key: private_key(&keys[2]),
        }
    }

    fn istio(&self, chain: &[&Certificate]) -> Result<IssuedMaterial, MaterialError> {
        let chain = Certificate::write_chain(chain.iter().copied());
        IssuedMaterial::from_files(
            self.ca.to_pem().as_bytes(),
            self.key.to_pem().as_bytes(),
            chain.as_bytes(),
            self.root.to_pem().as_bytes(),
        )
    }
}

#[test]
fn each_layout_is_read() {
    let Family { root, upper, ca, key } = &Family::new();
    let (root_pem, key_pem) = (root.to_pem(), key.to_pem());
    let chain = Certificate::write_chain([ca, upper]);
    let expected = [ca.clone(), upper.clone()];
    for material in [
        SigningMaterial::from_istio_files(
            ca.to_pem().as_bytes(),
            key_pem.as_bytes(),
            Some(chain.as_bytes()),
            root_pem.as_bytes(),
        ),
        SigningMaterial::from_tls_files(chain.as_bytes(), key_pem.as_bytes(), root_pem.as_bytes()),
    ] {
        let authority = CertificateAuthority::from_material(material.unwrap(), now()).unwrap();
        assert_eq!(authority.issued_chain(), expected);
        assert_eq!(authority.roots().as_pem(), root_pem.as_bytes());
    }

    let generated = crate::fixture::root();
    let (root_pem, key_pem) = (generated.certificate().to_pem(), generated.key().to_pem());
    for material in [
        SigningMaterial::from_root_files(root_pem.as_bytes(), key_pem.as_bytes()),
        SigningMaterial::from_istio_files(root_pem.as_bytes(), key_pem.as_bytes(), None, root_pem.as_bytes()),
        SigningMaterial::from_tls_files(root_pem.as_bytes(), key_pem.as_bytes(), root_pem.as_bytes()),
    ] {
        let authority = CertificateAuthority::from_material(material.unwrap(), now()).unwrap();
        assert_eq!(authority.issued_chain(), []);
        assert_eq!(authority.certificate(), generated.certificate());
    }
}

/// Chain files in the field start with the certificate or not, end with the root or not, and may be out of order.
#[test]
fn a_chain_file_may_hold_more_than_the_chain() {
    let family = Family::new();
    let Family { root, upper, ca, .. } = &family;
    let stranger = self_sign(&ca_params("stranger"), &KeyPair::generate().unwrap());
    for chain in [
        vec![ca, upper],
        vec![ca, upper, root],
        vec![ca, root, upper],
        vec![ca, &stranger, upper],
        vec![ca, ca, upper, upper],
    ] {
        let material = family.istio(&chain).unwrap();
        let path = material.verify(now()).unwrap();
        assert_eq!(path.certificates(), [ca.clone(), upper.clone(), root.clone()]);
        assert!(!material.chain().contains(root) && !material.chain().contains(ca));
    }
    assert_eq!(family.istio(&[upper]).unwrap().verify(now()), Err(MaterialError::ChainLacksCertificate));
}

#[test]
fn each_way_of_not_belonging_together_is_named() {
    let family = Family::new();
    let Family { root, upper, ca, key } = &family;
    let roots = TrustBundle::from_certificates([root.clone()]).unwrap();
    let with = |certificate: &Certificate, key: &PrivateKey, chain: &[&Certificate], roots: &TrustBundle| {
        let chain = chain.iter().map(|certificate| (*certificate).clone()).collect();
        SigningMaterial::new(certificate.clone(), key.clone(), chain, roots.clone()).verify(now()).map(drop)
    };
    assert_eq!(with(ca, key, &[upper], &roots), Ok(()));

    let other = new_key();
    let expected =
        MaterialError::KeyMismatch { certificate: "CN=ca".into(), key: other.public_key().fingerprint() };
    assert_eq!(with(ca, &other, &[upper], &roots), Err(expected));

    let error = with(ca, key, &[], &roots).unwrap_err();
    assert!(matches!(error, MaterialError::Chain(VerificationError::UnknownIssuer { .. })), "{error}");

    let other_roots = crate::fixture::root().roots().clone();
    let error = with(ca, key, &[upper, root], &other_roots).unwrap_err();
    assert!(matches!(error, MaterialError::Chain(VerificationError::UntrustedRoot { .. })), "{error}");

    let verify_at = |at| family.istio(&[ca, upper]).unwrap().verify(at).map(drop).unwrap_err();
    let error = verify_at(days_from_now(365));
    assert!(matches!(error, MaterialError::Chain(VerificationError::Expired { .. })), "{error}");
    let error = verify_at(days_from_now(-365));
    assert!(matches!(error, MaterialError::Chain(VerificationError::NotYetValid { .. })), "{error}");
}

#[test]
fn a_certificate_that_may_not_sign_is_no_ca() {
    let mut leaf = ca_params("ca");
    leaf.is_ca = IsCa::NoCa;
    let family = Family::with(&leaf);
    let error = family.istio(&[&family.ca, &family.upper]).unwrap().verify(now()).unwrap_err();
    assert_eq!(error, MaterialError::NotACertificateAuthority { certificate: "CN=ca".into() });

    let mut mute = ca_params("ca");
    mute.key_usages = vec![KeyUsagePurpose::CrlSign];
    let family = Family::with(&mute);
    let error = family.istio(&[&family.ca, &family.upper]).unwrap().verify(now()).unwrap_err();
    assert_eq!(error, MaterialError::MayNotSign { certificate: "CN=ca".into() });
}

#[test]
fn an_unreadable_file_is_named() {
    let Family { root, upper, ca, key } = &Family::new();
    let chain = Certificate::write_chain([ca, upper]);
    let good = [ca.to_pem(), key.to_pem().to_string(), chain, root.to_pem()];
    for (index, file) in ["ca-cert.pem", "ca-key.pem", "cert-chain.pem", "root-cert.pem"].iter().enumerate() {
        let mut files = good.clone();
        files[index] = "nothing".into();
        let [cert, key, chain, roots] = files.each_ref().map(String::as_bytes);
        let error = IssuedMaterial::from_files(cert, key, chain, roots).err().expect("it is refused");
        assert!(error.to_string().starts_with(file), "{file}: {error}");
    }
}

/// What the agent writes is what it and others read again.
#[test]
fn an_issued_secret_reads_back() {
    let root = root();
    let key = new_key();
    let parameters = intermediate_parameters();
    let certificate = root.sign_intermediate(&parameters, key.public_key(), &serial(2), now()).unwrap();
    let old_bytes = format!("# kept\r\n{}", root.certificate().to_pem());
    let roots = TrustBundle::from_pem(old_bytes.as_bytes()).unwrap();
    let written = IssuedMaterial::new(certificate.clone(), key, root.issued_chain(), roots);
    assert_eq!(written.chain_pem(), written.certificate_pem(), "nothing stands between it and its root");
    assert_eq!(written.roots_pem(), old_bytes.as_bytes());
    let read = IssuedMaterial::from_files(
        written.certificate_pem().as_bytes(),
        written.key_pem().as_bytes(),
        written.chain_pem().as_bytes(),
        written.roots_pem(),
    )
    .unwrap();
    assert_eq!(read.verify(now()).unwrap(), written.verify(now()).unwrap());
    assert_eq!(read.certificate(), &certificate);
    assert_eq!(read.key().public_key(), certificate.public_key());
}

#[test]
fn a_verified_path_knows_how_long_it_holds() {
    let family = Family::new();
    let path = family.istio(&[&family.ca, &family.upper]).unwrap().verify(now()).unwrap();
    assert_eq!(path.not_before(), "2026-01-01T00:00:00Z".parse().unwrap());
    assert_eq!(path.not_after(), "2027-01-01T00:00:00Z".parse().unwrap());
    let second = jiff::SignedDuration::from_secs(1);
    for (at, expected) in [
        (path.not_before(), true),
        (path.not_after(), true),
        (path.not_before() - second, false),
        (path.not_after() + second, false),
    ] {
        assert_eq!(path.is_valid_at(at), expected);
        let again = family.istio(&[&family.ca, &family.upper]).unwrap().verify(at);
        assert_eq!(again.is_ok(), expected, "the cheap answer is the expensive one's");
    }
    assert_eq!((path.certificate(), path.root()), (&family.ca, &family.root));
    assert_eq!(path.without_root(), [family.ca.clone(), family.upper.clone()]);
}
