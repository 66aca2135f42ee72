//! The copy of an intent in the remote cluster, and what its agent says about it.

use certmesh_api::ClusterName;
use certmesh_api::certificates::{IssuedCertificateState, IssuedCertificateStatus};
use certmesh_api::conditions::{READY, RECONCILING, STALLED};
use certmesh_api::names::{annotations, finalizers, labels};
use certmesh_workflow::issuer;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::ResourceExt;

use crate::world::{Link, World, copy_name, pki, reason, seconds, target};

#[test]
fn a_copy_says_what_it_is_of() {
    let mut world = World::new();
    world.annotate_intent("example.com/private", "no");
    world.annotate_intent(annotations::ADOPT, "true");
    world.annotate_intent(annotations::TRUST_FINGERPRINT, "forged by a person");
    world.annotate_intent(annotations::DELETION_POLICY, "Delete");
    world.settle_issuer();
    let (copy, intent) = (world.copy(), world.intent());
    assert_eq!(copy.spec, intent.spec);
    assert_eq!(copy.labels()[labels::CLUSTER], "cluster-1");
    assert_eq!(copy.finalizers(), [finalizers::COPY]);
    let notes: Vec<&str> = copy.annotations().keys().map(String::as_str).collect();
    assert_eq!(
        notes,
        [
            annotations::ADOPT,
            annotations::INTENT,
            annotations::INTENT_GENERATION,
            annotations::INTENT_UID,
            annotations::TRUST_FINGERPRINT,
        ]
    );
    assert_eq!(copy.annotations()[annotations::INTENT], "cluster-1/istio");
    assert_eq!(Some(&copy.annotations()[annotations::INTENT_UID]), intent.metadata.uid.as_ref());
    assert_eq!(copy.annotations()[annotations::TRUST_FINGERPRINT].len(), 64);
    assert_eq!(intent.finalizers(), [finalizers::INTENT], "before anything is in the remote cluster");
    assert_eq!(world.writes[..2], ["issuer AddFinalizer", "issuer CreateCopy"]);
}

#[test]
fn edits_of_a_copy_are_undone_and_others_notes_are_kept() {
    let edits: &[(&str, fn(&mut certmesh_api::certificates::IssuedCertificate))] = &[
        ("hosts", |copy| copy.spec.hosts.push("evil.example".into())),
        ("the Secret", |copy| copy.spec.issued_certificate_secret = None),
        ("the trust", |copy| {
            drop(copy.annotations_mut().insert(annotations::TRUST_FINGERPRINT.into(), "0".repeat(64)))
        }),
        ("a person's word", |copy| {
            drop(copy.annotations_mut().insert(annotations::REPLACE_ROOT.into(), "true".into()))
        }),
        ("the intent's uid", |copy| {
            drop(copy.annotations_mut().insert(annotations::INTENT_UID.into(), "forged".into()))
        }),
        ("the finalizer", |copy| copy.finalizers_mut().clear()),
        ("the label", |copy| drop(copy.labels_mut().remove(labels::CLUSTER))),
        ("the intent's name", |copy| {
            drop(copy.annotations_mut().insert(annotations::INTENT.into(), "cluster-1/other".into()))
        }),
        ("all that we noted", |copy| {
            copy.annotations_mut().retain(|key, _| !key.starts_with(annotations::PREFIX))
        }),
    ];
    for (name, edit) in edits {
        let mut world = World::finished();
        world.remote.certificates.edit(&copy_name(), |copy| {
            copy.labels_mut().insert("team".to_owned(), "mesh".to_owned());
            copy.annotations_mut().insert("example.com/note".to_owned(), "mine".to_owned());
        });
        world.settle();
        let (before, writes) = (world.copy().clone(), world.writes.len());
        world.remote.certificates.edit(&copy_name(), edit);
        world.settle_issuer();
        let after = world.copy();
        assert_eq!(after.spec, before.spec, "{name}");
        assert_eq!(after.annotations(), before.annotations(), "{name}");
        assert_eq!(after.labels(), before.labels(), "{name}");
        assert_eq!(after.finalizers(), before.finalizers(), "{name}");
        assert_eq!(world.writes[writes..], ["issuer UpdateCopy"], "{name}");
        world.settle();
        assert_eq!(world.delivered.len(), 1, "{name}");
    }
}

