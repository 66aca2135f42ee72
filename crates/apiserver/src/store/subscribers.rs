//! Who wants to know of commits: callbacks, run on the writer's thread after the lock is released.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use crate::resource::GroupResource;

/// Called after each commit, outside the store's lock, with the resource that changed and the new revision.
pub type CommitCallback = Arc<dyn Fn(&GroupResource, u64) + Send + Sync>;

type List = Mutex<Vec<(u64, CommitCallback)>>;

/// The callbacks of a store.
#[derive(Default)]
pub(super) struct Subscribers {
    list: Arc<List>,
}

/// Keeps a callback of [`super::Store::subscribe`] registered until dropped.
pub struct Subscription {
    id: u64,
    list: Weak<List>,
}

impl Subscribers {
    pub(super) fn add(&self, callback: CommitCallback) -> Subscription {
        let mut list = self.list.lock().unwrap_or_else(PoisonError::into_inner);
        let id = list.last().map_or(0, |(id, _)| id + 1);
        list.push((id, callback));
        Subscription { id, list: Arc::downgrade(&self.list) }
    }

    pub(super) fn notify(&self, resource: &GroupResource, revision: u64) {
        // Called without the lock: a callback may subscribe or unsubscribe.
        let callbacks: Vec<CommitCallback> = {
            let list = self.list.lock().unwrap_or_else(PoisonError::into_inner);
            list.iter().map(|(_, callback)| callback.clone()).collect()
        };
        for callback in callbacks {
            callback(resource, revision);
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        if let Some(list) = self.list.upgrade() {
            list.lock().unwrap_or_else(PoisonError::into_inner).retain(|(id, _)| *id != self.id);
        }
    }
}
