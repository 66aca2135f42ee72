//! One defect at a time in a chain of four, and what each judge says of it.
//!
//! ```text
//!   root ──▶ upper ──▶ target (the CA that certmesh issues or is given) ──▶ leaf
//! ```
//!
//! certmesh is asked about the target, as in production, and about the leaf; the others, which do not judge CAs, only about
//! the leaf. Where certmesh refuses what a judge accepts, it is on purpose: a chain must be good in every proxy.

use certmesh_x509::{Certificate, TrustBundle, VerificationError, verify_chain};
use rcgen::{
    BasicConstraints, CertificateParams, CidrSubnet, CustomExtension, ExtendedKeyUsagePurpose,
    GeneralSubtree, IsCa, KeyIdMethod, KeyPair, KeyUsagePurpose, NameConstraints, SanType, date_time_ymd,
};

use crate::{
    fixture::{ca_params, leaf_params, now, self_sign, sign, with_broken_signature},
    judge::Question,
};

/// A chain before it is signed, to be spoiled.
#[derive(Debug)]
pub(crate) struct Recipe {
    pub(crate) root: CertificateParams,
    pub(crate) upper: CertificateParams,
    pub(crate) target: CertificateParams,
    pub(crate) leaf: CertificateParams,
    /// Whom upper, target and leaf name as issuer, where it is not the one above.
    pub(crate) named_issuer: [Option<CertificateParams>; 3],
    /// Whether upper, target and leaf are signed by a stranger's key.
    pub(crate) wrong_key: [bool; 3],
    pub(crate) broken_signature: [bool; 3],
    pub(crate) root_is_missing: bool,
    pub(crate) upper_is_missing: bool,
    /// More certificates in the chain.
    pub(crate) decoys: Vec<Certificate>,
}

impl Recipe {
    pub(crate) fn sound() -> Self {
        Self {
            root: ca_params("root"),
            upper: ca_params("upper"),
            target: ca_params("target"),
            leaf: leaf_params("leaf"),
            named_issuer: [None, None, None],
            wrong_key: [false; 3],
            broken_signature: [false; 3],
            root_is_missing: false,
            upper_is_missing: false,
            decoys: Vec::new(),
        }
    }

    pub(crate) fn make(&self) -> Chain {
        let keys: [KeyPair; 5] = std::array::from_fn(|_| KeyPair::generate().unwrap());
        let above = [&self.root, &self.upper, &self.target];
        let make = |index: usize, params: &CertificateParams| {
            let issuer = self.named_issuer[index].as_ref().unwrap_or(above[index]);
            let issuer_key = if self.wrong_key[index] { &keys[4] } else { &keys[index] };
            let certificate = sign(params, &keys[index + 1], issuer, issuer_key);
            if self.broken_signature[index] { with_broken_signature(&certificate) } else { certificate }
        };
        let other_root = self_sign(&ca_params("another root"), &KeyPair::generate().unwrap());
        Chain {
            roots: vec![if self.root_is_missing { other_root } else { self_sign(&self.root, &keys[0]) }],
            above: if self.upper_is_missing {
                self.decoys.clone()
            } else {
                self.decoys.iter().cloned().chain([make(0, &self.upper)]).collect()
            },
            target: make(1, &self.target),
            leaf: make(2, &self.leaf),
        }
    }
}

pub(crate) struct Chain {
    pub(crate) roots: Vec<Certificate>,
    pub(crate) above: Vec<Certificate>,
    pub(crate) target: Certificate,
    pub(crate) leaf: Certificate,
}

impl Chain {
    pub(crate) fn verify_target(&self) -> Result<(), VerificationError> {
        let roots = TrustBundle::from_certificates(self.roots.clone()).unwrap();
        verify_chain(&self.target, &self.above, &roots, now()).map(drop)
    }

    pub(crate) fn verify_leaf(&self) -> Result<(), VerificationError> {
        let roots = TrustBundle::from_certificates(self.roots.clone()).unwrap();
        verify_chain(&self.leaf, &self.below_root(), &roots, now()).map(drop)
    }

    pub(crate) fn below_root(&self) -> Vec<Certificate> {
        self.above.iter().cloned().chain([self.target.clone()]).collect()
    }

