//! The RBAC objects as a policy, built anew only after one of them changed.

use std::sync::{Arc, LazyLock, Mutex, PoisonError, RwLock};

use super::state::State;
use crate::rbac::Policy;
use crate::resource::GroupResource;

static RESOURCES: LazyLock<[GroupResource; 4]> = LazyLock::new(|| {
    ["clusterroles", "clusterrolebindings", "roles", "rolebindings"]
        .map(|r| GroupResource::new("rbac.authorization.k8s.io", r))
});

/// The policy and the revision of the RBAC objects that it was built from.
#[derive(Default)]
pub(super) struct PolicyCache {
    built: Mutex<Option<(u64, Arc<Policy>)>>,
}

impl PolicyCache {
    /// The policy of the objects as they are now.
    pub(super) fn current(&self, state: &RwLock<State>) -> Arc<Policy> {
        let state = state.read().unwrap_or_else(PoisonError::into_inner);
        let newest = |r: &GroupResource| state.resource(r).map_or(0, |r| r.log.newest());
        let revision = RESOURCES.iter().map(newest).max().unwrap_or(0);
        let mut built = self.built.lock().unwrap_or_else(PoisonError::into_inner);
        match &*built {
            Some((of, policy)) if *of == revision => policy.clone(),
            _ => {
                let objects =
                    |r: &GroupResource| -> Vec<_> { state.objects(r, "").map(|(_, o)| o.object()).collect() };
                let [cluster_roles, cluster_bindings, roles, bindings] = RESOURCES.each_ref().map(objects);
                let policy = Arc::new(Policy::new(&cluster_roles, &cluster_bindings, &roles, &bindings));
                *built = Some((revision, policy.clone()));
                policy
            }
        }
    }
}
