//! Private keys in the forms that people have, and the forms that OpenSSL (so istiod and Envoy) must read.

use certmesh_x509::{KeyAlgorithm, KeyError, PemError, PrivateKey};

use crate::{fixture::key, judge::openssl};

fn expect_error(pem: &[u8]) -> KeyError {
    match PrivateKey::from_pem(pem) {
        Ok(_) => panic!("the key was accepted"),
        Err(error) => error,
    }
}

#[test]
fn openssl_reads_every_key_and_finds_it_consistent() {
    for (algorithm, label, size) in [
        (KeyAlgorithm::Rsa2048, "RSA", "Private-Key: (2048 bit, 2 primes)"),
        (KeyAlgorithm::Rsa3072, "RSA", "Private-Key: (3072 bit, 2 primes)"),
        (KeyAlgorithm::Rsa4096, "RSA", "Private-Key: (4096 bit, 2 primes)"),
        (KeyAlgorithm::EcdsaP256, "EC", "NIST CURVE: P-256"),
        (KeyAlgorithm::EcdsaP384, "EC", "NIST CURVE: P-384"),
    ] {
        let key = key(algorithm, 0);
        assert_eq!(key.algorithm(), algorithm);
        let pem = key.to_pem();
        assert!(pem.starts_with(&format!("-----BEGIN {label} PRIVATE KEY-----\n")), "{algorithm}");
        assert!(pem.ends_with(&format!("-----END {label} PRIVATE KEY-----\n")), "{algorithm}");
        let text = openssl(&["pkey", "-check", "-noout", "-text"], pem.as_bytes());
        assert!(text.contains("Key is valid") && text.contains(size), "{algorithm}");
        let public = openssl(&["pkey", "-pubout"], pem.as_bytes());
        let ours =
            der::pem::encode_string("PUBLIC KEY", der::pem::LineEnding::LF, key.public_key().as_spki_der());
        assert_eq!(public, ours.unwrap());
    }
}

#[test]
fn every_key_reads_back_in_each_of_openssls_forms() {
    for algorithm in KeyAlgorithm::ALL {
        let key = key(algorithm, 0);
        let pem = key.to_pem();
        let pkcs8 = openssl(&["pkcs8", "-topk8", "-nocrypt"], pem.as_bytes());
        assert!(pkcs8.starts_with("-----BEGIN PRIVATE KEY-----"));
        let traditional = openssl(&["pkey", "-traditional"], pkcs8.as_bytes());
        for form in [pem.as_str(), &pkcs8, &traditional, &pem.replace('\n', "\r\n")] {
            let read = PrivateKey::from_pem(form.as_bytes()).unwrap();
            assert_eq!(read.public_key(), key.public_key());
            assert_eq!(read.to_pem().as_str(), pem.as_str());
        }
    }
}

#[test]
fn what_ecparam_writes_is_read() {
    for (curve, algorithm) in
        [("prime256v1", KeyAlgorithm::EcdsaP256), ("secp384r1", KeyAlgorithm::EcdsaP384)]
    {
        let pem = openssl(&["ecparam", "-genkey", "-name", curve], b"");
        assert!(pem.contains("EC PARAMETERS"));
        assert_eq!(PrivateKey::from_pem(pem.as_bytes()).unwrap().algorithm(), algorithm);
        let without_public_key = openssl(&["ec", "-no_public"], pem.as_bytes());
        let read = PrivateKey::from_pem(without_public_key.as_bytes()).unwrap();
        assert_eq!(read.public_key(), PrivateKey::from_pem(pem.as_bytes()).unwrap().public_key());
    }
}

#[test]
fn kinds_that_are_not_used_are_refused_by_name() {
    for (arguments, named) in [
        (&["genpkey", "-algorithm", "ed25519"][..], "Ed25519"),
        (&["genpkey", "-algorithm", "rsa", "-pkeyopt", "rsa_keygen_bits:1024"], "RSA-1024"),
        (&["genpkey", "-algorithm", "ec", "-pkeyopt", "ec_paramgen_curve:P-521"], "1.3.132.0.35"),
        (&["ecparam", "-genkey", "-name", "secp256k1"], "1.3.132.0.10"),
    ] {
        let pem = openssl(arguments, b"");
        let error = expect_error(pem.as_bytes());
        assert!(matches!(error, KeyError::Unsupported { .. }), "{error}");
        assert!(error.to_string().to_lowercase().contains(&named.to_lowercase()), "{error}");
    }
}