    pub(crate) fn openssl(&self) -> Result<(), String> {
        let intermediates = self.below_root();
        self.question(&intermediates).openssl(&[])
    }

    pub(crate) fn webpki(&self) -> Result<(), String> {
        let intermediates = self.below_root();
        self.question(&intermediates).webpki()
    }

    fn question<'a>(&'a self, intermediates: &'a [Certificate]) -> Question<'a> {
        Question { leaf: &self.leaf, intermediates, roots: &self.roots, at: now() }
    }
}

/// The verdicts on a target, on the leaf, and the two judges' on the leaf.
struct Row {
    defect: &'static str,
    spoil: fn(&mut Recipe),
    target: Verdict,
    leaf: Verdict,
    openssl: Judgement,
    webpki: Judgement,
}

/// `Err` with the name of the [`VerificationError`] variant.
type Verdict = Result<(), &'static str>;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Judgement {
    Accepts,
    Refuses,
}
use Judgement::{Accepts, Refuses};

fn judgement<E>(result: &Result<(), E>) -> Judgement {
    if result.is_ok() { Accepts } else { Refuses }
}

fn verdict(result: &Result<(), VerificationError>) -> Result<(), String> {
    result.clone().map_err(|error| {
        assert!(error.to_string().len() > 20, "an error explains itself: {error}");
        format!("{error:?}").split([' ', '{']).next().unwrap_or_default().to_owned()
    })
}

/// Both verdicts are the same when the defect is in the target or above.
const fn row(
    defect: &'static str,
    spoil: fn(&mut Recipe),
    both: Verdict,
    openssl: Judgement,
    webpki: Judgement,
) -> Row {
    Row { defect, spoil, target: both, leaf: both, openssl, webpki }
}

const fn leaf_row(
    defect: &'static str,
    spoil: fn(&mut Recipe),
    leaf: Verdict,
    openssl: Judgement,
    webpki: Judgement,
) -> Row {
    Row { defect, spoil, target: Ok(()), leaf, openssl, webpki }
}

fn without_cert_sign(params: &mut CertificateParams) {
    params.key_usages = vec![KeyUsagePurpose::CrlSign];
}

fn expired(params: &mut CertificateParams) {
    params.not_after = date_time_ymd(2026, 5, 31);
}

fn not_yet_valid(params: &mut CertificateParams) {
    params.not_before = date_time_ymd(2026, 6, 2);
}

fn limited(params: &mut CertificateParams, path_length: u8) {
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(path_length));
}

fn with_unknown_extension(params: &mut CertificateParams, is_critical: bool) {
    let mut extension = CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 32473, 1], vec![5, 0]);
    extension.set_criticality(is_critical);
    params.custom_extensions.push(extension);
}

fn permitting(params: &mut CertificateParams, subtrees: Vec<GeneralSubtree>) {
    params.name_constraints =
        Some(NameConstraints { permitted_subtrees: subtrees, excluded_subtrees: Vec::new() });
}

fn excluding(params: &mut CertificateParams, subtrees: Vec<GeneralSubtree>) {
    params.name_constraints =
        Some(NameConstraints { permitted_subtrees: Vec::new(), excluded_subtrees: subtrees });
}

/// A permitted URI subtree `cluster.local`, which rcgen cannot write.
fn permitting_uris(params: &mut CertificateParams) {
    let base = b"cluster.local";
    let length = u8::try_from(base.len()).unwrap();
    let mut content = vec![0x30, length + 6, 0xa0, length + 4, 0x30, length + 2, 0x86, length];
    content.extend_from_slice(base);
    let mut extension = CustomExtension::from_oid_content(&[2, 5, 29, 30], content);
    extension.set_criticality(true);
    params.custom_extensions.push(extension);
}

fn named(params: &mut CertificateParams, names: &[SanType]) {
    params.subject_alt_names.extend_from_slice(names);
}

fn dns(name: &str) -> SanType {
    SanType::DnsName(name.try_into().unwrap())
}

fn dns_tree(name: &str) -> GeneralSubtree {
    GeneralSubtree::DnsName(name.to_owned())
}

