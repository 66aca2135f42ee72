//! Requests about stored objects: each verb read from the request, done by the store, and answered in the form asked
//! for.

use std::sync::Arc;

use http::{Method, StatusCode};
use serde::de::IgnoredAny;

use super::{
    Call, decode,
    negotiate::{self, Accepted, Encoding, View},
    options,
    request_info::ResourceRequest,
    response::{self, ApiResponse},
    review,
    view::{EventView, ObjectView},
    watch::{self, Watch},
};
use crate::{
    patch::Patch,
    resource::{ResourceDefinition, Scope, Verb},
    status::{ApiStatus, StatusDetails, StatusReason, go_quote},
    store::{Deleted, GetOptions, ObjectBody, Store, Subresource, Written},
    table::IncludeObject,
};

/// Answers an authorized request about a resource.
pub(super) fn answer(call: &Call<'_>, request: &ResourceRequest) -> Result<ApiResponse, ApiStatus> {
    if let Some(answer) = review::answer(call, request) {
        return answer;
    }
    if *call.method == Method::HEAD {
        return Err(ApiStatus::method_not_allowed_on_path());
    }
    let store = call.cluster.store();
    let Some(resource) = store.resource(&request.group_version_resource()) else {
        return not_served(store, &request.group);
    };
    let namespace = match namespace_of(request, &resource) {
        Ok(namespace) => namespace,
        Err(_) if resource.is_custom() => return Ok(response::page_not_found()),
        Err(WrongScope::NeedsNamespace) => return Err(ApiStatus::method_not_allowed_on_path()),
        Err(WrongScope::HasNone) => return Err(ApiStatus::resource_not_found()),
    };
    if let Some(problem) = request.name.as_deref().and_then(path_segment_problem) {
        let name = go_quote(request.name.as_deref().unwrap_or_default());
        return Err(ApiStatus::bad_request(format!("Name parameter invalid: {name}: {problem}")));
    }
    let target = Target { store, resource, request, namespace };
    let answer = match request.subresource.as_deref() {
        None => target.object_or_collection(call),
        Some(name) => target.subresource(call, name),
    };
    let deprecation = target.resource.deprecation_warning.as_slice();
    match answer {
        Ok(answer) => Ok(response::with_warnings(answer, deprecation)),
        Err(status) => Err(status.with_earlier_warnings(deprecation.iter().cloned())),
    }
}

/// The answer for a resource or version that is not served: a Status in the groups that are built in, a bare 404 in others.
pub(super) fn not_served(store: &Store, group: &str) -> Result<ApiResponse, ApiStatus> {
    let is_review = review::KINDS.iter().any(|kind| kind.group == group);
    let is_built_in = store.resources().iter().any(|known| &*known.id.group == group && !known.is_custom());
    if is_review || is_built_in {
        Err(ApiStatus::resource_not_found())
    } else {
        Ok(response::page_not_found())
    }
}

/// Why a name cannot stand in a path (`k8s.io/apimachinery/pkg/api/validate/content.IsPathSegmentName`).
fn path_segment_problem(name: &str) -> Option<&'static str> {
    match name {
        "." => Some("may not be '.'"),
        ".." => Some("may not be '..'"),
        name if name.contains('%') => Some("may not contain '%'"),
        _ => None,
    }
}

/// The path does not fit the scope of its resource.
enum WrongScope {
    /// A namespaced resource without a namespace.
    NeedsNamespace,
    /// A cluster-scoped resource in a namespace.
    HasNone,
}

/// The namespace the store is asked for.
fn namespace_of<'a>(
    request: &'a ResourceRequest,
    resource: &ResourceDefinition,
) -> Result<Option<&'a str>, WrongScope> {
    let is_namespace = request.group.is_empty() && request.resource == "namespaces";
    match (resource.scope, request.namespace.as_deref()) {
        (Scope::Cluster, None) => Ok(None),
        // A namespace is in itself as far as authorization is concerned.
        (Scope::Cluster, name) if is_namespace && name == request.name.as_deref() => Ok(None),
        (Scope::Cluster, Some(_)) => Err(WrongScope::HasNone),
        (Scope::Namespaced, None) if !matches!(request.verb, Verb::List | Verb::Watch) => {
            Err(WrongScope::NeedsNamespace)
        }
        (Scope::Namespaced, namespace) => Ok(namespace),
    }
}

/// The resource a request is about.
struct Target<'a> {
    store: &'a Arc<Store>,
    resource: Arc<ResourceDefinition>,
    request: &'a ResourceRequest,
    namespace: Option<&'a str>,
}

