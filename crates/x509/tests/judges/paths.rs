//! Whole hierarchies: long ones, ambiguous ones, hostile ones, and those that people make with OpenSSL.

use certmesh_x509::{
    Certificate, PrivateKey, SigningMaterial, TrustBundle, VerificationError, VerifiedPath, verify_chain,
};
use rcgen::{GeneralSubtree, KeyPair, NameConstraints, SanType};

use crate::{
    fixture::{ca_params, leaf_params, now, self_sign, sign},
    judge::{Question, openssl},
};

/// A root with so many CAs below it, one under the other, and a leaf at the end.
fn hierarchy(cas: usize) -> (Certificate, Vec<Certificate>, Certificate) {
    let (mut issuer, mut issuer_key) = (ca_params("root"), KeyPair::generate().unwrap());
    let root = self_sign(&issuer, &issuer_key);
    let mut intermediates = Vec::new();
    for number in 0..cas {
        let (params, key) = (ca_params(&format!("ca {number}")), KeyPair::generate().unwrap());
        intermediates.push(sign(&params, &key, &issuer, &issuer_key));
        (issuer, issuer_key) = (params, key);
    }
    let leaf = sign(&leaf_params("leaf"), &KeyPair::generate().unwrap(), &issuer, &issuer_key);
    (root, intermediates, leaf)
}

fn verify(
    certificate: &Certificate,
    intermediates: &[Certificate],
    root: &Certificate,
) -> Result<VerifiedPath, VerificationError> {
    let roots = TrustBundle::from_certificates([root.clone()]).unwrap();
    verify_chain(certificate, intermediates, &roots, now())
}

#[test]
fn paths_are_as_long_as_webpki_follows_them() {
    for (cas, accepted) in [(0, true), (1, true), (6, true), (7, false)] {
        let (root, intermediates, leaf) = hierarchy(cas);
        let roots = std::slice::from_ref(&root);
        let question = Question { leaf: &leaf, intermediates: &intermediates, roots, at: now() };
        assert_eq!(question.openssl(&[]), Ok(()), "OpenSSL follows {cas}");
        assert_eq!(question.webpki().is_ok(), accepted, "webpki and {cas}");
        let last = intermediates.last().unwrap_or(&root);
        for certificate in [&leaf, last] {
            match verify(certificate, &intermediates, &root) {
                Ok(path) => {
                    assert!(accepted, "{cas}");
                    assert_eq!((path.certificate(), path.root()), (certificate, &root));
                }
                Err(error) => {
                    assert!(!accepted, "{cas}");
                    assert_eq!(error, VerificationError::PathTooLong { limit: 6 });
                }
            }
        }
    }
}

#[test]
fn the_order_of_the_chain_does_not_matter() {
    let (root, mut intermediates, leaf) = hierarchy(4);
    let path = verify(&leaf, &intermediates, &root).unwrap();
    intermediates.reverse();
    intermediates.push(root.clone());
    intermediates.push(leaf.clone());
    assert_eq!(verify(&leaf, &intermediates, &root), Ok(path));
}

#[test]
fn a_root_verifies_against_a_bundle_that_holds_it() {
    let (root, ..) = hierarchy(0);
    let path = verify(&root, &[], &root).unwrap();
    assert_eq!(path.certificates(), std::slice::from_ref(&root));
    assert_eq!(path.remaining_path_length(), None);
    let (other, ..) = hierarchy(0);
    assert_ne!(root, other);
    // The same name, another key: not that it did not sign, but that the other is not trusted.
    let expected =
        VerificationError::UntrustedRoot { subject: "CN=root".into(), fingerprint: root.fingerprint() };
    assert_eq!(verify(&root, &[], &other), Err(expected));
}

/// webpki would accept it; OpenSSL, and BoringSSL in Envoy, want to see a root.
#[test]
fn an_intermediate_in_the_bundle_is_no_root() {
    let (root, intermediates, leaf) = hierarchy(2);
    let anchor = &intermediates[0];
    let question = Question {
        leaf: &leaf,
        intermediates: &intermediates[1..],
        roots: std::slice::from_ref(anchor),
        at: now(),
    };
    assert!(question.openssl(&[]).is_err());
    assert_eq!(question.webpki(), Ok(()));
    let expected = VerificationError::RootNotSelfSigned { subject: "CN=ca 0".into() };
    assert_eq!(verify(&leaf, &intermediates[1..], anchor), Err(expected));

    // Beside its root it does no harm.
    let roots = TrustBundle::from_certificates([anchor.clone(), root.clone()]).unwrap();
    assert_eq!(verify_chain(&leaf, &intermediates[1..], &roots, now()).unwrap().root(), &root);
}

/// Istio's own roots are all named `O=cluster.local`: during a rotation two of one name are in the bundle.
#[test]
fn roots_of_the_same_name_are_told_apart() {
    for has_key_identifiers in [true, false] {
        let params = |name: &str| {
            let mut params = ca_params(name);
            params.use_authority_key_identifier_extension = has_key_identifiers;
            params
        };
        let keys = [KeyPair::generate().unwrap(), KeyPair::generate().unwrap()];
        let roots = keys.each_ref().map(|key| self_sign(&params("cluster.local"), key));
        let bundle = TrustBundle::from_certificates(roots.clone()).unwrap();
        for (key, root) in keys.iter().zip(&roots) {
            let ca = sign(&params("ca"), &KeyPair::generate().unwrap(), &params("cluster.local"), key);
            assert_eq!(verify_chain(&ca, &[], &bundle, now()).unwrap().root(), root);
        }
    }
}

