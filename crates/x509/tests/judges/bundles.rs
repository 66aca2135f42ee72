//! Trust bundles: sets of roots in bytes that must not change.

use certmesh_x509::{BundleError, Certificate, CertificateError, Fingerprint, PemError, TrustBundle};
use proptest::prelude::*;

use crate::fixture::root;

fn roots() -> [Certificate; 3] {
    static ROOTS: std::sync::LazyLock<[Certificate; 3]> =
        std::sync::LazyLock::new(|| std::array::from_fn(|_| root().certificate().clone()));
    ROOTS.clone()
}

fn bundle<'a>(certificates: impl IntoIterator<Item = &'a Certificate>) -> TrustBundle {
    TrustBundle::from_certificates(certificates.into_iter().cloned()).unwrap()
}

#[test]
fn a_bundle_that_was_read_keeps_its_bytes() {
    let [a, b, _] = roots().map(|root| root.to_pem());
    for text in [
        format!("{a}{b}{b}"),
        a.trim_end().to_owned(),
        format!("# our root\r\n\r\n{}\r\n", a.replace('\n', "\r\n")),
        format!("{a}\n\n\n{b}\n"),
    ] {
        assert_eq!(TrustBundle::from_pem(text.as_bytes()).unwrap().as_pem(), text.as_bytes());
    }
}

#[test]
fn a_doubled_root_is_the_same_set_in_other_bytes() {
    let [a, b, _] = roots();
    let doubled = TrustBundle::from_pem(Certificate::write_chain([&a, &b, &b]).as_bytes()).unwrap();
    let plain = bundle([&a, &b]);
    assert!(doubled.is_same_set(&plain) && plain.is_same_set(&doubled));
    assert_eq!(doubled.set_fingerprint(), plain.set_fingerprint());
    assert_ne!(doubled.as_pem(), plain.as_pem());
    assert_eq!((doubled.certificates().len(), doubled.fingerprints().len()), (3, 2));
    assert_eq!(bundle([&a, &b, &b]).as_pem(), doubled.as_pem());
}

#[test]
fn sets_are_compared_as_sets() {
    let [a, b, c] = roots();
    let (ab, ba, bc, abc) = (bundle([&a, &b]), bundle([&b, &a]), bundle([&b, &c]), bundle([&a, &b, &c]));
    for (left, right, same, contains) in [
        (&ab, &ba, true, true),
        (&ab, &bc, false, false),
        (&abc, &ab, false, true),
        (&ab, &abc, false, false),
    ] {
        assert_eq!(left.is_same_set(right), same);
        assert_eq!(left.contains_all(right), contains);
    }
    assert!(ab.contains(&a) && !ab.contains(&c));
}

#[test]
fn appending_keeps_the_old_bytes_in_front() {
    let [a, b, _] = roots();
    let old = TrustBundle::from_pem(a.to_pem().replace('\n', "\r\n").as_bytes()).unwrap();
    let both = old.appended([b.clone(), b.clone()]);
    assert!(both.as_pem().starts_with(old.as_pem()));
    assert!(both.is_same_set(&bundle([&a, &b])));
    assert_eq!(both.certificates().len(), 3);
    assert_eq!(TrustBundle::from_pem(both.as_pem()).unwrap().certificates(), both.certificates());

    let without_newline = TrustBundle::from_pem(a.to_pem().trim_end().as_bytes()).unwrap();
    let both = without_newline.appended([b.clone()]);
    assert_eq!(both.as_pem(), Certificate::write_chain([&a, &b]).as_bytes(), "a newline was missing between");
}

#[test]
fn what_is_no_bundle_is_refused() {
    let [a, b, _] = roots().map(|root| root.to_pem());
    let no_roots: [Certificate; 0] = [];
    assert_eq!(TrustBundle::from_certificates(no_roots).unwrap_err(), BundleError::Empty);
    let refused = |text: &str| match TrustBundle::from_pem(text.as_bytes()).unwrap_err() {
        BundleError::Certificate(CertificateError::Pem(error)) => error,
        other => panic!("{other}"),
    };
    assert_eq!(refused(""), PemError::NoBlock { expected: "CERTIFICATE" });
    assert_eq!(refused("just text"), PemError::NoBlock { expected: "CERTIFICATE" });
    let glued = format!("{}{b}", a.trim_end());
    assert_eq!(refused(&glued), PemError::Boundary { line: a.lines().count() });
    let cut = &a[..a.len() / 2];
    assert!(matches!(refused(&format!("{b}{cut}")), PemError::Unterminated { .. }));
    let key = root().key().to_pem();
    assert!(matches!(refused(&format!("{a}{}", key.as_str())), PemError::UnexpectedBlock { .. }));
}

proptest! {
    #[test]
    fn any_file_of_roots_reads_back_as_what_it_is(
        picks in prop::collection::vec(0usize..3, 1..6),
        between in prop::collection::vec(prop::sample::select(vec!["", "\n", "# text\n", "\r\n \t\r\n"]), 6),
        crlf in any::<bool>(),
    ) {
        let roots = roots();
        let parts = picks.iter().zip(&between).map(|(pick, text)| format!("{text}{}", roots[*pick].to_pem()));
        let mut text: String = parts.collect();
        if crlf {
            text = text.replace("\r\n", "\n").replace('\n', "\r\n");
        }
        let read = TrustBundle::from_pem(text.as_bytes()).unwrap();
        prop_assert_eq!(read.as_pem(), text.as_bytes());
        let expected: Vec<_> = picks.iter().map(|pick| roots[*pick].clone()).collect();
        prop_assert_eq!(read.certificates(), expected.as_slice());
        let set = expected.iter().map(Certificate::fingerprint).collect();
        prop_assert_eq!(read.fingerprints(), &set);
        prop_assert_eq!(read.set_fingerprint(), Fingerprint::of_set(set));
        prop_assert!(read.is_same_set(&bundle(&expected)));
    }

    #[test]
    fn nothing_panics(text in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = TrustBundle::from_pem(&text);
    }
}
