//! When an authority signs, and when it refuses to.

use std::time::Duration;

use certmesh_x509::{
    Certificate, CertificateAuthority, IntermediateParameters, PrivateKey, PublicKey, SigningError,
    SigningMaterial, SubjectName, SubjectNameError, TrustBundle,
};
use jiff::SignedDuration;
use rcgen::{
    BasicConstraints, CertificateParams, GeneralSubtree, IsCa, KeyIdMethod, KeyPair, NameConstraints,
};

use crate::{
    fixture::{
        DAY, ca_params, days_from_now, intermediate_parameters, leaf_parameters, new_key, now, private_key,
        root, self_sign, serial, sign,
    },
    judge::{Question, openssl},
};

/// A CA under a root, made by rcgen.
fn authority(root: &CertificateParams, ca: &CertificateParams) -> CertificateAuthority {
    let (root_key, key) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let roots = TrustBundle::from_certificates([self_sign(root, &root_key)]).unwrap();
    let certificate = sign(ca, &key, root, &root_key);
    let material = SigningMaterial::new(certificate, private_key(&key), Vec::new(), roots);
    CertificateAuthority::from_material(material, now()).unwrap()
}

fn limited(name: &str, path_length: u8) -> CertificateParams {
    let mut params = ca_params(name);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(path_length));
    params
}

fn sign_with(authority: &CertificateAuthority) -> Result<Certificate, SigningError> {
    authority.sign_intermediate(&intermediate_parameters(), new_key().public_key(), &serial(2), now())
}

#[test]
fn a_root_has_nothing_above_what_it_signs_but_itself() {
    let root = root();
    assert_eq!(root.issued_chain(), []);
    assert_eq!(root.path().certificates(), [root.certificate().clone()]);
    assert_eq!(sign_with(&root).unwrap().issuer(), root.certificate().subject());
}

#[test]
fn an_intermediate_hands_its_chain_down() {
    let authority = authority(&ca_params("root"), &limited("ca", 1));
    assert_eq!(authority.issued_chain(), [authority.certificate().clone()]);
    let key = new_key();
    let parameters = intermediate_parameters();
    let certificate = authority.sign_intermediate(&parameters, key.public_key(), &serial(2), now()).unwrap();
    let (chain, roots) = (authority.issued_chain(), authority.roots().clone());
    let material = SigningMaterial::new(certificate.clone(), key, chain, roots);
    let issued = CertificateAuthority::from_material(material, now()).unwrap();
    assert_eq!(issued.issued_chain(), [certificate, authority.certificate().clone()]);

    let leaf = issued.sign_leaf(&leaf_parameters(), new_key().public_key(), &serial(3), now()).unwrap();
    let (intermediates, roots) = (&issued.issued_chain(), issued.roots().certificates());
    let question = Question { leaf: &leaf, intermediates, roots, at: now() };
    assert_eq!(question.openssl(&["-x509_strict"]).and(question.webpki()), Ok(()));
}

#[test]
fn a_ca_that_may_sign_leaves_only_refuses_to_sign_cas() {
    for (root, ca) in [(ca_params("root"), limited("ca", 0)), (limited("root", 1), ca_params("ca"))] {
        let authority = authority(&root, &ca);
        let error = sign_with(&authority).unwrap_err();
        assert_eq!(error, SigningError::PathLengthExhausted { authority: "CN=ca".into() });
        assert!(error.to_string().contains("pathLen"), "{error}");
        assert!(authority.sign_leaf(&leaf_parameters(), new_key().public_key(), &serial(3), now()).is_ok());
    }
    assert!(sign_with(&authority(&limited("root", 2), &limited("ca", 1))).is_ok());
}

#[test]
fn an_authority_does_not_sign_outside_of_its_life() {
    let authority = authority(&ca_params("root"), &ca_params("ca"));
    let sign_at = |at| {
        authority
            .sign_intermediate(&intermediate_parameters(), new_key().public_key(), &serial(2), at)
            .map(drop)
    };
    let (start, end) = (authority.path().not_before(), authority.path().not_after());
    let second = SignedDuration::from_secs(1);
    assert_eq!(sign_at(end + second), Err(SigningError::AuthorityExpired { not_after: end }));
    assert_eq!(sign_at(start - second), Err(SigningError::AuthorityNotYetValid { not_before: start }));
    assert_eq!(sign_at(end), Err(SigningError::LifetimeTooShort));
    assert_eq!(sign_at(start), Ok(()));
    assert_eq!(sign_at(end - second), Ok(()));
}

#[test]
fn a_lifetime_of_nothing_is_refused() {
    let root = root();
    for lifetime in [Duration::ZERO, Duration::from_millis(999)] {
        let parameters = IntermediateParameters { lifetime, ..intermediate_parameters() };
        let result = root.sign_intermediate(&parameters, new_key().public_key(), &serial(2), now());
        assert_eq!(result, Err(SigningError::LifetimeTooShort));
    }
}