/// Two CAs that certify each other have no end.
#[test]
fn circles_end() {
    let (a, b) = (ca_params("a"), ca_params("b"));
    let (a_key, b_key) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let a_by_b = sign(&a, &a_key, &b, &b_key);
    let b_by_a = sign(&b, &b_key, &a, &a_key);
    let (root, ..) = hierarchy(0);
    let error = verify(&a_by_b, &[b_by_a, a_by_b.clone()], &root).unwrap_err();
    assert!(matches!(error, VerificationError::UnknownIssuer { .. }), "{error}");
}

/// A cross-signed root: the way to the trusted one is found although another comes first.
#[test]
fn a_cross_signed_ca_leads_to_the_trusted_root() {
    let (old, new, ca) = (ca_params("old root"), ca_params("new root"), ca_params("ca"));
    let keys: [KeyPair; 3] = std::array::from_fn(|_| KeyPair::generate().unwrap());
    let new_root = self_sign(&new, &keys[1]);
    let new_by_old = sign(&new, &keys[1], &old, &keys[0]);
    let old_root = self_sign(&old, &keys[0]);
    let ca = sign(&ca, &keys[2], &new, &keys[1]);
    let chain = [new_root.clone(), new_by_old.clone()];
    let by_old = verify(&ca, &chain, &old_root).unwrap();
    assert_eq!(by_old.certificates(), [ca.clone(), new_by_old, old_root]);
    assert_eq!(verify(&ca, &chain, &new_root).unwrap().certificates(), [ca, new_root.clone()]);
}

#[test]
fn many_certificates_of_one_name_are_given_up_on() {
    let without_key_identifiers = |name: &str| {
        let mut params = ca_params(name);
        params.use_authority_key_identifier_extension = false;
        params
    };
    let decoys: Vec<_> =
        (0..101).map(|_| self_sign(&without_key_identifiers("ca"), &KeyPair::generate().unwrap())).collect();
    let (root, ..) = hierarchy(0);
    let (ca_key, key) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let target = sign(&without_key_identifiers("target"), &key, &without_key_identifiers("ca"), &ca_key);
    let error = verify(&target, &decoys, &root).unwrap_err();
    assert_eq!(error, VerificationError::TooManySignatureChecks { limit: 100 });
}

#[test]
fn long_lists_of_names_and_constraints_are_given_up_on() {
    let mut ca = ca_params("ca");
    let subtrees = (0..800).map(|number| GeneralSubtree::DnsName(format!("{number}.com"))).collect();
    ca.name_constraints =
        Some(NameConstraints { permitted_subtrees: Vec::new(), excluded_subtrees: subtrees });
    let mut leaf = leaf_params("leaf");
    leaf.subject_alt_names =
        (0..800).map(|number| SanType::DnsName(format!("{number}.org").try_into().unwrap())).collect();
    let (ca_key, key) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let (root, leaf) = (self_sign(&ca, &ca_key), sign(&leaf, &key, &ca, &ca_key));
    let error = verify(&leaf, &[], &root).unwrap_err();
    assert!(matches!(error, VerificationError::UnusableNameConstraint { .. }), "{error}");
}

/// Root and intermediate as in a hundred guides: no keyUsage in the root, authority named by issuer and serial number.
#[test]
fn a_hierarchy_made_with_openssl_is_good() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    let read = |name: &str| std::fs::read(path(name)).unwrap();
    openssl(
        &[
            "req",
            "-x509",
            "-nodes",
            "-newkey",
            "rsa:2048",
            "-days",
            "3650",
            "-subj",
            "/O=Example/CN=Root CA",
            "-keyout",
            &path("root.key"),
            "-out",
            &path("root.pem"),
        ],
        b"",
    );
    let request = openssl(
        &[
            "req",
            "-new",
            "-nodes",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-subj",
            "/O=Example/CN=Intermediate CA/L=cluster1",
            "-keyout",
            &path("ca.key"),
        ],
        b"",
    );
    let extensions = "keyUsage = critical, digitalSignature, nonRepudiation, keyEncipherment, keyCertSign\n\
         basicConstraints = critical, CA:true, pathlen:0\nsubjectKeyIdentifier = hash\n\
         authorityKeyIdentifier = keyid:always, issuer:always\n\
         subjectAltName = DNS:istiod.istio-system.svc\n";
    std::fs::write(path("extensions"), extensions).unwrap();
    let ca = openssl(
        &[
            "x509",
            "-req",
            "-sha256",
            "-days",
            "730",
            "-CA",
            &path("root.pem"),
            "-CAkey",
            &path("root.key"),
            "-CAcreateserial",
            "-extfile",
            &path("extensions"),
        ],
        request.as_bytes(),
    );
    let root = read("root.pem");
    let material = SigningMaterial::from_istio_files(
        ca.as_bytes(),
        &read("ca.key"),
        Some(&[ca.as_bytes(), &root].concat()),
        &root,
    )
    .unwrap();
    let at = material.certificate().not_before() + jiff::SignedDuration::from_hours(1);
    let found = material.verify(at).unwrap();
    assert_eq!(found.root(), &material.roots().certificates()[0]);
    assert_eq!(found.remaining_path_length(), Some(0));
    assert!(PrivateKey::from_pem(&read("root.key")).is_ok());
}
