//! `cargo xtask protobuf`: the table of messages by which the embedded API server reads protobuf.
//!
//! ```text
//!  rig/go.mod ──▶ the Go modules of that Kubernetes ──▶ go_types: structs and their tags ──▶ messages.txt
//! ```
//!
//! Needed when rig/go.mod moves to another Kubernetes, or when the server learns another built-in kind (KINDS).

mod go_types;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use go_types::{Field, Package};

use crate::failure::Failure;
use crate::process::Logged;
use crate::tools;
use crate::workspace::Workspace;

const TABLE: &str = "crates/apiserver/src/http/protobuf/messages.txt";

const HEAD: &str = "\
# Protobuf messages of the built-in kinds, from the struct tags of k8s.io/{api,apimachinery,apiextensions-apiserver}.
# Written by `cargo xtask protobuf`.
#
# MESSAGE, then one line per field: NUMBER JSON-NAME TYPE. `?` after the name: left out of JSON when empty. Before the type:
# `*` a pointer in Go, so present even if zero; `[]` repeated; `{}` a map from strings; `^` inlined into the parent.
";

/// Packages by the name that the table gives them, and where they are in which module.
const PACKAGES: &[(&str, &str, &str)] = &[
    ("admissionregistration/v1", API, "admissionregistration/v1"),
    ("apps/v1", API, "apps/v1"),
    ("authentication/v1", API, "authentication/v1"),
    ("authorization/v1", API, "authorization/v1"),
    ("autoscaling/v1", API, "autoscaling/v1"),
    ("autoscaling/v2", API, "autoscaling/v2"),
    ("batch/v1", API, "batch/v1"),
    ("coordination/v1", API, "coordination/v1"),
    ("core/v1", API, "core/v1"),
    ("discovery/v1", API, "discovery/v1"),
    ("events/v1", API, "events/v1"),
    ("networking/v1", API, "networking/v1"),
    ("policy/v1", API, "policy/v1"),
    ("rbac/v1", API, "rbac/v1"),
    ("scheduling/v1", API, "scheduling/v1"),
    ("scheduling/v1alpha3", API, "scheduling/v1alpha3"),
    ("storage/v1", API, "storage/v1"),
    ("meta/v1", MACHINERY, "pkg/apis/meta/v1"),
    ("apiextensions/v1", EXTENSIONS, "pkg/apis/apiextensions/v1"),
];

const API: &str = "k8s.io/api";
const MACHINERY: &str = "k8s.io/apimachinery";
const EXTENSIONS: &str = "k8s.io/apiextensions-apiserver";

/// The kinds that clients may send; what they refer to follows by itself.
const KINDS: &[(&str, &str)] = &[
    (
        "admissionregistration/v1",
        "MutatingWebhookConfiguration ValidatingAdmissionPolicy ValidatingAdmissionPolicyBinding ValidatingWebhookConfiguration",
    ),
    ("apiextensions/v1", "CustomResourceDefinition"),
    ("apps/v1", "ControllerRevision DaemonSet Deployment ReplicaSet StatefulSet"),
    ("authentication/v1", "SelfSubjectReview TokenRequest TokenReview"),
    (
        "authorization/v1",
        "LocalSubjectAccessReview SelfSubjectAccessReview SelfSubjectRulesReview SubjectAccessReview",
    ),
    ("autoscaling/v1", "HorizontalPodAutoscaler Scale"),
    ("autoscaling/v2", "HorizontalPodAutoscaler"),
    ("batch/v1", "CronJob Job"),
    ("coordination/v1", "Lease"),
    (
        "core/v1",
        "ConfigMap Endpoints Event LimitRange Namespace Node PersistentVolume PersistentVolumeClaim Pod PodTemplate \
         ReplicationController ResourceQuota Secret Service ServiceAccount",
    ),
    ("discovery/v1", "EndpointSlice"),
    ("events/v1", "Event"),
    ("meta/v1", "DeleteOptions"),
    ("networking/v1", "Ingress IngressClass NetworkPolicy"),
    ("policy/v1", "Eviction PodDisruptionBudget"),
    ("rbac/v1", "ClusterRole ClusterRoleBinding Role RoleBinding"),
    ("scheduling/v1", "PriorityClass"),
    ("storage/v1", "StorageClass"),
];

