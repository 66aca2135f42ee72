//! Paths that are not about resources: health, version, discovery, schemas and the token issuer's keys.

use http::{Method, StatusCode};
use serde_json::json;

use super::{
    Call, aggregated_discovery, discovery, negotiate, openapi, resources,
    response::{self, ApiResponse},
};
use crate::status::ApiStatus;

/// The Kubernetes release whose behaviour this server follows.
const GIT_VERSION: &str = "v1.37.2";
const MAJOR: &str = "1";
const MINOR: &str = "37";

/// Answers the paths that need no credentials.
pub(super) fn open(method: &Method, path: &str) -> Result<ApiResponse, ApiStatus> {
    if !matches!(*method, Method::GET | Method::HEAD) {
        return Err(ApiStatus::method_not_allowed_on_path());
    }
    Ok(match path.trim_end_matches('/') {
        "/version" => version(),
        "/healthz" | "/livez" | "/readyz" | "/healthz/ping" | "/livez/ping" | "/readyz/ping" => {
            response::text(StatusCode::OK, "ok")
        }
        _ => response::page_not_found(),
    })
}

fn version() -> ApiResponse {
    let version = json!({
        "major": MAJOR,
        "minor": MINOR,
        "emulationMajor": MAJOR,
        "emulationMinor": MINOR,
        "minCompatibilityMajor": MAJOR,
        "minCompatibilityMinor": "36",
        "gitVersion": GIT_VERSION,
        "gitCommit": concat!("certmesh-apiserver-", env!("CARGO_PKG_VERSION")),
        "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "none",
        "compiler": "rustc",
        "platform": format!("{}/{}", std::env::consts::OS, std::env::consts::ARCH),
    });
    response::whole(StatusCode::OK, "application/json", version.to_string())
}

/// Answers an authorized request.
pub(super) fn answer(call: &Call<'_>, path: &str) -> Result<ApiResponse, ApiStatus> {
    if !matches!(*call.method, Method::GET | Method::HEAD) {
        return Err(ApiStatus::method_not_allowed_on_path());
    }
    let segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
    let aggregated = negotiate::wants_aggregated_discovery(call.headers);
    match segments.as_slice() {
        [] => response::json(StatusCode::OK, &discovery::paths(call.cluster.store())),
        ["api"] if aggregated => Ok(aggregated_discovery::core(call)),
        ["apis"] if aggregated => Ok(aggregated_discovery::groups(call)),
        ["api"] => response::json(StatusCode::OK, &discovery::core_versions(call.cluster.url().as_deref())),
        ["api", version] => resource_list(call, "", version),
        ["apis"] => response::json(StatusCode::OK, &discovery::groups(call.cluster.store())),
        ["apis", group] => match discovery::group(call.cluster.store(), group) {
            Some(group) => response::json(StatusCode::OK, &group),
            None => Ok(response::page_not_found()),
        },
        ["apis", group, version] => resource_list(call, group, version),
        ["openapi", "v2"] => Ok(openapi::version_2(call)),
        ["openapi", "v3", rest @ ..] => Ok(openapi::answer(call, rest)),
        ["openid", "v1", "jwks"] => {
            let keys = call.cluster.authenticator().signer().json_web_key_set();
            Ok(response::whole(StatusCode::OK, "application/jwk-set+json", keys.to_string()))
        }
        [".well-known", "openid-configuration"] => {
            response::json(StatusCode::OK, &openid_configuration(call))
        }
        _ => Ok(response::page_not_found()),
    }
}

fn resource_list(call: &Call<'_>, group: &str, version: &str) -> Result<ApiResponse, ApiStatus> {
    match discovery::resource_list(call.cluster.store(), group, version) {
        Some(list) => response::json(StatusCode::OK, &list),
        None => resources::not_served(call.cluster.store(), group),
    }
}

fn openid_configuration(call: &Call<'_>) -> serde_json::Value {
    let keys = call.cluster.url().unwrap_or_default() + "/openid/v1/jwks";
    json!({
        "issuer": call.cluster.authenticator().signer().issuer(),
        "jwks_uri": keys,
        "response_types_supported": ["id_token"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["ES256"],
    })
}
