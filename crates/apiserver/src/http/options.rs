//! Query parameters and `DeleteOptions` bodies, as the options that the store's verbs take.

use bytes::Bytes;
use k8s_openapi::apimachinery::pkg::apis::meta::v1 as meta;
use serde::Deserialize;
use serde_json::json;

use super::{
    decode,
    negotiate::BodyFormat,
    query::{Query, QueryError},
};
use crate::{
    resource::GroupKind,
    selector::{FieldSelector, LabelSelector},
    status::{ApiStatus, FieldError, go_quote},
    store::{
        DeleteOptions, FieldValidation, GetOptions, ListOptions, Preconditions, PropagationPolicy,
        ResourceVersionMatch, WatchOptions, WriteOptions,
    },
    table::IncludeObject,
};

const META_GROUP: &str = "meta.k8s.io";
const MAX_FIELD_MANAGER_CHARS: usize = 128;

impl From<QueryError> for ApiStatus {
    fn from(error: QueryError) -> Self {
        Self::bad_request(error.to_string())
    }
}

fn invalid(options_kind: &str, error: FieldError) -> ApiStatus {
    ApiStatus::invalid(&GroupKind::new(META_GROUP, options_kind), "", &[error])
}

/// Options of a `GET` of one object.
pub(crate) fn get(query: &Query) -> GetOptions {
    GetOptions { resource_version: query.text("resourceVersion").map(str::to_owned) }
}

/// Options of a list.
pub(crate) fn list(query: &Query) -> Result<ListOptions, ApiStatus> {
    if query.optional_flag("sendInitialEvents").is_some() {
        let detail = "sendInitialEvents is forbidden for list";
        return Err(invalid("ListOptions", FieldError::forbidden("sendInitialEvents", detail)));
    }
    let (matching, version) = (query.text("resourceVersionMatch"), query.text("resourceVersion"));
    let forbidden = match (matching, version) {
        (Some(_), None) => Some("resourceVersionMatch is forbidden unless resourceVersion is provided"),
        (Some("Exact"), Some("0")) => {
            Some("resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"")
        }
        _ => None,
    };
    let forbidden = forbidden.map(|detail| FieldError::forbidden("resourceVersionMatch", detail));
    let resource_version_match = resource_version_match(query, forbidden.into_iter().collect())?;
    // Means nothing for a list, and is read nevertheless.
    query.integer("timeoutSeconds")?;
    Ok(ListOptions {
        label_selector: label_selector(query)?,
        field_selector: field_selector(query)?,
        limit: query.integer("limit")?.and_then(|limit| usize::try_from(limit).ok()),
        continue_token: query.text("continue").map(str::to_owned),
        resource_version: query.text("resourceVersion").map(str::to_owned),
        resource_version_match,
    })
}

/// Options of a watch.
pub(crate) fn watch(query: &Query) -> Result<WatchOptions, ApiStatus> {
    Ok(WatchOptions {
        label_selector: label_selector(query)?,
        field_selector: field_selector(query)?,
        resource_version: query.text("resourceVersion").map(str::to_owned),
        resource_version_match: resource_version_match(query, Vec::new())?,
        allow_bookmarks: query.flag("allowWatchBookmarks"),
        send_initial_events: query.optional_flag("sendInitialEvents"),
    })
}

fn label_selector(query: &Query) -> Result<LabelSelector, ApiStatus> {
    query.text("labelSelector").map_or_else(|| Ok(LabelSelector::default()), LabelSelector::parse)
}

fn field_selector(query: &Query) -> Result<FieldSelector, ApiStatus> {
    query.text("fieldSelector").map_or_else(|| Ok(FieldSelector::default()), FieldSelector::parse)
}

/// The match of a list or watch, with all that is wrong with it.
fn resource_version_match(
    query: &Query,
    mut errors: Vec<FieldError>,
) -> Result<Option<ResourceVersionMatch>, ApiStatus> {
    let matching = match query.text("resourceVersionMatch") {
        None => None,
        Some("Exact") => Some(ResourceVersionMatch::Exact),
        Some("NotOlderThan") => Some(ResourceVersionMatch::NotOlderThan),
        Some(other) => {
            let supported = ["Exact", "NotOlderThan", ""];
            errors.push(FieldError::not_supported("resourceVersionMatch", &json!(other), &supported));
            None
        }
    };
    if errors.is_empty() {
        return Ok(matching);
    }
    Err(ApiStatus::invalid(&GroupKind::new(META_GROUP, "ListOptions"), "", &errors))
}

/// Options of a create (`CreateOptions`), update (`UpdateOptions`) or patch (`PatchOptions`).
pub(crate) fn write(query: &Query, options_kind: &str) -> Result<WriteOptions, ApiStatus> {
    check_field_manager(query, options_kind)?;
    if options_kind == "PatchOptions" && query.optional_flag("force").is_some() {
        let error = FieldError::forbidden("force", "may not be specified for non-apply patch");
        return Err(invalid(options_kind, error));
    }
    let field_validation = match query.text("fieldValidation").unwrap_or_default() {
        "" | "Warn" => FieldValidation::Warn,
        "Ignore" => FieldValidation::Ignore,
        "Strict" => FieldValidation::Strict,
        other => {
            let supported = ["", "Ignore", "Strict", "Warn"];
            let error = FieldError::not_supported("fieldValidation", &json!(other), &supported);
            return Err(invalid(options_kind, error));
        }
    };
    let dry_run = dry_run(query.all("dryRun"), options_kind)?;
    Ok(WriteOptions { dry_run, field_validation })
}

fn check_field_manager(query: &Query, options_kind: &str) -> Result<(), ApiStatus> {
    let manager = query.text("fieldManager").unwrap_or_default();
    if manager.chars().count() > MAX_FIELD_MANAGER_CHARS {
        return Err(invalid(options_kind, FieldError::too_long("fieldManager", MAX_FIELD_MANAGER_CHARS)));
    }
    if let Some((position, character)) = manager.char_indices().find(|(_, c)| c.is_control()) {
        let why = format!("invalid character U+{:04X} (at position {position})", u32::from(character));
        return Err(invalid(options_kind, FieldError::invalid("fieldManager", &json!(manager), why)));
    }
    Ok(())
}

fn dry_run<'a>(values: impl Iterator<Item = &'a str>, options_kind: &str) -> Result<bool, ApiStatus> {
    let values: Vec<&str> = values.filter(|value| !value.is_empty()).collect();
    if values.iter().any(|value| *value != "All") {
        let error = FieldError::not_supported("dryRun", &json!(values), &["All"]);
        return Err(invalid(options_kind, error));
    }
    Ok(!values.is_empty())
}

