//! Takes faults out of a failing run as long as it fails the same way.

use std::collections::BTreeSet;

use crate::plan::Plan;
use crate::run::{Outcome, run};

/// Runs that shrinking may take.
const PATIENCE: usize = 400;

/// The run with as few faults as were found to do, and those faults.
pub(crate) fn shrink(failed: &Outcome, plan: &Plan) -> Outcome {
    let wanted = failed.violation.as_ref().map(|violation| violation.invariant);
    let fails = |only: &BTreeSet<u64>| {
        let outcome = run(&Plan { only: Some(only.clone()), traced: false, ..plan.clone() });
        (outcome.violation.as_ref().map(|violation| violation.invariant) == wanted).then_some(outcome)
    };
    let steps: BTreeSet<u64> = failed.faults.iter().map(|(step, _)| *step).collect();
    let kept = minimal(steps, |only| fails(only).is_some());
    run(&Plan { only: Some(kept), traced: false, ..plan.clone() })
}

/// A smaller set for which it still holds: chunks are left out, ever smaller ones (delta debugging).
fn minimal(mut kept: BTreeSet<u64>, holds: impl Fn(&BTreeSet<u64>) -> bool) -> BTreeSet<u64> {
    let mut tries = 0;
    let mut chunk = kept.len().div_ceil(2);
    while chunk > 0 && tries < PATIENCE {
        let all: Vec<u64> = kept.iter().copied().collect();
        let mut left_out = false;
        for part in all.chunks(chunk) {
            let fewer: BTreeSet<u64> = kept.iter().copied().filter(|step| !part.contains(step)).collect();
            tries += 1;
            if fewer.len() < kept.len() && holds(&fewer) {
                kept = fewer;
                left_out = true;
            }
        }
        if !left_out || chunk > kept.len() {
            chunk = if chunk == 1 { 0 } else { chunk.div_ceil(2).min(kept.len()) };
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_matter_is_left_out() {
        let all: BTreeSet<u64> = (0..100).collect();
        let kept = minimal(all, |set| set.contains(&17) && set.contains(&64));
        assert_eq!(kept, [17, 64].into());
        assert!(minimal((0..9).collect(), |_| true).is_empty());
        assert_eq!(minimal((0..5).collect(), |set| set.len() == 5).len(), 5);
    }
}
