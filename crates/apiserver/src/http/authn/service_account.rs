//! ServiceAccounts as users, and the tokens made for them (`POST …/serviceaccounts/NAME/token`).

use std::{collections::BTreeMap, fmt::Write as _};

use aws_lc_rs::rand;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::{
    api::authentication::v1::{BoundObjectReference, TokenRequest, TokenRequestStatus},
    apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time},
};
use serde_json::json;

use super::{
    Identity,
    jwt::{BoundTo, Claims, CryptoError, ObjectIdentity, TokenSigner},
};
use crate::{
    rbac::UserInfo,
    resource::{GroupKind, GroupResource, GroupVersionResource},
    status::{ApiStatus, FieldError},
    store::{GetOptions, Store, StoredObject},
};

const DEFAULT_EXPIRATION_SECONDS: i64 = 3600;
const MIN_EXPIRATION_SECONDS: i64 = 600;
const MAX_EXPIRATION_SECONDS: i64 = 1 << 32;

/// `authentication.kubernetes.io/…` keys of a user's extra facts.
const CREDENTIAL_ID: &str = "authentication.kubernetes.io/credential-id";
const POD_NAME: &str = "authentication.kubernetes.io/pod-name";
const POD_UID: &str = "authentication.kubernetes.io/pod-uid";

/// The user that a ServiceAccount is.
pub(crate) fn user(namespace: &str, name: &str, uid: &str) -> UserInfo {
    UserInfo {
        username: format!("system:serviceaccount:{namespace}:{name}"),
        groups: groups(namespace),
        uid: Some(uid.to_owned()),
    }
}

/// The groups of every ServiceAccount of `namespace`, without [`super::AUTHENTICATED`].
pub(crate) fn groups(namespace: &str) -> Vec<String> {
    vec!["system:serviceaccounts".to_owned(), format!("system:serviceaccounts:{namespace}")]
}

fn core(resource: &str) -> GroupVersionResource {
    GroupVersionResource::new("", "v1", resource)
}

fn stored(
    store: &Store,
    resource: &str,
    namespace: &str,
    name: &str,
) -> Result<std::sync::Arc<StoredObject>, ApiStatus> {
    store.get(&core(resource), Some(namespace), name, &GetOptions::default())
}

/// The caller that a valid token's claims stand for, provided that everything it is bound to still exists.
pub(super) fn identity(claims: &Claims, store: &Store) -> Result<Identity, String> {
    let BoundTo { namespace, pod, secret, serviceaccount } = &claims.bound;
    check_bound(store, "serviceaccounts", "service account", namespace, serviceaccount)?;
    if let Some(pod) = pod {
        check_bound(store, "pods", "pod", namespace, pod)?;
    }
    if let Some(secret) = secret {
        check_bound(store, "secrets", "secret", namespace, secret)?;
    }
    let mut identity = Identity::authenticated(user(namespace, &serviceaccount.name, &serviceaccount.uid));
    identity.extra.insert(CREDENTIAL_ID.to_owned(), vec![format!("JTI={}", claims.id)]);
    if let Some(pod) = pod {
        identity.extra.insert(POD_NAME.to_owned(), vec![pod.name.clone()]);
        identity.extra.insert(POD_UID.to_owned(), vec![pod.uid.clone()]);
    }
    Ok(identity)
}

fn check_bound(
    store: &Store,
    resource: &str,
    noun: &str,
    namespace: &str,
    bound: &ObjectIdentity,
) -> Result<(), String> {
    let object = stored(store, resource, namespace, &bound.name).map_err(|status| status.message)?;
    if object.uid() != bound.uid {
        return Err(format!("{noun} UID ({}) does not match claim ({})", object.uid(), bound.uid));
    }
    Ok(())
}

/// Answers a TokenRequest for the ServiceAccount `namespace`/`name`.
pub(crate) fn issue_token(
    signer: &TokenSigner,
    store: &Store,
    namespace: &str,
    name: &str,
    request: TokenRequest,
) -> Result<TokenRequest, ApiStatus> {
    let account = stored(store, "serviceaccounts", namespace, name)?;
    check_metadata(&request.metadata, namespace, name)?;
    let spec = request.spec.unwrap_or_default();
    let seconds = expiration_seconds(spec.expiration_seconds)?;
    let audiences = spec
        .audiences
        .clone()
        .filter(|list| !list.is_empty())
        .unwrap_or_else(|| vec![signer.issuer().to_owned()]);
    let (pod, secret) = bound_object(store, namespace, spec.bound_object_ref.as_ref())?;
    let now: Timestamp = (store.clock())();
    let expires_at = now
        .checked_add(SignedDuration::from_secs(seconds))
        .map_err(|error| ApiStatus::internal(format!("cannot tell when the token expires: {error}")))?;
    let claims = Claims {
        audiences: audiences.clone(),
        expires_at: expires_at.as_second(),
        issued_at: now.as_second(),
        issuer: signer.issuer().to_owned(),
        id: random_uuid().map_err(ApiStatus::internal)?,
        bound: BoundTo {
            namespace: namespace.to_owned(),
            pod,
            secret,
            serviceaccount: ObjectIdentity { name: name.to_owned(), uid: account.uid().to_owned() },
        },
        not_before: now.as_second(),
        subject: format!("system:serviceaccount:{namespace}:{name}"),
    };
    let mut answer = TokenRequest { metadata: request.metadata, ..TokenRequest::default() };
    answer.metadata.name = Some(name.to_owned());
    answer.metadata.namespace = Some(namespace.to_owned());
    answer.metadata.uid = Some(account.uid().to_owned());
    answer.metadata.creation_timestamp = Some(Time(whole_seconds(now)));
    answer.spec = Some(k8s_openapi::api::authentication::v1::TokenRequestSpec {
        audiences: Some(audiences),
        expiration_seconds: Some(seconds),
        ..spec
    });
    answer.status = Some(TokenRequestStatus {
        expiration_timestamp: Some(Time(whole_seconds(expires_at))),
        token: Some(signer.sign(&claims).map_err(ApiStatus::internal)?),
    });
    Ok(answer)
}

