//! The way from the issuer to a remote cluster: bytes carried over loopback, until somebody cuts it.

use std::net::SocketAddr;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// How a link behaves now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LinkState {
    /// As it should.
    Up,
    /// Connections are closed as soon as they are there, open ones break.
    Cut,
    /// Nothing is carried any more, and nobody is told.
    Silent,
}

/// One way to a cluster.
pub(crate) struct Link {
    state: watch::Sender<LinkState>,
    address: SocketAddr,
}

impl Link {
    /// Leads to `target` from now on, until the runtime ends.
    pub(crate) async fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port on loopback");
        let address = listener.local_addr().expect("its address");
        let state = watch::Sender::new(LinkState::Up);
        let watched = state.subscribe();
        tokio::spawn(async move {
            loop {
                let Ok((client, _)) = listener.accept().await else { continue };
                tokio::spawn(carry(client, target, watched.clone()));
            }
        });
        Self { state, address }
    }

    /// Where it begins.
    pub(crate) fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    /// Behaves like this from now on, for open connections too.
    pub(crate) fn set(&self, state: LinkState) {
        self.state.send_replace(state);
    }
}

async fn carry(mut client: TcpStream, target: SocketAddr, mut state: watch::Receiver<LinkState>) {
    let mut carrying = Box::pin(async {
        let Ok(mut server) = TcpStream::connect(target).await else { return };
        let _ = (client.set_nodelay(true), server.set_nodelay(true));
        // However it ends, both sides are closed.
        let _ = copy_bidirectional(&mut client, &mut server).await;
    });
    // The state first: what is cut or silent carries nothing, not even a first byte.
    let broken = tokio::select! {
        biased;
        broken = state.wait_for(|state| *state != LinkState::Up) => broken.map(|state| *state),
        () = &mut carrying => return,
    };
    if matches!(broken, Ok(LinkState::Silent)) {
        // Open, and no more. A connection that has gone silent stays so.
        std::future::pending::<()>().await;
    }
}
