//! Whatever happens in whatever order, and whatever the bytes are.

use std::collections::BTreeMap;

use certmesh_api::certificates::{
    CertificateRequest, CertificateRequestSpec, CertificateRequestState, CertificateRequestStatus,
    IssuedCertificateState, ObjectRef,
};
use certmesh_api::conditions::{READY, RECONCILING, STALLED};
use certmesh_api::names::annotations;
use certmesh_workflow::need::{Digest, Need};
use certmesh_workflow::{ObjectVersion, examine};
use certmesh_x509::Fingerprint;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use proptest::prelude::*;

use crate::world::{Crash, World, ca_name, ca_ref, copy_name, intent_name, pki, seconds, target};

/// What people, remote clusters, networks and time do to the objects.
#[derive(Clone, Debug)]
enum Act {
    Wait(i64),
    AgentPass,
    IssuerPass,
    CrashAtNextWrite { after: bool },
    AskForRenewal(u8),
    NameHosts(Vec<String>),
    NameOrganization(&'static str),
    NameCa(&'static str),
    Rotate(usize),
    ForbidCluster,
    LoseCa,
    RestoreCa,
    LoseSecretFile(&'static str),
    LosePendingKey,
    LoseRequest,
    ForgeAnswer,
    EditCopy,
    DeleteCopy,
    ForgetIntentStatus,
}

fn act() -> impl Strategy<Value = Act> {
    let files = prop::sample::select(vec!["ca-cert.pem", "ca-key.pem", "cert-chain.pem", "root-cert.pem"]);
    prop_oneof![
        4 => (1_i64..100 * 24 * 3600).prop_map(Act::Wait),
        4 => (1_i64..400).prop_map(Act::Wait),
        6 => Just(Act::AgentPass),
        6 => Just(Act::IssuerPass),
        2 => any::<bool>().prop_map(|after| Act::CrashAtNextWrite { after }),
        2 => any::<u8>().prop_map(Act::AskForRenewal),
        1 => prop::sample::subsequence(vec!["a.example", "b.example", "not_valid"], 0..3)
            .prop_map(|hosts| Act::NameHosts(hosts.into_iter().map(str::to_owned).collect())),
        1 => prop::sample::select(vec!["Istio", "Another"]).prop_map(Act::NameOrganization),
        1 => prop::sample::select(vec!["ca-a", "ca-b", "ca-none"]).prop_map(Act::NameCa),
        2 => (0_usize..3).prop_map(Act::Rotate),
        1 => Just(Act::ForbidCluster),
        1 => Just(Act::LoseCa),
        2 => Just(Act::RestoreCa),
        1 => files.prop_map(Act::LoseSecretFile),
        1 => Just(Act::LosePendingKey),
        1 => Just(Act::LoseRequest),
        1 => Just(Act::ForgeAnswer),
        1 => Just(Act::EditCopy),
        1 => Just(Act::DeleteCopy),
        1 => Just(Act::ForgetIntentStatus),
    ]
}

fn perform(world: &mut World, act: &Act) {
    let has_copy = world
        .remote
        .certificates
        .get(&copy_name())
        .is_some_and(|copy| copy.metadata.deletion_timestamp.is_none());
    match act {
        Act::Wait(count) => world.now += seconds(*count),
        Act::AgentPass => drop(world.agent_pass()),
        Act::IssuerPass => drop(world.issuer_pass()),
        Act::CrashAtNextWrite { after } => {
            world.crash = Some(Crash { at: world.writes.len(), after: *after });
        }
        Act::AskForRenewal(nonce) => world.annotate_intent(annotations::RENEW, &nonce.to_string()),
        Act::NameHosts(hosts) => world.edit_intent(|intent| intent.spec.hosts.clone_from(hosts)),
        Act::NameOrganization(name) => world.edit_intent(|intent| intent.spec.org = (*name).to_owned()),
        Act::NameCa(name) => world.edit_intent(|intent| {
            intent.spec.gloo_mesh_ca = Some(ca_ref(name));
            intent.spec.rotation_state = Default::default();
        }),
        Act::Rotate(step) => {
            world.edit_intent(|intent| crate::rotation::at(crate::rotation::STEPS[*step], &mut intent.spec));
        }
        Act::ForbidCluster => {
            if world.management.secrets.get(&ca_name("ca-a")).is_some() {
                world.management.secrets.edit(&ca_name("ca-a"), |secret| secret.metadata.annotations = None);
            }
        }
        Act::LoseCa => drop(world.management.secrets.remove(&ca_name("ca-a"))),
        Act::RestoreCa => world.put_ca("ca-a", &world.authority.clone()),
        Act::LoseSecretFile(file) => {
            if world.issued().is_some() {
                world
                    .remote
                    .secrets
                    .edit(&target(), |secret| drop(secret.data.as_mut().unwrap().remove(*file)));
            }
        }
        Act::LosePendingKey => drop(world.remote.secrets.remove(&copy_name())),
        Act::LoseRequest => drop(world.remote.requests.remove(&copy_name())),
        Act::ForgeAnswer => {
            if world.request().is_some() {
                world.remote.requests.edit_status(&copy_name(), |request| {
                    let status = request.status.get_or_insert_default();
                    status.state = CertificateRequestState::Finished;
                    status.signed_certificate = Some(ByteString(b"forged".to_vec()));
                });
            }
        }
        Act::EditCopy if has_copy => {
            world
                .remote
                .certificates
                .edit(&copy_name(), |copy| copy.spec.hosts = vec!["evil.example".to_owned()]);
        }
        Act::DeleteCopy if has_copy => {
            let version = ObjectVersion::of(world.copy());
            world.remote.certificates.delete(&version, world.now).unwrap();
        }
        Act::EditCopy | Act::DeleteCopy => {}
        Act::ForgetIntentStatus => {
            world.management.certificates.edit_status(&intent_name(), |intent| intent.status = None);
        }
    }
}

/// What a person would do to end every trouble above.
fn mend(world: &mut World) {
    world.crash = None;
    world.put_ca("ca-a", &world.authority.clone());
    world.edit_intent(|intent| intent.spec = crate::world::spec());
    world.annotate_intent(annotations::REPLACE_ROOT, "true");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn any_story_comes_to_rest_and_can_be_mended(acts in prop::collection::vec(act(), 0..14)) {
        let mut world = World::empty();
        let new = pki::root("root-b", world.now, 10 * pki::YEAR);
        world.put_ca("ca-b", &new);
        world.create_intent(&crate::world::intent());
        for act in &acts {
            perform(&mut world, act);
        }
        // The witness in `World::applied` holds for every write on the way.
        while world.try_settle().is_err() {}
        let (agent, issuer) = (world.agent_decision().unwrap(), world.issuer_decision().unwrap());
        prop_assert!(agent.is_empty() && issuer.is_empty(), "{agent:?}\n{issuer:?}");
        let wakes = agent.wake_at.into_iter().chain(issuer.wake_at).min();
        prop_assert_eq!(format!("{agent:?}"), format!("{:?}", world.agent_decision().unwrap()));
        prop_assert_eq!(format!("{issuer:?}"), format!("{:?}", world.issuer_decision().unwrap()));
        let delivered = world.delivered.iter().collect::<std::collections::BTreeSet<_>>().len();
        prop_assert_eq!(delivered, world.delivered.len(), "no certificate is delivered twice");
        headlines_are_whole(&world)?;
        // Time alone changes nothing before the wake-up that was asked for.
        let now = world.now;
        for later in [1, 59, 3600, 24 * 3600].map(|count| now + seconds(count)) {
            if wakes.is_none_or(|at| later < at) {
                world.now = later;
                let (agent, issuer) = (world.agent_decision().unwrap(), world.issuer_decision().unwrap());
                prop_assert!(agent.is_empty() && issuer.is_empty(), "{agent:?}\n{issuer:?}");
            }
        }
        world.now = now;

        mend(&mut world);
        world.run_for(2 * 3600);
        let issued_under_another = world.status().conditions.iter().any(|found| found.reason == "RootReplaced");
        if !issued_under_another {
            prop_assert_eq!(world.state(), IssuedCertificateState::Finished, "{:?}\n{:?}", world.status(), world.agent_status());
            prop_assert_eq!(world.delivered.last(), Some(&world.issued_certificate().fingerprint()));
            prop_assert!(world.request().is_none() && world.remote.secrets.get(&copy_name()).is_none());
        }
    }
}

/// One headline each, an error exactly when something is wrong, and what is Stalled is FAILED.
fn headlines_are_whole(world: &World) -> Result<(), TestCaseError> {
    for status in [world.agent_status(), world.status()] {
        let count = |kind: &str| status.conditions.iter().filter(|found| found.type_ == kind).count();
        prop_assert!(count(READY) <= 1 && count(RECONCILING) + count(STALLED) <= 1, "{status:?}");
        prop_assert_eq!(count(STALLED) == 1, status.state == IssuedCertificateState::Failed, "{:?}", status);
        prop_assert!(count(STALLED) == 0 || !status.error.is_empty(), "{:?}", status);
        prop_assert!(status.conditions.iter().all(|found| found.message.len() <= 1024), "{:?}", status);
    }
    Ok(())
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let root = pki::root("root", crate::world::start(), pki::YEAR);
    let parts = vec![
        root.certificate().to_pem(),
        root.key().to_pem().to_string(),
        "-----BEGIN CERTIFICATE-----\n".to_owned(),
        "-----END CERTIFICATE-----\n".to_owned(),
        "-----BEGIN CERTIFICATE REQUEST-----\nYWJj\n-----END CERTIFICATE REQUEST-----\n".to_owned(),
        "\n".to_owned(),
        "junk".to_owned(),
    ];
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..200),
        prop::collection::vec(prop::sample::select(parts), 0..5)
            .prop_map(|parts| parts.concat().into_bytes()),
    ]
}

fn notes() -> impl Strategy<Value = BTreeMap<String, String>> {
    let keys = vec![
        annotations::NEED,
        annotations::ISSUED_FOR,
        annotations::ROOTS,
        annotations::INTENT,
        annotations::INTENT_UID,
        annotations::INTENT_GENERATION,
        annotations::TRUST_FINGERPRINT,
        annotations::ALLOW_CLUSTERS,
        annotations::ATTEMPT,
    ];
    let values = prop_oneof!["\\PC{0,40}", "[a-z/=,*-]{0,40}", need().prop_map(|need| need.to_string())];
    prop::collection::btree_map(prop::sample::select(keys).prop_map(str::to_owned), values, 0..6)
}

fn need() -> impl Strategy<Value = Need> {
    let digest = || any::<[u8; 4]>().prop_map(|seed| Digest::of(&seed));
    let fingerprint = || any::<[u8; 4]>().prop_map(|seed| Fingerprint::of(&seed));
    let name = "[a-z0-9]([a-z0-9.-]{0,20}[a-z0-9])?";
    (
        (name, name),
        digest(),
        digest(),
        fingerprint(),
        prop::option::of(digest()),
        prop::option::of(fingerprint()),
    )
        .prop_map(|((namespace, name), uid, spec, trust, renew, replaces)| Need {
            intent: ObjectRef::new(namespace, name),
            uid,
            spec,
            trust,
            renew,
            replaces,
        })
}

proptest! {
    #[test]
    fn a_need_reads_back_and_no_part_of_it_is_lost(need in need(), other in need()) {
        let text = need.to_string();
        prop_assert_eq!(text.parse::<Need>(), Ok(need.clone()));
        prop_assert_eq!(need == other, text == other.to_string());
        let elsewhere = Need { replaces: other.replaces, ..need.clone() };
        prop_assert!(need.is_same_issue(&elsewhere));
        for changed in [
            Need { intent: ObjectRef::new("other", "name"), ..need.clone() },
            Need { uid: Digest::of(b"other"), ..need.clone() },
            Need { spec: Digest::of(b"other"), ..need.clone() },
            Need { trust: Fingerprint::of(b"other"), ..need.clone() },
            Need { renew: Some(Digest::of(b"other")), ..need.clone() },
        ] {
            prop_assert!(!need.is_same_issue(&changed));
        }
    }

    #[test]
    fn a_need_that_is_not_quite_one_is_none(need in need(), at in any::<prop::sample::Index>(), with in "[ -~]") {
        let mut text = need.to_string();
        let at = at.index(text.len());
        text.replace_range(at..=at, &with);
        if let Ok(read) = text.parse::<Need>() {
            prop_assert_eq!(read.to_string(), text, "a need has one spelling");
        }
    }

    #[test]
    fn reading_never_panics(files in prop::collection::vec(bytes(), 6), notes in notes(), text in "\\PC{0,60}") {
        let names = ["ca-cert.pem", "ca-key.pem", "cert-chain.pem", "root-cert.pem", "private-key", "tls.crt"];
        let data: BTreeMap<String, ByteString> =
            names.iter().zip(&files).map(|(name, file)| ((*name).to_owned(), ByteString(file.clone()))).collect();
        let mut metadata = pki::metadata(&copy_name());
        metadata.annotations = Some(notes);
        for count in 0..=names.len() {
            let data = data.clone().into_iter().take(count).collect();
            let secret = Secret { metadata: metadata.clone(), data: Some(data), ..Secret::default() };
            let _ = format!("{:?}", examine::issued(&secret));
            let _ = format!("{:?}", examine::pending_key(&secret));
            let _ = format!("{:?}", examine::signing_ca(&secret));
        }
        let file = |at: usize| Some(ByteString(files[at].clone()));
        let request = CertificateRequest {
            metadata: metadata.clone(),
            spec: CertificateRequestSpec { certificate_signing_request: file(0) },
            status: Some(CertificateRequestStatus {
                state: CertificateRequestState::Finished,
                signed_certificate: file(1),
                signing_root_ca: file(2),
                cert_chain: file(3),
                ..CertificateRequestStatus::default()
            }),
        };
        let _ = format!("{:?}", examine::answer(&request));
        let mut copy = crate::world::intent();
        copy.metadata.annotations.clone_from(&metadata.annotations);
        copy.spec.hosts = vec![text.clone()];
        copy.spec.org = text.clone();
        let _ = format!("{:?}", examine::copy(&copy));
        let map = ConfigMap {
            metadata,
            data: Some([("root-cert.pem".to_owned(), text), ("b".to_owned(), String::from_utf8_lossy(&files[5]).into_owned())].into()),
            ..ConfigMap::default()
        };
        let _ = format!("{:?} {:?}", examine::live_roots(&map), examine::trust_anchors(&map));
    }
}
