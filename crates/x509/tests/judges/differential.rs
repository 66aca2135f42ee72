//! Random combinations of properties: what certmesh finds good must be good to every judge, and what every judge finds
//! good is refused only for a reason that is stricter on purpose.

use certmesh_x509::VerificationError;
use proptest::{prelude::*, test_runner::Config};
use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, GeneralSubtree, IsCa, KeyUsagePurpose,
    NameConstraints, SanType, date_time_ymd,
};

use crate::verifying::Recipe;

/// A change to one certificate.
#[derive(Clone, Copy, Debug)]
enum Change {
    Nothing,
    PathLength(u8),
    NoCa,
    ForHandshakesOnly,
    ForRevocationOnly,
    NoKeyUsage,
    Expired,
    NoAuthorityKey,
    ForClientsOnly,
    ForServersAndClients,
    ConstrainedToExampleCom,
    NamedExampleCom,
    NamedExampleOrg,
}

impl Change {
    fn apply(self, params: &mut CertificateParams) {
        let dns = |name: &str| SanType::DnsName(name.try_into().unwrap());
        match self {
            Self::Nothing => {}
            Self::PathLength(limit) => params.is_ca = IsCa::Ca(BasicConstraints::Constrained(limit)),
            Self::NoCa => params.is_ca = IsCa::NoCa,
            Self::ForHandshakesOnly => params.key_usages = vec![KeyUsagePurpose::DigitalSignature],
            Self::ForRevocationOnly => params.key_usages = vec![KeyUsagePurpose::CrlSign],
            Self::NoKeyUsage => params.key_usages.clear(),
            Self::Expired => params.not_after = date_time_ymd(2026, 5, 1),
            Self::NoAuthorityKey => params.use_authority_key_identifier_extension = false,
            Self::ForClientsOnly => params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth],
            Self::ForServersAndClients => {
                params.extended_key_usages =
                    vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
            }
            Self::ConstrainedToExampleCom => {
                params.name_constraints = Some(NameConstraints {
                    permitted_subtrees: vec![GeneralSubtree::DnsName("example.com".into())],
                    excluded_subtrees: Vec::new(),
                });
            }
            Self::NamedExampleCom => params.subject_alt_names.push(dns("a.example.com")),
            Self::NamedExampleOrg => params.subject_alt_names.push(dns("b.example.org")),
        }
    }
}

/// Harmless changes are the likelier ones, or nearly every chain would be refused at once.
fn changes() -> impl Strategy<Value = Change> {
    prop_oneof![
        14 => Just(Change::Nothing),
        3 => (0u8..3).prop_map(Change::PathLength),
        1 => Just(Change::NoCa),
        1 => Just(Change::ForHandshakesOnly),
        1 => Just(Change::ForRevocationOnly),
        1 => Just(Change::NoKeyUsage),
        1 => Just(Change::Expired),
        2 => Just(Change::NoAuthorityKey),
        1 => Just(Change::ForClientsOnly),
        2 => Just(Change::ForServersAndClients),
        2 => Just(Change::ConstrainedToExampleCom),
        2 => Just(Change::NamedExampleCom),
        1 => Just(Change::NamedExampleOrg),
    ]
}

prop_compose! {
    fn recipes()(
        root in prop::collection::vec(changes(), 2),
        upper in prop::collection::vec(changes(), 2),
        target in prop::collection::vec(changes(), 2),
        leaf in prop::collection::vec(changes(), 1),
        wrong_key in prop::array::uniform3(prop::bool::weighted(0.03)),
        broken_signature in prop::array::uniform3(prop::bool::weighted(0.03)),
    ) -> Recipe {
        let mut recipe = Recipe::sound();
        let all = [
            (&mut recipe.root, root), (&mut recipe.upper, upper), (&mut recipe.target, target), (&mut recipe.leaf, leaf),
        ];
        for (params, changes) in all {
            for change in changes {
                change.apply(params);
            }
        }
        Recipe { wrong_key, broken_signature, ..recipe }
    }
}

/// What we refuse although OpenSSL and webpki may both accept it.
fn is_stricter_on_purpose(error: &VerificationError) -> bool {
    matches!(
        error,
        // OpenSSL takes a root without basicConstraints for a CA, webpki takes any root for one.
        VerificationError::IssuerNotCa { issuer } if issuer == "CN=root"
    )
}

proptest! {
    #![proptest_config(Config { cases: 150, max_shrink_iters: 20, ..Config::default() })]

    #[test]
    fn certmesh_is_as_strict_as_the_strictest_judge_and_no_stricter(recipe in recipes()) {
        let chain = recipe.make();
        let judges = chain.openssl().and(chain.webpki());
        match chain.verify_leaf() {
            Ok(()) => prop_assert_eq!(judges, Ok(()), "certmesh alone accepts"),
            Err(error) => prop_assert!(
                judges.is_err() || is_stricter_on_purpose(&error), "certmesh alone refuses: {}", error
            ),
        }
    }

    /// The verdict on a CA is that on any sound leaf below it.
    #[test]
    fn the_verdict_on_a_ca_is_that_of_its_leaves(recipe in recipes()) {
        let recipe = Recipe { leaf: crate::fixture::leaf_params("leaf"), ..recipe };
        let recipe = Recipe {
            wrong_key: [recipe.wrong_key[0], recipe.wrong_key[1], false],
            broken_signature: [recipe.broken_signature[0], recipe.broken_signature[1], false],
            ..recipe
        };
        let chain = recipe.make();
        let target_verdict = chain.verify_target().is_ok() && chain.target.is_ca();
        prop_assert_eq!(target_verdict, chain.verify_leaf().is_ok());
    }
}
