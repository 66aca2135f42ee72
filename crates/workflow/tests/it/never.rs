//! The eight rules that hold always, each where it is most likely to break.

use certmesh_api::certificates::IssuedCertificateState;
use certmesh_api::conditions::{READY, STALLED};
use certmesh_api::names::annotations;
use certmesh_workflow::{ObjectVersion, examine};
use certmesh_x509::Fingerprint;
use kube::ResourceExt;

use crate::world::{HOST, Refused, World, ca_ref, copy_name, pki, reason, seconds, target};

/// The secret half of a key as it would appear if somebody printed or sent it: as PEM lines, and as base64 of the PEM.
fn traces(world: &World) -> Vec<String> {
    use std::fmt::Write;
    let mut traces = vec!["PRIVATE KEY".to_owned()];
    for key in &world.made_keys {
        let pem = key.to_pem();
        traces
            .extend(pem.lines().filter(|line| line.len() == 64 && !line.starts_with('-')).map(str::to_owned));
        // A Debug of bytes prints numbers.
        let mut numbers = String::new();
        pem.bytes().skip(40).take(20).for_each(|byte| write!(numbers, "{byte}, ").unwrap());
        traces.push(numbers);
    }
    assert!(traces.len() > world.made_keys.len() * 2, "every key has a trace");
    traces
}

#[test]
fn never_1_a_private_key_outside_its_cluster_or_in_any_output() {
    let mut world = World::finished();
    world.now += seconds(3600);
    world.annotate_intent(annotations::RENEW, "1");
    world.settle();
    world.delete_intent();
    world.settle_issuer();
    world.settle();
    // The CA's own key is in the management cluster, and stays there.
    let mut seen = vec![world.debug_output.clone()];
    seen.extend(world.management.certificates.iter().map(|object| serde_json::to_string(object).unwrap()));
    seen.extend(world.events.iter().map(|event| format!("{event:?}")));
    seen.extend(world.issuance.iter().map(|record| serde_json::to_string(record).unwrap()));
    seen.extend(world.remote.certificates.iter().map(|object| serde_json::to_string(object).unwrap()));
    seen.extend(world.remote.requests.iter().map(|object| serde_json::to_string(object).unwrap()));
    let secret = world.issued().unwrap();
    seen.push(format!("{:?}", examine::issued(secret)));
    seen.push(format!("{:?}", examine::pending_key(secret)));
    let ca = world.management.secrets.iter().next().unwrap();
    seen.push(format!("{:?}", examine::signing_ca(ca)));
    for trace in traces(&world) {
        for text in &seen {
            assert!(!text.contains(&trace), "{trace} in {text}");
        }
    }
    assert!(world.debug_output.contains("SealedSecret"), "the decisions were printed");
    assert!(world.debug_output.contains("ca-key.pem"), "the keys of the data are named");
}

#[test]
fn never_2_identity_lifetime_or_ca_from_the_remote_side() {
    // Everything that the remote cluster can write says something else.
    let mut world = World::with_open_request();
    world.remote.certificates.edit(&copy_name(), |copy| {
        copy.spec.hosts = vec!["evil.example".to_owned()];
        copy.spec.gloo_mesh_ca = Some(ca_ref("evil"));
        copy.spec.cert_options.as_mut().unwrap().ttl_days = 36_500;
    });
    world.settle();
    let certificate = world.issued_certificate();
    let hosts: Vec<String> = certificate.hosts().map(ToString::to_string).collect();
    assert_eq!(hosts, [HOST]);
    assert_eq!(certificate.issuer(), world.authority.certificate().subject());
    assert_eq!(certificate.not_after(), crate::world::start() + seconds(90 * 24 * 3600));
}

#[test]
fn never_3_parts_of_a_secret_that_do_not_belong_together() {
    // `World::applied` looks at the Secret after every write of every story; here the writes are counted.
    let mut world = World::finished();
    for nonce in ["1", "2", "3"] {
        world.now += seconds(3600);
        world.annotate_intent(annotations::RENEW, nonce);
        world.settle();
        let content = examine::issued(world.issued().unwrap()).content.unwrap();
        assert_eq!(content.certificate().public_key(), world.made_keys.last().unwrap().public_key());
    }
    let stores = world.writes.iter().filter(|write| *write == "agent StoreIssued").count();
    assert_eq!(stores, 4, "one write for the whole Secret, each time");
}

#[test]
fn never_4_the_old_certificate_gone_before_the_new_one_is_in_place() {
    let mut world = World::finished();
    let old = world.issued_certificate();
    world.now = old.not_after() - seconds(600);
    // The issuer is away: the old one stays as long as it has to, and longer.
    for _ in 0..30 {
        world.now += seconds(60);
        world.settle_agent();
        assert_eq!(world.issued_certificate(), old);
    }
    // But nobody says that it is still good when it is over.
    assert!(world.now > old.not_after());
    assert_eq!(reason(&world.agent_status(), READY), None, "{:?}", world.agent_status());
    world.settle();
    assert_ne!(world.issued_certificate(), old);
    // Deleting copies, requests and pending keys does not take it away either.
    let new = world.issued_certificate();
    let version = ObjectVersion::of(world.copy());
    world.remote.certificates.delete(&version, world.now).unwrap();
    world.settle();
    assert_eq!(world.issued_certificate(), new);
}