/// Types whose JSON is not that of their fields.
const SPECIAL: &[(&str, &str)] = &[
    ("apiextensions/v1.JSON", "raw"),
    ("apiextensions/v1.JSONSchemaPropsOrArray", "schemaorarray"),
    ("apiextensions/v1.JSONSchemaPropsOrBool", "schemaorbool"),
    ("apiextensions/v1.JSONSchemaPropsOrStringArray", "schemaorstrings"),
    ("authentication/v1.AttestationValue", "items"),
    ("authentication/v1.ExtraValue", "items"),
    ("authorization/v1.ExtraValue", "items"),
    ("intstr.IntOrString", "intorstring"),
    ("meta/v1.Duration", "duration"),
    ("meta/v1.FieldsV1", "raw"),
    ("meta/v1.MicroTime", "microtime"),
    ("meta/v1.Time", "time"),
    ("resource.Quantity", "quantity"),
    ("runtime.RawExtension", "raw"),
];

/// Writes the table, or fails if it is not what would be written.
pub(crate) fn run(workspace: &Workspace, check: bool) -> Result<String, Failure> {
    let table = table(&packages(workspace)?)?;
    let path = workspace.root().join(TABLE);
    if !check {
        std::fs::write(&path, table).map_err(|error| Failure::io("writing", &path, &error))?;
        return Ok(format!("{TABLE} is written"));
    }
    let written = std::fs::read_to_string(&path).map_err(|error| Failure::io("reading", &path, &error))?;
    if written == table {
        Ok(format!("{TABLE} is current"))
    } else {
        Err(Failure::new(format!("{TABLE} is not what the Go types say"), "run `cargo xtask protobuf`"))
    }
}

type Packages = HashMap<&'static str, Package>;

fn packages(workspace: &Workspace) -> Result<Packages, Failure> {
    let modules = modules(workspace)?;
    let mut packages = Packages::new();
    for (name, module, folder) in PACKAGES {
        let package = packages.entry(name).or_default();
        let Some(module) = modules.get(*module) else {
            return Err(Failure::new(format!("rig/go.mod does not lead to {module}"), "restore it with git"));
        };
        read_folder(package, &module.join(folder))?;
    }
    Ok(packages)
}

/// Where the modules' sources are, downloaded first if need be.
fn modules(workspace: &Workspace) -> Result<HashMap<String, PathBuf>, Failure> {
    let go = tools::go::locate_or_install(workspace)?;
    let go = |log: &str| {
        let command = Logged::new(workspace, log, &go).directory(&workspace.root().join("rig"));
        command.env("GOTOOLCHAIN", "local").env("GOFLAGS", "-mod=readonly")
    };
    let advice = "see that the Go module proxy can be reached";
    go("download-modules").args(["mod", "download", API, MACHINERY, EXTENSIONS]).run(advice)?;
    let listed = go("list-modules")
        .args(["list", "-m", "-f", "{{.Path}} {{.Dir}}", API, MACHINERY, EXTENSIONS])
        .run(advice)?;
    let lines = listed.lines().filter_map(|line| line.split_once(' '));
    Ok(lines.map(|(path, folder)| (path.to_owned(), PathBuf::from(folder))).collect())
}

fn read_folder(package: &mut Package, folder: &Path) -> Result<(), Failure> {
    let failed = |error: &std::io::Error| Failure::io("reading", folder, error);
    for entry in std::fs::read_dir(folder).map_err(|error| failed(&error))? {
        let path = entry.map_err(|error| failed(&error))?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let is_source = path.extension().is_some_and(|extension| extension == "go");
        if is_source && !name.ends_with("_test.go") && !name.starts_with("zz_") && !name.contains("generated")
        {
            package.read(&std::fs::read_to_string(&path).map_err(|error| failed(&error))?);
        }
    }
    Ok(())
}

