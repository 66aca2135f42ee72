//! SIGINT and SIGTERM end every command cleanly, within five seconds.
//!
//! ```text
//!   signal ─▶ stop token ─▶ the command finishes what it began ─▶ done
//!                 │
//!                 └── 4.5 s later, or at a second signal: the process ends anyway, and says so
//! ```

use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::failure::Failure;

/// Five seconds are promised; this leaves half of one for the process to go.
const GRACE: Duration = Duration::from_millis(4500);
/// Tools like `timeout` send a signal to a process and again to its group; that is one wish, not two.
const REPEAT: Duration = Duration::from_millis(500);

/// Runs a command on a new async runtime. It gets a token that is cancelled at the first signal.
pub(crate) fn run<F, T>(command: impl FnOnce(CancellationToken) -> F) -> Result<T, Failure>
where
    F: Future<Output = Result<T, Failure>>,
{
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new("starting the async runtime").because(error))?;
    let outcome = runtime.block_on(run_until_signal(command));
    // A key that is still being made is no reason to wait.
    runtime.shutdown_background();
    outcome
}

async fn run_until_signal<F, T>(command: impl FnOnce(CancellationToken) -> F) -> Result<T, Failure>
where
    F: Future<Output = Result<T, Failure>>,
{
    let mut signals =
        Signals::listen().map_err(|error| Failure::new("listening for signals").because(error))?;
    let stop = CancellationToken::new();
    let mut command = std::pin::pin!(command(stop.clone()));
    tokio::select! {
        outcome = command.as_mut() => return outcome,
        name = signals.next() => tracing::info!(signal = name, "stopping"),
    }
    stop.cancel();
    let second = async {
        tokio::time::sleep(REPEAT).await;
        signals.next().await
    };
    tokio::select! {
        outcome = command => outcome,
        () = tokio::time::sleep(GRACE) => Err(Failure::new("stopping within five seconds")
            .because("something did not finish in time and was cut off")
            .advise("nothing is lost: every write is whole, and the next start goes on from what is stored")),
        name = second => Err(Failure::new(format!("stopping cleanly: a second signal came ({name})"))),
    }
}

struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.interrupt.recv() => "SIGINT",
            _ = self.terminate.recv() => "SIGTERM",
        }
    }
}
