//! An HTTPS client that does nothing of its own: no retries, no parsing, no headers but those it is told.

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::RootCertStore;
use rustls::pki_types::{CertificateDer, pem::PemObject};
use std::sync::Arc;
use std::time::Duration;
use thiserror::Error;

/// How long an answer may take, or the next piece of one.
const TIMEOUT: Duration = Duration::from_secs(45);

/// No answer could be had.
#[derive(Debug, Error)]
pub enum ClientError {
    /// The certificate or the URL is unusable.
    #[error("cannot talk to {url}: {problem}")]
    Setup {
        /// Where.
        url: String,
        /// Why not.
        problem: String,
    },
    /// The request as written makes no HTTP request.
    #[error("the request is no HTTP: {0}")]
    Request(#[from] http::Error),
    /// The connection failed.
    #[error("sending {what}: {source}")]
    Send {
        /// Method and path.
        what: String,
        /// What failed.
        source: hyper_util::client::legacy::Error,
    },
    /// The answer broke off.
    #[error("reading the answer: {0}")]
    Read(#[from] hyper::Error),
    /// Nothing came.
    #[error("nothing came within {} s", TIMEOUT.as_secs())]
    Timeout,
}

/// A client of one server, as its administrator unless a request says otherwise.
#[derive(Clone, Debug)]
pub struct Client {
    http: hyper_util::client::legacy::Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    url: String,
    token: String,
}

/// A whole answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

/// An answer whose body is still coming: a line is an event.
#[derive(Debug)]
pub struct Stream {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    body: Incoming,
    buffer: Vec<u8>,
}

impl Client {
    /// A client of the server at `url`, whose certificate chains to `ca_pem`, with a bearer token.
    pub fn new(url: &str, ca_pem: &str, token: &str) -> Result<Self, ClientError> {
        let setup = |problem: String| ClientError::Setup { url: url.to_owned(), problem };
        let mut roots = RootCertStore::empty();
        let certificates = CertificateDer::pem_slice_iter(ca_pem.as_bytes()).filter_map(Result::ok);
        if roots.add_parsable_certificates(certificates).0 == 0 {
            return Err(setup("its issuer's certificate is no PEM".to_owned()));
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| setup(error.to_string()))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let connector = HttpsConnectorBuilder::new().with_tls_config(tls).https_only().enable_http1().build();
        let http = hyper_util::client::legacy::Client::builder(TokioExecutor::new()).build(connector);
        Ok(Self { http, url: url.to_owned(), token: token.to_owned() })
    }

    /// Sends a request and reads the whole answer.
    pub async fn send(
        &self,
        method: &str,
        target: &str,
        headers: &[(String, String)],
        body: String,
    ) -> Result<Answer, ClientError> {
        self.open(method, target, headers, body).await?.whole().await
    }

    /// Sends a request and reads the head of the answer.
    pub async fn open(
        &self,
        method: &str,
        target: &str,
        headers: &[(String, String)],
        body: String,
    ) -> Result<Stream, ClientError> {
        let mut request = Request::builder().method(method).uri(format!("{}{target}", self.url));
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let has = |name: header::HeaderName| {
            headers.iter().any(|(given, _)| given.eq_ignore_ascii_case(name.as_str()))
        };
        if !has(header::AUTHORIZATION) {
            request = request.header(header::AUTHORIZATION, format!("Bearer {}", self.token));
        }
        if !body.is_empty() && !has(header::CONTENT_TYPE) {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        let request = request.body(Full::from(body))?;
        let answer = within(self.http.request(request)).await?;
        let answer =
            answer.map_err(|source| ClientError::Send { what: format!("{method} {target}"), source })?;
        let (parts, body) = answer.into_parts();
        Ok(Stream { status: parts.status, headers: parts.headers, body, buffer: Vec::new() })
    }
}

impl Stream {
    /// All that comes.
    pub async fn whole(self) -> Result<Answer, ClientError> {
        let body = within(self.body.collect()).await??.to_bytes();
        Ok(Answer { status: self.status, headers: self.headers, body })
    }

    /// The next line, or none when the stream has ended.
    pub async fn line(&mut self) -> Result<Option<Vec<u8>>, ClientError> {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let rest = self.buffer.split_off(end + 1);
                let mut line = std::mem::replace(&mut self.buffer, rest);
                line.pop();
                return Ok(Some(line));
            }
            match within(self.body.frame()).await? {
                Some(frame) => {
                    if let Ok(data) = frame?.into_data() {
                        self.buffer.extend_from_slice(&data);
                    }
                }
                None if self.buffer.is_empty() => return Ok(None),
                None => return Ok(Some(std::mem::take(&mut self.buffer))),
            }
        }
    }
}

async fn within<F: Future>(future: F) -> Result<F::Output, ClientError> {
    tokio::time::timeout(TIMEOUT, future).await.map_err(|_| ClientError::Timeout)
}
