//! The event log of one resource: what happened, bounded, shared by all watchers.
//!
//! ```text
//!   floor │ 12 13 17 18 21 │ newest          a watcher at 13 takes 17, 18, 21
//!         └────────────────┘                 a watcher below the floor has missed something: 410
//! ```
//!
//! Each entry keeps the object before and after, so that a selector can tell coming and going, and an older state
//! of the resource can be restored by undoing entries.

use std::collections::VecDeque;
use std::sync::Arc;

use super::StoredObject;
use super::config::Limits;

/// Memory of an entry besides the object.
const ENTRY_OVERHEAD: usize = 128;

/// One change of one object.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) revision: u64,
    pub(super) key: Arc<str>,
    /// The object afterwards; for a deletion its last state, at the deletion's revision.
    pub(super) object: Arc<StoredObject>,
    /// The object before; none if it was created.
    pub(super) previous: Option<Arc<StoredObject>>,
    pub(super) deleted: bool,
}

impl Entry {
    fn size(&self) -> usize {
        self.object.size() + ENTRY_OVERHEAD
    }
}

/// The changes of one resource, newest last.
#[derive(Clone, Debug, Default)]
pub(super) struct EventLog {
    entries: VecDeque<Entry>,
    bytes: usize,
    /// Everything after this revision is in the log.
    floor: u64,
}

impl EventLog {
    /// An empty log of what happens after this revision.
    pub(super) fn beginning_at(revision: u64) -> Self {
        Self { floor: revision, ..Self::default() }
    }

    pub(super) fn push(&mut self, entry: Entry, limits: &Limits) {
        self.bytes += entry.size();
        self.entries.push_back(entry);
        while self.entries.len() > limits.log_events.max(1)
            || (self.bytes > limits.log_bytes && self.entries.len() > 1)
        {
            if let Some(oldest) = self.entries.pop_front() {
                self.bytes -= oldest.size();
                self.floor = oldest.revision;
            }
        }
    }

    /// Whether everything after this revision is known.
    pub(super) fn covers(&self, revision: u64) -> bool {
        revision >= self.floor
    }

    /// The oldest revision that a watcher may be at.
    pub(super) fn floor(&self) -> u64 {
        self.floor
    }

    /// The revision of the newest entry; 0 if there was none yet.
    pub(super) fn newest(&self) -> u64 {
        self.entries.back().map_or(self.floor, |e| e.revision)
    }

    /// The entries after this revision.
    pub(super) fn after(&self, revision: u64) -> impl Iterator<Item = &Entry> {
        let start = self.entries.partition_point(|e| e.revision <= revision);
        self.entries.range(start..)
    }
}
