//! May the caller do this? RBAC decides; the refusal says who could not do what, word for word as the real server.

use super::{
    authn::Identity,
    request_info::{RequestInfo, ResourceRequest},
};
use crate::{
    rbac::{Attributes, Decision},
    resource::GroupResource,
    status::{ApiStatus, go_quote},
    store::Store,
};

/// Paths that anybody may read, with or without credentials: what probes and version checks need.
pub(crate) fn is_open(path: &str) -> bool {
    let first = path.trim_start_matches('/').split('/').next().unwrap_or_default();
    matches!(first, "healthz" | "livez" | "readyz" | "version")
}

/// The attributes of a request; none for one that is malformed anyway.
pub(crate) fn attributes(info: &RequestInfo) -> Option<Attributes> {
    match info {
        RequestInfo::Resource(request) => Some(resource_attributes(request)),
        RequestInfo::NonResource { verb, path } => {
            Some(Attributes::NonResource { verb: verb.clone(), path: path.clone() })
        }
        RequestInfo::MethodNotAllowed | RequestInfo::Malformed { .. } => None,
    }
}

fn resource_attributes(request: &ResourceRequest) -> Attributes {
    Attributes::Resource {
        verb: request.verb.as_str().to_owned(),
        group: request.group.clone(),
        resource: request.resource.clone(),
        subresource: request.subresource.clone().unwrap_or_default(),
        name: request.authorized_name.clone().unwrap_or_default(),
        namespace: request.namespace.clone().unwrap_or_default(),
    }
}

/// 403 unless `identity` may do what `attributes` say.
pub(crate) fn check(store: &Store, identity: &Identity, attributes: &Attributes) -> Result<(), ApiStatus> {
    match store.authorize(&identity.user, attributes) {
        Decision::Allowed { .. } => Ok(()),
        Decision::Denied { reason } => Err(forbidden(&identity.user.username, attributes, &reason)),
    }
}

fn forbidden(username: &str, attributes: &Attributes, reason: &str) -> ApiStatus {
    let mut cause = cause(username, attributes);
    if !reason.is_empty() {
        cause = format!("{cause}: {reason}");
    }
    match attributes {
        Attributes::Resource { group, resource, name, .. } => {
            ApiStatus::forbidden(&GroupResource::new(group, resource), name, cause)
        }
        Attributes::NonResource { .. } => ApiStatus::forbidden(&GroupResource::new("", ""), "", cause),
    }
}

/// `forbiddenMessage` of `k8s.io/apiserver/pkg/endpoints/handlers/responsewriters`.
fn cause(username: &str, attributes: &Attributes) -> String {
    let user = go_quote(username);
    match attributes {
        Attributes::NonResource { verb, path } => {
            format!("User {user} cannot {verb} path {}", go_quote(path))
        }
        Attributes::Resource { verb, group, resource, subresource, namespace, .. } => {
            let resource = if subresource.is_empty() {
                go_quote(resource)
            } else {
                go_quote(&format!("{resource}/{subresource}"))
            };
            let scope = if namespace.is_empty() {
                "at the cluster scope".to_owned()
            } else {
                format!("in the namespace {}", go_quote(namespace))
            };
            format!("User {user} cannot {verb} resource {resource} in API group {} {scope}", go_quote(group))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on(resource: &str, subresource: &str, name: &str, namespace: &str) -> Attributes {
        Attributes::Resource {
            verb: "get".to_owned(),
            group: String::new(),
            resource: resource.to_owned(),
            subresource: subresource.to_owned(),
            name: name.to_owned(),
            namespace: namespace.to_owned(),
        }
    }

    #[test]
    fn refusals_read_as_the_real_servers() {
        let user = "system:serviceaccount:ns:name";
        let rows = [
            (
                on("secrets", "", "x", "ns"),
                "",
                "secrets \"x\" is forbidden: User \"system:serviceaccount:ns:name\" cannot get resource \"secrets\" in API \
                 group \"\" in the namespace \"ns\"",
            ),
            (
                on("nodes", "status", "", ""),
                "RBAC: clusterrole.rbac.authorization.k8s.io \"gone\" not found",
                "nodes is forbidden: User \"system:serviceaccount:ns:name\" cannot get resource \"nodes/status\" in API \
                 group \"\" at the cluster scope: RBAC: clusterrole.rbac.authorization.k8s.io \"gone\" not found",
            ),
            (
                Attributes::NonResource { verb: "get".to_owned(), path: "/metrics".to_owned() },
                "",
                "forbidden: User \"system:serviceaccount:ns:name\" cannot get path \"/metrics\"",
            ),
        ];
        for (attributes, reason, message) in rows {
            let status = forbidden(user, &attributes, reason);
            assert_eq!((status.code, status.message.as_str()), (403, message));
        }
    }

    #[test]
    fn probes_and_version_are_open_and_nothing_else() {
        for (path, open) in [
            ("/healthz", true),
            ("/livez/ping", true),
            ("/readyz", true),
            ("/version", true),
            ("/versions", false),
            ("/api", false),
            ("/", false),
            ("/openapi/v3", false),
        ] {
            assert_eq!(is_open(path), open, "{path}");
        }
    }
}
