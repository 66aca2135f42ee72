//! What a request is about, read from its method, path and query alone.
//!
//! The same reading as `k8s.io/apiserver/pkg/endpoints/request.RequestInfoFactory`: authorization, routing and error
//! messages all speak about this value, never about the path.
//!
//! ```text
//! /api/v1/namespaces/NS/pods/NAME/eviction            group ""   namespace NS  resource pods  subresource eviction
//! /apis/GROUP/VERSION/namespaces/NS/RESOURCE          list, watch, create, deletecollection
//! /apis/GROUP/VERSION/RESOURCE/NAME                   cluster-scoped get, update, patch, delete
//! /api, /apis/GROUP/VERSION, /version, /healthz …     not about a resource: verb is the method, `path` is what counts
//! ```

use http::{Method, Uri};
use percent_encoding::percent_decode_str;

use super::query::Query;
use crate::resource::{GroupVersionResource, Verb};

/// What a method asks of one object; a missing name turns some of these into verbs on the collection.
fn verb_of(method: &Method) -> Option<Verb> {
    match *method {
        Method::GET | Method::HEAD => Some(Verb::Get),
        Method::POST => Some(Verb::Create),
        Method::PUT => Some(Verb::Update),
        Method::PATCH => Some(Verb::Patch),
        Method::DELETE => Some(Verb::Delete),
        _ => None,
    }
}

/// A request for a resource, a collection of them, or a subresource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ResourceRequest {
    /// What is to be done.
    pub(crate) verb: Verb,
    /// API group; empty for the core group.
    pub(crate) group: String,
    /// API version, e.g. `v1`.
    pub(crate) version: String,
    /// Plural resource name, e.g. `secrets`.
    pub(crate) resource: String,
    /// Subresource, e.g. `status`.
    pub(crate) subresource: Option<String>,
    /// Namespace, where the path names one.
    pub(crate) namespace: Option<String>,
    /// Object name from the path.
    pub(crate) name: Option<String>,
    /// Name that authorization sees: the path's, or the one a collection request's
    /// `fieldSelector=metadata.name=NAME` restricts it to.
    pub(crate) authorized_name: Option<String>,
    /// Whether path segments follow the subresource (only proxies use them; we serve none).
    pub(crate) has_trailing_segments: bool,
}

/// A request as authorization and routing see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RequestInfo {
    /// About a resource.
    Resource(Box<ResourceRequest>),
    /// About anything else: discovery, health, version, schemas.
    NonResource {
        /// Lower-case method, which is the verb in `nonResourceURLs` rules.
        verb: String,
        /// The path as sent.
        path: String,
    },
    /// A resource path with a method that means nothing there (`OPTIONS`, `TRACE` …).
    MethodNotAllowed,
    /// A path segment that is not UTF-8 once percent-decoded.
    Malformed {
        /// The offending path.
        path: String,
    },
}

const NAMESPACE_SUBRESOURCES: [&str; 2] = ["status", "finalize"];

impl ResourceRequest {
    /// The resource as the store knows it.
    pub(crate) fn group_version_resource(&self) -> GroupVersionResource {
        GroupVersionResource::new(&self.group, &self.version, &self.resource)
    }
}

impl RequestInfo {
    /// Reads `method` and `uri`; `query` is the already parsed query of the same URI.
    pub(crate) fn parse(method: &Method, uri: &Uri, query: &Query) -> Self {
        let path = uri.path();
        let Ok(decoded) = percent_decode_str(path).decode_utf8() else {
            return Self::Malformed { path: path.to_owned() };
        };
        let segments = segments_of(&decoded);
        let Some((group, version, rest)) = api_prefix(&segments) else {
            return Self::NonResource { verb: method.as_str().to_ascii_lowercase(), path: path.to_owned() };
        };
        let Some(verb) = verb_of(method) else {
            return Self::MethodNotAllowed;
        };
        Self::Resource(Box::new(resource_request(verb, group, version, rest, query)))
    }
}