#[test]
fn a_subject_is_never_its_issuers() {
    let subject = intermediate_parameters().subject;
    let mut same = ca_params("x");
    same.distinguished_name = rcgen::DistinguishedName::new();
    same.distinguished_name.push(rcgen::DnType::OrganizationName, "Example");
    same.distinguished_name.push(rcgen::DnType::OrganizationalUnitName, "istio");
    same.distinguished_name.push(rcgen::DnType::CommonName, "cluster-1/istio");
    let error = sign_with(&authority(&ca_params("root"), &same)).unwrap_err();
    assert_eq!(error, SigningError::SubjectIsIssuer { subject: subject.to_string() });
}

#[test]
fn keys_that_are_not_made_are_not_signed() {
    let public = openssl(&["genpkey", "-algorithm", "ed25519"], b"");
    let public = openssl(&["pkey", "-pubout", "-outform", "PEM"], public.as_bytes());
    let (_, der) = der::pem::decode_vec(public.as_bytes()).unwrap();
    let key = PublicKey::from_spki_der(&der).unwrap();
    let result = root().sign_intermediate(&intermediate_parameters(), &key, &serial(2), now());
    assert_eq!(result, Err(SigningError::UnsupportedKey { algorithm: key.algorithm_name() }));
}

/// The verifier has the last word on what is handed out.
#[test]
fn what_would_not_verify_is_not_issued() {
    let mut constrained = ca_params("ca");
    constrained.name_constraints = Some(NameConstraints {
        permitted_subtrees: vec![GeneralSubtree::DnsName("example.com".into())],
        excluded_subtrees: Vec::new(),
    });
    let error = sign_with(&authority(&ca_params("root"), &constrained)).unwrap_err();
    assert!(matches!(error, SigningError::WouldNotVerify(_)), "{error}");
    assert!(error.to_string().contains("istiod.istio-system.svc"), "{error}");
}

/// The authority key identifier is what the signer's certificate says, however that was computed.
#[test]
fn a_foreign_key_identifier_is_taken_over() {
    let mut params = ca_params("ca");
    params.key_identifier_method = KeyIdMethod::PreSpecified(b"anything".to_vec());
    let authority = authority(&ca_params("root"), &params);
    let issued = sign_with(&authority).unwrap();
    assert_eq!(issued.authority_key_identifier().unwrap().as_bytes(), b"anything");
}

#[test]
fn a_root_refuses_what_its_name_cannot_hold() {
    let make = |organization: &str, lifetime| {
        CertificateAuthority::self_signed_root(new_key(), organization, lifetime, &serial(1), now()).map(drop)
    };
    let too_long = SubjectNameError::OrganizationTooLong { length: 51 };
    assert_eq!(make(&"o".repeat(51), DAY), Err(SigningError::Subject(too_long)));
    assert_eq!(make("Example", Duration::ZERO), Err(SigningError::LifetimeTooShort));
    assert_eq!(make(&"o".repeat(50), DAY), Ok(()));
    // Nothing ends after the year 9999.
    assert_eq!(make("Example", Duration::MAX), Ok(()));
}

#[test]
fn two_roots_never_share_a_name() {
    assert_ne!(root().certificate().subject(), root().certificate().subject());
}

#[test]
fn the_trust_fingerprint_follows_chain_and_root_set_but_not_bytes() {
    let root_a = root();
    let root_b = root();
    let with_roots = |authority: &CertificateAuthority, roots: &[&CertificateAuthority]| {
        let roots =
            TrustBundle::from_certificates(roots.iter().map(|root| root.certificate().clone())).unwrap();
        let key: PrivateKey = authority.key().clone();
        let material = SigningMaterial::new(authority.certificate().clone(), key, Vec::new(), roots);
        CertificateAuthority::from_material(material, now()).unwrap().trust_fingerprint()
    };
    let a = root_a.trust_fingerprint();
    assert_eq!(with_roots(&root_a, &[&root_a]), a);
    assert_eq!(with_roots(&root_a, &[&root_a, &root_a]), a, "a doubled root is the same set");
    let both = with_roots(&root_a, &[&root_a, &root_b]);
    assert_eq!(both, with_roots(&root_a, &[&root_b, &root_a]));
    let other_signer = with_roots(&root_b, &[&root_a, &root_b]);
    assert!(a != both && both != other_signer);
}

#[test]
fn a_certificate_of_a_long_name_verifies() {
    let (long, root) = ("n".repeat(253), root());
    let subject = SubjectName::intermediate(&"o".repeat(50), &long, &"c".repeat(63)).unwrap();
    let parameters = IntermediateParameters { subject, ..intermediate_parameters() };
    let issued = root.sign_intermediate(&parameters, new_key().public_key(), &serial(2), now()).unwrap();
    assert_eq!(issued.not_after(), days_from_now(365));
    openssl(&["x509", "-noout", "-subject"], issued.to_pem().as_bytes());
}