#[test]
fn encrypted_keys_are_refused_with_what_to_do() {
    let pem = key(KeyAlgorithm::Rsa2048, 0).to_pem();
    let pkcs8 = openssl(&["pkcs8", "-topk8", "-passout", "pass:x"], pem.as_bytes());
    assert_eq!(expect_error(pkcs8.as_bytes()), KeyError::Encrypted);
    let old = openssl(&["rsa", "-traditional", "-aes128", "-passout", "pass:x"], pem.as_bytes());
    let error = expect_error(old.as_bytes());
    assert!(matches!(error, KeyError::Pem(PemError::Headers { .. })), "{error}");
    assert!(error.to_string().contains("decrypt"), "{error}");
}

#[test]
fn files_that_hold_no_single_key_are_refused() {
    let pem = key(KeyAlgorithm::EcdsaP256, 0).to_pem();
    assert_eq!(expect_error(b""), KeyError::NotOneKey { found: 0 });
    assert_eq!(expect_error([pem.as_str(), &pem].concat().as_bytes()), KeyError::NotOneKey { found: 2 });
    let public = openssl(&["pkey", "-pubout"], pem.as_bytes());
    assert_eq!(expect_error(public.as_bytes()), KeyError::NotAPrivateKey { label: "PUBLIC KEY".into() });
    let cut = &pem[..pem.len() - 10];
    assert!(matches!(expect_error(cut.as_bytes()), KeyError::Pem(_)));
}

/// A key whose numbers do not belong together must not sign anything.
#[test]
fn inconsistent_keys_are_refused() {
    for algorithm in [KeyAlgorithm::Rsa2048, KeyAlgorithm::EcdsaP256, KeyAlgorithm::EcdsaP384] {
        let pem = key(algorithm, 0).to_pem();
        let (label, der) = der::pem::decode_vec(pem.as_bytes()).unwrap();
        let mut refused = 0;
        let positions: Vec<_> = (0..der.len()).step_by(der.len() / 40 + 1).collect();
        for position in &positions {
            let mut der = der.clone();
            der[*position] ^= 1;
            let pem = der::pem::encode_string(label, der::pem::LineEnding::LF, &der).unwrap();
            match PrivateKey::from_pem(pem.as_bytes()) {
                Err(_) => refused += 1,
                // Only what does not change the key, such as a tag that is not looked at, may pass.
                Ok(read) => assert_eq!(read.public_key(), key(algorithm, 0).public_key(), "byte {position}"),
            }
        }
        assert!(refused * 10 >= positions.len() * 8, "{algorithm}: {refused} of {}", positions.len());
    }
}

#[test]
fn the_wrong_label_is_refused() {
    let rsa = key(KeyAlgorithm::Rsa2048, 0).to_pem().replace("RSA PRIVATE", "EC PRIVATE");
    assert!(matches!(expect_error(rsa.as_bytes()), KeyError::Malformed { .. }));
    let ec = key(KeyAlgorithm::EcdsaP256, 0).to_pem().replace("EC PRIVATE", "PRIVATE");
    assert!(matches!(expect_error(ec.as_bytes()), KeyError::Malformed { .. }));
}

#[test]
fn public_keys_are_compared_and_fingerprinted_by_their_der() {
    let (a, b) = (key(KeyAlgorithm::EcdsaP256, 0), key(KeyAlgorithm::EcdsaP256, 1));
    assert_ne!(a.public_key(), b.public_key());
    let digest = openssl(&["dgst", "-sha256", "-r"], a.public_key().as_spki_der());
    assert_eq!(digest.split(' ').next(), Some(a.public_key().fingerprint().to_string().as_str()));
}
