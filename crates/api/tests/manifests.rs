//! What is installed has the least rights: the principles of the threat model, held against the objects themselves.

#![allow(clippy::unwrap_used)] // clippy knows only the test functions themselves as tests

use certmesh_api::certificates::ObjectRef;
use certmesh_api::manifests::{Agent, Issuer, Manifest, RemoteIssuer};
use k8s_openapi::api::rbac::v1::{PolicyRule, RoleRef, Subject};
use serde_json::Value;
use std::collections::BTreeSet;

/// A right as the API server checks it: one verb on one resource, on all objects or on one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Right {
    /// None: everywhere.
    namespace: Option<String>,
    verb: String,
    resource: String,
    /// None: all.
    name: Option<String>,
}

impl Right {
    fn is_about(&self, resource: &str) -> bool {
        self.resource == resource || self.resource.split('/').next() == Some(resource)
    }

    /// `verb resource[=name]`, for comparison with what is expected.
    fn shown(&self) -> String {
        let name = self.name.as_ref().map(|name| format!("={name}")).unwrap_or_default();
        format!("{} {}{name}", self.verb, self.resource)
    }
}

fn everything() -> [(&'static str, Vec<Manifest>); 3] {
    [
        ("issuer", Issuer::default().manifests()),
        ("agent", Agent::default().manifests()),
        ("remote issuer", RemoteIssuer::default().manifests()),
    ]
}

fn kind(manifest: &Manifest) -> &str {
    &manifest.resource.kind
}

fn of_kind<'a>(manifests: &'a [Manifest], wanted: &str) -> Vec<&'a Manifest> {
    manifests.iter().filter(|manifest| kind(manifest) == wanted).collect()
}

fn data(manifest: &Manifest) -> Value {
    serde_json::to_value(manifest).unwrap()
}

fn rules(role: &Manifest) -> Vec<PolicyRule> {
    serde_json::from_value(data(role)["rules"].clone()).unwrap()
}

fn rights(manifests: &[Manifest]) -> BTreeSet<Right> {
    let roles = manifests.iter().filter(|manifest| matches!(kind(manifest), "Role" | "ClusterRole"));
    roles.flat_map(|role| rules(role).into_iter().flat_map(|rule| each(role, &rule))).collect()
}

fn each(role: &Manifest, granted: &PolicyRule) -> Vec<Right> {
    assert!(granted.non_resource_urls.is_none(), "rights on URLs are not needed");
    let names: Vec<_> = match &granted.resource_names {
        Some(names) => names.iter().cloned().map(Some).collect(),
        None => vec![None],
    };
    let mut rights = Vec::new();
    for resource in granted.resources.iter().flatten() {
        for verb in &granted.verbs {
            rights.extend(names.iter().map(|name| Right {
                namespace: role.object.metadata.namespace.clone(),
                verb: verb.clone(),
                resource: resource.clone(),
                name: name.clone(),
            }));
        }
    }
    rights
}

fn shown<'a>(rights: impl IntoIterator<Item = &'a Right>) -> Vec<String> {
    rights.into_iter().map(Right::shown).collect()
}

#[test]
fn nobody_may_do_everything_or_anything_to_rights_and_accounts() {
    for (who, manifests) in everything() {
        for right in rights(&manifests) {
            let dangerous = ["*", "escalate", "bind", "impersonate", "deletecollection", "patch"];
            let is_event = right.resource == "events";
            assert!(is_event || !dangerous.contains(&right.verb.as_str()), "{who}: {right:?}");
            assert!(!right.resource.contains('*'), "{who}: {right:?}");
            for resource in ["roles", "rolebindings", "clusterroles", "serviceaccounts", "pods", "nodes"] {
                assert!(!right.is_about(resource), "{who}: {right:?}");
            }
        }
        for role in manifests.iter().filter(|manifest| kind(manifest).ends_with("Role")) {
            for rule in rules(role) {
                assert!(rule.api_groups.unwrap().iter().all(|group| group != "*"), "{who}");
            }
        }
    }
}

#[test]
fn nobody_may_read_secrets_everywhere() {
    for (who, manifests) in everything() {
        for right in rights(&manifests).iter().filter(|right| right.is_about("secrets")) {
            assert!(right.namespace.is_some(), "{who}: {right:?}");
        }
    }
}

