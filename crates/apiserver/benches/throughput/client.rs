//! Requests over HTTP/2 and TLS, made beforehand and sent a few at a time.

use std::{
    cell::RefCell,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{Request, Response, header};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, client::conn::http2::SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject as _};
use serde_json::Value;
use tokio::net::TcpStream;

/// Connections of a client.
const CONNECTIONS: usize = 2;

/// Where a server is, and as whom to ask it.
#[derive(Clone, Debug)]
pub(crate) struct Access {
    pub(crate) address: SocketAddr,
    pub(crate) ca_pem: String,
    pub(crate) token: String,
}

/// A few connections to one server.
pub(crate) struct Client {
    access: Access,
    connections: Vec<SendRequest<Full<Bytes>>>,
}

impl Client {
    pub(crate) async fn connect(access: &Access) -> Self {
        let mut connections = Vec::new();
        for _ in 0..CONNECTIONS {
            connections.push(connect(access).await);
        }
        Self { access: access.clone(), connections }
    }

    /// A request of the administrator. A body of a PATCH is a merge patch.
    pub(crate) fn request(&self, method: &str, path: &str, body: impl Into<Bytes>) -> Request<Full<Bytes>> {
        let content_type =
            if method == "PATCH" { "application/merge-patch+json" } else { "application/json" };
        Request::builder()
            .method(method)
            .uri(format!("https://{}{path}", self.access.address))
            .header(header::AUTHORIZATION, format!("Bearer {}", self.access.token))
            .header(header::CONTENT_TYPE, content_type)
            .body(Full::new(body.into()))
            .unwrap()
    }

    /// One request, which must succeed; its JSON.
    pub(crate) async fn ask(&self, method: &str, path: &str, body: &Value) -> Value {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let response = self.send(0, self.request(method, path, body)).await;
        let body = response.into_body().collect().await.unwrap().to_bytes();
        serde_json::from_slice(&body).unwrap()
    }

    /// Sends over one of the connections; fails unless the answer is a success.
    pub(crate) async fn send(&self, lane: usize, request: Request<Full<Bytes>>) -> Response<Incoming> {
        let mut connection = self.connections[lane % self.connections.len()].clone();
        let response = connection.send_request(request).await.unwrap();
        let status = response.status();
        if !status.is_success() {
            let body = response.into_body().collect().await.unwrap().to_bytes();
            panic!("{status}: {}", String::from_utf8_lossy(&body));
        }
        response
    }

    /// Sends the requests, `in_flight` at a time, until there are no more or the time is up; how long each took.
    pub(crate) async fn run(
        &self,
        requests: Vec<Request<Full<Bytes>>>,
        in_flight: usize,
        limit: Duration,
    ) -> Vec<Duration> {
        let requests = RefCell::new(requests.into_iter());
        let latencies = RefCell::new(Vec::new());
        let started = Instant::now();
        let lane = async |lane: usize| {
            while started.elapsed() < limit {
                let Some(request) = requests.borrow_mut().next() else { break };
                let sent = Instant::now();
                let mut body = self.send(lane, request).await.into_body();
                while let Some(frame) = body.frame().await {
                    frame.unwrap();
                }
                latencies.borrow_mut().push(sent.elapsed());
            }
        };
        futures::future::join_all((0..in_flight).map(lane)).await;
        latencies.into_inner()
    }
}

async fn connect(access: &Access) -> SendRequest<Full<Bytes>> {
    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(access.ca_pem.as_bytes()) {
        roots.add(certificate.unwrap()).unwrap();
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let stream = TcpStream::connect(access.address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let name = ServerName::from(access.address.ip());
    let stream = tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap();
    let (sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    sender
}
