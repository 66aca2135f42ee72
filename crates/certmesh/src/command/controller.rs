//! What `issuer` and `agent` have in common: where they are asked about their health, and who asks them to stop.

use std::{future::Future, net::SocketAddr};

use certmesh_controllers::{Metrics, Readiness, serve_health};
use tokio::{net::TcpListener, task::JoinSet};
use tokio_util::sync::CancellationToken;

use crate::{exit::Exit, failure::Failure};

/// Where health and metrics are served. Both addresses answer all three paths, one address may be both.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Health and metrics")]
pub(crate) struct ListenOptions {
    /// Where /healthz and /readyz are served
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:8080")]
    health_addr: SocketAddr,
    /// Where /metrics is served
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:9090")]
    metrics_addr: SocketAddr,
}

/// What is told about a running controller.
#[derive(Clone, Default)]
pub(crate) struct Health {
    pub(crate) readiness: Readiness,
    pub(crate) metrics: Metrics,
}

/// Runs a controller and answers about its health until it has stopped.
pub(crate) async fn run(
    controller: impl Future<Output = ()>,
    options: &ListenOptions,
    health: &Health,
    stop: CancellationToken,
) -> Result<Exit, Failure> {
    let mut servers = JoinSet::new();
    for listener in listen(options).await? {
        let Health { readiness, metrics } = health.clone();
        servers.spawn(serve_health(listener, readiness, metrics, stop.clone()));
    }
    controller.await;
    stop.cancel();
    while servers.join_next().await.is_some() {}
    Ok(Exit::Done)
}

async fn listen(options: &ListenOptions) -> Result<Vec<TcpListener>, Failure> {
    let mut addresses = vec![options.health_addr];
    if options.metrics_addr != options.health_addr {
        addresses.push(options.metrics_addr);
    }
    let mut listeners = Vec::new();
    for address in addresses {
        let listener = TcpListener::bind(address).await.map_err(|error| {
            Failure::new(format!("listening on {address} for health and metrics"))
                .because(error)
                .advise("choose free addresses with --health-addr and --metrics-addr; port 0 takes any")
        })?;
        if let Ok(address) = listener.local_addr() {
            tracing::info!(%address, "serving health and metrics");
        }
        listeners.push(listener);
    }
    Ok(listeners)
}