#[test]
fn a_copy_that_is_not_ours_is_left_alone_and_said() {
    let foreign: &[(&str, fn(&mut certmesh_api::certificates::IssuedCertificate))] = &[
        ("of another intent", |copy| {
            copy.annotations_mut().insert(annotations::INTENT.into(), "cluster-1/other".into());
            copy.annotations_mut().insert(annotations::INTENT_UID.into(), "another".into());
        }),
        ("of another cluster's issuer", |copy| {
            copy.labels_mut().insert(labels::CLUSTER.into(), "cluster-2".into());
            copy.annotations_mut().insert(annotations::INTENT.into(), "cluster-2/istio".into());
            copy.annotations_mut().insert(annotations::INTENT_UID.into(), "another".into());
        }),
        ("made by hand", |copy| copy.metadata = pki::metadata(&copy_name())),
    ];
    for (name, edit) in foreign {
        let mut world = World::new();
        world.settle_issuer();
        let mut copy = world.copy().clone();
        world.remote.certificates.remove(&copy_name());
        edit(&mut copy);
        world.remote.certificates.create(&copy, world.now).unwrap();
        let (before, writes) = (world.copy().clone(), world.writes.len());
        world.settle_issuer();
        assert_eq!(world.copy(), &before, "{name}");
        assert_eq!(world.writes[writes..], ["issuer IntentStatus"], "{name}");
        assert_eq!(reason(&world.status(), STALLED), Some("CopyNotOurs"), "{name}");
        let error = world.status().error;
        assert!(
            error.contains("certmesh/istio in cluster cluster-1 is not a copy of this intent"),
            "{error}"
        );
    }
}

#[test]
fn a_report_on_another_intent_of_the_name_is_not_mirrored() {
    let mut world = World::finished();
    let report = world.agent_status();
    world.remote.certificates.edit_status(&copy_name(), |copy| {
        let status = copy.status.as_mut().unwrap();
        status.state = IssuedCertificateState::Failed;
        status.observed.as_mut().unwrap().intent_uid = "another".to_owned();
    });
    let before = world.status();
    world.settle_issuer();
    assert_eq!(world.status(), before);
    assert_eq!(report.state, IssuedCertificateState::Finished);
}

fn report(world: &mut World, edit: impl FnOnce(&mut IssuedCertificateStatus)) {
    world.remote.certificates.edit_status(&copy_name(), |copy| edit(copy.status.as_mut().unwrap()));
}

#[test]
fn what_a_remote_cluster_says_is_bounded_and_escaped() {
    let mut world = World::finished();
    let condition = |kind: &str, status: &str, reason: &str| Condition {
        type_: kind.to_owned(),
        status: status.to_owned(),
        reason: reason.to_owned(),
        message: "\u{1b}[31m".to_owned() + &"m".repeat(5000),
        observed_generation: Some(99),
        last_transition_time: Time(crate::world::start()),
    };
    report(&mut world, |status| {
        status.error = "\u{202e}line\nline".to_owned() + &"e".repeat(5000);
        status.observed.as_mut().unwrap().intent_generation = 99;
        status.observed.as_mut().unwrap().trust_fingerprint = "\u{7}".to_owned();
        status.conditions = vec![
            condition(READY, "True", "Fine"),
            condition(READY, "False", "Twice"),
            condition(STALLED, "Maybe", "NoStatus"),
            condition(RECONCILING, "True", "no reason at all"),
            condition("Invented", "True", "ByThem"),
        ];
        let certificate = status.certificate.as_mut().unwrap();
        certificate.issuer = "i".repeat(5000);
        certificate.serial_number = "\u{1b}[2J".to_owned();
        certificate.fingerprint = "no fingerprint".to_owned();
        certificate.roots = (0..500_u16)
            .map(|root| certmesh_x509::Fingerprint::of(&root.to_be_bytes()).to_string())
            .collect();
    });
    world.settle_issuer();
    let status = world.status();
    let text = serde_json::to_string(&status).unwrap();
    assert!(!text.contains('\u{1b}') && !text.contains("\\u001b") && !text.contains('\u{202e}'), "{text}");
    assert!(status.error.len() <= 1024 && status.error.starts_with("\\u{202e}line\\u{a}line"));
    assert_eq!(
        Some(status.observed_generation),
        world.intent().metadata.generation,
        "never ahead of the intent"
    );
    let kinds: Vec<(&str, &str)> =
        status.conditions.iter().map(|found| (found.type_.as_str(), found.reason.as_str())).collect();
    assert_eq!(kinds, [(READY, "Fine"), (RECONCILING, "Unknown")]);
    assert!(status.conditions.iter().all(|found| found.message.len() <= 1024));
    assert!(status.conditions.iter().all(|found| found.observed_generation == Some(1)));
    let certificate = status.certificate.unwrap();
    assert_eq!((certificate.fingerprint.as_str(), certificate.serial_number.as_str()), ("", "\\u{1b}[2J"));
    assert_eq!((certificate.issuer.len(), certificate.roots.len()), (1024, 50));
    assert_eq!(status.observed.unwrap().trust_fingerprint, "");
}

