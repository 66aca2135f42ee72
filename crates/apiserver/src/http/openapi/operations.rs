//! The `paths` of an OpenAPI document: which operations there are on a resource, and what they take.

use serde_json::{Map, Value, json};

use super::{super::served::Served, schemas};
use crate::resource::{Scope, Verb};

/// The path items of a resource.
pub(super) fn paths(resource: &Served) -> Vec<(String, Value)> {
    let root = if resource.group.is_empty() {
        format!("/api/{}", resource.version)
    } else {
        format!("/apis/{}/{}", resource.group, resource.version)
    };
    let plural = &resource.plural;
    let collection = match resource.scope {
        Scope::Namespaced => format!("{root}/namespaces/{{namespace}}/{plural}"),
        Scope::Cluster => format!("{root}/{plural}"),
    };
    let mut paths = vec![
        (collection.clone(), collection_item(resource)),
        (
            format!("{collection}/{{name}}"),
            object_item(resource, &[Verb::Get, Verb::Update, Verb::Patch, Verb::Delete]),
        ),
    ];
    if resource.scope == Scope::Namespaced && resource.verbs.contains(&Verb::List) {
        paths.push((format!("{root}/{plural}"), item(resource, &[], &[Verb::List])));
    }
    if let Some(status) = resource.subresources.iter().find(|subresource| subresource.name == "status") {
        paths.push((format!("{collection}/{{name}}/status"), object_item(resource, status.verbs)));
    }
    paths.retain(|(_, item)| item.as_object().is_some_and(|item| item.keys().any(|key| key != "parameters")));
    paths
}

fn collection_item(resource: &Served) -> Value {
    let parameters = namespace_parameter(resource);
    item(resource, &parameters, &[Verb::List, Verb::Create, Verb::DeleteCollection])
}

fn object_item(resource: &Served, verbs: &[Verb]) -> Value {
    let mut parameters = vec![path_parameter("name", &format!("name of the {}", resource.kind))];
    parameters.extend(namespace_parameter(resource));
    item(resource, &parameters, verbs)
}

fn namespace_parameter(resource: &Served) -> Vec<Value> {
    match resource.scope {
        Scope::Namespaced => {
            vec![path_parameter("namespace", "object name and auth scope, such as for teams and projects")]
        }
        Scope::Cluster => Vec::new(),
    }
}

fn item(resource: &Served, parameters: &[Value], verbs: &[Verb]) -> Value {
    let mut item = Map::new();
    for verb in verbs.iter().filter(|verb| resource.verbs.contains(verb)) {
        if let Some((method, operation)) = operation(resource, *verb) {
            item.insert(method.to_owned(), operation);
        }
    }
    let shared = parameters.iter().cloned().chain([query_parameter(
        "pretty",
        "string",
        "If 'true', then the output is pretty printed.",
    )]);
    item.insert("parameters".to_owned(), shared.collect());
    Value::Object(item)
}

fn path_parameter(name: &str, description: &str) -> Value {
    json!({
        "name": name, "in": "path", "description": description, "required": true,
        "schema": {"type": "string", "uniqueItems": true},
    })
}

fn query_parameter(name: &str, value_type: &str, description: &str) -> Value {
    json!({
        "name": name, "in": "query", "description": description,
        "schema": {"type": value_type, "uniqueItems": true},
    })
}

fn operation(resource: &Served, verb: Verb) -> Option<(&'static str, Value)> {
    let object = schemas::reference(&schemas::component_name(resource, &resource.kind));
    let list_kind = resource.list_kind.as_ref().unwrap_or(&resource.kind);
    let list = schemas::reference(&schemas::component_name(resource, list_kind));
    let status = schemas::reference(schemas::STATUS);
    let delete_options = schemas::reference(schemas::DELETE_OPTIONS);
    let patch = schemas::reference(schemas::PATCH);
    let one = &["*/*"][..];
    let patches = &["application/json-patch+json", "application/merge-patch+json"][..];
    let (method, action, parameters, body, answer) = match verb {
        Verb::List => ("get", "list", list_parameters(), None, list),
        Verb::Create => ("post", "post", write_parameters(), Some((one, object.clone())), object),
        Verb::DeleteCollection => {
            let parameters = [list_parameters(), delete_parameters()].concat();
            ("delete", "deletecollection", parameters, Some((one, delete_options)), status)
        }
        Verb::Get => ("get", "get", Vec::new(), None, object),
        Verb::Update => ("put", "put", write_parameters(), Some((one, object.clone())), object),
        Verb::Patch => ("patch", "patch", write_parameters(), Some((patches, patch)), object),
        Verb::Delete => ("delete", "delete", delete_parameters(), Some((one, delete_options)), status),
        Verb::Watch => return None,
    };
    let mut operation = json!({
        "parameters": parameters,
        "responses": {
            "200": {"description": "OK", "content": {"application/json": {"schema": answer}}},
            "401": {"description": "Unauthorized"},
        },
        "x-kubernetes-action": action,
        "x-kubernetes-group-version-kind": schemas::group_version_kind(resource, &resource.kind),
    });
    if let Some((media_types, schema)) = body {
        let content: Map<String, Value> = media_types
            .iter()
            .map(|media_type| ((*media_type).to_owned(), json!({"schema": schema})))
            .collect();
        operation["requestBody"] =
            json!({"content": content, "required": verb != Verb::Delete && verb != Verb::DeleteCollection});
    }
    Some((method, operation))
}

fn list_parameters() -> Vec<Value> {
    vec![
        query_parameter(
            "allowWatchBookmarks",
            "boolean",
            "allowWatchBookmarks requests watch events with type \"BOOKMARK\".",
        ),
        query_parameter("continue", "string", "Where to go on in a list that was cut off at its limit."),
        query_parameter(
            "fieldSelector",
            "string",
            "A selector to restrict the list of returned objects by their fields.",
        ),
        query_parameter(
            "labelSelector",
            "string",
            "A selector to restrict the list of returned objects by their labels.",
        ),
        query_parameter("limit", "integer", "The maximum number of objects to return."),
        query_parameter("resourceVersion", "string", "Which state of the collection is asked for."),
        query_parameter(
            "resourceVersionMatch",
            "string",
            "How resourceVersion is applied: Exact or NotOlderThan.",
        ),
        query_parameter("sendInitialEvents", "boolean", "Whether a watch begins with what exists already."),
        query_parameter("timeoutSeconds", "integer", "How long a watch lasts, in seconds."),
        query_parameter("watch", "boolean", "Watch for changes and return them as a stream."),
    ]
}

fn write_parameters() -> Vec<Value> {
    vec![
        query_parameter("dryRun", "string", "All: decide everything, persist nothing."),
        query_parameter("fieldManager", "string", "The name of the actor that is making these changes."),
        query_parameter(
            "fieldValidation",
            "string",
            "What to do about unknown and duplicate fields: Ignore, Warn (the default) or Strict.",
        ),
    ]
}

fn delete_parameters() -> Vec<Value> {
    vec![
        query_parameter("dryRun", "string", "All: decide everything, persist nothing."),
        query_parameter(
            "gracePeriodSeconds",
            "integer",
            "The duration in seconds before the object should be deleted.",
        ),
        query_parameter(
            "propagationPolicy",
            "string",
            "What becomes of dependents: Orphan, Background or Foreground.",
        ),
    ]
}