#[rustfmt::skip]
const ROWS: &[Row] = &[
    row("none", |_| {}, Ok(()), Accepts, Accepts),
    // Dates.
    row("expired root", |r| expired(&mut r.root), Err("Expired"), Refuses, Accepts),
    row("expired upper", |r| expired(&mut r.upper), Err("Expired"), Refuses, Refuses),
    row("expired target", |r| expired(&mut r.target), Err("Expired"), Refuses, Refuses),
    leaf_row("expired leaf", |r| expired(&mut r.leaf), Err("Expired"), Refuses, Refuses),
    row("root not yet valid", |r| not_yet_valid(&mut r.root), Err("NotYetValid"), Refuses, Accepts),
    row("upper not yet valid", |r| not_yet_valid(&mut r.upper), Err("NotYetValid"), Refuses, Refuses),
    row("target not yet valid", |r| not_yet_valid(&mut r.target), Err("NotYetValid"), Refuses, Refuses),
    leaf_row("leaf not yet valid", |r| not_yet_valid(&mut r.leaf), Err("NotYetValid"), Refuses, Refuses),
    // Who signed it.
    row("another root", |r| r.root_is_missing = true, Err("UnknownIssuer"), Refuses, Refuses),
    row("upper is missing", |r| r.upper_is_missing = true, Err("UnknownIssuer"), Refuses, Refuses),
    row("upper names another root", |r| r.named_issuer[0] = Some(ca_params("x")), Err("UnknownIssuer"), Refuses, Refuses),
    row("target names another issuer", |r| r.named_issuer[1] = Some(ca_params("x")), Err("UnknownIssuer"), Refuses, Refuses),
    leaf_row("leaf names another issuer", |r| r.named_issuer[2] = Some(ca_params("x")), Err("UnknownIssuer"), Refuses, Refuses),
    row("upper signed by a stranger", |r| r.wrong_key[0] = true, Err("AuthorityKeyMismatch"), Refuses, Refuses),
    row("target signed by a stranger", |r| r.wrong_key[1] = true, Err("AuthorityKeyMismatch"), Refuses, Refuses),
    leaf_row("leaf signed by a stranger", |r| r.wrong_key[2] = true, Err("AuthorityKeyMismatch"), Refuses, Refuses),
    row("target signed by a stranger, without key identifier", |r| {
        r.wrong_key[1] = true;
        r.target.use_authority_key_identifier_extension = false;
    }, Err("BadSignature"), Refuses, Refuses),
    row("broken signature of upper", |r| r.broken_signature[0] = true, Err("BadSignature"), Refuses, Refuses),
    row("broken signature of target", |r| r.broken_signature[1] = true, Err("BadSignature"), Refuses, Refuses),
    leaf_row("broken signature of leaf", |r| r.broken_signature[2] = true, Err("BadSignature"), Refuses, Refuses),
    row("target without authority key identifier", |r| r.target.use_authority_key_identifier_extension = false, Ok(()), Accepts, Accepts),
    row("target names another key of upper", |r| {
        let mut other = ca_params("upper");
        other.key_identifier_method = KeyIdMethod::PreSpecified(vec![1; 20]);
        r.named_issuer[1] = Some(other);
    }, Err("AuthorityKeyMismatch"), Refuses, Accepts),
    // What a CA may do.
    row("root without basicConstraints", |r| r.root.is_ca = IsCa::NoCa, Err("IssuerNotCa"), Accepts, Accepts),
    row("root says CA:FALSE", |r| r.root.is_ca = IsCa::ExplicitNoCa, Err("IssuerNotCa"), Refuses, Accepts),
    row("upper is no CA", |r| r.upper.is_ca = IsCa::NoCa, Err("IssuerNotCa"), Refuses, Refuses),
    row("upper says CA:FALSE", |r| r.upper.is_ca = IsCa::ExplicitNoCa, Err("IssuerNotCa"), Refuses, Refuses),
    leaf_row("target is no CA", |r| {
        r.target.is_ca = IsCa::NoCa;
        r.target.key_usages.clear();
    }, Err("IssuerNotCa"), Refuses, Refuses),
    leaf_row("target says CA:FALSE", |r| {
        r.target.is_ca = IsCa::ExplicitNoCa;
        r.target.key_usages.clear();
    }, Err("IssuerNotCa"), Refuses, Refuses),
    row("root may not sign", |r| without_cert_sign(&mut r.root), Err("MayNotSign"), Refuses, Accepts),
    row("upper may not sign", |r| without_cert_sign(&mut r.upper), Err("MayNotSign"), Refuses, Accepts),
    row("target may not sign", |r| without_cert_sign(&mut r.target), Err("MayNotSign"), Refuses, Accepts),
    row("root without keyUsage", |r| r.root.key_usages.clear(), Ok(()), Accepts, Accepts),
    row("target without keyUsage", |r| r.target.key_usages.clear(), Ok(()), Accepts, Accepts),
    row("root limited to 2", |r| limited(&mut r.root, 2), Ok(()), Accepts, Accepts),
    row("root limited to 1", |r| limited(&mut r.root, 1), Err("PathLengthExceeded"), Refuses, Accepts),
    row("root limited to 0", |r| limited(&mut r.root, 0), Err("PathLengthExceeded"), Refuses, Accepts),
    row("upper limited to 1", |r| limited(&mut r.upper, 1), Ok(()), Accepts, Accepts),
    row("upper limited to 0", |r| limited(&mut r.upper, 0), Err("PathLengthExceeded"), Refuses, Refuses),
    row("target limited to 0", |r| limited(&mut r.target, 0), Ok(()), Accepts, Accepts),
    row("target for servers only", |r| r.target.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth],
        Err("ExtendedKeyUsageForbidsTls"), Refuses, Refuses),
    row("upper for code signing", |r| r.upper.extended_key_usages = vec![ExtendedKeyUsagePurpose::CodeSigning],
        Err("ExtendedKeyUsageForbidsTls"), Refuses, Refuses),
    row("root for code signing", |r| r.root.extended_key_usages = vec![ExtendedKeyUsagePurpose::CodeSigning],
        Err("ExtendedKeyUsageForbidsTls"), Refuses, Accepts),
    row("target for any usage", |r| r.target.extended_key_usages = vec![ExtendedKeyUsagePurpose::Any],
        Err("ExtendedKeyUsageForbidsTls"), Refuses, Refuses),
    row("target for servers and clients", |r| r.target.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth], Ok(()), Accepts, Accepts),
    leaf_row("leaf for clients only", |r| r.leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth],
        Err("ExtendedKeyUsageForbidsTls"), Refuses, Refuses),
    leaf_row("leaf that may not sign handshakes", |r| without_cert_sign(&mut r.leaf), Err("MayNotAuthenticate"), Refuses, Accepts),
    leaf_row("leaf without keyUsage", |r| r.leaf.key_usages.clear(), Ok(()), Accepts, Accepts),
    // Extensions nobody knows.
    row("unknown critical extension in root", |r| with_unknown_extension(&mut r.root, true), Err("UnknownCriticalExtension"), Refuses, Accepts),
    row("unknown critical extension in upper", |r| with_unknown_extension(&mut r.upper, true), Err("UnknownCriticalExtension"), Refuses, Refuses),
    row("unknown critical extension in target", |r| with_unknown_extension(&mut r.target, true), Err("UnknownCriticalExtension"), Refuses, Refuses),
    leaf_row("unknown critical extension in leaf", |r| with_unknown_extension(&mut r.leaf, true), Err("UnknownCriticalExtension"), Refuses, Refuses),
    row("unknown extension in target", |r| with_unknown_extension(&mut r.target, false), Ok(()), Accepts, Accepts),
    // Name constraints.
    row("URI constraint in root", |r| permitting_uris(&mut r.root), Err("UnusableNameConstraint"), Accepts, Refuses),
    row("URI constraint in upper", |r| permitting_uris(&mut r.upper), Err("UnusableNameConstraint"), Accepts, Refuses),
    leaf_row("URI constraint in target", |r| permitting_uris(&mut r.target), Err("UnusableNameConstraint"), Accepts, Refuses),
    row("directory constraint in upper", |r| {
        let mut name = rcgen::DistinguishedName::new();
        name.push(rcgen::DnType::CommonName, "x");
        excluding(&mut r.upper, vec![GeneralSubtree::DirectoryName(name)]);
    }, Err("UnusableNameConstraint"), Accepts, Refuses),
    row("mail constraint in root", |r| permitting(&mut r.root, vec![GeneralSubtree::Rfc822Name("example.com".into())]), Ok(()), Accepts, Accepts),
    row("DNS constraint above names of another form", |r| permitting(&mut r.root, vec![dns_tree("example.com")]), Ok(()), Accepts, Accepts),
    leaf_row("leaf inside of the root's DNS constraint", |r| {
        permitting(&mut r.root, vec![dns_tree("example.org"), dns_tree("example.com")]);
        named(&mut r.leaf, &[dns("a.example.com")]);
    }, Ok(()), Accepts, Accepts),
    leaf_row("leaf outside of the root's DNS constraint", |r| {
        permitting(&mut r.root, vec![dns_tree("example.com")]);
        named(&mut r.leaf, &[dns("a.example.com"), dns("example.org")]);
    }, Err("NameConstraintViolated"), Refuses, Refuses),
    row("target outside of the root's DNS constraint", |r| {
        permitting(&mut r.root, vec![dns_tree("example.com")]);
        named(&mut r.target, &[dns("example.org")]);
    }, Err("NameConstraintViolated"), Refuses, Refuses),
    leaf_row("leaf in upper's excluded domain", |r| {
        excluding(&mut r.upper, vec![dns_tree("example.com")]);
        named(&mut r.leaf, &[dns("a.example.com")]);
    }, Err("NameConstraintViolated"), Refuses, Refuses),
    leaf_row("leaf in upper's excluded network", |r| {
        excluding(&mut r.upper, vec![GeneralSubtree::IpAddress(CidrSubnet::from_v4_prefix([10, 0, 0, 0], 8))]);
        named(&mut r.leaf, &[SanType::IpAddress([10, 1, 2, 3].into())]);
    }, Err("NameConstraintViolated"), Refuses, Refuses),
    leaf_row("leaf in upper's permitted network", |r| {
        permitting(&mut r.upper, vec![GeneralSubtree::IpAddress(CidrSubnet::from_v4_prefix([10, 0, 0, 0], 8))]);
        named(&mut r.leaf, &[SanType::IpAddress([10, 1, 2, 3].into())]);
    }, Ok(()), Accepts, Accepts),
    leaf_row("leaf outside of upper's permitted network", |r| {
        permitting(&mut r.upper, vec![GeneralSubtree::IpAddress(CidrSubnet::from_v4_prefix([10, 0, 0, 0], 8))]);
        named(&mut r.leaf, &[SanType::IpAddress([11, 1, 2, 3].into())]);
    }, Err("NameConstraintViolated"), Refuses, Refuses),
    leaf_row("IPv6 leaf under an IPv4 constraint", |r| {
        permitting(&mut r.upper, vec![GeneralSubtree::IpAddress(CidrSubnet::from_v4_prefix([10, 0, 0, 0], 8))]);
        named(&mut r.leaf, &[SanType::IpAddress(std::net::Ipv6Addr::LOCALHOST.into())]);
    }, Err("NameConstraintViolated"), Refuses, Refuses),
    // More than one way.
    row("an expired twin of upper comes first", |r| {
        let mut params = ca_params("upper");
        expired(&mut params);
        r.decoys.push(self_sign(&params, &KeyPair::generate().unwrap()));
        r.target.use_authority_key_identifier_extension = false;
    }, Ok(()), Accepts, Accepts),
    row("a twin of upper with another key comes first", |r| {
        r.decoys.push(self_sign(&ca_params("upper"), &KeyPair::generate().unwrap()));
    }, Ok(()), Accepts, Accepts),
];

#[test]
fn each_defect_is_found_and_the_judges_agree_or_are_known_not_to() {
    let mut surprises = Vec::new();
    for row in ROWS {
        let mut recipe = Recipe::sound();
        (row.spoil)(&mut recipe);
        let chain = recipe.make();
        let (openssl, webpki) = (chain.openssl(), chain.webpki());
        let actual = (
            verdict(&chain.verify_target()),
            verdict(&chain.verify_leaf()),
            judgement(&openssl),
            judgement(&webpki),
        );
        let owned = |verdict: Verdict| verdict.map_err(str::to_owned);
        let expected = (owned(row.target), owned(row.leaf), row.openssl, row.webpki);
        if actual != expected {
            surprises.push(format!(
                "{}:\n  expected {expected:?}\n  actual   {actual:?}\n  {openssl:?}\n  {webpki:?}",
                row.defect
            ));
        }
    }
    assert!(surprises.is_empty(), "{}", surprises.join("\n"));
}