#[test]
fn trust_is_recorded_from_what_the_issuer_knows() {
    let mut world = World::with_open_request();
    world.settle_issuer();
    assert_eq!(world.status().trust, None, "not before it is in place");
    world.settle();
    let recorded = world.status().trust.unwrap();
    assert_eq!(recorded.roots, [world.authority.certificate().fingerprint().to_string()]);
    assert_eq!(recorded.fingerprint, world.copy().annotations()[annotations::TRUST_FINGERPRINT]);
    // A cluster that claims another trust changes nothing in what is recorded.
    report(&mut world, |status| {
        status.observed.as_mut().unwrap().trust_fingerprint = "1".repeat(64);
        status.trust = Some(certmesh_api::certificates::RecordedTrust {
            fingerprint: "2".repeat(64),
            roots: vec!["3".repeat(64)],
        });
    });
    world.settle_issuer();
    assert_eq!(world.status().trust, Some(recorded));
}

#[test]
fn a_trust_is_recorded_only_when_it_is_in_place() {
    let mut world = World::finished();
    let before = world.status().trust.unwrap();
    let new = pki::root("root-b", world.now, 10 * pki::YEAR);
    world.put_ca("ca-b", &new);
    world.edit_intent(|intent| crate::rotation::at(crate::rotation::STEPS[0], &mut intent.spec));
    world.settle_issuer();
    assert_eq!(world.status().trust, Some(before.clone()), "the agent still reports on the old one");
    world.settle();
    let after = world.status().trust.unwrap();
    assert_ne!(after.fingerprint, before.fingerprint);
    assert_eq!(after.roots.len(), 2);
}

#[test]
fn a_ca_that_is_gone_for_a_while_costs_no_certificate() {
    let mut world = World::finished();
    let authority = world.authority.clone();
    world.management.secrets.remove(&crate::world::ca_name("ca-a"));
    world.settle();
    let status = world.status();
    assert_eq!(reason(&status, RECONCILING), Some("CaMissing"));
    assert_eq!(reason(&status, READY), Some("CaMissing"), "what is in place is still good");
    assert_eq!(status.state, IssuedCertificateState::Finished);
    world.put_ca("ca-a", &authority);
    world.settle();
    assert_eq!(reason(&world.status(), RECONCILING), None);
    assert_eq!(world.delivered.len(), 1);
    assert!(world.request().is_none());
}

#[test]
fn another_root_in_the_ca_secret_stops_the_line_and_keeps_what_is_there() {
    let mut world = World::finished();
    let other = pki::root("root-a", world.now, 10 * pki::YEAR);
    world.put_ca("ca-a", &other);
    world.run_for(3600);
    let status = world.status();
    assert_eq!(reason(&status, STALLED), Some("RootReplaced"));
    assert_eq!(reason(&status, READY), Some("RootReplaced"), "what is in place is still good");
    assert_eq!(world.delivered.len(), 1, "and the agent does not even ask");
    assert!(world.request().is_none());
}

#[test]
fn an_agent_that_says_nothing_is_named() {
    let mut world = World::new();
    world.settle_issuer();
    assert_eq!(world.intent().status, None, "nothing is said at first");
    assert_eq!(world.issuer_decision().unwrap().wake_at, Some(world.now + seconds(30)));
    world.now += seconds(30);
    world.settle_issuer();
    assert_eq!(reason(&world.status(), RECONCILING), Some("WaitingForAgent"));
    world.settle();
    assert_eq!(reason(&world.status(), READY), Some("Issued"));
    assert_eq!(reason(&world.status(), RECONCILING), None);
}