#[test]
fn never_5_two_delivered_certificates_for_a_need_or_a_need_without_a_cause() {
    let mut world = World::with_open_request();
    // Two signatures for one need: somebody reset the answer in between.
    world.settle_issuer();
    world.remote.requests.edit_status(&copy_name(), |request| request.status = None);
    world.settle();
    assert_eq!(world.issuance.len(), 2, "two signatures were made");
    assert_eq!(world.delivered.len(), 1, "one is delivered");
    let keys = world.made_keys.len();
    for _ in 0..48 {
        world.run_for(3600);
    }
    assert_eq!((world.delivered.len(), world.made_keys.len()), (1, keys), "no cause, no need");
}

#[test]
fn never_6_a_write_to_what_is_not_ours() {
    let mut world = World::new();
    let foreign = pki::secret(&target(), &[("ca-cert.pem", "theirs")]);
    world.remote.secrets.create(&foreign, world.now).unwrap();
    let bystander = pki::secret(&certmesh_api::certificates::ObjectRef::new("istio-system", "other"), &[]);
    world.remote.secrets.create(&bystander, world.now).unwrap();
    let before: Vec<_> = world.remote.secrets.iter().cloned().collect();
    world.run_for(2 * 24 * 3600);
    world.delete_intent();
    world.run_for(3600);
    let after: Vec<_> = world.remote.secrets.iter().cloned().collect();
    assert_eq!(before, after);
    assert!(world.management.certificates.iter().next().is_none());
}

#[test]
fn never_7_a_write_decided_on_a_state_that_has_changed() {
    let mut world = World::finished();
    world.now += seconds(3600);
    world.annotate_intent(annotations::RENEW, "1");
    world.settle_issuer();
    world.agent_pass().unwrap();
    world.settle_issuer();
    // The agent decides to store; before it writes, somebody edits the Secret.
    let decision = world.agent_decision().unwrap();
    world.remote.secrets.edit(&target(), |secret| {
        drop(secret.annotations_mut().insert("note".to_owned(), "mine".to_owned()));
    });
    let certmesh_workflow::agent::Effect::StoreIssued(store) = &decision.effects[0] else {
        panic!("{decision:?}")
    };
    let result = world.remote.secrets.replace(store.secret.expose()).map(|secret| secret.name_any());
    assert_eq!(result, Err(Refused::Conflict));
    // Every other write that it or the issuer can decide on names a uid or a version too.
    let stale = ObjectVersion { uid: "another".to_owned(), ..ObjectVersion::of(world.request().unwrap()) };
    assert_eq!(world.remote.requests.delete(&stale, world.now), Err(Refused::Conflict));
    world.settle();
    assert_eq!(world.issued().unwrap().annotations()["note"], "mine", "the next pass keeps the edit");
    assert_eq!(world.delivered.len(), 2);
}

#[test]
fn never_8_a_root_set_swapped_without_a_persons_word() {
    let roots = |world: &World| -> Vec<Fingerprint> {
        let content = examine::issued(world.issued().unwrap()).content.unwrap();
        content.roots.fingerprints().iter().copied().collect()
    };
    // The intent names another CA, without a rotation; the issuer has forgotten what it signed under before.
    let swapped = || {
        let mut world = World::finished();
        let other = pki::root("root-b", world.now, 10 * pki::YEAR);
        world.put_ca("ca-b", &other);
        world.now += seconds(3600);
        world
            .management
            .certificates
            .edit_status(&crate::world::intent_name(), |intent| intent.status = None);
        world
    };
    let name_the_other = |world: &mut World| {
        world.edit_intent(|intent| intent.spec.gloo_mesh_ca = Some(ca_ref("ca-b")));
        // Its agent reports on the old trust, so nothing is recorded in between.
        world.settle();
    };
    let mut world = swapped();
    let before = roots(&world);
    name_the_other(&mut world);
    assert_eq!(roots(&world), before);
    assert_eq!(reason(&world.agent_status(), STALLED), Some("WouldReplaceLiveRoot"));
    assert_eq!(world.delivered.len(), 1);

    world.annotate_intent(annotations::REPLACE_ROOT, "true");
    world.settle();
    assert_ne!(roots(&world), before, "a person said so");
    assert_eq!(world.agent_status().state, IssuedCertificateState::Finished);

    // And where the issuer remembers, it does not even sign.
    let mut world = World::finished();
    let other = pki::root("root-b", world.now, 10 * pki::YEAR);
    world.put_ca("ca-b", &other);
    world.now += seconds(3600);
    world.annotate_intent(annotations::REPLACE_ROOT, "true");
    world.edit_intent(|intent| intent.spec.gloo_mesh_ca = Some(ca_ref("ca-b")));
    world.settle();
    assert_eq!(world.delivered.len(), 1);
    assert_eq!(reason(&world.status(), STALLED), Some("RootReplaced"));
}