impl Target<'_> {
    fn object_or_collection(&self, call: &Call<'_>) -> Result<ApiResponse, ApiStatus> {
        if !self.resource.verbs.contains(&self.request.verb) {
            return Err(ApiStatus::method_not_allowed_on_path());
        }
        match (self.request.verb, self.request.name.as_deref()) {
            (Verb::List, _) => self.list(call),
            (Verb::Watch, _) => self.watch(call),
            (Verb::DeleteCollection, _) => self.delete_collection(call),
            (Verb::Create, None) => self.create(call),
            // The real server does not look at the name in the path either.
            (Verb::Create, Some(_)) if self.resource.is_custom() => self.create(call),
            (Verb::Get, Some(name)) => self.get(call, name),
            (Verb::Update, Some(name)) => self.update(call, name, Subresource::None),
            (Verb::Patch, Some(name)) => self.patch(call, name, Subresource::None),
            (Verb::Delete, Some(name)) => self.delete(call, name),
            (Verb::Update | Verb::Patch, None) if self.resource.is_custom() => {
                Err(ApiStatus::bad_request("name must be provided"))
            }
            _ => Err(ApiStatus::method_not_allowed_on_path()),
        }
    }

    fn subresource(&self, call: &Call<'_>, subresource: &str) -> Result<ApiResponse, ApiStatus> {
        let (Some(definition), Some(name), false) = (
            self.resource.subresource(subresource),
            self.request.name.as_deref(),
            self.request.has_trailing_segments,
        ) else {
            return Err(self.no_subresource());
        };
        if !definition.verbs.contains(&self.request.verb) {
            return Err(if self.resource.is_custom() {
                ApiStatus::method_not_allowed(&self.resource.group_resource(), self.request.verb.as_str())
            } else {
                ApiStatus::method_not_allowed_on_path()
            });
        }
        let part = match subresource {
            "status" => Subresource::Status,
            "finalize" => Subresource::Finalize,
            "eviction" => return self.evict(call, name),
            "token" => return review::service_account_token(call, self.namespace.unwrap_or_default(), name),
            _ => return Err(self.no_subresource()),
        };
        match self.request.verb {
            Verb::Get => self.get(call, name),
            Verb::Update => self.update(call, name, part),
            Verb::Patch => self.patch(call, name, part),
            _ => Err(ApiStatus::method_not_allowed_on_path()),
        }
    }

    /// 404 for a subresource that is not there; of a custom resource, the real server says that the object is not.
    fn no_subresource(&self) -> ApiStatus {
        if self.resource.is_custom() {
            let name = self.request.name.as_deref().unwrap_or_default();
            return ApiStatus::not_found(&self.resource.group_resource(), name);
        }
        ApiStatus::resource_not_found()
    }

    fn view(&self, call: &Call<'_>) -> Result<ObjectView, ApiStatus> {
        let is_list = matches!(self.request.verb, Verb::List | Verb::DeleteCollection);
        let accepted = negotiate::accepted(call.headers, is_list).map_err(|status| {
            // The real server's router knows nothing of custom resources, so their handler says it.
            if status.code == 406 && self.resource.is_custom() && status.details.is_some() {
                return ApiStatus::not_acceptable(&negotiate::MEDIA_TYPES);
            }
            status
        })?;
        let include = if accepted.view == View::Table {
            options::include_object(call.query)?
        } else {
            IncludeObject::default()
        };
        Ok(ObjectView {
            resource: Arc::clone(&self.resource),
            accepted,
            include,
            now: (self.store.clock())(),
        })
    }

    fn get(&self, call: &Call<'_>, name: &str) -> Result<ApiResponse, ApiStatus> {
        let view = self.view(call)?;
        let object = self.store.get(&self.resource.id, self.namespace, name, &options::get(call.query))?;
        view.object(StatusCode::OK, &object)
    }

    fn list(&self, call: &Call<'_>) -> Result<ApiResponse, ApiStatus> {
        let view = self.view(call)?;
        let list = self.store.list(&self.resource.id, self.namespace, &options::list(call.query)?)?;
        view.list(&list)
    }

    fn watch(&self, call: &Call<'_>) -> Result<ApiResponse, ApiStatus> {
        let view = self.view(call)?;
        if view.accepted.encoding != Encoding::Json {
            return Err(ApiStatus::not_acceptable(&negotiate::WATCH_TYPES));
        }
        let timeout = call.query.seconds("timeoutSeconds")?.unwrap_or_else(watch::default_timeout);
        // Before the cursor is placed, so that no commit after it goes unnoticed.
        let commits = call.cluster.commits(&self.resource.internals.storage);
        let cursor =
            match self.store.watch_start(&self.resource.id, self.namespace, &options::watch(call.query)?) {
                Ok(cursor) => cursor,
                // As the real server: the watch starts, and its first event is the error.
                Err(status) if status.code == 410 => return Ok(watch::only_error(&status)),
                Err(status) => return Err(status),
            };
        let watch = Watch {
            store: Arc::clone(self.store),
            cursor,
            commits,
            timeout,
            ending: call.ending.clone(),
            view: EventView::new(view, self.store.clock().clone()),
        };
        Ok(response::stream(watch.into_stream()))
    }

    fn create(&self, call: &Call<'_>) -> Result<ApiResponse, ApiStatus> {
        let view = self.view(call)?;
        let options = options::write(call.query, "CreateOptions")?;
        let body = self.body(call)?;
        let written = self.store.create(&self.resource.id, self.namespace, body, &options)?;
        written_answer(&view, &written)
    }

    fn body(&self, call: &Call<'_>) -> Result<ObjectBody, ApiStatus> {
        let kind = &self.resource.kind;
        let body = decode::object(negotiate::body_format(call.headers)?, &call.body, kind)?;
        if self.resource.is_custom() {
            decode::require_kind(&body, &call.body, kind)?;
        }
        Ok(body)
    }

    fn update(&self, call: &Call<'_>, name: &str, part: Subresource) -> Result<ApiResponse, ApiStatus> {
        let view = self.view(call)?;
        let options = options::write(call.query, "UpdateOptions")?;
        let body = self.body(call)?;
        let written = self.store.update(&self.resource.id, self.namespace, name, part, body, &options)?;
        written_answer(&view, &written)
    }

    fn patch(&self, call: &Call<'_>, name: &str, part: Subresource) -> Result<ApiResponse, ApiStatus> {
        let view = self.view(call)?;
        let media_type = negotiate::content_type(call.headers).unwrap_or_default();
        let is_patch = media_type.ends_with("-patch+json") || media_type.contains("apply-patch");
        if !is_patch && !self.resource.is_custom() {
            // The router's answer on the real server, before the request is looked at.
            let message = "415: Unsupported Media Type";
            let status = ApiStatus::new(415, StatusReason::UnsupportedMediaType, message);
            return Err(status.with_details(StatusDetails::default()));
        }
        let patch = Patch::parse(media_type, &call.body);
        if let Err(status) = &patch
            && status.code == 415
        {
            return Err(status.clone());
        }
        let options = options::write(call.query, "PatchOptions")?;
        let patch = match patch {
            Ok(patch) => patch,
            Err(status) => {
                // What is JSON but no patch is found out when there is something to apply it to.
                serde_json::from_slice::<IgnoredAny>(&call.body).map_err(|_| status.clone())?;
                self.store.get(&self.resource.id, self.namespace, name, &GetOptions::default())?;
                return Err(status);
            }
        };
        let written = self.store.patch(&self.resource.id, self.namespace, name, part, &patch, &options)?;
        written_answer(&view, &written)
    }

    fn delete(&self, call: &Call<'_>, name: &str) -> Result<ApiResponse, ApiStatus> {
        let view = self.view(call)?;
        let options = options::delete(call.query, negotiate::body_format(call.headers)?, &call.body)?;
        match self.store.delete(&self.resource.id, self.namespace, name, &options)? {
            Deleted::Gone(status) => {
                response::encoded(StatusCode::OK, view.accepted.encoding, status.to_string().into())
            }
            Deleted::Object(object) => view.object(StatusCode::OK, &object),
        }
    }

    fn delete_collection(&self, call: &Call<'_>) -> Result<ApiResponse, ApiStatus> {
        let view = self.view(call)?;
        let delete = options::delete(call.query, negotiate::body_format(call.headers)?, &call.body)?;
        let selection = options::list(call.query)?;
        let deleted = self.store.delete_collection(&self.resource.id, self.namespace, &selection, &delete)?;
        view.list(&deleted)
    }

    fn evict(&self, call: &Call<'_>, name: &str) -> Result<ApiResponse, ApiStatus> {
        let Accepted { encoding, .. } = negotiate::accepted(call.headers, false)?;
        let options = options::write(call.query, "CreateOptions")?;
        let body = decode::object(negotiate::body_format(call.headers)?, &call.body, "Eviction")?;
        decode::check_kind(&body.value, "Eviction", "policy")?;
        let status = self.store.evict(self.namespace.unwrap_or_default(), name, &body.value, &options)?;
        response::encoded(StatusCode::CREATED, encoding, status.to_string().into())
    }
}

fn written_answer(view: &ObjectView, written: &Written) -> Result<ApiResponse, ApiStatus> {
    let status = if written.created { StatusCode::CREATED } else { StatusCode::OK };
    Ok(response::with_warnings(view.object(status, &written.object)?, &written.warnings))
}
