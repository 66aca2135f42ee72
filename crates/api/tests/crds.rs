//! The CustomResourceDefinitions are what an API server takes without a complaint, and refuse what the types cannot say.

#![allow(clippy::unwrap_used)] // clippy knows only the test functions themselves as tests

use certmesh_api::crds;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};

/// What cert-manager and Kubernetes itself answer to, in `kubectl get`.
const TAKEN_SHORT_NAMES: &[&str] = &[
    "cert",
    "certs",
    "cr",
    "crs",
    "ciss",
    "iss",
    "order",
    "orders",
    "challenge",
    "challenges", // cert-manager
    "cm",
    "crd",
    "crds",
    "cs",
    "csr",
    "cj",
    "deploy",
    "ds",
    "ep",
    "ev",
    "hpa",
    "ing",
    "limits",
    "netpol",
    "no",
    "ns",
    "pc",
    "pdb",
    "po",
    "pv",
    "pvc",
    "quota",
    "rc",
    "rs",
    "sa",
    "sc",
    "sts",
    "svc", // Kubernetes
    "dr",
    "gw",
    "pa",
    "ra",
    "se",
    "vs",
    "we",
    "wg", // Istio
    "vm",
    "vms",
    "vd",
    "vds",
    "cv",
    "cvs", // reserved for the kinds of root rotation
];

fn schema(crd: &CustomResourceDefinition) -> &JSONSchemaProps {
    crd.spec.versions[0].schema.as_ref().unwrap().open_api_v3_schema.as_ref().unwrap()
}

/// Every schema of the tree with its path.
fn walk<'a>(path: &str, schema: &'a JSONSchemaProps, visit: &mut dyn FnMut(&str, &'a JSONSchemaProps)) {
    visit(path, schema);
    for (name, property) in schema.properties.iter().flatten() {
        walk(&format!("{path}.{name}"), property, visit);
    }
    match &schema.items {
        Some(JSONSchemaPropsOrArray::Schema(items)) => walk(&format!("{path}[]"), items, visit),
        Some(JSONSchemaPropsOrArray::Schemas(_)) => {
            panic!("{path}: a list of item schemas is not structural")
        }
        None => {}
    }
    if let Some(JSONSchemaPropsOrBool::Schema(values)) = &schema.additional_properties {
        walk(&format!("{path}{{}}"), values, visit);
    }
}

fn everywhere(mut visit: impl FnMut(&str, &JSONSchemaProps)) {
    for crd in crds::all() {
        walk(&crd.spec.names.kind, schema(&crd), &mut visit);
    }
}

/// CEL rules with the path of the schema that they stand at.
fn rules() -> Vec<(String, String)> {
    let mut rules = Vec::new();
    everywhere(|path, schema| {
        let own = schema.x_kubernetes_validations.iter().flatten();
        rules.extend(own.map(|rule| (path.to_owned(), rule.rule.clone())));
    });
    rules
}

#[test]
fn schemas_are_structural() {
    everywhere(|path, schema| {
        assert!(schema.type_.is_some(), "{path} has no type");
        assert!(schema.ref_path.is_none() && schema.definitions.is_none(), "{path} refers to another schema");
        let logic = [&schema.all_of, &schema.any_of, &schema.one_of];
        assert!(logic.iter().all(|list| list.is_none()) && schema.not.is_none(), "{path} has schema logic");
        assert!(
            schema.properties.is_none() || schema.additional_properties.is_none(),
            "{path} is struct and map"
        );
        assert!(schema.x_kubernetes_preserve_unknown_fields.is_none(), "{path} is not pruned");
        assert!(schema.pattern.is_none(), "{path}: patterns differ between Go and Rust, check in code");
    });
}

#[test]
fn nothing_may_be_null() {
    everywhere(|path, schema| assert!(schema.nullable.is_none(), "{path} is nullable"));
}

#[test]
fn formats_are_those_that_kubernetes_knows() {
    everywhere(|path, schema| {
        let format = schema.format.as_deref();
        assert!(
            matches!(format, None | Some("int32" | "int64" | "double" | "byte" | "date-time")),
            "{path}: {format:?}"
        );
    });
}

#[test]
fn everything_that_can_grow_has_a_limit() {
    everywhere(|path, schema| match schema.type_.as_deref() {
        Some("string") => {
            let bounded = schema.max_length.is_some() || schema.enum_.is_some();
            assert!(bounded || schema.format.as_deref() == Some("date-time"), "{path} has no maxLength");
        }
        Some("array") => assert!(schema.max_items.is_some(), "{path} has no maxItems"),
        Some("object") if schema.additional_properties.is_some() => {
            assert!(schema.max_properties.is_some(), "{path} has no maxProperties");
        }
        _ => {}
    });
}

