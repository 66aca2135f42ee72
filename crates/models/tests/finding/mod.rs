//! Looks for what breaks a rule, for models with a defect.

use std::hash::Hash;

use stateright::{Checker, HasDiscoveries, Model};

/// Searches until this rule is broken: the states that it took, and the actions that lead there, if any do.
pub(crate) fn breaking<M>(model: M, threads: usize, rule: &'static str) -> (usize, Option<Vec<M::Action>>)
where
    M: Model + Send + Sync + 'static,
    M::State: Clone + Hash + PartialEq + Send + Sync + 'static,
    M::Action: Clone + PartialEq,
{
    let found = HasDiscoveries::AnyOf([rule].into());
    let checker = model.checker().threads(threads).finish_when(found).spawn_bfs().join();
    (checker.unique_state_count(), checker.discovery(rule).map(stateright::Path::into_actions))
}