#[test]
fn a_cluster_that_cannot_be_reached_keeps_its_word_until_the_certificate_ends() {
    let mut world = World::finished();
    let fingerprint = world.issued_certificate().fingerprint().to_string();
    world.link = Link::Down;
    world.settle_issuer();
    let status = world.status();
    assert_eq!(reason(&status, RECONCILING), Some("ClusterUnreachable"));
    assert_eq!(reason(&status, READY), Some("ClusterUnreachable"));
    assert_eq!(status.certificate.unwrap().fingerprint, fingerprint);
    let end = world.issued_certificate().not_after();
    assert_eq!(world.issuer_decision().unwrap().wake_at, Some(end + seconds(1)));
    world.now = end + seconds(1);
    world.settle_issuer();
    assert_eq!(reason(&world.status(), READY), None, "nobody can say any more that it is good");
    world.link = Link::Gone;
    world.settle_issuer();
    assert_eq!(reason(&world.status(), STALLED), Some("ClusterUnregistered"));
}

#[test]
fn a_registration_that_is_refused_needs_a_person() {
    let mut world = World::finished();
    world.link = Link::Refused;
    world.settle_issuer();
    let status = world.status();
    assert_eq!(reason(&status, STALLED), Some("ClusterRefused"));
    assert_eq!(status.error, "cluster cluster-1 is not served: its kubeconfig has exec: use a token");
    assert_eq!(reason(&status, READY), Some("ClusterRefused"), "what is in place is still good");
    world.delete_intent();
    world.settle_issuer();
    assert!(world.intent().metadata.deletion_timestamp.is_some(), "there may be a copy to clean up");
    assert_eq!(reason(&world.status(), STALLED), Some("ClusterRefused"));
}

#[test]
fn an_intent_where_no_cluster_can_be_is_told_so_once() {
    let mut intent = crate::world::intent();
    intent.metadata.namespace = Some("default".to_owned());
    let error = "default".parse::<ClusterName>().unwrap_err();
    let now = jiff::Timestamp::UNIX_EPOCH;
    let decision = issuer::decide_misplaced(now, &intent, &error);
    let status = decision.status.unwrap();
    assert!(decision.effects.is_empty());
    assert_eq!(reason(&status, STALLED), Some("InvalidNamespace"));
    assert!(
        status.error.ends_with("move the intent to a registered cluster's namespace"),
        "{}",
        status.error
    );
    assert_eq!(decision.events.len(), 1);
    intent.status = Some(status);
    assert!(issuer::decide_misplaced(now, &intent, &error).is_empty(), "and not again");
}

#[test]
fn a_silent_agent_does_not_keep_a_dead_certificate_ready() {
    let mut world = World::finished();
    world.now = world.issued_certificate().not_after() + seconds(1);
    world.settle_issuer();
    let status = world.status();
    assert_eq!(reason(&status, STALLED), Some("CertificateExpired"));
    assert_eq!(reason(&status, READY), None);
}

#[test]
fn an_issuer_whose_clock_was_ahead_takes_its_word_back() {
    let mut world = World::finished();
    let right = world.now;
    world.now = world.issued_certificate().not_after() + seconds(1);
    world.settle_issuer();
    assert_eq!(reason(&world.status(), STALLED), Some("CertificateExpired"));
    let again = world.issuer_decision().unwrap().wake_at.expect("nobody else would wake it");
    assert_eq!(again, world.now + seconds(3600));
    world.now = right;
    world.settle_issuer();
    assert_eq!(reason(&world.status(), STALLED), None);
    assert_eq!(reason(&world.status(), READY), Some("Issued"));
}

#[test]
fn events_tell_of_changes_and_not_of_every_pass() {
    let mut world = World::finished();
    let told: Vec<&str> = world.events.iter().map(|event| event.reason.as_str()).collect();
    assert_eq!(told, ["Issued", "Issued"], "one on the copy, one on the intent");
    world.run_for(24 * 3600);
    assert_eq!(world.events.len(), 2);
    world.annotate_intent(annotations::RENEW, "1");
    world.settle();
    assert_eq!(world.events.len(), 3, "a renewal is told on the copy: {:?}", world.events);
    world.remote.secrets.edit(&target(), |secret| secret.immutable = Some(true));
    world.annotate_intent(annotations::RENEW, "2");
    world.settle();
    let warnings = world.events[3..].iter().filter(|event| event.reason == "CannotStore").count();
    assert_eq!(warnings, 2);
}