/// The table's text: the kinds and all that they lead to, in order.
fn table(packages: &Packages) -> Result<String, Failure> {
    let named =
        KINDS.iter().flat_map(|(package, kinds)| kinds.split_whitespace().map(move |kind| (*package, kind)));
    let mut wanted: Vec<(&'static str, String)> =
        named.map(|(package, kind)| (package, kind.to_owned())).collect();
    let mut messages = BTreeMap::new();
    while let Some((package, name)) = wanted.pop() {
        if messages.contains_key(&(package, name.clone())) {
            continue;
        }
        let Some(fields) = packages.get(package).and_then(|types| types.structs.get(&name)) else {
            return Err(unknown(package, &name));
        };
        let mut lines = BTreeSet::new();
        for field in fields {
            let mut referred = Vec::new();
            let described = describe(packages, package, &field.go_type, &mut referred)?;
            lines.insert((field.number, line(field, &described)));
            wanted.extend(referred);
        }
        messages.insert((package, name), lines);
    }
    let mut text = HEAD.to_owned();
    for ((package, name), lines) in messages {
        // Writing to a string does not fail.
        let _ = writeln!(text, "{package}.{name}");
        for (_, line) in lines {
            let _ = writeln!(text, " {line}");
        }
    }
    Ok(text)
}

fn line(field: &Field, described: &str) -> String {
    match &field.name {
        Some(name) => {
            format!("{} {name}{} {described}", field.number, if field.omit_empty { "?" } else { "" })
        }
        None => format!("{} - ^{}", field.number, described.trim_start_matches('*')),
    }
}

/// A Go type in the table's words; messages that it names are added to `referred`.
fn describe(
    packages: &Packages,
    package: &'static str,
    go_type: &str,
    referred: &mut Vec<(&'static str, String)>,
) -> Result<String, Failure> {
    if go_type == "[]byte" {
        return Ok("bytes".to_owned());
    }
    if let Some((prefix, inner)) = wrapper(go_type) {
        return Ok(format!("{prefix}{}", describe(packages, package, inner, referred)?));
    }
    if let Some(scalar) = scalar(go_type) {
        return Ok(scalar.to_owned());
    }
    let Some((home, name)) = home(packages, package, go_type) else { return Err(unknown(package, go_type)) };
    if home == "types" {
        return Ok("string".to_owned());
    }
    let full = format!("{home}.{name}");
    if let Some((_, word)) = SPECIAL.iter().find(|(special, _)| *special == full) {
        return Ok((*word).to_owned());
    }
    let Some((home, types)) = packages.get_key_value(home) else { return Err(unknown(package, go_type)) };
    if let Some(alias) = types.aliases.get(name) {
        return describe(packages, home, alias, referred);
    }
    referred.push((home, name.to_owned()));
    Ok(full)
}

fn wrapper(go_type: &str) -> Option<(&'static str, &str)> {
    if let Some(inner) = go_type.strip_prefix('*') {
        return Some(("*", inner));
    }
    if let Some(inner) = go_type.strip_prefix("[]") {
        return Some(("[]", inner));
    }
    let (_, inner) = go_type.strip_prefix("map[")?.split_once(']')?;
    Some(("{}", inner))
}

fn scalar(go_type: &str) -> Option<&'static str> {
    match go_type {
        "string" => Some("string"),
        "bool" => Some("bool"),
        "int" | "int32" | "int64" | "uint8" | "uint32" => Some("int"),
        "float64" => Some("double"),
        _ => None,
    }
}

/// The package that a type is from, in the table's words, and its name there.
fn home<'a>(packages: &'a Packages, package: &'static str, go_type: &'a str) -> Option<(&'a str, &'a str)> {
    let Some((import, name)) = go_type.split_once('.') else { return Some((package, go_type)) };
    let path = packages.get(package)?.imports.get(import)?;
    if let Some(of_api) = path.strip_prefix("k8s.io/api/") {
        return Some((of_api, name));
    }
    let home = if path.ends_with("/apis/meta/v1") { "meta/v1" } else { path.rsplit('/').next()? };
    Some((home, name))
}

fn unknown(package: &str, name: &str) -> Failure {
    Failure::new(
        format!("no type {name} is known in {package}"),
        "add its package to PACKAGES in xtask/src/protobuf/mod.rs, or the type to SPECIAL",
    )
}
