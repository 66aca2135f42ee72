//! DELETE: at once, or marked and left to finalizers or a grace period
//! (`pkg/registry/generic/registry/store.go`, `pkg/registry/rest/delete.go`).

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::state::object_key;
use super::{DeleteOptions, Deleted, PropagationPolicy, Store, StoredObject};
use crate::meta::object_meta::{self, FINALIZER_FOREGROUND, FINALIZER_ORPHAN, Object};
use crate::resource::{GroupResource, ResourceDefinition, Scope};
use crate::status::ApiStatus;

/// What the decision on a deletion came to.
enum Outcome {
    /// It is being deleted already; nothing changes.
    Pending,
    /// Marked, and kept until its finalizers are gone or its grace period is over.
    Mark(Object),
    /// Marked, for watchers to see, and then removed.
    MarkAndRemove(Object),
    Remove,
}

impl Store {
    pub(super) fn delete_object(
        &self,
        definition: &Arc<ResourceDefinition>,
        namespace: Option<&str>,
        name: &str,
        options: &DeleteOptions,
    ) -> Result<Deleted, ApiStatus> {
        let namespace = namespace.filter(|_| definition.scope == Scope::Namespaced);
        match &*definition.id.resource {
            "namespaces" if definition.id.group.is_empty() => {
                return self.delete_namespace(definition, name, options);
            }
            "customresourcedefinitions" if !definition.is_custom() => {
                return self.delete_definition(definition, name, options);
            }
            _ => {}
        }
        self.delete_plain(definition, namespace, name, options)
    }

    /// Deletes an object that nothing special depends on.
    pub(super) fn delete_plain(
        &self,
        definition: &Arc<ResourceDefinition>,
        namespace: Option<&str>,
        name: &str,
        options: &DeleteOptions,
    ) -> Result<Deleted, ApiStatus> {
        let storage = self.storage_definition(definition);
        let key = object_key(namespace, name);
        loop {
            let current = self
                .stored(&storage.internals.storage, &key)
                .ok_or_else(|| ApiStatus::not_found(&definition.group_resource(), name))?;
            check_preconditions(definition, &current, options)?;
            let object = current.shown_as(&storage).object();
            let answer = match decide(definition, object, options, self.now()) {
                Outcome::Pending => Some(Deleted::Object(current.shown_as(definition))),
                Outcome::Mark(marked) => {
                    self.mark(&storage, &key, &current, marked, options)?.map(Deleted::Object)
                }
                Outcome::MarkAndRemove(marked) => {
                    match self.mark(&storage, &key, &current, marked, options)? {
                        Some(marked) => self.finish(definition, &storage, &key, &marked, options),
                        None => None,
                    }
                }
                Outcome::Remove => self.finish(definition, &storage, &key, &current, options),
            };
            if let Some(answer) = answer {
                return Ok(match answer {
                    Deleted::Object(object) => Deleted::Object(object.shown_as(definition)),
                    gone @ Deleted::Gone(_) => gone,
                });
            }
        }
    }

    /// Writes the mark; none if somebody else has written.
    fn mark(
        &self,
        storage: &Arc<ResourceDefinition>,
        key: &str,
        current: &Arc<StoredObject>,
        marked: Object,
        options: &DeleteOptions,
    ) -> Result<Option<Arc<StoredObject>>, ApiStatus> {
        if options.dry_run {
            return Ok(Some(Arc::new(StoredObject::new(marked, storage, current.resource_version()))));
        }
        if marked == current.object() {
            return Ok(Some(current.clone()));
        }
        self.replace(storage, key, current, marked)
    }

    /// Removes, and answers what the client of this resource gets; none if somebody else has written.
    fn finish(
        &self,
        definition: &ResourceDefinition,
        storage: &Arc<ResourceDefinition>,
        key: &str,
        current: &Arc<StoredObject>,
        options: &DeleteOptions,
    ) -> Option<Deleted> {
        let last = if options.dry_run { current.clone() } else { self.remove_if(storage, key, current)? };
        Some(if definition.strategy().behaviour().returns_deleted_object {
            Deleted::Object(last)
        } else {
            let resource = definition.group_resource();
            Deleted::Gone(ApiStatus::deleted(&resource, current.name(), current.uid()))
        })
    }
}

