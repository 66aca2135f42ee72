//! Requests that are answered and not stored: who a token belongs to, who may do what, and tokens for ServiceAccounts.
//!
//! ```text
//!   authentication.k8s.io/v1   tokenreviews · selfsubjectreviews
//!   authorization.k8s.io/v1    subjectaccessreviews · localsubjectaccessreviews · selfsubjectaccessreviews ·
//!                              selfsubjectrulesreviews
//!   v1                         serviceaccounts/NAME/token
//! ```

use std::{collections::HashMap, sync::LazyLock};

use http::StatusCode;
use k8s_openapi::{
    api::{
        authentication::v1::{
            SelfSubjectReview, SelfSubjectReviewStatus, TokenRequest, TokenReview, TokenReviewStatus,
            UserInfo as ReviewUser,
        },
        authorization::v1::{
            LocalSubjectAccessReview, NonResourceAttributes, NonResourceRule, ResourceAttributes,
            ResourceRule, SelfSubjectAccessReview, SelfSubjectRulesReview, SelfSubjectRulesReviewSpec,
            SubjectAccessReview, SubjectAccessReviewSpec, SubjectAccessReviewStatus,
            SubjectRulesReviewStatus,
        },
    },
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
    serde::{Serialize, de::DeserializeOwned},
};
use schemars::JsonSchema;
use serde_json::{Value, json};

use super::{
    Call,
    authn::{self, Identity, service_account},
    decode, negotiate, options,
    request_info::ResourceRequest,
    response::{self, ApiResponse},
};
use crate::{
    rbac::{Attributes, Decision, Rule, UserInfo},
    resource::{GroupKind, Scope, Verb},
    schema::{self, Schema},
    status::{ApiStatus, FieldError, go_quote},
    store::FieldValidation,
};

const AUTHENTICATION: &str = "authentication.k8s.io";
const AUTHORIZATION: &str = "authorization.k8s.io";

/// A kind of review, for discovery.
pub(super) struct ReviewKind {
    pub(super) group: &'static str,
    pub(super) plural: &'static str,
    pub(super) kind: &'static str,
    pub(super) scope: Scope,
    schema: fn() -> Value,
}

const fn kind<T: JsonSchema>(
    group: &'static str,
    plural: &'static str,
    kind: &'static str,
    scope: Scope,
) -> ReviewKind {
    ReviewKind { group, plural, kind, scope, schema: || schemars::schema_for!(T).to_value() }
}

/// The reviews that are resources of their own, all `v1`.
pub(super) static KINDS: [ReviewKind; 6] = [
    kind::<SelfSubjectReview>(AUTHENTICATION, "selfsubjectreviews", "SelfSubjectReview", Scope::Cluster),
    kind::<TokenReview>(AUTHENTICATION, "tokenreviews", "TokenReview", Scope::Cluster),
    kind::<LocalSubjectAccessReview>(
        AUTHORIZATION,
        "localsubjectaccessreviews",
        "LocalSubjectAccessReview",
        Scope::Namespaced,
    ),
    kind::<SelfSubjectAccessReview>(
        AUTHORIZATION,
        "selfsubjectaccessreviews",
        "SelfSubjectAccessReview",
        Scope::Cluster,
    ),
    kind::<SelfSubjectRulesReview>(
        AUTHORIZATION,
        "selfsubjectrulesreviews",
        "SelfSubjectRulesReview",
        Scope::Cluster,
    ),
    kind::<SubjectAccessReview>(AUTHORIZATION, "subjectaccessreviews", "SubjectAccessReview", Scope::Cluster),
];

/// The schemas of all reviews, by kind.
static SCHEMAS: LazyLock<HashMap<&str, Schema>> = LazyLock::new(|| {
    let token_request = schemars::schema_for!(TokenRequest).to_value();
    let reviews = KINDS.iter().map(|kind| (kind.kind, schema::from_openapi(&(kind.schema)())));
    reviews.chain([("TokenRequest", schema::from_openapi(&token_request))]).collect()
});

