//! Requests about stored objects: each verb read from the request, done by the store, and answered in the form asked
//! for.

use std::sync::Arc;

use http::StatusCode;

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
    status::ApiStatus,
    store::{Deleted, Store, Subresource, Written},
    table::IncludeObject,
};

/// Answers an authorized request about a resource.
pub(super) fn answer(call: &Call<'_>, request: &ResourceRequest) -> Result<ApiResponse, ApiStatus> {
    if let Some(answer) = review::answer(call, request) {
        return answer;
    }
    let id = request.group_version_resource();
    let Some(resource) = call.cluster.store().resource(&id) else { return Ok(response::page_not_found()) };
    let Ok(namespace) = namespace_of(request, &resource) else { return Ok(response::page_not_found()) };
    let target = Target { store: call.cluster.store(), resource, request, namespace };
    match request.subresource.as_deref() {
        None => target.object_or_collection(call),
        Some(name) => target.subresource(call, name),
    }
}

/// The path does not fit the scope of its resource.
struct WrongScope;

/// The namespace the store is asked for.
fn namespace_of<'a>(
    request: &'a ResourceRequest,
    resource: &ResourceDefinition,
) -> Result<Option<&'a str>, WrongScope> {
    let is_namespace = request.group.is_empty() && request.resource == "namespaces";
    match (resource.scope, request.namespace.as_deref()) {
        (Scope::Cluster, Some(_)) if is_namespace => Ok(None),
        (Scope::Cluster, None) => Ok(None),
        (Scope::Cluster, Some(_)) => Err(WrongScope),
        (Scope::Namespaced, None) if !matches!(request.verb, Verb::List | Verb::Watch) => Err(WrongScope),
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
            (Verb::Get, Some(name)) => self.get(call, name),
            (Verb::Update, Some(name)) => self.update(call, name, Subresource::None),
            (Verb::Patch, Some(name)) => self.patch(call, name, Subresource::None),
            (Verb::Delete, Some(name)) => self.delete(call, name),
            _ => Err(ApiStatus::method_not_allowed_on_path()),
        }
    }

    fn subresource(&self, call: &Call<'_>, subresource: &str) -> Result<ApiResponse, ApiStatus> {
        let (Some(definition), Some(name)) =
            (self.resource.subresource(subresource), self.request.name.as_deref())
        else {
            return Ok(response::page_not_found());
        };
        if self.request.has_trailing_segments {
            return Ok(response::page_not_found());
        }
        if !definition.verbs.contains(&self.request.verb) {
            return Err(ApiStatus::method_not_allowed_on_path());
        }
        let part = match subresource {
            "status" => Subresource::Status,
            "finalize" => Subresource::Finalize,
            "eviction" => return self.evict(call, name),
            "token" => return review::service_account_token(call, self.namespace.unwrap_or_default(), name),
            _ => return Ok(response::page_not_found()),
        };
        match self.request.verb {
            Verb::Get => self.get(call, name),
            Verb::Update => self.update(call, name, part),
            Verb::Patch => self.patch(call, name, part),
            _ => Err(ApiStatus::method_not_allowed_on_path()),
        }
    }

    fn view(&self, call: &Call<'_>) -> Result<ObjectView, ApiStatus> {
        let accepted = negotiate::accepted(call.headers)?;
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
            return Err(ApiStatus::not_acceptable(&["application/json", "application/json;stream=watch"]));
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
        let body = decode::object(negotiate::body_format(call.headers)?, &call.body, &self.resource.kind)?;
        let written = self.store.create(&self.resource.id, self.namespace, body, &options)?;
        written_answer(&view, &written)
    }

    fn update(&self, call: &Call<'_>, name: &str, part: Subresource) -> Result<ApiResponse, ApiStatus> {
        let view = self.view(call)?;
        let options = options::write(call.query, "UpdateOptions")?;
        let body = decode::object(negotiate::body_format(call.headers)?, &call.body, &self.resource.kind)?;
        let written = self.store.update(&self.resource.id, self.namespace, name, part, body, &options)?;
        written_answer(&view, &written)
    }

    fn patch(&self, call: &Call<'_>, name: &str, part: Subresource) -> Result<ApiResponse, ApiStatus> {
        let view = self.view(call)?;
        let patch = Patch::parse(negotiate::content_type(call.headers).unwrap_or_default(), &call.body)?;
        let options = options::write(call.query, "PatchOptions")?;
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
        let Accepted { encoding, .. } = negotiate::accepted(call.headers)?;
        let options = options::write(call.query, "CreateOptions")?;
        let body = decode::object(negotiate::body_format(call.headers)?, &call.body, "Eviction")?;
        let status = self.store.evict(self.namespace.unwrap_or_default(), name, &body.value, &options)?;
        response::encoded(StatusCode::CREATED, encoding, status.to_string().into())
    }
}

fn written_answer(view: &ObjectView, written: &Written) -> Result<ApiResponse, ApiStatus> {
    let status = if written.created { StatusCode::CREATED } else { StatusCode::OK };
    Ok(response::with_warnings(view.object(status, &written.object)?, &written.warnings))
}