/// A `DeleteOptions` body; the published type cannot be used because both of its groups (`v1`, `meta.k8s.io/v1`) are
/// sent, and so are other kinds of no consequence.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct DeleteBody {
    kind: Option<String>,
    api_version: Option<String>,
    grace_period_seconds: Option<i64>,
    preconditions: Option<meta::Preconditions>,
    orphan_dependents: Option<bool>,
    propagation_policy: Option<String>,
    dry_run: Option<Vec<String>>,
}

/// Options of a delete or deletecollection: the body's if there is one, else the query's.
pub(crate) fn delete(query: &Query, format: BodyFormat, body: &Bytes) -> Result<DeleteOptions, ApiStatus> {
    let body = if body.is_empty() { from_query(query)? } else { decode::options(format, body)? };
    check_delete_kind(&body)?;
    if body.orphan_dependents.is_some() && body.propagation_policy.is_some() {
        let detail = "orphanDependents and deletionPropagation cannot be both set";
        let error = FieldError::invalid("propagationPolicy", &json!(body.propagation_policy), detail);
        return Err(invalid("DeleteOptions", error));
    }
    let preconditions = body.preconditions.unwrap_or_default();
    let dry_run_values = body.dry_run.unwrap_or_default();
    Ok(DeleteOptions {
        grace_period_seconds: body.grace_period_seconds,
        preconditions: Preconditions {
            uid: preconditions.uid,
            resource_version: preconditions.resource_version,
        },
        propagation_policy: propagation_policy(body.propagation_policy.as_deref(), body.orphan_dependents)?,
        dry_run: dry_run(dry_run_values.iter().map(String::as_str), "DeleteOptions")?,
    })
}

/// A body of another kind is a mistake that would delete.
fn check_delete_kind(body: &DeleteBody) -> Result<(), ApiStatus> {
    match body.kind.as_deref().unwrap_or_default() {
        "" | "DeleteOptions" => Ok(()),
        kind => Err(ApiStatus::bad_request(format!(
            "no kind {} is registered for version {} in scheme \"pkg/runtime/scheme.go:111\"",
            go_quote(kind),
            go_quote(body.api_version.as_deref().unwrap_or_default())
        ))),
    }
}