#[test]
fn numbers_have_the_range_of_their_type() {
    everywhere(|path, schema| {
        // observedGeneration is the one signed number, and nobody sets it but controllers.
        let integer = schema.type_.as_deref() == Some("integer") && !path.ends_with("eneration");
        assert!(
            !integer || (schema.minimum >= Some(0.0) && schema.maximum <= Some(f64::from(u32::MAX))),
            "{path}"
        );
        assert!(!integer || schema.maximum.is_some(), "{path} has no maximum");
    });
}

#[test]
fn two_of_a_oneof_are_refused() {
    let vault = ["tokenSecretRef", "kubernetesAuth"];
    let service_account = ["serviceAccountRef", "mountedSaPath"];
    let oneofs = [
        ("IssuedCertificate.spec", ["glooMeshCa", "agentCa"]),
        ("IssuedCertificate.spec.agentCa.vault", vault),
        ("IssuedCertificate.spec.agentCa.vault.kubernetesAuth", service_account),
        ("IssuedCertificate.status", ["appliedGlooMeshCa", "appliedAgentCa"]),
        ("IssuedCertificate.status.appliedAgentCa.vault", vault),
        ("IssuedCertificate.status.appliedAgentCa.vault.kubernetesAuth", service_account),
    ];
    let expected: Vec<_> = oneofs
        .map(|(path, [one, other])| (path.to_owned(), format!("!(has(self.{one}) && has(self.{other}))")))
        .into();
    let mut found = rules();
    found.sort();
    let mut expected = expected;
    expected.sort();
    assert_eq!(found, expected);
}

#[test]
fn every_rule_has_a_message_for_people() {
    everywhere(|path, schema| {
        for rule in schema.x_kubernetes_validations.iter().flatten() {
            assert!(
                rule.message.as_deref().is_some_and(|message| message.starts_with("set at most one of")),
                "{path}"
            );
        }
    });
}

#[test]
fn conditions_are_a_map_by_type() {
    let mut seen = 0;
    everywhere(|path, schema| {
        if path.ends_with(".conditions") {
            seen += 1;
            assert_eq!(schema.x_kubernetes_list_type.as_deref(), Some("map"), "{path}");
            assert_eq!(
                schema.x_kubernetes_list_map_keys.as_deref(),
                Some(&["type".to_owned()][..]),
                "{path}"
            );
        }
    });
    assert_eq!(seen, 2);
}

#[test]
fn names_are_those_of_gloo_mesh_and_collide_with_none() {
    let mut short_names = Vec::new();
    for crd in crds::all() {
        let spec = &crd.spec;
        assert_eq!(crd.metadata.name, Some(format!("{}.{}", spec.names.plural, spec.group)));
        assert_eq!(spec.scope, "Namespaced");
        assert_eq!(
            spec.names.categories.as_deref(),
            Some(&["certmesh".to_owned(), "gloo-mesh".to_owned()][..])
        );
        short_names.extend(spec.names.short_names.clone().unwrap());
    }
    assert_eq!(short_names, ["ic", "gcr", "pbd", "kc"]);
    assert!(short_names.iter().all(|name| !TAKEN_SHORT_NAMES.contains(&name.as_str())), "{short_names:?}");
    let groups: Vec<_> =
        crds::all().iter().map(|crd| (crd.spec.group.clone(), crd.spec.versions[0].name.clone())).collect();
    let certificates = ("certificates.mesh.gloo.solo.io".to_owned(), "v1".to_owned());
    assert!(groups[..3].iter().all(|group| *group == certificates));
    assert_eq!(groups[3], ("multicluster.solo.io".to_owned(), "v1alpha1".to_owned()));
}

#[test]
fn kubectl_get_shows_what_matters_and_status_is_a_subresource() {
    for crd in crds::all() {
        let version = &crd.spec.versions[0];
        assert!(version.served && version.storage);
        assert!(version.subresources.as_ref().unwrap().status.is_some(), "{}", crd.spec.names.kind);
        let columns = version.additional_printer_columns.as_ref().unwrap();
        assert_eq!(columns.last().unwrap().name, "Age");
    }
    let columns = crds::all()[0].spec.versions[0].additional_printer_columns.clone().unwrap();
    let names: Vec<_> = columns.iter().map(|column| column.name.as_str()).collect();
    assert_eq!(names, ["Ready", "State", "Secret", "Expires", "Reason", "Error", "Age"]);
    let wide: Vec<_> =
        columns.iter().filter(|column| column.priority > Some(0)).map(|column| &column.name).collect();
    assert_eq!(wide, ["Error"], "only the wide output is long");
}

#[test]
fn a_remote_cluster_learns_nothing_of_other_clusters() {
    let kinds: Vec<_> = crds::remote().into_iter().map(|crd| crd.spec.names.kind).collect();
    assert_eq!(kinds, ["IssuedCertificate", "CertificateRequest", "PodBounceDirective"]);
}