/// The answer, if the request is for a review; `None` for everything else.
pub(super) fn answer(call: &Call<'_>, request: &ResourceRequest) -> Option<Result<ApiResponse, ApiStatus>> {
    let known = |kind: &&ReviewKind| kind.group == request.group && kind.plural == request.resource;
    let kind = KINDS.iter().find(known).filter(|_| request.version == "v1")?.kind;
    let review: fn(&Call<'_>, &ResourceRequest) -> Result<ApiResponse, ApiStatus> = match kind {
        "TokenReview" => |call, _| token(call),
        "SelfSubjectReview" => |call, _| self_subject(call),
        "SubjectAccessReview" => |call, _| subject_access(call),
        "LocalSubjectAccessReview" => local_subject_access,
        "SelfSubjectAccessReview" => |call, _| self_subject_access(call),
        _ => |call, _| self_subject_rules(call),
    };
    Some(match (request.verb, &request.name) {
        (_, Some(_)) => Err(ApiStatus::resource_not_found()),
        (Verb::Create, None) => with_findings(call, kind, || review(call, request)),
        (_, None) => Err(ApiStatus::method_not_allowed_on_path()),
    })
}

/// `POST …/serviceaccounts/NAME/token`.
pub(super) fn service_account_token(
    call: &Call<'_>,
    namespace: &str,
    name: &str,
) -> Result<ApiResponse, ApiStatus> {
    with_findings(call, "TokenRequest", || token_for(call, namespace, name))
}

fn token_for(call: &Call<'_>, namespace: &str, name: &str) -> Result<ApiResponse, ApiStatus> {
    let request: TokenRequest = read(call, "TokenRequest")?;
    let signer = call.cluster.authenticator().signer();
    let answer = service_account::issue_token(signer, call.cluster.store(), namespace, name, request)?;
    let mut answer = serde_json::to_value(&answer).map_err(ApiStatus::internal)?;
    if let Some(spec) = answer.get_mut("spec").and_then(Value::as_object_mut) {
        // The one field of the API that is written even when it is null.
        spec.entry("boundObjectRef").or_insert(Value::Null);
    }
    created(call, &answer)
}

fn read<T: DeserializeOwned>(call: &Call<'_>, kind: &str) -> Result<T, ApiStatus> {
    options::write(call.query, "CreateOptions")?;
    decode::typed(negotiate::body_format(call.headers)?, &call.body, kind)
}

/// Answers with what was noticed about the body's fields, or, if so asked, refuses the body for it.
fn with_findings(
    call: &Call<'_>,
    kind: &str,
    answer: impl FnOnce() -> Result<ApiResponse, ApiStatus>,
) -> Result<ApiResponse, ApiStatus> {
    let validation = options::write(call.query, "CreateOptions")?.field_validation;
    let body = decode::object(negotiate::body_format(call.headers)?, &call.body, kind)?;
    let mut findings: Vec<String> =
        body.duplicate_fields.iter().map(|path| format!("duplicate field {}", go_quote(path))).collect();
    if let (Value::Object(mut object), Some(schema)) = (body.value, SCHEMAS.get(kind)) {
        let cannot_handle = |error: String| {
            ApiStatus::bad_request(format!("{kind} in version \"v1\" cannot be handled as a {kind}: {error}"))
        };
        let unknown = schema::decode(&mut object, schema, kind).map_err(cannot_handle)?;
        findings.extend(unknown.iter().map(|path| format!("unknown field {}", go_quote(path))));
        if validation == FieldValidation::Strict && !findings.is_empty() {
            return Err(cannot_handle(format!("strict decoding error: {}", findings.join(", "))));
        }
    }
    if validation == FieldValidation::Ignore {
        findings.clear();
    }
    match answer() {
        Ok(answer) => Ok(response::with_warnings(answer, &findings)),
        Err(status) => Err(status.with_earlier_warnings(findings)),
    }
}

fn created(call: &Call<'_>, answer: &impl Serialize) -> Result<ApiResponse, ApiStatus> {
    let encoding = negotiate::accepted(call.headers, false)?.encoding;
    let mut answer = serde_json::to_value(answer)
        .map_err(|error| ApiStatus::internal(format!("cannot write JSON: {error}")))?;
    for pointer in ["/spec", "/spec/resourceAttributes", "/spec/nonResourceAttributes"] {
        if let Some(part) = answer.pointer_mut(pointer).and_then(Value::as_object_mut) {
            part.retain(|_, value| value != "");
        }
    }
    response::encoded(StatusCode::CREATED, encoding, answer.to_string().into())
}