fn from_query(query: &Query) -> Result<DeleteBody, ApiStatus> {
    Ok(DeleteBody {
        kind: None,
        api_version: None,
        grace_period_seconds: query.integer("gracePeriodSeconds")?,
        preconditions: None,
        orphan_dependents: query.optional_flag("orphanDependents"),
        propagation_policy: query.text("propagationPolicy").map(str::to_owned),
        dry_run: Some(query.all("dryRun").map(str::to_owned).collect()),
    })
}

fn propagation_policy(
    policy: Option<&str>,
    orphan: Option<bool>,
) -> Result<Option<PropagationPolicy>, ApiStatus> {
    match (policy, orphan) {
        (None, None) => Ok(None),
        (None, Some(true)) | (Some("Orphan"), _) => Ok(Some(PropagationPolicy::Orphan)),
        (None, Some(false)) | (Some("Background"), _) => Ok(Some(PropagationPolicy::Background)),
        (Some("Foreground"), _) => Ok(Some(PropagationPolicy::Foreground)),
        (Some(other), _) => {
            let supported = ["Foreground", "Background", "Orphan", "nil"];
            let error = FieldError::not_supported("propagationPolicy", &json!(other), &supported);
            Err(invalid("DeleteOptions", error))
        }
    }
}

/// `includeObject` of a table request.
pub(crate) fn include_object(query: &Query) -> Result<IncludeObject, ApiStatus> {
    match query.text("includeObject") {
        None | Some("Metadata") => Ok(IncludeObject::Metadata),
        Some("None") => Ok(IncludeObject::None),
        Some("Object") => Ok(IncludeObject::Object),
        Some(other) => Err(ApiStatus::bad_request(format!(
            "Unable to convert to Table as requested: includeObject: Invalid value: {other:?}: must be 'Metadata', \
             'Object', 'None', or empty"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delete_with(query: &str, body: &'static str) -> Result<DeleteOptions, ApiStatus> {
        delete(&Query::parse(query), BodyFormat::Json, &Bytes::from_static(body.as_bytes()))
    }

    #[test]
    fn delete_options_come_from_the_body_or_else_the_query() {
        let query = delete_with("gracePeriodSeconds=5&propagationPolicy=Foreground&dryRun=All", "").unwrap();
        assert_eq!(query.grace_period_seconds, Some(5));
        assert_eq!(query.propagation_policy, Some(PropagationPolicy::Foreground));
        assert!(query.dry_run);
        let body = delete_with(
            "gracePeriodSeconds=5",
            r#"{"kind":"DeleteOptions","apiVersion":"v1","preconditions":{"uid":"u"},"orphanDependents":true}"#,
        )
        .unwrap();
        assert_eq!(body.grace_period_seconds, None);
        assert_eq!(body.preconditions.uid.as_deref(), Some("u"));
        assert_eq!(body.propagation_policy, Some(PropagationPolicy::Orphan));
    }

    #[test]
    fn what_options_do_not_offer_is_refused_by_name() {
        let write = |text: &str, kind| super::write(&Query::parse(text), kind).unwrap_err().message;
        let rows = [
            (
                write("dryRun=Some", "CreateOptions"),
                "CreateOptions.meta.k8s.io \"\" is invalid: dryRun: Unsupported value: [\"Some\"]: supported values: \"All\"",
            ),
            (
                write("fieldValidation=Loose", "UpdateOptions"),
                "UpdateOptions.meta.k8s.io \"\" is invalid: fieldValidation: Unsupported value: \"Loose\": supported \
                 values: \"\", \"Ignore\", \"Strict\", \"Warn\"",
            ),
            (
                write("force=true", "PatchOptions"),
                "PatchOptions.meta.k8s.io \"\" is invalid: force: Forbidden: may not be specified for non-apply patch",
            ),
            (
                delete_with("propagationPolicy=Some", "").unwrap_err().message,
                "DeleteOptions.meta.k8s.io \"\" is invalid: propagationPolicy: Unsupported value: \"Some\": supported \
                 values: \"Foreground\", \"Background\", \"Orphan\", \"nil\"",
            ),
            (
                list(&Query::parse("sendInitialEvents=true")).unwrap_err().message,
                "ListOptions.meta.k8s.io \"\" is invalid: sendInitialEvents: Forbidden: sendInitialEvents is forbidden for \
                 list",
            ),
        ];
        for (message, expected) in rows {
            assert_eq!(message, expected);
        }
        assert_eq!(list(&Query::parse("limit=many")).unwrap_err().code, 400);
    }
}
