//! From a stored CustomResourceDefinition to the resources it defines.

use std::sync::Arc;

use serde_json::{Value, json};

use super::built_in::STATUS_VERBS;
use super::{
    GroupResource, GroupVersionKind, GroupVersionResource, Internals, Origin, PrinterColumn,
    ResourceDefinition, Scope, SubresourceDefinition, Verb, type_meta,
};
use crate::meta::object_meta::{self, Object};
use crate::schema;
use crate::status::{FieldError, FieldPath};
use crate::strategy::{CustomResource, has_condition, read_versions, text_at, value_at};

/// The parts of a CRD that the store looks at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Crd {
    /// `plural.group`
    pub(crate) name: String,
    pub(crate) group: String,
    pub(crate) plural: String,
    pub(crate) singular: String,
    pub(crate) kind: String,
    pub(crate) list_kind: String,
    pub(crate) short_names: Vec<String>,
    pub(crate) terminating: bool,
    pub(crate) established: bool,
}

impl Crd {
    pub(crate) fn read(crd: &Object) -> Self {
        let text = |field: &str| text_at(crd, &["spec", "names", field]).to_owned();
        Self {
            name: object_meta::name(crd).to_owned(),
            group: text_at(crd, &["spec", "group"]).to_owned(),
            plural: text("plural"),
            singular: text("singular"),
            kind: text("kind"),
            list_kind: text("listKind"),
            short_names: texts(value_at(crd, &["spec", "names", "shortNames"])),
            terminating: object_meta::is_terminating(crd),
            established: has_condition(crd, "Established"),
        }
    }

    /// Where its objects lie.
    pub(crate) fn group_resource(&self) -> GroupResource {
        GroupResource::new(&self.group, &self.plural)
    }
}

fn texts(list: Option<&Value>) -> Vec<String> {
    let list = list.and_then(Value::as_array);
    list.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// The resources of a CRD: one per served version, sharing their storage. The stored CRD was checked when it was
/// written, so an error here means that its schema was valid then and is not now.
pub(crate) fn definitions(crd: &Object, epoch: u64) -> Result<Vec<ResourceDefinition>, Vec<FieldError>> {
    let read = Crd::read(crd);
    read_versions(crd)
        .filter(|version| version.get("served") == Some(&Value::Bool(true)))
        .map(|version| definition(crd, &read, version, epoch))
        .collect()
}

fn definition(
    crd: &Object,
    read: &Crd,
    version: &Object,
    epoch: u64,
) -> Result<ResourceDefinition, Vec<FieldError>> {
    let version_name = text_at(version, &["name"]);
    let id = GroupVersionResource::new(&read.group, version_name, &read.plural);
    let source = value_at(version, &["schema", "openAPIV3Schema"]).unwrap_or(&Value::Null);
    let has_status = value_at(version, &["subresources", "status"]).is_some();
    let kind: Arc<str> = read.kind.as_str().into();
    let strategy = CustomResource {
        kind: kind.clone(),
        api_version: id.api_version(),
        schema: schema::compile(source, &FieldPath::ROOT)?,
        has_status,
    };
    let scope = match text_at(crd, &["spec", "scope"]) {
        "Cluster" => Scope::Cluster,
        _ => Scope::Namespaced,
    };
    let status = SubresourceDefinition {
        name: "status",
        kind: GroupVersionKind::new(&read.group, version_name, &read.kind),
        verbs: STATUS_VERBS,
    };
    let selectable = value_at(version, &["selectableFields"]).and_then(Value::as_array);
    let selectable = selectable.into_iter().flatten().filter_map(|f| f.get("jsonPath")?.as_str());
    Ok(ResourceDefinition {
        list_kind: read.list_kind.as_str().into(),
        singular: read.singular.as_str().into(),
        short_names: read.short_names.clone(),
        categories: texts(value_at(crd, &["spec", "names", "categories"])),
        scope,
        verbs: vec![
            Verb::Delete,
            Verb::DeleteCollection,
            Verb::Get,
            Verb::List,
            Verb::Patch,
            Verb::Create,
            Verb::Update,
            Verb::Watch,
        ],
        subresources: if has_status { vec![status] } else { Vec::new() },
        printer_columns: columns(version),
        deprecation_warning: deprecation_warning(read, version),
        openapi_schema: Arc::new(source.clone()),
        internals: Internals {
            strategy: Arc::new(strategy),
            storage: id.group_resource(),
            origin: Origin::Custom { crd: read.name.as_str().into(), terminating: read.terminating },
            selectable: selectable.map(|path| path.trim_start_matches('.').into()).collect(),
            type_meta: type_meta(&kind, &id.api_version()),
            epoch,
        },
        kind,
        id,
    })
}

/// The CRD's own words, or else the real server's.
fn deprecation_warning(crd: &Crd, version: &Object) -> Option<String> {
    if version.get("deprecated") != Some(&Value::Bool(true)) {
        return None;
    }
    let given = version.get("deprecationWarning").and_then(Value::as_str).map(str::to_owned);
    let usual = || format!("{}/{} {} is deprecated", crd.group, text_at(version, &["name"]), crd.kind);
    Some(given.unwrap_or_else(usual))
}

/// The columns of one version; without any, the age.
fn columns(version: &Object) -> Vec<PrinterColumn> {
    let given = value_at(version, &["additionalPrinterColumns"]).and_then(Value::as_array);
    let age = json!([{
        "name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp",
        "description": "CreationTimestamp is a timestamp representing the server time when this object was created. It is \
                        not guaranteed to be set in happens-before order across separate operations. Clients may not set \
                        this value. It is represented in RFC3339 form and is in UTC.\n\nPopulated by the system. \
                        Read-only. Null for lists. More info: \
                        https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#metadata"
    }]);
    let list = given.filter(|c| !c.is_empty()).or_else(|| age.as_array());
    list.into_iter()
        .flatten()
        .map(|column| {
            let text = |name: &str| column.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
            let priority = column.get("priority").and_then(Value::as_i64).unwrap_or(0);
            PrinterColumn {
                name: text("name"),
                column_type: text("type"),
                format: text("format"),
                description: match text("description") {
                    empty if empty.is_empty() => {
                        format!(
                            "Custom resource definition column (in JSONPath format): {}",
                            text("jsonPath")
                        )
                    }
                    given => given,
                },
                priority: i32::try_from(priority).unwrap_or(0),
                json_path: Some(text("jsonPath")),
            }
        })
        .collect()
}