/// Splits `/api/VERSION/REST…` or `/apis/GROUP/VERSION/REST…`; `None` when the path is not about a resource.
fn api_prefix<'a>(segments: &'a [&'a str]) -> Option<(&'a str, &'a str, &'a [&'a str])> {
    match segments {
        ["api", version, rest @ ..] if !rest.is_empty() => Some(("", version, rest)),
        ["apis", group, version, rest @ ..] if !rest.is_empty() => Some((group, version, rest)),
        _ => None,
    }
}

fn resource_request(verb: Verb, group: &str, version: &str, rest: &[&str], query: &Query) -> ResourceRequest {
    let (namespace, parts) = split_namespace(rest);
    let resource = parts.first().map_or_else(String::new, ToString::to_string);
    let name = parts.get(1).map(ToString::to_string);
    let subresource = parts.get(2).map(ToString::to_string);
    let verb = match (verb, &name) {
        (Verb::Get, None) if query.is_watch() => Verb::Watch,
        (Verb::Get, None) => Verb::List,
        (Verb::Delete, None) => Verb::DeleteCollection,
        (verb, _) => verb,
    };
    let authorized_name = match (&name, verb) {
        (Some(name), _) => Some(name.clone()),
        (None, Verb::List | Verb::Watch) => query.exact_name_in_field_selector(),
        (None, _) => None,
    };
    ResourceRequest {
        verb,
        group: group.to_owned(),
        version: version.to_owned(),
        resource,
        subresource,
        namespace,
        name,
        authorized_name,
        has_trailing_segments: parts.len() > 3,
    }
}

/// Takes `namespaces/NS/` off the front, unless the request is about the namespace itself. A namespace's own name is
/// also its namespace for authorization, as upstream has it.
fn split_namespace<'a>(rest: &'a [&'a str]) -> (Option<String>, &'a [&'a str]) {
    match rest {
        ["namespaces", namespace] => (Some(namespace.to_string()), rest),
        ["namespaces", namespace, third, ..] => {
            let about_namespace = NAMESPACE_SUBRESOURCES.contains(third);
            (Some(namespace.to_string()), if about_namespace { rest } else { &rest[2..] })
        }
        _ => (None, rest),
    }
}

/// The segments of a path, decoded before it is split: no name can hold a slash.
fn segments_of(decoded: &str) -> Vec<&str> {
    let trimmed = decoded.trim_matches('/');
    if trimmed.is_empty() { Vec::new() } else { trimmed.split('/').collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(method: &str, path_and_query: &str) -> RequestInfo {
        let uri: Uri = path_and_query.parse().unwrap();
        let query = Query::parse(uri.query().unwrap_or_default());
        RequestInfo::parse(&method.parse().unwrap(), &uri, &query)
    }

    fn resource(method: &str, path_and_query: &str) -> ResourceRequest {
        match parse(method, path_and_query) {
            RequestInfo::Resource(request) => *request,
            other => panic!("{path_and_query} is not a resource request: {other:?}"),
        }
    }

    /// `verb group/version namespace resource subresource name`, with `-` for what is not there.
    fn described(request: &ResourceRequest) -> String {
        let or_dash = |part: &Option<String>| part.clone().unwrap_or_else(|| "-".to_owned());
        format!(
            "{} {}/{} {} {} {} {}",
            request.verb.as_str(),
            request.group,
            request.version,
            or_dash(&request.namespace),
            request.resource,
            or_dash(&request.subresource),
            or_dash(&request.name)
        )
    }

    /// The rows of upstream's `TestGetAPIRequestInfo` that concern what we serve.
    #[test]
    fn resource_paths_read_like_upstream() {
        for (method, path, expected) in [
            ("GET", "/api/v1/namespaces", "list /v1 - namespaces - -"),
            ("GET", "/api/v1/namespaces/other", "get /v1 other namespaces - other"),
            ("GET", "/api/v1/namespaces/other/pods", "list /v1 other pods - -"),
            ("GET", "/api/v1/namespaces/other/pods/foo", "get /v1 other pods - foo"),
            ("HEAD", "/api/v1/namespaces/other/pods/foo", "get /v1 other pods - foo"),
            ("GET", "/api/v1/pods", "list /v1 - pods - -"),
            ("GET", "/api/v1/pods?watch=true", "watch /v1 - pods - -"),
            ("GET", "/api/v1/pods?watch=0", "list /v1 - pods - -"),
            ("POST", "/api/v1/namespaces/other/pods", "create /v1 other pods - -"),
            ("PUT", "/api/v1/namespaces/other/pods/foo", "update /v1 other pods - foo"),
            ("PATCH", "/api/v1/namespaces/other/pods/foo/status", "patch /v1 other pods status foo"),
            ("DELETE", "/api/v1/namespaces/other/pods/foo", "delete /v1 other pods - foo"),
            ("DELETE", "/api/v1/namespaces/other/pods", "deletecollection /v1 other pods - -"),
            ("PUT", "/api/v1/namespaces/other/finalize", "update /v1 other namespaces finalize other"),
            ("PUT", "/api/v1/namespaces/other/status", "update /v1 other namespaces status other"),
            ("GET", "/apis/rbac/v1/clusterroles/system%3Anode", "get rbac/v1 - clusterroles - system:node"),
            ("GET", "/apis/g.io/v1/namespaces/other/things/x/scale/", "get g.io/v1 other things scale x"),
        ] {
            assert_eq!(described(&resource(method, path)), expected, "{method} {path}");
        }
    }

    #[test]
    fn other_paths_are_not_about_resources() {
        for path in [
            "/",
            "/api",
            "/api/v1",
            "/api/v1/",
            "/apis",
            "/apis/g.io",
            "/apis/g.io/v1",
            "/version",
            "/healthz/ping",
            "/openapi/v3/api/v1",
        ] {
            assert_eq!(
                parse("GET", path),
                RequestInfo::NonResource { verb: "get".to_owned(), path: path.to_owned() },
                "{path}"
            );
        }
    }

    #[test]
    fn a_field_selector_on_the_name_is_what_authorization_sees() {
        let list = resource("GET", "/api/v1/namespaces/a/secrets?fieldSelector=metadata.name%3Dx");
        assert_eq!(
            (list.verb, list.name.as_deref(), list.authorized_name.as_deref()),
            (Verb::List, None, Some("x"))
        );
        let watch =
            resource("GET", "/api/v1/secrets?watch=1&fieldSelector=type%3DOpaque,metadata.name%3D%3Dx");
        assert_eq!((watch.verb, watch.authorized_name.as_deref()), (Verb::Watch, Some("x")));
        let not = resource("GET", "/api/v1/secrets?fieldSelector=metadata.name!%3Dx");
        assert_eq!(not.authorized_name, None);
        let path_like = resource("GET", "/api/v1/secrets?fieldSelector=metadata.name%3Da%2Fb");
        assert_eq!(path_like.authorized_name, None);
    }

    #[test]
    fn odd_methods_and_bytes_are_named_as_such() {
        assert_eq!(parse("OPTIONS", "/api/v1/pods"), RequestInfo::MethodNotAllowed);
        assert_eq!(
            parse("GET", "/api/v1/pods/%ff"),
            RequestInfo::Malformed { path: "/api/v1/pods/%ff".to_owned() }
        );
        assert!(resource("GET", "/api/v1/namespaces/n/pods/p/proxy/a/b").has_trailing_segments);
    }
}
