//! Serving clusters over HTTPS on loopback: one listener and port per cluster, HTTP/1.1 and HTTP/2 by ALPN.
//!
//! ```text
//!  accept ──▶ TLS handshake (bounded in time) ──▶ hyper (h1 | h2) ──▶ ApiService of the listener's cluster
//!     │                                             ▲
//!     └── at most `max_connections` at once         ├── ended unless a request comes in time, and answers are read
//!                                                   └── shutdown: watches end, idle connections close, the rest
//!                                                       finish or are cut off after `shutdown_grace`
//! ```

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
    service::TowerToHyperService,
};
use thiserror::Error;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::{sleep, timeout},
};
use tokio_rustls::TlsAcceptor;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::ServiceExt as _;
use tracing::{debug, warn};

use crate::{cluster::Cluster, http::ApiService, serving_tls};

/// Bytes of a request's head, as the real server has it: selectors and lists of impersonated groups can be long.
const MAX_HEAD_BYTES: u32 = 1 << 20;

/// Fields in the head of an HTTP/1.1 request. The real server has no such limit, and nobody sends as many.
const MAX_HEADERS: usize = 500;

/// Bytes of answers that wait in memory for the reader of one HTTP/2 stream. A connection may have a thousand.
const MAX_UNREAD_BYTES: usize = 64 * 1024;

/// What bounds a server's work. The defaults suit tests and demonstrations on one machine.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Open connections per cluster; further ones wait to be accepted.
    pub max_connections: usize,
    /// Time for a TLS handshake.
    pub handshake_timeout: Duration,
    /// Time for the head of a request, counted from the end of the one before, so it is also how long an idle HTTP/1.1
    /// connection is kept, and how long a new connection of either version may take to ask for something. Longer than the
    /// 90 s after which clients close idle connections themselves.
    pub header_timeout: Duration,
    /// How often an HTTP/2 connection is pinged, and thereby how soon a half-open one is noticed.
    pub keep_alive_interval: Duration,
    /// How long running requests may take to finish once the server shuts down.
    pub shutdown_grace: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_connections: 4096,
            handshake_timeout: Duration::from_secs(10),
            header_timeout: Duration::from_secs(120),
            keep_alive_interval: Duration::from_secs(30),
            shutdown_grace: Duration::from_secs(2),
        }
    }
}

/// A cluster could not be served.
#[derive(Debug, Error)]
pub enum ServeError {
    /// The address is taken, or not ours.
    #[error(
        "cannot listen on {address} for cluster {cluster:?}: {source}; choose another port, or 0 for any"
    )]
    Bind {
        /// The cluster's name.
        cluster: String,
        /// Where it was to listen.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// TLS could not be set up from the cluster's certificate.
    #[error("cannot set up TLS for cluster {cluster:?}: {source}")]
    Tls {
        /// The cluster's name.
        cluster: String,
        /// What rustls said.
        source: rustls::Error,
    },
}

/// Serves any number of clusters until [`Server::shutdown`]; dropping it stops accepting and cuts connections off.
#[derive(Debug)]
pub struct Server {
    limits: Limits,
    stopping: CancellationToken,
    cut_off: CancellationToken,
    tasks: TaskTracker,
}

impl Default for Server {
    fn default() -> Self {
        Self::new(Limits::default())
    }
}

