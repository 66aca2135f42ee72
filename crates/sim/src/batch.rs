//! Many seeds on all cores.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::machine;
use crate::plan::Plan;
use crate::run::{Outcome, run};

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
    /// What all threads together had of the processors; nothing where that is not told.
    pub(crate) processor: Duration,
}

impl Batch {
    /// Runs a second.
    pub(crate) fn rate(&self) -> f64 {
        self.runs_in(self.time)
    }

    /// Runs for each second of one processor, whoever else wanted it.
    pub(crate) fn rate_of_a_processor(&self) -> f64 {
        self.runs_in(self.processor)
    }

    fn runs_in(&self, time: Duration) -> f64 {
        let runs = u32::try_from(self.runs).unwrap_or(u32::MAX);
        f64::from(runs) / time.as_secs_f64().max(0.001)
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
            let Some(seed) = seed.filter(|_| !stop.load(Ordering::Relaxed)) else { break };
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
        let had = machine::processor_time().unwrap_or_default();
        sum.lock().unwrap_or_else(PoisonError::into_inner).processor += had;
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
