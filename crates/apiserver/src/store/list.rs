//! Lists: selection, paging and versions.
//!
//! A page of a list shows one revision, also when objects change between pages: what changed since is undone from
//! the event log. When the log no longer reaches back, the client gets 410 and a token to go on inconsistently.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::json;

use super::StoredObject;
use super::continue_token::ContinueToken;
use super::state::{State, key_prefix};
use crate::resource::ResourceDefinition;
use crate::selector::{FieldSelector, LabelSelector};
use crate::status::{ApiStatus, FieldError, StatusCause, StatusDetails, StatusReason, go_quote};

/// `resourceVersionMatch`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ResourceVersionMatch {
    /// Exactly the state at `resourceVersion`.
    Exact,
    /// At least as new.
    NotOlderThan,
}

/// Options of list, and the selection of deletecollection.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct ListOptions {
    /// `labelSelector`
    pub label_selector: LabelSelector,
    /// `fieldSelector`
    pub field_selector: FieldSelector,
    /// `limit`; none or 0 is everything.
    pub limit: Option<usize>,
    /// `continue`
    pub continue_token: Option<String>,
    /// `resourceVersion`, as given.
    pub resource_version: Option<String>,
    /// `resourceVersionMatch`
    pub resource_version_match: Option<ResourceVersionMatch>,
}

/// What list answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectList {
    /// `v1` or `apps/v1`.
    pub api_version: String,
    /// `SecretList`
    pub kind: Arc<str>,
    /// The revision the list shows.
    pub resource_version: u64,
    /// The objects, in key order (namespace, name).
    pub items: Vec<Arc<StoredObject>>,
    /// For the next page.
    pub continue_token: Option<String>,
    /// How many more there are, where the server knows.
    pub remaining_item_count: Option<u64>,
    /// Whether items are written with `kind` and `apiVersion` (custom resources) or without (built-ins).
    pub items_carry_type: bool,
}

/// Reads a `resourceVersion`; absent, empty and `0` ask for nothing in particular.
pub(super) fn parse_resource_version(text: Option<&str>) -> Result<Option<u64>, ApiStatus> {
    match text.unwrap_or_default() {
        "" | "0" => Ok(None),
        text => text.parse().map(Some).map_err(|_| {
            let why = format!("strconv.ParseUint: parsing {}: invalid syntax", go_quote(text));
            let error = FieldError::invalid("resourceVersion", &json!(text), why);
            ApiStatus::bad_request(format!("invalid resource version: {error}"))
        }),
    }
}

/// The same where the real server does not expect an error: 500, and in other words.
pub(super) fn parse_resource_version_late(text: Option<&str>) -> Result<Option<u64>, ApiStatus> {
    parse_resource_version(text).map_err(|status| {
        let message = status.message.trim_start_matches("invalid resource version: ");
        ApiStatus::new(500, StatusReason::Unknown, message)
    })
}

/// 504 for a version that does not exist yet.
pub(super) fn not_from_the_future(requested: u64, newest: u64) -> Result<(), ApiStatus> {
    if requested <= newest {
        return Ok(());
    }
    let status = ApiStatus::timeout(format!("Too large resource version: {requested}, current: {newest}"), 1);
    Err(status.with_details(StatusDetails {
        causes: vec![StatusCause {
            reason: "ResourceVersionTooLarge".to_owned(),
            message: "Too large resource version".to_owned(),
            ..StatusCause::default()
        }],
        retry_after_seconds: 1,
        ..StatusDetails::default()
    }))
}

/// 400 for a field that this resource does not index. Names of events.k8s.io are translated to the stored form's.
pub(super) fn known_fields(
    selector: &FieldSelector,
    definition: &ResourceDefinition,
) -> Result<FieldSelector, ApiStatus> {
    let mut selector = selector.clone();
    let selectable = &definition.internals.selectable;
    for term in &mut selector.terms {
        let stored = stored_field(&term.field, definition);
        let known = matches!(&*stored, "metadata.name" | "metadata.namespace")
            || selectable.iter().any(|field| **field == *stored);
        if !known {
            let field = &term.field;
            return Err(ApiStatus::bad_request(if selectable.is_empty() && !definition.is_custom() {
                format!(
                    "{} is not a known field selector: only \"metadata.name\", \"metadata.namespace\"",
                    go_quote(field)
                )
            } else {
                format!("field label not supported: {field}")
            }));
        }
        term.field = stored;
    }
    Ok(selector)
}

fn stored_field(field: &str, definition: &ResourceDefinition) -> String {
    if *definition.id.group == *"events.k8s.io" {
        if let Some(rest) = field.strip_prefix("regarding") {
            return format!("involvedObject{rest}");
        }
        if field == "reportingController" {
            return "reportingComponent".to_owned();
        }
    }
    field.to_owned()
}

/// Whether an object is in the selection.
pub(super) fn selects(labels: &LabelSelector, fields: &FieldSelector, object: &StoredObject) -> bool {
    labels.matches(|key| object.label(key)) && fields.matches(|field| object.field(field))
}

