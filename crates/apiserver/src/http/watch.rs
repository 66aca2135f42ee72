//! Watches: the store's event log as a stream of JSON lines.
//!
//! ```text
//!   store log ──▶ cursor ──▶ batch of lines ──▶ one chunk ──▶ the client, at its own pace
//!       │                        ▲
//!       └── commit signal ───────┘   plus: bookmark once a minute, end at the timeout or when the server stops
//! ```
//!
//! A watcher holds its place in the log and nothing else. One that reads too slowly is not queued for: it falls behind
//! the log and is told 410, as by the real server.

use std::{ops::ControlFlow, sync::Arc, time::Duration};

use bytes::Bytes;
use futures::Stream;
use tokio::{
    sync::watch,
    time::{Instant, MissedTickBehavior, interval_at, sleep_until},
};
use tokio_util::sync::CancellationToken;

use super::{
    response::{self, ApiResponse},
    view::EventView,
};
use crate::{
    status::ApiStatus,
    store::{Store, WatchCursor},
};

/// As the real server's watch cache.
const BOOKMARK_INTERVAL: Duration = Duration::from_secs(60);

/// Bytes after which a batch of events is sent on.
const BATCH_BYTES: usize = 32 * 1024;

/// A started watch.
pub(super) struct Watch {
    pub(super) store: Arc<Store>,
    pub(super) cursor: WatchCursor,
    /// Changes with every commit to the watched resource.
    pub(super) commits: watch::Receiver<u64>,
    pub(super) timeout: Duration,
    /// The server stops.
    pub(super) ending: CancellationToken,
    pub(super) view: EventView,
}

impl Watch {
    /// The body of the answer: ends at the timeout, when the server stops, or after an ERROR event.
    pub(super) fn into_stream(self) -> impl Stream<Item = Bytes> + Send {
        let now = Instant::now();
        let mut bookmark = interval_at(now + BOOKMARK_INTERVAL, BOOKMARK_INTERVAL);
        bookmark.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let deadline = now + self.timeout;
        futures::stream::unfold(Some((self, bookmark)), move |state| async move {
            let (mut watch, mut bookmark) = state?;
            match watch.next_chunk(&mut bookmark, deadline).await {
                ControlFlow::Continue(chunk) => Some((chunk, Some((watch, bookmark)))),
                ControlFlow::Break(Some(last)) => Some((last, None)),
                ControlFlow::Break(None) => None,
            }
        })
    }

    async fn next_chunk(
        &mut self,
        bookmark: &mut tokio::time::Interval,
        deadline: Instant,
    ) -> ControlFlow<Option<Bytes>, Bytes> {
        loop {
            // Seen before the log is read, so that a commit in between wakes us again.
            self.commits.mark_unchanged();
            if let Some(batch) = self.batch()? {
                return ControlFlow::Continue(batch);
            }
            tokio::select! {
                biased;
                () = self.ending.cancelled() => return ControlFlow::Break(None),
                () = sleep_until(deadline) => return ControlFlow::Break(self.bookmark()),
                changed = self.commits.changed() => if changed.is_err() {
                    return ControlFlow::Break(None);
                },
                _ = bookmark.tick() => if let Some(bookmark) = self.bookmark() {
                    return ControlFlow::Continue(bookmark);
                },
            }
        }
    }

    /// The events that wait, up to a full batch. Breaks with the ERROR event when the log has moved past the watcher.
    fn batch(&mut self) -> ControlFlow<Option<Bytes>, Option<Bytes>> {
        let mut lines = Vec::new();
        while lines.len() < BATCH_BYTES {
            match self.store.watch_next(&mut self.cursor, 1) {
                Ok(events) if events.is_empty() => break,
                Ok(events) => events.iter().for_each(|event| self.view.write(event, &mut lines)),
                Err(status) => {
                    // The resource is served no longer: the watch just ends, as on the real server.
                    if status.code != 404 {
                        lines.extend_from_slice(error_line(&status).as_bytes());
                    }
                    return ControlFlow::Break((!lines.is_empty()).then(|| lines.into()));
                }
            }
        }
        ControlFlow::Continue((!lines.is_empty()).then(|| lines.into()))
    }

    fn bookmark(&mut self) -> Option<Bytes> {
        let bookmark = self.store.bookmark(&self.cursor)?;
        let mut line = Vec::new();
        self.view.write(&bookmark, &mut line);
        Some(line.into())
    }
}

fn error_line(status: &ApiStatus) -> String {
    format!("{{\"type\":\"ERROR\",\"object\":{}}}\n", status.to_value())
}

/// A watch that could not start because its resourceVersion is too old.
pub(super) fn only_error(status: &ApiStatus) -> ApiResponse {
    let line = Bytes::from(error_line(status));
    response::stream(futures::stream::once(std::future::ready(line)))
}

/// How long a watch lasts that does not say: 30 to 60 minutes, so that those started together do not end together.
pub(super) fn default_timeout() -> Duration {
    const MIN_SECONDS: u16 = 30 * 60;
    let mut random = [0; 2];
    // Without randomness all end after the minimum, which is merely less polite.
    let spread = aws_lc_rs::rand::fill(&mut random).map_or(0, |()| u16::from_le_bytes(random) % MIN_SECONDS);
    Duration::from_secs(u64::from(MIN_SECONDS + spread))
}