#[test]
fn the_issuers_account_in_a_remote_cluster_touches_no_secret() {
    let rights = rights(&RemoteIssuer::default().manifests());
    assert!(!rights.iter().any(|right| right.is_about("secrets")), "{rights:?}");
    let (everywhere, at_the_agent): (Vec<_>, Vec<_>) =
        rights.iter().partition(|right| right.namespace.is_none());
    assert_eq!(shown(everywhere), ["get namespaces=kube-system"]);
    assert!(at_the_agent.iter().all(|right| right.namespace.as_deref() == Some("certmesh")));
    assert_eq!(
        shown(at_the_agent),
        [
            "create issuedcertificates",
            "delete certificaterequests",
            "delete issuedcertificates",
            "get certificaterequests",
            "get issuedcertificates",
            "list certificaterequests",
            "list issuedcertificates",
            "update certificaterequests/status",
            "update issuedcertificates",
            "watch certificaterequests",
            "watch issuedcertificates",
        ]
    );
}

#[test]
fn what_the_registration_reports_are_the_rights_of_the_remote_account() {
    let mut reported = RemoteIssuer::policy_rules();
    let mut given: Vec<PolicyRule> = RemoteIssuer::default()
        .manifests()
        .iter()
        .filter(|m| kind(m).ends_with("Role"))
        .flat_map(rules)
        .collect();
    let order = |rules: &mut Vec<PolicyRule>| rules.sort_by_key(|rule| format!("{rule:?}"));
    order(&mut reported);
    order(&mut given);
    assert_eq!(reported, given);
}

#[test]
fn the_issuer_writes_no_secret_and_reads_them_at_home_only() {
    let rights = rights(&Issuer { namespace: "ca".to_owned(), ..Issuer::default() }.manifests());
    let secrets: Vec<_> = rights.iter().filter(|right| right.is_about("secrets")).collect();
    assert!(secrets.iter().all(|right| right.namespace.as_deref() == Some("ca")));
    assert_eq!(shown(secrets), ["get secrets", "list secrets", "watch secrets"]);
    let everywhere = rights.iter().filter(|right| right.namespace.is_none());
    assert_eq!(
        shown(everywhere),
        [
            "create events",
            "get issuedcertificates",
            "get namespaces",
            "list issuedcertificates",
            "patch events",
            "update issuedcertificates",
            "update issuedcertificates/status",
            "watch issuedcertificates",
        ]
    );
}

#[test]
fn the_agent_has_no_right_outside_its_namespace_and_the_targets() {
    let agent = Agent::default();
    let rights = rights(&agent.manifests());
    let namespaces: BTreeSet<_> = rights.iter().map(|right| right.namespace.as_deref()).collect();
    assert_eq!(namespaces, BTreeSet::from([Some("certmesh"), Some("istio-system")]));
    let at_the_target = rights.iter().filter(|right| right.namespace.as_deref() == Some("istio-system"));
    assert_eq!(
        shown(at_the_target),
        [
            "create secrets",
            "delete secrets=cacerts",
            "get configmaps=istio-ca-root-cert",
            "get secrets=cacerts",
            "list secrets=cacerts",
            "update secrets=cacerts",
            "watch secrets=cacerts",
        ]
    );
}

#[test]
fn the_agent_cannot_list_the_secrets_of_its_namespace() {
    let rights = rights(&Agent::default().manifests());
    let at_home =
        rights.iter().filter(|r| r.namespace.as_deref() == Some("certmesh") && r.is_about("secrets"));
    assert_eq!(shown(at_home), ["create secrets", "delete secrets", "get secrets"]);
}

#[test]
fn each_target_namespace_gets_a_role_that_names_its_targets() {
    let targets = ["istio-system/cacerts", "istio-canary/cacerts", "istio-canary/other", "certmesh/own"];
    let targets =
        targets.map(|name| name.split_once('/').map(|(ns, name)| ObjectRef::new(ns, name)).unwrap()).into();
    let manifests = Agent { targets, ..Agent::default() }.manifests();
    let roles: Vec<_> = of_kind(&manifests, "Role");
    let namespaces: Vec<_> =
        roles.iter().map(|role| role.object.metadata.namespace.as_deref().unwrap()).collect();
    assert_eq!(namespaces, ["certmesh", "istio-canary", "istio-system"]);
    let updates =
        rights(&manifests).into_iter().filter(|right| right.verb == "update" && right.resource == "secrets");
    let updates: Vec<_> =
        updates.map(|right| format!("{}/{}", right.namespace.unwrap(), right.name.unwrap())).collect();
    assert_eq!(
        updates,
        ["certmesh/own", "istio-canary/cacerts", "istio-canary/other", "istio-system/cacerts"]
    );
}