fn token(call: &Call<'_>) -> Result<ApiResponse, ApiStatus> {
    let mut review: TokenReview = read(call, "TokenReview")?;
    if review.spec.token.is_empty() {
        return Err(ApiStatus::bad_request("token is required for TokenReview in authentication"));
    }
    let authenticator = call.cluster.authenticator();
    let reviewed = authenticator.review(&review.spec.token, call.cluster.store());
    let own_audience = vec![authenticator.signer().issuer().to_owned()];
    let wanted =
        review.spec.audiences.clone().filter(|list| !list.is_empty()).unwrap_or_else(|| own_audience.clone());
    review.status = Some(token_status(reviewed, &wanted, own_audience));
    created(call, &review)
}

fn token_status(
    reviewed: Result<authn::Accepted, authn::Rejected>,
    wanted: &[String],
    own_audience: Vec<String>,
) -> TokenReviewStatus {
    let refused = |error: String| TokenReviewStatus {
        error: Some(error),
        user: Some(ReviewUser::default()),
        ..TokenReviewStatus::default()
    };
    let accepted = match reviewed {
        Ok(accepted) => accepted,
        Err(rejected) => return refused(rejected.to_string()),
    };
    let of_token = accepted.audiences.unwrap_or(own_audience);
    let audiences: Vec<String> =
        of_token.iter().filter(|audience| wanted.contains(audience)).cloned().collect();
    if audiences.is_empty() {
        return refused(format!(
            "[invalid bearer token, token audiences {of_token:?} is invalid for the target audiences {wanted:?}]"
        ));
    }
    TokenReviewStatus {
        audiences: Some(audiences),
        authenticated: Some(true),
        error: None,
        user: Some(review_user(&accepted.identity)),
    }
}

fn review_user(identity: &Identity) -> ReviewUser {
    ReviewUser {
        extra: service_account::extra_field(&identity.extra),
        groups: Some(identity.user.groups.clone()),
        uid: identity.user.uid.clone(),
        username: Some(identity.user.username.clone()),
    }
}

fn self_subject(call: &Call<'_>) -> Result<ApiResponse, ApiStatus> {
    let mut review: SelfSubjectReview = read(call, "SelfSubjectReview")?;
    review.status = Some(SelfSubjectReviewStatus { user_info: Some(review_user(call.identity)) });
    created(call, &review)
}

fn self_subject_access(call: &Call<'_>) -> Result<ApiResponse, ApiStatus> {
    let mut review: SelfSubjectAccessReview = read(call, "SelfSubjectAccessReview")?;
    check_empty(&review.metadata)?;
    let spec = &review.spec;
    let attributes = attributes(spec.resource_attributes.as_ref(), spec.non_resource_attributes.as_ref());
    let attributes = attributes.map_err(invalid)?;
    review.status = Some(decide(call, &call.identity.user, &attributes));
    created(call, &review)
}

fn subject_access(call: &Call<'_>) -> Result<ApiResponse, ApiStatus> {
    let mut review: SubjectAccessReview = read(call, "SubjectAccessReview")?;
    check_empty(&review.metadata)?;
    review.status = Some(decide_for_subject(call, &review.spec)?);
    created(call, &review)
}

fn local_subject_access(call: &Call<'_>, request: &ResourceRequest) -> Result<ApiResponse, ApiStatus> {
    let mut review: LocalSubjectAccessReview = read(call, "LocalSubjectAccessReview")?;
    let namespace = request.namespace.as_deref().unwrap_or_default();
    if let Some(attributes) = &review.spec.non_resource_attributes {
        let detail = "disallowed on this kind of request";
        return Err(invalid(FieldError::invalid("spec.nonResourceAttributes", &in_go(attributes), detail)));
    }
    let asked =
        review.spec.resource_attributes.as_ref().and_then(|attributes| attributes.namespace.as_deref());
    if asked != Some(namespace) {
        let detail = "must match metadata.namespace";
        let error = FieldError::invalid("spec.resourceAttributes.namespace", &json!(asked), detail);
        return Err(invalid(error));
    }
    review.status = Some(decide_for_subject(call, &review.spec)?);
    created(call, &review)
}

fn decide_for_subject(
    call: &Call<'_>,
    spec: &SubjectAccessReviewSpec,
) -> Result<SubjectAccessReviewStatus, ApiStatus> {
    let attributes = attributes(spec.resource_attributes.as_ref(), spec.non_resource_attributes.as_ref());
    let user = UserInfo {
        username: spec.user.clone().unwrap_or_default(),
        groups: spec.groups.clone().unwrap_or_default(),
        uid: spec.uid.clone(),
    };
    let nobody = (user.username.is_empty() && user.groups.is_empty()).then(|| {
        let detail = "at least one of user or group must be specified";
        FieldError::invalid("spec.user", &json!(user.username), detail)
    });
    match (attributes, nobody) {
        (Ok(attributes), None) => Ok(decide(call, &user, &attributes)),
        (attributes, nobody) => {
            let errors: Vec<FieldError> = attributes.err().into_iter().chain(nobody).collect();
            Err(ApiStatus::invalid(&GroupKind::new(AUTHORIZATION, ""), "", &errors))
        }
    }
}

