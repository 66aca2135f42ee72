//! The HTTP face of a cluster: everything between a request's bytes and the store's verbs.
//!
//! ```text
//!  request ─▶ RequestInfo ─▶ authentication ─▶ impersonation ─▶ RBAC ─▶ body (bounded)
//!                │ 404, 405       │ 401            │ 403          │ 403      │ 408, 413
//!                ▼                                                           ▼
//!     discovery · openapi · version · health                 reviews · resources · watches
//!                                                                            │
//!                                              Status on failure ◀──── Store (synchronous)
//! ```
//!
//! Only reading the body and waiting for watch events is asynchronous; no lock is held across either.

mod aggregated_discovery;
pub(crate) mod authn;
mod authorize;
mod decode;
mod discovery;
mod negotiate;
mod non_resource;
mod openapi;
mod options;
mod protobuf;
mod query;
mod request_info;
mod resources;
mod response;
mod review;
mod served;
mod view;
mod watch;

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, header, request::Parts};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Body;
use tokio_util::sync::CancellationToken;
use tower::BoxError;

pub use authn::{AUTHENTICATED, BearerToken, Identity, jwt::CryptoError};
pub(crate) use openapi::SchemaCache;
pub use response::{ApiResponse, ResponseBody};

use crate::{
    cluster::Cluster,
    status::{ApiStatus, StatusReason},
};
use query::Query;
use request_info::RequestInfo;

/// Largest request body, as the real server's default.
pub const MAX_BODY_BYTES: usize = 3 * 1024 * 1024;

/// Time for a request body to arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// How much of a body that is too large is read for the client's sake.
const DISCARDED_BYTES: usize = 4 * MAX_BODY_BYTES;

/// Time for that.
const DISCARD_TIMEOUT: Duration = Duration::from_secs(5);

/// Answers the requests of one cluster: a tower service, to be served over a connection or called in process.
#[derive(Clone, Debug)]
pub struct ApiService {
    cluster: Cluster,
    caller: Caller,
    /// Ends the watches, if something else than the cluster does.
    ending: Option<CancellationToken>,
}

/// How a request says who makes it.
#[derive(Clone, Debug)]
enum Caller {
    /// By its `Authorization` header.
    Credentials,
    /// It comes from this process, on behalf of somebody known.
    Known(Arc<Identity>),
}

/// A request past authentication and authorization.
struct Call<'a> {
    cluster: &'a Cluster,
    identity: &'a Identity,
    method: &'a Method,
    headers: &'a HeaderMap,
    query: &'a Query,
    body: Bytes,
    ending: CancellationToken,
}

impl ApiService {
    /// For connections: callers present credentials; watches end when `ending` is cancelled.
    pub fn over_network(cluster: Cluster, ending: CancellationToken) -> Self {
        Self { cluster, caller: Caller::Credentials, ending: Some(ending) }
    }

    /// For callers in this process that need no credentials because they are who they are. Watches end with
    /// [`Cluster::end_watches`].
    pub fn in_process(cluster: Cluster, identity: Identity) -> Self {
        Self { cluster, caller: Caller::Known(Arc::new(identity)), ending: None }
    }

    async fn answer<B>(&self, request: Request<B>) -> ApiResponse
    where
        B: Body<Data = Bytes> + Send,
        B::Error: Into<BoxError>,
    {
        let (parts, body) = request.into_parts();
        let answered = self.authorize_and_answer(&parts, body).await;
        let response = answered
            .unwrap_or_else(|status| response::failure(&status, negotiate::failure_encoding(&parts.headers)));
        tracing::debug!(
            cluster = self.cluster.name(),
            method = %parts.method,
            uri = %parts.uri,
            status = response.status().as_u16(),
            "answered"
        );
        response
    }

