//! Every request is answered in time, or fails.
//!
//! A dead connection is noticed by its pings. A server, or a proxy before it, that takes a request and then says nothing
//! is not: it would hold up a pass, or the list that a watch begins with, for ever.

use http::{Request, Response};
use kube::Client;
use kube::client::Body;
use std::time::Duration;
use tower::BoxError;

/// The API server gives up on a request after a minute; ours take milliseconds.
const LIMIT: Duration = Duration::from_secs(30);

/// A request was not answered in time.
#[derive(Debug, thiserror::Error)]
#[error("no answer in {} s", LIMIT.as_secs())]
struct NoAnswer;

/// The client, with a limit for each answer: the whole of it, or the beginning of a watch.
pub(crate) fn limited(client: Client) -> Client {
    let service = tower::service_fn(move |request: Request<Body>| answer(client.clone(), request));
    Client::new(service, "default")
}

/// Whether a request asks for a watch.
pub(crate) fn is_watch(request: &Request<Body>) -> bool {
    request.uri().query().is_some_and(|query| query.split('&').any(|pair| pair == "watch=true"))
}

async fn answer(client: Client, request: Request<Body>) -> Result<Response<Body>, BoxError> {
    let is_watch =
        request.uri().query().is_some_and(|query| query.split('&').any(|pair| pair == "watch=true"));
    let whole = async {
        let response = client.send(request).await?;
        if is_watch {
            return Ok(response);
        }
        let (parts, body) = response.into_parts();
        let body = body.collect_bytes().await?;
        Ok::<_, BoxError>(Response::from_parts(parts, Body::from(body)))
    };
    tokio::time::timeout(LIMIT, whole).await.map_err(|_| NoAnswer)?
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::core::v1::ConfigMap;
    use kube::Api;
    use kube::api::WatchParams;
    use std::convert::Infallible;
    use std::future::pending;
    use tokio::time::Instant;

    fn silent() -> Client {
        let service = tower::service_fn(|_: Request<Body>| pending::<Result<Response<Body>, Infallible>>());
        limited(Client::new(service, "default"))
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_says_nothing_is_given_up() {
        let api = Api::<ConfigMap>::default_namespaced(silent());
        let begin = Instant::now();
        let error = api.get("a").await.unwrap_err();
        assert_eq!(begin.elapsed().as_secs(), LIMIT.as_secs());
        assert!(error.to_string().contains("no answer in 30 s"), "{error}");
        assert!(api.watch(&WatchParams::default(), "0").await.is_err(), "a watch has to begin in time too");
    }

    #[tokio::test(start_paused = true)]
    async fn a_watch_that_has_begun_may_be_silent() {
        let service = tower::service_fn(async |_: Request<Body>| {
            tokio::time::sleep(LIMIT / 2).await;
            Ok::<_, Infallible>(Response::new(Body::empty()))
        });
        let api = Api::<ConfigMap>::default_namespaced(limited(Client::new(service, "default")));
        assert!(api.watch(&WatchParams::default(), "0").await.is_ok());
    }
}