/// What a list is made from.
struct Page {
    revision: u64,
    /// Keys up to here (relative to the prefix) were on earlier pages.
    after: Option<String>,
}

pub(super) fn list(
    state: &State,
    definition: &ResourceDefinition,
    namespace: Option<&str>,
    options: &ListOptions,
) -> Result<ObjectList, ApiStatus> {
    let fields = known_fields(&options.field_selector, definition)?;
    let prefix = key_prefix(namespace);
    let page = page(state, definition, options)?;
    let objects = objects_at(state, definition, &prefix, &page);
    let selected = |object: &StoredObject| selects(&options.label_selector, &fields, object);
    let limit = options.limit.filter(|l| *l > 0).unwrap_or(usize::MAX);

    let mut items = Vec::new();
    let mut last_key = None;
    let mut rest = objects.into_iter();
    for (key, object) in rest.by_ref() {
        if selected(object) {
            items.push(object.shown_as(definition));
            if items.len() >= limit {
                last_key = Some(key);
                break;
            }
        }
    }
    let left = rest.len();
    let continue_token = last_key.filter(|_| left > 0).map(|key| {
        let after = key.strip_prefix(prefix.as_str()).unwrap_or(key).to_owned();
        ContinueToken { revision: Some(page.revision), after }.encode()
    });
    let unselective = options.label_selector.is_empty() && fields.is_empty();
    Ok(ObjectList {
        api_version: definition.api_version(),
        kind: definition.list_kind.clone(),
        resource_version: page.revision,
        items,
        remaining_item_count: continue_token.as_ref().filter(|_| unselective).map(|_| left as u64),
        continue_token,
        items_carry_type: definition.is_custom(),
    })
}

/// Which revision is asked for, and from where on.
fn page(state: &State, definition: &ResourceDefinition, options: &ListOptions) -> Result<Page, ApiStatus> {
    let version = parse_resource_version(options.resource_version.as_deref())?;
    if let Some(token) = options.continue_token.as_deref().filter(|t| !t.is_empty()) {
        if version.is_some() {
            let why = "specifying resource version is not allowed when using continue";
            return Err(ApiStatus::bad_request(why));
        }
        return continued(state, definition, token);
    }
    let newest = Page { revision: state.revision, after: None };
    let Some(version) = version else { return Ok(newest) };
    not_from_the_future(version, state.revision)?;
    // Paging from a given version shows that version.
    let exact = options.resource_version_match == Some(ResourceVersionMatch::Exact)
        || (options.resource_version_match.is_none() && options.limit.is_some_and(|l| l > 0));
    if !exact {
        return Ok(newest);
    }
    if covers(state, definition, version) {
        Ok(Page { revision: version, after: None })
    } else {
        Err(ApiStatus::expired("The resourceVersion for the provided list is too old."))
    }
}

fn continued(state: &State, definition: &ResourceDefinition, token: &str) -> Result<Page, ApiStatus> {
    let token = ContinueToken::decode(token)?;
    match token.revision {
        None => Ok(Page { revision: state.revision, after: Some(token.after) }),
        Some(revision) => {
            not_from_the_future(revision, state.revision)?;
            if covers(state, definition, revision) {
                return Ok(Page { revision, after: Some(token.after) });
            }
            let go_on = ContinueToken { revision: None, after: token.after }.encode();
            Err(ApiStatus::expired(
                "The provided continue parameter is too old to display a consistent list result. You can start a new list \
                 without the continue parameter, or use the continue token in this response to retrieve the remainder of \
                 the results. Continuing with the provided token results in an inconsistent list - objects that were \
                 created, modified, or deleted between the time the first chunk was returned and now may show up in the \
                 list.",
            )
            .with_continue(go_on))
        }
    }
}

fn covers(state: &State, definition: &ResourceDefinition, revision: u64) -> bool {
    state.resource(&definition.internals.storage).is_none_or(|r| r.log.covers(revision))
}

/// The objects of a page's revision, by key.
fn objects_at<'s>(
    state: &'s State,
    definition: &ResourceDefinition,
    prefix: &'s str,
    page: &Page,
) -> Vec<(&'s str, &'s Arc<StoredObject>)> {
    let storage = &definition.internals.storage;
    let after = page.after.as_ref().map(|after| format!("{prefix}{after}"));
    let is_after = |key: &str| after.as_deref().is_none_or(|after| key > after);
    let present = state.objects(storage, prefix).map(|(k, o)| (&**k, o)).filter(|(k, _)| is_after(k));
    if page.revision >= state.revision {
        return present.collect();
    }
    let mut objects: BTreeMap<&str, &Arc<StoredObject>> = present.collect();
    if let Some(resource) = state.resource(storage) {
        // Newest first, so that each key ends at what it was right after the page's revision.
        let changes: Vec<_> = resource.log.after(page.revision).collect();
        for entry in changes.into_iter().rev().filter(|e| e.key.starts_with(prefix) && is_after(&e.key)) {
            match &entry.previous {
                Some(previous) => objects.insert(&entry.key, previous),
                None => objects.remove(&*entry.key),
            };
        }
    }
    objects.into_iter().collect()
}