/// The request may repeat whom it is for, but not name another.
fn check_metadata(metadata: &ObjectMeta, namespace: &str, name: &str) -> Result<(), ApiStatus> {
    let mismatch = |field: &str, given: &Option<String>, expected: &str, what: &str| {
        let given = given.as_deref().filter(|given| !given.is_empty() && *given != expected)?;
        let detail = format!("must match the service account {what} if specified");
        Some(FieldError::invalid(field, &json!(given), detail))
    };
    let found = mismatch("metadata.name", &metadata.name, name, "name")
        .or_else(|| mismatch("metadata.namespace", &metadata.namespace, namespace, "namespace"));
    found.map_or(Ok(()), |error| Err(ApiStatus::invalid(&token_request(), name, &[error])))
}

fn token_request() -> GroupKind {
    GroupKind::new("authentication.k8s.io", "TokenRequest")
}

fn whole_seconds(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}

fn expiration_seconds(requested: Option<i64>) -> Result<i64, ApiStatus> {
    let seconds = requested.unwrap_or(DEFAULT_EXPIRATION_SECONDS);
    let detail = if seconds < MIN_EXPIRATION_SECONDS {
        "may not specify a duration less than 10 minutes"
    } else if seconds > MAX_EXPIRATION_SECONDS {
        "may not specify a duration larger than 2^32 seconds"
    } else {
        return Ok(seconds);
    };
    let error = FieldError::invalid("spec.expirationSeconds", &json!(seconds), detail);
    Err(ApiStatus::invalid(&token_request(), "", &[error]))
}

/// The pod or the Secret that the token is to be bound to.
fn bound_object(
    store: &Store,
    namespace: &str,
    reference: Option<&BoundObjectReference>,
) -> Result<(Option<ObjectIdentity>, Option<ObjectIdentity>), ApiStatus> {
    let Some(reference) = reference else { return Ok((None, None)) };
    let resource = match (reference.api_version.as_deref(), reference.kind.as_deref()) {
        (Some("v1"), Some("Pod")) => "pods",
        (Some("v1"), Some("Secret")) => "secrets",
        (api_version, kind) => {
            return Err(ApiStatus::bad_request(format!(
                "cannot bind token to object of type {}, Kind={}",
                group_and_version(api_version.unwrap_or_default()),
                kind.unwrap_or_default()
            )));
        }
    };
    let name = reference.name.as_deref().unwrap_or_default();
    let object = stored(store, resource, namespace, name)?;
    if let Some(uid) = reference.uid.as_deref().filter(|uid| !uid.is_empty() && *uid != object.uid()) {
        let cause = format!(
            "the UID in the bound object reference ({uid}) does not match the UID in record. The object might have been \
             deleted and then recreated"
        );
        // The real server names the kind where a resource belongs.
        let kind = GroupResource::new("", reference.kind.as_deref().unwrap_or_default());
        return Err(ApiStatus::conflict(&kind, name, cause));
    }
    let identity = ObjectIdentity { name: name.to_owned(), uid: object.uid().to_owned() };
    Ok(if resource == "pods" { (Some(identity), None) } else { (None, Some(identity)) })
}

/// Go's text of a group and version, which begins with the empty group of the core.
fn group_and_version(api_version: &str) -> String {
    if api_version.contains('/') { api_version.to_owned() } else { format!("/{api_version}") }
}

/// A random UUID (version 4). The store's own uids come from its reproducible randomness, which must not name tokens.
fn random_uuid() -> Result<String, CryptoError> {
    let mut bytes = [0_u8; 16];
    rand::fill(&mut bytes).map_err(|_| CryptoError { attempted: "draw random bytes for a token id" })?;
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let mut text = String::with_capacity(36);
    for (index, byte) in bytes.iter().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        let _ = write!(text, "{byte:02x}");
    }
    Ok(text)
}

/// Extra facts in the form of the reviews' `extra` field; none when there are none.
pub(crate) fn extra_field(extra: &BTreeMap<String, Vec<String>>) -> Option<BTreeMap<String, Vec<String>>> {
    (!extra.is_empty()).then(|| extra.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expiration_is_bounded_as_upstream() {
        assert_eq!(expiration_seconds(None), Ok(3600));
        assert_eq!(expiration_seconds(Some(600)), Ok(600));
        assert_eq!(
            expiration_seconds(Some(5)).unwrap_err().message,
            "TokenRequest.authentication.k8s.io \"\" is invalid: spec.expirationSeconds: Invalid value: 5: may not \
             specify a duration less than 10 minutes"
        );
        assert_eq!(expiration_seconds(Some(i64::MAX)).unwrap_err().code, 422);
    }

    #[test]
    fn token_ids_are_version_4_uuids() {
        let uuid = random_uuid().unwrap();
        assert_eq!(uuid.len(), 36);
        assert_eq!(&uuid[14..15], "4");
        assert!(matches!(&uuid[19..20], "8" | "9" | "a" | "b"), "{uuid}");
    }
}
