//! What a cluster's own controllers do after a write, done at once: namespaces and CRDs are emptied and removed,
//! CRDs establish their resources, dependents are collected, new namespaces get what every namespace has.
//!
//! ```text
//!   commit ──▶ tasks ──▶ settle(): one after the other, each may commit and add tasks ──▶ quiet
//! ```
//!
//! A queue, not recursion: a chain of owners may be as long as somebody cares to make it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use super::{Store, StoredObject};
use crate::resource::{GroupResource, NAMESPACES, Origin, ResourceDefinition};

/// Something that follows from a write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Task {
    /// A namespace is new.
    FurnishNamespace(String),
    /// A namespace is in deletion and may be empty now.
    EmptyNamespace(String),
    /// A CRD was written.
    Define(String),
    /// A CRD is in deletion and may have no objects left.
    EmptyDefinition(String),
    /// The object with this uid is gone.
    CollectDependents(Box<str>),
    /// An object is new and names owners, which may be gone already.
    CollectIfOrphan(GroupResource, Arc<str>),
    /// An object in deletion waits for the garbage collector.
    Finalize(GroupResource, Arc<str>),
    /// A dependent is gone, for which an owner may have waited.
    ReleaseOwners(Arc<StoredObject>),
}

/// Tasks that wait, and the right to work on them.
#[derive(Default)]
pub(super) struct Tasks {
    waiting: Mutex<VecDeque<Task>>,
    /// Held while tasks are worked on, so that a writer returns only after the consequences of its write.
    working: Mutex<()>,
}

impl Tasks {
    fn add(&self, task: Task) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if !waiting.contains(&task) {
            waiting.push_back(task);
        }
    }

    fn next(&self) -> Option<Task> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }
}

impl Store {
    /// Tells subscribers of a commit and notes what follows from it.
    pub(super) fn after_commit(
        &self,
        storage: &ResourceDefinition,
        before: Option<&Arc<StoredObject>>,
        after: Option<&Arc<StoredObject>>,
    ) {
        let resource = &storage.internals.storage;
        let newest = after.or(before).map_or(0, |o| o.resource_version());
        self.subscribers.notify(resource, newest);
        match after {
            Some(after) => self.note_write(storage, before, after),
            None => {
                if let Some(last) = before {
                    self.note_removal(storage, last);
                }
            }
        }
    }

    fn note_write(
        &self,
        storage: &ResourceDefinition,
        before: Option<&Arc<StoredObject>>,
        after: &StoredObject,
    ) {
        let name = || after.name().to_owned();
        if is_core(storage, "namespaces") {
            if before.is_none() {
                self.tasks.add(Task::FurnishNamespace(name()));
            }
            if after.is_terminating() {
                self.tasks.add(Task::EmptyNamespace(name()));
            }
        } else if is_definition(storage) {
            self.tasks.add(Task::Define(name()));
        }
        if before.is_none() && after.owners().next().is_some() {
            let key = super::state::object_key(after.namespace(), after.name()).into();
            self.tasks.add(Task::CollectIfOrphan(storage.internals.storage.clone(), key));
        }
        if after.is_terminating() && after.awaits_collector() {
            let key = super::state::object_key(after.namespace(), after.name()).into();
            self.tasks.add(Task::Finalize(storage.internals.storage.clone(), key));
        }
    }

    fn note_removal(&self, storage: &ResourceDefinition, last: &Arc<StoredObject>) {
        if last.owners().next().is_some() {
            self.tasks.add(Task::ReleaseOwners(last.clone()));
        }
        if is_definition(storage) {
            self.tasks.add(Task::Define(last.name().to_owned()));
        }
        if let Origin::Custom { crd, terminating: true } = &storage.internals.origin {
            self.tasks.add(Task::EmptyDefinition(crd.to_string()));
        }
        let (has_dependents, namespace_ends) = {
            let state = self.read();
            let ends = last.namespace().is_some_and(|namespace| {
                state.object(&NAMESPACES, namespace).is_some_and(|n| n.is_terminating())
            });
            (state.has_dependents(last.uid()), ends)
        };
        if has_dependents {
            self.tasks.add(Task::CollectDependents(last.uid().into()));
        }
        if let Some(namespace) = last.namespace().filter(|_| namespace_ends) {
            self.tasks.add(Task::EmptyNamespace(namespace.to_owned()));
        }
    }

    /// Works until nothing follows any more.
    pub(super) fn settle(&self) {
        if self.tasks.waiting.lock().unwrap_or_else(PoisonError::into_inner).is_empty() {
            return;
        }
        let _working = self.tasks.working.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(task) = self.tasks.next() {
            match task {
                Task::FurnishNamespace(name) => self.furnish_namespace(&name),
                Task::EmptyNamespace(name) => self.empty_namespace(&name),
                Task::Define(name) => self.define(&name),
                Task::EmptyDefinition(name) => self.empty_definition(&name),
                Task::CollectDependents(owner) => self.collect_dependents(&owner),
                Task::CollectIfOrphan(resource, key) => self.collect_if_orphan(&resource, &key),
                Task::Finalize(resource, key) => self.finalize(&resource, &key),
                Task::ReleaseOwners(dependent) => self.release_owners(&dependent),
            }
        }
    }
}

fn is_core(storage: &ResourceDefinition, resource: &str) -> bool {
    storage.id.group.is_empty() && *storage.id.resource == *resource
}

fn is_definition(storage: &ResourceDefinition) -> bool {
    !storage.is_custom() && *storage.id.resource == *"customresourcedefinitions"
}
