//! How a run is to be: all that decides what happens in it.

use std::collections::BTreeSet;

use crate::keys::KeySource;

/// Steps with faults.
pub(crate) const STEPS: u64 = 200;

/// How a run is to be.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) clusters: usize,
    pub(crate) steps: u64,
    /// Whether anything may go wrong.
    pub(crate) faulty: bool,
    /// Only these faults happen.
    pub(crate) only: Option<BTreeSet<u64>>,
    /// Whether it is written down.
    pub(crate) traced: bool,
    /// Where agents have their keys from.
    pub(crate) keys: KeySource,
}

impl Plan {
    /// The ordinary run of a seed.
    pub(crate) fn of(seed: u64) -> Self {
        Self {
            seed,
            clusters: 2,
            steps: STEPS,
            faulty: true,
            only: None,
            traced: false,
            keys: KeySource::Pool,
        }
    }
}
