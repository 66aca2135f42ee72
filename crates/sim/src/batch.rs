//! Many seeds on all cores.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::run::{Outcome, Plan, run};

/// What came of many runs.
#[derive(Default)]
pub(crate) struct Batch {
    pub(crate) runs: u64,
    pub(crate) steps: u64,
    pub(crate) faults: u64,
    pub(crate) deliveries: u64,
    pub(crate) requests: u64,
    pub(crate) failed: Vec<Outcome>,
    pub(crate) time: Duration,
}

impl Batch {
    /// Runs a second.
    pub(crate) fn rate(&self) -> f64 {
        let runs = u32::try_from(self.runs).unwrap_or(u32::MAX);
        f64::from(runs) / self.time.as_secs_f64().max(0.001)
    }
}

/// Runs these seeds, all of them or until one fails.
pub(crate) fn batch(seeds: &[u64], plan: &Plan, until_failure: bool, tell: impl Fn(u64) + Sync) -> Batch {
    let begun = Instant::now();
    let (next, stop) = (AtomicU64::new(0), AtomicBool::new(false));
    let sum = Mutex::new(Batch::default());
    let work = || {
        certmesh_x509::remember_verdicts();
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let seed = usize::try_from(at).ok().and_then(|at| seeds.get(at));
            let Some(seed) = seed.filter(|_| !stop.load(Ordering::Relaxed)) else { return };
            let outcome = run(&Plan { seed: *seed, ..plan.clone() });
            let mut sum = sum.lock().unwrap_or_else(PoisonError::into_inner);
            sum.runs += 1;
            sum.steps += outcome.steps;
            sum.faults += outcome.faults.len() as u64;
            sum.deliveries += outcome.deliveries as u64;
            sum.requests += outcome.requests;
            if outcome.violation.is_some() {
                stop.fetch_or(until_failure, Ordering::Relaxed);
                sum.failed.push(outcome);
            }
            tell(sum.runs);
        }
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        (0..cores).for_each(|_| drop(scope.spawn(work)));
    });
    let mut sum = sum.into_inner().unwrap_or_else(PoisonError::into_inner);
    sum.failed.sort_by_key(|outcome| outcome.seed);
    sum.time = begun.elapsed();
    sum
}
