//! The way from the issuer to a remote cluster, and how it fails.

use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt, TryStreamExt};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, StreamBody};
use kube::Client;
use kube::client::Body;
use std::convert::Infallible;
use std::future::pending;
use tokio::sync::watch;
use tower::BoxError;

/// How a link behaves now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkState {
    /// As it should.
    Up,
    /// Nothing is ever answered, not even with an error; open watches say nothing any more.
    Silent,
    /// Connections are refused, open ones break.
    Cut,
    /// Everything is answered with this status and no Kubernetes `Status`, as by a proxy; open watches break.
    Answers(StatusCode),
    /// Everything is answered with 200 and something that is no JSON; open watches break.
    Garbage,
}

/// One way to a remote cluster. Clones are the same way.
#[derive(Clone)]
pub struct Link(watch::Sender<LinkState>);

impl Default for Link {
    fn default() -> Self {
        Self(watch::Sender::new(LinkState::Up))
    }
}

pub(crate) type Frames = StreamBody<BoxStream<'static, Result<http_body::Frame<bytes::Bytes>, BoxError>>>;

impl Link {
    /// Behaves like this from now on, for open requests too.
    pub fn set(&self, state: LinkState) {
        self.0.send_replace(state);
    }

    /// The client as the issuer sees it.
    pub fn wrap(&self, client: Client) -> Client {
        let link = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let (client, link) = (client.clone(), link.clone());
            async move { link.send(client, request).await }
        });
        Client::new(service, "default")
    }

    async fn send(&self, client: Client, request: Request<Body>) -> Result<Response<Frames>, BoxError> {
        let state = *self.0.borrow();
        match state {
            LinkState::Up => Ok(client.send(request).await?.map(|body| self.carry(body))),
            LinkState::Silent => never().await,
            LinkState::Cut => Err("connection refused".into()),
            LinkState::Answers(status) => Ok(answer(status, "upstream says no".to_owned())),
            LinkState::Garbage => {
                Ok(answer(StatusCode::OK, "<html>welcome to the airport's network</html>".to_owned()))
            }
        }
    }

    /// The body, for as long as the link is up.
    fn carry(&self, body: Body) -> Frames {
        let mut link = self.0.subscribe();
        carried(body, async move { broken(&mut link).await })
    }
}

/// The body, until it breaks with this error.
pub(crate) fn carried(body: Body, broken: impl Future<Output = BoxError> + Send + 'static) -> Frames {
    let frames = body.into_data_stream().map_ok(http_body::Frame::data).map_err(BoxError::from).boxed();
    let carried = futures::stream::unfold((frames, broken.boxed()), |(mut frames, mut broken)| async {
        tokio::select! {
            biased;
            error = &mut broken => Some((Err(error), (futures::stream::empty().boxed(), pending().boxed()))),
            frame = frames.next() => frame.map(|frame| (frame, (frames, broken))),
        }
    });
    StreamBody::new(carried.boxed())
}

/// Returns when the link breaks; never while it is up or silent.
async fn broken(link: &mut watch::Receiver<LinkState>) -> BoxError {
    let state = link.wait_for(|state| *state != LinkState::Up).await.map(|state| *state);
    match state {
        // A peer that has gone silent does not come back on the same connection.
        Ok(LinkState::Silent) | Err(_) => never().await,
        Ok(_) => "connection reset by peer".into(),
    }
}

pub(crate) fn answer(status: StatusCode, text: String) -> Response<Frames> {
    let frame = http_body::Frame::data(bytes::Bytes::from(text));
    let body = StreamBody::new(futures::stream::iter([Ok(frame)]).boxed());
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response
}

async fn never<T>() -> T {
    let never: Infallible = pending().await;
    match never {}
}