/// uid and resourceVersion are as the client last saw them.
pub(super) fn check_preconditions(
    definition: &ResourceDefinition,
    current: &StoredObject,
    options: &DeleteOptions,
) -> Result<(), ApiStatus> {
    // The real server puts the kind where a resource belongs.
    let resource = GroupResource { group: definition.id.group.clone(), resource: definition.kind.clone() };
    let wanted = &options.preconditions;
    if let Some(uid) = wanted.uid.as_deref().filter(|uid| *uid != current.uid()) {
        let cause = format!(
            "the UID in the precondition ({uid}) does not match the UID in record ({}). The object might have been \
             deleted and then recreated",
            current.uid()
        );
        return Err(ApiStatus::conflict(&resource, current.name(), cause));
    }
    let version = current.resource_version().to_string();
    if let Some(given) = wanted.resource_version.as_deref().filter(|given| *given != version) {
        let cause = format!(
            "the ResourceVersion in the precondition ({given}) does not match the ResourceVersion in record ({version}). \
             The object might have been modified"
        );
        return Err(ApiStatus::conflict(&resource, current.name(), cause));
    }
    Ok(())
}

fn decide(
    definition: &ResourceDefinition,
    mut object: Object,
    options: &DeleteOptions,
    now: Timestamp,
) -> Outcome {
    let requested = options.grace_period_seconds.map(|s| if s < 0 { 1 } else { s });
    let graceful = match definition.strategy().grace_period(&object, requested) {
        None => false,
        Some(period) => match give_grace(&mut object, period, requested, now) {
            Grace::Pending => return Outcome::Pending,
            Grace::Given => true,
            Grace::Over => false,
        },
    };
    add_collector_finalizers(&mut object, options.propagation_policy);
    let finalizers = !object_meta::finalizers(&object).is_empty();
    match (graceful, finalizers) {
        (true, true) => Outcome::Mark(object),
        (true, false) if object_meta::grace_period(&object).unwrap_or(0) > 0 => Outcome::Mark(object),
        (true, false) => Outcome::MarkAndRemove(object),
        (false, true) => {
            object_meta::mark_as_deleting(&mut object, now);
            Outcome::Mark(object)
        }
        (false, false) => Outcome::Remove,
    }
}

enum Grace {
    /// Deletion is under way and is not hurried.
    Pending,
    Given,
    Over,
}

/// Sets or shortens the time an object gets (`BeforeDelete`).
fn give_grace(object: &mut Object, period: i64, requested: Option<i64>, now: Timestamp) -> Grace {
    let deadline = |from: Timestamp, seconds: i64| {
        let at = from.saturating_add(SignedDuration::from_secs(seconds)).unwrap_or(from);
        json!(object_meta::format_time(at))
    };
    if object_meta::is_terminating(object) {
        let given = object_meta::grace_period(object).unwrap_or(0);
        if given == 0 {
            return Grace::Over;
        }
        let Some(shorter) = requested.filter(|seconds| *seconds < given) else { return Grace::Pending };
        let ends = object_meta::text(object, "deletionTimestamp").parse().unwrap_or(now);
        let ends = deadline(ends, shorter - given);
        object_meta::set_or_remove(object, "deletionTimestamp", Some(ends));
        object_meta::set_or_remove(object, "deletionGracePeriodSeconds", Some(json!(shorter)));
        return Grace::Given;
    }
    object_meta::set_or_remove(object, "deletionTimestamp", Some(deadline(now, period)));
    object_meta::set_or_remove(object, "deletionGracePeriodSeconds", Some(json!(period)));
    let generation = object_meta::generation(object);
    if generation > 0 {
        object_meta::set_generation(object, generation + 1);
    }
    Grace::Given
}

/// Orphaning and foreground deletion are asked of the garbage collector by finalizers.
pub(super) fn add_collector_finalizers(object: &mut Object, policy: Option<PropagationPolicy>) {
    let Some(policy) = policy else { return };
    let mut finalizers: Vec<String> = object_meta::finalizers(object)
        .into_iter()
        .filter(|f| *f != FINALIZER_ORPHAN && *f != FINALIZER_FOREGROUND)
        .map(str::to_owned)
        .collect();
    match policy {
        PropagationPolicy::Orphan => finalizers.push(FINALIZER_ORPHAN.to_owned()),
        PropagationPolicy::Foreground => finalizers.push(FINALIZER_FOREGROUND.to_owned()),
        PropagationPolicy::Background => {}
    }
    object_meta::set_finalizers(object, &finalizers);
}