impl Server {
    /// A server that serves nothing yet.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            stopping: CancellationToken::new(),
            cut_off: CancellationToken::new(),
            tasks: TaskTracker::new(),
        }
    }

    /// Serves `cluster` on a free port of 127.0.0.1 and returns the address.
    pub async fn serve(&self, cluster: &Cluster) -> Result<SocketAddr, ServeError> {
        self.serve_at(cluster, SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await
    }

    /// Serves `cluster` at `address`. The certificate names 127.0.0.1, ::1 and localhost.
    pub async fn serve_at(&self, cluster: &Cluster, address: SocketAddr) -> Result<SocketAddr, ServeError> {
        let bind_error = |source| ServeError::Bind { cluster: cluster.name().to_owned(), address, source };
        let listener = TcpListener::bind(address).await.map_err(bind_error)?;
        let bound = listener.local_addr().map_err(bind_error)?;
        let tls = serving_tls::server_config(cluster.serving_identity())
            .map_err(|source| ServeError::Tls { cluster: cluster.name().to_owned(), source })?;
        cluster.record_address(bound);
        let connection = Connection {
            service: ApiService::over_network(cluster.clone(), self.stopping.clone()),
            tls: TlsAcceptor::from(Arc::new(tls)),
            limits: self.limits.clone(),
            stopping: self.stopping.clone(),
            cut_off: self.cut_off.clone(),
        };
        self.tasks.spawn(accept(listener, connection, self.tasks.clone()));
        Ok(bound)
    }

    /// Stops accepting, ends watches, lets running requests finish for the grace time, then cuts off what is left.
    pub async fn shutdown(self) {
        self.stopping.cancel();
        self.tasks.close();
        if timeout(self.limits.shutdown_grace, self.tasks.wait()).await.is_err() {
            self.cut_off.cancel();
            self.tasks.wait().await;
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stopping.cancel();
        self.cut_off.cancel();
    }
}

/// What every connection of one listener needs.
#[derive(Clone)]
struct Connection {
    service: ApiService,
    tls: TlsAcceptor,
    limits: Limits,
    stopping: CancellationToken,
    cut_off: CancellationToken,
}

async fn accept(listener: TcpListener, connection: Connection, tasks: TaskTracker) {
    let free_slots = Arc::new(Semaphore::new(connection.limits.max_connections));
    while let Some(accepted) = connection.stopping.run_until_cancelled(next(&listener, &free_slots)).await {
        match accepted {
            Ok((stream, slot)) => {
                let connection = connection.clone();
                tasks.spawn(async move {
                    connection.run(stream).await;
                    drop(slot);
                });
            }
            Err(error) => {
                // Out of file descriptors, most likely: give connections time to end instead of spinning.
                warn!(%error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn next(
    listener: &TcpListener,
    free_slots: &Arc<Semaphore>,
) -> io::Result<(TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    let slot = Arc::clone(free_slots).acquire_owned().await.map_err(io::Error::other)?;
    let (stream, _) = listener.accept().await?;
    // Answers are small and wanted now.
    stream.set_nodelay(true)?;
    Ok((stream, slot))
}

impl Connection {
    async fn run(self, stream: TcpStream) {
        let cut_off = self.cut_off.clone();
        let ended = cut_off.run_until_cancelled(self.handshake_and_serve(stream)).await;
        if let Some(Err(error)) = ended {
            debug!(error, "a connection ended with an error");
        }
    }

    async fn handshake_and_serve(
        self,
        stream: TcpStream,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let handshake = timeout(self.limits.handshake_timeout, self.tls.accept(stream));
        let Some(stream) = self.stopping.run_until_cancelled(handshake).await else { return Ok(()) };
        let stream = stream??;
        let asked = Arc::new(AtomicBool::new(false));
        let service = self.service.map_request({
            let asked = Arc::clone(&asked);
            move |request| {
                asked.store(true, Ordering::Relaxed);
                request
            }
        });
        let builder = protocols(&self.limits);
        let connection = builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
        let mut connection = std::pin::pin!(connection);
        tokio::select! {
            biased;
            result = connection.as_mut() => return result,
            () = self.stopping.cancelled() => connection.as_mut().graceful_shutdown(),
            () = silence(&asked, self.limits.header_timeout) => {
                return Err("no request came, so the client is taken to be gone".into());
            }
        }
        connection.await
    }
}

/// Ends when nothing was asked in time. hyper looks at the clock only once it has seen which version a client speaks.
async fn silence(asked: &AtomicBool, limit: Duration) {
    sleep(limit).await;
    if asked.load(Ordering::Relaxed) {
        std::future::pending::<()>().await;
    }
}

/// Both versions of HTTP, bounded.
fn protocols(limits: &Limits) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_timeout)
        .max_headers(MAX_HEADERS)
        .max_buf_size(MAX_HEAD_BYTES as usize);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(limits.keep_alive_interval)
        .max_header_list_size(MAX_HEAD_BYTES)
        .max_send_buf_size(MAX_UNREAD_BYTES)
        // As kube-apiserver: enough for a client that watches everything over one connection.
        .max_concurrent_streams(1000);
    builder
}