#[test]
fn every_binding_binds_a_role_of_the_set_to_an_account_of_the_set() {
    for (who, manifests) in everything() {
        let name = |manifest: &Manifest| manifest.object.metadata.name.clone().unwrap();
        let accounts = of_kind(&manifests, "ServiceAccount");
        for binding in manifests.iter().filter(|manifest| kind(manifest).ends_with("Binding")) {
            let role_ref: RoleRef = serde_json::from_value(data(binding)["roleRef"].clone()).unwrap();
            let same_namespace =
                |role: &&&Manifest| role.object.metadata.namespace == binding.object.metadata.namespace;
            let roles = of_kind(&manifests, &role_ref.kind);
            assert!(
                roles.iter().filter(same_namespace).any(|role| name(role) == role_ref.name),
                "{who}: {role_ref:?}"
            );
            let subjects: Vec<Subject> = serde_json::from_value(data(binding)["subjects"].clone()).unwrap();
            assert_eq!(subjects.len(), 1, "{who}");
            let is_subject = |account: &&&Manifest| {
                name(account) == subjects[0].name
                    && account.object.metadata.namespace == subjects[0].namespace
            };
            assert_eq!(accounts.iter().filter(is_subject).count(), 1, "{who}: {subjects:?}");
        }
    }
}

#[test]
fn what_others_need_comes_first() {
    let order = |manifest: &Manifest| match kind(manifest) {
        "CustomResourceDefinition" => 0,
        "Namespace" => 1,
        "ServiceAccount" => 2,
        "Deployment" => 4,
        _ => 3,
    };
    for (who, manifests) in everything() {
        assert!(manifests.is_sorted_by_key(order), "{who}");
    }
}

#[test]
fn pods_meet_the_restricted_pod_security_standard() {
    for (who, manifests) in &everything()[..2] {
        let deployment = data(of_kind(manifests, "Deployment")[0]);
        let pod = &deployment["spec"]["template"]["spec"];
        assert_eq!(pod["securityContext"]["runAsNonRoot"], true, "{who}");
        assert_eq!(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault", "{who}");
        for container in pod["containers"].as_array().unwrap() {
            let context = &container["securityContext"];
            assert_eq!(context["allowPrivilegeEscalation"], false, "{who}");
            assert_eq!(context["readOnlyRootFilesystem"], true, "{who}");
            assert_eq!(context["capabilities"]["drop"][0], "ALL", "{who}");
            assert_eq!(context["capabilities"]["add"], Value::Null, "{who}");
        }
        for forbidden in ["volumes", "hostNetwork", "hostPID", "hostIPC"] {
            assert_eq!(pod[forbidden], Value::Null, "{who}: {forbidden}");
        }
    }
}

#[test]
fn pods_run_as_the_account_that_has_the_rights_and_answer_probes() {
    for (who, manifests) in &everything()[..2] {
        let deployment = data(of_kind(manifests, "Deployment")[0]);
        let pod = &deployment["spec"]["template"]["spec"];
        let account = of_kind(manifests, "ServiceAccount")[0].object.metadata.name.clone().unwrap();
        assert_eq!(pod["serviceAccountName"], account, "{who}");
        let container = &pod["containers"][0];
        assert_eq!(container["livenessProbe"]["httpGet"]["path"], "/healthz", "{who}");
        assert_eq!(container["readinessProbe"]["httpGet"]["path"], "/readyz", "{who}");
        assert_eq!(
            container["image"],
            format!("ghcr.io/certmesh/certmesh:{}", env!("CARGO_PKG_VERSION")),
            "{who}"
        );
        let selector = &deployment["spec"]["selector"]["matchLabels"];
        assert_eq!(*selector, deployment["spec"]["template"]["metadata"]["labels"], "{who}");
    }
}

#[test]
fn namespace_and_image_are_what_was_asked_for_everywhere() {
    let issuer = Issuer { namespace: "ns".to_owned(), image: "registry.example/c:1".to_owned() };
    let agent =
        Agent { namespace: "ns".to_owned(), image: "registry.example/c:1".to_owned(), targets: Vec::new() };
    for manifests in
        [issuer.manifests(), agent.manifests(), RemoteIssuer { namespace: "ns".to_owned() }.manifests()]
    {
        for manifest in &manifests {
            let namespace = manifest.object.metadata.namespace.as_deref();
            assert!(matches!(namespace, None | Some("ns")), "{:?}", manifest.object.metadata);
            let text = data(manifest).to_string();
            assert!(!text.contains("ghcr.io"), "{text}");
        }
        assert_eq!(of_kind(&manifests, "Namespace")[0].object.metadata.name.as_deref(), Some("ns"));
    }
}