fn decide(call: &Call<'_>, user: &UserInfo, attributes: &Attributes) -> SubjectAccessReviewStatus {
    let (allowed, reason) = match call.cluster.store().authorize(user, attributes) {
        Decision::Allowed { reason } => (true, reason),
        Decision::Denied { reason } => (false, reason),
    };
    SubjectAccessReviewStatus {
        allowed,
        denied: None,
        evaluation_error: None,
        reason: Some(reason).filter(|reason| !reason.is_empty()),
    }
}

/// 422. The real server leaves the kind out of these.
fn invalid(error: FieldError) -> ApiStatus {
    ApiStatus::invalid(&GroupKind::new(AUTHORIZATION, ""), "", &[error])
}

/// Reviews are not stored, so they have no metadata.
fn check_empty(metadata: &ObjectMeta) -> Result<(), ApiStatus> {
    let given = ObjectMeta { managed_fields: None, ..metadata.clone() };
    if given == ObjectMeta::default() {
        return Ok(());
    }
    Err(invalid(FieldError::invalid("metadata", &json!(given), "must be empty")))
}

/// Non-resource attributes as Go prints them in messages.
fn in_go(attributes: &NonResourceAttributes) -> Value {
    let text = |field: &Option<String>| field.clone().unwrap_or_default();
    json!({"Path": text(&attributes.path), "Verb": text(&attributes.verb)})
}

/// Exactly one of the two kinds of attributes must be given.
fn attributes(
    resource: Option<&ResourceAttributes>,
    non_resource: Option<&NonResourceAttributes>,
) -> Result<Attributes, FieldError> {
    let text = |field: &Option<String>| field.clone().unwrap_or_default();
    match (resource, non_resource) {
        (Some(asked), None) => Ok(Attributes::Resource {
            verb: text(&asked.verb),
            group: text(&asked.group),
            resource: text(&asked.resource),
            subresource: text(&asked.subresource),
            name: text(&asked.name),
            namespace: text(&asked.namespace),
        }),
        (None, Some(asked)) => {
            Ok(Attributes::NonResource { verb: text(&asked.verb), path: text(&asked.path) })
        }
        (Some(_), Some(_)) | (None, None) => {
            let detail = "exactly one of nonResourceAttributes or resourceAttributes must be specified";
            let given = non_resource.map_or(Value::Null, in_go);
            Err(FieldError::invalid("spec", &given, detail))
        }
    }
}

fn self_subject_rules(call: &Call<'_>) -> Result<ApiResponse, ApiStatus> {
    let mut review: SelfSubjectRulesReview = read(call, "SelfSubjectRulesReview")?;
    let Some(namespace) = review.spec.namespace.as_deref().filter(|namespace| !namespace.is_empty()) else {
        return Err(ApiStatus::bad_request("no namespace on request"));
    };
    let rules = call.cluster.store().rules_for(&call.identity.user, namespace);
    review.status = Some(rules_status(&rules));
    // As the real server, which does not repeat the question.
    review.spec = SelfSubjectRulesReviewSpec::default();
    created(call, &review)
}

fn rules_status(rules: &[Rule]) -> SubjectRulesReviewStatus {
    let given = |list: &[String]| (!list.is_empty()).then(|| list.to_vec());
    let (urls, resources): (Vec<_>, Vec<_>) =
        rules.iter().partition(|rule| !rule.non_resource_urls.is_empty());
    SubjectRulesReviewStatus {
        evaluation_error: None,
        incomplete: false,
        non_resource_rules: urls
            .into_iter()
            .map(|rule| NonResourceRule {
                non_resource_urls: given(&rule.non_resource_urls),
                verbs: rule.verbs.clone(),
            })
            .collect(),
        resource_rules: resources
            .into_iter()
            .map(|rule| ResourceRule {
                api_groups: given(&rule.api_groups),
                resource_names: given(&rule.resource_names),
                resources: given(&rule.resources),
                verbs: rule.verbs.clone(),
            })
            .collect(),
    }
}
