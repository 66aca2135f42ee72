//! One connection: a whole mutual TLS handshake over TCP, and a word each way.
//!
//! ```text
//!   client ──TCP, TLS──▶ endpoint     each verifies the other's chain against its own roots
//!   client ──"who am I?"──▶           the client has checked the server's SPIFFE ID
//!          ◀──the client's SPIFFE ID, as the server verified it──
//! ```
//!
//! In TLS 1.3 a client's handshake ends before the server has looked at the client's certificate; only the answer proves
//! that both sides accepted each other.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use certmesh_x509::SpiffeId;
use rustls::{CommonState, pki_types::ServerName};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    time::timeout,
};
use tokio_rustls::{TlsAcceptor, TlsConnector};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::workload::{Workload, spiffe_id};

/// A connection on loopback takes a few milliseconds.
const LIMIT: Duration = Duration::from_secs(5);
const QUESTION: &[u8] = b"who am I?\n";
/// A SPIFFE ID has at most 2048 bytes.
const MAX_ANSWER: u64 = 2048;

/// A workload that listens on loopback. Its certificate can be replaced while it listens. It stops when it is dropped.
pub struct Endpoint {
    address: SocketAddr,
    workload: Arc<RwLock<Workload>>,
    _stop: DropGuard,
}

impl Endpoint {
    /// Starts to listen on a free port of 127.0.0.1.
    pub async fn listen(workload: Workload) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let workload = Arc::new(RwLock::new(workload));
        let stop = CancellationToken::new();
        tokio::spawn(stop.clone().run_until_cancelled_owned(accept(listener, Arc::clone(&workload))));
        Ok(Self { address, workload, _stop: stop.drop_guard() })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The workload as it is now.
    pub fn workload(&self) -> Workload {
        self.workload.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Gives new connections another certificate; those that are open keep theirs.
    pub fn replace(&self, workload: Workload) {
        *self.workload.write().unwrap_or_else(PoisonError::into_inner) = workload;
    }
}

async fn accept(listener: TcpListener, workload: Arc<RwLock<Workload>>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // Out of file descriptors, most likely.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let server = Arc::clone(&workload.read().unwrap_or_else(PoisonError::into_inner).server);
        tokio::spawn(async move {
            // What went wrong is seen, and told, by the client.
            if let Ok(Err(error)) = timeout(LIMIT, answer(stream, TlsAcceptor::from(server))).await {
                tracing::debug!(%error, "a connection was refused");
            }
        });
    }
}

async fn answer(stream: TcpStream, acceptor: TlsAcceptor) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut stream = acceptor.accept(stream).await?;
    let mut question = [0; QUESTION.len()];
    stream.read_exact(&mut question).await?;
    let peer = peer(stream.get_ref().1).ok_or_else(|| io::Error::other("the client has no SPIFFE ID"))?;
    stream.write_all(peer.as_str().as_bytes()).await?;
    stream.shutdown().await
}

/// Makes a new connection as `client` and checks that whoever answers is `server`, and knows us for who we are.
pub async fn connect(client: &Workload, server: &SpiffeId, address: SocketAddr) -> Result<(), ProbeError> {
    timeout(LIMIT, ask(client, server, address)).await.map_err(|_| ProbeError::Timeout)?
}

async fn ask(client: &Workload, server: &SpiffeId, address: SocketAddr) -> Result<(), ProbeError> {
    let stream = TcpStream::connect(address).await.map_err(ProbeError::Connect)?;
    stream.set_nodelay(true).map_err(ProbeError::Connect)?;
    let connector = TlsConnector::from(Arc::clone(&client.client));
    // The address: no name is sent, and none is verified; the SPIFFE ID is.
    let name = ServerName::from(address.ip());
    let mut stream = connector.connect(name, stream).await.map_err(ProbeError::Handshake)?;
    match peer(stream.get_ref().1) {
        Some(found) if found == *server => {}
        found => return Err(ProbeError::OtherServer { expected: server.clone(), found }),
    }
    stream.write_all(QUESTION).await.map_err(ProbeError::Refused)?;
    let mut answer = String::new();
    stream.take(MAX_ANSWER).read_to_string(&mut answer).await.map_err(ProbeError::Refused)?;
    if answer == client.id().as_str() { Ok(()) } else { Err(ProbeError::OtherClient { answer }) }
}

fn peer(connection: &CommonState) -> Option<SpiffeId> {
    connection.peer_certificates()?.first().and_then(spiffe_id)
}

/// Why a connection failed.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// Nobody listens there.
    #[error("connecting: {0}")]
    Connect(#[source] io::Error),
    /// We do not accept the server.
    #[error("the client refused the server: {0}")]
    Handshake(#[source] io::Error),
    /// The server does not accept us.
    #[error("the server refused the client: {0}")]
    Refused(#[source] io::Error),
    /// The certificate is good, and somebody else's.
    #[error("expected {expected}, found {}", found.as_ref().map_or("no SPIFFE ID", SpiffeId::as_str))]
    OtherServer {
        /// Who should have answered.
        expected: SpiffeId,
        /// Who did.
        found: Option<SpiffeId>,
    },
    /// The server takes us for somebody else.
    #[error("the server took the client for {answer:?}")]
    OtherClient {
        /// For whom.
        answer: String,
    },
    /// No answer.
    #[error("no answer within {} s", LIMIT.as_secs())]
    Timeout,
}