    async fn authorize_and_answer<B>(&self, parts: &Parts, body: B) -> Result<ApiResponse, ApiStatus>
    where
        B: Body<Data = Bytes> + Send,
        B::Error: Into<BoxError>,
    {
        let query = Query::parse(parts.uri.query().unwrap_or_default());
        let info = RequestInfo::parse(&parts.method, &parts.uri, &query);
        if let RequestInfo::NonResource { path, .. } = &info
            && authorize::is_open(path)
        {
            // Credentials are not needed, but bad ones are refused.
            if parts.headers.contains_key(header::AUTHORIZATION) {
                self.identify(&parts.headers)?;
            }
            return non_resource::open(&parts.method, path);
        }
        let identity = self.identify(&parts.headers)?;
        if let Some(attributes) = authorize::attributes(&info) {
            authorize::check(self.cluster.store(), &identity, &attributes)?;
        }
        let call = Call {
            cluster: &self.cluster,
            identity: &identity,
            method: &parts.method,
            headers: &parts.headers,
            query: &query,
            body: read_body(parts, body).await?,
            ending: self.ending.clone().unwrap_or_else(|| self.cluster.closing()),
        };
        match &info {
            RequestInfo::Resource(request) => resources::answer(&call, request),
            RequestInfo::NonResource { path, .. } => non_resource::answer(&call, path),
            RequestInfo::MethodNotAllowed => Err(ApiStatus::method_not_allowed_on_path()),
            RequestInfo::Malformed { path } => {
                Err(ApiStatus::bad_request(format!("the path {path:?} is not UTF-8 once percent-decoded")))
            }
        }
    }

    fn identify(&self, headers: &HeaderMap) -> Result<Arc<Identity>, ApiStatus> {
        let store = self.cluster.store();
        let caller = match &self.caller {
            Caller::Known(identity) => Arc::clone(identity),
            Caller::Credentials => self.cluster.authenticator().authenticate(headers, store)?,
        };
        authn::impersonated(caller, headers, store)
    }
}

async fn read_body<B>(parts: &Parts, body: B) -> Result<Bytes, ApiStatus>
where
    B: Body<Data = Bytes> + Send,
    B::Error: Into<BoxError>,
{
    if matches!(parts.method, Method::GET | Method::HEAD) {
        return Ok(Bytes::new());
    }
    let too_large = || ApiStatus::request_entity_too_large(format!("limit is {MAX_BODY_BYTES}"));
    let announced =
        parts.headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    let mut body = std::pin::pin!(body);
    if announced.is_some_and(|length| length > MAX_BODY_BYTES as u64) {
        // Who waits for `100 Continue` listens already.
        if !parts.headers.contains_key(header::EXPECT) {
            discard(body).await;
        }
        return Err(too_large());
    }
    let whole = Limited::new(body.as_mut(), MAX_BODY_BYTES).collect();
    match tokio::time::timeout(BODY_TIMEOUT, whole).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            discard(body).await;
            Err(too_large())
        }
        Ok(Err(error)) => Err(ApiStatus::bad_request(format!("cannot read the request body: {error}"))),
        Err(_) => Err(ApiStatus::new(
            408,
            StatusReason::Timeout,
            format!("the request body did not arrive within {} s", BODY_TIMEOUT.as_secs()),
        )),
    }
}

/// Reads on for a while, keeping nothing. A client that is still sending does not listen: it would see its connection close
/// and never the answer that says why.
async fn discard<B>(mut body: Pin<&mut B>)
where
    B: Body<Data = Bytes>,
{
    let mut left = DISCARDED_BYTES;
    let reading = async {
        while let Some(Ok(frame)) = body.frame().await
            && left > 0
        {
            left = left.saturating_sub(frame.data_ref().map_or(0, Bytes::len));
        }
    };
    // Whoever takes longer does without the answer.
    let _ = tokio::time::timeout(DISCARD_TIMEOUT, reading).await;
}

impl<B> tower::Service<Request<B>> for ApiService
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = ApiResponse;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<ApiResponse, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let service = self.clone();
        Box::pin(async move { Ok(service.answer(request).await) })
    }
}
